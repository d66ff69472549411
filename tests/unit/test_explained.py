"""A report explains itself: each wire from the ledger to the explanation of a mismatch."""

from __future__ import annotations

import json
from datetime import timedelta

import attrs
import pytest

from tests.shops import DAY, MINUTE, Shop
from truecount import (
    Candidate,
    CauseKind,
    Certainty,
    Count,
    Evidence,
    Explanation,
    Formula,
    Level,
    Mismatch,
    Plan,
    Reconciliation,
    Shown,
    Snapshot,
    Sold,
    Source,
    State,
    StockKey,
    timeline_of,
)
from truecount.errors import InvalidArgument, InvalidData
from truecount.model.places import ON_HAND
from truecount.reconciliation import explained as module
from truecount.reconciliation import report as reports
from truecount.reconciliation.observations import Observation
from truecount.rendering.timeline import SHELF


def explained(
    shop: Shop,
    *observations: Observation,
    known: Evidence | None = None,
    sources: tuple[Source, ...] = (),
) -> Reconciliation:
    """Return the explained report of *observations*."""
    report = shop.inventory.reconcile(observations, sources=sources)
    return shop.inventory.explain(report, known=known)


def only(report: Reconciliation) -> tuple[Mismatch, Explanation]:
    """Return the only mismatch, which is explained."""
    [mismatch] = report.mismatches
    assert mismatch.explanation is not None
    return mismatch, mismatch.explanation


def sell(shop: Shop, sku: str, quantity: int, at: str = "berlin", origin: str = "till") -> str:
    """Sell *quantity* a minute later; return the movement."""
    moment = shop.clock.tick(MINUTE)
    key = f"{origin}/{sku}/{moment.isoformat()}"
    [outcome] = shop.inventory.record([Sold(sku, quantity, at=at, origin=origin, key=key)])
    return outcome.movement_id


def traded(**units: int) -> Shop:
    """Return a shop with *units* in Berlin that were there two days ago."""
    shop = Shop({"berlin": units, "hamburg": {}})
    shop.clock.tick(2 * DAY)
    return shop


class TestBracket:
    def test_what_was_before_the_last_count_is_innocent(self) -> None:
        """A sale of seven before the shelf was counted right did not make seven too many."""
        shop = traded(MUG=100)
        sell(shop, "MUG", 7)
        counted_at = shop.clock.tick(DAY)
        shop.inventory.count("MUG", 93, at="berlin")
        shop.clock.tick(DAY)
        _, why = only(explained(shop, Count("MUG", 100, at="berlin")))
        assert why.discrepancy.after == counted_at
        assert why.evidence == ()

    def test_without_a_count_everything_is_looked_at(self) -> None:
        """Nobody knows since when it differs."""
        shop = traded(MUG=100)
        sale = sell(shop, "MUG", 7)
        shop.clock.tick(DAY)
        _, why = only(explained(shop, Count("MUG", 100, at="berlin")))
        assert why.discrepancy.after is None
        assert sale in {id_ for each in why.hypotheses for id_ in each.evidence}

    @pytest.mark.parametrize("how", ["undone", "in part", "later"])
    def test_count_that_does_not_speak_of_it_is_no_bracket(self, how: str) -> None:
        """One that was taken back, saw fewer states, or came later."""
        shop = traded(MUG=100)
        seen_at = shop.clock.tick(DAY)
        if how == "later":
            shop.clock.tick(DAY)
        covers = frozenset({State.SELLABLE}) if how == "in part" else SHELF
        count = shop.inventory.count("MUG", 100, at="berlin", covers=covers)
        if how != "later":
            seen_at = shop.clock.tick(DAY)
        if how == "undone":
            shop.inventory.undo(count.movements[0], reason="wrong shelf")
        _, why = only(explained(shop, Count("MUG", 40, at="berlin", counted_at=seen_at)))
        assert why.discrepancy.after is None

    def test_lot_agreed_when_it_was_counted_itself(self) -> None:
        """Whatever was counted of the lot beside it."""
        shop = traded()
        for lot in ("L1", "L2"):
            shop.inventory.receive("TEA", 10, at="berlin", lot=lot)
        counted_at = shop.clock.tick(DAY)
        shop.inventory.count("TEA", 10, at="berlin", lot="L1")
        shop.clock.tick(DAY)
        one = Count("TEA", 7, at="berlin", lot="L1", counter="ann")
        other = Count("TEA", 7, at="berlin", lot="L2", counter="ann")
        found = {m.lot: m.explanation for m in explained(shop, one, other).mismatches}
        assert [each and each.discrepancy.after for _, each in sorted(found.items())] == [
            counted_at,
            None,
        ]

    def test_late_report_of_before_the_count_is_innocent(self) -> None:
        """The till tells of the morning after the shelf was counted: that was refolded there."""
        shop = traded(MUG=100)
        morning = shop.clock.tick(MINUTE)
        shop.clock.tick(DAY / 4)
        shop.inventory.count("MUG", 100, at="berlin")
        shop.clock.tick(DAY / 4)
        late = [
            Sold("MUG", 7, at="berlin", reference="order-5", key=f"till-{n}", occurred_at=morning)
            for n in range(2)
        ]
        ids = {id_ for each in shop.inventory.record(late) for id_ in each.movements}
        assert shop.inventory.figures("MUG").on_hand == 100
        after = sell(shop, "MUG", 2)
        shop.clock.tick(DAY)
        _, why = only(explained(shop, Count("MUG", 105, at="berlin")))
        named = {id_ for each in why.hypotheses for id_ in each.evidence}
        assert not ids & named
        assert why.discrepancy.delta == 7
        _, why = only(explained(shop, Count("MUG", 100, at="berlin")))
        assert after in {id_ for each in why.hypotheses for id_ in each.evidence}

    def test_late_report_is_a_suspect_of_what_was_seen_before_the_count(self) -> None:
        """The count settled it only from then on."""
        shop = traded(MUG=100)
        morning = shop.clock.tick(MINUTE)
        seen_at = shop.clock.tick(DAY / 8)
        shop.clock.tick(MINUTE)
        shop.inventory.count("MUG", 93, at="berlin")
        shop.clock.tick(DAY / 4)
        late = [
            Sold("MUG", 7, at="berlin", reference="order-5", key=f"till-{n}", occurred_at=morning)
            for n in range(2)
        ]
        ids = {outcome.movements[-1] for outcome in shop.inventory.record(late)}
        report = explained(shop, Count("MUG", 93, at="berlin", counted_at=seen_at))
        _, why = only(report)
        assert why.causes[0].kind is CauseKind.DUPLICATE
        assert set(why.evidence) == ids

    def test_several_lots_agreed_when_the_last_of_them_was_counted(self) -> None:
        """The earliest of the newest counts of each lot, none if one was never counted."""
        shop = traded()
        for lot in ("L1", "L2"):
            shop.inventory.receive("TEA", 10, at="berlin", lot=lot)
        first = shop.clock.tick(DAY)
        shop.inventory.count("TEA", 10, at="berlin", lot="L1")
        shop.clock.tick(DAY)
        _, why = only(explained(shop, Count("TEA", 17, at="berlin")))
        assert why.discrepancy.after is None
        shop.inventory.count("TEA", 10, at="berlin", lot="L2")
        shop.clock.tick(DAY)
        _, why = only(explained(shop, Count("TEA", 17, at="berlin")))
        assert why.discrepancy.after == first

    def test_channel_agreed_when_what_the_book_had_was_published(self) -> None:
        """A level published that the book did not have is no agreement."""
        shop = traded(MUG=100)
        published = shop.clock.tick(DAY)
        shop.inventory.published("etsy", {"MUG": 100})
        shop.clock.tick(DAY)
        shop.inventory.published("etsy", {"MUG": 40})
        shop.clock.tick(DAY)
        _, why = only(explained(shop, Level("etsy", "MUG", 93)))
        assert why.discrepancy.after == published
        assert why.discrepancy.channel == "etsy"

    def test_stale_channel_agreed_until_the_book_moved_on(self) -> None:
        """It took what was published yesterday only by our word: it still shows the week before."""
        shop = traded(MUG=100)
        shop.inventory.published("etsy", {"MUG": 100})
        sale = sell(shop, "MUG", 7)
        sold_at = shop.clock()
        shop.clock.tick(DAY)
        shop.inventory.published("etsy", {"MUG": 93})
        shop.clock.tick(DAY)
        mismatch, why = only(explained(shop, Level("etsy", "MUG", 100)))
        assert mismatch.since is not None
        assert why.discrepancy.after is not None
        assert why.discrepancy.after < max(sold_at, mismatch.since)
        assert CauseKind.STALE_PUSH in {c.kind for h in why.hypotheses for c in h.causes}
        assert sale


class TestWhatTheLedgerKnows:
    def test_level_that_was_published_before_is_a_stale_push(self) -> None:
        """What was published is evidence, with the number that is still shown."""
        shop = traded(MUG=100)
        shop.inventory.published("etsy", {"MUG": 100})
        for _ in range(12):
            sell(shop, "MUG", 1)
        shop.inventory.published("etsy", {"MUG": 88})
        shop.clock.tick(DAY)
        _, why = only(explained(shop, Level("etsy", "MUG", 100)))
        assert why.causes[0].kind is CauseKind.STALE_PUSH
        assert why.best.sentence == "an old level of 100 is still shown"

    def test_what_was_published_later_is_no_evidence(self) -> None:
        """Nothing can be shown before it was sent."""
        shop = traded(MUG=100)
        seen = shop.clock.tick(DAY)
        shop.clock.tick(DAY)
        shop.inventory.published("etsy", {"MUG": 61})
        _, why = only(explained(shop, Level("etsy", "MUG", 61, seen_at=seen)))
        assert "61 at" not in str([cause.site for cause in why.causes])
        assert CauseKind.STALE_PUSH not in {cause.kind for cause in why.causes}

    def test_safety_stock_is_no_difference(self) -> None:
        """What a source holds back is added again before anything is explained."""
        shop = traded(MUG=100)
        shop.inventory.published("etsy", {"MUG": 95})
        for _ in range(12):
            sell(shop, "MUG", 1)
        shop.inventory.published("etsy", {"MUG": 83})
        shop.clock.tick(DAY)
        source = Source("etsy", formula=Formula(safety=5))
        _, why = only(explained(shop, Level("etsy", "MUG", 95), sources=(source,)))
        assert (why.discrepancy.expected, why.discrepancy.delta) == (88, 12)
        assert why.causes[0].kind is CauseKind.STALE_PUSH

    def test_kit_that_was_never_exploded_is_found_by_the_recipes_of_the_shop(self) -> None:
        """Three sets left, and neither two mugs nor three teas of each did."""
        shop = traded(MUG=100, TEA=100)
        shop.inventory.bundles.define("SET", {"MUG": 2, "TEA": 3})
        shop.clock.tick(DAY)
        report = explained(shop, Count("MUG", 94, at="berlin"), Count("TEA", 91, at="berlin"))
        for mismatch in report.mismatches:
            assert mismatch.explanation is not None
            assert mismatch.explanation.causes[0].kind is CauseKind.KIT_NOT_EXPLODED
            assert mismatch.explanation.causes[0].site == "SET"

    def test_sale_of_the_sku_beside_it_is_found_without_being_told(self) -> None:
        """Which SKUs look alike is read from the book."""
        shop = traded(**{"MUG-1": 100, "MUG-2": 100, "TEA": 7})
        sale = sell(shop, "MUG-1", 17)
        shop.clock.tick(DAY)
        report = explained(shop, Count("MUG-1", 100, at="berlin"), Count("MUG-2", 83, at="berlin"))
        assert len(report.mismatches) == 2
        for mismatch in report.mismatches:
            assert mismatch.explanation is not None
            kinds = {(c.kind, c.site) for h in mismatch.explanation.hypotheses for c in h.causes}
            assert (CauseKind.WRONG_SKU, sale) in kinds

    def test_in_a_larger_book_only_those_that_differ_are_taken_for_each_other(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The answer is there all the same, and no SKU of the book is looked at."""
        monkeypatch.setattr(module, "ALIKE_MAX", 1)
        self.test_sale_of_the_sku_beside_it_is_found_without_being_told()

    def test_transfer_on_its_way_may_have_arrived(self) -> None:
        """What is on the way to the shelf is what is too many on it."""
        shop = traded(MUG=90)
        shop.inventory.transfer_out("T-1", {"MUG": 17}, source="berlin", target="hamburg")
        shop.clock.tick(DAY)
        _, why = only(explained(shop, Count("MUG", 17, at="hamburg")))
        assert [(cause.kind, cause.site) for cause in why.causes] == [
            (CauseKind.HALF_BOOKED, "T-1")
        ]

    def test_lots_that_were_counted_together_are_explained_together(self) -> None:
        """A receipt into one lot, booked twice, is too many of all."""
        shop = traded(TEA=3)
        for number in range(2):
            shop.inventory.receive(
                "TEA", 23, at="berlin", lot="L1", reference="PO-9", key=f"{number}"
            )
        shop.clock.tick(DAY)
        _, why = only(explained(shop, Count("TEA", 26, at="berlin")))
        assert why.causes[0].kind is CauseKind.DUPLICATE

    def test_picked_units_are_not_on_the_shelf(self) -> None:
        """A pick is a candidate of a shelf count, and none of a count of everything."""
        shop = traded(MUG=50)
        shop.inventory.reserve({"MUG": 11}, reference="order-1")
        shop.inventory.confirm("order-1")
        pick = shop.inventory.pick("order-1", key="pick-1").movements[0]
        shop.clock.tick(DAY)
        report = explained(shop, Count("MUG", 50, at="berlin"))
        _, why = only(report)
        assert pick in {id_ for each in why.hypotheses for id_ in each.evidence}
        _, why = only(explained(shop, Count("MUG", 61, at="berlin", covers=ON_HAND)))
        assert pick not in {id_ for each in why.hypotheses for id_ in each.evidence}

    def test_level_of_yesterday_is_explained_by_the_figures_of_yesterday(self) -> None:
        """What was sold since does not make it look as if it had been cut off."""
        shop = traded(MUG=100)
        shop.inventory.reserve({"MUG": 17}, reference="order-1")
        shop.inventory.confirm("order-1")
        seen = shop.clock.tick(DAY)
        for _ in range(3):
            sell(shop, "MUG", 5)
        shop.clock.tick(DAY)
        _, why = only(explained(shop, Level("etsy", "MUG", 100, seen_at=seen)))
        assert why.discrepancy.expected == 83
        assert (CauseKind.WRONG_FORMULA, "on hand") in {
            (cause.kind, cause.site) for h in why.hypotheses for cause in h.causes
        }

    def test_locations_a_channel_does_not_draw_on_are_left_out(self) -> None:
        """A receipt in Rome does not explain what Berlin and Hamburg show together."""
        shop = Shop({"berlin": {"MUG": 10}, "hamburg": {"MUG": 20}, "rome": {"MUG": 17}})
        shop.clock.tick(DAY)
        etsy = Source("etsy", at=["berlin", "hamburg"])
        mismatch, why = only(explained(shop, Level("etsy", "MUG", 13), sources=(etsy,)))
        assert (mismatch.locations, mismatch.at) == (("berlin", "hamburg"), "")
        assert why.discrepancy.delta == -17
        assert CauseKind.DUPLICATE not in {cause.kind for cause in why.causes}
        everywhere = only(explained(shop, Level("etsy", "MUG", 30)))[1]
        assert CauseKind.DUPLICATE in {c.kind for h in everywhere.hypotheses for c in h.causes}


class TestWhatTheHostKnows:
    def test_factors_find_cases_booked_as_pieces(self) -> None:
        """No ledger knows how many pieces a case has."""
        shop = traded(TEA=7)
        shop.inventory.receive("TEA", 5, at="berlin", reference="PO-5")
        shop.clock.tick(DAY)
        seen = Count("TEA", 67, at="berlin")
        assert only(explained(shop, seen))[1].causes[0].kind is not CauseKind.UNIT
        _, why = only(explained(shop, seen, known=Evidence(factors={"TEA": [12]})))
        assert CauseKind.UNIT in {cause.kind for h in why.hypotheses for cause in h.causes}

    def test_log_of_a_channel_says_what_is_missing(self) -> None:
        """An order the channel has and the book has not is the first suspect."""
        shop = traded(MUG=50)
        now = shop.clock.tick(DAY)
        order = Candidate(
            id="etsy-991",
            kind="sold",
            effects={StockKey("MUG", "berlin"): -13},
            occurred_at=now - MINUTE,
            recorded_at=now,
            reference="order-991",
            booked=False,
        )
        _, why = only(
            explained(shop, Count("MUG", 37, at="berlin"), known=Evidence(candidates=[order]))
        )
        assert why.verdict is Certainty.CONFIDENT
        assert why.evidence == ("etsy-991",)


class TestCommonCause:
    def shop(self) -> Shop:
        """Return a shop of which six SKUs of ten are promised in part."""
        shop = traded(**{f"SKU-{n}": 40 + 3 * n for n in range(10)})
        for n in range(6):
            shop.inventory.reserve({f"SKU-{n}": 2 + n}, reference=f"order-{n}")
            shop.inventory.confirm(f"order-{n}")
        shop.clock.tick(DAY)
        return shop

    def test_channel_that_shows_on_hand_has_one_cause_for_all(self) -> None:
        """Six rows have one explanation, because none of the four that agree speaks against it."""
        shop = self.shop()
        shown = {f"SKU-{n}": 40 + 3 * n for n in range(10)}
        report = explained(shop, Snapshot.of("etsy", shown))
        [common] = report.common
        assert (common.kind, common.detail) == (CauseKind.WRONG_FORMULA, "on hand")
        assert (common.fixed, common.mismatches, len(report.agreeing)) == (6, 6, 4)
        for mismatch in report.mismatches:
            assert mismatch.explanation is not None
            assert mismatch.explanation.verdict is Certainty.CONFIDENT
            assert mismatch.explanation.best.sentence == common.sentence

    @pytest.mark.parametrize("safety", [0, 5])
    def test_row_that_agrees_and_should_not_rules_it_out(self, safety: int) -> None:
        """One level that is right although the formula would make it wrong ends the story."""
        shop = self.shop()
        shop.inventory.reserve({"SKU-9": 4}, reference="order-9")
        shop.inventory.confirm("order-9")
        shop.clock.tick(DAY)
        units = {f"SKU-{n}": 40 + 3 * n for n in range(10)} | {"SKU-9": 63}
        shown = {sku: quantity - safety for sku, quantity in units.items()}
        source = Source("etsy", formula=Formula(safety=safety))
        report = explained(shop, Snapshot.of("etsy", shown), sources=(source,))
        assert (len(report.mismatches), len(report.agreeing)) == (6, 4)
        assert report.common == ()

    def test_rows_that_were_made_otherwise_do_not_speak_of_it(self) -> None:
        """A level of two places beside levels of all, and a level that was read twice."""
        shop = self.shop()
        shown = {f"SKU-{n}": 40 + 3 * n for n in range(9)}
        before = shop.clock()
        shop.clock.tick(MINUTE)
        report = explained(
            shop,
            Snapshot.of("etsy", shown),
            Snapshot.of("etsy", {"SKU-9": 67}, at=["berlin", "hamburg"]),
            Snapshot.of("etsy", {"SKU-0": 40}, seen_at=before),
        )
        assert {each.locations for each in report.agreeing} == {(), ("berlin", "hamburg")}
        [common] = report.common
        assert (common.fixed, common.mismatches, len(report.mismatches)) == (6, 6, 7)

    def test_channel_that_stopped_following_has_one_cause_for_all(self) -> None:
        """What sold since Monday is not shown; what did not sell agrees."""
        shop = traded(**{f"SKU-{n}": 40 + 3 * n for n in range(10)})
        for n in range(7):
            sell(shop, f"SKU-{n}", 1 + n)
        shop.clock.tick(DAY)
        shown = {f"SKU-{n}": 40 + 3 * n for n in range(10)}
        [common] = explained(shop, Snapshot.of("etsy", shown)).common
        assert (common.kind, common.fixed) == (CauseKind.STALE_PUSH, 7)

    def test_few_mismatches_keep_no_rows_that_agree(self) -> None:
        """A common cause needs five; with fewer there is nothing to rule out."""
        shop = traded(MUG=5, TEA=5)
        report = shop.inventory.reconcile([Snapshot.of("etsy", {"MUG": 4, "TEA": 5})])
        assert (report.matches, report.agreeing) == (1, ())

    def test_rows_that_agree_are_bounded_and_spread_evenly(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Of a hundred at most eight are kept: every sixteenth."""
        monkeypatch.setattr(reports, "AGREEING_MAX", 8)
        skus = [f"SKU-{n:03}" for n in range(105)]
        shop = traded(**dict.fromkeys(skus, 5))
        shown = dict.fromkeys(skus[:100], 5) | dict.fromkeys(skus[100:], 6)
        kept = shop.inventory.reconcile([Snapshot.of("etsy", shown)]).agreeing
        assert [each.sku for each in kept] == skus[:100:16]


class TestHonesty:
    def test_nothing_that_fits_is_said_so(self) -> None:
        """Four hundred of five hundred are gone, and no movement comes near."""
        shop = traded(MUG=500)
        sell(shop, "MUG", 3)
        shop.clock.tick(DAY)
        _, why = only(explained(shop, Count("MUG", 86, at="berlin")))
        assert why.verdict is Certainty.UNEXPLAINED
        assert why.sentence.endswith("no cause that is known of explains it, so count it again")

    def test_what_is_undecided_is_never_explained(self) -> None:
        """A late report may still come, and then there is no difference."""
        shop = traded(MUG=5)
        late = Source("till", late=timedelta(hours=1))
        report = explained(shop, Count("MUG", 3, at="berlin"), sources=(late,))
        assert (report.mismatches, len(report.undecided)) == ((), 1)

    def test_difference_that_is_an_interval_is_not_explained(self) -> None:
        """It moved while it was observed, so nobody knows what there is to explain."""
        shop = traded(MUG=50)
        first = shop.clock.tick(MINUTE)
        sell(shop, "MUG", 2)
        seen = Count("MUG", 3, at="berlin", counted_at=first, counted_until=shop.clock.tick(MINUTE))
        [mismatch] = explained(shop, seen).mismatches
        assert mismatch.delta[0] != mismatch.delta[1]
        assert mismatch.explanation is None

    @pytest.mark.parametrize(
        ("formula", "shown"),
        [
            (Formula(pack=6), 9),
            (Formula(cap=4), 3),
            (Formula(Shown.ON_HAND, cap=40), 40),
        ],
    )
    def test_level_that_does_not_tell_units_is_not_explained(
        self, formula: Formula, shown: int
    ) -> None:
        """Packs, and levels that are cut off on either side."""
        shop = traded(MUG=37)
        source = Source("etsy", formula=formula)
        [mismatch] = explained(shop, Level("etsy", "MUG", shown), sources=(source,)).mismatches
        assert mismatch.formula == formula
        assert mismatch.explanation is None

    def test_packs_of_what_is_sold_out_are_not_explained(self) -> None:
        """Three packs too many are not three units, although none is none in both."""
        shop = traded(MUG=5)
        sell(shop, "MUG", 5)
        shop.clock.tick(DAY)
        source = Source("etsy", formula=Formula(pack=6))
        [mismatch] = explained(shop, Level("etsy", "MUG", 3), sources=(source,)).mismatches
        assert (mismatch.delta, mismatch.explanation) == ((3, 3), None)

    def test_level_of_a_kit_is_not_explained(self) -> None:
        """Its components may be; what moved the kit itself does not add up to what is shown."""
        shop = traded(MUG=1)
        shop.inventory.bundles.define("SET", {"MUG": 2})
        report = shop.inventory.reconcile([Level("etsy", "SET", 3)], recipes={"SET": {"MUG": 2}})
        [mismatch] = shop.inventory.explain(report).mismatches
        assert mismatch.explanation is None

    def test_oversold_level_is_not_explained_by_what_is_not_shown(self) -> None:
        """Nothing is shown below zero, so three more than nothing may be any difference."""
        shop = traded(MUG=5)
        sell(shop, "MUG", 9)
        shop.clock.tick(DAY)
        [mismatch] = explained(shop, Level("etsy", "MUG", 3)).mismatches
        assert (mismatch.expected, mismatch.explanation) == ((0, 0), None)

    def test_no_figure_is_not_explained(self) -> None:
        """An unknown SKU, one listed twice, one that is missing."""
        shop = traded(MUG=5, TEA=5)
        shown = [("SOAP", 2), ("MUG", 3), ("MUG", 4)]
        report = explained(shop, Snapshot.of("etsy", shown, complete=True))
        assert len(report.mismatches) == 3
        assert all(mismatch.explanation is None for mismatch in report.mismatches)

    def test_two_who_contradict_each_other_are_not_explained(self) -> None:
        """Nobody knows which of the differences is one; two who agree have one answer."""
        shop = traded(MUG=50)

        def counts(second: int) -> list[Explanation | None]:
            ann, bo = (
                Count("MUG", units, at="berlin", counter=who)
                for who, units in (("ann", 43), ("bo", second))
            )
            return [mismatch.explanation for mismatch in explained(shop, ann, bo).mismatches]

        assert counts(41) == [None, None]
        one, other = counts(43)
        assert one is not None
        assert one == other

    def test_what_was_recorded_after_the_report_is_not_in_it(self) -> None:
        """A sale that explains it, told an hour later, was not in the book that differed."""
        shop = traded(MUG=50)
        sell(shop, "MUG", 1)
        seen = shop.clock.tick(MINUTE)
        report = shop.inventory.reconcile([Count("MUG", 36, at="berlin", counted_at=seen)])
        before = shop.inventory.explain(report)
        shop.clock.tick(DAY)
        late = Sold("MUG", 13, at="berlin", origin="etsy", key="late", occurred_at=seen - MINUTE)
        shop.inventory.record([late])
        assert shop.inventory.explain(report) == before

    def test_what_somebody_else_denies_is_never_certain(self) -> None:
        """A unit that was there half an hour later, with nothing booked, was miscounted."""
        shop = traded(MUG=25)
        before = shop.clock.tick(MINUTE)
        seen = Count("MUG", 24, at="berlin", counter="sam", counted_at=before)
        shop.clock.tick(25 * MINUTE)
        again = Count("MUG", 25, at="berlin", counter="kim", counted_at=shop.clock())
        _, alone = only(explained(shop, seen))
        assert alone.best.causes[0].kind is CauseKind.MISSING
        _, why = only(explained(shop, seen, again))
        assert why.discrepancy.denied_at == again.counted_at
        assert why.verdict is Certainty.UNEXPLAINED
        assert why.sentence == (
            "MUG at berlin: 1 fewer than the book says, and a count of "
            f"{shop.clock():%Y-%m-%d %H:%M} UTC agrees with the book; "
            "one of the two is probably a miscount, so count it again"
        )

    def test_denied_cause_is_likely_at_most(self) -> None:
        """What is in the book twice under its own name is not certain against a second count."""
        shop = traded(MUG=100)
        for key in ("a", "b"):
            shop.inventory.receive("MUG", 40, at="berlin", reference="PO-1", key=key)
        shop.clock.tick(60 * MINUTE)
        seen = Count("MUG", 140, at="berlin", counter="sam", counted_at=shop.clock.tick(MINUTE))
        again = Count("MUG", 180, at="berlin", counter="kim", counted_at=shop.clock.tick(MINUTE))
        _, alone = only(explained(shop, seen))
        assert alone.verdict is Certainty.CONFIDENT
        report = explained(shop, seen, again)
        _, why = only(report)
        assert why.best.causes[0].kind is CauseKind.DUPLICATE
        assert why.verdict is Certainty.LIKELY
        assert "agrees with the book; probably receive PO-1 is in the book twice" in why.sentence
        assert Reconciliation.from_dict(json.loads(json.dumps(report.to_dict()))) == report

    def test_its_own_repair_is_no_count_that_agreed(self) -> None:
        """A repair dates its count before what it repairs, where a clock may be off."""
        shop = traded(MUG=30)
        shop.inventory.count("MUG", 30, at="berlin")
        shop.clock.tick(60 * MINUTE)
        receipt = shop.inventory.receive("MUG", 5, at="berlin", reference="PO-1")
        seen = Count("MUG", 80, at="berlin", counted_at=shop.clock.tick(60 * MINUTE))
        shop.clock.tick(5 * MINUTE)
        shelf = [Source("shelf", skew=timedelta(seconds=30))]
        report = shop.inventory.reconcile([seen], sources=shelf)
        before = shop.inventory.explain(report)
        assert only(before)[1].evidence == receipt.movements
        shop.clock.tick(MINUTE)
        shop.inventory.repair(report.plan(), approved_by="sam")
        assert shop.inventory.explain(report) == before


class TestPlans:
    def duplicated(self) -> Reconciliation:
        """Return a report with a receipt that is certainly booked twice, and a rest."""
        shop = traded(MUG=50, TEA=400)
        for number in range(2):
            shop.inventory.receive("MUG", 23, at="berlin", reference="PO-9", key=f"k{number}")
        shop.clock.tick(DAY)
        return explained(shop, Count("MUG", 73, at="berlin"), Count("TEA", 36, at="berlin"))

    def test_only_what_is_certain_is_left_for_a_job(self) -> None:
        """A line whose mismatch has a confident explanation says the cause."""
        plan = self.duplicated().plan()
        certain = plan.only(certainties={"confident"})
        [line] = certain.lines
        assert (line.sku, line.certainty) == ("MUG", Certainty.CONFIDENT)
        assert "(-23); because receive PO-9 is in the book twice" in line.sentence
        assert [each.sku for each in plan.only(certainties={"unexplained"}).lines] == ["TEA"]

    def test_plan_of_a_report_that_was_not_explained_has_nothing_for_a_job(self) -> None:
        """None is no certainty."""
        shop = traded(MUG=50)
        plan = shop.inventory.reconcile([Count("MUG", 3, at="berlin")]).plan()
        assert [line.certainty for line in plan.lines] == [None]
        assert plan.only(certainties=set(Certainty)).lines == ()

    def test_explaining_changes_nothing_that_is_written(self) -> None:
        """The same lines, the same ids: what was written is not written again."""
        report = self.duplicated()
        bare = attrs.evolve(
            report,
            mismatches=tuple(attrs.evolve(m, explanation=None) for m in report.mismatches),
        )
        assert report.plan().id == bare.plan().id
        assert [x.id for x in report.plan().lines] == [x.id for x in bare.plan().lines]

    def test_wrong_certainty_is_refused(self) -> None:
        """One that there is not, and a text that would be searched for its letters."""
        plan = self.duplicated().plan()
        with pytest.raises(InvalidArgument, match="cannot use certainty 'sure'"):
            plan.only(certainties={"sure"})
        with pytest.raises(InvalidArgument, match="cannot use certainties 'likely'"):
            plan.only(certainties="likely")

    def test_plan_is_plain_data_and_back(self) -> None:
        """Certainty and cause go along; what is none is refused."""
        plan = self.duplicated().plan()
        data = json.loads(json.dumps(plan.to_dict()))
        assert Plan.from_dict(data) == plan
        data["lines"][0]["certainty"] = "sure"
        with pytest.raises(InvalidData):
            Plan.from_dict(data)

    def test_what_is_still_to_be_booked_is_never_certain(self) -> None:
        """A transfer that arrived is recorded as arrived; following the count books it twice."""
        shop = traded(MUG=90)
        shop.inventory.transfer_out("T-1", {"MUG": 17}, source="berlin", target="hamburg")
        shop.clock.tick(DAY)
        report = explained(shop, Count("MUG", 17, at="hamburg"))
        assert only(report)[1].verdict is Certainty.CONFIDENT
        [line] = report.plan().lines
        assert (line.is_written, line.certainty) == (True, Certainty.LIKELY)
        assert line.sentence.endswith("nobody said so; record the arrival")

    def test_what_nobody_saw_is_never_certain(self) -> None:
        """An event that was never booked, of a usual size, may as well be a miscount."""
        shop = traded(MUG=500)
        for _ in range(20):
            sell(shop, "MUG", 3)
        shop.clock.tick(DAY)
        report = explained(shop, Count("MUG", 437, at="berlin"))
        _, why = only(report)
        assert (why.causes[0].kind, why.causes[0].site) == (CauseKind.MISSING, "")
        [line] = report.plan().lines
        assert line.certainty is not Certainty.CONFIDENT

    def test_line_that_somebody_else_does_is_as_certain_as_its_cause(self) -> None:
        """Publishing again puts a stale channel right, so nothing speaks against it."""
        shop = TestCommonCause().shop()
        shown = {f"SKU-{n}": 40 + 3 * n for n in range(10)}
        lines = explained(shop, Snapshot.of("etsy", shown)).plan().lines
        assert {line.is_written for line in lines} == {False}
        assert {line.certainty for line in lines} == {Certainty.CONFIDENT}


class TestReport:
    def test_explained_report_is_plain_data_and_back(self) -> None:
        """Explanations, common causes, rows that agree, formulas and states go along."""
        shop = TestCommonCause().shop()
        shown = {f"SKU-{n}": 40 + 3 * n for n in range(10)}
        report = explained(
            shop, Snapshot.of("etsy", shown), Count("SKU-1", 3, at="berlin", counter="ann")
        )
        assert report.common
        assert report.agreeing
        data = json.loads(json.dumps(report.to_dict()))
        assert Reconciliation.from_dict(data) == report
        several: list[dict[str, object]] = [
            {"common": [{}]},
            {"agreeing": [["etsy"]]},
            {"agreeing": None},
        ]
        for broken in several:
            with pytest.raises(InvalidData):
                Reconciliation.from_dict(data | broken)

    def test_mismatch_of_a_count_says_who_counted_what(self) -> None:
        """A level has no counter, and a count no formula."""
        shop = traded(MUG=50, TEA=5)
        counted, shown = shop.inventory.reconcile(
            [
                Count("MUG", 3, at="berlin", counter="ann", covers={State.SELLABLE}),
                Level("etsy", "TEA", 3),
            ]
        ).mismatches
        assert (counted.counter, counted.covers) == ("ann", frozenset({State.SELLABLE}))
        assert (counted.formula, counted.locations) == (None, ("berlin",))
        assert (shown.counter, shown.covers) == (None, None)
        assert (shown.formula, shown.locations) == (Formula(), ())

    def test_count_of_other_states_is_not_on_the_line_of_a_shelf(self) -> None:
        """A mismatch of what is sellable says nothing about the shelf, and names its counter."""
        shop = traded(MUG=50)
        counts = [
            Count("MUG", 3, at="berlin", counter="ann", covers={State.SELLABLE}),
            Count("MUG", 4, at="berlin", counter="bo"),
        ]
        report = shop.inventory.reconcile(counts)
        line = timeline_of(shop.inventory.history("MUG", at="berlin"), report=report)
        assert [(each.quantity, each.who) for each in line.sightings] == [(4, "bo")]

    def test_report_explained_twice_is_the_same(self) -> None:
        """Nothing of the first answer is taken for evidence."""
        shop = traded(MUG=50)
        sell(shop, "MUG", 3)
        report = explained(shop, Count("MUG", 50, at="berlin"))
        assert shop.inventory.explain(report) == report

    def test_report_that_was_stored_can_be_explained(self) -> None:
        """Everything explaining needs is in the report and in the ledger."""
        shop = traded(MUG=50)
        sell(shop, "MUG", 3)
        report = shop.inventory.reconcile([Count("MUG", 50, at="berlin")])
        stored = Reconciliation.from_dict(json.loads(json.dumps(report.to_dict())))
        assert shop.inventory.explain(stored) == shop.inventory.explain(report)

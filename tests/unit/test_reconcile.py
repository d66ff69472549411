"""Comparing names each mismatch in the field's words, and touches nothing."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import attrs
import pytest

from tests.shops import MINUTE, START, Shop
from truecount import (
    Count,
    FindingKind,
    Formula,
    Level,
    MismatchKind,
    Policy,
    Reconciliation,
    Returned,
    Shown,
    Snapshot,
    Sold,
    Source,
    State,
)
from truecount.errors import (
    CyclicRecipe,
    DuplicateObservation,
    InvalidArgument,
    InvalidData,
    InvalidQuantity,
    InvalidText,
    InvalidTime,
    UnknownLocation,
)
from truecount.protocols.storage import Reader
from truecount.reconciliation import book_side, comparing
from truecount.reconciliation import report as reports
from truecount.reconciliation.observations import Observation
from truecount.reconciliation.published import Push, published_levels


K = MismatchKind


def kinds(report: Reconciliation) -> list[tuple[MismatchKind, ...]]:
    """Return the kinds of every mismatch, in order."""
    return [each.kinds for each in report.mismatches]


def stocked(**units: int) -> Shop:
    """Return a shop in Berlin and Hamburg with *units* of each SKU in Berlin, a minute ago."""
    shop = Shop({"berlin": units, "hamburg": {}})
    shop.clock.tick(MINUTE)
    return shop


class TestCounts:
    def test_agreeing_count_is_a_match(self) -> None:
        """Nothing differs, so nothing is said."""
        report = stocked(MUG=5).inventory.reconcile([Count("MUG", 5, at="berlin")])
        assert (report.ok, report.matches, report.compared) == (True, 1, 1)

    def test_fewer_than_the_book_is_phantom_stock(self) -> None:
        """What is in the book and not on the shelf is named with the orders it endangers."""
        shop = stocked(MUG=5)
        shop.inventory.reserve({"MUG": 4}, reference="order-1")
        shop.inventory.confirm("order-1")
        [found] = shop.inventory.reconcile([Count("MUG", 3, at="berlin")]).mismatches
        assert (found.kinds, found.delta, found.expected) == ((K.PHANTOM,), (-2, -2), (5, 5))
        assert found.at_risk == ("order-1",)
        assert found.evidence
        assert found.sentence == (
            "MUG at berlin: counted 3, the book says 5: 2 in the book are not on the shelf; "
            "at risk: order-1"
        )

    def test_more_than_the_book_is_unrecorded_stock(self) -> None:
        """What is on the shelf and not in the book was never recorded."""
        report = stocked(MUG=5).inventory.reconcile([Count("MUG", 7, at="berlin")])
        assert kinds(report) == [(K.UNRECORDED,)]

    def test_known_sku_on_a_shelf_the_book_never_saw_it_on_is_unrecorded(self) -> None:
        """A misplaced unit is found where it lies, against a book of none."""
        report = stocked(MUG=5).inventory.reconcile([Count("MUG", 1, at="hamburg")])
        assert [(each.kind, each.at) for each in report.mismatches] == [(K.UNRECORDED, "hamburg")]

    def test_later_movements_survive_a_count(self) -> None:
        """MSupply's golden case: a count of 900 at its own moment needs no adjustment."""
        shop = stocked(MUG=1000)
        counted_at = shop.clock.tick(MINUTE)
        shop.clock.tick(MINUTE)
        shop.inventory.record([Sold("MUG", 100, at="berlin", key="issue-1")])
        count = Count("MUG", 1000, at="berlin", counted_at=counted_at)
        assert shop.inventory.reconcile([count]).ok
        assert shop.inventory.figures("MUG").on_hand == 900
        assert shop.inventory.reconcile([Count("MUG", 900, at="berlin")]).ok

    def test_movement_inside_the_counted_interval_leaves_it_undecided(self) -> None:
        """Before or after the sale, both were right; waiting will not tell which it was."""
        shop = stocked(MUG=5)
        since = shop.clock.now
        shop.clock.tick(MINUTE)
        shop.inventory.record([Sold("MUG", 1, at="berlin", key="till-1")])
        until = shop.clock.tick(MINUTE)
        count = Count("MUG", 0, at="berlin", counted_at=since, counted_until=until)
        for quantity, decided in ((5, False), (4, False), (3, True), (6, True)):
            report = shop.inventory.reconcile([attrs.evolve(count, quantity=quantity)])
            assert bool(report.mismatches) is decided
            assert [each.decidable_at for each in report.undecided] == [None] * (not decided)

    def test_count_between_two_possible_values_is_of_both_kinds(self) -> None:
        """Five or one were there; three is wrong, and nobody can say in which direction."""
        shop = stocked(MUG=5)
        since = shop.clock.now
        shop.clock.tick(MINUTE)
        shop.inventory.record([Sold("MUG", 4, at="berlin", key="till-1")])
        until = shop.clock.tick(MINUTE)
        count = Count("MUG", 3, at="berlin", counted_at=since, counted_until=until)
        [found] = shop.inventory.reconcile([count]).mismatches
        assert (found.kinds, found.delta) == ((K.PHANTOM, K.UNRECORDED), (-2, 2))
        assert "up to 2 in the book are not on the shelf" in found.sentence

    def test_picked_units_are_not_on_the_shelf(self) -> None:
        """A count says which states it covers; by default what was picked is not seen."""
        shop = stocked(MUG=5)
        shop.inventory.reserve({"MUG": 2}, reference="order-1")
        shop.inventory.confirm("order-1")
        shop.inventory.pick("order-1")
        shop.clock.tick(MINUTE)
        assert shop.inventory.reconcile([Count("MUG", 3, at="berlin")]).ok
        everything = set(State) - {State.IN_TRANSIT, State.INCOMING}
        assert shop.inventory.reconcile([Count("MUG", 5, at="berlin", covers=everything)]).ok

    def test_lots_are_counted_together_or_apart(self) -> None:
        """Without a lot named a count is of all there is of the SKU."""
        shop = stocked()
        for lot, units in (("L1", 2), ("L2", 3)):
            shop.inventory.receive("TEA", units, at="berlin", lot=lot)
        shop.clock.tick(MINUTE)
        counts = [
            Count("TEA", 5, at="berlin"),
            Count("TEA", 2, at="berlin", lot="L1"),
            Count("TEA", 4, at="berlin", lot="L2"),
            Count("TEA", 0, at="berlin", lot=""),
        ]
        report = shop.inventory.reconcile(counts)
        assert [(each.lot, each.kind) for each in report.mismatches] == [("L2", K.UNRECORDED)]
        assert report.matches == 3

    def test_oversold_comes_first_and_the_count_beside_it(self) -> None:
        """Several rows of the table may hold; the first is the kind."""
        shop = stocked(MUG=2)
        shop.inventory.policies.set(Policy(backorder_limit=9))
        shop.inventory.reserve({"MUG": 5}, reference="order-1", at="berlin")
        shop.inventory.policies.set(Policy())
        shop.clock.tick(MINUTE)
        [found] = shop.inventory.reconcile([Count("MUG", 1, at="berlin")]).mismatches
        assert found.kinds == (K.OVERSOLD, K.PHANTOM)
        assert found.at_risk == ("order-1",)

    def test_oversold_sku_whose_count_agrees_is_a_match_and_a_finding(self) -> None:
        """Shelf and book agree; that too much is promised is what the book says by itself."""
        shop = stocked(MUG=5)
        shop.inventory.reserve({"MUG": 5}, reference="order-1")
        shop.inventory.record([Sold("MUG", 2, at="berlin", key="till-1")])
        shop.clock.tick(MINUTE)
        report = shop.inventory.reconcile([Count("MUG", 3, at="berlin")])
        assert (report.ok, report.matches) == (True, 1)
        [finding] = shop.inventory.findings().open
        assert finding.kind is FindingKind.OVERSOLD
        [found] = shop.inventory.reconcile([Count("MUG", 2, at="berlin")]).mismatches
        assert found.kinds == (K.OVERSOLD, K.PHANTOM)
        assert found.at_risk == finding.at_risk == ("order-1",)

    def test_comparing_writes_nothing(self) -> None:
        """Differences are data: the ledger and its documents are as before."""
        shop = stocked(MUG=5)
        before = io.StringIO()
        shop.inventory.export(before)
        shop.inventory.reconcile([Count("MUG", 3, at="berlin"), Count("X", 1, at="berlin")])
        after = io.StringIO()
        shop.inventory.export(after)
        assert before.getvalue() == after.getvalue()

    def test_same_observations_reconcile_to_nothing_once_the_book_follows(self) -> None:
        """I18: what was counted and recorded is a match when it is compared again."""
        shop = stocked(MUG=5, TEA=2)
        at = shop.clock.now
        seen = [
            Count("MUG", 3, at="berlin", counted_at=at),
            Count("TEA", 4, at="berlin", counted_at=at),
        ]
        for each in shop.inventory.reconcile(seen).mismatches:
            assert each.observed is not None
            shop.inventory.count(each.sku, each.observed, at=each.at, counted_at=at)
        assert shop.inventory.reconcile(seen).ok

    def test_recorded_count_agrees_with_itself_however_vague_its_time(self) -> None:
        """I18 with clocks that are off: what the book learned from a count is no event in it."""
        shop = stocked(MUG=5)
        at = shop.clock.now
        until = shop.clock.tick(MINUTE)
        shop.clock.tick(10 * MINUTE)
        seen = [Count("MUG", 3, at="berlin", counted_at=at, counted_until=until)]
        sources = [Source("shelf", skew=MINUTE)]
        assert shop.inventory.reconcile(seen, sources=sources).found == 1
        shop.inventory.count("MUG", 3, at="berlin", counted_at=at)
        assert shop.inventory.reconcile(seen, sources=sources).ok


class TestReading:
    def test_what_was_published_is_only_read_where_it_tells(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Of SKUs the book has not got nothing old can be shown, so nothing is looked up."""
        asked: list[str] = []

        def read(reader: Reader, source: str, sku: str) -> tuple[Push, ...]:
            asked.append(sku)
            return published_levels(reader, source, sku)

        monkeypatch.setattr(book_side, "published_levels", read)
        shop = stocked(MUG=5, TEA=5)
        levels = {f"NEW-{number}": 1 for number in range(9)} | {"MUG": 4, "TEA": 5}
        report = shop.inventory.reconcile([Snapshot.of("etsy", levels)])
        assert (report.found, asked) == (10, ["MUG"])


class TestPromisesAtRisk:
    def promised(self, *, mugs: int = 10) -> Shop:
        """Return a shop with three orders of three each, the newest of which is C."""
        shop = stocked(MUG=mugs)
        for reference in ("A", "B", "C"):
            shop.clock.tick(MINUTE)
            shop.inventory.reserve({"MUG": 3}, reference=reference)
        shop.clock.tick(MINUTE)
        return shop

    @pytest.mark.parametrize(
        ("shown", "at_risk"),
        [(0, ()), (2, ("C",)), (4, ("C",)), (5, ("C", "B")), (99, ("C", "B", "A"))],
    )
    def test_channel_that_shows_too_much_sells_what_is_promised(
        self, shown: int, at_risk: tuple[str, ...]
    ) -> None:
        """One may be sold; what is sold beyond was promised to the newest order first."""
        [found] = self.promised().inventory.reconcile([Level("etsy", "MUG", shown)]).mismatches
        assert found.at_risk == at_risk
        assert ("; at risk: " in found.sentence) is bool(at_risk)

    @pytest.mark.parametrize(
        ("formula", "shown", "at_risk"),
        [
            (Formula(safety=4), 1, ()),
            (Formula(safety=4), 2, ("C",)),
            (Formula(pack=2), 2, ("C",)),
            (Formula(pack=2), 3, ("C", "B")),
            (Formula(lowest=3), 4, ("C",)),
            (Formula(cap=0), 1, ()),
            (Formula(Shown.ON_HAND), 99, ()),
        ],
    )
    def test_only_units_that_are_certainly_too_many_count(
        self, formula: Formula, shown: int, at_risk: tuple[str, ...]
    ) -> None:
        """What is held back is free all the same, and a pack is all its units."""
        sources = [Source("etsy", formula=formula)]
        levels = [Level("etsy", "MUG", shown)]
        [found] = self.promised().inventory.reconcile(levels, sources=sources).mismatches
        assert found.at_risk == at_risk

    def test_what_came_in_since_serves_them(self) -> None:
        """Three were too many then; now there is enough for all."""
        shop = self.promised()
        level = Level("etsy", "MUG", 4, seen_at=shop.clock.now)
        shop.clock.tick(MINUTE)
        shop.inventory.receive("MUG", 5, at="berlin")
        [found] = shop.inventory.reconcile([level]).mismatches
        assert (found.delta, found.at_risk) == ((3, 3), ())

    def test_what_is_oversold_already_is_at_risk_besides(self) -> None:
        """One is promised twice; four more may be sold, so two orders cannot be kept."""
        shop = self.promised(mugs=9)
        shop.inventory.record([Sold("MUG", 1, at="berlin", key="till-1")])
        shop.clock.tick(MINUTE)
        [found] = shop.inventory.reconcile([Level("etsy", "MUG", 4)]).mismatches
        assert (found.kind, found.at_risk) == (K.OVERSOLD, ("C", "B"))

    def test_one_unit_promised_twice_endangers_one_order(self) -> None:
        """Whatever else is wrong: here a warehouse shows fewer than there are."""
        shop = self.promised(mugs=9)
        shop.inventory.record([Sold("MUG", 1, at="berlin", key="till-1")])
        shop.clock.tick(MINUTE)
        source = Source("wms", formula=Formula(Shown.ON_HAND))
        [found] = shop.inventory.reconcile([Level("wms", "MUG", 7)], sources=[source]).mismatches
        assert (found.expected, found.at_risk) == ((8, 8), ("C",))

    def test_units_too_many_are_taken_wherever_they_are(self) -> None:
        """Of two places the newest promise goes first, not one at each."""
        shop = self.promised()
        shop.inventory.receive("MUG", 2, at="hamburg")
        shop.inventory.reserve({"MUG": 2}, reference="D", at="hamburg")
        shop.clock.tick(MINUTE)
        for shown, at_risk in ((2, ("D",)), (4, ("D", "C"))):
            [found] = shop.inventory.reconcile([Level("etsy", "MUG", shown)]).mismatches
            assert found.at_risk == at_risk


class TestLevels:
    def test_level_is_made_by_the_formula_of_its_source(self) -> None:
        """Safety, packs and caps of a channel are no differences."""
        shop = stocked(MUG=50)
        for formula, shown in (
            (Formula(), 50),
            (Formula(safety=2, pack=6, cap=7), 7),
            (Formula(pack=6), 8),
            (Formula(cap=10), 10),
        ):
            source = Source("etsy", formula=formula)
            report = shop.inventory.reconcile([Level("etsy", "MUG", shown)], sources=[source])
            assert report.ok, report

    def test_figures_a_system_may_show(self) -> None:
        """On hand, without what is promised, and with what is ordered are told apart."""
        shop = stocked(MUG=5)
        shop.inventory.expect("MUG", 7, at="berlin", reference="PO-1", key="po-1")
        shop.inventory.reserve({"MUG": 2}, reference="order-1")
        shop.inventory.confirm("order-1")
        shop.clock.tick(MINUTE)
        for shows, shown in (
            (Shown.AVAILABLE, 3),
            (Shown.ON_HAND, 5),
            (Shown.UNRESERVED, 3),
            (Shown.PROSPECTIVE, 10),
        ):
            source = Source("wms", formula=Formula(shows))
            assert shop.inventory.reconcile([Level("wms", "MUG", shown)], sources=[source]).ok

    def test_what_is_on_hand_shown_as_available_is_named(self) -> None:
        """Promised units are sold a second time by a channel that shows them."""
        shop = stocked(MUG=5)
        shop.inventory.reserve({"MUG": 2}, reference="order-1")
        shop.inventory.confirm("order-1")
        shop.clock.tick(MINUTE)
        [found] = shop.inventory.reconcile([Level("etsy", "MUG", 5)]).mismatches
        assert found.kind is K.RESERVED_AS_AVAILABLE
        assert "promised units included" in found.sentence

    def test_level_published_before_is_stale_since_the_next_push(self) -> None:
        """What was really published names the moment the channel stopped following."""
        shop = stocked(MUG=5)
        shop.inventory.published("etsy", {"MUG": 5})
        shop.clock.tick(MINUTE)
        shop.inventory.record([Sold("MUG", 2, at="berlin", key="till-1")])
        pushed = shop.clock.tick(MINUTE)
        shop.inventory.published("etsy", {"MUG": 3})
        shop.clock.tick(MINUTE)
        [found] = shop.inventory.reconcile([Level("etsy", "MUG", 5)]).mismatches
        assert (found.kind, found.since) == (K.STALE_SYNC, pushed)
        assert K.FOREIGN_EDIT in found.kinds, "the book still is what was published last"

    def test_last_push_is_stale_since_the_book_moved(self) -> None:
        """Nobody has published again: the channel is right by what it was told."""
        shop = stocked(MUG=5)
        shop.inventory.published("etsy", {"MUG": 5})
        moved = shop.clock.tick(MINUTE)
        shop.inventory.record([Sold("MUG", 2, at="berlin", key="till-1")])
        shop.clock.tick(MINUTE)
        [found] = shop.inventory.reconcile([Level("etsy", "MUG", 5)]).mismatches
        assert (found.kinds, found.since) == ((K.STALE_SYNC,), moved)

    def test_level_we_would_have_published_is_stale_too(self) -> None:
        """Without any record of pushes the book's own past tells when it was right."""
        shop = stocked(MUG=5)
        moved = shop.clock.tick(MINUTE)
        shop.inventory.record([Sold("MUG", 2, at="berlin", key="till-1")])
        shop.clock.tick(MINUTE)
        shop.inventory.record([Sold("MUG", 1, at="berlin", key="till-2")])
        shop.clock.tick(MINUTE)
        [found] = shop.inventory.reconcile([Level("etsy", "MUG", 5)]).mismatches
        assert (found.kinds, found.since) == ((K.STALE_SYNC,), moved)

    def test_level_that_was_never_told_after_a_push_is_no_stale_one(self) -> None:
        """Whoever took 3 does not lag behind from the 5 before it; somebody typed that 5."""
        shop = stocked(MUG=5)
        shop.clock.tick(MINUTE)
        shop.inventory.record([Sold("MUG", 2, at="berlin", key="till-1")])
        shop.clock.tick(MINUTE)
        shop.inventory.published("etsy", {"MUG": 3})
        shop.clock.tick(MINUTE)
        [found] = shop.inventory.reconcile([Level("etsy", "MUG", 5)]).mismatches
        assert (found.kinds, found.since) == ((K.FOREIGN_EDIT,), None)

    def test_level_the_book_had_later_is_no_stale_one(self) -> None:
        """What came up after the level was read is nothing it could lag behind from."""
        shop = stocked(MUG=5)
        seen_at = shop.clock.now
        shop.clock.tick(MINUTE)
        shop.inventory.receive("MUG", 4, at="berlin")
        shop.clock.tick(MINUTE)
        shop.inventory.record([Sold("MUG", 1, at="berlin", key="till-1")])
        shop.clock.tick(MINUTE)
        [found] = shop.inventory.reconcile([Level("etsy", "MUG", 9, seen_at=seen_at)]).mismatches
        assert found.kinds == (K.OTHER,)

    @pytest.mark.parametrize(("sold", "past_levels"), [(1, (5, 5)), (4, (2, 5))])
    def test_how_many_levels_would_be_stale_is_told(
        self, sold: int, past_levels: tuple[int, int]
    ) -> None:
        """Of a SKU that sold down one by one almost any level is an old one."""
        shop = stocked(MUG=5)
        for number in range(4 // sold):
            shop.clock.tick(MINUTE)
            shop.inventory.record([Sold("MUG", sold, at="berlin", key=f"till-{number}")])
        shop.clock.tick(MINUTE)
        [found] = shop.inventory.reconcile([Level("etsy", "MUG", 5)]).mismatches
        assert (found.kind, found.past_levels) == (K.STALE_SYNC, past_levels)
        assert ("by chance: 5 of 5 levels are old ones" in found.sentence) == (sold == 1)
        report = shop.inventory.reconcile([Level("etsy", "MUG", 5)])
        assert Reconciliation.from_dict(json.loads(json.dumps(report.to_dict()))) == report

    def test_level_nobody_published_while_the_book_stood_still_is_a_foreign_edit(self) -> None:
        """Three ways: last pushed 5, the book 5, shown 9: somebody changed it over there."""
        shop = stocked(MUG=5)
        shop.inventory.published("etsy", {"MUG": 5})
        shop.clock.tick(MINUTE)
        [found] = shop.inventory.reconcile([Level("etsy", "MUG", 9)]).mismatches
        assert found.kinds == (K.FOREIGN_EDIT,)

    def test_pushes_after_the_observation_prove_nothing_about_it(self) -> None:
        """A level read before a push cannot lag behind it."""
        shop = stocked(MUG=5)
        seen_at = shop.clock.now
        shop.clock.tick(MINUTE)
        shop.inventory.published("etsy", {"MUG": 5})
        shop.clock.tick(MINUTE)
        [found] = shop.inventory.reconcile([Level("etsy", "MUG", 9, seen_at=seen_at)]).mismatches
        assert found.kinds == (K.OTHER,)

    def test_difference_no_row_explains_is_other(self) -> None:
        """Both sides moved, or nobody knows: it is said that nothing is known."""
        [found] = stocked(MUG=5).inventory.reconcile([Level("etsy", "MUG", 9)]).mismatches
        assert found.kinds == (K.OTHER,)
        assert found.sentence == "MUG: etsy shows 9, the book says 5: no more is known of it"

    def test_locations_of_a_source_are_its_own(self) -> None:
        """A source that draws on one place is compared with that place alone."""
        shop = Shop({"berlin": {"MUG": 5}, "hamburg": {"MUG": 2}})
        shop.clock.tick(MINUTE)
        source = Source("till", at="hamburg", formula=Formula(Shown.ON_HAND))
        reconcile = shop.inventory.reconcile
        assert reconcile([Level("till", "MUG", 2)], sources=[source]).ok
        assert reconcile([Level("till", "MUG", 7, at=["berlin", "hamburg"])], sources=[source]).ok
        [found] = reconcile([Level("till", "MUG", 5)], sources=[source]).mismatches
        assert found.at == "hamburg"

    def test_expired_lot_is_not_promised_at_the_time_it_was_seen(self) -> None:
        """The day before it counted, the day after it does not."""
        shop = stocked()
        day = timedelta(days=1)
        shop.inventory.receive("TEA", 4, at="berlin", lot="L1", lot_expires_at=shop.clock.now + day)
        before = shop.clock.tick(MINUTE)
        shop.clock.tick(2 * day)
        reconcile = shop.inventory.reconcile
        assert reconcile([Level("etsy", "TEA", 4, seen_at=before)]).ok
        assert reconcile([Level("etsy", "TEA", 0)]).ok
        assert reconcile([Level("etsy", "TEA", 4)]).mismatches

    def test_expiry_told_anew_since_leaves_both_possible(self) -> None:
        """What the lot's expiry was then is not known for sure, so neither reading is wrong."""
        shop = stocked()
        day = timedelta(days=1)
        start = shop.clock.now
        shop.inventory.receive("TEA", 4, at="berlin", lot="L1", lot_expires_at=start + 30 * day)
        seen_at = shop.clock.tick(2 * day)
        shop.clock.tick(MINUTE)
        shop.inventory.receive("TEA", 1, at="berlin", lot="L1", lot_expires_at=start + day)
        shop.clock.tick(MINUTE)
        for shown in (4, 0):
            report = shop.inventory.reconcile([Level("etsy", "TEA", shown, seen_at=seen_at)])
            assert report.undecided
        assert shop.inventory.reconcile([Level("etsy", "TEA", 3, seen_at=seen_at)]).mismatches


class TestLists:
    def test_complete_list_is_held_to_what_it_lacks(self) -> None:
        """Absent and none is fine; absent with stock is unlisted; incomplete lists lack nothing."""
        shop = stocked(MUG=5, TEA=2, CUP=1)
        shop.inventory.record([Sold("CUP", 1, at="berlin", key="till-1")])
        shop.clock.tick(MINUTE)
        partial = shop.inventory.reconcile([Snapshot.of("etsy", {"MUG": 5})])
        assert (partial.ok, partial.matches) == (True, 1)
        whole = shop.inventory.reconcile([Snapshot.of("etsy", {"MUG": 5}, complete=True)])
        [found] = whole.mismatches
        assert (found.kinds, found.sku, found.observed) == ((K.UNLISTED,), "TEA", None)
        assert (whole.matches, found.delta) == (1, (-2, -2))

    def test_empty_complete_list_lacks_everything(self) -> None:
        """A channel that lost its catalogue is found, not taken for nothing to do."""
        report = stocked(MUG=5, TEA=2).inventory.reconcile([Snapshot("etsy", [], complete=True)])
        assert kinds(report) == [(K.UNLISTED,), (K.UNLISTED,)]

    def test_complete_list_of_one_place_is_held_to_that_place(self) -> None:
        """What only lies elsewhere is not missing."""
        shop = Shop({"berlin": {"MUG": 5}, "hamburg": {"TEA": 2}})
        shop.clock.tick(MINUTE)
        snapshot = Snapshot.of("till", {"MUG": 5}, complete=True, at="berlin")
        assert shop.inventory.reconcile([snapshot]).ok

    def test_sku_listed_twice_is_a_duplicate(self) -> None:
        """Nobody knows which row is right, so neither is judged."""
        snapshot = Snapshot.of("etsy", [("MUG", 5), ("TEA", 2), ("MUG", 4)])
        [found] = stocked(MUG=5, TEA=2).inventory.reconcile([snapshot]).mismatches
        assert (found.kinds, found.observed) == ((K.DUPLICATE_SKU,), None)
        assert found.sentence == "MUG: etsy: it is listed 2 times (5 and 4)"

    def test_unknown_sku_is_data_and_names_what_it_looks_like(self) -> None:
        """A typing error in a file is pointed at, never guessed away."""
        shop = stocked(**{"MUG-7": 5})
        report = shop.inventory.reconcile([Count("mug-7", 5, at="berlin"), Level("e", "XYZ", 0)])
        assert kinds(report) == [(K.UNKNOWN_SKU,), (K.UNKNOWN_SKU,)]
        assert [each.similar for each in report.mismatches] == [(), ("MUG-7",)]
        assert "it looks like 'MUG-7'" in report.mismatches[1].sentence

    def test_unknown_rows_are_all_counted_and_the_first_listed(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A file of another shop does not fill the memory, and nothing is left out silently."""
        monkeypatch.setattr(reports, "LISTED_MAX", 3)
        snapshot = Snapshot.of("etsy", [(f"X-{number}", 1) for number in range(2000)])
        report = stocked(MUG=5).inventory.reconcile([snapshot])
        assert (len(report.mismatches), report.found) == (3, 2000)
        assert report.kinds == {K.UNKNOWN_SKU: 2000}

    def test_few_and_many_skus_are_judged_alike(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Looking SKUs up and reading all stock once are two ways to one answer."""
        shop = stocked(MUG=5, TEA=2)
        seen: list[Observation] = [
            Count("MUG", 4, at="berlin"),
            Count("TEA", 2, at="berlin"),
            Count("X", 1, at="berlin"),
        ]
        few = shop.inventory.reconcile(seen)
        monkeypatch.setattr(comparing, "LOOKUPS_MAX", 0)
        assert shop.inventory.reconcile(seen) == few

    def test_only_what_moved_is_judged(self) -> None:
        """The dirty set: after a first comparison the next looks at what has moved since."""
        shop = stocked(MUG=5, TEA=2)
        _, position = shop.inventory.moved_since(0)
        shop.inventory.record([Sold("MUG", 1, at="berlin", key="till-1")])
        shop.clock.tick(MINUTE)
        moved, newest = shop.inventory.moved_since(position)
        assert (moved, newest > position) == (frozenset({"MUG"}), True)
        snapshot = Snapshot.of("etsy", {"MUG": 5, "CUP": 1}, complete=True)
        report = shop.inventory.reconcile([snapshot], only=moved)
        assert [each.sku for each in report.mismatches] == ["MUG"]


class TestKits:
    RECIPES: Mapping[str, Mapping[str, int]] = {"GIFT": {"MUG": 2, "TEA": 1}}

    def reconcile(self, shop: Shop, **levels: int) -> Reconciliation:
        """Compare what Etsy shows."""
        return shop.inventory.reconcile([Snapshot.of("etsy", levels)], recipes=self.RECIPES)

    def test_level_of_a_kit_is_what_its_components_suffice_for(self) -> None:
        """Five mugs make two gifts, however much tea there is."""
        assert self.reconcile(stocked(MUG=5, TEA=9), GIFT=2, MUG=5, TEA=9).ok

    def test_kits_in_stock_are_added(self) -> None:
        """What was assembled can be sold beside what can still be made."""
        assert self.reconcile(stocked(MUG=5, TEA=9, GIFT=3), GIFT=5).ok

    def test_kit_that_differs_while_its_components_agree_is_a_bundle(self) -> None:
        """The kit was made up wrongly over there; with a component off it is not told."""
        shop = stocked(MUG=5, TEA=9)
        [found] = self.reconcile(shop, GIFT=9, MUG=5, TEA=9).mismatches
        assert (found.kinds, found.expected) == ((K.BUNDLE,), (2, 2))
        off = self.reconcile(shop, GIFT=9, MUG=4, TEA=9)
        assert kinds(off) == [(K.OTHER,), (K.OTHER,)]

    @pytest.mark.parametrize(
        ("recipes", "error", "says"),
        [
            ({"GIFT": {}}, InvalidArgument, "without components"),
            ({"GIFT": {"MUG": 0}}, InvalidQuantity, "quantity of 'MUG' in 'GIFT' 0"),
            ({"GIFT": {"SET": 1}, "SET": {"GIFT": 1}}, CyclicRecipe, "'GIFT' -> 'SET' -> 'GIFT'"),
            ({"GIFT": {"SET": 2}, "SET": {"MUG": 2**62}}, InvalidQuantity, "'MUG' in 'GIFT'"),
            ({"GIFT": {" MUG": 1}}, InvalidText, "padded"),
            ({"GIFT ": {"MUG": 1}}, InvalidText, "padded"),
        ],
        ids=["empty", "none", "cyclic", "huge", "component", "kit"],
    )
    def test_wrong_recipe_is_refused(self, recipes: Any, error: type[Exception], says: str) -> None:
        """A kit of nothing would be endless, and one in itself could not be made."""
        with pytest.raises(error, match=says):
            stocked(MUG=5).inventory.reconcile([], recipes=recipes)


class TestBadInput:
    def refused(self, *seen: Any, **words: Any) -> Exception:
        """Return the error of a comparison that must be refused."""
        with pytest.raises(ValueError) as caught:
            stocked(MUG=5).inventory.reconcile(seen, **words)
        return caught.value

    def test_count_in_the_future_is_refused_by_name(self) -> None:
        """Nobody has seen tomorrow's shelf; a clock a little ahead is fine."""
        ahead = START + timedelta(hours=1)
        error = self.refused(
            Count("A", 1, at="berlin"), Count("B", 1, at="berlin", counted_at=ahead)
        )
        assert isinstance(error, InvalidTime)
        assert "it is in the future" in str(error)
        assert error.__notes__ == ["observation 2"]

    @pytest.mark.parametrize("skew", [timedelta(), timedelta(hours=1)])
    def test_clock_may_be_ahead_by_its_bound_and_no_more(self, skew: timedelta) -> None:
        """By five minutes, or by what is said of whoever stamped it if that is more."""
        source = Source("sam", skew=skew)
        seen_at = stocked(MUG=5).clock.now + max(skew, timedelta(minutes=5))
        level = Level("sam", "MUG", 5, seen_at=seen_at)
        assert stocked(MUG=5).inventory.reconcile([level], sources=[source]).compared == 1
        later = attrs.evolve(level, seen_at=seen_at + timedelta(microseconds=1))
        assert isinstance(self.refused(later, sources=[source]), InvalidTime)

    def test_unknown_location_is_refused(self) -> None:
        """A misspelt place is no place, for counts, levels and sources."""
        for words in (
            {"seen": [Count("MUG", 1, at="berlni")]},
            {"seen": [Level("etsy", "MUG", 1, at="berlni")]},
            {"seen": [], "sources": [Source("etsy", at="berlni")]},
        ):
            seen: Any = words.pop("seen")
            error = self.refused(*seen, **words)
            assert isinstance(error, UnknownLocation)
            assert error.nearest == ("berlin",)

    def test_same_counter_cannot_count_a_key_twice(self) -> None:
        """Two counts by one person contradict each other; a recount is another's."""
        first, second = Count("MUG", 5, at="berlin", counter="sam"), 4
        error = self.refused(first, Count("MUG", second, at="berlin", counter="sam"))
        assert isinstance(error, DuplicateObservation)
        assert str(error) == (
            "cannot compare a second count of 'MUG' at 'berlin' by sam: 4, after 5; leave one, "
            "or name another counter for a recount"
        )
        recount = Count("MUG", 4, at="berlin", counter="kim")
        assert len(stocked(MUG=5).inventory.reconcile([first, recount]).mismatches) == 1

    def test_two_levels_of_one_key_outside_a_list_are_refused(self) -> None:
        """One source shows one level of a SKU."""
        error = self.refused(Level("etsy", "MUG", 5), Level("etsy", "MUG", 4))
        assert str(error) == (
            "cannot compare a second level of 'MUG' by etsy: 4, after 5; leave one; in a Snapshot, "
            "a SKU listed twice is a mismatch"
        )

    def test_what_is_no_observation_is_refused(self) -> None:
        """A pair or an operation is not taken for something else."""
        assert "a Count, a Level or a Snapshot" in str(self.refused(("MUG", 5)))
        alone: Any = Count("MUG", 5, at="berlin")
        with pytest.raises(InvalidArgument, match="several of them: put it into a list"):
            stocked(MUG=5).inventory.reconcile(alone)

    def test_source_described_twice_is_refused(self) -> None:
        """Nobody knows which bounds would hold."""
        error = self.refused(sources=[Source("etsy"), Source("etsy")])
        assert "each source once" in str(error)


class TestBounds:
    def test_late_report_explains_what_looked_wrong(self) -> None:
        """Until Etsy's reports must have come nothing is decided; then it is right."""
        shop = stocked(MUG=5)
        etsy = Source("etsy", late=timedelta(minutes=10))
        sold_at = shop.clock.now
        counted_at = shop.clock.tick(MINUTE)
        count = Count("MUG", 4, at="berlin", counted_at=counted_at)
        [early] = shop.inventory.reconcile([count], sources=[etsy]).undecided
        assert early.decidable_at == counted_at + timedelta(minutes=10)
        shop.clock.tick(timedelta(minutes=9))
        shop.inventory.record(
            [Sold("MUG", 1, at="berlin", origin="etsy", occurred_at=sold_at, key="etsy-1")]
        )
        shop.clock.tick(MINUTE)
        assert shop.inventory.reconcile([count], sources=[etsy]).ok

    def test_report_stamped_when_it_came_in_may_have_happened_before(self) -> None:
        """Without a time of its own a report may be of any moment within its lateness."""
        shop = stocked(MUG=5)
        etsy = Source("etsy", late=timedelta(minutes=10))
        counted_at = shop.clock.tick(MINUTE)
        shop.clock.tick(timedelta(minutes=5))
        shop.inventory.record([Sold("MUG", 1, at="berlin", origin="etsy", key="etsy-1")])
        shop.clock.tick(timedelta(minutes=5))
        for quantity in (4, 5):
            count = Count("MUG", quantity, at="berlin", counted_at=counted_at)
            assert shop.inventory.reconcile([count], sources=[etsy]).undecided
        count = Count("MUG", 3, at="berlin", counted_at=counted_at)
        assert shop.inventory.reconcile([count], sources=[etsy]).mismatches

    def test_facts_nobody_signed_have_no_order_among_themselves(self) -> None:
        """Back-dated by hand, each may have been before or after each other."""
        shop = stocked(MUG=5)
        first, last = shop.clock.now + timedelta(seconds=1), shop.clock.now + timedelta(seconds=2)
        shop.clock.tick(MINUTE)
        shop.inventory.record(
            [
                Returned("MUG", 3, at="berlin", into="sellable", occurred_at=first, key="r-1"),
                Sold("MUG", 1, at="berlin", occurred_at=last, key="s-1"),
            ]
        )
        count = Count(
            "MUG", 4, at="berlin", counted_at=START + MINUTE, counted_until=shop.clock.now
        )
        assert shop.inventory.reconcile([count]).undecided


class TestSuperseded:
    def test_level_shown_anew_counts_no_more(self) -> None:
        """Of two lists of one source the later one counts; nothing is published twice."""
        shop = stocked(MUG=5, TEA=2)
        first, last = shop.clock.now, shop.clock.tick(MINUTE)
        lists = [
            Snapshot.of("etsy", {"MUG": 7, "TEA": 9}, seen_at=first),
            Snapshot.of("etsy", {"MUG": 6, "TEA": 2}, seen_at=last),
            Snapshot.of("ebay", {"MUG": 8}, seen_at=last),
        ]
        report = shop.inventory.reconcile(lists)
        told = {(m.sku, m.source, m.observed): m.superseded_at for m in report.mismatches}
        assert told == {
            ("MUG", "etsy", 7): last,
            ("TEA", "etsy", 9): last,
            ("MUG", "etsy", 6): None,
            ("MUG", "ebay", 8): None,
        }
        assert {(m.source, m.observed) for m in report.standing} == {("etsy", 6), ("ebay", 8)}
        plan = report.plan()
        assert [(line.sku, line.observed) for line in plan.lines] == [("MUG", 8), ("MUG", 6)]
        assert {each.reason for each in plan.left} == {
            "it was shown anew, as of 2026-03-02 09:02 UTC"
        }
        sentence = next(m.sentence for m in report.mismatches if m.sku == "TEA")
        assert sentence.endswith("superseded by what it showed of 2026-03-02 09:02 UTC")

    def test_lists_whose_times_overlap_both_count(self) -> None:
        """Nobody knows which of them is the later one."""
        shop = stocked(MUG=5)
        first, last = shop.clock.now, shop.clock.tick(MINUTE)
        lists = [
            Snapshot.of("etsy", {"MUG": 7}, seen_at=first, seen_until=last),
            Snapshot.of("etsy", {"MUG": 6}, seen_at=last),
        ]
        assert len(shop.inventory.reconcile(lists).standing) == 2

    def test_list_of_other_places_supersedes_nothing(self) -> None:
        """It says nothing of the same."""
        shop = stocked(MUG=5)
        first, last = shop.clock.now, shop.clock.tick(MINUTE)
        lists = [
            Snapshot.of("erp", {"MUG": 7}, at="berlin", seen_at=first),
            Snapshot.of("erp", {"MUG": 6}, at="hamburg", seen_at=last),
        ]
        assert len(shop.inventory.reconcile(lists).standing) == 2

    @pytest.mark.parametrize("lot", [None, "", "L-1"])
    def test_count_before_one_that_stands_counts_no_more(self, lot: str | None) -> None:
        """The verdict says so whether or not it could have been written; undone, it counts."""
        shop = stocked(TEA=1)
        shop.inventory.receive("MUG", 5, at="berlin", lot="L-1")
        counted_at = shop.clock.tick(MINUTE)
        recounted_at = shop.clock.tick(MINUTE)
        newer = shop.inventory.count("MUG", 4, at="berlin", lot="L-1")
        shop.clock.tick(MINUTE)
        seen = Count("MUG", 3, at="berlin", lot=lot, counted_at=counted_at)
        [found] = shop.inventory.reconcile([seen]).mismatches
        expected = None if lot == "" else recounted_at
        assert found.superseded_at == expected
        assert ("superseded by a count of" in found.sentence) == (lot != "")
        assert shop.inventory.reconcile([seen]).plan().written == ()
        shop.inventory.undo(newer.movement_id, reason="another shelf")
        [found] = shop.inventory.reconcile([seen]).mismatches
        assert found.superseded_at is None

    def test_report_that_was_stored_before_there_was_such_a_word_is_read(self) -> None:
        """A report of an older version has no newer observation to tell of."""
        shop = stocked(MUG=5)
        report = shop.inventory.reconcile([Count("MUG", 3, at="berlin")])
        stored = report.to_dict()
        del stored["mismatches"][0]["superseded_at"]
        assert Reconciliation.from_dict(stored) == report


class TestReport:
    def report(self) -> Reconciliation:
        """Return a report with one of everything."""
        shop = stocked(MUG=5, TEA=2, CUP=1)
        until = shop.clock.tick(MINUTE)
        shop.inventory.record([Sold("CUP", 1, at="berlin", key="till-1")])
        shop.inventory.published("etsy", {"MUG": 7}, at=START)
        shop.clock.tick(MINUTE)
        seen: list[Observation] = [
            Count("MUG", 3, at="berlin", counter="sam"),
            Count("TEA", 2, at="berlin"),
            Count("CUP", 1, at="berlin", counted_at=START + MINUTE, counted_until=until),
            Level("etsy", "MUG", 7),
        ]
        return shop.inventory.reconcile(seen)

    def test_everything_observed_is_exactly_one_thing(self) -> None:
        """Matches, mismatches and undecided ones add up to what was observed."""
        report = self.report()
        assert (report.matches, report.found, len(report.undecided)) == (1, 2, 1)
        assert report.compared == 4
        assert report.kinds == {K.PHANTOM: 1, K.STALE_SYNC: 1}
        assert report.locations == {"": 1, "berlin": 1}
        assert not report.ok
        assert report.decidable_at is None

    def test_report_survives_the_way_to_json_and_back(self) -> None:
        """What was reported can be kept, sent and read again."""
        report = self.report()
        assert Reconciliation.from_dict(json.loads(json.dumps(report.to_dict()))) == report
        for wrong in ({}, {"schema": 1}):
            with pytest.raises(InvalidData, match="a report"):
                Reconciliation.from_dict(wrong)

    def test_csv_has_a_row_for_everything_open(self) -> None:
        """A spreadsheet gets what does not match and what is not decided."""
        stream = io.StringIO()
        self.report().to_csv(stream)
        header, *rows = csv.reader(stream.getvalue().splitlines())
        assert header[:7] == ["result", "kind", "sku", "location", "lot", "source", "observed"]
        assert [row[:4] for row in rows] == [
            ["mismatch", "phantom", "MUG", "berlin"],
            ["mismatch", "stale_sync", "MUG", ""],
            ["undecided", "", "CUP", "berlin"],
        ]


class TestPublished:
    def test_saying_it_twice_changes_nothing(self) -> None:
        """A push is a fact: repeated with its time it is the same one."""
        shop = stocked(MUG=5)
        shop.inventory.published("etsy", {"MUG": 5}, at=START)
        first = io.StringIO()
        shop.inventory.export(first)
        shop.inventory.published("etsy", {"MUG": 5}, at=START)
        second = io.StringIO()
        shop.inventory.export(second)
        assert _documents(first) == _documents(second)

    def test_only_the_newest_are_kept_in_the_order_they_were_published(self) -> None:
        """Reports may come in any order and without end; memory has one."""
        shop = stocked(MUG=5)
        for number in (*range(20, 40), *range(20)):
            shop.inventory.published(
                "etsy", {"MUG": number}, at=START + number * MINUTE - timedelta(hours=1)
            )
        [document] = _documents_of(shop)
        assert [level[1] for level in document["levels"]] == list(range(20, 40))

    def test_more_than_one_batch_is_published(self) -> None:
        """A whole catalogue goes through in one call, in transactions of a thousand."""
        shop = stocked(MUG=5)
        shop.inventory.published("etsy", {f"S-{n:04}": n for n in range(1500)}, key="push-1")
        shop.inventory.published("etsy", {f"S-{n:04}": n for n in range(1500)}, key="push-1")
        assert len(_documents_of(shop)) == 1500
        with shop.inventory.storage.read("main") as reader:
            keys = {outcome.key for outcome in reader.outcomes()}
        assert {key for key in keys if "push" in key} == {"push-1", "push-1/2"}

    def test_wrong_level_is_refused_and_nothing_written(self) -> None:
        """Below zero, fractions and unclean names are no levels."""
        shop = stocked(MUG=5)
        for levels in ({"MUG": -1}, {"MUG ": 1}, {}):
            with pytest.raises(ValueError):
                shop.inventory.published("etsy", levels)
        assert not _documents_of(shop)


def _documents(stream: io.StringIO) -> list[str]:
    return [
        line
        for line in stream.getvalue().splitlines()
        if '"published"' in line and "levels" in line and "outcome" not in line
    ]


def _documents_of(shop: Shop) -> list[dict[str, Any]]:
    with shop.inventory._engine.read() as reader:
        found, after = [], ""
        while page := reader.records("published", after):
            found += [json.loads(record.body) for record in page]
            after = page[-1].id
        return found

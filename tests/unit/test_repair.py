"""Plans say what will be done and why; repairs do it once, guarded, and can be taken back."""

from __future__ import annotations

import io
import json
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import attrs
import pytest

from tests.hooked import HookedStorage
from tests.shops import MINUTE, START, Shop
from truecount import (
    Breaker,
    Count,
    Counted,
    Formula,
    Inventory,
    Level,
    MemoryStorage,
    Operation,
    Plan,
    PlanAction,
    PlanLine,
    Received,
    Reconciliation,
    Shown,
    Snapshot,
    Sold,
    Source,
    SQLiteStorage,
    State,
)
from truecount.errors import (
    InvalidArgument,
    InvalidData,
    InvalidQuantity,
    InvalidRequest,
    InvalidText,
    MassRepair,
    StorageUnavailable,
    UnknownReference,
)
from truecount.reconciliation.observations import Observation
from truecount.reconciliation.repairing import Approve, repair_of
from truecount.testing import CountingIds, FailAt, FaultyStorage, ManualClock, Moment
from truecount.testing.faults import failure_of, no_fault


def stocked(**units: int) -> Shop:
    """Return a shop in Berlin and Hamburg with *units* of each SKU in Berlin, a minute ago."""
    shop = Shop({"berlin": units, "hamburg": {}})
    shop.clock.tick(MINUTE)
    return shop


def counted(shop: Shop, **units: int) -> Reconciliation:
    """Compare counts of Berlin made now."""
    now = shop.clock()
    return shop.inventory.reconcile(
        [Count(sku, quantity, at="berlin", counted_at=now) for sku, quantity in units.items()]
    )


def counted_before_lots_came() -> tuple[Shop, Plan]:
    """Return a shop that counted an empty shelf, where all that came since lies in a lot."""
    shop = Shop({"berlin": {}, "hamburg": {"MUG": 1}})
    shop.clock.tick(MINUTE)
    count = Count("MUG", 3, at="berlin", lot="", counted_at=shop.clock())
    plan = shop.inventory.reconcile([count]).plan()
    shop.inventory.receive("MUG", 5, at="berlin", lot="L-1")
    return shop, plan


def actions(plan: Plan) -> list[tuple[str, str]]:
    """Return what is done about which SKU."""
    return [(line.action.value, line.sku) for line in plan.lines]


class TestPlan:
    def test_count_is_followed_as_of_its_own_time(self) -> None:
        """A line says what, where, by how much, as of when, and whose promises are at risk."""
        shop = stocked(MUG=5)
        shop.inventory.reserve({"MUG": 4}, reference="order-1")
        shop.clock.tick(MINUTE)
        [line] = counted(shop, MUG=3).plan().lines
        assert (line.action, line.delta, line.at_risk) == (PlanAction.COUNT, (-2, -2), ("order-1",))
        assert line.basis is not None
        assert (line.basis.as_of, line.basis.versions) == (shop.clock(), (("", 2),))
        assert line.sentence == (
            "MUG at berlin: the book follows the count of 3 as of 2026-03-02 09:02 UTC (-2); "
            "at risk: order-1"
        )
        assert line.guard == (
            "nothing it rests on was reported of 2026-03-02 09:02 UTC since no lot v2; "
            "no newer count"
        )
        assert line.advice.startswith("Look in the places next to it")

    def test_levels_are_put_right_over_there(self) -> None:
        """The book is what channels follow, so nothing of theirs is written into it."""
        shop = stocked(MUG=5, TEA=2)
        report = shop.inventory.reconcile(
            [Snapshot.of("etsy", {"MUG": 7, "SOAP": 1}, complete=True)]
        )
        plan = report.plan()
        assert actions(plan) == [("look", "SOAP"), ("list", "TEA"), ("look", "MUG")]
        assert plan.written == ()
        assert plan.outside == plan.lines
        assert [line.guard for line in plan.lines] == ["", "", ""]
        assert str(plan).splitlines()[0] == f"{plan.id}: 0 to write, 3 to do outside"

    def test_stale_level_is_published_again(self) -> None:
        """A channel that has not followed gets its level once more."""
        shop = stocked(MUG=5)
        shop.inventory.published("etsy", {"MUG": 5})
        shop.clock.tick(MINUTE)
        shop.inventory.record([Sold("MUG", 2, at="berlin", key="s-1")])
        shop.clock.tick(MINUTE)
        [line] = shop.inventory.reconcile([Level("etsy", "MUG", 5)]).plan().lines
        assert line.sentence == "MUG: publish its level to etsy again, it shows 5"

    def test_book_is_adjusted_to_a_source_that_is_right(self) -> None:
        """With follow= the book takes over the units of one location."""
        shop = stocked(MUG=5)
        level = Level("wms", "MUG", 8, at="berlin", seen_at=shop.clock())
        sources = [Source("wms", formula=Formula(Shown.ON_HAND))]
        plan = shop.inventory.reconcile([level], sources=sources).plan(follow={"wms"})
        [line] = plan.lines
        assert (line.action, line.delta) == (PlanAction.ADJUST, (3, 3))
        assert "the book changes by +3 as of 2026-03-02 09:01 UTC, wms had 8" in line.sentence
        shop.clock.tick(MINUTE)
        shop.inventory.repair(plan, approved_by="sam")
        assert shop.figures() == (8, 0, 0, 0)
        assert shop.inventory.reconcile([level], sources=sources).ok

    @pytest.mark.parametrize(
        ("formula", "at"),
        [
            (Formula(pack=2), "berlin"),
            (Formula(cap=9), "berlin"),
            (Formula(safety=5), "berlin"),
            (Formula(), None),
            (Formula(), ("berlin", "hamburg")),
        ],
    )
    def test_level_that_does_not_tell_units_is_not_followed(
        self, formula: Formula, at: Any
    ) -> None:
        """Packs, caps, what is cut off at zero, several locations: somebody has to look."""
        shop = stocked(MUG=5)
        report = shop.inventory.reconcile(
            [Level("wms", "MUG", 8, at=at)], sources=[Source("wms", formula=formula)]
        )
        [line] = report.plan(follow=["wms"]).lines
        assert (line.action, line.basis) == (PlanAction.LOOK, None)
        assert "does not tell the units" in line.why

    def test_count_over_several_lots_is_looked_at(self) -> None:
        """Nobody knows which lot two missing units were of; a count of each lot tells."""
        shop = stocked(MUG=5)
        shop.inventory.receive("MUG", 5, at="berlin", lot="L-1")
        shop.clock.tick(MINUTE)
        [line] = counted(shop, MUG=8).plan().lines
        assert (line.action, line.why.partition(";")[2]) == (PlanAction.LOOK, " count each")
        [named] = shop.inventory.reconcile([Count("MUG", 3, at="berlin", lot="L-1")]).plan().written
        assert named.key.lot == "L-1"

    def test_units_in_one_lot_only_are_of_that_lot(self) -> None:
        """A count of all there is, where one lot alone has units, is a count of that lot."""
        shop = Shop({"berlin": {}})
        shop.inventory.receive("MUG", 5, at="berlin", lot="L-1")
        shop.clock.tick(MINUTE)
        report = counted(shop, MUG=3)
        shop.inventory.repair(report.plan(), approved_by="sam")
        assert shop.inventory.figures("MUG", at="berlin", lot="L-1").on_hand == 3

    def test_count_of_no_lot_where_all_there_is_lies_in_lots_is_looked_at(self) -> None:
        """The ledger would not take it, so no line promises to write it."""
        shop = stocked(TEA=1)
        shop.inventory.receive("MUG", 5, at="berlin", lot="L-1")
        now = shop.clock.tick(MINUTE)
        [line] = (
            shop.inventory.reconcile([Count("MUG", 2, at="berlin", lot="", counted_at=now)])
            .plan()
            .lines
        )
        assert line.action is PlanAction.LOOK
        assert "which lot" in line.why

    def test_figure_that_moved_meanwhile_is_looked_at(self) -> None:
        """By how much it differs is not known to the unit, so nothing is written."""
        shop = stocked(MUG=5)
        began = shop.clock()
        shop.clock.tick(MINUTE)
        shop.inventory.record([Sold("MUG", 1, at="berlin", key="s-1")])
        shop.clock.tick(MINUTE)
        count = Count("MUG", 9, at="berlin", counted_at=began, counted_until=shop.clock())
        [line] = shop.inventory.reconcile([count]).plan().lines
        assert (line.action, line.delta) == (PlanAction.LOOK, (4, 5))
        assert "it moved while it was observed" in line.sentence

    def test_counters_who_contradict_each_other_are_asked_again(self) -> None:
        """Two counts of one moment cannot both be right; neither is written."""
        shop = stocked(MUG=5)
        now = shop.clock()
        counts = [
            Count("MUG", quantity, at="berlin", counted_at=now, counter=counter)
            for counter, quantity in (("sam", 3), ("ann", 4))
        ]
        plan = shop.inventory.reconcile(counts).plan()
        assert actions(plan) == [("look", "MUG"), ("look", "MUG")]
        assert {line.why.partition(" ")[0] for line in plan.lines} == {"somebody"}

    def test_counts_whose_times_cannot_be_told_apart_must_agree(self) -> None:
        """Ten seconds apart by clocks that are off by more: nobody knows which came first."""
        shop = stocked(MUG=5)
        shop.clock.tick(MINUTE)
        now = shop.clock()
        counts = [
            Count("MUG", 3, at="berlin", counted_at=now, counter="sam"),
            Count("MUG", 4, at="berlin", counted_at=now + MINUTE / 6, counter="ann"),
        ]
        shop.clock.tick(MINUTE * 2)
        skewed = [Source("shelf", skew=MINUTE / 6)]
        assert shop.inventory.reconcile(counts, sources=skewed).plan().written == ()
        assert len(shop.inventory.reconcile(counts).plan().written) == 2

    def test_counters_who_agree_make_one_line(self) -> None:
        """The second says nothing new, and the plan says so."""
        shop = stocked(MUG=5)
        now = shop.clock()
        counts = [
            Count("MUG", 3, at="berlin", counted_at=now, counter=counter)
            for counter in ("sam", "ann")
        ]
        plan = shop.inventory.reconcile(counts).plan()
        assert (len(plan.written), len(plan.left)) == (1, 1)
        assert "by another observer" in str(plan)

    def test_older_count_than_one_that_agrees_is_left_out(self) -> None:
        """The book is right now; following the older count would make it wrong."""
        shop = stocked(MUG=5)
        then = shop.clock()
        shop.clock.tick(MINUTE)
        counts = [
            Count("MUG", 3, at="berlin", counted_at=then, counter="sam"),
            Count("MUG", 5, at="berlin", counted_at=shop.clock(), counter="ann"),
        ]
        plan = shop.inventory.reconcile(counts).plan()
        assert plan.lines == ()
        assert plan.left[0].reason == (
            "a count of 2026-03-02 09:02 UTC agrees with the book, and would not any more"
        )

    def test_older_count_is_followed_where_a_newer_one_fits_it_as_well(self) -> None:
        """Two missing, then two received while it was counted again: five, with and without."""
        shop = stocked(MUG=5)
        then = shop.clock()
        since = shop.clock.tick(MINUTE)
        shop.clock.tick(MINUTE)
        shop.inventory.receive("MUG", 2, at="berlin")
        until = shop.clock.tick(MINUTE)
        older = Count("MUG", 3, at="berlin", counted_at=then, counter="sam")
        newer = Count("MUG", 5, at="berlin", counted_at=since, counted_until=until, counter="ann")
        plan = shop.inventory.reconcile([older, newer]).plan()
        assert [(line.action, line.delta) for line in plan.lines] == [(PlanAction.COUNT, (-2, -2))]

    def test_older_count_than_one_that_stands_is_left_out(self) -> None:
        """A count that was recorded since vouches for the shelf; the older one is history."""
        shop = stocked(MUG=5)
        then = shop.clock()
        shop.clock.tick(MINUTE)
        recorded = shop.inventory.count("MUG", 5, at="berlin").movement_id
        shop.clock.tick(MINUTE)
        old = Count("MUG", 3, at="berlin", counted_at=then)
        plan = shop.inventory.reconcile([old]).plan()
        assert (plan.lines, plan.left[0].reason[:21]) == ((), "a newer count stands,")
        shop.inventory.undo(recorded, reason="another shelf")
        assert len(shop.inventory.reconcile([old]).plan().written) == 1

    def test_undecided_has_no_line(self) -> None:
        """What may still be explained by a late report is not repaired, and says until when."""
        shop = stocked(MUG=5)
        report = shop.inventory.reconcile(
            [Count("MUG", 3, at="berlin", counted_at=shop.clock())],
            sources=[Source("etsy", late=timedelta(hours=1))],
        )
        plan = report.plan()
        assert (plan.lines, plan.compared) == ((), 1)
        assert plan.left[0].reason == "undecided until 2026-03-02 10:01 UTC"

    def test_skewed_count_is_dated_before_it_can_have_been_made(self) -> None:
        """Whoever judges the same count again has certainly seen its repair."""
        shop = stocked(MUG=5)
        shop.clock.tick(MINUTE)
        sources = [
            Source("shelf", skew=timedelta(seconds=20)),
            Source("ledger", skew=timedelta(seconds=10)),
        ]
        count = Count("MUG", 3, at="berlin", counted_at=shop.clock())
        shop.clock.tick(MINUTE)
        plan = shop.inventory.reconcile([count], sources=sources).plan()
        [line] = plan.written
        assert line.basis is not None
        assert shop.clock() - line.basis.as_of == MINUTE + timedelta(seconds=30)
        shop.inventory.repair(plan, approved_by="sam")
        assert shop.inventory.reconcile([count], sources=sources).ok

    def test_mismatches_that_are_only_counted_are_told(self, monkeypatch: Any) -> None:
        """A report lists so many rows of a kind; the plan says how many it has not seen."""
        monkeypatch.setattr("truecount.reconciliation.report.LISTED_MAX", 2)
        shop = stocked(MUG=5)
        shown = {f"SOAP-{number}": 1 for number in range(5)}
        plan = shop.inventory.reconcile([Snapshot.of("etsy", shown)]).plan()
        assert (len(plan.lines), plan.left[0].number) == (2, 3)


class TestOnly:
    def test_plan_is_cut_down_by_everything_given(self) -> None:
        """Each argument narrows the plan; together they narrow it further."""
        shop = stocked(MUG=5, TEA=5)
        plan = counted(shop, MUG=3, TEA=9).plan()
        mug, tea = plan.lines
        assert plan.only(kinds={"phantom"}).lines == (mug,)
        assert plan.only(skus={"TEA"}, kinds={"phantom"}).lines == ()
        assert plan.only(ids=[tea.id]).lines == (tea,)
        assert plan.only(locations={"berlin"}, sources={"shelf"}, actions={"count"}) == plan
        assert plan.only(ids=[tea.id]).id != plan.id

    @pytest.mark.parametrize(
        "words",
        [{"ids": ["count-0"]}, {"kinds": ["phantoms"]}, {"actions": ["x"]}, {"skus": "MUG"}],
    )
    def test_name_nothing_can_have_is_refused(self, words: dict[str, Any]) -> None:
        """A typing error must not approve an empty plan."""
        plan = counted(stocked(MUG=5), MUG=3).plan()
        with pytest.raises(InvalidArgument):
            plan.only(**words)


class TestPreview:
    def test_figures_and_money_before_and_after(self) -> None:
        """Each line says what it changes; the totals are exact, and what has no cost is named."""
        shop = stocked(MUG=5, TEA=5, SOAP=5)
        plan = counted(shop, MUG=3, TEA=9, SOAP=4).plan()
        preview = plan.preview({"MUG": Decimal("2.49"), "TEA": 3})
        assert (preview.gained, preview.lost, preview.left) == (4, 3, 0)
        assert preview.money == Decimal("7.02")
        assert preview.without_cost == ("SOAP",)
        assert str(preview).splitlines() == [
            "MUG at berlin: -2, on hand 5 -> 3, sellable 5 -> 3",
            "SOAP at berlin: -1, on hand 5 -> 4, sellable 5 -> 4",
            "TEA at berlin: +4, on hand 5 -> 9, sellable 5 -> 9",
            "3 lines: 4 gained, 3 lost, at cost +7.02 (no cost: SOAP)",
        ]
        assert str(plan.only(skus=["TEA"]).preview()).splitlines()[-1] == "1 line: 4 gained, 0 lost"
        assert json.loads(json.dumps(preview.to_dict()))["money"] == "7.02"
        assert plan.preview().money is None
        assert plan.preview({"MUG": 249, "TEA": 300, "SOAP": 0}).money == 702

    def test_money_is_never_rounded(self) -> None:
        """A cost of forty digits times the units comes out digit by digit."""
        cost = Decimal("0." + "3" * 40)
        preview = counted(stocked(MUG=9), MUG=0).plan().preview({"MUG": cost})
        assert preview.money == Decimal("-2." + "9" * 39 + "7")

    @pytest.mark.parametrize("cost", [1.5, True, "2", Decimal("NaN"), -1, Fraction(1, 3)])
    def test_cost_that_is_not_exact_money_is_refused(self, cost: Any) -> None:
        """Floats, text and less than nothing are no costs."""
        plan = counted(stocked(MUG=5), MUG=3).plan()
        with pytest.raises(InvalidArgument, match="cost"):
            plan.preview({"MUG": cost})


class TestRepair:
    def test_history_names_plan_and_who_approved_it(self) -> None:
        """Reference, reason and actor of the movement say where it comes from."""
        shop = stocked(MUG=5)
        plan = counted(shop, MUG=3).plan()
        shop.clock.tick(MINUTE)
        done = shop.inventory.repair(plan, approved_by="sam")
        [movement_id] = done.applied.values()
        movement = shop.inventory.movement(movement_id)
        assert (movement.reference, movement.reason, movement.actor) == (
            plan.id,
            "repair: phantom",
            "sam",
        )
        assert movement.occurred_at == START + MINUTE
        assert (done.approved_by, done.approved_at, done.plan) == ("sam", shop.clock(), plan)
        shop.check()

    def test_approved_plan_is_a_record(self) -> None:
        """What was approved, by whom and what became of it can be read later, as it is then."""
        shop = stocked(MUG=5)
        plan = counted(shop, MUG=3).plan()
        done = shop.inventory.repair(plan, approved_by="sam")
        assert shop.inventory.repaired(plan.id) == attrs.evolve(done, replayed=True)
        repeated = shop.inventory.repair(plan, approved_by="ann")
        assert (repeated.approved_by, repeated.skipped, repeated.replayed) == ("sam", {}, True)
        undone = shop.inventory.undo_repair(plan.id, reason="wrong shelf", actor="ann")
        assert shop.inventory.repaired(plan.id) == undone
        assert (len(undone.applied), len(undone.undone)) == (0, 1)
        assert json.loads(json.dumps(undone.to_dict()))["plan"] == plan.to_dict()
        assert shop.inventory.undo_repair(plan.id, reason="again") == undone

    def test_line_that_somebody_undoes_meanwhile_is_undone_all_the_same(self) -> None:
        """Between the withdrawal and the undoing of the lines it was taken back by hand."""
        storage = HookedStorage(MemoryStorage())
        shop = Shop({"berlin": {"MUG": 5, "TEA": 5}}, storage=storage)
        shop.clock.tick(MINUTE)
        plan = counted(shop, MUG=3, TEA=3).plan()
        first, _ = shop.inventory.repair(plan, approved_by="sam").applied.values()
        other = Inventory(storage.storage, clock=shop.clock, new_id=CountingIds("other"))
        storage.before("begin", lambda: None, lambda: other.undo(first, reason="by hand"))
        undone = shop.inventory.undo_repair(plan.id, reason="wrong shelf")
        assert (len(undone.applied), len(undone.undone)) == (0, 2)
        assert shop.figures("MUG") == shop.figures("TEA") == (5, 0, 0, 0)

    def test_approval_is_answered(self) -> None:
        """Whoever writes it by itself hears that it is written."""
        shop = stocked(MUG=5)
        plan = counted(shop, MUG=3).plan()
        [outcome] = shop.inventory.submit([Approve(plan, actor="sam")])
        assert outcome.check().result == {"approved": True}

    def test_undone_plan_is_not_written_again(self) -> None:
        """Its lines were decided; comparing anew makes a plan that can be written."""
        shop = stocked(MUG=5)
        count = Count("MUG", 3, at="berlin", counted_at=shop.clock())
        plan = shop.inventory.reconcile([count]).plan()
        shop.inventory.repair(plan, approved_by="sam")
        shop.inventory.undo_repair(plan.id, reason="a drill")
        assert shop.inventory.repair(plan, approved_by="sam").replayed
        assert shop.figures() == (5, 0, 0, 0)
        anew = shop.inventory.reconcile([count]).plan()
        assert anew.lines[0].id != plan.lines[0].id
        shop.inventory.repair(anew, approved_by="sam")
        assert shop.figures() == (3, 0, 0, 0)

    def test_trade_after_the_count_does_not_disturb_it(self) -> None:
        """A guard on the version would never let a busy SKU be repaired."""
        shop = stocked(MUG=9)
        plan = counted(shop, MUG=7).plan()
        for number in range(5):
            shop.clock.tick(MINUTE)
            shop.inventory.record([Sold("MUG", 1, at="berlin", key=f"s-{number}")])
        assert shop.inventory.repair(plan, approved_by="sam").skipped == {}
        assert shop.figures() == (2, 0, 0, 0)

    def test_late_report_stops_its_line(self) -> None:
        """The missing units were sold, as is known now: written twice they would miss twice."""
        shop = stocked(MUG=9, TEA=9)
        plan = counted(shop, MUG=7, TEA=8).plan()
        late = Sold("MUG", 2, at="berlin", occurred_at=START + MINUTE / 2, key="etsy-1")
        shop.clock.tick(MINUTE)
        shop.inventory.record([late])
        done = shop.inventory.repair(plan, approved_by="sam")
        mug, tea = plan.lines
        assert done.skipped == {
            mug.id: "-2 of MUG at berlin up to 2026-03-02 09:01 UTC were reported after the book "
            "was read; compare again"
        }
        assert list(done.applied) == [tea.id]
        assert shop.figures() == (7, 0, 0, 0)
        assert shop.inventory.repair(plan, approved_by="sam").skipped == done.skipped

    def test_late_report_that_cancels_out_stops_nothing(self) -> None:
        """What a line rests on is the figure: a sale and its return leave it as it was."""
        shop = stocked(MUG=9)
        plan = counted(shop, MUG=7).plan()
        at = {"at": "berlin", "occurred_at": START + MINUTE / 2}
        facts = [Sold("MUG", 2, key="s", **at), Received("MUG", 2, key="r", **at)]  # type: ignore[arg-type]  # words of both
        shop.clock.tick(MINUTE)
        shop.inventory.record(facts)
        assert shop.inventory.repair(plan, approved_by="sam").skipped == {}

    def test_report_of_another_lot_stops_a_count_of_all(self) -> None:
        """The shelf was counted whole, so what is told of any lot of it matters."""
        shop = stocked(MUG=5)
        plan = counted(shop, MUG=3).plan()
        shop.clock.tick(MINUTE)
        shop.inventory.receive(
            "MUG", 2, at="berlin", lot="L-1", occurred_at=START + MINUTE / 2, key="late"
        )
        done = shop.inventory.repair(plan, approved_by="sam")
        assert "(lot L-1)" in next(iter(done.skipped.values()))

    def test_newer_count_stops_an_older_one(self) -> None:
        """Who has counted since knows better."""
        shop = stocked(MUG=9)
        plan = counted(shop, MUG=7).plan()
        shop.clock.tick(MINUTE)
        shop.inventory.record([Counted("MUG", 8, at="berlin", key="c")])
        done = shop.inventory.repair(plan, approved_by="sam")
        assert "a newer count stands, of 2026-03-02 09:02 UTC" in str(done.skipped)
        assert shop.figures() == (8, 0, 0, 0)

    def test_counts_of_one_shelf_build_on_each_other(self) -> None:
        """Two were missing at nine, one more at ten: each line writes its own part."""
        shop = stocked(MUG=9)
        first = shop.clock()
        shop.clock.tick(MINUTE)
        counts = [
            Count("MUG", 7, at="berlin", counted_at=first, counter="sam"),
            Count("MUG", 6, at="berlin", counted_at=shop.clock(), counter="ann"),
        ]
        shop.clock.tick(MINUTE)
        plan = shop.inventory.reconcile(counts).plan()
        assert [line.change for line in plan.preview().lines] == [-2, -1]
        newest = plan.only(ids=[plan.lines[1].id])
        assert [line.change for line in newest.preview().lines] == [-3]
        shop.inventory.repair(plan, approved_by="sam")
        assert shop.inventory.as_of("MUG", first).on_hand == 7
        assert shop.inventory.reconcile(counts).ok

    def test_difference_put_right_before_is_not_put_right_twice(self) -> None:
        """An adjustment after a count of the same shelf finds nothing left to do."""
        shop = stocked(MUG=9)
        first = shop.clock()
        shop.clock.tick(MINUTE)
        sources = [Source("wms", formula=Formula(Shown.ON_HAND))]
        seen: list[Observation] = [
            Count("MUG", 7, at="berlin", counted_at=first),
            Level("wms", "MUG", 7, at="berlin", seen_at=shop.clock()),
        ]
        plan = shop.inventory.reconcile(seen, sources=sources).plan(follow=["wms"])
        done = shop.inventory.repair(plan, approved_by="sam")
        assert list(done.skipped.values()) == ["the lines before it have put it right"]
        assert shop.figures() == (7, 0, 0, 0)
        assert shop.inventory.reconcile(seen, sources=sources).ok

    def test_holds_that_ran_out_stay_on_offer_after_a_repair(self) -> None:
        """A repair that takes more than is free reports it; promises are not touched."""
        shop = stocked(MUG=5)
        shop.inventory.reserve({"MUG": 4}, reference="cart-1", ttl=MINUTE)
        shop.clock.tick(MINUTE * 2)
        shop.inventory.repair(counted(shop, MUG=2).plan(), approved_by="sam")
        assert (shop.figures(), shop.inventory.available("MUG")) == ((-2, 4, 0, 0), 2)
        shop.check()

    def test_plan_is_only_looked_at_until_somebody_approves_it(self) -> None:
        """Comparing, planning and previewing write nothing."""
        shop = stocked(MUG=5)
        counted(shop, MUG=3).plan().preview()
        with pytest.raises(UnknownReference, match="cannot find plan"):
            shop.inventory.repaired("plan-0")

    def test_operations_survive_the_way_through_json(self) -> None:
        """Like any other operation, and checked again when they are read."""
        plan = counted(stocked(MUG=5), MUG=3).plan()
        for operation in (Approve(plan, actor="sam"), repair_of(plan.lines[0], plan, "sam")):
            stored = json.loads(json.dumps(operation.to_dict()))
            assert Operation.from_dict(stored) == operation

    def test_line_for_somebody_else_is_not_an_operation(self) -> None:
        """What is done outside cannot be written, whoever asks."""
        shop = stocked(MUG=5)
        plan = shop.inventory.reconcile([Level("etsy", "MUG", 7)]).plan()
        with pytest.raises(InvalidArgument, match="that is written"):
            repair_of(plan.lines[0], plan, "sam")

    def test_ledger_with_repairs_can_be_copied(self) -> None:
        """Plans and what became of them travel with the ledger, and it still proves itself."""
        shop = stocked(MUG=5)
        plan = counted(shop, MUG=3).plan()
        done = shop.inventory.repair(plan, approved_by="sam")
        copy = io.StringIO()
        shop.inventory.export(copy)
        other = Inventory(clock=shop.clock)
        other.import_lines(copy.getvalue().splitlines())
        assert other.repaired(plan.id) == attrs.evolve(done, replayed=True)
        assert other.repair(plan, approved_by="sam").replayed
        assert other.verify().ok
        other.undo_repair(plan.id, reason="a drill")
        assert other.figures("MUG").on_hand == 5

    def test_host_that_rolls_back_leaves_no_trace_of_a_repair(self, tmp_path: Path) -> None:
        """Joined to a transaction of the host, approval and lines stand or fall with it."""
        path = tmp_path / "shop.db"
        with Inventory(SQLiteStorage(path), clock=ManualClock(START)) as inventory:
            inventory.locations.add("berlin")
            inventory.receive("MUG", 5, at="berlin")
            plan = inventory.reconcile([Count("MUG", 3, at="berlin")]).plan()
            with closing(sqlite3.connect(path, isolation_level=None)) as host:
                host.execute("BEGIN IMMEDIATE")
                joined = inventory.within(host)
                assert len(joined.repair(plan, approved_by="sam").applied) == 1
                assert joined.figures("MUG").on_hand == 3
                host.execute("ROLLBACK")
            assert inventory.figures("MUG").on_hand == 5
            with pytest.raises(UnknownReference):
                inventory.repaired(plan.id)

    @pytest.mark.parametrize("words", [{"approved_by": ""}, {"approved_by": " sam"}])
    def test_nobody_approves_nothing(self, words: dict[str, Any]) -> None:
        """An approval has a name."""
        shop = stocked(MUG=5)
        with pytest.raises(InvalidText):
            shop.inventory.repair(counted(shop, MUG=3).plan(), **words)

    def test_what_is_no_plan_is_refused(self) -> None:
        """A report is not a plan: somebody has to make one and look at it."""
        shop = stocked(MUG=5)
        with pytest.raises(InvalidArgument, match=r"report\.plan"):
            shop.inventory.repair(counted(shop, MUG=3), approved_by="sam")  # type: ignore[arg-type]  # the point

    def test_line_the_ledger_refuses_is_skipped_and_says_why(self) -> None:
        """Where all there is lies in lots by then, a count of none is no count of them."""
        shop, plan = counted_before_lots_came()
        done = shop.inventory.repair(plan, approved_by="sam")
        assert "the lot that was counted" in next(iter(done.skipped.values()))

    def test_line_the_ledger_refused_once_is_not_written_later(self) -> None:
        """Somebody was told that it is skipped: that stays so, though it could be written now."""
        shop, plan = counted_before_lots_came()
        done = shop.inventory.repair(plan, approved_by="sam")
        shop.inventory.record([Sold("MUG", 5, at="berlin", lot="L-1", key="sold")])
        again = shop.inventory.repair(plan, approved_by="ann")
        assert (again.replayed, again.skipped) == (True, done.skipped)
        assert shop.inventory.figures("MUG", at="berlin").on_hand == 0

    def test_line_of_a_place_not_known_yet_is_written_later(self) -> None:
        """A location that is missing is no answer: it passes, and nothing is kept of it."""
        plan = counted(stocked(MUG=5), MUG=3).plan()
        inventory = Inventory(clock=ManualClock(START + 2 * MINUTE))
        inventory.locations.add("hamburg")
        [reason] = inventory.repair(plan, approved_by="sam").skipped.values()
        assert "berlin" in reason
        inventory.locations.add("berlin")
        assert len(inventory.repair(plan, approved_by="sam").applied) == 1

    def test_more_lines_than_a_transaction_takes_are_all_written(self, monkeypatch: Any) -> None:
        """Chunks do not change what is written; the second call finds everything decided."""
        monkeypatch.setattr("truecount.reconciliation.repairs.BATCH_MAX", 4)
        shop = stocked(**{f"SKU-{number}": 5 for number in range(11)})
        report = counted(shop, **{f"SKU-{number}": 4 for number in range(11)})
        done = shop.inventory.repair(report.plan(), approved_by="sam", breaker=None)
        assert len(done.applied) == 11
        assert shop.inventory.repair(report.plan(), approved_by="sam", breaker=None).replayed
        shop.inventory.undo_repair(done.plan.id, reason="a drill")
        assert shop.inventory.figures("SKU-3").on_hand == 5

    def test_error_half_way_says_that_the_lines_before_it_stand(self, monkeypatch: Any) -> None:
        """That nothing was written is only so of one transaction; the next call goes on."""
        monkeypatch.setattr("truecount.reconciliation.repairs.BATCH_MAX", 4)
        storage = FaultyStorage(MemoryStorage())
        inventory = Inventory(storage, clock=ManualClock(START))
        inventory.locations.add("berlin")
        skus = [f"SKU-{number}" for number in range(6)]
        for sku in skus:
            inventory.receive(sku, 5, at="berlin")
        plan = inventory.reconcile([Count(sku, 4, at="berlin") for sku in skus]).plan()
        for number, notes in ((1, []), (2, ["the lines before these stand; call it again, it "])):
            storage.plan = FailAt(number, Moment.BEFORE, "write", failure_of)
            with pytest.raises(StorageUnavailable) as caught:
                inventory.repair(plan, approved_by="sam", breaker=None)
            said = getattr(caught.value, "__notes__", [])
            assert [note[: len(notes[0])] for note in said] == notes
        storage.plan = no_fault
        assert len(inventory.repaired(plan.id).applied) == 3
        assert len(inventory.repair(plan, approved_by="sam", breaker=None).applied) == 6

    def test_eight_threads_write_one_plan_once(self, tmp_path: Path) -> None:
        """Whoever comes second finds each line decided."""
        clock = ManualClock(START)
        with Inventory(
            SQLiteStorage(tmp_path / "shop.db"), clock=clock, new_id=CountingIds()
        ) as inventory:
            inventory.locations.add("berlin")
            skus = [f"SKU-{number}" for number in range(10)]
            for sku in skus:
                inventory.receive(sku, 5, at="berlin")
            clock.tick(MINUTE)
            plan = inventory.reconcile([Count(sku, 3, at="berlin") for sku in skus]).plan()
            with ThreadPoolExecutor(8) as pool:
                calls = [
                    pool.submit(inventory.repair, plan, approved_by=f"p-{n}") for n in range(8)
                ]
                done = [call.result() for call in calls]
            assert {tuple(each.applied.items()) for each in done} == {
                tuple(done[0].applied.items())
            }
            assert [inventory.figures(sku).on_hand for sku in skus] == [3] * 10
            assert len(inventory.feed()) == 20
            assert inventory.verify().ok


class TestBreaker:
    @pytest.mark.parametrize(
        ("breaker", "limit"),
        [
            (Breaker(lines_max=1), "lines_max"),
            (Breaker(units_max=5), "units_max"),
            (Breaker(location_lines_max=1), "location_lines_max"),
            (Breaker(location_units_max=5), "location_units_max"),
            (Breaker(lines_free=1), "percent_max=20"),
        ],
    )
    def test_mass_change_is_refused_with_its_numbers(self, breaker: Breaker, limit: str) -> None:
        """Nothing is written, not even the approval, and the error says what to do."""
        shop = stocked(MUG=5, TEA=5)
        plan = counted(shop, MUG=3, TEA=9).plan()
        with pytest.raises(MassRepair) as refused:
            shop.inventory.repair(plan, approved_by="sam", breaker=breaker)
        assert refused.value.limit == limit
        assert refused.value.seen > refused.value.allowed
        assert "plan.only" in str(refused.value)
        assert shop.figures() == (5, 0, 0, 0)
        with pytest.raises(UnknownReference):
            shop.inventory.repaired(plan.id)

    def test_limits_are_reached_not_passed(self) -> None:
        """So many are allowed; no limit at all must be said."""
        shop = stocked(MUG=5, TEA=5)
        plan = counted(shop, MUG=3, TEA=9).plan()
        exact = Breaker(
            lines_max=2, units_max=6, location_lines_max=2, location_units_max=6, lines_free=2
        )
        assert len(shop.inventory.repair(plan, approved_by="sam", breaker=exact).applied) == 2

    @pytest.mark.parametrize(
        ("differing", "percent", "allowed"),
        [(3, 59, 2), (3, 60, None), (3, 0, 0), (5, 99, 4), (5, 100, None), (5, None, None)],
    )
    def test_per_cent_is_of_all_that_was_compared_rounded_down(
        self, differing: int, percent: int | None, allowed: int | None
    ) -> None:
        """Where three of five differ, 60 per cent let it pass, and 59 allow two."""
        shop = stocked(MUG=5, TEA=5, CUP=5, PAN=5, POT=5)
        seen = [4] * differing + [5] * (5 - differing)
        skus = ("MUG", "TEA", "CUP", "PAN", "POT")
        plan = counted(shop, **dict(zip(skus, seen, strict=True))).plan()
        breaker = Breaker(percent_max=percent, lines_free=2)
        if allowed is None:
            done = shop.inventory.repair(plan, approved_by="sam", breaker=breaker)
            assert len(done.applied) == differing
            return
        with pytest.raises(MassRepair, match="too many lines of 5 compared") as refused:
            shop.inventory.repair(plan, approved_by="sam", breaker=breaker)
        assert (refused.value.seen, refused.value.allowed) == (differing, allowed)
        assert refused.value.limit == f"percent_max={percent}"

    def test_limit_of_a_location_names_the_first_one_that_passes_it(self) -> None:
        """What two locations have together passes no limit of either."""
        inventory = stocked(MUG=5).inventory
        inventory.locations.add("bremen")
        for at in ("hamburg", "bremen"):
            inventory.receive("MUG", 5, at=at)
        seen = [Count("MUG", 4, at="berlin"), Count("MUG", 2, at="hamburg")]
        plan = inventory.reconcile([*seen, Count("MUG", 8, at="bremen")]).plan()
        with pytest.raises(MassRepair, match="too many units at 'bremen'") as refused:
            inventory.repair(plan, approved_by="sam", breaker=Breaker(location_units_max=2))
        assert (refused.value.seen, refused.value.allowed) == (3, 2)
        one_each = Breaker(location_lines_max=1, location_units_max=3)
        assert len(inventory.repair(plan, approved_by="sam", breaker=one_each).applied) == 3

    def test_no_limit_is_said_by_none(self) -> None:
        """``breaker=None`` lets everything through; a limit of None only its own."""
        shop = stocked(MUG=50_000)
        plan = counted(shop, MUG=0).plan()
        with pytest.raises(MassRepair, match="50000"):
            shop.inventory.repair(plan, approved_by="sam")
        wide = Breaker(units_max=None, location_units_max=None)
        assert len(shop.inventory.repair(plan, approved_by="sam", breaker=wide).applied) == 1

    @pytest.mark.parametrize("words", [{"lines_max": -1}, {"percent_max": 101}, {"units_max": 1.5}])
    def test_limit_that_is_none_is_refused(self, words: dict[str, Any]) -> None:
        """Limits are whole numbers from nothing."""
        with pytest.raises(InvalidQuantity):
            Breaker(**words)


class TestStoredPlans:
    @staticmethod
    def data() -> dict[str, Any]:
        """Return a plan of one line as it would be stored."""
        stored: dict[str, Any] = counted(stocked(MUG=5), MUG=3).plan().to_dict()
        return json.loads(json.dumps(stored))  # type: ignore[no-any-return]  # it is a dict

    def test_it_says_the_form_it_has(self) -> None:
        """What was stored is read by that number for as long as there are plans of it."""
        assert self.data()["schema"] == 1

    @pytest.mark.parametrize(
        ("path", "value"),
        [
            (("lines", 0, "observed"), 2),
            (("lines", 0, "delta"), [-3, -3]),
            (("lines", 0, "at"), "hamburg"),
            (("lines", 0, "at_risk"), ["order-1"]),
            (("lines", 0, "basis", "versions"), [["", 9]]),
            (("lines", 0, "basis", "as_of"), "2026-03-02T08:00:00+00:00"),
            (("lines", 0, "basis", "covers"), ["sellable"]),
            (("lines", 0, "after"), ["count-0"]),
            (("lines", 0, "id"), "count-0"),
            (("lines",), []),
            (("compared",), 100),
            (("at",), "2026-03-02T08:00:00+00:00"),
            (("id",), "plan-0"),
        ],
    )
    def test_plan_that_was_changed_by_hand_is_found_out(
        self, path: tuple[Any, ...], value: object
    ) -> None:
        """Ids are made of what lines say, and that of the plan of its lines."""
        data = self.data()
        target: Any = data
        for step in path[:-1]:
            target = target[step]
        target[path[-1]] = value
        with pytest.raises(InvalidData, match="was changed"):
            Plan.from_dict(data)

    @pytest.mark.parametrize(
        ("path", "value"),
        [
            (("schema",), 2),
            (("compared",), -1),
            (("at",), "yesterday"),
            (("at",), "2026-03-02T08:00:00"),
            (("left",), [["MUG"]]),
            (("left",), [["MUG", "berlin", "shelf", "why", 0]]),
            (("lines",), [None]),
            (("lines", 0, "sku"), "MUG "),
            (("lines", 0, "delta"), [0, 0]),
            (("lines", 0, "delta"), [-2, -1]),
            (("lines", 0, "delta"), [-2.0, -2.0]),
            (("lines", 0, "at"), ""),
            (("lines", 0, "observed"), None),
            (("lines", 0, "basis"), None),
            (("lines", 0, "basis", "versions"), [["", -1]]),
            (("lines", 0, "basis", "covers"), ["shelf"]),
            (("lines", 0, "action"), "burn"),
            (("lines", 0, "seen_at"), ["2026-03-02T08:00:00+00:00"]),
            (("lines", 0, "colour"), "red"),
        ],
    )
    def test_what_is_no_plan_is_not_read(self, path: tuple[Any, ...], value: object) -> None:
        """Each part is checked as if it came from a caller."""
        data = self.data()
        target: Any = data
        for step in path[:-1]:
            target = target[step]
        target[path[-1]] = value
        with pytest.raises(InvalidData):
            Plan.from_dict(data)

    @pytest.mark.parametrize("id_", ["count-0", "count-" + "f" * 16, "a", "z"])
    def test_line_by_another_name_was_changed(self, id_: str) -> None:
        """Also outside of its plan, and whichever of the two names is the greater."""
        [line] = self.data()["lines"]
        assert PlanLine.from_dict(line).id == line["id"]
        with pytest.raises(InvalidData, match="was changed: by its content"):
            PlanLine.from_dict({**line, "id": id_})

    @pytest.mark.parametrize(
        ("words", "named"),
        [
            ({"observed": None}, "observed"),
            ({"delta": (-2, -1)}, "a basis and one delta"),
            ({"basis": None}, "a basis and one delta"),
            ({"at": ""}, "location"),
        ],
        ids=["no quantity", "several differences", "no basis", "no location"],
    )
    def test_line_to_be_written_says_what_where_and_as_of_when(
        self, words: dict[str, Any], named: str
    ) -> None:
        """Otherwise nobody knows what the book should follow."""
        [line] = Plan.from_dict(self.data()).lines
        with pytest.raises(InvalidRequest, match=named):
            attrs.evolve(line, **words)

    def test_plan_with_one_line_twice_is_refused(self) -> None:
        """A line is written once, so it is there once."""
        plan = counted(stocked(MUG=5), MUG=3).plan()
        with pytest.raises(InvalidArgument, match="twice"):
            attrs.evolve(plan, lines=plan.lines * 2)

    def test_stored_plan_can_be_approved_later(self) -> None:
        """A plan goes by mail to whoever approves it, and back."""
        shop = stocked(MUG=5)
        stored = json.dumps(counted(shop, MUG=3).plan().to_dict())
        done = shop.inventory.repair(Plan.from_dict(json.loads(stored)), approved_by="sam")
        assert len(done.applied) == 1
        assert isinstance(done.plan.lines[0], PlanLine)
        assert done.plan.lines[0].basis is not None
        assert State.SELLABLE in done.plan.lines[0].basis.covers

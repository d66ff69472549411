"""Repairs over counts that stand: late facts, two plans, crashes and undoing, on every storage."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests.shops import MINUTE, START
from truecount import (
    Count,
    Inventory,
    Level,
    MemoryStorage,
    Plan,
    Sold,
    Source,
    SQLiteStorage,
)
from truecount.errors import UnknownReference
from truecount.reconciliation.observations import Formula, Observation, Shown
from truecount.reconciliation.repairing import repair_of
from truecount.testing import CountingIds, ManualClock


TEN = START + timedelta(hours=1)
ERP = Source("erp", formula=Formula(Shown.ON_HAND, lowest=None))


class Shop:
    """Five mugs in Berlin since nine, and it is a minute past ten."""

    def __init__(self, storage: MemoryStorage | SQLiteStorage) -> None:
        """Open the shop."""
        self.clock = ManualClock(START)
        self.inventory = Inventory(storage, clock=self.clock, new_id=CountingIds("seam"))
        self.inventory.locations.add("berlin", "hamburg")
        self.inventory.receive("MUG", 5, at="berlin")
        self.clock.tick(TEN + MINUTE - START)

    @property
    def mugs(self) -> int:
        """What the book says is on hand; everything stored agrees with it."""
        assert self.inventory.verify().problems == ()
        return self.inventory.figures("MUG").on_hand

    def plan(self, *seen: Observation, follow: str | None = None) -> Plan:
        """Compare and plan."""
        report = self.inventory.reconcile(seen, sources=[ERP])
        return report.plan(follow=() if follow is None else [follow])

    def repair(self, plan: Plan) -> tuple[int, list[str]]:
        """Return how many lines were written, and why the others were not."""
        done = self.inventory.repair(plan, approved_by="sam")
        return len(done.applied), list(done.skipped.values())

    def sold(self, quantity: int, when: datetime) -> None:
        """Hear of a sale."""
        sale = Sold("MUG", quantity, at="berlin", occurred_at=when, key=f"till/{when}")
        self.inventory.record([sale])


@pytest.fixture(params=["memory", "sqlite"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Shop]:
    """Return a shop in memory, and one in a file."""
    storage = (
        MemoryStorage()
        if request.param == "memory"
        else SQLiteStorage(tmp_path / "shop.db", synchronous="OFF")
    )
    shop = Shop(storage)
    with shop.inventory:
        yield shop


def counted(quantity: int, when: datetime = TEN, counter: str = "ann") -> Count:
    """Return a count of the mugs."""
    return Count("MUG", quantity, at="berlin", counted_at=when, counter=counter)


class TestLateFacts:
    def test_fact_between_plan_and_repair_is_not_counted_twice(self, shop: Shop) -> None:
        """The two that were missing had been sold; the line stops, and all agrees."""
        plan = shop.plan(counted(3))
        shop.sold(2, TEN - MINUTE)
        applied, [reason] = shop.repair(plan)
        assert (applied, shop.mugs) == (0, 3)
        assert "reported after the book was read" in reason
        assert shop.inventory.reconcile([counted(3)]).ok

    def test_fact_after_the_repair_is_refolded_at_it(self, shop: Shop) -> None:
        """A repaired count stands like any other; undone, what came late counts alone."""
        plan = shop.plan(counted(3))
        shop.repair(plan)
        shop.sold(1, TEN - MINUTE)
        assert shop.mugs == 3
        assert shop.inventory.reconcile([counted(3)]).ok
        shop.inventory.undo_repair(plan.id, reason="another shelf")
        assert shop.mugs == 4
        again = shop.inventory.undo_repair(plan.id, reason="another shelf")
        assert (len(again.undone), shop.mugs) == (1, 4)
        assert shop.repair(plan) == (0, [])
        assert shop.mugs == 4

    def test_adjustment_to_a_level_is_no_anchor(self, shop: Shop) -> None:
        """What comes later than any bound said is found by the next comparison, and put right."""
        level = Level("erp", "MUG", 3, at="berlin", seen_at=TEN)
        shop.repair(shop.plan(level, follow="erp"))
        shop.sold(2, TEN - MINUTE)
        assert shop.mugs == 1
        assert shop.repair(shop.plan(level, follow="erp")) == (1, [])
        assert shop.mugs == 3


class TestCountsThatStand:
    @pytest.mark.parametrize("quantity", [3, 4])
    def test_count_recorded_at_the_same_moment_stops_the_line(
        self, shop: Shop, quantity: int
    ) -> None:
        """Recorded by hand meanwhile, the difference is not put right twice."""
        plan = shop.plan(counted(3))
        shop.inventory.count("MUG", quantity, at="berlin", counted_at=TEN)
        applied, reasons = shop.repair(plan)
        assert (applied, len(reasons), shop.mugs) == (0, 1, quantity)

    def test_count_that_was_taken_back_stops_nothing(self, shop: Shop) -> None:
        """A newer count that does not stand any more is none."""
        plan = shop.plan(counted(3))
        newer = shop.inventory.count("MUG", 4, at="berlin")
        shop.inventory.undo(newer.movement_id, reason="another shelf")
        assert shop.repair(plan) == (1, [])
        assert shop.mugs == 3

    def test_adjustment_taken_back_below_a_newer_count_changes_nothing_after_it(
        self, shop: Shop
    ) -> None:
        """Undoing what was before a count is late, too, and is answered there."""
        plan = shop.plan(Level("erp", "MUG", 3, at="berlin", seen_at=TEN), follow="erp")
        shop.repair(plan)
        shop.clock.tick(MINUTE)
        shop.inventory.count("MUG", 3, at="berlin")
        shop.clock.tick(MINUTE)
        shop.inventory.undo_repair(plan.id, reason="a drill")
        assert shop.mugs == 3

    def test_correction_of_the_past_stops_the_line(self, shop: Shop) -> None:
        """A receipt mistyped before the count explains part of it."""
        plan = shop.plan(counted(3))
        [receipt] = shop.inventory.feed()
        shop.inventory.correct(receipt.id, quantity=4, reason="typed 5")
        applied, [reason] = shop.repair(plan)
        assert (applied, shop.mugs) == (0, 4)
        assert "compare again" in reason


class TestTwoPlans:
    def test_newer_one_first_stops_the_older(self, shop: Shop) -> None:
        """Only the newest count of a key is written."""
        older, newer = shop.plan(counted(3)), shop.plan(counted(4, TEN + MINUTE, "kim"))
        assert shop.repair(newer) == (1, [])
        applied, [reason] = shop.repair(older)
        assert (applied, shop.mugs) == (0, 4)
        assert "a newer count stands" in reason

    def test_older_one_first_stops_the_newer_until_it_is_compared_again(self, shop: Shop) -> None:
        """The newer difference was one to a book that has changed."""
        newest = counted(4, TEN + MINUTE, "kim")
        older, newer = shop.plan(counted(3)), shop.plan(newest)
        assert shop.repair(older) == (1, [])
        assert shop.repair(newer)[0] == 0
        assert shop.repair(shop.plan(newest)) == (1, [])
        assert shop.mugs == 4
        shop.inventory.undo_repair(older.id, reason="a drill")
        assert shop.mugs == 4  # The newer count stands.

    def test_same_line_in_two_plans_is_written_once(self, shop: Shop) -> None:
        """Whoever approves second finds it written."""
        alone = shop.plan(counted(3))
        with_others = shop.plan(counted(3), Count("TEA", 1, at="berlin"))
        assert shop.repair(alone) == (1, [])
        assert shop.repair(with_others) == (1, [])
        assert shop.mugs == 3


class TestWorldThatMoved:
    def test_sku_that_became_a_bundle_keeps_its_shelf(self, shop: Shop) -> None:
        """What a shelf held of it is counted as before; packed ones are stock of their own."""
        plan = shop.plan(counted(3))
        shop.inventory.receive("CUP", 1, at="berlin")
        shop.inventory.bundles.define("MUG", {"CUP": 1})
        assert shop.repair(plan) == (1, [])
        assert shop.mugs == 3
        shop.inventory.undo_repair(plan.id, reason="a drill")
        assert shop.mugs == 5

    def test_trade_after_the_count_is_kept_by_repair_and_by_undo(self, shop: Shop) -> None:
        """Both change the past alone."""
        plan = shop.plan(counted(3))
        shop.sold(1, TEN + MINUTE)
        shop.repair(plan)
        assert shop.mugs == 2
        shop.sold(2, shop.clock.tick(MINUTE))
        shop.inventory.undo_repair(plan.id, reason="a drill")
        assert shop.mugs == 2


class Crash(Exception):
    """The process is gone."""


class TestHalfWay:
    @pytest.fixture
    def large(self, shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Plan:
        """Return a plan of seven lines that stopped after the first transaction, of three."""
        monkeypatch.setattr("truecount.reconciliation.repairs.BATCH_MAX", 3)
        skus = [f"SKU-{number}" for number in range(7)]
        for sku in skus:
            shop.inventory.receive(sku, 5, at="berlin")
        shop.clock.tick(MINUTE)
        plan = shop.plan(*(Count(sku, 4, at="berlin") for sku in skus))
        engine = shop.inventory._engine
        run, called = engine.run, 0

        def failing(operations: object) -> object:
            nonlocal called
            called += 1
            if called > 1:
                raise Crash
            return run(operations)  # type: ignore[arg-type]  # what repair passes

        with monkeypatch.context() as patch:
            patch.setattr(engine, "run", failing)
            with pytest.raises(Crash):
                shop.inventory.repair(plan, approved_by="sam")
        assert len(shop.inventory.repaired(plan.id).applied) == 2
        return plan

    def test_repeating_it_finishes_what_is_missing(self, shop: Shop, large: Plan) -> None:
        """After a crash between transactions the same call goes on where it stopped."""
        done = shop.inventory.repair(large, approved_by="sam")
        assert (len(done.applied), done.skipped, done.replayed) == (7, {}, False)
        assert {shop.inventory.figures(f"SKU-{n}").on_hand for n in range(7)} == {4}

    def test_undone_half_way_it_does_not_go_on(self, shop: Shop, large: Plan) -> None:
        """Lines that were never written are not written after the plan was taken back."""
        undone = shop.inventory.undo_repair(large.id, reason="a drill", actor="kim")
        assert (len(undone.undone), undone.withdrawn_at) == (2, shop.clock())
        done = shop.inventory.repair(large, approved_by="sam")
        assert (len(done.applied), len(done.undone), len(done.skipped)) == (0, 2, 5)
        assert all("taken back" in reason for reason in done.skipped.values())
        assert {shop.inventory.figures(f"SKU-{n}").on_hand for n in range(7)} == {5}

    def test_what_was_never_written_can_be_approved_anew(self, shop: Shop, large: Plan) -> None:
        """A new plan has the same lines where nothing has changed, and they are written."""
        shop.inventory.undo_repair(large.id, reason="a drill")
        shop.inventory.repair(large, approved_by="sam")
        seen = [Count(f"SKU-{n}", 4, at="berlin", counted_at=shop.clock()) for n in range(7)]
        assert shop.repair(shop.plan(*seen)) == (7, [])

    def test_line_of_a_plan_nobody_approved_is_not_written(self, shop: Shop) -> None:
        """Whoever hands it to the ledger without its plan is told so."""
        plan = shop.plan(counted(3))
        [outcome] = shop.inventory.submit([repair_of(plan.lines[0], plan, "sam")])
        assert isinstance(outcome.error, UnknownReference)
        assert shop.mugs == 5

    def test_plan_nobody_approved_is_not_taken_back(self, shop: Shop) -> None:
        """There is nothing to take back."""
        with pytest.raises(UnknownReference):
            shop.inventory.undo_repair("plan-0", reason="a drill")

"""The laws of repairing: what is predicted happens, once, and can be taken back exactly."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.strategies import (
    LOCATIONS,
    LOT,
    SKUS,
    START,
    Shop,
    Step,
    histories,
    new_shop,
    play,
)
from tests.worlds import SOURCES as SKEWED
from tests.worlds import World
from truecount import (
    Count,
    Damaged,
    Figures,
    Inventory,
    Kind,
    Operation,
    Plan,
    PlanLine,
    Received,
    Reconciliation,
    Sold,
    Source,
    SQLiteStorage,
    StockKey,
)
from truecount.model.places import ON_HAND, State


DONE = timedelta(days=60)
COVERS = (ON_HAND - {State.PICKED}, ON_HAND, frozenset({State.SELLABLE, State.HELD}))


NOON = START + timedelta(hours=3)


@st.composite
def late_facts(draw: st.DrawFn) -> list[Operation]:
    """Return facts about the mugs in Berlin from before noon, that nobody had told."""
    facts: list[Operation] = []
    for number in range(draw(st.integers(0, 4))):
        words: dict[str, Any] = {
            "at": "berlin",
            "occurred_at": START + timedelta(minutes=draw(st.integers(1, 180))),
            "key": f"late-{number}",
        }
        make = draw(st.sampled_from((Sold, Damaged, Received)))
        facts.append(make("MUG", draw(st.integers(1, 3)), **words))
    return facts


@st.composite
def counts(draw: st.DrawFn) -> list[Count]:
    """Return counts of some shelves, each shelf one to three times, at different times."""
    found = []
    for sku in SKUS:
        for at in LOCATIONS:
            lot = draw(st.sampled_from((None, "", LOT)))
            hours = draw(st.lists(st.integers(-80, 200), max_size=3, unique=True))
            found += [
                Count(
                    sku,
                    draw(st.integers(0, 9)),
                    at=at,
                    lot=lot,
                    counted_at=START + timedelta(hours=each),
                    covers=draw(st.sampled_from(COVERS)),
                    counter=f"counter-{number}",
                )
                for number, each in enumerate(hours)
            ]
    return found


@contextmanager
def on_sqlite() -> Iterator[Shop]:
    """Open the same shop in a file."""
    with TemporaryDirectory() as folder:
        storage = SQLiteStorage(Path(folder) / "shop.db", synchronous="OFF")
        shop = new_shop(storage)
        with shop.inventory:
            yield shop


def figures_of(inventory: Inventory) -> Mapping[StockKey, Figures]:
    """Return every figure that is not zero."""
    return {key: found for key, found in inventory.stock().items() if found != Figures()}


def seen(report: Reconciliation) -> set[tuple[Any, ...]]:
    """Return what does not match, by what was seen."""
    return {(each.sku, each.at, each.lot, each.source, each.seen_at) for each in report.mismatches}


def written(plan: Plan, report: Reconciliation) -> set[tuple[Any, ...]]:
    """Return what the lines of a plan are about, by what was seen."""
    lots = {(each.sku, each.at, each.seen_at): each.lot for each in report.mismatches}
    return {
        (line.sku, line.at, lots[line.sku, line.at, line.seen_at], line.source, line.seen_at)
        for line in plan.written
    }


def repair_and_take_back(shop: Shop, steps: list[Step], observed: list[Count]) -> None:
    """Play a history, repair what was counted, and prove each promise of a plan."""
    play(shop, steps)
    shop.clock.tick(DONE)
    inventory = shop.inventory
    report = inventory.reconcile(observed)
    before = figures_of(inventory)
    plan = report.plan()
    preview = plan.preview()
    assert preview.left == 0
    assert figures_of(inventory) == before

    done = inventory.repair(plan, approved_by="sam", breaker=None)
    assert set(done.applied) == {line.id for line in plan.written}
    assert done.skipped == {}
    assert not done.replayed or not plan.written
    predicted = {line.key: (line.on_hand[1], line.sellable[1]) for line in preview.lines}
    for key, expected in predicted.items():
        found = inventory.figures(key.sku, at=key.location, lot=key.lot)
        assert (found.on_hand, found.sellable) == expected
    untouched = {key: found for key, found in before.items() if key not in predicted}
    after = figures_of(inventory)
    assert {key: found for key, found in after.items() if key not in predicted} == untouched

    again = inventory.reconcile(observed)
    assert seen(again) == seen(report) - written(plan, report)
    assert again.matches == report.matches + len(plan.written)
    assert again.plan().written == ()

    assert inventory.repair(plan, approved_by="ann", breaker=None).replayed
    assert figures_of(inventory) == after

    undone = inventory.undo_repair(plan.id, reason="a drill", actor="sam")
    assert set(undone.undone) == set(done.applied)
    assert figures_of(inventory) == before
    assert seen(inventory.reconcile(observed)) == seen(report)
    assert inventory.verify().problems == ()


class TestRepairs:
    @settings(max_examples=40)
    @given(histories(parts=6), counts())
    def test_plan_does_what_it_predicts_once_and_can_be_undone(
        self, steps: list[Step], observed: list[Count]
    ) -> None:
        """I18: the same counts then match, nothing else moved, and undoing restores it all."""
        repair_and_take_back(new_shop(), steps, observed)

    @settings(max_examples=10)
    @given(histories(parts=6), counts())
    def test_plan_does_the_same_on_sqlite(self, steps: list[Step], observed: list[Count]) -> None:
        """The promises of a plan do not depend on the storage."""
        with on_sqlite() as shop:
            repair_and_take_back(shop, steps, observed)

    @settings(max_examples=30)
    @given(histories(parts=6), counts(), histories(parts=4))
    def test_line_is_written_unless_what_it_rests_on_has_changed(
        self, steps: list[Step], observed: list[Count], meanwhile: list[Step]
    ) -> None:
        """
        Trade after a count disturbs nothing.

        What stops its line: a late fact, a newer count, or, where it counts no lot, that all
        there is has come in lots since.
        """
        shop = new_shop()
        play(shop, steps)
        shop.clock.tick(DONE)
        plan = shop.inventory.reconcile(observed).plan()
        known = {line.id: rested_on(shop.inventory, line) for line in plan.written}
        play(shop, meanwhile)
        moved = {line.id: rested_on(shop.inventory, line) for line in plan.written}
        newer = [each for each in shop.inventory.feed(limit=10_000) if each.kind is Kind.COUNT]
        done = shop.inventory.repair(plan, approved_by="sam", breaker=None)
        assert set(done.applied) | set(done.skipped) == set(known)
        for line in plan.written:
            if line.id in done.applied:
                assert known[line.id] == moved[line.id]
            elif known[line.id] == moved[line.id]:
                assert line.basis is not None
                as_of = line.basis.as_of
                assert any(count.occurred_at > as_of for count in newer) or (
                    not line.basis.lot and lies_in_lots(shop.inventory, line)
                )
        assert shop.inventory.verify().problems == ()

    @settings(max_examples=30)
    @given(histories(parts=6), counts(), st.sets(st.integers(0, 11)))
    def test_part_of_a_plan_is_a_plan(
        self, steps: list[Step], observed: list[Count], chosen: set[int]
    ) -> None:
        """Cut down, a plan predicts what it does; the rest can follow, and writes only that."""
        shop = new_shop()
        play(shop, steps)
        shop.clock.tick(DONE)
        plan = shop.inventory.reconcile(observed).plan()
        part = plan.only(ids={x.id for n, x in enumerate(plan.written) if n in chosen})
        preview = part.preview()
        shop.inventory.repair(part, approved_by="sam", breaker=None)
        for key, expected in {line.key: line.on_hand[1] for line in preview.lines}.items():
            assert shop.inventory.figures(key.sku, at=key.location, lot=key.lot).on_hand == expected
        whole = shop.inventory.repair(plan, approved_by="ann", breaker=None)
        assert set(whole.applied) >= {line.id for line in part.written}
        assert shop.inventory.verify().problems == ()

    @settings(max_examples=60)
    @given(late_facts(), st.integers(0, 8), st.sampled_from(COVERS), st.booleans())
    def test_late_facts_and_repairs_come_in_any_order(
        self,
        facts: list[Operation],
        quantity: int,
        covers: frozenset[State],
        stored: bool,  # noqa: FBT001 -- drawn
    ) -> None:
        """Heard of before or after a repair, they leave the same shelf; undone, they alone count."""
        ends = []
        with (
            on_sqlite() if stored else nullcontext(new_shop()) as early,
            nullcontext(new_shop()) as late,
        ):
            for shop, first in ((early, True), (late, False)):
                inventory = shop.inventory
                inventory.receive("MUG", 9, at="berlin", occurred_at=START)
                shop.clock.tick(DONE)
                seen = Count("MUG", quantity, at="berlin", counted_at=NOON, covers=covers)
                if first:
                    inventory.record(facts)
                plan = inventory.reconcile([seen]).plan()
                inventory.repair(plan, approved_by="sam", breaker=None)
                if not first:
                    inventory.record(facts)
                assert inventory.reconcile([seen]).ok
                repaired = inventory.figures("MUG", at="berlin")
                if plan.written:
                    inventory.undo_repair(plan.id, reason="a drill")
                assert inventory.verify().problems == ()
                ends.append((repaired, inventory.figures("MUG", at="berlin")))
        (early_repaired, early_undone), (late_repaired, late_undone) = ends
        assert (early_repaired, early_undone) == (late_repaired, late_undone)

    @settings(max_examples=30)
    @given(histories(parts=6), counts())
    def test_plan_survives_the_way_through_json(
        self, steps: list[Step], observed: list[Count]
    ) -> None:
        """An approved plan is a record: read back, it is the same plan with the same lines."""
        shop = new_shop()
        play(shop, steps)
        shop.clock.tick(DONE)
        report = shop.inventory.reconcile(observed)
        plan = report.plan()
        assert Plan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan
        assert Reconciliation.from_dict(json.loads(json.dumps(report.to_dict()))) == report

    @settings(max_examples=40)
    @given(st.integers(0, 2**32))
    def test_plan_keeps_its_promise_where_clocks_are_off(self, seed: int) -> None:
        """With late reports and skewed clocks, what is written matches, and nothing else breaks."""
        world = World(seed, skus=2, rounds=3, per_round=3, seen=3)
        for _ in world.rounds():
            pass
        inventory = world.inventory
        found = [each.seen for each in world.observed if isinstance(each.seen, Count)]
        observed = [attrs.evolve(each, counter=f"c-{n}") for n, each in enumerate(found)]
        sources = [*SKEWED, Source("ledger", skew=timedelta(seconds=1))]
        report = inventory.reconcile(observed, sources=sources)
        plan = report.plan()
        before = figures_of(inventory)
        done = inventory.repair(plan, approved_by="sam", breaker=None)
        assert set(done.applied) | set(done.skipped) == {line.id for line in plan.written}
        assert set(done.skipped.values()) <= {"the lines before it have put it right"}
        again = inventory.reconcile(observed, sources=sources)
        assert seen(again) <= seen(report) - written(plan, report)
        inventory.undo_repair(plan.id, reason="a drill")
        assert figures_of(inventory) == before


def lies_in_lots(inventory: Inventory, line: PlanLine) -> bool:
    """Return whether all there is on the shelf of a line is in lots."""
    shelf = inventory.stock(sku=line.sku, at=line.at)
    return StockKey(line.sku, line.at, "") not in shelf and any(
        found.on_hand for found in shelf.values()
    )


def rested_on(inventory: Inventory, line: PlanLine) -> list[tuple[str, int]]:
    """Return what a line rests on, as the ledger knows it now: lots and their figures then."""
    basis = line.basis
    assert basis is not None
    keys = {*inventory.stock(sku=line.sku, at=line.at), line.key}
    lots = sorted(key.lot for key in keys if basis.all_lots or key.lot == basis.lot)
    found = []
    for lot in lots:
        then = inventory.as_of(line.sku, basis.as_of, at=line.at, lot=lot)
        units = sum(then[state] for state in basis.covers)
        if units:
            found.append((lot, units))
    return found

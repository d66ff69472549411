"""Movements undone and corrected, shelves counted, comparisons repaired and taken back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from truecount.errors import AlreadyReversed
from truecount.model.commands import Correct, Undo
from truecount.model.facts import Counted, Damaged, Received, Sold
from truecount.model.instants import to_instant
from truecount.model.places import ON_HAND, STATES, State
from truecount.model.stock import Figures, StockKey
from truecount.reconciliation.findings import FindingKind
from truecount.reconciliation.observations import Count, Level
from truecount.reconciliation.plan import Plan
from truecount.testing.claims import expect
from truecount.testing.machine.base import ANY, LOTS, LOTTED, PLACES, START, TRUSTED, ShopMachine


_which: Final = st.integers(0, 999)
_covers: Final = st.sampled_from((ON_HAND - {State.PICKED}, ON_HAND, frozenset({State.SELLABLE})))
_shelves: Final = st.builds(
    StockKey, st.sampled_from(ANY.skus), st.sampled_from(PLACES), st.just("")
) | st.builds(StockKey, st.just("MILK"), st.sampled_from(PLACES), st.just(LOTTED.lot))
_hours: Final = st.none() | st.integers(-72, 24)


class Mistakes(ShopMachine):
    """Something was said wrongly, and is undone or corrected."""

    def one_of_the_last(self, which: int) -> str | None:
        """Return a movement of the newest ones, but none of an order the model predicts."""
        told = [each for each in self.model.ledger.told if each.reference not in TRUSTED]
        return told[-1 - which % min(8, len(told))].id if told else None

    @rule(which=_which)
    def undo(self, which: int) -> None:
        """A whole movement is taken back: every figure as if it had never been."""
        id_ = self.one_of_the_last(which)
        if id_ is None:
            return
        outcome = self.do(Undo(movement_id=id_, reason="a drill"))
        if outcome.granted:
            again = self.do(Undo(movement_id=id_, reason="another drill"))
            expect(type(again.error), AlreadyReversed, f"undo {id_} again")

    @rule(
        which=_which,
        quantity=st.none() | st.integers(0, 6),
        sku=st.none() | st.sampled_from(ANY.skus),
        at=st.none() | st.sampled_from(PLACES),
        lot=st.none() | st.none() | st.sampled_from(LOTS),
    )
    def correct(
        self,
        which: int,
        quantity: int | None,
        sku: str | None,
        at: str | None,
        lot: str | None,
    ) -> None:
        """A movement is replaced by what should have been said."""
        id_ = self.one_of_the_last(which)
        if id_ is None or (quantity, sku, at, lot) == (None, None, None, None):
            return
        reason = "a drill"
        self.do(Correct(movement_id=id_, quantity=quantity, sku=sku, at=at, lot=lot, reason=reason))


class Counting(ShopMachine):
    """Shelves are counted while trade goes on, compared, repaired, and repairs taken back."""

    def __init__(self) -> None:
        super().__init__()
        self.plans: list[Plan] = []
        self.repaired: list[str] = []

    @rule(shelf=_shelves, quantity=st.integers(0, 9), hours=_hours, covers=_covers)
    def count(
        self, shelf: StockKey, quantity: int, hours: int | None, covers: frozenset[State]
    ) -> None:
        """A count is taken against the book as of its moment, and stands."""
        self.count_one(shelf, quantity, hours, covers)

    @rule(
        shelf=_shelves,
        quantity=st.integers(0, 9),
        covers=_covers,
        late=st.lists(st.sampled_from((Received, Sold, Damaged)), min_size=1, max_size=3),
        undoes=st.booleans(),
    )
    def count_and_hear(
        self,
        shelf: StockKey,
        quantity: int,
        covers: frozenset[State],
        late: Sequence[type[Received | Sold | Damaged]],
        *,
        undoes: bool,
    ) -> None:
        """What happened before a count is told after it; the count may be taken back."""
        counted = self.count_one(shelf, quantity, None, covers)
        for hours, kind in enumerate(late):
            when = START - timedelta(hours=hours + 1)
            self.do(kind(shelf.sku, 2, at=shelf.location, lot=shelf.lot, occurred_at=when))
        if undoes and counted is not None:
            self.do(Undo(movement_id=counted, reason="a drill"))

    def count_one(
        self, shelf: StockKey, quantity: int, hours: int | None, covers: frozenset[State]
    ) -> str | None:
        """Count a shelf; return the movement that says so."""
        sku, at, lot = shelf
        when = None if hours is None else START + timedelta(hours=hours)
        moment = None if when is None else to_instant(when)
        book = self.model.counts.figure(shelf, covers, moment)
        told = self.model.ledger.figures(sku, at, lot, time=when)
        outcome = self.do(Counted(sku, quantity, at=at, lot=lot, counted_at=when, covers=covers))
        if not outcome.granted:
            return None
        seen = self.inventory.counted(outcome.movements[-1])
        expect((seen.counted, seen.covers), (quantity, covers), f"what was counted of {sku}")
        expected = sum(n for state, n in zip(STATES, told, strict=True) if state in covers)
        if shelf not in self.model.counts.aside:
            expect(expected, book, f"movements and facts of {sku} at {at} by {when}")
        expect(outcome.result["expected"], expected, f"what was expected of {sku} at {at}")
        if when is not None:
            then = self.inventory.as_of(sku, when, at=at, lot=lot)
            expect(sum(then[state] for state in covers), quantity, f"A1: {sku} at {at} as counted")
        return outcome.movements[-1]

    @rule(hours=_hours)
    def audit(self, hours: int | None) -> None:
        """Whoever counts what the book says finds nothing but what a later count denies (I18)."""
        moment = self.past(hours)
        time = self.clock.now if moment is None else moment
        counts = []
        for key in self.inventory.stock():
            figures = self.inventory.as_of(key.sku, time, at=key.location, lot=key.lot)
            there = sum(figures[state] for state in ON_HAND - {State.PICKED})
            if there >= 0:
                at, lot = key.location, key.lot
                counts.append(Count(key.sku, there, at=at, lot=lot, counted_at=time))
        # What a count found missing arose before it, as long before as clocks may be off.
        skews = [each.skew for each in self.inventory.sources]
        surely_later = time + 2 * max(skews, default=timedelta(0))
        found = [
            str(each)
            for each in self.inventory.reconcile(counts).mismatches
            if each.superseded_at is None or each.superseded_at > surely_later
        ]
        expect(found, [], "mismatches with the book itself")

    @rule(sku=st.sampled_from(ANY.skus), published=st.integers(0, 9))
    def show(self, sku: str, published: int) -> None:
        """A level that shows what is available is no mismatch, whatever was published (I19)."""
        self.inventory.published("site", {sku: published})
        if sku in self.model.bundles.recipes or not self.inventory.stock(sku=sku):
            return
        self.catch_time_up()
        before = self.contents()
        level = Level("site", sku, max(0, self.inventory.available(sku)))
        report = self.inventory.reconcile([level])
        expect(list(map(str, report.mismatches)), [], f"mismatches of a right level of {sku}")
        expect(self.contents(), before, "everything after a comparison")

    @rule(
        seen=st.dictionaries(
            st.tuples(st.sampled_from(ANY.skus), st.sampled_from(PLACES)),
            st.integers(0, 9),
            min_size=1,
            max_size=4,
        ),
        hours=_hours,
    )
    def compare(self, seen: dict[tuple[str, str], int], hours: int | None) -> None:
        """Somebody counts, and a plan is made; nothing is written."""
        moment = self.past(hours)
        before = self.contents()
        counts = [Count(sku, n, at=at, counted_at=moment) for (sku, at), n in seen.items()]
        report = self.inventory.reconcile(counts)
        expect(self.contents(), before, "everything after a comparison")
        self.plans.append(report.plan())

    @precondition(lambda self: bool(self.plans))
    @rule(which=_which)
    def repair(self, which: int) -> None:
        """A plan is approved, maybe long after: each line is written once or skipped (I18)."""
        plan = self.plans[which % len(self.plans)]
        before = self.figures()
        done = self.inventory.repair(plan, approved_by="sam", breaker=None)
        self.catch_up()
        self.follow()
        lines = {line.id: line.key for line in plan.written}
        expect({*done.applied, *done.skipped, *done.undone}, set(lines), "lines of a plan")
        mine = {(key.sku, key.location) for key in lines.values()}
        expect(self.besides(mine), self.besides(mine, before), "what no line of the plan is about")
        after = self.contents()
        again = self.inventory.repair(plan, approved_by="ann", breaker=None)
        expect((again.replayed, self.contents()), (True, after), "a plan repaired again")
        self.repaired.append(plan.id)

    @precondition(lambda self: bool(self.repaired))
    @rule(which=_which)
    def undo_repair(self, which: int) -> None:
        """A repair is taken back, line by line, and taking it back again changes nothing."""
        plan_id = self.repaired[which % len(self.repaired)]
        self.inventory.undo_repair(plan_id, reason="a drill")
        self.catch_up()
        self.follow()
        after = self.contents()
        again = self.inventory.undo_repair(plan_id, reason="a drill")
        expect((dict(again.applied), self.contents()), ({}, after), "a repair taken back again")

    @rule()
    def look(self) -> None:
        """Whatever is below its floor is found (I4)."""
        opened = self.inventory.findings().open
        found = {
            (each.sku, each.at, each.lot) for each in opened if each.kind is FindingKind.OVERSOLD
        }
        self.catch_up()
        for key, figures in self.inventory.stock().items():
            floor = 0 if key.lot else -self.model.orders.lent[key.sku]
            if figures.available < floor and tuple(key) not in found:
                raise AssertionError(f"I4: {key}: expected a finding, got {sorted(found)}")

    def figures(self) -> dict[StockKey, Figures]:
        """Return every figure that is not zero."""
        return {key: found for key, found in self.inventory.stock().items() if found != Figures()}

    def besides(
        self, places: set[tuple[str, str]], figures: dict[StockKey, Figures] | None = None
    ) -> dict[StockKey, Figures]:
        """Return the figures of all other SKUs and locations."""
        figures = self.figures() if figures is None else figures
        return {key: found for key, found in figures.items() if key[:2] not in places}

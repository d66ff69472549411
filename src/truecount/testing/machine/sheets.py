"""Count sheets: opened, counted by one and by another, posted twice, closed while trade goes on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

import attrs
from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from truecount.counting.sheets import ShelfCount
from truecount.errors import (
    AlreadyCounted,
    DocumentExists,
    InvalidRequest,
    SheetClosed,
    SheetUnfinished,
    TrueCountError,
    UnknownReference,
)
from truecount.model.facts import Received
from truecount.model.instants import to_datetime
from truecount.model.places import ON_HAND, STATES, State
from truecount.testing.claims import expect, expect_raises
from truecount.testing.machine.base import LOTTED, PLACES, PLAIN, ShopMachine


#: What a count of a shelf sees.
_COVERS: Final = ON_HAND - {State.PICKED}
_COUNTERS: Final = ("kim", "sam", "ana")
#: Plain goods without a lot, milk with one.
_ITEMS: Final = (*((sku, "") for sku in PLAIN.skus), ("MILK", LOTTED.lot))

_items: Final = st.sampled_from(_ITEMS)
_which: Final = st.integers(0, 999)
#: By how much somebody finds more or less than the book says: mostly by nothing.
_off: Final = st.sampled_from((0, 0, 0, 1, -1, 3))
_found: Final = st.tuples(_items, _off)
_hours: Final = st.none() | st.none() | st.integers(-3, 24)


@attrs.define
class _Sheet:
    """A sheet as it must be: the counts of each line, each with what the book said then."""

    at: str
    lines: dict[tuple[str, str], list[tuple[str, int, int]]]
    closed: bool = False

    def settled(self, item: tuple[str, str]) -> bool:
        """Return whether the last count is right, or as wrong as another counter's."""
        counts = self.lines[item]
        if not counts:
            return False
        last, found, there = counts[-1]
        rivals = {quantity - book for counter, quantity, book in counts if counter != last}
        return found == there or found - there in rivals

    def ready(self, item: tuple[str, str], *, reasons: bool) -> bool:
        """Return whether a line can be applied: settled, and with a reason when it differs."""
        if not self.settled(item):
            return False
        _, found, there = self.lines[item][-1]
        return reasons or found == there

    def stands(self, item: tuple[str, str], book: int, *, reasons: bool) -> bool:
        """Return whether a line that is ready still is when the book now says *book* of then."""
        return reasons or self.lines[item][-1][1] == book


class Sheets(ShopMachine):
    """Aisles are counted blind, recounted by somebody else, and applied at once."""

    def __init__(self) -> None:
        super().__init__()
        self.sheets: dict[str, _Sheet] = {}

    def sheet_of(self, which: int) -> str:
        """Return a sheet, an open one if there is one."""
        opened = [name for name, sheet in self.sheets.items() if not sheet.closed]
        chosen = opened or [*self.sheets]
        return chosen[which % len(chosen)]

    def open_sheet(self, at: str, items: set[tuple[str, str]]) -> str:
        """Open a sheet: one to a reference, and no counts before there is."""
        name = f"sheet-{len(self.sheets)}"
        error = self.posted(name, [ShelfCount("MUG", 1)], "kim")
        expect(type(error), UnknownReference, f"counts of {name}, which was never opened")
        shown = self.inventory.counts.sheet(name, sorted(items), at=at)
        expect([(line.sku, line.lot) for line in shown.left], sorted(items), "lines of a sheet")
        self.sheets[name] = _Sheet(at, {item: [] for item in sorted(items)})
        before = self.contents()
        expect_raises(
            DocumentExists,
            lambda: self.inventory.counts.sheet(name, ["MUG"], at=at),
            f"{name} opened again",
        )
        expect(self.contents(), before, "everything after a sheet was opened twice")
        return name

    @rule(
        at=st.sampled_from(PLACES),
        found=st.lists(_found, min_size=1, unique_by=lambda each: each[0]),
        off=st.dictionaries(_items, _off),
        hours=_hours,
        came=st.integers(0, 2),
        reasons=st.booleans(),
        closes=st.booleans(),
    )
    def walk(
        self,
        at: str,
        found: Sequence[tuple[tuple[str, str], int]],
        off: Mapping[tuple[str, str], int],
        hours: int | None,
        came: int,
        *,
        reasons: bool,
        closes: bool,
    ) -> None:
        """An aisle is counted, counted again by somebody else, and mugs come meanwhile."""
        name = self.open_sheet(at, {item for item, _ in found})
        self.count_on(name, "kim", found, self.past(hours))
        again = [(item, off.get(item, units)) for item, units in found]
        self.count_on(name, "sam", again, None)
        if came:
            self.clock.tick()
            self.do(Received("MUG", came, at=at))
        if closes:
            self.close_one(name, reasons=reasons, partial=False)

    @precondition(lambda self: bool(self.sheets))
    @rule(
        which=_which,
        counter=st.sampled_from(_COUNTERS),
        found=st.lists(_found, min_size=1, unique_by=lambda each: each[0]),
        hours=_hours,
    )
    def post(
        self,
        which: int,
        counter: str,
        found: Sequence[tuple[tuple[str, str], int]],
        hours: int | None,
    ) -> None:
        """Somebody counted, now or some time ago, maybe what no sheet asks for."""
        self.count_on(self.sheet_of(which), counter, found, self.past(hours))

    def count_on(
        self,
        name: str,
        counter: str,
        found: Sequence[tuple[tuple[str, str], int]],
        moment: datetime | None,
    ) -> None:
        """Post what somebody found, each by how much it is off, and say it again."""
        sheet = self.sheets[name]
        counts, books = [], {}
        for (sku, lot), off in found:
            book = self.in_book(sku, sheet.at, lot, moment)
            quantity = max(0, book + off)
            counts.append(ShelfCount(sku, quantity, lot=lot, counted_at=moment))
            books[sku, lot] = (quantity, book)
        error = self.posted(name, counts, counter)
        if isinstance(error, SheetClosed) or sheet.closed:
            expect((type(error), sheet.closed), (SheetClosed, True), f"counts of {name}, closed")
        elif isinstance(error, AlreadyCounted):
            known = [said for item in books for said in sheet.lines.get(item, ())]
            if counter not in [said[0] for said in known]:
                raise AssertionError(f"{counter}: expected {name} counted, got {error!r}")
        elif error is None:
            self.take(sheet, counter, books)
            before = self.contents()
            expect(self.posted(name, counts, counter), None, f"the same counts of {name} again")
            expect(self.contents(), before, "everything after counts were posted again")
        self.check_sheet(name)

    def posted(
        self, name: str, counts: Sequence[ShelfCount], counter: str
    ) -> TrueCountError | None:
        """Post counts; return what they were refused with, which has written nothing."""
        before = self.contents()
        try:
            self.inventory.counts.post(name, counts, counter=counter)
        except (AlreadyCounted, SheetClosed, InvalidRequest) as error:
            expect(self.contents(), before, f"I13: everything after {error!r}")
            return error
        return None

    @staticmethod
    def take(sheet: _Sheet, counter: str, books: dict[tuple[str, str], tuple[int, int]]) -> None:
        """Write down what was counted; what a counter said before stands."""
        for item, (quantity, book) in books.items():
            counts = sheet.lines.setdefault(item, [])
            before = [said for said in counts if said[0] == counter]
            if before:
                expect(quantity, before[-1][1], f"what {counter} says of {item} again")
            else:
                counts.append((counter, quantity, book))

    @precondition(lambda self: bool(self.sheets))
    @rule(which=_which, reasons=st.booleans(), partial=st.booleans())
    def close(self, which: int, *, reasons: bool, partial: bool) -> None:
        """Every settled line is applied at the moment it was counted, or nothing is."""
        self.close_one(self.sheet_of(which), reasons=reasons, partial=partial)

    def close_one(self, name: str, *, reasons: bool, partial: bool) -> None:
        """Close a sheet; what is ready, and whether that is enough, is known before."""
        sheet = self.sheets[name]
        settled = [item for item in sheet.lines if sheet.ready(item, reasons=reasons)]
        books = self.books_now(name)
        ready = [
            item
            for item in settled
            if sheet.stands(item, books[item], reasons=reasons)
            and not self.is_in_lots(*item, at=sheet.at)
        ]
        refused = not partial and len(ready) < len(sheet.lines) and not sheet.closed
        before = self.contents()
        given: dict[str | tuple[str, str], str] = dict.fromkeys(sheet.lines, "found so")
        given = given if reasons else {}
        try:
            self.inventory.counts.close(name, reasons=given, partial=partial)
        except SheetUnfinished as error:
            expect(self.contents(), before, f"I8: everything after {error!r}")
            unready = [item for item in sheet.lines if item not in settled]
            unready = unready or [item for item in settled if item not in ready]
            unready = unready if refused else []
            expect([(sku, lot) for sku, lot, _ in error.open], unready, f"what {name} lacks")
            return
        if refused:
            raise AssertionError(f"{name}: expected it unfinished, got it closed with {ready}")
        if sheet.closed:
            expect(self.contents(), before, f"everything after {name} was closed again")
            return
        sheet.closed = True
        self.catch_up()
        self.follow()
        self.check_applied(name, ready)

    def check_applied(self, name: str, ready: Sequence[tuple[str, str]]) -> None:
        """Check that the book follows each line that was ready, as of its moment (A1)."""
        report = self.inventory.counts.report(name)
        applied = [line for line in report.lines if line.is_applied]
        expect([(line.sku, line.lot) for line in applied], [*ready], f"applied lines of {name}")
        for line in applied:
            moment = to_datetime(line.counts[-1].counted_at)
            book = self.in_book(line.sku, report.at, line.lot, moment)
            expect(book, line.counted, f"A1: {line.sku} at {report.at} as counted")

    def books_now(self, name: str) -> dict[tuple[str, str], int]:
        """Return what the book says by now of the moments at which lines were counted last."""
        report = self.inventory.counts.report(name)
        return {
            (line.sku, line.lot): self.in_book(
                line.sku, report.at, line.lot, to_datetime(line.counts[-1].counted_at)
            )
            for line in report.lines
            if line.counts
        }

    def is_in_lots(self, sku: str, lot: str, *, at: str) -> bool:
        """Return whether a shelf counted without a lot has nothing but lots by now."""
        moved = {entry.key.lot for entry in self.inventory.history(sku, at=at, last=None)}
        if lot or "" in moved:
            return False
        found = [self.model.ledger.figures(sku, at, each) for each in moved]
        return any(
            sum(n for state, n in zip(STATES, each, strict=True) if state in ON_HAND)
            for each in found
        )

    def check_sheet(self, name: str) -> None:
        """Check that a sheet has the counts it was given, and asks for what is not settled."""
        sheet, report = self.sheets[name], self.inventory.counts.report(name)
        seen = {
            (line.sku, line.lot): [(c.counter, c.quantity, c.expected) for c in line.counts]
            for line in report.lines
        }
        expect(seen, sheet.lines, f"counts of {name}")
        if not sheet.closed:
            left = [(line.sku, line.lot) for line in self.inventory.counts.sheet(name).left]
            wanted = [item for item in sheet.lines if not sheet.settled(item)]
            expect(left, wanted, f"what is left to count of {name}")

    def in_book(self, sku: str, at: str, lot: str, moment: datetime | None) -> int:
        """Return how many units a count would find if the book were right."""
        figures = self.model.ledger.figures(sku, at, lot, time=moment)
        return sum(n for state, n in zip(STATES, figures, strict=True) if state in _COVERS)

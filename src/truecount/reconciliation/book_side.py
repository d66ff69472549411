"""
What a comparison asks the book: figures then, and what explains a difference. A reader inside.

``comparing`` judges with it; the arithmetic is in ``windows``, ``promisable`` and ``reach``.

Complexity: of a figure as ``windows`` says; of a question as its method says.
"""

from __future__ import annotations

import heapq
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from functools import reduce
from itertools import groupby, islice
from operator import sub
from typing import Final, TypeAlias

import attrs

from truecount.bundles.netting import capacity, net
from truecount.model.instants import Instant
from truecount.model.recipes import Bill
from truecount.model.stock import Amounts, StockKey, StockRow, never_netted
from truecount.protocols.storage import Reader
from truecount.reconciliation import reach as reaches
from truecount.reconciliation.basis import Basis, basis_of, recounted_at
from truecount.reconciliation.conditions import oversold
from truecount.reconciliation.kits import NO_KIT, Bills, Kits
from truecount.reconciliation.mismatches import Case, Was
from truecount.reconciliation.observations import Count, Formula, Level, Shown
from truecount.reconciliation.promisable import available_reach
from truecount.reconciliation.published import Push, published_levels
from truecount.reconciliation.reach import Reach
from truecount.reconciliation.view import (
    EVIDENCE_MAX,
    SELLABLE,
    Shelf,
    View,
    endangered,
    folded,
    newest_first,
)
from truecount.reconciliation.windows import (
    SUMS,
    Clocks,
    Rows,
    Span,
    past_of,
    sum_reach,
    weights_of,
)


#: Entries walked back to find when a level shown was the book's.
PATH_MAX: Final = 1000

#: What a source's figures were read for: its locations, when, which figure.
_Scope: TypeAlias = tuple[frozenset[str] | None, Span, Shown]
#: The reach of a figure at each location.
_Places: TypeAlias = Mapping[str, Reach]


@attrs.define(eq=False)
class BookSide:
    """One reading of the book, with the bounds of those who stamp and show."""

    view: View
    clocks: Clocks
    kits: Kits
    #: Figures of components, which many kits share, as long as they are read alike.
    _parts: dict[str, _Places] = attrs.field(factory=dict, init=False)
    _parts_of: _Scope | None = attrs.field(default=None, init=False)
    #: SKUs of the book by what is left without case, spaces and leading zeros; read when asked.
    _spellings: dict[str, list[str]] | None = attrs.field(default=None, init=False)

    @property
    def reader(self) -> Reader:
        """Where the book is read."""
        return self.view.reader

    # --- figures -----------------------------------------------------------------------

    def reach(self, seen: Count | Level, rows: Rows, span: Span) -> Reach:
        """Return the values that may have been seen of the keys *rows*."""
        if isinstance(seen, Count):
            past = past_of(self.reader, self.clocks, rows, span)
            return sum_reach(self.clocks, past, weights_of(seen.covers))
        return self.shown(seen, rows, span, self.clocks.formula(seen.source).shows)

    def shown(self, seen: Level, rows: Rows, span: Span, shows: Shown) -> Reach:
        """Return what the source may have shown, if it shows the figure *shows*."""
        formula = self.clocks.formula(seen.source)
        return self._units(seen, rows, span, shows).mapped(formula)

    def _units(self, seen: Level, rows: Rows, span: Span, shows: Shown = Shown.AVAILABLE) -> Reach:
        """Return how many units, or kits, its level may have been made of."""
        formula = self.clocks.formula(seen.source)
        scope = (seen.at, span, shows)
        several = [
            self._figure(rows, span, shows)
            if bill is None
            else self._capacity(bill, scope, apart=formula.kits_apart)
            for bill in self.bills(seen, span)
        ]
        return reduce(reaches.either, several)

    def bills(self, seen: Count | Level, span: Span) -> Bills:
        """Return what a SKU was made by when it was seen; a shelf holds what is assembled."""
        if isinstance(seen, Count):
            return NO_KIT
        return self.kits.bills(seen.sku, span, self.clocks.formula(seen.source).shows)

    def _figure(self, rows: Rows, span: Span, shows: Shown) -> Reach:
        past = past_of(self.reader, self.clocks, rows, span)
        if shows is Shown.AVAILABLE:
            return available_reach(self.reader, self.clocks, past, rows)
        return sum_reach(self.clocks, past, SUMS[shows])

    def _capacity(self, bill: Bill, scope: _Scope, *, apart: bool) -> Reach:
        """
        Return how many kits there may have been, as ``bundles.availability`` counts them.

        More of any component never makes fewer kits: going down the levels less is left to
        be made, so less is short. So what the lowest figures make, and the highest, bounds
        what was there (netting: Orlicky, *Material Requirements Planning*, 1975).
        """
        family = bill.family
        places = {sku: self._places(sku, scope) for sku in family}
        locations = sorted({name for each in places.values() for name in each})
        shelves = [[places[sku].get(name, _NOTHING) for sku in family] for name in locations]
        if apart:
            shelves = [[_pooled(parts) for parts in zip(*shelves, strict=True)]]

        def made(units: Sequence[int]) -> int:
            return capacity(bill, dict(zip(family, units, strict=True)))

        total = _NOTHING
        for shelf in shelves:
            total = reaches.plus(total, reaches.made_of(shelf, made))
        return total

    def _places(self, sku: str, scope: _Scope) -> _Places:
        """Return a figure of a component at each location."""
        if scope != self._parts_of:
            self._parts, self._parts_of = {}, scope
        found = self._parts.get(sku)
        if found is None:
            at, span, shows = scope
            rows = groupby(_drawn_on(at, self.reader.stock(sku)), lambda item: item[0].location)
            found = {name: self._figure(list(here), span, shows) for name, here in rows}
            self._parts[sku] = found
        return found

    def depends_on(self, seen: Level, span: Span) -> frozenset[str] | None:
        """
        Return the SKUs a kit is made of: the lowest ones, and kits inside that may be in stock.

        None for what was no kit.
        """
        bills = [bill for bill in self.bills(seen, span) if bill is not None]
        scope = (seen.at, span, self.clocks.formula(seen.source).shows)
        stocked = {
            sku
            for bill in bills
            for sku in bill.inner
            if any(reach.highest > 0 for reach in self._places(sku, scope).values())
        }
        lowest = {sku for bill in bills for sku, _ in bill.leaves}
        return frozenset(lowest | stocked) if bills else None

    def rows_behind(self, seen: Count | Level, rows: Rows, span: Span) -> Rows:
        """Return the stock rows a figure is made of, those of a kit's components included."""
        family = {sku for bill in self.bills(seen, span) if bill for sku in bill.family}
        parts = sorted(family - {seen.sku})
        return [*rows, *(row for sku in parts for row in rows_of(seen, self.reader.stock(sku)))]

    # --- questions ---------------------------------------------------------------------

    def is_oversold(self, rows: Rows) -> bool:
        """Return whether more is promised of any key than its policy allows."""
        return any(True for shelf in self._shelves(rows) for _ in oversold(self.view, shelf))

    def pushes(self, seen: Level, until: Instant) -> tuple[Push, ...]:
        """Return what was published to a source before it was read, oldest first."""
        known = published_levels(self.reader, seen.source, seen.sku)
        return tuple(push for push in known if push.at <= until)

    def _shelves(self, rows: Rows) -> Iterator[Shelf]:
        for key, row in rows:
            lines = list(self.reader.open_lines(key)) if any(row.promised) else []
            expired = sum(line.held for line in lines if line.has_expired(self.view.now))
            yield Shelf(key, row, lines, expired)

    def at_risk(self, case: Case, rows: Rows, span: Span) -> tuple[str, ...]:
        """
        Return whose promises cannot be kept, the most endangered first.

        By the book's own shortage, by what is missing on the shelf, and by what a source shows
        beyond what may be sold: it will sell that as well, though it is promised to others.
        """
        seen, shelves = case.seen, list(self._shelves(rows))
        if isinstance(seen, Count):
            missing = -case.verdict.delta[1] if case.is_plain else 0
            return self._endangered(shelves, missing - _free(shelves))
        own = self._endangered(shelves, 0)
        if not case.is_plain or case.verdict.delta[0] <= 0 or case.shows is not Shown.AVAILABLE:
            return own
        bill = self.bills(seen, span)[-1]
        offered = seen.quantity * self.clocks.formula(seen.source).pack
        if bill is not None:
            return tuple(dict.fromkeys([*own, *self._in_kits(bill, seen, rows, span)]))
        if offered <= _free(shelves) or not any(shelf.lines for shelf in shelves):
            return own
        beyond = offered - max(_free(shelves), self._units(seen, rows, span).highest)
        return self._endangered(shelves, beyond)

    def _in_kits(self, bill: Bill, seen: Level, rows: Rows, span: Span) -> Iterator[str]:
        """Yield whose components a source sells with kits of which it shows too many."""
        offered = seen.quantity * self.clocks.formula(seen.source).pack
        parts = {
            sku: list(self._shelves(rows_of(seen, self.reader.stock(sku)))) for sku in bill.family
        }
        free = {sku: _free(shelves) for sku, shelves in parts.items()}
        short = net(bill, offered, free).short
        beyond = offered - max(0, self._units(seen, rows, span).highest) if short else 0
        for sku, needed in bill.leaves:
            if sku in short:
                yield from self._endangered(parts[sku], min(short[sku], beyond * needed))

    def _endangered(self, shelves: Sequence[Shelf], missing: int) -> tuple[str, ...]:
        """Return whose promises *missing* units, and those that shelves lack, cannot keep."""
        lacking = {shelf.key: -shelf.free for shelf in shelves}
        return endangered(self.view, lacking, shelves, missing)

    def basis(self, case: Case, rows: Rows, span: Span) -> Basis | None:
        """Return what a repair of the book rests on; None where none can be written."""
        low, high = case.verdict.expected
        if low != high or not case.is_plain or self.bills(case.seen, span) != NO_KIT:
            return None
        return basis_of(self.reader, self.clocks, case.seen, rows, span, expected=low)

    def recounted_at(self, rows: Rows, span: Span) -> Instant | None:
        """Return when a count that stands was taken after what was seen in *span*."""
        return recounted_at(self.reader, self.clocks, rows, span)

    def evidence(self, rows: Rows, until: Instant) -> tuple[str, ...]:
        """Return the newest movements of the keys that had occurred when it was observed."""
        newest: list[tuple[Instant, str]] = []
        for key, row in rows:
            entries = newest_first(self.reader, key, row.version)
            before = (each for each in entries if each.occurred_at <= until)
            newest += [
                (entry.recorded_at, entry.movement_id) for entry in islice(before, EVIDENCE_MAX)
            ]
        ids = dict.fromkeys(id_ for _, id_ in sorted(newest))
        return tuple(ids)[-EVIDENCE_MAX:]

    def path(self, rows: Rows, formula: Formula) -> Iterator[Was]:
        """
        Yield the values the source would have shown before, and when each was superseded.

        As the book knew them, the newest first; holds of the past count as they stood. At
        most ``PATH_MAX`` entries are walked.
        """
        figures = {key: row.amounts for key, row in rows}
        streams = [newest_first(self.reader, key, row.version) for key, row in rows]
        merged = heapq.merge(*streams, key=lambda entry: entry.recorded_at, reverse=True)
        entries = islice(merged, PATH_MAX)
        value = formula(_figure_now(figures.values(), formula.shows))
        for recorded_at, group in groupby(entries, key=lambda entry: entry.recorded_at):
            for entry in group:
                figures[entry.key] = tuple(map(sub, figures[entry.key], entry.change))
            before = formula(_figure_now(figures.values(), formula.shows))
            if before != value:
                value = before
                yield before, recorded_at

    def similar(self, sku: str) -> tuple[str, ...]:
        """Return SKUs of the book that differ only by case, spaces or leading zeros."""
        if self._spellings is None:
            self._spellings = defaultdict(list)
            for known, _ in groupby(self.reader.stock(), key=lambda item: item[0].sku):
                self._spellings[folded(known)].append(known)
        return tuple(self._spellings.get(folded(sku), ()))


def _free(shelves: Iterable[Shelf]) -> int:
    return sum(max(0, shelf.free) for shelf in shelves)


def rows_of(seen: Count | Level, rows: Iterable[tuple[StockKey, StockRow]]) -> Rows:
    """Return the stock rows an observation speaks of."""
    if isinstance(seen, Count):
        return [
            (key, row)
            for key, row in rows
            if key.location == seen.at and seen.lot in {None, key.lot}
        ]
    return list(_drawn_on(seen.at, rows))


def _drawn_on(
    at: frozenset[str] | None, rows: Iterable[tuple[StockKey, StockRow]]
) -> Iterable[tuple[StockKey, StockRow]]:
    return rows if at is None else (each for each in rows if each[0].location in at)


_NOTHING: Final = reaches.point(0)


def _pooled(parts: Iterable[Reach]) -> Reach:
    """Return what several locations have together; one below zero takes nothing from another."""
    total = _NOTHING
    for part in parts:
        total = reaches.plus(total, part.mapped(lambda units: max(0, units)))
    return total


def _figure_now(amounts: Collection[Amounts], shows: Shown) -> int:
    if shows is Shown.AVAILABLE:
        return never_netted([each[SELLABLE] for each in amounts])
    weights = SUMS[shows]
    return sum(
        amount * weight for each in amounts for amount, weight in zip(each, weights, strict=True)
    )

"""
Reads of the PostgreSQL storage: one tenant, one instant, page by page.

Rules:
1. Long results come in pages, each going on after the last row of the one before, so memory
   stays constant and several results may be read at a time.
2. All pages of a reader of our own see one snapshot. In a unit or a host's transaction they
   see what is committed as they are read, and what the transaction wrote itself.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Final

from truecount.model.instants import Instant
from truecount.model.lines import LineRow
from truecount.model.movements import MovementRow
from truecount.model.outcomes import OutcomeRow
from truecount.model.stock import NOTHING, Amounts, EntryRow, StockKey, StockRow, plus
from truecount.protocols.storage import Record
from truecount.storage.postgres import statements as sql
from truecount.storage.postgres.rows import line_row, movement_row, stock_row
from truecount.storage.postgres.session import Session
from truecount.storage.postgres.texts import text_of
from truecount.storage.postgres.wire import Row


#: Rows of a page.
PAGE: Final = 1000

_INT_MIN: Final = -(2**63)


_STOCK_BY: Final = {
    (False, False): sql.STOCK_PAGE,
    (True, False): sql.STOCK_OF_SKU,
    (False, True): sql.STOCK_AT,
    (True, True): sql.STOCK_OF_SKU_AT,
}


class Reader:
    """Reads of one tenant in one transaction."""

    def __init__(
        self, session: Session, tenant: str, number: Callable[[], None] | None = None
    ) -> None:
        self._session = session
        self._tenant = tenant
        #: Numbers what waits, where that can be done before the reading begins.
        self._number = number

    def _pages(
        self,
        statement: str,
        known: Sequence[object],
        start: Sequence[object],
        after: Callable[[Row], Sequence[object]],
    ) -> Iterator[Row]:
        """Yield the rows of *statement*, whose last parameters are where to go on."""
        while True:
            page = self._session.rows(statement, self._tenant, *known, *start, PAGE)
            yield from page
            if len(page) < PAGE:
                return
            start = after(page[-1])

    def stock(
        self, sku: str | None = None, location: str | None = None
    ) -> Iterator[tuple[StockKey, StockRow]]:
        """Yield stock rows in key order. O(log n + keys of the SKU)."""
        statement = _STOCK_BY[sku is not None, location is not None]
        named = [name for name in (sku, location) if name is not None]
        rows = self._pages(statement, named, ("", "", ""), lambda row: row[:3])
        yield from map(stock_row, rows)

    def entries(self, key: StockKey, after: int = 0) -> Iterator[EntryRow]:
        """Yield entries of *key* above version *after*. O(log n) to start."""
        for row in self._pages(sql.ENTRIES, key, (after,), lambda row: row[3:4]):
            yield EntryRow(key, row[3], row[4:12], row[12:20], *row[20:])

    def as_of(self, key: StockKey, instant: Instant, version: int | None = None) -> Amounts:
        """Return figures as of *instant*. O(log n + late entries spanning it)."""
        rows, tenant = self._session.rows, self._tenant
        last: int = rows(sql.VERSION, tenant, *key)[0][0]
        step = 1 << last.bit_length() >> 1
        base: int = rows(sql.LAST_VERSION_UNTIL, tenant, step, instant, *key)[0][0]
        if version is not None:
            last = min(last, version)
            base = min(last, base)
        amounts: Amounts = rows(sql.AFTER, tenant, *key, base)[0] if base > 0 else NOTHING
        for change in rows(sql.LATE, tenant, *key, *key, *key, instant, instant, base, last):
            amounts = plus(amounts, change)
        return amounts

    def movements(self, ids: Iterable[str]) -> Iterator[tuple[int | None, MovementRow]]:
        """Yield known movements in the order of *ids*."""
        wanted = iter(ids)
        while page := list(islice(wanted, PAGE)):
            rows = self._session.rows(sql.MOVEMENTS_OF_IDS, self._tenant, text_of(page))
            yield from map(movement_row, rows)

    def movements_of(self, reference: str) -> Iterator[tuple[int | None, MovementRow]]:
        """Yield the movements under *reference*, in order. O(log n) to start."""
        start = (_INT_MIN, _INT_MIN, "")

        def after(row: Row) -> Sequence[object]:
            return row[4], row[5], row[1]

        yield from map(movement_row, self._pages(sql.MOVEMENTS_OF, (reference,), start, after))

    def feed(self, after: int = 0, limit: int = 1000) -> list[tuple[int, MovementRow]]:
        """
        Return the next movements by position.

        If that is the first thing asked, what was committed by then is numbered before.
        """
        if self._number is not None and self._session.is_fresh:
            self._number()
        return list(map(movement_row, self._session.rows(sql.FEED, self._tenant, after, limit)))

    def lines(self, reference: str) -> list[LineRow]:
        """Return the lines of *reference*, by number."""
        return list(map(line_row, self._session.rows(sql.LINES, self._tenant, reference)))

    def open_lines(self, key: StockKey) -> Iterator[LineRow]:
        """Yield the lines of *key* that still promise units."""

        def after(row: Row) -> Sequence[object]:
            return row[-1], row[0], row[1]

        rows = self._pages(sql.OPEN_LINES, key, (_INT_MIN, "", _INT_MIN), after)
        yield from map(line_row, rows)

    def due_holds(self, before: Instant, limit: int = 1000) -> list[LineRow]:
        """Return expired holds, soonest first."""
        return list(map(line_row, self._session.rows(sql.DUE_HOLDS, self._tenant, before, limit)))

    def records(self, space: str, after: str = "", limit: int = 1000) -> list[Record]:
        """Return documents of *space* by id."""
        found = self._session.rows(sql.RECORDS, self._tenant, space, after, limit)
        return list(map(Record._make, found))

    def spaces(self) -> list[str]:
        """Return the spaces that have documents, sorted."""
        return [row[0] for row in self._session.rows(sql.SPACES, self._tenant)]

    def record(self, space: str, id: str) -> Record | None:
        """Return one document."""
        found = self._session.rows(sql.RECORD_ONE, self._tenant, space, id)
        return Record._make(found[0]) if found else None

    def outcomes(self, after: str = "", limit: int = 1000) -> list[OutcomeRow]:
        """Return outcomes by key."""
        found = self._session.rows(sql.OUTCOMES, self._tenant, after, limit)
        return list(map(OutcomeRow._make, found))

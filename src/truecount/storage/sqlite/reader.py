"""Reads of the SQLite storage: rows as they are stored, in one snapshot."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, Self

from truecount.model.instants import Instant
from truecount.model.lines import LineRow
from truecount.model.movements import MovementRow
from truecount.model.outcomes import OutcomeRow
from truecount.model.stock import NOTHING, Amounts, EntryRow, StockKey, StockRow, made, plus
from truecount.protocols.storage import Record
from truecount.storage.sqlite import statements as sql
from truecount.storage.sqlite.connections import Source
from truecount.storage.sqlite.session import Row, Session


#: More names than this go in as one JSON list; fewer are looked up one by one.
ONE_BY_ONE: Final = 2

#: Writes a list for a statement that takes one.
text: Final[Callable[[Any], str]] = json.JSONEncoder(separators=(",", ":")).encode


def stock_row(row: Row) -> tuple[StockKey, StockRow]:
    """Return a stock row with its key."""
    return made(StockKey, row[:3]), made(StockRow, (row[3:11], *row[11:]))


def line_row(row: Row) -> LineRow:
    """Return a reservation line."""
    return made(LineRow, (*row[:3], made(StockKey, row[3:6]), *row[6:]))


def _movement_row(row: Row) -> tuple[int, MovementRow]:
    """Return a movement with its position."""
    return row[0], made(MovementRow, row[1:])


class Reader:
    """Reads of one tenant in one transaction, open inside ``with``."""

    _session: Session

    def __init__(self, source: Source, tenant: str) -> None:
        self._source = source
        self._tenant = tenant

    def __enter__(self) -> Self:
        self._session = self._source.open()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        session, self._session = self._session, self._source.ended
        self._source.close(session, kind is not None)

    def stock(
        self, sku: str | None = None, location: str | None = None
    ) -> Iterator[tuple[StockKey, StockRow]]:
        """Yield stock rows in key order. O(log n + keys of the SKU)."""
        names = {"sku": sku, "location": location}
        statement = _STOCK_BY[sku is not None, location is not None]
        named = [name for name in names.values() if name is not None]
        for row in self._session.iterate(statement, (self._tenant, *named)):
            found = stock_row(row)
            if found[1].version:
                yield found

    def entries(self, key: StockKey, after: int = 0) -> Iterator[EntryRow]:
        """Yield entries of *key* above version *after*. O(log n) to start."""
        for row in self._session.iterate(sql.ENTRIES, (self._tenant, *key, after)):
            yield EntryRow(key, row[0], row[1:9], row[9:17], *row[17:])

    def as_of(self, key: StockKey, instant: Instant, version: int | None = None) -> Amounts:
        """Return figures as of *instant*. O(log n + late entries spanning it)."""
        rows = self._session.rows
        name = (self._tenant, *key)
        last: int = rows(sql.VERSION, name)[0][0] or 0
        step = 1 << last.bit_length() >> 1
        base: int = rows(sql.LAST_VERSION_UNTIL, (step, instant, *name))[0][0]
        if version is not None:
            last = min(last, version)
            base = min(last, base)
        amounts: Amounts = rows(sql.AFTER, (*name, base))[0] if base > 0 else NOTHING
        for change in rows(sql.LATE, (*name, *name, *name, instant, instant, base, last)):
            amounts = plus(amounts, change)
        return amounts

    def movements(self, ids: Iterable[str]) -> Iterator[tuple[int | None, MovementRow]]:
        """Yield known movements in the order of *ids*."""
        for id_ in ids:
            for row in self._session.rows(sql.MOVEMENT_ID, (self._tenant, id_)):
                yield _movement_row(row)

    def movements_of(self, reference: str) -> Iterator[tuple[int | None, MovementRow]]:
        """Yield the movements under *reference*, in order. O(n log n) in their number."""
        for row in self._session.iterate(sql.MOVEMENTS_OF, (self._tenant, reference)):
            yield _movement_row(row)

    def feed(self, after: int = 0, limit: int = 1000) -> list[tuple[int, MovementRow]]:
        """Return the next movements by position."""
        found = self._session.rows(sql.FEED, (self._tenant, after, limit))
        return [_movement_row(row) for row in found]

    def lines(self, reference: str) -> list[LineRow]:
        """Return the lines of *reference*, by number."""
        return [line_row(row) for row in self._session.rows(sql.LINES, (self._tenant, reference))]

    def open_lines(self, key: StockKey) -> Iterator[LineRow]:
        """Yield the lines of *key* that still promise units."""
        for row in self._session.iterate(sql.OPEN_LINES, (self._tenant, *key)):
            yield line_row(row)

    def due_holds(self, before: Instant, limit: int = 1000) -> list[LineRow]:
        """Return expired holds, soonest first."""
        found = self._session.rows(sql.DUE_HOLDS, (self._tenant, before, limit))
        return [line_row(row) for row in found]

    def records(self, space: str, after: str = "", limit: int = 1000) -> list[Record]:
        """Return documents of *space* by id."""
        found = self._session.rows(sql.RECORDS, (self._tenant, space, after, limit))
        return [Record._make(row) for row in found]

    def spaces(self) -> list[str]:
        """Return the spaces that have documents, sorted."""
        return [row[0] for row in self._session.rows(sql.SPACES, (self._tenant, self._tenant))]

    def record(self, space: str, id: str) -> Record | None:
        """Return one document."""
        found = self._session.rows(sql.RECORD_ONE, (self._tenant, space, id))
        return Record._make(found[0]) if found else None

    def outcomes(self, after: str = "", limit: int = 1000) -> list[OutcomeRow]:
        """Return outcomes by key."""
        found = self._session.rows(sql.OUTCOMES, (self._tenant, after, limit))
        return [OutcomeRow._make(row) for row in found]


_STOCK_BY: Final = {
    (False, False): sql.STOCK_ALL,
    (True, False): sql.STOCK_SKU,
    (False, True): sql.STOCK_LOCATION,
    (True, True): sql.STOCK_PLACE,
}

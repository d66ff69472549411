"""Reads of the PostgreSQL storage."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from tests.postgres.session import Session
from tests.postgres.statements import AT_KEY, ENTRY, LINE, MOVEMENT, OPEN, OUTCOME, RECORD, STOCK
from truecount.model.instants import Instant
from truecount.model.lines import LineRow
from truecount.model.movements import MovementRow
from truecount.model.outcomes import OutcomeRow
from truecount.model.stock import NOTHING, Amounts, EntryRow, StockKey, StockRow, plus
from truecount.protocols.storage import Record


def key_and_row(row: Sequence[Any]) -> tuple[StockKey, StockRow]:
    """Return a stock row with its key."""
    return StockKey(*row[:3]), StockRow(tuple(row[3]), *row[4:])


def entry_of(row: Sequence[Any]) -> EntryRow:
    """Return an entry."""
    return EntryRow(StockKey(*row[:3]), row[3], tuple(row[4]), tuple(row[5]), *row[6:])


def line_of(row: Sequence[Any]) -> LineRow:
    """Return a reservation line."""
    return LineRow(row[0], row[1], row[2], StockKey(*row[3:6]), *row[6:])


def columns(rows: Iterable[Sequence[object]], width: int) -> list[list[object]]:
    """Return sorted rows as one list for each column, as ``unnest`` takes them."""
    found = sorted(rows)  # type: ignore[type-var]  # rows of one call are of one shape
    return [[row[number] for row in found] for number in range(width)]


class Reader:
    """Reads of one tenant through one connection."""

    def __init__(self, session: Session, tenant: str, number: Any = None) -> None:
        self._session = session
        self._tenant = tenant
        #: Numbers what has no position; only until the first statement fixes the instant.
        self._number = number

    def _rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        self._number = None
        return self._session.rows(statement, *values)

    def stock(
        self, sku: str | None = None, location: str | None = None
    ) -> Iterator[tuple[StockKey, StockRow]]:
        """Yield stock rows that have an entry."""
        rows = self._rows(
            f"SELECT {STOCK} FROM {{s}}.stock WHERE tenant = %s AND version > 0"
            " AND (%s::text IS NULL OR sku = %s) AND (%s::text IS NULL OR location = %s)"
            " ORDER BY sku, location, lot",
            *(self._tenant, sku, sku, location, location),
        )
        yield from map(key_and_row, rows)

    def entries(self, key: StockKey, after: int = 0) -> Iterator[EntryRow]:
        """Yield entries of *key* above version *after*."""
        rows = self._rows(
            f"SELECT {ENTRY} FROM {{s}}.entry WHERE tenant = %s AND {AT_KEY} AND version > %s"
            " ORDER BY version",
            *(self._tenant, *key, after),
        )
        yield from map(entry_of, rows)

    def as_of(self, key: StockKey, instant: Instant, version: int | None = None) -> Amounts:
        """Return figures as of *instant*."""
        last = 2**62 if version is None else version
        base = self._rows(
            f"SELECT version, after FROM {{s}}.entry WHERE tenant = %s AND {AT_KEY}"
            " AND version <= %s AND horizon <= %s ORDER BY version DESC LIMIT 1",
            *(self._tenant, *key, last, instant),
        )
        number, amounts = (base[0][0], tuple(base[0][1])) if base else (0, NOTHING)
        late = self._rows(
            f"SELECT change FROM {{s}}.entry WHERE tenant = %s AND {AT_KEY}"
            " AND version > %s AND version <= %s AND lateness > 0 AND occurred_at <= %s",
            *(self._tenant, *key, number, last, instant),
        )
        for (change,) in late:
            amounts = plus(amounts, change)
        return amounts

    def movements(self, ids: Iterable[str]) -> Iterator[tuple[int | None, MovementRow]]:
        """Yield known movements in the order of *ids*."""
        rows = self._rows(
            f"SELECT m.position, {MOVEMENT} FROM unnest(%s::text[]) WITH ORDINALITY AS w(name, n)"
            " JOIN {s}.movement m ON m.tenant = %s AND m.id = w.name ORDER BY w.n",
            *(list(ids), self._tenant),
        )
        yield from ((row[0], MovementRow(*row[1:])) for row in rows)

    def movements_of(self, reference: str) -> Iterator[tuple[int | None, MovementRow]]:
        """Yield the movements under *reference*."""
        rows = self._rows(
            f"SELECT position, {MOVEMENT} FROM {{s}}.movement WHERE tenant = %s AND reference = %s"
            " ORDER BY recorded_at, ordinal, id",
            *(self._tenant, reference),
        )
        yield from ((row[0], MovementRow(*row[1:])) for row in rows)

    def feed(self, after: int = 0, limit: int = 1000) -> list[tuple[int, MovementRow]]:
        """Number what is committed, if this is the first thing read; return a page."""
        if self._number is not None:
            self._number()
        rows = self._rows(
            f"SELECT position, {MOVEMENT} FROM {{s}}.movement WHERE tenant = %s AND position > %s"
            " ORDER BY position LIMIT %s",
            *(self._tenant, after, limit),
        )
        return [(row[0], MovementRow(*row[1:])) for row in rows]

    def lines(self, reference: str) -> list[LineRow]:
        """Return the lines of *reference*."""
        return self._lines("reference = %s ORDER BY number", reference)

    def open_lines(self, key: StockKey) -> Iterator[LineRow]:
        """Yield lines of *key* that still promise units."""
        where = f"{AT_KEY} AND {OPEN} ORDER BY expires_at, reference, number"
        yield from self._lines(where, *key)

    def due_holds(self, before: Instant, limit: int = 1000) -> list[LineRow]:
        """Return expired holds, soonest first."""
        where = "held > 0 AND expires_at <= %s ORDER BY expires_at, reference, number LIMIT %s"
        return self._lines(where, before, limit)

    def _lines(self, where: str, *values: object) -> list[LineRow]:
        statement = f"SELECT {LINE} FROM {{s}}.line WHERE tenant = %s AND {where}"
        return [line_of(row) for row in self._rows(statement, self._tenant, *values)]

    def records(self, space: str, after: str = "", limit: int = 1000) -> list[Record]:
        """Return documents of *space* by id."""
        return self._records("space = %s AND id > %s ORDER BY id LIMIT %s", space, after, limit)

    def spaces(self) -> list[str]:
        """Return the spaces that have documents."""
        statement = (
            "SELECT DISTINCT space FROM {s}.record WHERE tenant = %s AND version > 0 ORDER BY 1"
        )
        return [row[0] for row in self._rows(statement, self._tenant)]

    def record(self, space: str, id: str) -> Record | None:
        """Return one document."""
        return next(iter(self._records("space = %s AND id = %s", space, id)), None)

    def _records(self, where: str, *values: object) -> list[Record]:
        statement = (
            f"SELECT {RECORD} FROM {{s}}.record WHERE tenant = %s AND version > 0 AND {where}"
        )
        return [Record(*row) for row in self._rows(statement, self._tenant, *values)]

    def outcomes(self, after: str = "", limit: int = 1000) -> list[OutcomeRow]:
        """Return outcomes by key."""
        rows = self._rows(
            f"SELECT {OUTCOME} FROM {{s}}.outcome WHERE tenant = %s AND key > %s"
            " ORDER BY key LIMIT %s",
            *(self._tenant, after, limit),
        )
        return [OutcomeRow(*row) for row in rows]

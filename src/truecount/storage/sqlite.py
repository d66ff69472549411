"""
One SQLite file: the embedded default, shared by threads and by processes.

Rules:
1. Writers take turns: ``BEGIN IMMEDIATE`` locks the whole file, so ``lock`` only reads, and
   positions are numbered as movements are written.
2. Readers never wait: the file has a write-ahead log, and one ``read`` is one snapshot.
3. What was acknowledged is on the disk (``synchronous = FULL``), unless asked otherwise.
4. In a host's transaction nothing is committed, rolled back, or asked of its settings.

Statements for one item are prepared once and run many times; lists go in as one JSON
parameter. ``sqlite_schema`` has the tables, ``sqlite_connections`` the connections.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Final, Self

from truecount.errors import (
    ConstraintViolated,
    InvalidArgument,
    KeyTaken,
    NotInTransaction,
    StorageUnavailable,
)
from truecount.model.diagnosis import Diagnosis
from truecount.model.instants import Instant, duration
from truecount.model.lines import LineRow
from truecount.model.movements import MovementRow
from truecount.model.outcomes import OutcomeRow
from truecount.model.stock import (
    EMPTY_ROW,
    NOTHING,
    Amounts,
    EntryRow,
    StockKey,
    StockRow,
    made,
    plus,
)
from truecount.protocols.storage import Changes, Locked, Reader, Record, Unit, Wants
from truecount.storage import sqlite_statements as sql
from truecount.storage.sqlite_connections import Connections, Source
from truecount.storage.sqlite_doctor import diagnosis
from truecount.storage.sqlite_schema import APPLICATION, SCHEMA
from truecount.storage.sqlite_session import Row, Session, translated


_SYNCHRONOUS: Final = ("FULL", "EXTRA", "NORMAL", "OFF")


class SQLiteStorage:
    """
    Keep ledgers in the SQLite file *path*.

    Safe to share between threads; other processes may open the same file. After a fork the
    child uses connections of its own.

    >>> import tempfile
    >>> from truecount import Inventory
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with Inventory(SQLiteStorage(f"{folder}/shop.db")) as inventory:
    ...         inventory.locations.add("berlin")
    ...         receipt = inventory.receive("MUG", 5, at="berlin")
    ...     with Inventory(SQLiteStorage(f"{folder}/shop.db")) as inventory:
    ...         inventory.available("MUG")
    5

    Args:
        path: A file, made when missing; its folder must exist.
        timeout: How long a writer waits for others before ``Retryable`` is raised.
        synchronous: ``"FULL"`` survives a power cut; ``"NORMAL"`` may lose the last commits
            then, ``"OFF"`` the whole file. None of them loses anything when only this
            program dies.
        beside: Keep our tables (``truecount_...``) beside those of another program in its
            file, so that both can be written in one transaction. Turns the file's
            write-ahead log on; SQLite older than 3.37 can then no longer open it.
        read_only: Only read; the file must exist.

    Raises:
        ForeignDatabase: The file is not ours; it was left as it was.
        StorageUnavailable: It cannot be opened.
        Retryable: Another program keeps it locked.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        timeout: timedelta = timedelta(seconds=30),
        synchronous: str = "FULL",
        beside: bool = False,
        read_only: bool = False,
    ) -> None:
        if synchronous not in _SYNCHRONOUS:
            raise InvalidArgument("synchronous", repr(synchronous), f"one of {_SYNCHRONOUS}")
        self._connections = Connections(
            _file(path),
            timeout=duration(timeout, "timeout"),
            synchronous=synchronous,
            read_only=read_only,
            beside=beside,
        )

    @property
    def path(self) -> str:
        """The file, absolute."""
        return self._connections.target

    def begin(self, tenant: str, host: object | None = None) -> AbstractContextManager[Unit]:
        """
        Open a write transaction, or join the one open on *host*, a ``sqlite3.Connection``.

        A host's connection must be open on the same file. If anything but a refusal is
        raised while joined, the host must roll back.

        Raises:
            NotInTransaction: The host has not begun a transaction.
            Retryable: Others are writing; in a host's transaction also: others wrote after
                it had read.
        """
        if self._connections.read_only:
            raise StorageUnavailable(self.path, "it was opened with read_only=True")
        if host is not None:
            return _JoinedUnit(_joined(host, self._connections), tenant)
        return _Unit(self._connections.writes, tenant)

    def read(self, tenant: str, host: object | None = None) -> AbstractContextManager[Reader]:
        """Open a snapshot, or read within the transaction open on *host*."""
        if host is not None:
            return _Reader(_joined(host, self._connections), tenant)
        return _Reader(self._connections.reads, tenant)

    def doctor(
        self,
        *,
        now: datetime | None = None,
        tenant: str = "main",
        followers: Mapping[str, int] | None = None,
    ) -> Diagnosis:
        """
        Return what is unsafe about the file and how it is written, and why; write nothing.

        Args:
            now: The time of this program's clock; by default the system's.
            tenant: Whose feed the followers read.
            followers: Positions of the feed that have been dealt with, by who did.

        Raises:
            InvalidArgument: A position is none.
        """
        return diagnosis(self._connections, now, tenant, followers)

    def close(self) -> None:
        """Close the file; closing again does nothing."""
        self._connections.close()


def _file(path: object) -> str:
    """Return *path* as an absolute file name; databases without a file cannot be shared."""
    name = os.fspath(path) if isinstance(path, (str, os.PathLike)) else None
    if not isinstance(name, str) or not name or "\0" in name or name == ":memory:":
        raise InvalidArgument("path", repr(path), "the name of a file, or use MemoryStorage()")
    return os.path.realpath(name)


# --- joining a host ---------------------------------------------------------------------


def _joined(host: object, connections: Connections) -> Source:
    """Return how a unit joins *host*: it opens nothing, and closes only what it read."""

    def open_() -> Session:
        connections.check()
        connection = _host_connection(host)
        try:
            session = Session(connection, connections.target)
        except sqlite3.Error as error:
            raise translated(error, connections.target) from error
        _check_host(session)
        return session

    def close(session: Session, _failed: bool) -> None:  # noqa: FBT001 -- a Source
        session.finish()

    return Source(open_, close, connections.ended)


def _host_connection(host: object) -> sqlite3.Connection:
    if not isinstance(host, sqlite3.Connection):
        seen = f"of type {type(host).__module__}.{type(host).__qualname__}"
        raise InvalidArgument("host", seen, "an sqlite3.Connection")
    try:
        if not host.in_transaction:
            raise NotInTransaction("execute BEGIN IMMEDIATE first, and commit or roll back after")
    except sqlite3.ProgrammingError as error:
        raise InvalidArgument("host", "that is closed", "an open sqlite3.Connection") from error
    return host


def _check_host(session: Session) -> None:
    """Refuse a connection to another file, and one that changes the values it reads."""
    if not _shows(session, "SELECT 'text'", "text"):
        raise InvalidArgument("host", "with a text_factory", "one that returns text as str")
    file = session.rows("PRAGMA database_list")[0][2]
    if not file or os.path.realpath(file) != session.target:
        raise InvalidArgument(
            "host", f"open on {file or 'a database in memory'!r}", f"one open on {session.target!r}"
        )
    if not _shows(session, sql.META, APPLICATION, SCHEMA):
        raise InvalidArgument(
            "host", "with converters of TEXT or INTEGER", "one that returns them as they are"
        )


def _shows(session: Session, statement: str, *values: object) -> bool:
    """Return whether a statement's one row is *values*, in type as well."""
    row = session.rows(statement)[0]
    return [(type(value), value) for value in row] == [(type(value), value) for value in values]


# --- rows -------------------------------------------------------------------------------

#: More names than this go in as one JSON list; fewer are looked up one by one.
_ONE_BY_ONE: Final = 2

_text: Final[Callable[[Any], str]] = json.JSONEncoder(separators=(",", ":")).encode


def _stock_row(row: Row) -> tuple[StockKey, StockRow]:
    return made(StockKey, row[:3]), made(StockRow, (row[3:11], *row[11:]))


def _line_row(row: Row) -> LineRow:
    return made(LineRow, (*row[:3], made(StockKey, row[3:6]), *row[6:]))


def _movement_row(row: Row) -> tuple[int, MovementRow]:
    return row[0], made(MovementRow, row[1:])


class _Reader:
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
            found = _stock_row(row)
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
        return [_line_row(row) for row in self._session.rows(sql.LINES, (self._tenant, reference))]

    def open_lines(self, key: StockKey) -> Iterator[LineRow]:
        """Yield the lines of *key* that still promise units."""
        for row in self._session.iterate(sql.OPEN_LINES, (self._tenant, *key)):
            yield _line_row(row)

    def due_holds(self, before: Instant, limit: int = 1000) -> list[LineRow]:
        """Return expired holds, soonest first."""
        found = self._session.rows(sql.DUE_HOLDS, (self._tenant, before, limit))
        return [_line_row(row) for row in found]

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


class _Unit(_Reader):
    """One write transaction, which has the file's write lock."""

    #: Outcomes as they were found under the lock, None where there was none.
    _looked_up: Mapping[str, OutcomeRow | None] = MappingProxyType({})

    def lock(self, wants: Wants) -> Locked:
        """Return what *wants* names; the file is locked already."""
        lines = [_line_row(row) for row in self._some(sql.LINES, sql.LINES_OF, wants.orders)]
        rows = self._stock_rows(wants, lines)
        names = wants.records | {("order", reference) for reference in wants.orders}
        records = self._some(sql.RECORD_ONE, sql.RECORD_SOME, names)
        outcomes = {row.key: row for row in self._outcomes(wants.keys_of_requests)}
        self._looked_up = dict.fromkeys(wants.keys_of_requests) | outcomes
        movements = self._some(sql.MOVEMENT_ID, sql.MOVEMENT_IDS, wants.movements)
        return Locked(
            rows,
            lines,
            {row[:2]: Record._make(row) for row in records},
            outcomes,
            {row[1]: MovementRow._make(row[1:]) for row in movements},
        )

    def _stock_rows(self, wants: Wants, lines: Iterable[LineRow]) -> dict[StockKey, StockRow]:
        skus = [sku for sku, location in wants.scopes if not location]
        places = [scope for scope in wants.scopes if scope[1]]
        found = self._some(sql.STOCK_SKU, sql.STOCK_SKUS, skus)
        found += self._some(sql.STOCK_PLACE, sql.STOCK_PLACES, places)
        rows = dict(map(_stock_row, found))
        missing = {line.key for line in lines} | wants.keys
        missing -= rows.keys()
        if missing:
            rows.update(map(_stock_row, self._some(sql.STOCK_KEY, sql.STOCK_KEYS, missing)))
            for key in missing - rows.keys():
                rows[key] = EMPTY_ROW
        return rows

    def _some(self, one: str, some: str, names: Collection[Any]) -> list[Row]:
        """Return the rows of *names*, each a text or a tuple of texts."""
        found: list[Row] = []
        if len(names) > _ONE_BY_ONE:
            return self._session.rows(some, (_text(list(names)), self._tenant))
        for name in names:
            key = (self._tenant, name) if type(name) is str else (self._tenant, *name)
            found += self._session.rows(one, key)
        return found

    def due(self, enough: Mapping[StockKey, int], now: Instant) -> list[LineRow]:
        """Return expired holds of each key until they hold enough."""
        found = []
        for key, quantity in enough.items():
            missing = quantity
            expired = self._session.iterate(sql.EXPIRED, (self._tenant, *key, now))
            while missing > 0 and (row := next(expired, None)) is not None:
                line = _line_row(row)
                found.append(line)
                missing -= line.held
        return found

    def write(self, changes: Changes) -> None:
        """Write all of *changes*; outcomes first, so that a key taken stops it before it began."""
        self._put_outcomes(changes.outcomes)
        tenant = self._tenant
        positions = self._add_movements(changes.movements)
        if changes.entries:
            self._each(sql.ADD_ENTRY, [self._entry(entry, positions) for entry in changes.entries])
        stock = [(tenant, *key, *row.amounts, *row[1:]) for key, row in changes.rows.items()]
        self._each(sql.PUT_STOCK, stock)
        self._each(sql.PUT_LINE, [(tenant, *r[:3], *r.key, *r[4:]) for r in changes.lines])
        self._put_records(changes.records)

    def forget(self, before: Instant) -> int:
        """Delete refusals whose time has come."""
        return self._session.run(sql.FORGET, (self._tenant, before))

    def _each(self, statement: str, rows: Sequence[Sequence[Any]]) -> int:
        """Run a statement for each row; return how many rows were changed."""
        if len(rows) == 1:
            return self._session.run(statement, rows[0])
        return self._session.many(statement, rows) if rows else 0

    def _put_outcomes(self, outcomes: Sequence[OutcomeRow]) -> None:
        if not outcomes:
            return
        self._session.key = outcomes[0].key
        if len(outcomes) > 1:
            self._check_keys(outcomes)
        rows = [(self._tenant, *outcome) for outcome in outcomes]
        if self._each(sql.PUT_OUTCOME, rows) < len(rows):
            raise KeyTaken(outcomes[0].key)

    def _check_keys(self, outcomes: Sequence[OutcomeRow]) -> None:
        """Look before writing: of several keys the second may be taken."""
        decided = {outcome.key: outcome.decided_at for outcome in outcomes}
        if len(decided) < len(outcomes):
            raise ConstraintViolated("an outcome's key is not unique")
        unseen = self._outcomes([key for key in decided if key not in self._looked_up])
        for known in (*self._looked_up.values(), *unseen):
            if known is None or known.key not in decided:
                continue
            if known.forget_at is None or known.forget_at > decided[known.key]:
                raise KeyTaken(known.key)

    def _outcomes(self, keys: Collection[str]) -> list[OutcomeRow]:
        found = self._some(sql.OUTCOME_ONE, sql.OUTCOME_SOME, keys)
        return [made(OutcomeRow, row) for row in found]

    def _add_movements(self, movements: Sequence[MovementRow]) -> dict[str, int]:
        """Insert *movements*, numbered on; return their positions by id."""
        if not movements:
            return {}
        tenant = self._tenant
        last: int = self._session.rows(sql.LAST_POSITION, (tenant,))[0][0] or 0
        numbered = list(enumerate(movements, last + 1))
        self._each(sql.ADD_MOVEMENT, [(tenant, position, *row) for position, row in numbered])
        return {row.id: position for position, row in numbered}

    def _entry(self, entry: EntryRow, positions: Mapping[str, int]) -> Row:
        key, version, change, after, movement_id, *times, floor = entry
        position = positions.get(movement_id)
        if position is None:
            position = self._position(movement_id)
        return (self._tenant, *key, version, *change, *after, position, *times, floor)

    def _position(self, movement_id: str) -> int:
        for position, _ in self.movements((movement_id,)):
            if position is not None:
                return position
        raise ConstraintViolated(f"an entry names movement {movement_id!r}, which is not there")

    def _put_records(self, records: Sequence[Record]) -> None:
        if not records:
            return
        new = [(self._tenant, *row) for row in records if row.version == 1]
        changed = [
            (row.version, row.body, self._tenant, row.space, row.id, row.version - 1)
            for row in records
            if row.version != 1
        ]
        self._each(sql.ADD_RECORD, new)
        if self._each(sql.NEXT_RECORD, changed) < len(changed):
            names = ", ".join(f"{row.space}/{row.id}" for row in records if row.version != 1)
            raise ConstraintViolated(f"a record has changed: one of {names}")


class _JoinedUnit(_Unit):
    """A unit in a host's transaction, which may only have read so far."""

    def lock(self, wants: Wants) -> Locked:
        """Take the file's write lock, waiting as long as the host's connection waits."""
        self._session.run(sql.TAKE_LOCK)
        return super().lock(wants)

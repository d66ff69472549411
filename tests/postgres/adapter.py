"""
A throw-away storage over PostgreSQL: proof that the protocol fits a database whose writers
do not wait for each other. Plain SQL, psycopg 3, READ COMMITTED, no care for speed.

Rules:
1. What is locked exists: missing stock rows and documents are made first, with version 0,
   which no reader shows. Groups in the order of the protocol, each sorted.
2. What is decided on is read by statements that start after the locks were granted. The
   stock row is the latch of the lines on its key, the order document that of the lines
   under its reference.
3. Movements are numbered after they were committed, by whoever reads the feed, in one
   transaction per pass under the tenant's row of ``numbering``.
4. Joined: every statement runs on the host's connection, in its transaction. No savepoint:
   a refused or repeated key is found without an error of the database, anything else that
   fails leaves the host's transaction aborted, so that the host cannot commit a part of it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from itertools import chain, groupby
from typing import Any, NoReturn

import psycopg
from psycopg import errors
from psycopg.pq import TransactionStatus
from psycopg.rows import tuple_row

from truecount.errors import (
    ConstraintViolated,
    InvalidArgument,
    KeyTaken,
    NotInTransaction,
    OutcomeUnknown,
    Retryable,
    StorageUnavailable,
    TrueCountError,
)
from truecount.model.instants import Instant
from truecount.model.lines import LineRow
from truecount.model.movements import MovementRow
from truecount.model.outcomes import OutcomeRow
from truecount.model.stock import NOTHING, Amounts, EntryRow, StockKey, StockRow, plus
from truecount.protocols.storage import Changes, Locked, Record, Wants
from tests.postgres.schema import SCHEMA


#: Serialization failure, deadlock, lock not available in time.
BUSY = frozenset({"40001", "40P01", "55P03"})
ORDER = "order"

STOCK = "sku, location, lot, amounts, version, recorded_at, horizon, opened_at, lot_expires_at"
ENTRY = (
    "sku, location, lot, version, change, after, movement, occurred_at, recorded_at,"
    " horizon, lateness, floor"
)
LINE = (
    "reference, number, round, sku, location, lot, reserved, held, allocated, picked, shipped,"
    " released, expired, short, expires_at"
)
MOVEMENT = (
    "id, kind, occurred_at, recorded_at, ordinal, reference, reason, actor, origin, reverses,"
    " body, digest"
)
RECORD = "space, id, version, body"
OUTCOME = "key, fingerprint, decided_at, forget_at, body"
AT_KEY = "sku = %s AND location = %s AND lot = %s"
OPEN = "held + allocated + picked > 0"


def translated(error: psycopg.Error, schema: str) -> TrueCountError:
    """Return the driver's error as one of ours."""
    text = str(error).partition("\n")[0] or type(error).__name__
    if error.sqlstate in BUSY:
        return Retryable(text)
    if isinstance(error, (errors.IntegrityError, errors.DataError)):
        return ConstraintViolated(text)
    return StorageUnavailable(schema, text)


class Session:
    """One connection, speaking our errors; ``{s}`` in a statement is the schema."""

    def __init__(self, connection: psycopg.Connection[Any], schema: str) -> None:
        self.connection = connection
        self.schema = schema

    def run(self, statement: str, *values: object) -> psycopg.Cursor[tuple[Any, ...]]:
        """Execute one statement."""
        cursor = self.connection.cursor(row_factory=tuple_row)
        try:
            return cursor.execute(statement.replace("{s}", self.schema).encode(), values)
        except psycopg.Error as error:
            raise translated(error, self.schema) from error

    def rows(self, statement: str, *values: object) -> list[tuple[Any, ...]]:
        """Execute one statement and return all its rows."""
        return self.run(statement, *values).fetchall()

    def many(self, statement: str, rows: Sequence[Sequence[object]]) -> None:
        """Execute a statement for each row, in few round trips."""
        if rows:
            try:
                text = statement.replace("{s}", self.schema).encode()
                self.connection.cursor().executemany(text, rows)
            except psycopg.Error as error:
                raise translated(error, self.schema) from error


class PostgresStorage:
    """Ledgers in one schema, which is made when it is not there."""

    def __init__(self, dsn: str, schema: str) -> None:
        self.dsn = dsn
        self.schema = schema
        self._mutex = threading.Lock()
        self._idle: list[psycopg.Connection[Any]] = []
        self._closed = False
        with self._session() as session:
            for statement in SCHEMA:
                session.run(statement)

    def connect(self) -> psycopg.Connection[Any]:
        """Open a connection like the storage's own; hosts in tests use it as well."""
        return psycopg.connect(
            self.dsn,
            autocommit=True,
            application_name=self.schema,
            options="-c lock_timeout=20s -c deadlock_timeout=200ms",
        )

    def begin(self, tenant: str, host: object | None = None) -> Any:
        """Open a write transaction, or join the open one of a psycopg connection."""
        return self._own_unit(tenant) if host is None else self._joined(Unit, tenant, host)

    def read(self, tenant: str, host: object | None = None) -> Any:
        """Open a read at one instant, or read through the host's transaction."""
        return self._own_read(tenant) if host is None else self._joined(Reader, tenant, host)

    def close(self) -> None:
        """Close the idle connections; those in use are closed when they come back."""
        with self._mutex:
            self._closed = True
            while self._idle:
                self._idle.pop().close()

    @contextmanager
    def _session(self) -> Iterator[Session]:
        connection = self._take()
        try:
            yield Session(connection, self.schema)
        finally:
            self._give_back(connection)

    def _take(self) -> psycopg.Connection[Any]:
        with self._mutex:
            if self._closed:
                raise StorageUnavailable(self.schema, "it was closed")
            if self._idle:
                return self._idle.pop()
        try:
            return self.connect()
        except psycopg.Error as error:
            raise translated(error, self.schema) from error

    def _give_back(self, connection: psycopg.Connection[Any]) -> None:
        idle = connection.info.transaction_status == TransactionStatus.IDLE
        with self._mutex:
            if idle and not self._closed:
                self._idle.append(connection)
                return
        connection.close()

    @contextmanager
    def _own_unit(self, tenant: str) -> Iterator[Unit]:
        with self._session() as session:
            session.run("BEGIN ISOLATION LEVEL READ COMMITTED")
            unit = Unit(session, tenant)
            try:
                yield unit
            except BaseException:
                with suppress(TrueCountError):
                    session.run("ROLLBACK")
                raise
            try:
                session.run("COMMIT")
            except StorageUnavailable as error:
                if unit.first_key is None:
                    raise
                raise OutcomeUnknown(unit.first_key, error.problem) from error

    @contextmanager
    def _own_read(self, tenant: str) -> Iterator[Reader]:
        with self._session() as session:
            session.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            try:
                yield Reader(session, tenant, lambda: self.number(tenant))
            finally:
                with suppress(TrueCountError):
                    session.run("ROLLBACK")

    @contextmanager
    def _joined(self, kind: type[Reader], tenant: str, host: object) -> Iterator[Reader]:
        if not isinstance(host, psycopg.Connection):
            raise InvalidArgument("host", type(host).__name__, "an open psycopg.Connection")
        if host.info.transaction_status != TransactionStatus.INTRANS:
            raise NotInTransaction("write `with connection.transaction():` around the call")
        yield kind(Session(host, self.schema), tenant)

    def number(self, tenant: str) -> None:
        """Give positions to the movements that were committed and have none."""
        with self._session() as session:
            session.run("BEGIN ISOLATION LEVEL READ COMMITTED")
            try:
                session.run(
                    "INSERT INTO {s}.numbering VALUES (%s, 0) ON CONFLICT DO NOTHING", tenant
                )
                session.run("SELECT 1 FROM {s}.numbering WHERE tenant = %s FOR UPDATE", tenant)
                session.run(NUMBER, tenant, tenant)
                session.run("COMMIT")
            except BaseException:
                with suppress(TrueCountError):
                    session.run("ROLLBACK")
                raise


#: Starts after the lock on the tenant's numbering, so it sees all that was numbered before.
NUMBER = """
WITH next AS (
  SELECT m.tenant, m.id, n.position + row_number() OVER (ORDER BY recorded_at, ordinal, id) AS place
  FROM {s}.movement m JOIN {s}.numbering n USING (tenant)
  WHERE m.tenant = %s AND m.position IS NULL
), numbered AS (
  UPDATE {s}.movement m SET position = next.place FROM next
  WHERE m.tenant = next.tenant AND m.id = next.id RETURNING m.position
)
UPDATE {s}.numbering SET position = (SELECT max(position) FROM numbered)
WHERE tenant = %s AND EXISTS (SELECT FROM numbered)
"""


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


class Unit(Reader):
    """One write transaction."""

    #: What to ask about when the reply to a commit is lost.
    first_key: str | None = None

    def lock(self, wants: Wants) -> Locked:
        """Lock orders, stock rows, documents, each sorted; then read what hangs on them."""
        orders = {(ORDER, reference) for reference in wants.orders}
        others = wants.records - orders
        early = orders | {name for name in others if name[0] == ORDER}
        records = self._lock_records(early, frozenset())
        rows = self._lock_stock(wants)
        records |= self._lock_records(others - early, wants.shared)
        lines = self._lines("reference = ANY(%s) ORDER BY reference, number", list(wants.orders))
        outcomes = self._rows(
            f"SELECT {OUTCOME} FROM {{s}}.outcome WHERE tenant = %s AND key = ANY(%s)",
            *(self._tenant, wants.keys_of_requests),
        )
        movements = {row.id: row for _, row in self.movements(wants.movements)}
        return Locked(
            rows, lines, records, {row[0]: OutcomeRow(*row) for row in outcomes}, movements
        )

    def _lock_records(
        self, names: set[tuple[str, str]], shared: Iterable[tuple[str, str]]
    ) -> dict[tuple[str, str], Record]:
        """Make and lock documents in one sorted order, exclusive and shared ones in turns."""
        found = {}
        for is_shared, run in groupby(sorted(names), lambda name: name in shared):
            named = columns(run, 2)
            self._rows_made("record (tenant, space, id, version, body)", "w.a, w.b, 0, ''", named)
            strength = "SHARE" if is_shared else "NO KEY UPDATE"
            rows = self._rows(
                "SELECT r.space, r.id, r.version, r.body FROM unnest(%s::text[], %s::text[]) AS w(a, b)"
                " JOIN {s}.record r ON r.tenant = %s AND r.space = w.a AND r.id = w.b"
                f" ORDER BY r.space, r.id FOR {strength} OF r",
                *(*named, self._tenant),
            )
            found |= {(row[0], row[1]): Record(*row) for row in rows if row[2]}
        return found

    def _lock_stock(self, wants: Wants) -> dict[StockKey, StockRow]:
        """Make the wanted keys, then lock them with those of scopes and orders, sorted."""
        keys = columns(wants.keys, 3)
        self._rows_made("stock (tenant, sku, location, lot)", "w.a, w.b, w.c", keys)
        rows = self._rows(
            LOCK_STOCK,
            *(*keys, *columns(wants.scopes, 2), self._tenant),
            *(self._tenant, list(wants.orders), self._tenant),
        )
        return dict(map(key_and_row, rows))

    def _rows_made(self, table: str, values: str, named: list[list[object]]) -> None:
        """Insert rows that are missing, in the order given."""
        if not named[0]:
            return
        names = "abc"[: len(named)]
        arrays = ", ".join("%s::text[]" for _ in named)
        self._session.run(
            f"INSERT INTO {{s}}.{table} SELECT %s, {values} FROM unnest({arrays})"
            f" WITH ORDINALITY AS w({', '.join(names)}, n) ORDER BY w.n ON CONFLICT DO NOTHING",
            *(self._tenant, *named),
        )

    def due(self, enough: Mapping[StockKey, int], now: Instant) -> list[LineRow]:
        """Return expired holds of each key until they hold enough."""
        wanted = [(*key, quantity) for key, quantity in enough.items()]
        rows = self._rows(DUE, *columns(wanted, 4), self._tenant, now)
        return [line_of(row) for row in rows]

    def write(self, changes: Changes) -> None:
        """Write outcomes, then everything else; constraints are the database's."""
        self._write_outcomes(changes.outcomes)
        tenant = self._tenant
        self._insert("movement", MOVEMENT, [(tenant, *row) for row in changes.movements])
        self._insert(
            "entry",
            ENTRY,
            [
                (tenant, *e.key, e.version, list(e.change), list(e.after), *e[4:])
                for e in changes.entries
            ],
        )
        rows = sorted(changes.rows.items())
        self._upsert(
            "stock", STOCK, 3, [(tenant, *key, list(row.amounts), *row[1:]) for key, row in rows]
        )
        lines = sorted(changes.lines)
        self._upsert("line", LINE, 2, [(tenant, *n[:3], *n.key, *n[4:]) for n in lines])
        self._write_records(changes.records)

    def _write_outcomes(self, outcomes: Sequence[OutcomeRow]) -> None:
        if not outcomes:
            return
        taken = self._rows(PUT_OUTCOMES, self._tenant, *columns(outcomes, 5))
        stored = [row[0] for row in taken]
        missing = sorted({row.key for row in outcomes} - set(stored))
        if missing:
            # No savepoint to go back to: what was stored before the taken key is taken out.
            delete = "DELETE FROM {s}.outcome WHERE tenant = %s AND key = ANY(%s)"
            self._session.run(delete, self._tenant, stored)
            raise KeyTaken(missing[0])
        self.first_key = outcomes[0].key

    def _write_records(self, records: Sequence[Record]) -> None:
        if not records:
            return
        first = [record for record in records if record.version == 1]
        later = [record for record in records if record.version > 1]
        written = self._rows(MAKE_RECORDS, self._tenant, *columns(first, 4))
        written += self._rows(REPLACE_RECORDS, *columns(later, 4), self._tenant)
        for record in records:
            if (record.space, record.id) not in written:
                self._abort(f"record {record.space}/{record.id} has changed")

    def _abort(self, problem: str) -> NoReturn:
        """Fail in the database as well, so that a host cannot commit what was written."""
        self._session.run("DO $$ BEGIN RAISE integrity_constraint_violation; END $$")
        raise ConstraintViolated(problem)

    def _insert(self, table: str, names: str, rows: Sequence[Sequence[object]]) -> None:
        self._session.many(f"INSERT INTO {{s}}.{table} (tenant, {names}) {values(names)}", rows)

    def _upsert(self, table: str, names: str, key: int, rows: Sequence[Sequence[object]]) -> None:
        every = names.split(", ")
        updates = ", ".join(f"{name} = excluded.{name}" for name in every[key:])
        self._session.many(
            f"INSERT INTO {{s}}.{table} (tenant, {names}) {values(names)}"
            f" ON CONFLICT (tenant, {', '.join(every[:key])}) DO UPDATE SET {updates}",
            rows,
        )

    def forget(self, before: Instant) -> int:
        """Delete refusals whose time has come."""
        statement = "DELETE FROM {s}.outcome WHERE tenant = %s AND forget_at <= %s"
        return self._session.run(statement, self._tenant, before).rowcount


def values(names: str) -> str:
    """Return the VALUES clause for the tenant and *names*."""
    marks = ", ".join(chain(["%s"], ("%s" for _ in names.split(","))))
    return f"VALUES ({marks})"


LOCK_STOCK = """
WITH w AS (
  SELECT a COLLATE "C" AS a, b COLLATE "C" AS b, c COLLATE "C" AS c
  FROM unnest(%s::text[], %s::text[], %s::text[]) AS w(a, b, c)
  UNION SELECT s.sku, s.location, s.lot FROM unnest(%s::text[], %s::text[]) AS p(sku, location)
    JOIN {s}.stock s ON s.tenant = %s AND s.sku = p.sku AND p.location IN ('', s.location)
  UNION SELECT sku, location, lot FROM {s}.line WHERE tenant = %s AND reference = ANY(%s)
)
SELECT s.sku, s.location, s.lot, amounts, version, recorded_at, horizon, opened_at, lot_expires_at
FROM w JOIN {s}.stock s ON s.tenant = %s AND s.sku = w.a AND s.location = w.b AND s.lot = w.c
ORDER BY s.sku, s.location, s.lot FOR NO KEY UPDATE OF s
"""

DUE = f"""
SELECT {LINE} FROM (
  SELECT n.*, enough, sum(held) OVER (
    PARTITION BY n.sku, n.location, n.lot ORDER BY expires_at, reference, number
  ) - held AS before
  FROM unnest(%s::text[], %s::text[], %s::text[], %s::bigint[]) AS w(sku, location, lot, enough)
  JOIN {{s}}.line n USING (sku, location, lot)
  WHERE n.tenant = %s AND held > 0 AND expires_at <= %s
) AS expired WHERE before < enough
ORDER BY sku, location, lot, expires_at, reference, number
"""

PUT_OUTCOMES = f"""
INSERT INTO {{s}}.outcome AS o (tenant, {OUTCOME})
SELECT %s, w.* FROM unnest(%s::text[], %s::text[], %s::bigint[], %s::bigint[], %s::text[])
  AS w({OUTCOME}) ORDER BY w.key COLLATE "C"
ON CONFLICT (tenant, key) DO UPDATE SET fingerprint = excluded.fingerprint,
  decided_at = excluded.decided_at, forget_at = excluded.forget_at, body = excluded.body
WHERE o.forget_at <= excluded.decided_at
RETURNING o.key
"""

MAKE_RECORDS = f"""
INSERT INTO {{s}}.record AS r (tenant, {RECORD})
SELECT %s, w.* FROM unnest(%s::text[], %s::text[], %s::bigint[], %s::text[])
  AS w({RECORD}) ORDER BY w.space COLLATE "C", w.id COLLATE "C"
ON CONFLICT (tenant, space, id) DO UPDATE SET version = 1, body = excluded.body
WHERE r.version = 0
RETURNING r.space, r.id
"""

REPLACE_RECORDS = f"""
UPDATE {{s}}.record r SET version = w.version, body = w.body
FROM unnest(%s::text[], %s::text[], %s::bigint[], %s::text[]) AS w({RECORD})
WHERE r.tenant = %s AND r.space = w.space AND r.id = w.id AND r.version = w.version - 1
  AND r.version > 0
RETURNING r.space, r.id
"""

"""What our storages can do besides the contract: reopened, joined, looked into by plain SQL."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any, TypeAlias

import psycopg
from psycopg.pq import TransactionStatus

from tests.postgres.waiting import connect
from truecount.model.places import STATES
from truecount.model.stock import StockKey
from truecount.storage.postgres import PostgresStorage
from truecount.storage.sqlite import SQLiteStorage
from truecount.testing import Capabilities, Stored


Rows: TypeAlias = list[tuple[Any, ...]]

FIGURES = [state.value for state in STATES]
COUNTERS = "reserved, held, allocated, picked, shipped, released, expired, short"


def stored_of(movements: Rows, entries: Rows, stock: Rows, rest: tuple[Rows, Rows, Rows]) -> Stored:
    """Put rows as a driver returns them into the shape that the kit compares."""
    lines, records, outcomes = rest
    return Stored(
        movements=frozenset(id_ for (id_,) in movements),
        entries={(StockKey(*row[:3]), row[3]): tuple(row[4:]) for row in entries},
        stock={StockKey(*row[:3]): tuple(row[3:]) for row in stock},
        lines={row[:2]: row[2:] for row in lines},
        records={row[:2]: row[2] for row in records},
        outcomes=frozenset(key for (key,) in outcomes),
    )


# --- SQLite ------------------------------------------------------------------------------


def behind_sqlite(storage: Any, tenant: str) -> Stored:
    """Read the tables on a connection of our own."""
    figures, afters = ", ".join(FIGURES), ", ".join(f"after_{name}" for name in FIGURES)
    with closing(sqlite3.connect(storage.path)) as connection:

        def rows(columns: str, table: str, more: str = "") -> Rows:
            found = f"SELECT {columns} FROM truecount_{table} WHERE tenant = ? {more}"  # noqa: S608 -- our own names
            return connection.execute(found, (tenant,)).fetchall()

        return stored_of(
            rows("id", "movement"),
            rows(f"sku, location, lot, version, {afters}", "entry"),
            rows(f"sku, location, lot, {figures}", "stock", "AND version > 0"),
            (
                rows(f"reference, number, {COUNTERS}", "line"),
                rows("space, id, version", "record"),
                rows("key", "outcome"),
            ),
        )


class SQLiteHost:
    """A shop's connection with a table of its own."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    def begin(self) -> None:
        """Open a transaction that has only read so far."""
        self.connection.execute("BEGIN")

    def write(self) -> None:
        """Insert a row."""
        self.connection.execute("INSERT INTO host_row VALUES (1)")

    def count(self) -> int:
        """Count the rows."""
        if not self.connection.in_transaction:
            self.begin()
        found: int = self.connection.execute("SELECT count(*) FROM host_row").fetchone()[0]
        return found

    def commit(self) -> None:
        """Commit."""
        self.connection.execute("COMMIT")

    def roll_back(self) -> None:
        """Roll back."""
        self.connection.execute("ROLLBACK")


@contextmanager
def sqlite_host(storage: Any) -> Iterator[SQLiteHost]:
    """Open a second connection to the storage's file."""
    with closing(sqlite3.connect(storage.path, isolation_level=None)) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS host_row (number INTEGER)")
        host = SQLiteHost(connection)
        host.begin()
        yield host


SQLITE = Capabilities(
    reopen=lambda storage: SQLiteStorage(storage.path),  # type: ignore[attr-defined]  # ours has a path
    many_openings=True,
    open_host=sqlite_host,
    look_behind=behind_sqlite,
)


# --- PostgreSQL --------------------------------------------------------------------------


def behind_postgres(storage: Any, tenant: str) -> Stored:
    """Read the tables on a connection of our own."""
    figures, afters = ", ".join(FIGURES), ", ".join(f"after_{name}" for name in FIGURES)
    with connect(storage) as connection:

        def rows(columns: str, table: str, more: str = "") -> Rows:
            found = f"SELECT {columns} FROM {storage.schema}.{table} WHERE tenant = %s {more}"  # noqa: S608 -- our own names
            kept = connection.execute(found.encode(), (tenant,))
            return [tuple(0 if value is None else value for value in row) for row in kept]

        return stored_of(
            rows("id", "movement"),
            rows(f"sku, location, lot, version, {afters}", "entry"),
            rows(f"sku, location, lot, {figures}", "stock", "AND version > 0"),
            (
                rows(f"reference, number, {COUNTERS}", "line"),
                rows("space, id, version", "record", "AND version > 0"),
                rows("key", "outcome"),
            ),
        )


class PostgresHost:
    """A shop's connection with a table of its own."""

    def __init__(self, connection: psycopg.Connection[Any], schema: str) -> None:
        self.connection = connection
        self.table = f"{schema}.host_row"

    def begin(self) -> None:
        """Open a transaction."""
        self.connection.execute("BEGIN")

    def write(self) -> None:
        """Insert a row."""
        self.connection.execute(f"INSERT INTO {self.table} VALUES (1)".encode())  # noqa: S608 -- our own name

    def count(self) -> int:
        """Count the rows."""
        if self.connection.info.transaction_status != TransactionStatus.INTRANS:
            self.begin()
        statement = f"SELECT count(*) FROM {self.table}".encode()  # noqa: S608 -- our own name
        found = self.connection.execute(statement).fetchone()
        return int(found[0]) if found else 0

    def commit(self) -> None:
        """Commit."""
        self.connection.execute("COMMIT")

    def roll_back(self) -> None:
        """Roll back."""
        self.connection.execute("ROLLBACK")


@contextmanager
def postgres_host(storage: Any) -> Iterator[PostgresHost]:
    """Open a connection of the host's own."""
    with connect(storage) as connection:
        connection.execute(f"CREATE TABLE {storage.schema}.host_row (number int)".encode())
        host = PostgresHost(connection, storage.schema)
        host.begin()
        yield host


def reopened(storage: Any) -> PostgresStorage:
    """Open the same schema anew, with connections of its own."""
    return PostgresStorage(storage._connections.dsn, schema=storage.schema)


POSTGRES = Capabilities(
    reopen=reopened,
    many_openings=True,
    open_host=postgres_host,
    look_behind=behind_postgres,
    concurrent_writers=True,
)

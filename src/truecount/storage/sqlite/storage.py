"""
One SQLite file: the embedded default, shared by threads and by processes.

Rules:
1. Writers take turns: ``BEGIN IMMEDIATE`` locks the whole file, so ``lock`` only reads, and
   positions are numbered as movements are written.
2. Readers never wait: the file has a write-ahead log, and one ``read`` is one snapshot.
3. What was acknowledged is on the disk (``synchronous = FULL``), unless asked otherwise.
4. In a host's transaction nothing is committed, rolled back, or asked of its settings.

Statements for one item are prepared once and run many times; lists go in as one JSON
parameter.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import Final

from truecount.errors import InvalidArgument, StorageUnavailable
from truecount.model.diagnosis import Diagnosis
from truecount.model.instants import duration
from truecount.storage.sqlite.connections import Connections
from truecount.storage.sqlite.doctor import diagnosis
from truecount.storage.sqlite.joining import joined
from truecount.storage.sqlite.reader import Reader
from truecount.storage.sqlite.unit import JoinedUnit, Unit


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
            return JoinedUnit(joined(host, self._connections), tenant)
        return Unit(self._connections.writes, tenant)

    def read(self, tenant: str, host: object | None = None) -> AbstractContextManager[Reader]:
        """Open a snapshot, or read within the transaction open on *host*."""
        if host is not None:
            return Reader(joined(host, self._connections), tenant)
        return Reader(self._connections.reads, tenant)

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

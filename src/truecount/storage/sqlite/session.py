"""
One SQLite connection in use: statements run, results half read, errors told in our words.

Rules:
1. What the driver raises leaves as an error of ours, its cause chained.
2. A transaction ends with nothing half read: an open result would keep its snapshot, and the
   next reader on the connection would see the past.
3. Nothing depends on what a host has set on its connection.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, NoReturn, TypeAlias

from truecount.errors import ConstraintViolated, Retryable, StorageUnavailable, TrueCountError


Row: TypeAlias = tuple[Any, ...]

FORKED: Final = (
    "this process was forked while a transaction was open; fork when none is, "
    "or start the process afresh"
)
_BUSY_SNAPSHOT: Final = (
    "another transaction wrote after this one had read; begin with BEGIN IMMEDIATE"
)
_KINDS: Final[dict[int, Callable[[str], TrueCountError]]] = {
    sqlite3.SQLITE_BUSY: Retryable,
    sqlite3.SQLITE_LOCKED: Retryable,
    sqlite3.SQLITE_PROTOCOL: Retryable,
    sqlite3.SQLITE_CONSTRAINT: ConstraintViolated,
}


#: What to do about what the driver says of a file; its own words tell nobody.
_ADVICE: Final[dict[int, str]] = {
    sqlite3.SQLITE_CORRUPT: (
        "; it is damaged, or was copied without its -wal file: take both files, or restore an "
        "export or a backup"
    ),
}

#: What the driver raises; a damaged file also has texts, and names of tables, that are none.
_RAISED: Final = (sqlite3.Error, OverflowError, UnicodeError)


def translated(error: Exception, target: str) -> TrueCountError:
    """Return what the driver raised as an error of ours."""
    if isinstance(error, OverflowError):
        return ConstraintViolated("a number does not fit into 64 bits")
    code = getattr(error, "sqlite_errorcode", 0)
    if code == sqlite3.SQLITE_BUSY_SNAPSHOT:
        return Retryable(_BUSY_SNAPSHOT)
    kind = _KINDS.get(code & 0xFF)
    if kind is not None:
        return kind(str(error))
    return StorageUnavailable(target, f"{error}{_ADVICE.get(code & 0xFF, '')}")


def _keep_for_ever(*mine: object) -> None:
    """Never let connections and cursors be closed, not even as this process ends."""
    import ctypes

    for each in mine:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(each))


def _nothing() -> None:
    pass


class Session:
    """One connection in use: runs statements, and knows which results are still being read."""

    __slots__ = (
        "_cursor",
        "_execute",
        "_many",
        "_open",
        "abandoned",
        "connection",
        "key",
        "release",
        "target",
        "thread",
    )

    def __init__(self, connection: sqlite3.Connection, target: str) -> None:
        self.connection = connection
        self.target = target
        #: The first idempotency key written in this transaction, should its fate be unknown.
        self.key = ""
        #: Lets other threads write; a child of a fork has another lock than its parent.
        self.release: Callable[[], None] = _nothing
        #: The thread that opened the transaction.
        self.thread = 0
        self.abandoned = False
        self._open: set[sqlite3.Cursor] = set()
        # A cursor made this way has no row_factory, whatever a host has set.
        cursor = sqlite3.Cursor(connection)
        self._cursor: Callable[[sqlite3.Connection], sqlite3.Cursor] = sqlite3.Cursor
        self._execute: Callable[[str, Sequence[Any]], sqlite3.Cursor] = cursor.execute
        self._many: Callable[[str, Iterable[Sequence[Any]]], sqlite3.Cursor] = cursor.executemany

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[Row]:
        """Run a statement and return all its rows."""
        try:
            return self._execute(sql, parameters).fetchall()
        except _RAISED as error:
            raise translated(error, self.target) from error

    def run(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Run a statement and return how many rows it changed."""
        try:
            return self._execute(sql, parameters).rowcount
        except _RAISED as error:
            raise translated(error, self.target) from error

    def many(self, sql: str, rows: Iterable[Sequence[Any]]) -> int:
        """Run a statement for each of *rows* and return how many rows were changed."""
        try:
            return self._many(sql, rows).rowcount
        except _RAISED as error:
            raise translated(error, self.target) from error

    def iterate(self, sql: str, parameters: Sequence[Any]) -> Iterator[Row]:
        """Yield the rows of a statement as they are asked for."""
        try:
            cursor = self._cursor(self.connection)
            self._open.add(cursor)
            try:
                yield from cursor.execute(sql, parameters)
            finally:
                self._open.discard(cursor)
                cursor.close()
        except _RAISED as error:
            raise translated(error, self.target) from error

    def finish(self) -> None:
        """Stop all reading; a result left half read would keep its snapshot for ever."""
        while self._open:
            self._open.pop().close()

    def end(self, statement: str) -> None:
        """Commit or roll back."""
        self.finish()
        self.rows(statement)

    def abandon(self) -> None:
        """
        Make this session useless, in a child whose parent goes on with it.

        Closing a cursor would wait for a lock that a thread of the parent held in the fork.
        """
        _keep_for_ever(self.connection, self._execute, self._many, *self._open)
        self.abandoned = True
        self._open = set()
        self._execute = self._many = self._cursor = self._refuse

    def _refuse(self, *_arguments: object) -> NoReturn:
        raise StorageUnavailable(self.target, FORKED)


class Ended(Session):
    """What is left of a session when its transaction is over."""

    __slots__ = ()

    def __init__(self, target: str) -> None:
        self.target = target
        self._execute = self._many = self._cursor = self._refuse
        self._open = set()

    def iterate(self, sql: str, parameters: Sequence[Any]) -> Iterator[Row]:
        """Refuse."""
        self._refuse()

    def _refuse(self, *_arguments: object) -> NoReturn:
        problem = "the transaction is over; read what you need before it ends"
        raise StorageUnavailable(self.target, problem)

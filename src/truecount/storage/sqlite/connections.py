"""
Connections to one SQLite file: opened, shared between threads, let go before a fork.

Rules:
1. One connection writes, under a thread lock and ``BEGIN IMMEDIATE``; each reader has one
   of its own for as long as it reads. Idle readers are kept for the next.
2. Whoever finds the file being written tries again after a short random sleep. SQLite's own
   waiting sleeps longer the longer it has waited, and starves whoever waited longest.
3. No SQLite connection may cross a fork, not even to be closed: locks belong to a process.
   They are closed before, and opened again on both sides when needed; a fork waits a little
   for other threads' transactions. One that is open all the same goes on in the parent, and
   the child may not use the file: SQLite there believes it holds its parent's locks.
"""

from __future__ import annotations

import os
import random
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Final, NamedTuple
from weakref import WeakSet

from truecount.errors import (
    ForeignDatabase,
    InternalError,
    OutcomeUnknown,
    Retryable,
    StorageUnavailable,
    TrueCountError,
)
from truecount.storage.sqlite import schema
from truecount.storage.sqlite.session import FORKED, Ended, Session, translated


SQLITE_MIN: Final = (3, 37, 0)
#: Shortest and longest sleep (seconds) before trying again: a little that somebody's commit
#: may be over, then enough that a busy neighbour writes several times in a row, which is
#: cheaper than taking turns (each turn drops the page cache).
_SLEEPS: Final = ((0.0001, 0.001), (0.001, 0.01))
#: Seconds a fork waits for another thread's transaction before it leaves it behind.
_FORK_WAIT: Final = 1.0
_IDLE_MAX: Final = 8
_HEADER: Final = b"SQLite format 3\0"


class Source(NamedTuple):
    """How a transaction is opened, and closed (the session, whether it failed)."""

    open: Callable[[], Session]
    close: Callable[[Session, bool], None]
    ended: Ended


class Connections:
    """The way to one file, for all threads of this process."""

    def __init__(
        self,
        path: str,
        *,
        timeout: timedelta,
        synchronous: str,
        read_only: bool,
        beside: bool,
    ) -> None:
        self.target = path
        self.read_only = read_only
        self._timeout = timeout.total_seconds()
        self.synchronous = synchronous
        self._lock = threading.RLock()
        self._writer: Session | None = None
        self._writing = False
        #: Whoever begins to read passes it; a fork keeps it shut.
        self._door = threading.Lock()
        self._idle: list[Session] = []
        #: Readers in use, each with the thread that may be inside SQLite with it.
        self._reading: set[tuple[Session, int]] = set()
        #: Why the file may not be used any more.
        self._over = ""
        self.ended = Ended(path)
        self.reads = Source(self.begin_read, self.end_read, self.ended)
        self.writes = Source(self.begin_write, self.end_write, self.ended)
        _FILES.add(self)
        with self._door:  # A fork waits for it; a child made meanwhile could hang in SQLite.
            self._open(beside=beside)

    # --- transactions ------------------------------------------------------------------

    def begin_write(self) -> Session:
        """Take the write lock of the file, waiting for its turn."""
        lock = self._lock
        if not lock.acquire(timeout=self._timeout):
            raise Retryable(f"another thread has been writing for {self._timeout:g} seconds")
        try:
            session = self._begin()
        except BaseException:
            lock.release()
            raise
        session.release = lock.release
        return session

    def end_write(self, session: Session, failed: bool) -> None:  # noqa: FBT001 -- a Source
        """Commit, or roll back what failed, and let the next one write."""
        try:
            if failed:
                self._roll_back(session)
            else:
                self._commit(session)
        finally:
            if not session.abandoned:
                self._writing = False
                if self._over:
                    self._drop()
            session.release()

    def begin_read(self) -> Session:
        """Open a snapshot of the file."""
        with self._door:
            self.check()
            session = self._idle.pop() if self._idle else self._connect_reader()
            session.thread = threading.get_ident()
            self._reading.add((session, session.thread))
        try:
            session.rows("BEGIN")
        except BaseException:
            self.end_read(session)
            raise
        return session

    def end_read(self, session: Session, _failed: bool = False) -> None:  # noqa: FBT001, FBT002 -- a Source
        """Let go of the snapshot; keep the connection for the next reader."""
        if session.abandoned:
            return
        mine = (session, session.thread)
        try:
            session.finish()
            if session.connection.in_transaction:
                session.rows("COMMIT")
            self._idle.append(session)
            self._keep_idle(0 if self._over else _IDLE_MAX)
        except TrueCountError:
            session.connection.close()
        finally:
            # Last of all: a fork waits for whoever may still be inside SQLite.
            self._reading.discard(mine)

    def _keep_idle(self, limit: int) -> None:
        """Close idle readers down to *limit*; another thread may do the same."""
        with suppress(IndexError):
            while len(self._idle) > limit:
                self._idle.pop(0).connection.close()

    def _connect_reader(self) -> Session:
        session = self._connect("ro" if self.read_only else "rw", timeout=self._timeout)
        session.rows("PRAGMA query_only = 1")
        return session

    def _begin(self) -> Session:
        if self._writing:
            raise InternalError("this thread has a transaction open already")
        self.check()
        session = self._writer
        if session is None:
            session = self._writer = self._connect("rw", timeout=0)
            session.rows(f"PRAGMA synchronous = {self.synchronous}")
        self._patiently(lambda: session.rows("BEGIN IMMEDIATE"))
        session.key = ""
        self._writing = True
        return session

    def _commit(self, session: Session) -> None:
        try:
            session.end("COMMIT")
        except TrueCountError as error:
            self._roll_back(session)
            code = getattr(error.__cause__, "sqlite_errorcode", 0)
            if session.key and code & 0xFF == sqlite3.SQLITE_IOERR:
                # The commit may have reached the disk or not; only a repetition can tell.
                raise OutcomeUnknown(session.key, str(error.__cause__)) from error
            raise

    def _roll_back(self, session: Session) -> None:
        """Undo what is open; a connection that cannot even do that is given up."""
        if session.abandoned:
            return
        try:
            session.finish()
            if session.connection.in_transaction:
                session.rows("ROLLBACK")
        except (TrueCountError, sqlite3.Error):
            self._writer = None
            with suppress(sqlite3.Error):
                session.connection.close()

    def _patiently(self, act: Callable[[], object]) -> None:
        """Do *act*, again and again while the file is busy."""
        deadline = 0.0
        for attempt in count():
            try:
                act()
            except Retryable:
                now = time.monotonic()
                deadline = deadline or now + self._timeout
                if now >= deadline:
                    raise
                time.sleep(random.uniform(*_SLEEPS[attempt > 0]))
            else:
                return

    # --- opening and closing -----------------------------------------------------------

    def close(self) -> None:
        """Close everything; what is being read is closed when it was read."""
        with self._lock:
            self._over = self._over or "it was closed"
            self._drop()

    def _drop(self) -> None:
        """Close what nobody uses just now."""
        self._keep_idle(0)
        if self._writer is not None and not self._writing:
            self._writer.connection.close()
            self._writer = None

    def check(self) -> None:
        """Refuse to go on after ``close``."""
        if self._over:
            raise StorageUnavailable(self.target, self._over)

    def _connect(self, mode: str, *, timeout: float) -> Session:
        uri = f"{Path(self.target).as_uri()}?mode={mode}"
        try:
            connection = sqlite3.connect(
                uri,
                uri=True,
                timeout=timeout,
                isolation_level=None,
                check_same_thread=False,
                cached_statements=256,
            )
        except sqlite3.Error as error:
            raise translated(error, self.target) from error
        return Session(connection, self.target)

    @contextmanager
    def _connected(self, mode: str, timeout: float) -> Iterator[Session]:
        session = self._connect(mode, timeout=timeout)
        try:
            yield session
        finally:
            session.connection.close()

    def _open(self, *, beside: bool) -> None:
        """Look before touching: a file that is refused stays as it was, byte for byte."""
        problem = problem_with(self.target, read_only=self.read_only)
        if problem is not None:
            raise StorageUnavailable(self.target, problem)
        path = Path(self.target)
        known = False
        if path.exists() and path.stat().st_size:
            with path.open("rb") as file:
                if file.read(len(_HEADER)) != _HEADER:
                    raise ForeignDatabase(self.target, "not an SQLite database", "one of truecount")
            # A host that crashed may have left a journal, which only "rw" can roll back.
            with self._connected("rw" if beside else "ro", self._timeout) as session:
                known = schema.recognise(session.rows, self.target, beside=beside)
                if known and session.rows("PRAGMA journal_mode") == [("wal",)]:
                    return
        if self.read_only:
            if not known:
                raise ForeignDatabase(self.target, "empty", "a database of truecount")
            return
        with self._connected("rwc", 0) as session:
            self._prepare(session, beside=beside)

    def _prepare(self, session: Session, *, beside: bool) -> None:
        """Make the tables, unless another process just did; the file can be written."""

        def use_wal() -> None:
            mode = session.rows("PRAGMA journal_mode = WAL")[0][0]
            if mode != "wal":
                problem = f"its journal mode is {mode!r} and cannot be made 'wal' here"
                raise StorageUnavailable(self.target, problem)

        self._patiently(use_wal)
        self._patiently(lambda: session.rows("BEGIN IMMEDIATE"))
        try:
            if not schema.recognise(session.rows, self.target, beside=beside):
                schema.create(session.rows)
        except BaseException:
            session.end("ROLLBACK")
            raise
        session.end("COMMIT")

    # --- forks -------------------------------------------------------------------------

    def before_fork(self) -> None:
        """Let nobody begin, wait a little for whoever has begun, and close what is idle."""
        deadline = time.monotonic() + _FORK_WAIT
        self._door.acquire()
        if self._lock.acquire(timeout=_FORK_WAIT):
            _FORKING.locked.append(self._lock)
        me = threading.get_ident()
        while any(thread != me for _, thread in list(self._reading)):
            if time.monotonic() > deadline:
                break
            time.sleep(_SLEEPS[0][1])
        _FORKING.locked.append(self._door)
        self._drop()

    def after_fork_in_child(self) -> None:
        """Forget what was open during the fork: it is the parent's."""
        self._lock = threading.RLock()
        self._door = threading.Lock()
        inherited = [*(session for session, _ in self._reading), *self._idle]
        if self._writer is not None:
            inherited.append(self._writer)
        for session in inherited:
            session.abandon()
            self._over = FORKED
        self._reading = set()
        self._idle = []
        self._writer = None
        self._writing = False


def problem_with(target: str, *, read_only: bool) -> str | None:
    """Return why *target* cannot be a database file here, None when it can."""
    if sqlite3.sqlite_version_info < SQLITE_MIN:
        return f"SQLite {sqlite3.sqlite_version} is too old, 3.37 or newer is needed"
    path = Path(target)
    if path.is_dir():
        return "it is a directory; name a file in it"
    if not path.parent.is_dir():
        return f"the folder {str(path.parent)!r} does not exist; create it first"
    if not path.exists():
        return "there is no such file" if read_only else None
    effective = os.access in os.supports_effective_ids
    if not os.access(path, os.R_OK, effective_ids=effective):
        return "the file may not be read"
    if not read_only and not os.access(path, os.W_OK, effective_ids=effective):
        return "the file is read-only; to read it pass read_only=True"
    shared = Path(f"{path}-shm")
    if not shared.exists() and not os.access(path.parent, os.W_OK, effective_ids=effective):
        return (
            f"SQLite cannot make {shared.name!r} beside it, without which nobody can read a "
            "database with a write-ahead log; copy the database to a folder that can be written"
        )
    return None


_FILES: Final[WeakSet[Connections]] = WeakSet()


class _Forking(threading.local):
    """Whose locks this thread holds while it forks."""

    def __init__(self) -> None:
        self.locked: list[threading.Lock | threading.RLock] = []


_FORKING: Final = _Forking()


def _before_fork() -> None:
    for file in list(_FILES):
        file.before_fork()


def _after_fork() -> None:
    while _FORKING.locked:
        _FORKING.locked.pop().release()


def _after_fork_in_child() -> None:
    _FORKING.locked.clear()
    for file in list(_FILES):
        file.after_fork_in_child()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=_after_fork,
        after_in_child=_after_fork_in_child,
    )

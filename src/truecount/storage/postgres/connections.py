"""
Connections to one PostgreSQL database: a pool, what a new one is told, and when to try again.

Rules:
1. Connections are made when somebody needs one, and kept for the next: the last one at hand
   (``at_hand``), all others in the pool. A process that was forked makes its own and never
   touches its parent's.
2. Every connection waits for a lock as long as the storage's ``timeout``, no longer
   (``beginning``).
3. A write of our own is tried again after a deadlock, a serialization failure or a lost
   connection: at most ``ATTEMPTS_MAX`` times, for at most ``timeout``, after a random pause
   that grows. Randomness, sleeping and the clock for it are arguments, so that tests need
   neither luck nor time.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import Any, Final, TypeAlias

import psycopg
from psycopg import conninfo
from psycopg.pq import TransactionStatus
from psycopg_pool import ConnectionPool, PoolClosed, PoolTimeout

from truecount.errors import (
    InvalidArgument,
    OutcomeUnknown,
    Retryable,
    StorageUnavailable,
    TrueCountError,
)
from truecount.storage.postgres.at_hand import AtHand, is_due
from truecount.storage.postgres.beginning import Beginnings
from truecount.storage.postgres.session import (
    PASSING,
    Session,
    is_lost,
    translated,
)
from truecount.storage.postgres.texts import Texts
from truecount.storage.postgres.wire import Connection, OwnConnection, Wire


#: How often a write is tried again.
ATTEMPTS_MAX: Final = 8
#: Seconds of the longest pause after the first failure, and after any.
_PAUSE_FIRST: Final = 0.01
_PAUSE_MAX: Final = 1.0

_Pool: TypeAlias = ConnectionPool[OwnConnection]

#: Pools of a parent process: kept for ever, because closing them would close its connections.
_INHERITED: Final[list[object]] = []


class Connections:
    """The way to one database, for all threads of this process."""

    def __init__(
        self,
        dsn: str,
        texts: Texts,
        *,
        begins: Beginnings,
        timeout: float,
        size: int,
        sleep: Callable[[float], None] = time.sleep,
        draw: Callable[[], float] = random.random,
    ) -> None:
        try:
            told = conninfo.conninfo_to_dict(dsn)
        except psycopg.ProgrammingError as error:
            raise InvalidArgument(
                "dsn", "that cannot be read", f"a connection string ({error})"
            ) from error
        told.setdefault("fallback_application_name", "truecount")
        told.setdefault("connect_timeout", max(2, round(timeout)))
        #: What the database is called in messages: never with a password.
        self.target = _shown(told)
        self.texts = texts
        self.timeout = timeout
        self.dsn = conninfo.make_conninfo("", **told)
        #: How transactions begin.
        self.begins = begins
        self._size = size
        self._sleep = sleep
        self._draw = draw
        self._mutex = threading.Lock()
        self._pool: _Pool | None = None
        self._at_hand = AtHand()
        self._process = os.getpid()
        self._closed = False

    # --- one transaction ---------------------------------------------------------------

    def session(self, begin: Sequence[str]) -> Session:
        """Return a connection of ours on which *begin* will come first."""
        return Session(
            self.take(),
            self.texts,
            self.target,
            begin=begin,
            renewed=self._renewed,
            commits_alone=not self.begins.proxied,
        )

    @contextmanager
    def alone(self, begin: Sequence[str] = ()) -> Iterator[Session]:
        """Yield a session on a connection outside the pool, which says at once why it cannot be."""
        self.check()
        try:
            connection = psycopg.connect(self.dsn, autocommit=True)
        except psycopg.Error as error:
            raise translated(error, self.target) from error
        with closing(connection):
            session = Session(
                connection, self.texts, self.target, begin=begin, renewed=lambda same: same
            )
            try:
                self._configure(connection)
            except psycopg.Error as error:
                raise translated(error, self.target) from error
            yield session

    def take(self) -> OwnConnection:
        """Take the connection at hand, or one of the pool; wait for one if all are in use."""
        pool = self._opened()
        connection = self._at_hand.take()
        if connection is not None and is_due(connection):
            pool.putconn(connection)
            connection = None
        if connection is None:
            with self._at_hand.waiting() as come:
                connection = come or self._pooled(pool)
        connection.is_taken = True
        return connection

    def _pooled(self, pool: _Pool) -> OwnConnection:
        try:
            connection = pool.getconn()
        except PoolClosed as error:
            raise StorageUnavailable(self.target, "it was closed") from error
        except PoolTimeout as error:
            stats = pool.get_stats()
            if stats["pool_size"] >= self._size and not stats.get("connections_errors"):
                raise Retryable(
                    f"all {self._size} connections were in use for {self.timeout:g} seconds"
                ) from error
            raise StorageUnavailable(self.target, str(error)) from error
        connection.pool, connection.taken_at = pool, time.monotonic()
        return connection

    def take_back(self, session: Session) -> None:
        """End what a session left open, and put its connection back."""
        session.roll_back()
        self.give_back(session.connection)

    def give_back(self, connection: Connection) -> None:
        """Put a connection back, once; one that is in an unknown state is closed."""
        if not (isinstance(connection, OwnConnection) and connection.is_taken):
            return
        connection.is_taken = False
        if connection.pool is not self._pool or self._process != os.getpid():
            return  # It is the parent's.
        if connection.pgconn.transaction_status == TransactionStatus.IDLE:
            self._pool_gets(self._at_hand.keep(connection))
        else:
            connection.close()
            self._pool_gets(connection)

    def _pool_gets(self, connection: OwnConnection | None) -> None:
        if connection is not None:
            connection.pool.putconn(connection)

    def _renewed(self, dead: Connection) -> Connection:
        """Return another connection for one that died idle; its neighbours may have, too."""
        self.give_back(dead)
        self._pool_gets(self._at_hand.take())
        self._opened().check()
        return self.take()

    def _wired(self, connection: Connection) -> None:
        self._configure(connection)
        for statement in self.begins.alone:
            connection.execute(statement.encode())
        if isinstance(connection, OwnConnection):
            connection.wire = Wire(connection, prepares=self.begins.prepares, lent=False)

    def _configure(self, connection: Connection) -> None:
        """Tell a new connection what all its transactions begin with."""
        for statement in self.begins.connection:
            connection.execute(statement.encode())

    # --- the pool ----------------------------------------------------------------------

    def _opened(self) -> _Pool:
        if self._pool is not None and self._process == os.getpid():
            return self._pool
        with self._mutex:
            if self._process != os.getpid():
                _INHERITED.append((self._pool, self._at_hand))
                self._pool, self._at_hand = None, AtHand()
                self._process = os.getpid()
            if self._closed:
                raise StorageUnavailable(self.target, "it was closed")
            if self._pool is None:
                self._pool = self._made()
            return self._pool

    def _made(self) -> _Pool:
        pool: _Pool = ConnectionPool(
            self.dsn,
            connection_class=OwnConnection,
            kwargs={"autocommit": True, "prepare_threshold": None},
            min_size=0,
            max_size=self._size,
            open=False,
            configure=self._wired,
            timeout=self.timeout,
            num_workers=1,
            name="truecount",
        )
        pool.open()
        return pool

    def close(self) -> None:
        """Close the idle connections; those in use are closed when they come back."""
        with self._mutex:
            self._closed = True
            if self._pool is not None and self._process == os.getpid():
                self._pool_gets(self._at_hand.close())
                self._pool.close()

    def check(self) -> None:
        """Refuse to go on after ``close``."""
        if self._closed:
            raise StorageUnavailable(self.target, "it was closed")

    def patience(self) -> Patience:
        """Return how long the failures of one write are borne."""
        return Patience(self.timeout, self._sleep, self._draw)


class Patience:
    """
    Asked after each failed attempt of one write: pauses and returns True to try again.

    >>> pauses = []
    >>> patience = Patience(30.0, pauses.append, lambda: 1.0)
    >>> deadlock = Retryable("deadlock detected")
    >>> deadlock.__cause__ = psycopg.errors.DeadlockDetected()
    >>> [patience(deadlock) for _ in range(9)].count(True), pauses[:3], max(pauses)
    (8, [0.01, 0.02, 0.04], 1.0)
    >>> patience(Retryable("not locked in time"))
    False
    """

    def __init__(
        self, seconds: float, sleep: Callable[[float], None], draw: Callable[[], float]
    ) -> None:
        self._deadline = time.monotonic() + seconds
        self._sleep = sleep
        self._draw = draw
        self._attempts = 0

    def __call__(self, problem: TrueCountError) -> bool:
        """Return whether to try again, after a pause."""
        left = self._deadline - time.monotonic()
        if not passes(problem) or self._attempts >= ATTEMPTS_MAX or left <= 0:
            return False
        pause = min(_PAUSE_FIRST * 2**self._attempts, _PAUSE_MAX, left)
        self._attempts += 1
        self._sleep(pause * self._draw())
        return True


def passes(problem: TrueCountError) -> bool:
    """Return whether the same write may succeed when it is tried again."""
    cause = problem.__cause__
    if isinstance(problem, Retryable):
        return isinstance(cause, psycopg.Error) and cause.sqlstate in PASSING
    return isinstance(problem, OutcomeUnknown) or (
        isinstance(problem, StorageUnavailable) and is_lost(cause)
    )


def _shown(told: dict[str, Any]) -> str:
    """
    Name a database without saying its password.

    >>> _shown({"host": "db", "dbname": "shop", "user": "app", "password": "secret"})
    'dbname=shop host=db user=app'
    """
    parts = [f"{name}={told[name]}" for name in ("dbname", "host", "port", "user") if name in told]
    return " ".join(parts) or "the default PostgreSQL database"

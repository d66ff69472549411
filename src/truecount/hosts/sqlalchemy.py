"""
SQLAlchemy 2: a ``Session`` or a ``Connection``, synchronous or inside ``run_sync``.

Rules:
1. What the session has not written yet is flushed first, as before any query (unless its
   ``autoflush`` is off): then its own constraints speak before stock is locked.
2. Nothing is begun or ended in SQLAlchemy's name; a transaction that it says is open is begun
   in the driver when the driver has not.
3. SQLite's driver begins before the first statement that writes, and SAVEPOINT is none. A
   savepoint that comes first is the whole transaction, and releasing it commits. Whether that
   is so cannot be seen, so within savepoints only engines are joined that ``begin_explicitly``
   was called for.
"""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import Connection, Engine, event
from sqlalchemy.exc import DBAPIError, OperationalError, UnboundExecutionError
from sqlalchemy.orm import Session, scoped_session
from sqlalchemy.util import await_only

from truecount.errors import InvalidArgument, NotInTransaction
from truecount.hosts.drivers import TARGET, Doubts, busy, opened


#: What ``begin_explicitly`` leaves in a connection's own notes.
_MARK: Final = "truecount: begins explicitly"
_MODES: Final = ("IMMEDIATE", "DEFERRED")

_AUTOCOMMIT: Final = (
    "its isolation level is AUTOCOMMIT; join a connection or session of an engine with another"
)
_SAVEPOINT: Final = (
    "a connection of an engine that truecount.hosts.sqlalchemy.begin_explicitly(engine) was "
    "called for, once, when it was made"
)
_DRIVER: Final = (
    "postgresql+psycopg:// (inside `await session.run_sync(...)` too), postgresql+asyncpg:// "
    "(only there), or sqlite:// for a file"
)
_RUN_SYNC: Final = (
    "the Session of `await session.run_sync(lambda s: inventory.within(s)...)`, or the "
    "Connection of `await connection.run_sync(...)`"
)
_FAILED: Final = "whose transaction has failed; roll back and repeat it"


def begin_explicitly(engine: Engine, mode: str = "IMMEDIATE") -> None:
    """
    Let every transaction of an SQLite *engine* begin with BEGIN, so that savepoints are safe.

    Call it once, when the engine is made; without it a ``begin_nested()`` that comes before
    the first write is the whole transaction, and commits when it ends.

    >>> from sqlalchemy import create_engine
    >>> engine = create_engine("sqlite://")
    >>> begin_explicitly(engine)
    >>> with engine.begin() as connection:
    ...     connection.connection.dbapi_connection.in_transaction
    True
    >>> engine.dispose()

    Args:
        mode: ``"IMMEDIATE"`` waits for other writers at the beginning. ``"DEFERRED"`` lets
            transactions that only read run beside a writer; one that has read, and writes
            after somebody else did, is then ``Retryable``.

    Raises:
        InvalidArgument: It is no engine of SQLite, or the mode is another.

    Complexity: O(1).
    """
    given: object = engine
    if not isinstance(given, Engine) or given.dialect.name != "sqlite":
        raise InvalidArgument("engine", repr(engine), "an Engine of an SQLite file")
    if mode not in _MODES:
        raise InvalidArgument("mode", repr(mode), f"one of {_MODES}")

    def begin(connection: Connection) -> None:
        connection.info[_MARK] = True
        driver: Any = connection.connection.driver_connection
        if not driver.in_transaction:
            connection.exec_driver_sql(f"BEGIN {mode}")

    event.listen(engine, "begin", begin)


def driver_connection(host: object) -> object:
    """
    Return the driver's connection below a session or connection, its transaction begun.

    Raises:
        NotInTransaction: No transaction is open, or every statement is committed at once.
        InvalidArgument: It cannot be joined; the message says what to pass instead.
    """
    connection = _connection_of(host)
    driver: Any = connection.connection.driver_connection
    if connection.dialect.driver == "asyncpg":
        return _lent_by_asyncpg(connection, driver)
    doubtful = connection.in_nested_transaction() and _MARK not in connection.info
    doubts = Doubts(
        autocommit=_AUTOCOMMIT, savepoint=_SAVEPOINT if doubtful else "", driver=_DRIVER
    )
    is_async = connection.dialect.is_async
    opened(driver, doubts, await_only if is_async else _itself)
    return _bridged(driver) if is_async else driver


def _itself(found: object) -> object:
    return found


def _bridged(driver: Any) -> object:
    from truecount.hosts.bridge import BridgedConnection

    return BridgedConnection(driver, await_only)


def _lent_by_asyncpg(connection: Connection, driver: Any) -> object:
    """Return what a storage can use, the transaction begun by SQLAlchemy: it ends no other."""
    from truecount.hosts.asyncpg import LentConnection
    from truecount.storage.postgres.session import translated

    if not driver.is_in_transaction():
        try:
            connection.exec_driver_sql("SELECT 1")
        except DBAPIError as error:
            raise translated(error.orig or error, TARGET) from error
        if not driver.is_in_transaction():
            raise NotInTransaction(_AUTOCOMMIT)
    return LentConnection(driver, await_only)


def _connection_of(host: object) -> Connection:
    if any(kind.__module__.startswith("sqlalchemy.ext.asyncio") for kind in type(host).__mro__):
        raise InvalidArgument("host", f"of type {type(host).__name__}", _RUN_SYNC)
    if isinstance(host, scoped_session):
        host = host()
    if isinstance(host, Session):
        return _of_session(host)
    if not isinstance(host, Connection):
        name = type(host).__name__
        raise InvalidArgument("host", f"of type {name}", "a Session or a Connection")
    if host.closed or host.invalidated:
        raise InvalidArgument("host", "that is closed or lost", "an open Connection")
    if not host.in_transaction():
        raise NotInTransaction("write `with connection.begin():` around the call")
    return host


def _of_session(session: Session) -> Connection:
    if not session.in_transaction():
        raise NotInTransaction("write `with session.begin():` around the call")
    if not session.is_active:
        raise InvalidArgument("host", _FAILED, "one whose transaction is good")
    connection = _begun(session)
    if session.autoflush:
        session.flush()
    return connection


def _begun(session: Session) -> Connection:
    """Return the session's connection, which begins now if nothing was sent yet."""
    try:
        return session.connection()
    except UnboundExecutionError as error:
        allowed = "the one of the stock: session.connection(bind_arguments={...})"
        raise InvalidArgument("host", "of several databases", allowed) from error
    except OperationalError as error:
        if session.get_bind().dialect.name != "sqlite" or error.orig is None:
            raise
        # What begin_explicitly sends: the file is being written by others.
        raise busy(error.orig) from error

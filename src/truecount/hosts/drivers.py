"""
Whether a driver has begun the transaction that its framework speaks of.

Frameworks say "begin" and leave the statement to the driver, which sends it before the next
statement (psycopg) or before the next that writes (sqlite3). A transaction that the framework
holds open, and the driver has not begun, is begun here: the driver ends it like any other.
Where the driver would begin none, everything would be committed at once: that is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import attrs

from truecount.errors import InvalidArgument, NotInTransaction, TrueCountError


if TYPE_CHECKING:
    import sqlite3

#: What a host's database is called in messages.
TARGET: Final = "the host's database"
_ALLOWED: Final = "psycopg 3 or sqlite3"


@attrs.frozen(kw_only=True)
class Doubts:
    """What a framework knows of its transaction, and its words for what is missing."""

    #: What to do where the driver commits every statement.
    autocommit: str
    #: Why what is open may be only a savepoint, and what to do. Empty: it is not.
    savepoint: str = ""
    #: Which driver to use instead of one that cannot be joined.
    driver: str = _ALLOWED


def opened(connection: object, doubts: Doubts, wait: Callable[[Any], object]) -> None:
    """
    See to it that a transaction is open on a driver's *connection*.

    Args:
        wait: Waits for what an asynchronous connection returns.

    Raises:
        NotInTransaction: The driver commits every statement.
        InvalidArgument: It is no connection that a storage can join.
        Retryable: SQLite's file is being written by others.
    """
    package = type(connection).__module__.partition(".")[0]
    begin = _DRIVERS.get(package)
    if begin is None:
        raise InvalidArgument("host", f"on the driver {package}", doubts.driver)
    begin(connection, doubts, wait)


def busy(error: Exception) -> TrueCountError:
    """Return why SQLite could not begin, in our words."""
    from truecount.storage.sqlite.session import translated

    return translated(error, TARGET)


def _open_sqlite(
    connection: sqlite3.Connection, doubts: Doubts, _wait: Callable[[Any], object]
) -> None:
    import sqlite3

    try:
        # Since Python 3.12 a connection may say that it is always in a transaction.
        mode: object = getattr(connection, "autocommit", None)
        if connection.in_transaction:
            if doubts.savepoint and mode is not False:
                raise InvalidArgument(
                    "host", "in what may be a savepoint without a transaction", doubts.savepoint
                )
        elif connection.isolation_level is None or mode is True:
            raise NotInTransaction(doubts.autocommit)
        else:
            # One that read before it wrote could not write after others had.
            connection.execute("BEGIN IMMEDIATE")
    except sqlite3.ProgrammingError:
        return  # Closed, or another thread's: the storage says so.
    except sqlite3.Error as error:
        raise busy(error) from error


def _open_psycopg(connection: Any, doubts: Doubts, wait: Callable[[Any], object]) -> None:
    import psycopg
    from psycopg.pq import TransactionStatus

    from truecount.storage.postgres.session import translated

    if connection.info.transaction_status != TransactionStatus.IDLE:
        return  # A transaction, or something the storage has a message for.
    if connection.autocommit:
        raise NotInTransaction(doubts.autocommit)
    try:
        # The driver puts its BEGIN in front, with the isolation level it was told.
        wait(connection.execute("SELECT 1"))
    except psycopg.Error as error:
        raise translated(error, TARGET) from error


_DRIVERS: Final[Mapping[str, Callable[[Any, Doubts, Callable[[Any], object]], None]]] = {
    "psycopg": _open_psycopg,
    "sqlite3": _open_sqlite,
}

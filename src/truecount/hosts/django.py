"""
Django: ``django.db.connection`` or ``connections[alias]``, inside ``transaction.atomic()``.

Rules:
1. Nothing goes through Django's cursors: no query is counted, logged or wrapped.
2. Django is believed when it says that a transaction is open, or broken; one that it says is
   open is begun in the driver when the driver has not.
"""

from __future__ import annotations

from typing import Any, Final

from django.db import DatabaseError
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils.connection import ConnectionProxy

from truecount.errors import InvalidArgument, NotInTransaction
from truecount.hosts.drivers import Doubts, opened


_ALLOWED: Final = "django.db.connection, or connections[alias]"
_DRIVER: Final = "psycopg 3 (pip install psycopg, without psycopg2), or an SQLite file"
_SAVEPOINT: Final = "transaction.atomic() around everything, with autocommit left on"
#: Or whose connection was closed in its block, which Django tells by the same mark.
_FAILED: Final = "whose transaction has failed; leave its atomic() block and repeat it"


def driver_connection(host: object) -> object:
    """
    Return the driver's connection below one of Django's, its transaction begun.

    Raises:
        NotInTransaction: No ``atomic()`` block is open.
        InvalidArgument: It cannot be joined; the message says what to pass instead.
    """
    if not isinstance(host, BaseDatabaseWrapper | ConnectionProxy):
        raise InvalidArgument("host", f"of type {type(host).__name__}", _ALLOWED)
    wrapper: Any = host
    try:
        wrapper.validate_thread_sharing()
    except DatabaseError as error:
        raise InvalidArgument("host", "of another thread", _ALLOWED) from error
    advice = _advice(wrapper.alias)
    if not wrapper.in_atomic_block and wrapper.get_autocommit():
        raise NotInTransaction(advice)
    if wrapper.needs_rollback:
        raise InvalidArgument("host", _FAILED, "one whose transaction is good")
    driver: Any = wrapper.connection
    opened(driver, _doubts(wrapper, driver, advice), lambda found: found)
    return driver


def _advice(alias: str) -> str:
    using = "" if alias == "default" else f"using={alias!r}"
    return f"write `with transaction.atomic({using}):` around the call"


def _doubts(wrapper: Any, driver: Any, advice: str) -> Doubts:
    # With autocommit on, the outermost atomic() sends BEGIN. Without, SQLite's driver begins
    # before the first write, and a savepoint that came earlier is the whole transaction.
    lazy = getattr(driver, "isolation_level", None) is not None
    doubtful = lazy and any(wrapper.savepoint_ids)
    return Doubts(autocommit=advice, savepoint=_SAVEPOINT if doubtful else "", driver=_DRIVER)

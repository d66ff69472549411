"""
What kind of thing a host is: told by the package its class comes from.

Whoever joins a Session has imported SQLAlchemy, and nobody else should have to. So the
adapter of a framework is looked up by name, and imported when it is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final


def driver_connection(host: object) -> object:
    """
    Return the driver's connection below *host*, its transaction begun.

    A connection of a driver is returned as it is: the storage judges it. A framework's is
    asked anew each time, because what it had yesterday may be somebody else's today.

    >>> import sqlite3
    >>> connection = sqlite3.connect(":memory:")
    >>> driver_connection(connection) is connection
    True
    >>> connection.close()

    Raises:
        NotInTransaction: The framework has no transaction open there.
        InvalidArgument: It cannot be joined; the message says what to pass instead.

    Complexity: O(1).
    """
    for kind in type(host).__mro__:
        package = kind.__module__.partition(".")[0]
        if package in _ADAPTERS:
            return _ADAPTERS[package](host)
    return host


def _of_sqlalchemy(host: object) -> object:
    from truecount.hosts import sqlalchemy

    return sqlalchemy.driver_connection(host)


def _of_django(host: object) -> object:
    from truecount.hosts import django

    return django.driver_connection(host)


_ADAPTERS: Final[Mapping[str, Callable[[object], object]]] = {
    "django": _of_django,
    "sqlalchemy": _of_sqlalchemy,
}

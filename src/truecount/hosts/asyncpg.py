"""
asyncpg: the connection below an asynchronous session of SQLAlchemy's.

Rules:
1. Statements run one after the other, a round trip each: asyncpg has no pipeline.
2. What asyncpg prepares, and how much of it it keeps, is as its host has told it.
3. Its errors leave as psycopg's of the same SQLSTATE, which the storage has words for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Final, NamedTuple

import asyncpg
import psycopg
from psycopg.errors import lookup
from psycopg.pq import TransactionStatus

from truecount.errors import InvalidArgument
from truecount.storage.postgres.wire import Answer, Exchange, Lent, Sent


#: What asyncpg raises; OSError is a connection that broke.
_RAISED: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError)
_FAILED: Final = "25P02"
_PLACEHOLDER: Final = re.compile(r"\$(\d+)")
#: asyncpg asks the server for the type of a value, and takes text for texts alone. So each
#: placeholder says what we have, and what it is to become is the server's to do.
_TYPES: Final = {int: "::bigint", str: "::text"}
#: Statements that return rows; of all others asyncpg tells how many rows they changed.
_RETURNS: Final = re.compile(r"^\s*(SELECT|WITH)\b|\bRETURNING\b")


@lru_cache(maxsize=1024)
def _typed(text: bytes, types: tuple[type, ...]) -> str:
    """
    Return a statement whose placeholders say what type their values have.

    >>> _typed(b"SELECT unnest($1::text[]), $2", (str, int))
    'SELECT unnest($1::text::text[]), $2::bigint'
    """

    def told(match: re.Match[str]) -> str:
        return match[0] + _TYPES.get(types[int(match[1]) - 1], "")

    return _PLACEHOLDER.sub(told, text.decode())


class _Done(NamedTuple):
    """What an answer looks at of a result of libpq's."""

    command_tuples: int | None
    command_status: bytes | None = None


class LentConnection(Lent):
    """
    A connection of asyncpg's, for as long as one call of ours takes.

    Args:
        wait: Runs a coroutine of the host's event loop, and returns what it returns.
    """

    def __init__(self, host: Any, wait: Callable[[Any], Any]) -> None:
        self._host = host
        self.wire = _Wire(host, wait)

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return bool(self._host.is_closed())

    @property
    def status(self) -> TransactionStatus:
        """Whether a transaction is open; asyncpg does not tell one that has failed from others."""
        is_open = self._host.is_in_transaction()
        return TransactionStatus.INTRANS if is_open else TransactionStatus.IDLE


class _Wire(Exchange):
    def __init__(self, host: Any, wait: Callable[[Any], Any]) -> None:
        self._host = host
        self._wait = wait

    def exchange(self, steps: Sequence[Sent]) -> list[Answer]:
        """Run statements in order."""
        try:
            return [self._answer(text, values) for text, values in steps]
        except _RAISED as error:
            raise _of_psycopg(error) from error

    def _answer(self, text: bytes, values: Sequence[object]) -> Answer:
        statement = _typed(text, tuple(map(type, values)))
        if _RETURNS.search(statement):
            rows = list(map(tuple, self._wait(self._host.fetch(statement, *values))))
            return Answer(rows, _Done(len(rows)))
        done = self._wait(self._host.execute(statement, *values))
        _, _, number = done.rpartition(" ")
        return Answer([], _Done(int(number) if number.isdigit() else None, done.encode()))


def _of_psycopg(error: Any) -> Exception:
    """Return an error of asyncpg's in the words of psycopg's."""
    state = getattr(error, "sqlstate", None)
    if state == _FAILED:
        failed = "whose transaction has failed; roll back and repeat it"
        return InvalidArgument("host", failed, "one whose transaction is good")
    if isinstance(error, asyncpg.DataError):
        return psycopg.DataError(str(error))
    try:
        return lookup(state or "")(str(error))
    except KeyError:
        return psycopg.OperationalError(str(error))

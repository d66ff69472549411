"""
How transactions of our own begin: at which isolation, and with which settings.

Rules:
1. A write reads what it decides on after its locks, or proves it under them. At READ
   COMMITTED each statement has a snapshot of its own, so it may wait for a lock and go on. At
   the stricter levels the snapshot is as old as the first statement; whoever waited for a row
   that was changed meanwhile fails with 40001 and is repeated. That suffices, because nothing
   changes under a lock without the locked row, or one found in the same statement, being
   changed with it.
2. A read is one snapshot and decides nothing, so its level is the same for all.
3. The numbering pass decides nothing that a writer could contradict. It is READ COMMITTED at
   every level, because a serializable one would make writers fail that it does not touch.
4. A proxy that gives out server connections for one transaction at a time forgets what a
   connection was told, or tells it to somebody else's. Behind one, every transaction is told.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final, Literal, NamedTuple, TypeAlias, get_args

from truecount.errors import InvalidArgument


Isolation: TypeAlias = Literal["read committed", "repeatable read", "serializable"]

ISOLATIONS: Final[tuple[Isolation, ...]] = get_args(Isolation)

_WRITE: Final = "BEGIN ISOLATION LEVEL {} READ WRITE"
_READ: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
_TELL: Final = "SET {} lock_timeout = '{}'"
# What a statement that comes alone begins with.
_ALONE: Final = (
    "SET default_transaction_isolation = '{}'",
    "SET default_transaction_read_only = off",
)
# Each statement is planned once: planning anew for every list costs more than running. And by
# an index: a plan made while a table is small would read all of it, and still do so when a
# sale has filled it, until the next ANALYZE.
_PLAN: Final = ("SET plan_cache_mode = force_generic_plan", "SET enable_seqscan = off")


class Beginnings(NamedTuple):
    """What a new connection, a write, a read and a numbering pass begin with."""

    isolation: Isolation
    #: Whether a proxy gives out server connections for one transaction at a time.
    proxied: bool
    #: How long a lock is waited for, as the server is told.
    lock_timeout: str
    connection: tuple[str, ...]
    write: tuple[str, ...]
    read: tuple[str, ...]
    numbering: tuple[str, ...]

    @property
    def alone(self) -> tuple[str, ...]:
        """What a connection is told so that a statement alone begins as a write does."""
        return () if self.proxied else tuple(each.format(self.isolation) for each in _ALONE)

    @property
    def prepares(self) -> bool:
        """Whether statements are prepared."""
        return not self.proxied


def beginnings(isolation: Isolation, timeout: timedelta, *, proxied: bool) -> Beginnings:
    """
    Return how transactions begin.

    >>> beginnings("serializable", timedelta(seconds=30), proxied=False).write
    ('BEGIN ISOLATION LEVEL SERIALIZABLE READ WRITE',)

    Raises:
        InvalidArgument: There is no such isolation.
    """
    if isolation not in ISOLATIONS:
        raise InvalidArgument("isolation", repr(isolation), f"one of {', '.join(ISOLATIONS)}")
    lock_timeout = f"{timeout / timedelta(milliseconds=1):.0f}ms"
    of_each = (_TELL.format("LOCAL", lock_timeout),) if proxied else ()
    of_connection = () if proxied else (_TELL.format("SESSION", lock_timeout), *_PLAN)
    return Beginnings(
        isolation,
        proxied,
        lock_timeout,
        connection=of_connection,
        write=(_WRITE.format(isolation.upper()), *of_each),
        read=(_READ, *of_each),
        numbering=(_WRITE.format("READ COMMITTED"), *of_each),
    )

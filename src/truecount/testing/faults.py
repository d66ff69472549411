"""
Faults: what a shop must survive, made to happen at calls to the storage.

``FaultyStorage`` stands in front of any storage and asks a *plan* before and after each call
whether it goes wrong. ``survival`` tries every fault there is, one after the other.

A fault is a :class:`Crash` (the process is gone: nothing of it runs any more) or an error
(the database failed: the caller is told, and the process goes on). After ``commit`` both
mean that the reply was lost: everything is written, and the caller does not know it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from enum import StrEnum
from random import Random
from typing import Any, NamedTuple, TypeAlias, cast

import attrs

from truecount.errors import OutcomeUnknown, Retryable, StorageUnavailable, TrueCountError
from truecount.protocols.storage import Reader, Storage, Unit
from truecount.testing.fakes import ManualClock


class Crash(BaseException):
    """The process is gone at this point: no handler of the code under test may go on."""


class Moment(StrEnum):
    """On which side of a call to the storage something goes wrong."""

    BEFORE = "before"
    AFTER = "after"


class Call(NamedTuple):
    """One call to the storage: its number, from 1 on, and its name (``commit`` ends a unit)."""

    number: int
    name: str

    def __str__(self) -> str:
        return f"call {self.number} ({self.name})"


#: Decides at each side of each call: returns what is raised there, or None.
Plan: TypeAlias = Callable[[Call, Moment], BaseException | None]


# --- plans -------------------------------------------------------------------------------


def no_fault(call: Call, moment: Moment) -> None:
    """Let everything go well."""


@attrs.define
class FailAt:
    """
    Fail once: at the *number*-th call (of those called *name*, if given), before or after it.

    ``fired`` is that call once it has happened.

    >>> plan = FailAt(2, Moment.AFTER, "commit")
    >>> [plan(Call(number, "commit"), Moment.AFTER) is not None for number in (3, 8, 9)]
    [False, True, False]
    """

    number: int
    moment: Moment
    name: str = ""
    error: Callable[[Call], BaseException] = Crash
    fired: Call | None = None
    _seen: int = attrs.field(default=0, init=False)

    def __call__(self, call: Call, moment: Moment) -> BaseException | None:
        """Return the error when its time has come."""
        if moment is not self.moment or self.name not in {"", call.name}:
            return None
        self._seen += 1
        if self._seen != self.number:
            return None
        self.fired = call
        return self.error(call)


@attrs.define
class BusyAtRandom:
    """
    Be busy at a *share* of all calls, the same ones for the same *seed*.

    >>> plan = BusyAtRandom(seed=1, share=1.0)
    >>> plan(Call(1, "lock"), Moment.BEFORE)
    Retryable(reason='call 1 (lock) was made to fail')
    """

    seed: int
    share: float = 0.01
    _random: Random = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._random = Random(self.seed)

    def __call__(self, call: Call, moment: Moment) -> BaseException | None:
        """Return an error for some calls, before they happen."""
        if moment is Moment.BEFORE and self._random.random() < self.share:
            return Retryable(f"{call} was made to fail")
        return None


@attrs.define
class SlowBy:
    """Let *step* go by on a clock at each call to the storage; nobody really waits."""

    clock: ManualClock
    step: timedelta

    def __call__(self, call: Call, moment: Moment) -> None:
        """Move the clock, before the call."""
        if moment is Moment.BEFORE:
            self.clock.tick(self.step)


def failure_of(call: Call) -> TrueCountError:
    """Return what a storage raises whose database failed at *call*."""
    if call.name == "commit":
        return OutcomeUnknown("", f"{call} was made to fail")
    return StorageUnavailable("the faulty storage", f"{call} was made to fail")


# --- the storage -------------------------------------------------------------------------


class FaultyStorage:
    """
    Passes every call on to *storage*, unless *plan* says that it fails.

    After a :class:`Crash` every further call crashes, too. ``commits`` counts the units that
    were really committed.

    >>> from truecount import Inventory, MemoryStorage
    >>> storage = FaultyStorage(MemoryStorage(), FailAt(1, Moment.AFTER, "commit"))
    >>> try:
    ...     Inventory(storage).locations.add("berlin")
    ... except Crash as crash:
    ...     print("crashed after", crash)
    crashed after call ... (commit)
    >>> list(Inventory(storage.behind).locations)  # The reply was lost, the write was not.
    ['berlin']
    """

    def __init__(self, storage: Storage, plan: Plan = no_fault) -> None:
        self.behind = storage
        self.plan = plan
        self.calls = 0
        self.commits = 0
        self._dead = False

    @contextmanager
    def begin(self, tenant: str, host: object | None = None) -> Iterator[Unit]:
        """Open a unit of the storage behind; it is committed when it is left."""
        begun = self.before("begin")
        with self.behind.begin(tenant, host) as unit:
            self.after(begun)
            yield cast("Unit", _Watched(self, unit))
            left = self.before("commit")
        self.commits += 1
        self.after(left)

    @contextmanager
    def read(self, tenant: str, host: object | None = None) -> Iterator[Reader]:
        """Open a read of the storage behind."""
        begun = self.before("read")
        with self.behind.read(tenant, host) as reader:
            self.after(begun)
            yield cast("Reader", _Watched(self, reader))

    def close(self) -> None:
        """Close the storage behind."""
        self.behind.close()

    def before(self, name: str) -> Call:
        """Count a call and let it fail before it happens."""
        self.calls += 1
        call = Call(self.calls, name)
        self._ask(call, Moment.BEFORE)
        return call

    def after(self, call: Call) -> None:
        """Let a call fail after it happened."""
        self._ask(call, Moment.AFTER)

    def _ask(self, call: Call, moment: Moment) -> None:
        if self._dead:
            raise Crash(f"{call} of a process that is gone")
        error = self.plan(call, moment)
        if error is not None:
            self._dead = isinstance(error, Crash)
            raise error


class _Watched:
    """A unit or reader whose every method is a call that may fail."""

    def __init__(self, storage: FaultyStorage, inner: Unit | Reader) -> None:
        self._storage = storage
        self._inner = inner

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._inner, name)

        def called(*values: object, **named: object) -> Any:
            call = self._storage.before(name)
            result = method(*values, **named)
            self._storage.after(call)
            return result

        return called

"""A storage in front of another one, where a test can let things happen between two calls."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from typing import TypeAlias

from truecount.model.instants import Instant
from truecount.model.lines import LineRow
from truecount.protocols.storage import Changes, Locked, Reader, Storage, Unit, Wants


#: What happens just before a call; what it raises is raised by the call.
Hook: TypeAlias = Callable[[], object]


class HookedStorage:
    """
    Passes everything on to *storage*, each call after its next hook, and counts the calls.

    Hooks are queued by the name of a call: ``begin``, ``lock``, ``due``, ``write``.
    """

    def __init__(self, storage: Storage) -> None:
        """Stand in front of *storage*."""
        self.storage = storage
        self.hooks: dict[str, deque[Hook]] = {}
        self.calls: dict[str, int] = {}

    def before(self, call: str, *hooks: Hook) -> None:
        """Let *hooks* happen before the next calls of that name, one before each."""
        self.hooks.setdefault(call, deque()).extend(hooks)

    def reached(self, call: str) -> None:
        """Count a call and let its next hook happen."""
        self.calls[call] = self.calls.get(call, 0) + 1
        waiting = self.hooks.get(call)
        if waiting:
            waiting.popleft()()

    @contextmanager
    def begin(self, tenant: str, host: object | None = None) -> Iterator[Unit]:
        """Open a write transaction of the storage behind."""
        self.reached("begin")
        with self.storage.begin(tenant, host) as unit:
            yield HookedUnit(self, unit)  # type: ignore[misc]  # it passes all other calls on

    def read(self, tenant: str, host: object | None = None) -> AbstractContextManager[Reader]:
        """Open a read of the storage behind."""
        return self.storage.read(tenant, host)

    def close(self) -> None:
        """Close the storage behind."""
        self.storage.close()


class HookedUnit:
    """A write transaction whose locking, reading of due holds, and writing have hooks."""

    def __init__(self, hooked: HookedStorage, unit: Unit) -> None:
        """Stand in front of *unit*."""
        self._hooked = hooked
        self._unit = unit

    def recall(self, wants: Wants) -> Locked | None:
        """Return what is remembered."""
        return self._unit.recall(wants)

    def lock(self, wants: Wants) -> Locked:
        """Lock, after the hook."""
        self._hooked.reached("lock")
        return self._unit.lock(wants)

    def due(self, enough: Mapping[tuple[str, str, str], int], now: Instant) -> list[LineRow]:
        """Read due holds, after the hook."""
        self._hooked.reached("due")
        return self._unit.due(enough, now)  # type: ignore[arg-type]  # keys are such tuples

    def write(self, changes: Changes) -> None:
        """Write, after the hook."""
        self._hooked.reached("write")
        self._unit.write(changes)

    def __getattr__(self, name: str) -> object:
        return getattr(self._unit, name)

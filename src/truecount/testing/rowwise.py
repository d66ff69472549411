"""
The storage in memory behind locks of single rows, as a large database has them.

Who runs units says what it is to wait for a lock: ``Turns`` let a seed decide who goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any, cast

from truecount.model.instants import Instant
from truecount.model.lines import LineRow
from truecount.protocols.storage import Changes, Locked, Reader, Unit, Wants
from truecount.storage.memory import MemoryStorage
from truecount.testing.turns import Turns


class RowLocks:
    """
    A storage in memory whose units lock row by row, and wait for their turns.

    Writes are kept back until the unit is left, so others see all of them or nothing.
    """

    def __init__(self, turns: Turns) -> None:
        self.turns = turns
        self.behind = MemoryStorage()

    @contextmanager
    def begin(self, tenant: str, host: object | None = None) -> Iterator[Unit]:
        """Open a unit; nobody waits for it before it locks something."""
        self.turns.pause("begin")
        unit = self.unit(tenant, host)
        try:
            yield cast("Unit", unit)
            self.turns.pause("commit")
            unit.commit()
        finally:
            self.turns.release()

    def unit(self, tenant: str, host: object | None) -> RowUnit:
        """Return the unit that ``begin`` opens; a mutant has another one."""
        return RowUnit(self, tenant, host)

    @contextmanager
    def read(self, tenant: str, host: object | None = None) -> Iterator[Reader]:
        """Open a read, which is one step: it sees one instant."""
        self.turns.pause("read")
        with self.behind.read(tenant, host) as reader:
            yield reader

    def close(self) -> None:
        """Forget everything."""
        self.behind.close()


class _Undone(Exception):
    """Leaves a unit of the storage behind without a trace."""


class RowUnit:
    """One transaction: locks by name, reads of what is committed, and a write kept back."""

    def __init__(self, storage: RowLocks, tenant: str, host: object | None) -> None:
        self._turns = storage.turns
        self._open: Callable[[], Any] = partial(storage.behind.begin, tenant, host)
        self._tenant = tenant
        self._changes: Changes | None = None
        self._forget_before: Instant | None = None
        with self._open():
            pass  # A closed storage, or a host, is refused at once.

    def recall(self, wants: Wants) -> Locked | None:
        """Return None: nothing is remembered."""
        return None

    def lock(self, wants: Wants) -> Locked:
        """Take the locks in the order of the protocol, then read."""
        self._turns.pause("lock")
        self.take(wants)
        return self.look(wants)

    def take(self, wants: Wants) -> None:
        """Lock orders, then stock rows, then documents, each group sorted."""
        self._take_all("order", sorted(wants.orders))
        self._take_all("stock", sorted(self.look(wants).rows))
        for space, id_ in sorted(wants.records):
            name = ("order", id_) if space == "order" else ("record", space, id_)
            self._turns.take((self._tenant, *name), shared=(space, id_) in wants.shared)

    def _take_all(self, kind: str, names: Iterable[Hashable]) -> None:
        for name in names:
            self._turns.take((self._tenant, kind, name))

    def look(self, wants: Wants) -> Locked:
        """Read what is committed of *wants*."""
        with self._open() as unit:
            locked: Locked = unit.lock(wants)
            return locked

    def due(self, enough: Mapping[Any, int], now: Instant) -> list[LineRow]:
        """Return expired holds as they are committed."""
        self._turns.pause("due")
        with self._open() as unit:
            found: list[LineRow] = unit.due(enough, now)
            return found

    def write(self, changes: Changes) -> None:
        """Check *changes* against what is committed, and keep them back."""
        self._turns.pause("write")
        self._take_all("outcome", sorted(outcome.key for outcome in changes.outcomes))
        self._without_a_trace(lambda unit: unit.write(changes))
        self._changes = changes

    def forget(self, before: Instant) -> int:
        """Count the refusals that will be forgotten."""
        self._turns.pause("forget")
        self._forget_before = before
        counted: int = self._without_a_trace(lambda unit: unit.forget(before))
        return counted

    def _without_a_trace(self, act: Callable[[Any], Any]) -> Any:
        try:
            with self._open() as unit:
                result = act(unit)
                raise _Undone  # noqa: TRY301 -- the unit must see it, to roll back
        except _Undone:
            return result

    def commit(self) -> None:
        """Write what was kept back; nothing can come in between."""
        with self._open() as unit:
            if self._forget_before is not None:
                unit.forget(self._forget_before)
            if self._changes is not None:
                unit.write(self._changes)

    def __getattr__(self, name: str) -> Any:
        """Return one of a reader's methods: a step of its own, read to its end."""

        def read(*values: object, **named: object) -> Any:
            self._turns.pause(name)
            with self._open() as unit:
                found = getattr(unit, name)(*values, **named)
                return iter(list(found)) if isinstance(found, Iterator) else found

        return read

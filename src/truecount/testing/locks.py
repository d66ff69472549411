"""
Locks by name: who has what, who may have it as well, and who waits for whom.

No thread waits here; whoever keeps such locks decides how to wait (``turns``).
"""

from __future__ import annotations

from collections.abc import Hashable

import attrs


@attrs.define
class _Lock:
    """Who has something locked, and whether others may share it."""

    shared: bool
    holders: set[str]


class Locks:
    """
    What is locked, and by whom.

    >>> locks = Locks()
    >>> locks.hold("mug", "ann")
    >>> locks.is_free("mug", "ann"), locks.is_free("mug", "bob")
    (True, False)
    >>> locks.release("ann")
    >>> locks.is_free("mug", "bob")
    True
    """

    def __init__(self) -> None:
        self._held: dict[Hashable, _Lock] = {}

    def holders(self, name: Hashable) -> frozenset[str]:
        """Return who has *name* locked."""
        lock = self._held.get(name)
        return frozenset(lock.holders) if lock else frozenset()

    def is_free(self, name: Hashable, who: str, *, shared: bool = False) -> bool:
        """Return whether *who* can have *name*: nobody else has it, or all share it."""
        lock = self._held.get(name)
        return lock is None or not (lock.holders - {who}) or (shared and lock.shared)

    def hold(self, name: Hashable, who: str, *, shared: bool = False) -> None:
        """Note that *who* has *name*, which is free for it."""
        lock = self._held.setdefault(name, _Lock(shared, set()))
        lock.shared = lock.shared and shared
        lock.holders.add(who)

    def release(self, who: str) -> None:
        """Unlock everything that *who* has. O(locks held by anybody)."""
        for name, lock in list(self._held.items()):
            lock.holders.discard(who)
            if not lock.holders:
                del self._held[name]

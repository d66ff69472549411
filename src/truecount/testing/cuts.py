"""
Cuts: what lies before a moment, as how many versions of each key.

The version chain of a key is the order of what was written there. What one call wrote stands
at one moment, so a cut that has some of it has all of it, and all that came before any of it:
on one of its keys, or because it had ended when the call began.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import TypeAlias

import attrs

from truecount.model.stock import NOTHING, Amounts, StockKey
from truecount.testing.histories import Event, Ledger


#: A moment: the last version of each key that lies before it, 0 where it is absent.
Cut: TypeAlias = dict[StockKey, int]


@attrs.define(eq=False)
class Write:
    """What one call wrote, or a movement nobody claims: its versions, and the cut it makes."""

    name: str
    #: When its call began and ended; what nobody claims was there before all calls.
    began: int = 0
    ended: int = 0
    #: First and last version of each key.
    versions: dict[StockKey, tuple[int, int]] = attrs.field(factory=dict)
    #: What lies before it and itself; None where it stands in a circle.
    cut: Cut | None = None


class Writes:
    """
    All that a ledger has, by the calls that wrote it.

    Complexity: O(entries · keys), for the cuts.
    """

    def __init__(self, events: Iterable[Event], ledger: Ledger) -> None:
        self._figures = {
            key: (NOTHING, *(entry.after for entry in chain))
            for key, chain in ledger.chains.items()
        }
        self._of: dict[str, Write] = {}
        for event in events:
            write = Write(str(event), event.began, event.ended)
            for movement in () if event.replayed else event.movements:
                self._of.setdefault(movement, write)
        self._at: dict[StockKey, list[Write]] = {}
        for key, chain in ledger.chains.items():
            self._at[key] = [self._written(entry.movement_id) for entry in chain]
            for version, write in enumerate(self._at[key], 1):
                first, _ = write.versions.get(key, (version, version))
                write.versions[key] = first, version
        self._all = {write: None for writes in self._at.values() for write in writes}
        before = {write: self._written_before(write) for write in self._all}
        self._cut(before)
        if not self.circle:
            self._cut({w: before[w] | ended for w, ended in _ended_before(self._all)})

    def _written(self, movement: str) -> Write:
        return self._of.setdefault(movement, Write(f"movement {movement!r}"))

    def of(self, event: Event) -> Write | None:
        """Return what *event* wrote."""
        wrote = not event.replayed and event.movements
        return self._of.get(event.movements[0]) if wrote else None

    def figures(self, key: StockKey) -> Sequence[Amounts]:
        """Return the figures of *key* after each version, 0 first."""
        return self._figures.get(key, (NOTHING,))

    def until(self, key: StockKey, version: int) -> Cut:
        """Return the least cut that has a version of *key*."""
        return (self._at[key][version - 1].cut if version else None) or {}

    @property
    def circle(self) -> list[str]:
        """Name the writes of which each lies before another one on some key."""
        return sorted(write.name for write in self._all if write.cut is None)

    def _cut(self, before: Mapping[Write, set[Write]]) -> None:
        """Give each write its cut, those before it first; who stands in a circle gets none."""
        after = defaultdict[Write, list[Write]](list)
        for write, others in before.items():
            for other in others:
                after[other].append(write)
        missing = {write: len(others) for write, others in before.items()}
        ready = [write for write, number in missing.items() if not number]
        for write in ready:
            write.cut = {key: last for key, (_, last) in write.versions.items()}
            for other in before[write]:
                join(write.cut, other.cut or {})
            for other in after[write]:
                missing[other] -= 1
                if not missing[other]:
                    ready.append(other)

    def _written_before(self, write: Write) -> set[Write]:
        """Return who wrote last before *write* on each key, and who came in between."""
        found = {
            other
            for key, (first, last) in write.versions.items()
            for other in self._at[key][max(0, first - 2) : last]
        }
        return found - {write}


def _ended_before(writes: Iterable[Write]) -> Iterator[tuple[Write, set[Write]]]:
    """Yield each write with those that ended before it began, but for those before these."""
    by_end = sorted(writes, key=lambda write: write.ended)
    ends = [write.ended for write in by_end]
    latest = list(accumulate((write.began for write in by_end), max))
    for write in by_end:
        last = bisect_left(ends, write.began)
        first = bisect_left(ends, latest[last - 1]) if last else 0
        yield write, set(by_end[first:last])


def join(cut: Cut, other: Mapping[StockKey, int]) -> None:
    """Extend *cut* by what lies before *other*."""
    for key, version in other.items():
        if version > cut.get(key, 0):
            cut[key] = version

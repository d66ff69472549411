"""
What was there, counts included: every fact in a list by its own time, added up anew.

Facts lie in the order in which they happened, whenever they were told; a count makes what it
covers what was counted. Nothing is ever refolded here, because nothing is kept: whatever comes
late finds its place in the list, and the next count after it swallows it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator
from datetime import timedelta
from typing import NamedTuple

import attrs

from truecount.model.instants import Instant, microseconds, to_instant
from truecount.model.kinds import Kind
from truecount.model.movements import Movement
from truecount.testing.model.ledger import Shelf
from truecount.testing.model.shelves import Key


class Seen(NamedTuple):
    """What a count found: units, of which states."""

    quantity: int
    covers: Collection[str]


@attrs.frozen
class _Happened:
    """A fact or a count, where it belongs in the list: moment, then order."""

    when: Instant
    order: int
    keys: tuple[Key, ...]
    changes: Counter[Shelf]
    seen: Seen | None = None


class NaiveCounts:
    """
    Facts and counts by their own time.

    >>> from truecount import Inventory, Sold
    >>> inventory = Inventory()
    >>> inventory.locations.add("berlin")
    >>> receipt = inventory.receive("MUG", 5, at="berlin")
    >>> monday = receipt.decided_at
    >>> count = inventory.count("MUG", 3, at="berlin")
    >>> late = inventory.submit([Sold("MUG", 2, at="berlin", occurred_at=monday)])
    >>> naive = NaiveCounts()
    >>> for movement in inventory.feed():
    ...     found = inventory.counted(movement.id) if movement.kind == "count" else None
    ...     naive.tell(movement, found and Seen(found.counted, found.covers))
    >>> naive.figures()["MUG", "berlin", "", "sellable"]
    3

    Attributes:
        doubt: How far clocks may have been off at any time: a fact so near a count that it may
            have been seen or not is not refolded, and its shelf is left to the library.
        aside: Shelves on which something happened that the list cannot say: a fact from before
            a count that was only reported, or so near it that its clock decides, or one dated
            ahead of the clock it was told by, or corrected onto it at the moment of its count.
    """

    def __init__(self) -> None:
        self.doubt = timedelta(0)
        self.aside: set[Key] = set()
        self._happened: dict[str, _Happened] = {}

    def copy(self) -> NaiveCounts:
        """Return another that starts from here."""
        other = NaiveCounts()
        other.doubt, other.aside = self.doubt, set(self.aside)
        other._happened = dict(self._happened)
        return other

    def tell(self, movement: Movement, seen: Seen | None = None, *, reports: bool = False) -> None:
        """
        Write a movement down.

        Args:
            movement: Told in the order of positions.
            seen: What a count found; a count nobody tells of sets its shelf aside.
            reports: Whether late facts are only reported where it happened.
        """
        if movement.kind is Kind.REFOLD:
            return  # It follows from the others.
        original = self._happened.get(movement.reverses or "")
        if movement.kind is Kind.UNDO and original is not None:
            self._set_aside(original, reports=reports)
            del self._happened[movement.reverses or ""]
            return
        told = to_instant(movement.recorded_at)
        is_late = to_instant(movement.occurred_at) < told
        happened = _Happened(
            original.when if original else min(to_instant(movement.occurred_at), told),
            # What happened while it was told came after what was told before it.
            original.order if original else (movement.position or 0) * (not is_late),
            tuple(key for key, _ in movement.versions),
            _changes(movement),
            seen,
        )
        if seen is not None:
            happened = attrs.evolve(happened, order=movement.position or 0)
        if to_instant(movement.occurred_at) > told or (movement.kind is Kind.COUNT and not seen):
            self.aside.update(happened.keys)
        if is_late:
            self._set_aside(happened, reports=reports)
        if original is not None:
            self.aside |= self._counted_then(happened) - {*original.keys}
        self._happened[movement.id] = happened

    def _set_aside(self, happened: _Happened, *, reports: bool) -> None:
        """Set the shelves aside on which a count may not swallow what comes late."""
        near = microseconds(self.doubt)
        for each in self._happened.values():
            gap = each.when - happened.when
            if each.seen is not None and gap >= -near and (reports or (near and gap <= near)):
                self.aside |= {*each.keys} & {*happened.keys}

    def _counted_then(self, happened: _Happened) -> set[Key]:
        """Return the shelves of a fact that were counted at its very moment."""
        counted = (each for each in self._happened.values() if each.seen is not None)
        same = {key for each in counted if each.when == happened.when for key in each.keys}
        return same & {*happened.keys}

    def _in_order(self, time: Instant | None) -> Iterator[_Happened]:
        for each in sorted(self._happened.values(), key=lambda each: (each.when, each.order)):
            if time is None or each.when <= time:
                yield each

    def figures(self, time: Instant | None = None) -> Counter[Shelf]:
        """Return every figure now, or as of a moment."""
        total: Counter[Shelf] = Counter()
        for each in self._in_order(time):
            total.update(each.changes)
            if each.seen is not None:
                [key] = each.keys
                there = sum(total[*key, state] for state in each.seen.covers)
                total[*key, "sellable"] += each.seen.quantity - there
        return total

    def figure(self, key: Key, covers: Collection[str], time: Instant | None = None) -> int:
        """Return how many units of some states there are at a shelf, now or as of a moment."""
        total = self.figures(time)
        return sum(total[*key, state] for state in covers)


def _changes(movement: Movement) -> Counter[Shelf]:
    """Return what a movement did to each shelf; a count does whatever is necessary."""
    found: Counter[Shelf] = Counter()
    for leg in movement.legs if movement.kind is not Kind.COUNT else ():
        for place, units in ((leg.source, -leg.quantity), (leg.target, leg.quantity)):
            if place.location:
                found[leg.sku, place.location, leg.lot, place.name] += units
    return found

"""
The world of ``truecount demo``: what really lies on the shelves, and what channels really show.

Rules:
1. It is kept beside the book by dictionaries and sums, and imports nothing of the library: what
   it says is a second opinion, not an echo.
2. What is told to the book happens here as well; what only happens here is a mismatch, and is
   written down as planted.
3. Who promised units still has them on the shelf: they leave it when they are handed over.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import NamedTuple


#: A SKU at a location.
Shelf = tuple[str, str]


class Planted(NamedTuple):
    """
    What went wrong in the world, and nobody told the book.

    ``mismatch`` is one of the five, ``place`` a location or a channel, ``delta`` what is
    there less what should be.
    """

    mismatch: str
    sku: str
    place: str
    delta: int


OVERSELLING = "overselling"
PHANTOM = "phantom stock"
RESERVED = "reserved taken for available"
UNRECORDED = "unrecorded stock"
BUNDLE = "bundle out of step"


class World:
    """Shelves, promises and channels as they are, whatever the book says."""

    def __init__(self, shelves: Mapping[Shelf, int], aside: Mapping[Shelf, int]) -> None:
        """Begin with good units on *shelves*, and others put *aside* on the same shelves."""
        self.shelves = Counter(shelves)
        self.aside = Counter(aside)
        self.promised = Counter[Shelf]()
        self.channels: dict[str, dict[str, int]] = {}
        self.recipes: dict[str, dict[str, int]] = {}
        self.draws_on: dict[str, str] = {}
        self._unbooked = Counter[Shelf]()
        self._wrong: dict[tuple[str, str], str] = {}

    # --- what is told to the book as well ------------------------------------------------

    def comes_in(self, sku: str, units: int, at: str, *, booked: int | None = None) -> None:
        """Put units on a shelf; *booked* is what somebody typed, if it is something else."""
        self.shelves[sku, at] += units
        if booked is not None:
            self._unbooked[sku, at] += units - booked
            self._wrong[sku, at] = UNRECORDED

    def is_promised(self, units: Mapping[str, int], at: str) -> None:
        """Promise units to somebody; they stay where they are."""
        for sku, each in units.items():
            self.promised[sku, at] += each

    def is_sold(self, sku: str, units: int, at: str) -> None:
        """Hand units, or what a kit is made of, to a customer."""
        for part, needed in self.recipes.get(sku, {sku: 1}).items():
            self.shelves[part, at] -= needed * units

    def is_moved(self, sku: str, units: int, source: str, target: str) -> None:
        """Carry units to another location."""
        self.shelves[sku, source] -= units
        self.shelves[sku, target] += units

    def lists(self, channel: str, levels: Mapping[str, int], *, at: str) -> None:
        """Let a channel show levels of what lies *at* a location."""
        self.channels.setdefault(channel, {}).update(levels)
        self.draws_on[channel] = at

    def channel_sells(self, channel: str, sku: str, units: int) -> None:
        """Sell on a channel: it lowers what it shows by itself."""
        self.channels[channel][sku] -= units
        self.is_sold(sku, units, self.draws_on[channel])

    # --- what nobody tells the book ------------------------------------------------------

    def is_stolen(self, sku: str, units: int, at: str) -> None:
        """Take units away unseen."""
        self.shelves[sku, at] -= units
        self._unbooked[sku, at] -= units
        self._wrong[sku, at] = PHANTOM

    def shows_all(self, channel: str, sku: str) -> None:
        """Let a channel show all that lies on the shelf, promised or not."""
        at = self.draws_on[channel]
        self.channels[channel][sku] = self.seen(sku, at)
        self._wrong[sku, channel] = RESERVED

    def falls_behind(self, channel: str, sku: str) -> None:
        """Leave what a channel shows as it is, whatever is promised meanwhile."""
        is_kit = sku in self.recipes
        self._wrong[sku, channel] = BUNDLE if is_kit else OVERSELLING

    # --- looking -------------------------------------------------------------------------

    def seen(self, sku: str, at: str) -> int:
        """Return what somebody counts on a shelf: good or not, promised or not."""
        return self.shelves[sku, at] + self.aside[sku, at]

    def should_show(self, channel: str, sku: str) -> int:
        """Return what a channel could sell without disappointing anybody."""
        at = self.draws_on[channel]
        parts = self.recipes.get(sku, {sku: 1})
        free = (
            (self.shelves[part, at] - self.promised[part, at]) // n for part, n in parts.items()
        )
        return max(0, min(free))

    def planted(self) -> tuple[Planted, ...]:
        """Return all that is wrong, as it stands now."""
        return tuple(
            Planted(mismatch, sku, place, delta)
            for (sku, place), mismatch in self._wrong.items()
            if (delta := self._delta(sku, place))
        )

    def _delta(self, sku: str, place: str) -> int:
        if place in self.channels:
            return self.channels[place][sku] - self.should_show(place, sku)
        return self._unbooked[sku, place]

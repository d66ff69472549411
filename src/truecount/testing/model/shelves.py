"""
Shelves, said as plainly as possible: units by lot, holds on them, and which units go first.

Lists that are searched from end to end. A place gives what none of its lots is short of: the
lot that expires first, then the one that came first; holds that ran out are given back only
where their units are needed, soonest first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from itertools import combinations
from typing import Final, TypeAlias

import attrs


#: A shelf: SKU, location, lot.
Key: TypeAlias = tuple[str, str, str]
#: Units taken from shelves, in the order in which they are taken.
Parts: TypeAlias = list[tuple[Key, int]]

OPEN: Final = ("held", "allocated", "picked")

_NEVER: Final = 2**63 - 1


@attrs.define
class NaiveLine:
    """One part of a reservation; *deadline* is None once its order was placed."""

    reference: str
    number: int
    round: int
    sku: str
    place: str
    deadline: int | None
    counts: Counter[str] = attrs.field(factory=Counter)
    lot: str = ""

    @property
    def key(self) -> Key:
        """The shelf its units are of."""
        return self.sku, self.place, self.lot

    def ran_out(self, now: int) -> bool:
        """Return whether it holds units past its time."""
        return self.counts["held"] > 0 and self.deadline is not None and self.deadline <= now

    def move(self, quantity: int, source: str, target: str) -> None:
        """Move units from one counter to another."""
        if quantity > self.counts[source]:
            raise AssertionError(f"{self}: expected {quantity} or more {source}")
        self.counts[source] -= quantity
        self.counts[target] += quantity


class NaiveShelves:
    """
    What lies where, lot by lot, and what of it is promised.

    >>> shelves = NaiveShelves("berlin")
    >>> shelves.receive("MILK", "berlin", 2, lot="new")
    >>> shelves.receive("MILK", "berlin", 2, lot="old", expires=9)
    >>> shelves.parts("MILK", "berlin", 3, 0)
    [(('MILK', 'berlin', 'old'), 2), (('MILK', 'berlin', 'new'), 1)]
    >>> shelves.parts("MILK", "berlin", 3, 9)
    [(('MILK', 'berlin', 'new'), 2)]
    """

    def __init__(self, *places: str) -> None:
        self.places = places
        self.free: Counter[Key] = Counter()
        #: What lies there and may not be sold: it is on hand all the same.
        self.unfit: Counter[Key] = Counter()
        #: When the first thing happened to a shelf, and when its lot expires.
        self.since: dict[Key, int] = {}
        self.expiries: dict[Key, int] = {}
        #: Units of a SKU that may be promised at a place before they are there.
        self.lent: Counter[str] = Counter()
        self.known: set[str] = set()
        self.lines: list[NaiveLine] = []

    def receive(
        self, sku: str, place: str, quantity: int, *, lot: str = "", expires: int = _NEVER
    ) -> None:
        """Goods came in."""
        self.know((sku, place, lot), len(self.since), expires)
        self.free[sku, place, lot] += quantity

    def know(self, key: Key, since: int, expires: int | None = None) -> None:
        """Something happened to a shelf, which says when its lot expires, or does not."""
        self.known.add(key[0])
        self.since.setdefault(key, since)
        if expires is not None:
            self.expiries[key] = expires

    # --- reading -----------------------------------------------------------------------

    def keys(self, sku: str, place: str, lot: str | None = None) -> list[Key]:
        """Return the shelves of a SKU at a place, those of one lot or all, as they are emptied."""
        found = [key for key in self.since if key[:2] == (sku, place) and lot in (None, key[2])]
        return sorted(
            found, key=lambda key: (self.expiries.get(key, _NEVER), self.since[key], key[2])
        )

    def has_expired(self, key: Key, now: int) -> bool:
        """Return whether the lot of a shelf is past its date."""
        return self.expiries.get(key, _NEVER) <= now

    def run_out(self, key: Key, now: int, besides: str = "") -> list[NaiveLine]:
        """Return the holds there that are past their time, soonest first."""
        found = [
            line
            for line in self.lines
            if line.key == key and line.ran_out(now) and line.reference != besides
        ]
        return sorted(found, key=lambda line: (line.deadline, line.reference, line.number))

    def there(self, key: Key, now: int, besides: str = "") -> int:
        """Return what is free there and held past its time, the holds of *besides* left alone."""
        held = sum(line.counts["held"] for line in self.run_out(key, now, besides))
        return self.free[key] + held

    def available(self, key: Key, now: int) -> int:
        """Return what may be promised there now; of a lot past its date nothing."""
        there = self.there(key, now)
        return min(0, there) if self.has_expired(key, now) else there

    def granted(self, key: Key, now: int, besides: str = "", *, lends: bool = False) -> int:
        """Return what one shelf could grant; only goods without a lot are promised ahead."""
        if self.has_expired(key, now):
            return 0
        lent = self.lent[key[0]] if lends and not key[2] else 0
        return max(0, self.there(key, now, besides) + lent)

    def offer(
        self,
        sku: str,
        place: str,
        now: int,
        *,
        lot: str | None = None,
        lends: bool = True,
    ) -> int:
        """Return what a place could grant, all its lots or one of them."""
        units = sum(self.granted(key, now) for key in self.keys(sku, place, lot))
        if lends and not lot:
            plain = (sku, place, "")
            units += self.granted(plain, now, lends=True) - self.granted(plain, now)
        return units

    def on_hand(self, key: Key) -> int:
        """Return what is physically there, below zero if more was sold than ever was."""
        mine = [line for line in self.lines if line.key == key]
        promised = sum(line.counts[name] for line in mine for name in OPEN)
        return self.free[key] + promised + self.unfit[key]

    # --- taking ------------------------------------------------------------------------

    def parts(
        self,
        sku: str,
        place: str,
        quantity: int,
        now: int,
        *,
        lot: str | None = None,
        lends: bool = False,
    ) -> Parts:
        """Return which units a command takes: fewer than asked for where there are fewer."""
        found: dict[Key, int] = {}
        for key in self.keys(sku, place, lot):
            part = min(quantity, self.granted(key, now))
            if part:
                found[key] = part
                quantity -= part
        if quantity and lends and not lot:
            plain = (sku, place, "")
            already = found.get(plain, 0)
            more = min(quantity, self.granted(plain, now, lends=True) - already)
            if more > 0:
                found.pop(plain, None)
                found[plain] = already + more
        return [*found.items()]

    def parts_sold(
        self,
        sku: str,
        place: str,
        quantity: int,
        now: int,
        besides: str = "",
        *,
        lot: str | None,
        sold_at: int | None = None,
    ) -> Parts:
        """Return which units a sale takes: lots past their date by then last, and what is short."""
        when = now if sold_at is None else sold_at
        found: Counter[Key] = Counter()
        for key in sorted(self.keys(sku, place, lot), key=lambda key: self.has_expired(key, when)):
            part = min(quantity, max(self.granted(key, now, besides), self.free[key]))
            if part > 0:
                found[key] += part
                quantity -= part
        if quantity:
            found[sku, place, lot or ""] += quantity
        return [*found.items()]

    def expire(self, line: NaiveLine) -> None:
        """Give back what a line holds."""
        self.free[line.key] += line.counts["held"]
        line.move(line.counts["held"], "held", "expired")

    def make_room(self, key: Key, needed: int, now: int) -> None:
        """Give back holds past their time, only until *needed* units are free."""
        for line in self.run_out(key, now):
            if self.free[key] < needed:
                self.expire(line)

    def sweep(self, now: int) -> int:
        """Give back every hold past its time; return how many there were."""
        found = [line for line in self.lines if line.ran_out(now)]
        for line in found:
            self.expire(line)
        return len(found)


def fewest_places(
    wanted: Mapping[str, int], offers: Mapping[str, Mapping[str, int]], places: Iterable[str]
) -> list[tuple[str, str, int]]:
    """
    Return (SKU, place, units): from the fewest places that have it all, the first ones of those.

    >>> fewest_places({"MUG": 3}, {"a": {"MUG": 2}, "b": {"MUG": 3}}, "ab")
    [('MUG', 'b', 3)]
    """
    order = [*places]

    def split(chosen: Iterable[str]) -> list[tuple[str, str, int]]:
        shares = []
        for sku, quantity in wanted.items():
            left = quantity
            for place in chosen:
                part = min(left, offers.get(place, {}).get(sku, 0))
                left -= part
                if part > 0:
                    shares.append((sku, place, part))
        return shares

    for size in range(1, len(order) + 1):
        for chosen in combinations(order, size):
            shares = split(chosen)
            if sum(part for _, _, part in shares) == sum(wanted.values()):
                return shares
    return split(order)

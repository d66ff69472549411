"""
The index of bundles by component, and how many of each can be had, kept up as stock moves.

Rules:
1. A bundle is re-evaluated only when something in it moved: the index goes from a component
   to every bundle it is in, at any depth.
2. ``move`` is lazy: it notes a figure, whatever the number of bundles the component is in,
   and ``capacity`` works out one bundle when it is asked for. ``refresh`` brings the whole
   set up to date and returns what changed: what a publisher has to tell.
3. A figure that is far from limiting a bundle cannot change what the bundle can give, so a
   hub component costs one comparison for each bundle it is in, not a recount.

Invariant: after ``refresh`` every capacity equals the one counted from scratch.

Who calls whom: whoever shows many bundles and hears of movements feeds it; the library's own
answers (``BundleResolver``) read the shelves instead, and need no index.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType

from truecount.bundles.netting import capacity
from truecount.errors import UnknownBundle
from truecount.model.recipes import Bill


class BundleIndex:
    """
    How many of each bundle one shelf can give, by component re-evaluated.

    >>> from truecount.model.recipes import Recipe, bill_of
    >>> made = {"SET": Recipe("SET", 1, (("MUG", 2), ("TEA", 1)))}
    >>> index = BundleIndex([bill_of("SET", made)], {"MUG": 9, "TEA": 3})
    >>> index.capacity("SET")
    3
    >>> index.move("MUG", 4)
    >>> index.refresh()
    {'SET': 2}

    Args:
        bills: The bundles; ``inventory.bundles.bills()`` has those in force.
        shelf: Units free of each SKU; one that is not named has none.

    Complexity: O(components of all bundles) to make.
    """

    def __init__(self, bills: Iterable[Bill], shelf: Mapping[str, int]) -> None:
        self._bills = {bill.sku: bill for bill in bills}
        self._shelf = dict(shelf)
        self._known: dict[str, int] = {}
        #: What the capacities known were counted from, for each SKU that moved since.
        self._before: dict[str, int] = {}
        within: dict[str, list[str]] = {}
        for bill in self._bills.values():
            for sku in bill.family:
                within.setdefault(sku, []).append(bill.sku)
        self._within = {sku: tuple(bundles) for sku, bundles in within.items()}
        for sku, bill in self._bills.items():
            self._known[sku] = capacity(bill, self._shelf)

    def within(self, sku: str) -> tuple[str, ...]:
        """Return the bundles *sku* is in, at any depth; a bundle is in itself. O(1)."""
        return self._within.get(sku, ())

    @property
    def capacities(self) -> Mapping[str, int]:
        """How many of each bundle can be had, as of the last ``refresh``."""
        return MappingProxyType(self._known)

    def move(self, sku: str, units: int) -> None:
        """Note that *units* of a SKU are free now. O(1), whatever it is in."""
        before = self._shelf.get(sku, 0)
        if units != before:
            self._before.setdefault(sku, before)
            self._shelf[sku] = units

    def capacity(self, bundle: str) -> int:
        """
        Return how many of *bundle* can be had now.

        Raises:
            UnknownBundle: The index has no such bundle.

        Complexity: as :func:`truecount.bundles.netting.capacity`, of this bundle alone.
        """
        bill = self._bills.get(bundle)
        if bill is None:
            raise UnknownBundle(bundle)
        return capacity(bill, self._shelf)

    def refresh(self) -> dict[str, int]:
        """
        Bring every capacity up to date; return those that changed.

        Complexity: O(bundles that have a SKU in them that moved since the last time).
        """
        moved, self._before = self._before, {}
        known, shelf = self._known, self._shelf
        changed: dict[str, int] = {}
        for sku, before in moved.items():
            lower = min(before, shelf[sku])
            for bundle in self._within.get(sku, ()):
                if self._cannot_matter(bundle, sku, lower):
                    continue
                now = capacity(self._bills[bundle], shelf)
                if now != known[bundle]:
                    known[bundle] = changed[bundle] = now
        return changed

    def _cannot_matter(self, bundle: str, sku: str, units: int) -> bool:
        """
        Return whether *units* of a component suffice for one bundle more than there are.

        Then something else limits it, before and after. What a bundle needs of a component at
        the lowest level is the most when nothing in between is in stock, and depends on no
        other component; of a SKU that is made of others this cannot be told.
        """
        bill = self._bills[bundle]
        for component, each in bill.leaves:
            if component == sku:
                stocked = max(0, self._shelf.get(bundle, 0))
                return units // each > self._known[bundle] - stocked
        return False

"""
Sourcing: which location serves which SKU of a cart.

A policy is a pure function from what is wanted and what each location offers to parts. It
may offer less than wanted when the network has less, never more than a location has.

Policies here, by name (``Policy(sourcing=...)``):
``fewest_locations``  one location that has everything, else the fewest that together do,
                      else by priority; ties go to the higher priority
``priority``          location after location in their order, whatever the split
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Final, NamedTuple, Protocol


#: Sets of locations are tried one by one up to this many locations, greedily beyond.
EXACT_MAX: Final = 12


class Share(NamedTuple):
    """A quantity of a SKU to be taken at a location."""

    sku: str
    location: str
    quantity: int


class Sourcing(Protocol):
    """How a shop splits a cart over its locations."""

    def __call__(
        self,
        wanted: Mapping[str, int],
        offered: Mapping[str, Mapping[str, int]],
        order: Sequence[str],
    ) -> list[Share]:
        """
        Return shares of *wanted* (SKU to quantity).

        Args:
            wanted: Units of each SKU.
            offered: For each location, units of each SKU it can give, each > 0.
            order: Locations by priority; those without an offer included.
        """
        ...


def by_priority(
    wanted: Mapping[str, int],
    offered: Mapping[str, Mapping[str, int]],
    order: Sequence[str],
) -> list[Share]:
    """
    Take from location after location in their order.

    >>> by_priority({"MUG": 5}, {"berlin": {"MUG": 3}, "hamburg": {"MUG": 9}}, ["berlin", "hamburg"])
    [Share(sku='MUG', location='berlin', quantity=3), Share(sku='MUG', location='hamburg', quantity=2)]
    """
    shares = []
    for sku, quantity in wanted.items():
        left = quantity
        for location in order:
            part = min(left, offered.get(location, {}).get(sku, 0))
            if part > 0:
                shares.append(Share(sku, location, part))
                left -= part
    return shares


def fewest_locations(
    wanted: Mapping[str, int],
    offered: Mapping[str, Mapping[str, int]],
    order: Sequence[str],
) -> list[Share]:
    """
    Ship complete from one location if any can, else from as few as possible.

    >>> stock = {"berlin": {"MUG": 3}, "hamburg": {"MUG": 9}}
    >>> fewest_locations({"MUG": 5}, stock, ["berlin", "hamburg"])
    [Share(sku='MUG', location='hamburg', quantity=5)]

    Complexity: O(2^n) sets for n <= 12 locations with an offer, O(n^2) beyond.
    """
    useful = [location for location in order if offered.get(location)]
    if len(useful) > EXACT_MAX:
        return by_priority(wanted, offered, _greedily(wanted, offered, useful))
    for size in range(1, len(useful) + 1):
        for chosen in combinations(useful, size):
            if _covers(wanted, offered, chosen):
                return by_priority(wanted, offered, chosen)
    return by_priority(wanted, offered, order)


def _covers(
    wanted: Mapping[str, int], offered: Mapping[str, Mapping[str, int]], chosen: Sequence[str]
) -> bool:
    return all(
        sum(offered[location].get(sku, 0) for location in chosen) >= quantity
        for sku, quantity in wanted.items()
    )


def _greedily(
    wanted: Mapping[str, int], offered: Mapping[str, Mapping[str, int]], useful: Sequence[str]
) -> list[str]:
    """Return locations, each next one giving the most of what is still missing."""
    left, rest, chosen = dict(wanted), list(useful), []
    while rest and any(left.values()):
        best = max(rest, key=lambda name: sum(min(left[s], offered[name].get(s, 0)) for s in left))
        rest.remove(best)
        chosen.append(best)
        for sku in left:
            left[sku] -= min(left[sku], offered[best].get(sku, 0))
    return chosen


SOURCING: Final[dict[str, Sourcing]] = {
    "fewest_locations": fewest_locations,
    "priority": by_priority,
}

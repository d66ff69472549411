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

from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations
from typing import Final, NamedTuple, Protocol, TypeAlias


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

        It runs under the locks of the stock it is asked about: it must be quick, and must
        not call the inventory. What it raises refuses the cart.
        """
        ...


#: Sourcing policies by the name ``Policy(sourcing=...)`` uses.
Policies: TypeAlias = Mapping[str, Sourcing]


def by_priority(
    wanted: Mapping[str, int],
    offered: Mapping[str, Mapping[str, int]],
    order: Sequence[str],
) -> list[Share]:
    """
    Take from location after location in their order.

    >>> stock = {"berlin": {"MUG": 3}, "hamburg": {"MUG": 9}}
    >>> for share in by_priority({"MUG": 5}, stock, ["berlin", "hamburg"]):
    ...     print(share)
    Share(sku='MUG', location='berlin', quantity=3)
    Share(sku='MUG', location='hamburg', quantity=2)
    """
    shares: list[Share] = []
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

    With more than 12 locations that offer something the number is small but not always the
    smallest: each next one is the one that gives most of what is still missing. What all of
    them together cannot serve is taken location after location in their order.

    Complexity: O(2^n) sets for n <= 12 locations with an offer, O(n^2) beyond.
    """
    useful = [location for location in order if offered.get(location)]
    if not _covers(wanted, offered, useful):
        return by_priority(wanted, offered, order)
    if len(useful) > EXACT_MAX:
        return by_priority(wanted, offered, _greedily(wanted, offered, useful))
    chosen = next(
        chosen
        for size in range(1, len(useful) + 1)
        for chosen in combinations(useful, size)
        if _covers(wanted, offered, chosen)
    )
    return by_priority(wanted, offered, chosen)


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
    left, rest = dict(wanted), list(useful)
    chosen: list[str] = []
    while any(left.values()):
        best = max(rest, key=lambda name: sum(map(min, left.values(), _of(offered[name], left))))
        rest.remove(best)
        chosen.append(best)
        left = {sku: max(0, left[sku] - offered[best].get(sku, 0)) for sku in left}
    return chosen


def _of(offer: Mapping[str, int], skus: Iterable[str]) -> list[int]:
    return [offer.get(sku, 0) for sku in skus]


SOURCING: Final[Policies] = {"fewest_locations": fewest_locations, "priority": by_priority}

#: Policies that take everything from the first location whenever it has everything.
FIRST_SUFFICES: Final[tuple[Sourcing, ...]] = (fewest_locations, by_priority)

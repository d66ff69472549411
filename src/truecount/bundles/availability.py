"""
How many of a SKU can be sold, bundle or not, and from where. Pure.

Rules:
1. One definition of available for everything: what components give is counted from the same
   figures as a component alone (``Figures.available``).
2. "From one place" and "in the network" are two answers. Of a bundle ``available`` is what a
   cart can have of it by the rules of reserving: each bundle whole from one location, several
   from several. Components that lie apart make more of it only in ``in_network``.
3. Lots and locations are never netted; a component that is nowhere is there zero times.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from truecount.bundles.netting import capacity, limited_by
from truecount.model.recipes import Bill
from truecount.model.stock import never_netted


@attrs.frozen(kw_only=True)
class Availability:
    """
    How many of a SKU may be promised now; units, or whole bundles.

    Attributes:
        sku: The SKU.
        is_bundle: Whether it has a recipe.
        available: How many a cart can have of it; negative: oversold by that many.
        at: How many of them at each location that has something of it, by name.
        from_one_place: How many at the location that has most.
        in_network: How many when components may come from different locations; of a SKU that
            is no bundle the same as ``available``.
        limited_by: The component that stops one more bundle where most can be had; None of
            what is no bundle.
    """

    sku: str
    is_bundle: bool
    available: int
    at: Mapping[str, int]
    from_one_place: int
    in_network: int
    limited_by: str | None = None


def of_unit(sku: str, parts: Mapping[str, Sequence[int]]) -> Availability:
    """
    Return the availability of a SKU that is no bundle, from its keys at each location.

    >>> of_unit("MUG", {"berlin": [3], "hamburg": [-1, 5]}).at
    {'berlin': 3, 'hamburg': 5}
    """
    at = {location: never_netted(list(each)) for location, each in parts.items()}
    everywhere = never_netted([part for each in parts.values() for part in each])
    return Availability(
        sku=sku,
        is_bundle=False,
        available=everywhere,
        at=at,
        from_one_place=max(at.values(), default=0),
        in_network=everywhere,
    )


def of_bundle(bill: Bill, shelves: Mapping[str, Mapping[str, int]]) -> Availability:
    """
    Return the availability of a bundle, from the units of each SKU in it at each location.

    >>> from truecount.model.recipes import Recipe, bill_of
    >>> bill = bill_of("SET", {"SET": Recipe("SET", 1, (("MUG", 2), ("TEA", 1)))})
    >>> found = of_bundle(bill, {"berlin": {"MUG": 6, "TEA": 1}, "hamburg": {"TEA": 5}})
    >>> found.available, found.in_network, found.limited_by
    (1, 3, 'TEA')

    Complexity: O(locations x components of the bundle).
    """
    at = {location: capacity(bill, shelf) for location, shelf in shelves.items()}
    pool: dict[str, int] = {}
    for shelf in shelves.values():
        for sku, units in shelf.items():
            pool[sku] = pool.get(sku, 0) + max(0, units)
    best = max(at, key=lambda location: at[location], default=None)
    return Availability(
        sku=bill.sku,
        is_bundle=True,
        available=sum(at.values()),
        at=at,
        from_one_place=max(at.values(), default=0),
        in_network=capacity(bill, pool),
        limited_by=limited_by(bill, {} if best is None else shelves[best]),
    )

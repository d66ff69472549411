"""
Carts: whether one shelf can give several lines that share components. Pure.

Rules:
1. Lines are not asked one by one: what the earlier ones take, the later ones do not find.
   When everything can be served the order of the lines makes no difference, since nothing
   is made that is in stock, whoever asked for it.
2. Serving as many bundles as possible from a shelf that cannot give all is an integer
   program (NP-hard in general), and no decision to take behind a shop's back. Such a shelf
   gives line by line, in the order of the cart.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, TypeAlias

from truecount.bundles.netting import capacity, net
from truecount.model.recipes import Bill


#: The bill of each bundle in a cart; SKUs without one are themselves.
Bills: TypeAlias = Mapping[str, Bill]


class Served(NamedTuple):
    """What a shelf gives of a cart, what it takes for each line, and what it has left."""

    #: Units of each line that can be had, lines without any left out.
    lines: dict[str, int]
    #: For each of those lines, units by SKU taken from the shelf.
    taken: dict[str, dict[str, int]]
    #: For each line not served whole, by short SKU: units it needs, and units there for it.
    short: dict[str, dict[str, tuple[int, int]]]
    left: dict[str, int]


def serve(wanted: Mapping[str, int], bills: Bills, shelf: Mapping[str, int]) -> Served:
    """
    Return what *shelf* gives of the lines *wanted*, in their order, as much as it can of each.

    >>> from truecount.model.recipes import Recipe, bill_of
    >>> made = {"b1": Recipe("b1", 1, (("A", 1), ("B", 1))),
    ...         "b2": Recipe("b2", 1, (("A", 2), ("C", 1)))}
    >>> bills = {sku: bill_of(sku, made) for sku in made}
    >>> stock = {"A": 10, "B": 7, "C": 4}
    >>> serve({"b1": 5, "b2": 3}, bills, stock).short  # it would take 11 of A
    {'b2': {'A': (6, 5)}}
    >>> together = serve({"b1": 4, "b2": 3}, bills, stock)
    >>> together.lines, together.left
    ({'b1': 4, 'b2': 3}, {'A': 0, 'B': 3, 'C': 1})

    Complexity: O(lines x components x log of what is wanted).
    """
    left = dict(shelf)
    served = Served({}, {}, {}, left)
    for sku, quantity in wanted.items():
        taken, short, had = _line(sku, quantity, bills.get(sku), left)
        if short:
            served.short[sku] = short
        if had:
            served.lines[sku] = had
            served.taken[sku] = taken
            for component, units in taken.items():
                left[component] -= units
    return served


def _line(
    sku: str, quantity: int, bill: Bill | None, left: Mapping[str, int]
) -> tuple[dict[str, int], dict[str, tuple[int, int]], int]:
    """Return what one line takes, what it is short of, and how much of it can be had."""
    if bill is None:
        had = max(0, min(quantity, left.get(sku, 0)))
        return {sku: had}, {sku: (quantity, had)} if had < quantity else {}, had
    netting = net(bill, quantity, left)
    if not netting.short:
        return netting.taken, {}, quantity
    short = {
        component: (netting.taken.get(component, 0) + missing, netting.taken.get(component, 0))
        for component, missing in netting.short.items()
    }
    had = capacity(bill, left)
    return net(bill, had, left).taken, short, had

"""
Netting: what bundles take from a shelf, and how many it can give. Pure.

Rules:
1. What is in stock is used before it is made: a bundle kept as such first, then its
   components, those again before what they are made of (material requirements planning,
   level by level: Orlicky 1975).
2. So how many can be had is not the least of what the components can give: a sub-assembly
   and a bundle may draw on the same part. It is the largest number whose netting leaves
   nothing short, found by doubling and halving, for what is short only grows with it.
3. Whole numbers only; a shelf below zero gives nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from truecount.model.quantities import QUANTITY_MAX
from truecount.model.recipes import Bill


class Netting(NamedTuple):
    """Units of each SKU taken from a shelf, and units of each that it does not have."""

    taken: dict[str, int]
    short: dict[str, int]


def net(bill: Bill, quantity: int, shelf: Mapping[str, int]) -> Netting:
    """
    Return what *quantity* bundles take from *shelf* (units free by SKU).

    >>> from truecount.model.recipes import Recipe, bill_of
    >>> made = {"K": Recipe("K", 1, (("S", 1), ("X", 1))), "S": Recipe("S", 1, (("X", 2),))}
    >>> net(bill_of("K", made), 3, {"S": 1, "X": 9})
    Netting(taken={'S': 1, 'X': 7}, short={})
    >>> net(bill_of("K", made), 3, {"X": 8}).short
    {'X': 1}

    Complexity: O(components at all levels).
    """
    needs = {bill.sku: quantity}
    taken: dict[str, int] = {}
    short: dict[str, int] = {}
    recipes = bill.recipes
    for sku in bill.family:
        need = needs.get(sku, 0)
        part = min(need, shelf.get(sku, 0))
        if part > 0:
            taken[sku] = part
            need -= part
        if need <= 0:
            continue
        recipe = recipes.get(sku)
        if recipe is None:
            short[sku] = need
            continue
        for component, each in recipe.components:
            needs[component] = needs.get(component, 0) + each * need
    return Netting(taken, short)


def capacity(bill: Bill, shelf: Mapping[str, int]) -> int:
    """
    Return how many bundles *shelf* can give, stocked ones included.

    The golden cases: three, although each component alone would give five.

    >>> from truecount.model.recipes import Recipe, bill_of
    >>> made = {"K": Recipe("K", 1, (("S", 1), ("X", 1))), "S": Recipe("S", 1, (("X", 2),))}
    >>> bill = bill_of("K", made)
    >>> capacity(bill, {"S": 3, "X": 5}), capacity(bill, {"X": 10})
    (3, 3)
    >>> capacity(bill, {"S": 3, "X": 5, "K": 2})
    5

    Complexity: O(distinct leaves) when no sub-assembly is in stock, else
    O(components at all levels x log of the answer).
    """
    get = shelf.get
    stocked = max(0, get(bill.sku, 0))
    built = max(0, min([get(sku, 0) // each for sku, each in bill.leaves]))
    if not bill.inner or all(get(sku, 0) <= 0 for sku in bill.inner):
        return stocked + built
    low, high = stocked + built, stocked + 2 * built + 1
    while high <= QUANTITY_MAX and not net(bill, high, shelf).short:
        low, high = high, 2 * high
    while low + 1 < high:
        middle = (low + high) // 2
        if net(bill, middle, shelf).short:
            high = middle
        else:
            low = middle
    return low


def limited_by(bill: Bill, shelf: Mapping[str, int]) -> str:
    """
    Return the component that stops one more bundle; of several the one that has least.

    "Least" is what the shelf has of it over what one bundle takes; ties go by name.

    >>> from truecount.model.recipes import Recipe, bill_of
    >>> bill = bill_of("SET", {"SET": Recipe("SET", 1, (("MUG", 2), ("TEA", 1)))})
    >>> limited_by(bill, {"MUG": 9, "TEA": 3})
    'TEA'
    """
    short = net(bill, capacity(bill, shelf) + 1, shelf).short
    needed = dict(bill.leaves)
    return min(short, key=lambda sku: (max(0, shelf.get(sku, 0)) // needed[sku], sku))

"""
Recipes: what a bundle is made of; and bills: a recipe taken apart, level by level.

A *bundle* is a SKU with a recipe: how many of which components make one. A component may be
a bundle itself, and a bundle may be kept in stock, too.

Rules:
1. Nothing is in itself, at any depth. ``bill_of`` names the path that would make it so.
2. Quantities are whole numbers; what equal components add up to is one number.
3. A recipe is never edited: defining a bundle anew makes its next version, taking it out of
   the range makes one without components. Every version stays readable.

Who calls whom: ``Settings.bill`` keeps the bills of the recipes in force; orders keep the
recipes they were made with (``truecount.bundles.pinned``) and make their bills from those.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

import attrs

from truecount.errors import CyclicRecipe, InvalidArgument, InvalidQuantity
from truecount.model.quantities import QUANTITY_MAX


#: Levels a bundle may have below it when it is defined.
DEPTH_MAX: Final = 64


@attrs.frozen
class Recipe:
    """
    One version of what a bundle is made of.

    Attributes:
        sku: The bundle.
        version: 1 for the first one, without gaps.
        components: How many units of each component one bundle takes, by SKU; none at all
            when the bundle was taken out of the range.

    >>> Recipe("GIFT-SET", 1, (("MUG", 2), ("TEA", 1))).quantities
    {'MUG': 2, 'TEA': 1}
    """

    sku: str
    version: int
    components: tuple[tuple[str, int], ...]

    @property
    def quantities(self) -> dict[str, int]:
        """Units of each component in one bundle."""
        return dict(self.components)

    @property
    def is_removed(self) -> bool:
        """Whether this version took the bundle out of the range."""
        return not self.components

    def to_dict(self) -> dict[str, Any]:
        """Return the document that says it; its SKU is the document's id."""
        return {"version": self.version, "components": [list(pair) for pair in self.components]}

    @classmethod
    def from_dict(cls, sku: str, body: Mapping[str, Any]) -> Recipe:
        """
        Return the recipe that ``to_dict`` described.

        >>> Recipe.from_dict("SET", {"version": 3, "components": [["MUG", 2]]}).components
        (('MUG', 2),)
        """
        pairs = tuple([(str(component), int(each)) for component, each in body["components"]])
        return cls(sku, int(body["version"]), pairs)


class Bill(NamedTuple):
    """
    A bundle taken apart: every SKU in it, and what one of it needs at the lowest level.

    ``family`` has the bundle first and every SKU before its components, so that one walk
    along it has added up all that is needed of a SKU when it gets there: the low-level codes
    of material requirements planning (Orlicky, *Material Requirements Planning*, 1975).
    """

    sku: str
    family: tuple[str, ...]
    #: The recipes in it, its own included.
    recipes: Mapping[str, Recipe]
    #: What one bundle needs when nothing in between is in stock, by SKU.
    leaves: tuple[tuple[str, int], ...]
    #: Bundles among its components, at any depth.
    inner: tuple[str, ...]
    #: How many levels are below it.
    depth: int

    def gross(self, quantity: int) -> dict[str, int]:
        """
        Return how many units of every SKU in it *quantity* bundles could take at most.

        >>> made = {"K": Recipe("K", 1, (("S", 1), ("X", 1))), "S": Recipe("S", 1, (("X", 2),))}
        >>> bill_of("K", made).gross(10)
        {'K': 10, 'S': 10, 'X': 30}
        """
        needs = {self.sku: quantity}
        for sku in self.family:
            for component, each in _components(sku, self.recipes):
                needs[component] = needs.get(component, 0) + each * needs[sku]
        return needs


def bill_of(sku: str, recipes: Mapping[str, Recipe]) -> Bill:
    """
    Return the bill of a bundle, made from *recipes*.

    >>> made = {"K": Recipe("K", 1, (("S", 1), ("X", 1))), "S": Recipe("S", 1, (("X", 2),))}
    >>> bill = bill_of("K", made)
    >>> bill.family, bill.leaves, bill.depth
    (('K', 'S', 'X'), (('X', 3),), 2)

    Raises:
        CyclicRecipe: Something in it has itself inside; the path is named.

    Complexity: O(components at all levels, each recipe once).
    """
    family = _parents_first(sku, recipes)
    needs, levels = {sku: 1}, {sku: 0}
    for each in family:
        for component, quantity in _components(each, recipes):
            needs[component] = needs.get(component, 0) + quantity * needs[each]
            levels[component] = max(levels.get(component, 0), levels[each] + 1)
    inside = {each: recipes[each] for each in family if each in recipes}
    leaves = sorted((each, needs[each]) for each in family if each not in inside)
    inner = tuple([each for each in family[1:] if each in inside])
    return Bill(sku, family, inside, tuple(leaves), inner, max(levels.values()))


def check_bill(bill: Bill) -> Bill:
    """
    Return *bill* if the library can count with it.

    Raises:
        InvalidArgument: It has more than 64 levels.
        InvalidQuantity: It needs more units of something than a figure can hold.
    """
    if bill.depth > DEPTH_MAX:
        seen = f"of {bill.sku!r} with {bill.depth} levels"
        raise InvalidArgument("recipe", seen, f"at most {DEPTH_MAX}")
    for sku, needed in bill.gross(1).items():
        if needed > QUANTITY_MAX:
            name = f"quantity of {sku!r} in {bill.sku!r}"
            raise InvalidQuantity(name, str(needed), f"whole numbers up to {QUANTITY_MAX}")
    return bill


def _components(sku: str, recipes: Mapping[str, Recipe]) -> tuple[tuple[str, int], ...]:
    recipe = recipes.get(sku)
    return recipe.components if recipe is not None else ()


def _parents_first(sku: str, recipes: Mapping[str, Recipe]) -> tuple[str, ...]:
    """Return every SKU in *sku*, itself first, each before its components."""
    finished: dict[str, None] = {}
    path: dict[str, Iterator[tuple[str, int]]] = {sku: reversed(_components(sku, recipes))}
    while path:
        here = next(reversed(path))
        step = next(path[here], None)
        if step is None:
            del path[here]
            finished[here] = None
        elif step[0] in path:
            names = list(path)
            raise CyclicRecipe((*names[names.index(step[0]) :], step[0]))
        elif step[0] not in finished:
            path[step[0]] = reversed(_components(step[0], recipes))
    return tuple(reversed(finished))

"""
Bundles, said as plainly as possible: counted by making one more until something is missing.

What is in stock is used before it is made. Orders keep the recipes they were made with, so
those in force at that moment are written down whole.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple, TypeAlias

from truecount.testing.model.shelves import NaiveShelves, Parts, fewest_places


#: What one of each bundle is made of.
Recipes: TypeAlias = Mapping[str, Mapping[str, int]]


def take_apart(
    sku: str, quantity: int, shelf: Mapping[str, int], recipes: Recipes
) -> tuple[Counter[str], Counter[str]]:
    """
    Return what *quantity* of a SKU take from a shelf, and what it lacks of that.

    >>> taken, short = take_apart("SET", 3, {"SET": 1, "MUG": 3}, {"SET": {"MUG": 2}})
    >>> dict(taken), dict(short)
    ({'SET': 1, 'MUG': 3}, {'MUG': 1})
    """
    taken, short, left = Counter[str](), Counter[str](), Counter(shelf)

    def need(each: str, units: int) -> None:
        part = min(units, max(0, left[each]))
        if part:
            taken[each] += part
            left[each] -= part
        if units > part and each in recipes:
            for component, per in recipes[each].items():
                need(component, per * (units - part))
        elif units > part:
            short[each] += units - part

    need(sku, quantity)
    return taken, short


def most(sku: str, shelf: Mapping[str, int], recipes: Recipes) -> int:
    """
    Return how many of a SKU a shelf gives, by trying one more.

    >>> most("SET", {"SET": 1, "MUG": 5}, {"SET": {"MUG": 2}})
    3
    """
    quantity = 0
    while not take_apart(sku, quantity + 1, shelf, recipes)[1]:
        quantity += 1
    return quantity


def inside(sku: str, recipes: Recipes) -> set[str]:
    """Return a SKU and everything in it."""
    found, left = set[str](), [sku]
    while left:
        each = left.pop()
        if each not in found:
            found.add(each)
            left += recipes.get(each, ())
    return found


class Served(NamedTuple):
    """What a shelf gives of the lines of a cart, one after the other."""

    lines: dict[str, int]
    taken: Counter[str]


def serve(wanted: Mapping[str, int], shelf: Mapping[str, int], recipes: Recipes) -> Served:
    """Return what a shelf gives: what the first lines take, the later ones do not find."""
    left, lines, total = Counter(shelf), dict[str, int](), Counter[str]()
    for sku, quantity in wanted.items():
        had = min(quantity, most(sku, left, recipes))
        taken, _ = take_apart(sku, had, left, recipes)
        left.subtract(taken)
        total.update(taken)
        if had:
            lines[sku] = had
    return Served(lines, total)


class NaiveCart(NamedTuple):
    """What somebody wants, where and of which lot if they say so."""

    wanted: Mapping[str, int]
    at: str | None = None
    lot: str | None = None
    #: Whether one bundle may be put together from several places.
    apart: bool = False


class Planned(NamedTuple):
    """Which units a cart gets, and how many of each line."""

    parts: Parts
    lines: Counter[str]


def plan(cart: NaiveCart, shelves: NaiveShelves, recipes: Recipes, now: int) -> Planned:
    """
    Return what a cart gets: all of it if the shop can give that, else as much as it can.

    Each bundle comes from one place, unless the cart says that it may not; several places
    share a cart out with each line in turn as the first.
    """
    made = recipes if cart.lot is None else {}
    ours = {
        each: made[each]
        for sku in cart.wanted
        if sku in made
        for each in inside(sku, made)
        if each in made
    }
    skus = {each for sku in cart.wanted for each in inside(sku, ours)}
    shelf = {
        place: {
            sku: shelves.offer(sku, place, now, lot=cart.lot, lends=sku not in ours) for sku in skus
        }
        for place in ((cart.at,) if cart.at else shelves.places)
    }

    def lots(taken: Mapping[str, int], place: str) -> Parts:
        return [
            part
            for sku, units in taken.items()
            for part in shelves.parts(sku, place, units, now, lot=cart.lot, lends=True)
        ]

    def share_out(wanted: Mapping[str, int]) -> Planned:
        offers = {place: serve(wanted, shelf[place], ours).lines for place in shelf}
        here: dict[str, dict[str, int]] = {}
        for sku, place, units in fewest_places(wanted, offers, shelf):
            here.setdefault(place, {})[sku] = units
        taken = {place: serve(mine, shelf[place], ours).taken for place, mine in here.items()}
        parts = [part for place, units in taken.items() for part in lots(units, place)]
        return Planned(parts, sum(map(Counter, here.values()), Counter[str]()))

    if ours and not cart.apart:
        first = [cart.wanted, *({sku: cart.wanted[sku], **cart.wanted} for sku in cart.wanted)]
        found = [share_out(wanted) for wanted in first]
        return next((each for each in found if each.lines == Counter(cart.wanted)), found[0])
    pool = sum((Counter(each) for each in shelf.values()), Counter[str]())
    served = serve(cart.wanted, pool, ours)
    shares = fewest_places(served.taken if ours else cart.wanted, shelf, shelf)
    parts = [part for sku, place, units in shares for part in lots({sku: units}, place)]
    return Planned(parts, Counter(served.lines))


class NaiveBundles:
    """
    Recipes in force, and those that orders were made with.

    >>> bundles = NaiveBundles()
    >>> bundles.define("SET", {"MUG": 2})
    >>> bundles.pin("order-1", 1, "SET")
    >>> bundles.define("SET", {"MUG": 3})
    >>> bundles.pinned["order-1", 1, "SET"]["SET"], bundles.recipes["SET"]
    ({'MUG': 2}, {'MUG': 3})
    """

    def __init__(self) -> None:
        self.recipes: dict[str, Mapping[str, int]] = {}
        #: What was a bundle at some time.
        self.ever: set[str] = set()
        #: The recipes in force when an order got a bundle: reference, round, bundle.
        self.pinned: dict[tuple[str, int, str], Recipes] = {}
        #: Lines that belong to a bundle, by reference.
        self.lines: dict[str, set[int]] = {}

    def copy(self) -> NaiveBundles:
        """Return another that starts from here."""
        other = NaiveBundles()
        other.recipes, other.pinned = dict(self.recipes), dict(self.pinned)
        other.ever, other.lines = set(self.ever), dict(self.lines)
        return other

    def define(self, sku: str, components: Mapping[str, int]) -> None:
        """
        Say what a bundle is made of from now on.

        Raises:
            AssertionError: It would be made of itself, which nobody may grant.
        """
        if self.closes_circle(sku, components):
            raise AssertionError(f"{sku} of {components}: expected CyclicRecipe, got a recipe")
        self.recipes[sku] = components
        self.ever.add(sku)

    def closes_circle(self, sku: str, components: Iterable[str]) -> bool:
        """Return whether a bundle made of *components* would have itself inside."""
        return any(sku in inside(each, self.recipes) for each in components)

    def pin(self, reference: str, round_: int, sku: str, lines: Sequence[int] = ()) -> None:
        """Write down what an order's bundle is made of, the first time it is seen."""
        self.pinned.setdefault((reference, round_, sku), dict(self.recipes))
        self.lines[reference] = self.lines.get(reference, set()) | set(lines)

"""
The bundle resolver's shell: defining bundles, reading recipes, telling what can be had.

Every answer comes from one read, so from one instant. Rules are in ``defining``; what a cart
takes of bundles is decided where it is reserved.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import datetime
from difflib import get_close_matches
from typing import Any

import attrs

from truecount.bundles.availability import Availability, of_bundle, of_unit
from truecount.errors import InvalidArgument, UnknownBundle
from truecount.model import names, quantities
from truecount.model.doors import Lines
from truecount.model.instants import Instant, to_datetime
from truecount.model.recipes import Bill, Recipe
from truecount.model.settings import RECIPE, RECIPE_HISTORY, Settings, past_recipe
from truecount.model.shop_rules import DefineBundle, RemoveBundle
from truecount.model.stock import never_netted
from truecount.protocols.storage import Reader
from truecount.write.engine import Engine
from truecount.write.figures import available_at


@attrs.frozen(kw_only=True)
class RecipeVersion:
    """A version of a recipe, when it was said, by whom and why."""

    recipe: Recipe
    defined_at: datetime
    actor: str | None = None
    reason: str | None = None
    origin: str | None = None


class BundleResolver:
    """
    Bundles: what they are made of, and how many of them can be had.

    Safe to share between threads. Works alone over an :class:`Engine`, and is
    ``inventory.bundles``.

    >>> from truecount import Inventory
    >>> inventory = Inventory()
    >>> inventory.locations.add("berlin")
    >>> for sku, quantity in (("MUG", 7), ("TEA", 3)):
    ...     receipt = inventory.receive(sku, quantity, at="berlin")
    >>> inventory.bundles.define("GIFT-SET", {"MUG": 2, "TEA": 1}).version
    1
    >>> list(inventory.bundles), "GIFT-SET" in inventory.bundles
    (['GIFT-SET'], True)
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    # --- defining ----------------------------------------------------------------------

    def define(
        self,
        sku: str,
        components: Lines,
        *,
        key: str | None = None,
        reason: str | None = None,
        actor: str | None = None,
        origin: str | None = None,
    ) -> Recipe:
        """
        Say what one unit of a bundle is made of, from now on; return the recipe in force.

        Saying it anew makes the next version; orders made before keep theirs. Components may
        be bundles.

        Raises:
            UnknownSku: A component never moved, and is no bundle.
            CyclicRecipe: It would have itself inside; the path is named.
            InvalidQuantity, InvalidArgument: A quantity is not a whole number above zero, or
                there is none at all, or more levels than 64.
        """
        operation = DefineBundle(
            sku, components, key=key, reason=reason, actor=actor, origin=origin
        )
        version = self._engine.one(operation).result["version"]
        return Recipe(sku, version, operation.components)

    def remove(
        self,
        sku: str,
        *,
        key: str | None = None,
        reason: str | None = None,
        actor: str | None = None,
        origin: str | None = None,
    ) -> None:
        """
        Take a bundle out of the range: its SKU is a plain one from now on.

        Orders made before keep their recipe, and old versions stay readable.

        Raises:
            UnknownBundle: It has no recipe in force.
        """
        self._engine.one(RemoveBundle(sku, key=key, reason=reason, actor=actor, origin=origin))

    # --- reading -----------------------------------------------------------------------

    def recipe(self, sku: str, version: int | None = None) -> Recipe:
        """
        Return the recipe in force, or an older *version* of it.

        Raises:
            UnknownBundle: It has no recipe in force, or never had one.
            InvalidArgument: There is no such version.
        """
        names.sku(sku)
        if version is None:
            settings = self._engine.settings()
            recipe = settings.recipes.get(sku)
            if recipe is None:
                raise _unknown(sku, settings)
            return recipe
        quantities.positive(version, "version")
        with self._engine.read() as reader:
            last = self._last_version(reader, sku)
            if version > last:
                raise InvalidArgument("version", str(version), f"at most {last}, the last one")
            return recipe_version(reader, sku, version).recipe

    def history(self, sku: str) -> list[RecipeVersion]:
        """
        Return every version of a recipe, the oldest first; one without components ended it.

        Raises:
            UnknownBundle: It never had a recipe.
        """
        names.sku(sku)
        with self._engine.read() as reader:
            last = self._last_version(reader, sku)
            return [recipe_version(reader, sku, number) for number in range(1, last + 1)]

    def _last_version(self, reader: Reader, sku: str) -> int:
        record = reader.record(RECIPE, sku)
        if record is None:
            raise _unknown(sku, self._engine.settings_in(reader))
        return int(json.loads(record.body)["version"])

    def __iter__(self) -> Iterator[str]:
        """Yield the bundles that have a recipe in force, sorted."""
        return iter(sorted(self._engine.settings().recipes))

    def __len__(self) -> int:
        """Return how many bundles have a recipe in force."""
        return len(self._engine.settings().recipes)

    def __contains__(self, sku: object) -> bool:
        """Return whether *sku* has a recipe in force."""
        return sku in self._engine.settings().recipes

    def containing(self, sku: str) -> list[str]:
        """
        Return the bundles *sku* is in, at any depth, sorted.

        Complexity: O(components of all bundles); keep a ``BundleIndex`` to ask often.
        """
        names.sku(sku)
        return sorted(bill.sku for bill in self.bills() if sku in bill.family[1:])

    def bills(self) -> list[Bill]:
        """Return the bills of all bundles in force: what a ``BundleIndex`` is made from."""
        settings = self._engine.settings()
        return [bill for sku in settings.recipes if (bill := settings.bill(sku)) is not None]

    # --- what can be had ---------------------------------------------------------------

    def availability(self, skus: Iterable[str]) -> dict[str, Availability]:
        """
        Return how many of each SKU can be sold, bundles and others at once, at one instant.

        What policies keep back or lend is not in it (as in ``available``); whether a whole
        cart can be reserved is a question for ``check``.

        >>> from truecount import Inventory
        >>> inventory = Inventory()
        >>> inventory.locations.add("berlin")
        >>> for sku, quantity in (("MUG", 9), ("TEA", 3)):
        ...     receipt = inventory.receive(sku, quantity, at="berlin")
        >>> recipe = inventory.bundles.define("GIFT-SET", {"MUG": 2, "TEA": 1})
        >>> found = inventory.availability(["MUG", "GIFT-SET"])
        >>> found["MUG"].available, found["GIFT-SET"].available, found["GIFT-SET"].limited_by
        (9, 3, 'TEA')

        Complexity: O(keys of the SKUs and of their components, each read once).
        """
        if isinstance(skus, str):
            raise InvalidArgument("skus", names.shown(skus), "a list of SKUs")
        asked = list(dict.fromkeys(names.sku(sku) for sku in skus))
        with self._engine.read() as reader:
            settings = self._engine.settings_in(reader)
            shelves = _Shelves(reader, self._engine.now())
            return {sku: _availability(sku, settings, shelves) for sku in asked}


class _Shelves:
    """What may be promised of each key, by SKU and location, each SKU read once."""

    def __init__(self, reader: Reader, now: Instant) -> None:
        self._reader = reader
        self._now = now
        self._known: dict[str, dict[str, list[int]]] = {}

    def of(self, sku: str) -> dict[str, list[int]]:
        """Return what each key of a SKU offers, by location."""
        found = self._known.get(sku)
        if found is None:
            found = self._known[sku] = {}
            for key, row in self._reader.stock(sku):
                offer = available_at(self._reader, key, row, self._now)
                found.setdefault(key.location, []).append(offer)
        return found


def _availability(sku: str, settings: Settings, shelves: _Shelves) -> Availability:
    bill = settings.bill(sku)
    if bill is None:
        return of_unit(sku, shelves.of(sku))
    at: dict[str, dict[str, int]] = {}
    for each in bill.family:
        for location, offers in shelves.of(each).items():
            at.setdefault(location, {})[each] = never_netted(offers)
    return of_bundle(bill, {name: at[name] for name in settings.in_order if name in at})


def recipe_version(reader: Reader, sku: str, version: int) -> RecipeVersion:
    """
    Return one version of a recipe as it is kept.

    Raises:
        UnknownBundle: There is none.
    """
    record = reader.record(RECIPE_HISTORY, past_recipe(sku, version))
    if record is None:
        raise UnknownBundle(sku)
    told: dict[str, Any] = json.loads(record.body)
    return RecipeVersion(
        recipe=Recipe.from_dict(sku, told),
        defined_at=to_datetime(told["defined_at"]),
        actor=told.get("actor"),
        reason=told.get("reason"),
        origin=told.get("origin"),
    )


def _unknown(sku: str, settings: Settings) -> UnknownBundle:
    return UnknownBundle(sku, tuple(get_close_matches(sku, settings.recipes, n=2)))

"""
What kits were made of while somebody looked at them. A reader inside.

Rules:
1. Without other recipes a kit is what the shop's own make it, and of those every version
   that may have been in force meanwhile: who looked before it was defined anew is right to
   have seen what the old one gives.
2. Recipes change one write at a time, by the ledger's clock. So a kit with others inside was
   made by the recipes of *one* moment: each moment at which any of them changed is tried, no
   mixture of two. What is stamped alike was one write.
3. What is not assembled lies on no shelf: the shop's recipes say what can be sold. A source
   that shows a physical figure is compared with what is in stock of the kit itself, unless
   recipes are given for it.
4. Recipes that are given stand for the shop's, whenever it was and whatever is shown; they
   may be nested like those.

Invariants:
I19 The bill by which a kit could be had at any moment of a window is among those of it.

Complexity: a document for each recipe in a kit, read once; for those that changed since the
window began, one for each version since.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from typing import Final, NamedTuple, Protocol, TypeAlias

import attrs

from truecount.bundles.resolver import recipe_version
from truecount.errors import CyclicRecipe, InvalidArgument
from truecount.model import names, quantities
from truecount.model.instants import Instant, to_instant
from truecount.model.recipes import Bill, Recipe, bill_of, check_bill
from truecount.model.settings import RECIPE, Settings
from truecount.protocols.storage import Reader
from truecount.reconciliation.observations import Shown
from truecount.reconciliation.view import pages
from truecount.reconciliation.windows import Span


#: Kit to component to quantity for one kit; components may be kits.
Recipes: TypeAlias = Mapping[str, Mapping[str, int]]
#: What a SKU may have been made by, None where it was no kit.
Bills: TypeAlias = tuple[Bill | None, ...]

NO_KIT: Final[Bills] = (None,)


class Kits(Protocol):
    """What kits there are, and what they are made by."""

    @property
    def in_force(self) -> Collection[str]:
        """The kits there are now."""
        ...

    def knows(self, sku: str) -> bool:
        """Return whether *sku* is a kit, or was one."""
        ...

    def bills(self, sku: str, span: Span, shows: Shown) -> Bills:
        """Return what *sku* may have been made by within *span*, at least one answer."""
        ...

    def read_all(self) -> None:
        """Read at once what else would be looked up for every SKU."""
        ...


# --- recipes of the caller --------------------------------------------------------------


@attrs.frozen(eq=False)
class Given:
    """Kits of another system, by the recipes the caller gave."""

    made: Mapping[str, Bill]

    @property
    def in_force(self) -> Collection[str]:
        """The kits there are recipes for."""
        return self.made.keys()

    def knows(self, sku: str) -> bool:
        """Return whether there is a recipe for *sku*."""
        return sku in self.made

    def bills(self, sku: str, span: Span, shows: Shown) -> Bills:
        """Return the one bill of *sku*, whenever it was seen."""
        del span, shows
        return (self.made.get(sku),)

    def read_all(self) -> None:
        """Do nothing: everything was given."""


def given(recipes: Recipes) -> Given:
    """
    Return the kits that *recipes* describe, once each is looked at.

    >>> given({"BOX": {"SET": 1, "MUG": 1}, "SET": {"MUG": 2}}).made["BOX"].leaves
    (('MUG', 3),)

    Raises:
        InvalidArgument, InvalidQuantity, InvalidText: A recipe is empty, or a name or quantity
            in it wrong.
        CyclicRecipe: A kit has itself inside; the path is named.
    """
    made = {kit: _recipe(kit, components) for kit, components in recipes.items()}
    return Given({kit: check_bill(bill_of(kit, made)) for kit in made})


def _recipe(kit: str, components: Mapping[str, int]) -> Recipe:
    names.sku(kit)
    if not components:
        raise InvalidArgument("recipe", f"of {names.shown(kit)} without components", "some")
    for sku, needed in components.items():
        names.sku(sku)
        quantities.positive(needed, f"quantity of {names.shown(sku)} in {names.shown(kit)}")
    return Recipe(kit, 1, tuple(sorted(components.items())))


# --- recipes of the shop ----------------------------------------------------------------


class _Version(NamedTuple):
    """A version of a recipe, and since when it is in force; None ended it."""

    since: Instant
    recipe: Recipe | None


@attrs.define(eq=False)
class Own:
    """The shop's kits, by the recipes that were in force when somebody looked."""

    reader: Reader
    settings: Settings
    #: How far the ledger's clock, which stamps recipes, may be off.
    skew: Instant
    _numbers: dict[str, int] = attrs.field(factory=dict, init=False)
    _newest: dict[str, _Version] = attrs.field(factory=dict, init=False)
    #: Kits that were taken out of the range, with their last version; None when not yet read.
    _removed: dict[str, int] | None = attrs.field(default=None, init=False)

    def __attrs_post_init__(self) -> None:
        if not self.settings.recipes and not self.reader.records(RECIPE, limit=1):
            self._removed = {}

    @property
    def in_force(self) -> Collection[str]:
        """The kits in the range now."""
        return self.settings.recipes.keys()

    def knows(self, sku: str) -> bool:
        """Return whether *sku* has a recipe, or ever had one."""
        return self._last(sku) > 0

    def bills(self, sku: str, span: Span, shows: Shown) -> Bills:
        """Return what *sku* may have been made by within *span*."""
        if shows is not Shown.AVAILABLE or not self.knows(sku):
            return NO_KIT
        certain, latest = span.since - self.skew, span.until + self.skew
        family = self._family(sku, certain)
        since = {version.since for versions in family.values() for version in versions}
        if all(moment <= certain for moment in since):
            return (self.settings.bill(sku),)
        found: list[Bill | None] = []
        for moment in [certain, *sorted(each for each in since if certain < each <= latest)]:
            try:
                bill = _bill_at(sku, family, moment)
            except CyclicRecipe:  # A clock that was set back: they never were in force together.
                continue
            if bill not in found:
                found.append(bill)
        return tuple(found) or (self.settings.bill(sku),)

    def read_all(self) -> None:
        """Read which kits were taken out of the range, instead of asking for every SKU."""
        if self._removed is None:
            self._removed = {
                record.id: _number(record.body)
                for record in pages(self.reader, RECIPE)
                if record.id not in self.settings.recipes
            }

    def _family(self, sku: str, certain: Instant) -> dict[str, list[_Version]]:
        """Return every recipe that may have been in *sku* after *certain*, at any depth."""
        family: dict[str, list[_Version]] = {}
        left = [sku]
        while left:
            each = left.pop()
            if each not in family:
                versions = family[each] = self._versions(each, certain)
                recipes = [version.recipe for version in versions if version.recipe is not None]
                left += [component for recipe in recipes for component, _ in recipe.components]
        return family

    def _versions(self, sku: str, certain: Instant) -> list[_Version]:
        """Return the version in force at *certain*, where there was one, and those since."""
        found: list[_Version] = []
        for number in range(self._last(sku), 0, -1):
            found.append(self._version(sku, number))
            if found[-1].since <= certain:
                break
        return found[::-1]

    def _version(self, sku: str, number: int) -> _Version:
        newest = number == self._last(sku)
        if newest and sku in self._newest:
            return self._newest[sku]
        told = recipe_version(self.reader, sku, number)
        recipe = None if told.recipe.is_removed else told.recipe
        version = _Version(to_instant(told.defined_at), recipe)
        if newest:
            self._newest[sku] = version
        return version

    def _last(self, sku: str) -> int:
        """Return the number of the last version of a recipe, 0 for what never had one."""
        recipe = self.settings.recipes.get(sku)
        if recipe is not None:
            return recipe.version
        if self._removed is not None:
            return self._removed.get(sku, 0)
        if sku not in self._numbers:
            record = self.reader.record(RECIPE, sku)
            self._numbers[sku] = 0 if record is None else _number(record.body)
        return self._numbers[sku]


def _number(body: str) -> int:
    return int(json.loads(body)["version"])


def _bill_at(sku: str, family: Mapping[str, list[_Version]], moment: Instant) -> Bill | None:
    """Return what *sku* was made by at *moment*, None when it was no kit then."""
    recipes: dict[str, Recipe] = {}
    for each, versions in family.items():
        known = [version.recipe for version in versions if version.since <= moment]
        if known and known[-1] is not None:
            recipes[each] = known[-1]
    return bill_of(sku, recipes) if sku in recipes else None

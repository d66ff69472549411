"""
Rules that define a bundle, and take it out of the range. Pure.

Rules:
1. A component is known: it has moved, or is a bundle itself. Nothing is in itself.
2. Each definition is the next version; saying what is in force already changes nothing.
3. A change is a new generation of the shop rules, so no write decides on the recipe before.
"""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, Final

from truecount.errors import UnknownBundle, UnknownSku
from truecount.model.instants import Instant
from truecount.model.operation import Operation
from truecount.model.recipes import Recipe, bill_of, check_bill
from truecount.model.settings import (
    GENERATION,
    JOURNAL,
    RECIPE,
    RECIPE_HISTORY,
    Settings,
    past_recipe,
)
from truecount.model.shop_rules import DefineBundle, RemoveBundle
from truecount.protocols.storage import Wants
from truecount.write.book import Book
from truecount.write.intents import Decision, Granted, Rule, Rules, Widen
from truecount.write.rules import next_generation


def _wants(operation: DefineBundle | RemoveBundle, settings: Settings) -> Wants:
    wants = Wants(records={(RECIPE, operation.sku), GENERATION, JOURNAL})
    if isinstance(operation, DefineBundle):
        wants.scopes = {(sku, "") for sku, _ in operation.components if sku not in settings.recipes}
    return wants


def _define(operation: DefineBundle, book: Book, now: Instant) -> Decision:
    recipes = book.settings.recipes
    unseen = _strangers(operation, book, recipes)
    if unseen:
        return Widen(Wants(scopes=unseen))
    made = Recipe(operation.sku, _last_version(operation, book) + 1, operation.components)
    in_force = recipes.get(operation.sku)
    if in_force is not None and in_force.components == made.components:
        return Granted(result={"version": in_force.version})
    check_bill(bill_of(operation.sku, ChainMap({operation.sku: made}, recipes)))
    return _next(operation, made, book, now)


def _strangers(
    operation: DefineBundle, book: Book, recipes: Mapping[str, Recipe]
) -> set[tuple[str, str]]:
    """
    Return what must be locked to tell whether a component is known.

    Raises:
        UnknownSku: One is not.
    """
    strange = [sku for sku, _ in operation.components if sku not in recipes and not book.knows(sku)]
    unseen = {(sku, "") for sku in strange if not book.saw(sku) and sku != operation.sku}
    strange = [sku for sku in strange if sku != operation.sku]  # That is a cycle, and told as one.
    if strange and not unseen:
        raise UnknownSku(strange[0])
    return unseen


def _remove(operation: RemoveBundle, book: Book, now: Instant) -> Decision:
    recipes = book.settings.recipes
    if operation.sku not in recipes:
        raise UnknownBundle(operation.sku, tuple(get_close_matches(operation.sku, recipes, n=2)))
    return _next(
        operation, Recipe(operation.sku, _last_version(operation, book) + 1, ()), book, now
    )


def _last_version(operation: DefineBundle | RemoveBundle, book: Book) -> int:
    stored = book.document(RECIPE, operation.sku)
    return 0 if stored is None else int(stored["version"])


def _next(
    operation: DefineBundle | RemoveBundle, recipe: Recipe, book: Book, now: Instant
) -> Granted:
    """Put a version in force, and into the history."""
    told: dict[str, Any] = {"defined_at": now}
    for word in ("actor", "reason", "origin"):
        if getattr(operation, word) is not None:
            told[word] = getattr(operation, word)
    made = (RECIPE, recipe.sku, recipe.to_dict())
    return Granted(
        documents=(
            made,
            (RECIPE_HISTORY, past_recipe(recipe.sku, recipe.version), recipe.to_dict() | told),
            *next_generation(book, [made]),
        ),
        result={"version": recipe.version},
    )


_RULES: Final[dict[type[Operation], Rule]] = {
    DefineBundle: Rule(_wants, _define),
    RemoveBundle: Rule(_wants, _remove),
}
BUNDLE_RULES: Final[Rules] = _RULES

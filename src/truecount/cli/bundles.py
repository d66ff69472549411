"""Bundles on the command line: ``bundles list``, ``show``, ``define``, ``availability``."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from truecount.bundles.availability import Availability
from truecount.bundles.resolver import RecipeVersion
from truecount.cli.options import Db, Json, Tenant, guarded, iso, ledger
from truecount.cli.output import Screen, numbers, text
from truecount.errors import InvalidArgument
from truecount.model.names import shown
from truecount.model.recipes import Recipe


bundles_app = typer.Typer(
    help="Say what bundles are made of, and how many can be sold.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@bundles_app.command("define")
@guarded
def define_bundle(
    *,
    sku: Annotated[str, typer.Argument(metavar="SKU", help="The bundle.", show_default=False)],
    components: Annotated[
        list[str],
        typer.Argument(
            metavar="COMPONENT=QUANTITY...", help="What one of it takes.", show_default=False
        ),
    ],
    reason: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Why, for the history.")
    ] = None,
    db: Db = None,
    tenant: Tenant = "main",
    as_json: Json = False,
) -> None:
    """
    Say what one unit of a bundle is made of, from now on.

    Said before, it is the next version; orders made before keep theirs.
    """
    screen = Screen(as_json=as_json)
    lines = [_component(each) for each in components]
    with ledger(db, tenant) as inventory:
        recipe = inventory.bundles.define(sku, lines, reason=reason)
    screen.say(f"{recipe.sku}, version {recipe.version}: {_in_words(recipe)}")
    screen.data(_as_data(recipe))


def _component(text_: str) -> tuple[str, int]:
    """
    Return the SKU and the quantity of one argument; a SKU may have "=" in it.

    >>> _component("MUG=2"), _component("A=B=1")
    (('MUG', 2), ('A=B', 1))
    """
    sku, sign, quantity = text_.rpartition("=")
    if not sign or not (quantity.isascii() and quantity.isdecimal()):
        raise InvalidArgument("COMPONENT", shown(text_), "SKU=QUANTITY, for example MUG=2")
    return sku, int(quantity)


@bundles_app.command("list")
@guarded
def list_bundles(*, db: Db = None, tenant: Tenant = "main", as_json: Json = False) -> None:
    """List the bundles that have a recipe in force."""
    screen = Screen(as_json=as_json)
    with ledger(db, tenant, read_only=True) as inventory:
        recipes = [bill.recipes[bill.sku] for bill in inventory.bundles.bills()]
    recipes.sort(key=lambda recipe: recipe.sku)
    if recipes:
        screen.table(
            (*text("bundle"), *numbers("version"), *text("made of")),
            [[each.sku, each.version, _in_words(each)] for each in recipes],
        )
    else:
        screen.say("no bundle has a recipe yet")
    screen.data({"bundles": [_as_data(recipe) for recipe in recipes]})


@bundles_app.command("show")
@guarded
def show_bundle(
    *,
    sku: Annotated[str, typer.Argument(metavar="SKU", help="The bundle.", show_default=False)],
    db: Db = None,
    tenant: Tenant = "main",
    as_json: Json = False,
) -> None:
    """Show every version of a bundle's recipe, the oldest first."""
    screen = Screen(as_json=as_json)
    with ledger(db, tenant, read_only=True) as inventory:
        versions = inventory.bundles.history(sku)
    screen.table(
        (*numbers("version"), *text("since", "made of", "because")),
        [
            [
                each.recipe.version,
                f"{each.defined_at:%Y-%m-%d %H:%M:%S}Z",
                _in_words(each.recipe),
                "; ".join(filter(None, (each.reason, each.actor, each.origin))),
            ]
            for each in versions
        ],
    )
    screen.data({"sku": sku, "versions": [_version_data(each) for each in versions]})


@bundles_app.command("availability")
@guarded
def show_availability(
    *,
    skus: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SKU...]", help="Only these; others than bundles, too."),
    ] = None,
    db: Db = None,
    tenant: Tenant = "main",
    as_json: Json = False,
) -> None:
    """
    Show how many of each bundle can be sold, and which component limits it.

    Available is what a cart can have, each bundle whole from one location; in the network,
    what there would be if components could come from anywhere.
    """
    screen = Screen(as_json=as_json)
    with ledger(db, tenant, read_only=True) as inventory:
        found = inventory.availability(skus or list(inventory.bundles))
    if found:
        _show(screen, list(found.values()))
    else:
        screen.say("no bundle has a recipe yet")
    screen.data({"availability": [_availability_data(each) for each in found.values()]})


def _show(screen: Screen, found: list[Availability]) -> None:
    screen.table(
        (
            *text("sku"),
            *numbers("available", "from one place", "in the network"),
            *text("limited by", "at"),
        ),
        [
            [
                each.sku,
                each.available,
                each.from_one_place,
                each.in_network,
                each.limited_by,
                ", ".join(f"{location} {units}" for location, units in each.at.items()),
            ]
            for each in found
        ],
    )


def _in_words(recipe: Recipe) -> str:
    """
    Return what one of a bundle is made of.

    >>> _in_words(Recipe("SET", 1, (("MUG", 2), ("TEA", 1))))
    '2 MUG, 1 TEA'
    """
    made_of = ", ".join(f"{quantity} {sku}" for sku, quantity in recipe.components)
    return made_of or "taken out of the range"


def _as_data(recipe: Recipe) -> dict[str, Any]:
    return {"sku": recipe.sku, "version": recipe.version, "components": recipe.quantities}


def _version_data(version: RecipeVersion) -> dict[str, Any]:
    return {
        "version": version.recipe.version,
        "components": version.recipe.quantities,
        "defined_at": iso(version.defined_at),
        "actor": version.actor,
        "reason": version.reason,
        "origin": version.origin,
    }


def _availability_data(each: Availability) -> dict[str, Any]:
    return {
        "sku": each.sku,
        "is_bundle": each.is_bundle,
        "available": each.available,
        "at": dict(each.at),
        "from_one_place": each.from_one_place,
        "in_network": each.in_network,
        "limited_by": each.limited_by,
    }

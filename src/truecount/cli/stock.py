"""Looking at the stock: ``locations``, ``stock``, ``history``, ``sweep``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from difflib import get_close_matches
from typing import Annotated, Any, Final

import attrs
import typer

from truecount.cli.options import At, Db, Json, Tenant, check_name, guarded, iso, ledger, moment
from truecount.cli.output import Screen, numbers, text
from truecount.errors import UnknownSku
from truecount.inventory import Inventory
from truecount.ledger.history import HistoryEntry
from truecount.model.places import STATES
from truecount.model.stock import Figures, StockKey
from truecount.rendering.words import document


locations_app = typer.Typer(
    help="Declare locations, and list them.", no_args_is_help=True, rich_markup_mode=None
)

#: Figures a table shows always, and those it shows where some key has them.
_ALWAYS: Final = ("on_hand", "reserved", "available")
_SOMETIMES: Final = ("quarantine", "damaged", "in_transit", "incoming")


@locations_app.command("add")
@guarded
def add_locations(
    *,
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="The locations.")],
    priority: Annotated[
        int | None, typer.Option(help="Asked first when low; by default the new ones come last.")
    ] = None,
    db: Db = None,
    tenant: Tenant = "main",
    as_json: Json = False,
) -> None:
    """Declare locations; those declared before stay as they are. Makes FILE when missing."""
    screen = Screen(as_json=as_json)
    with ledger(db, tenant, create=True) as inventory:
        inventory.locations.add(*names, priority=priority)
        known = list(inventory.locations)
    screen.say(f"locations: {', '.join(known)}")
    screen.data({"locations": known})


@locations_app.command("list")
@guarded
def list_locations(*, db: Db = None, tenant: Tenant = "main", as_json: Json = False) -> None:
    """List the declared locations, the first asked first."""
    screen = Screen(as_json=as_json)
    with ledger(db, tenant, read_only=True) as inventory:
        known = list(inventory.locations)
    for name in known:
        screen.say(name)
    screen.data({"locations": known})


@guarded
def stock(
    *,
    sku: Annotated[
        str | None, typer.Argument(metavar="SKU", help="Only this SKU.", show_default=False)
    ] = None,
    at: At = None,
    as_of: Annotated[
        str | None,
        typer.Option("--as-of", metavar="TIME", help="As it was then (ISO 8601 with zone)."),
    ] = None,
    db: Db = None,
    tenant: Tenant = "main",
    as_json: Json = False,
) -> None:
    """
    Show the figures of every key: SKU, location, lot.

    On hand is what is there, reserved what is promised, available what may still be
    promised (negative: oversold). Of a past moment, available counts sellable units only.
    """
    screen = Screen(as_json=as_json)
    time = None if as_of is None else moment(as_of, "--as-of")
    with ledger(db, tenant, read_only=True) as inventory:
        _check_sku(inventory, sku)
        figures = _figures(inventory, sku, at, time)
    if figures:
        show_figures(screen, figures)
    else:
        screen.say("no stock here yet")
    screen.data(
        {"as_of": iso(time), "stock": [as_data(key, each) for key, each in figures.items()]}
    )


def _figures(
    inventory: Inventory, sku: str | None, at: str | None, time: datetime | None
) -> dict[StockKey, Figures]:
    check_name(at, "--at")
    now = inventory.stock(sku=sku, at=at)
    if time is None:
        return now
    return {key: inventory.as_of(key.sku, time, at=key.location, lot=key.lot) for key in now}


def _check_sku(inventory: Inventory, sku: str | None) -> None:
    check_name(sku, "SKU")
    if sku is not None and not inventory.stock(sku=sku):
        known = sorted({key.sku for key in inventory.stock()})
        raise UnknownSku(sku, tuple(get_close_matches(sku, known, n=2)))


def show_figures(screen: Screen, figures: dict[StockKey, Figures], title: str = "") -> None:
    """Print a table of figures; columns that are zero throughout are left out."""
    shown = [
        *_ALWAYS,
        *(name for name in _SOMETIMES if any(getattr(each, name) for each in figures.values())),
    ]
    has_lots = any(key.lot for key in figures)
    headings = text("sku", "location", *(["lot"] if has_lots else []))
    screen.table(
        (*headings, *numbers(*(name.replace("_", " ") for name in shown))),
        [
            [*key[: len(headings)], *(getattr(each, name) for name in shown)]
            for key, each in figures.items()
        ],
        title,
    )


def as_data(key: StockKey, figures: Figures) -> dict[str, Any]:
    """Return the figures of a key as plain data."""
    return {"sku": key.sku, "location": key.location, "lot": key.lot, **figures.to_dict()}


@guarded
def history(
    *,
    sku: Annotated[
        str | None, typer.Argument(metavar="SKU", help="Of this SKU.", show_default=False)
    ] = None,
    at: At = None,
    reference: Annotated[
        str | None, typer.Option(metavar="TEXT", help="Only under this order, cart, delivery.")
    ] = None,
    last: Annotated[
        int, typer.Option(metavar="N", min=0, help="Only the newest N entries; 0 for all.")
    ] = 100,
    db: Db = None,
    tenant: Tenant = "main",
    as_json: Json = False,
) -> None:
    """
    Show what happened, oldest first.

    Of a SKU, at a location, under a reference: name at least one. Each line is what one
    movement did to one key, with the figures after it.
    """
    screen = Screen(as_json=as_json)
    check_name(reference, "--reference")
    check_name(at, "--at")
    with ledger(db, tenant, read_only=True) as inventory:
        _check_sku(inventory, sku)
        entries = inventory.history(sku, at=at, reference=reference, last=last or None)
    if entries:
        show_history(screen, entries)
    else:
        screen.say("nothing happened here yet")
    screen.data({"history": [_entry_data(entry) for entry in entries]})


def show_history(screen: Screen, entries: Sequence[HistoryEntry]) -> None:
    """Print a table of entries; columns that are empty throughout are left out."""
    headings = (
        *text("occurred at", "kind", "sku", "location", "lot", "change"),
        *numbers("on hand", "available"),
        *text("reference", "because", "movement"),
    )
    lines = [_line_of(entry) for entry in entries]
    shown = [number for number in range(len(headings)) if any(line[number] for line in lines)]
    screen.table(
        [headings[number] for number in shown], [[line[n] for n in shown] for line in lines]
    )


def _line_of(entry: HistoryEntry) -> list[str]:
    movement = entry.movement
    return [
        f"{movement.occurred_at:%Y-%m-%d %H:%M:%S}Z",
        movement.kind.value,
        *entry.key,
        change_in_words(entry.change),
        str(entry.after.on_hand),
        str(entry.after.available),
        document(movement) or "",
        "; ".join(filter(None, (movement.reason, movement.actor, movement.origin))),
        movement.id,
    ]


def change_in_words(change: Figures) -> str:
    """
    Return the figures that changed.

    >>> change_in_words(Figures(sellable=-3, held=3))
    'sellable -3, held +3'
    """
    parts = [f"{state.value} {change[state]:+d}" for state in STATES if change[state]]
    return ", ".join(parts) or "none"


def _entry_data(entry: HistoryEntry) -> dict[str, Any]:
    movement = entry.movement
    words = ("id", "reference", "reason", "actor", "origin", "reverses", "notes", "position")
    return {
        "kind": movement.kind.value,
        "occurred_at": iso(movement.occurred_at),
        "recorded_at": iso(movement.recorded_at),
        **{name: getattr(movement, name) for name in words},
        "sku": entry.key.sku,
        "location": entry.key.location,
        "lot": entry.key.lot,
        "version": entry.version,
        "change": {state.value: entry.change[state] for state in STATES if entry.change[state]},
        "after": _past(entry.after),
    }


def _past(figures: Figures) -> dict[str, int]:
    return {name: value for name, value in attrs.asdict(figures).items() if name != "available"}


@guarded
def sweep(*, db: Db = None, tenant: Tenant = "main", as_json: Json = False) -> None:
    """
    Give back the holds of carts that ran out.

    Old refusals are forgotten too. Nothing depends on it, since a hold that ran out blocks
    nobody: it keeps the figures tidy. Call it from a timer.
    """
    screen = Screen(as_json=as_json)
    with ledger(db, tenant) as inventory:
        reclaimed = inventory.sweep()
    screen.say(f"{reclaimed} {'hold' if reclaimed == 1 else 'holds'} given back")
    screen.data({"reclaimed": reclaimed})

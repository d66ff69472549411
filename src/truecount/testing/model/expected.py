"""
What must follow from each operation when it is granted: a function for each kind.

It says which figures change, lot by lot. Where it has no opinion it returns None: of parts of
orders, and of returns of bundles.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from truecount.model.commands import Assemble, Disassemble, Relocate, TransferOut
from truecount.model.facts import (
    Adjusted,
    Arrived,
    Damaged,
    DeliveryClosed,
    Expected,
    Inspected,
    Lost,
    Opened,
    Received,
    Rejected,
    Returned,
    ReturnedToSupplier,
    Scrapped,
    Sold,
)
from truecount.model.instants import to_instant
from truecount.model.operation import Operation
from truecount.model.reservation_commands import Reserve
from truecount.testing.model.bundles import NaiveCart, inside, plan, take_apart
from truecount.testing.model.ledger import Shelf
from truecount.testing.model.shelves import Key, NaiveLine, Parts


if TYPE_CHECKING:
    from truecount.testing.model.inventory import NaiveInventory


#: What changes where: SKU, location, lot, state.
Changes: TypeAlias = Counter[Shelf]
#: Changes one by one, None without an opinion.
Said: TypeAlias = Iterable[tuple[Shelf, int]] | None


# --- goods that stay where they are --------------------------------------------------------


def _comes(operation: Any, state: str, units: int | None = None) -> list[tuple[Shelf, int]]:
    shelf = (operation.sku, operation.at, getattr(operation, "lot", ""), state)
    return [(shelf, operation.quantity if units is None else units)]


def _goes(operation: Any, state: str, into: str | None = None) -> list[tuple[Shelf, int]]:
    gone = _comes(operation, state, -operation.quantity)
    return gone if into is None else [*gone, *_comes(operation, into)]


def _received(operation: Received, naive: NaiveInventory, _now: int) -> Said:
    """What was ordered under the reference is used up, the rest is a surplus."""
    found = _comes(operation, operation.into.value)
    if operation.reference is not None:
        left = naive.units(operation.sku, operation.at, "incoming", operation.reference)
        used = min(left, operation.quantity + operation.rejected)
        found.append(((operation.sku, operation.at, "", "incoming"), -used))
    return found


def _closed(operation: DeliveryClosed, naive: NaiveInventory, _now: int) -> Said:
    left = naive.units(operation.sku, operation.at, "incoming", operation.reference)
    return _comes(operation, "incoming", -left)


# --- goods that are taken, first come first served ------------------------------------------


def _states(parts: Iterable[tuple[Key, int]], state: str, sign: int) -> list[tuple[Shelf, int]]:
    return [((*key, state), sign * units) for key, units in parts]


def _elsewhere(parts: Parts, at: str, state: str) -> list[tuple[Shelf, int]]:
    return [((sku, at, lot, state), units) for (sku, _, lot), units in parts]


def _relocated(operation: Relocate, naive: NaiveInventory, now: int) -> Said:
    parts = moved(operation, naive, now)
    state = operation.state.value
    return [*_states(parts, state, -1), *_elsewhere(parts, operation.target, state)]


def moved(operation: Relocate, naive: NaiveInventory, now: int) -> Parts:
    """Return which units are moved; of a lot past its date only when it is the one named."""
    sku, at, lot = operation.sku, operation.source, operation.lot
    keys = naive.orders.keys(sku, at, lot)
    named = lot and any(naive.orders.has_expired(key, now) for key in keys)
    if operation.state.value == "sellable" and not named:
        return naive.orders.parts(sku, at, operation.quantity, now, lot=lot)
    left = operation.quantity
    parts = []
    for key in keys:
        part = min(left, max(0, naive.ledger.figure((*key, operation.state.value))))
        if part:
            parts.append((key, part))
            left -= part
    return parts


def gathered(needs: Iterable[tuple[str, int]], at: str, naive: NaiveInventory, now: int) -> Parts:
    """Return which units are taken together at a place: fewer where there are fewer."""
    return [part for sku, units in needs for part in naive.orders.parts(sku, at, units, now)]


def _sent(operation: TransferOut, naive: NaiveInventory, now: int) -> Said:
    parts = gathered(operation.lines, operation.source, naive, now)
    return [*_states(parts, "sellable", -1), *_elsewhere(parts, operation.target, "in_transit")]


def _came_in(operation: Arrived | Rejected | Lost, naive: NaiveInventory, _now: int) -> Said:
    """What is on the way comes out of it, lot after lot; what arrives beyond is a surplus."""
    into = {Arrived: "sellable", Rejected: "quarantine"}.get(type(operation), "")
    under_way = naive.under_way(operation.reference)
    targets = {at for _, at, _ in under_way}
    if len(targets) != 1:
        return None
    [at] = targets
    found = []
    for sku, quantity in operation.lines:
        left = quantity
        for lot in sorted(lot for each, _, lot in under_way if each == sku):
            part = min(left, max(0, under_way[sku, at, lot]))
            left -= part
            found += [((sku, at, lot, "in_transit"), -part), ((sku, at, lot, into), part)]
        found.append(((sku, at, "", into), left))
    return [(shelf, units) for shelf, units in found if shelf[3]]


# --- kits -----------------------------------------------------------------------------------


def needs_of(
    operation: Assemble | Disassemble, naive: NaiveInventory
) -> tuple[list[tuple[str, int]], list[tuple[str, int]]]:
    """Return what making or unmaking takes from the shelf, and what it puts there."""
    made = operation.components or tuple(naive.bundles.recipes.get(operation.sku, {}).items())
    parts = [(sku, each * operation.quantity) for sku, each in made]
    kits = [(operation.sku, operation.quantity)]
    return (parts, kits) if isinstance(operation, Assemble) else (kits, parts)


def _made(operation: Assemble | Disassemble, naive: NaiveInventory, now: int) -> Said:
    needs, gives = needs_of(operation, naive)
    taken = _states(gathered(needs, operation.at, naive, now), "sellable", -1)
    return [*taken, *(((sku, operation.at, "", "sellable"), units) for sku, units in gives)]


# --- what customers take and bring back --------------------------------------------------------


def _sold(operation: Sold, naive: NaiveInventory, now: int) -> Said:
    """What its order has goes first, units of no bundle before others; then the shelf."""
    sku, at, lot = operation.sku, operation.at, operation.lot
    lines = naive.orders.of(operation.reference or "")
    owned = naive.bundles.lines.get(operation.reference or "", set())
    recipes = naive.bundles.recipes if lot is None else {}
    if lot is None and naive.has_bundle(operation.reference, sku):
        return None
    if sku in recipes:
        lines = [line for line in lines if line.number not in owned]
    lines = sorted(lines, key=lambda line: line.number in owned)
    found, left = _from_lines(operation, lines)
    besides = (operation.reference or "") if lines else ""
    shelf = {
        each: sum(
            max(0, naive.orders.granted(key, now, besides), naive.orders.free[key])
            for key in naive.orders.keys(each, at)
        )
        for each in inside(sku, recipes)
    }
    taken, short = take_apart(sku, left, shelf, recipes) if sku in recipes else ({sku: left}, {})
    when = None if operation.occurred_at is None else to_instant(operation.occurred_at)
    for each, units in (Counter(taken) + Counter(short)).items():
        parts = naive.orders.parts_sold(each, at, units, now, besides, lot=lot, sold_at=when)
        found += _states(parts, "sellable", -1)
    return found


def _from_lines(operation: Sold, lines: Iterable[NaiveLine]) -> tuple[list[tuple[Shelf, int]], int]:
    here = [
        line
        for line in lines
        if line.key[:2] == (operation.sku, operation.at) and operation.lot in (None, line.lot)
    ]
    found, left = [], operation.quantity
    for state in ("picked", "allocated", "held"):
        for line in here:
            part = min(left, line.counts[state])
            found.append(((*line.key, state), -part))
            left -= part
    return found, left


def _returned(operation: Returned, naive: NaiveInventory, _now: int) -> Said:
    """Units come back as they are, bundles nobody has an order for as their components."""
    into, sku = operation.into.value, operation.sku
    if operation.lot or sku not in naive.bundles.ever:
        return _comes(operation, into)
    if operation.reference is not None:
        return None
    taken, short = take_apart(sku, operation.quantity, {}, naive.bundles.recipes)
    del taken
    return [((each, operation.at, "", into), units) for each, units in short.items()]


def _reserved(operation: Reserve, naive: NaiveInventory, now: int) -> Said:
    parts = plan(cart_of(operation), naive.orders, naive.bundles.recipes, now).parts
    return [*_states(parts, "sellable", -1), *_states(parts, "held", 1)]


def cart_of(operation: Reserve) -> NaiveCart:
    """Return what a cart wants."""
    lines = dict(operation.lines)
    return NaiveCart(lines, operation.at, operation.lot, operation.kits_apart)


EXPECTED: Final[Mapping[type[Operation], Callable[[Any, NaiveInventory, int], Said]]] = {
    Opened: lambda said, *_: _comes(said, said.state.value),
    Expected: lambda said, *_: _comes(said, "incoming"),
    Received: _received,
    DeliveryClosed: _closed,
    Inspected: lambda said, *_: _goes(said, "quarantine", said.into.value),
    Damaged: lambda said, *_: _goes(said, said.state.value, "damaged"),
    Scrapped: lambda said, *_: _goes(said, said.state.value),
    ReturnedToSupplier: lambda said, *_: _goes(said, said.state.value),
    Adjusted: lambda said, *_: _comes(said, said.state.value, said.change),
    Sold: _sold,
    Returned: _returned,
    Relocate: _relocated,
    TransferOut: _sent,
    Arrived: _came_in,
    Rejected: _came_in,
    Lost: _came_in,
    Assemble: _made,
    Disassemble: _made,
    Reserve: _reserved,
}

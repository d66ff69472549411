"""
A naive inventory: what was told, what carts and orders have, and what must follow.

It never decides how a thing is done: which lot goes first, what is locked, what is stored. It
says which figures must change when an operation is granted, lots added up, and keeps the
promises of reservations (:class:`NaiveReservations`) for shelves without lots.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from typing import Any, Final, TypeAlias

from truecount.model.commands import Assemble, Disassemble, Relocate, TransferOut, Undo
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
from truecount.model.kinds import Kind
from truecount.model.lines import NEVER, LineRow
from truecount.model.movements import Movement
from truecount.model.operation import Operation
from truecount.model.reservation_commands import TakeBack
from truecount.testing.model.ledger import NaiveLedger
from truecount.testing.model.reservations import NaiveLine, NaiveReservations


#: What changes where: SKU, location, state; lots added up.
Changes: TypeAlias = Counter[tuple[str, str, str]]

#: What the library writes besides what was asked for.
_BESIDES: Final = frozenset({Kind.EXPIRE, Kind.REFOLD})
_UNFIT: Final = ("quarantine", "damaged")
_COUNTERS: Final = ("held", "allocated", "picked", "shipped", "released", "expired", "short")


class NaiveInventory:
    """
    Lists of what was told; sums of what must be so.

    >>> from truecount import Damaged, Inventory
    >>> inventory = Inventory()
    >>> inventory.locations.add("berlin")
    >>> receipt = inventory.receive("MUG", 5, at="berlin")
    >>> naive = NaiveInventory("berlin")
    >>> naive.tell(inventory.feed())
    >>> naive.units("MUG", "berlin", "sellable")
    5
    >>> naive.expected(Damaged("MUG", 2, at="berlin"))[("MUG", "berlin", "damaged")]
    2

    Args:
        places: The locations of the shop, in the order in which they are declared.
    """

    def __init__(self, *places: str) -> None:
        self.ledger = NaiveLedger()
        self.orders = NaiveReservations(*places)
        #: Bundles in force, and what one of each is made of.
        self.recipes: dict[str, Mapping[str, int]] = {}
        #: What was a bundle at some time: orders keep the recipes they were made with.
        self.bundled: set[str] = set()
        self.movements: dict[str, Movement] = {}

    def tell(self, movements: Iterable[Movement]) -> None:
        """Write movements down, in the order of their positions."""
        for movement in movements:
            self.ledger.tell(movement)
            self.movements[movement.id] = movement
            self.orders.known.update(key.sku for key, _ in movement.versions)

    def copy(self) -> NaiveInventory:
        """Return another that starts from here, to be thrown away with a host's transaction."""
        other = NaiveInventory(*self.orders.places)
        other.ledger.told = [*self.ledger.told]
        other.orders = deepcopy(self.orders)
        other.recipes = dict(self.recipes)
        other.bundled = set(self.bundled)
        other.movements = dict(self.movements)
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
        self.bundled.add(sku)

    def closes_circle(self, sku: str, components: Mapping[str, int]) -> bool:
        """Return whether a bundle made of *components* would have itself inside."""
        inside, left = set[str](), list(components)
        while left:
            each = left.pop()
            if each not in inside:
                inside.add(each)
                left += self.recipes.get(each, ())
        return sku in inside

    # --- sums ------------------------------------------------------------------------------

    def units(self, sku: str, at: str, state: str, reference: str | None = None) -> int:
        """Return a figure, lots added up, of all movements or of those under a reference."""
        totals = self.ledger.totals(reference=reference)
        return sum(n for shelf, n in totals.items() if (*shelf[:2], shelf[3]) == (sku, at, state))

    def under_way(self, reference: str) -> Mapping[tuple[str, str], int]:
        """Return what a transfer still has on its way: units by SKU and target."""
        found: Counter[tuple[str, str]] = Counter()
        for (sku, at, _, state), units in self.ledger.totals(reference=reference).items():
            if state == "in_transit":
                found[sku, at] += units
        return found

    # --- what must follow ------------------------------------------------------------------

    def expected(self, operation: Operation) -> Changes | None:
        """Return what must change when *operation* is granted, None without an opinion."""
        rule = _EXPECTED.get(type(operation))
        said = None if rule is None else rule(operation, self)
        if said is None:
            return None
        found: Changes = Counter()
        for place, units in said:
            found[place] += units
        return found

    def balance(self, operation: Operation) -> Counter[str] | None:
        """
        Return what must leave the shop or come into it, by SKU; None without an opinion.

        Of what customers take and bring back: from which lot and whose promise is not said.
        """
        if isinstance(operation, Sold):
            found = Counter({operation.sku: -operation.quantity})
        elif isinstance(operation, TakeBack):
            found = Counter(dict(operation.lines))
        else:
            return None
        return None if self.bundled & set(found) else found

    @staticmethod
    def seen(movements: Iterable[Movement]) -> Changes:
        """Return what *movements* changed, without what the library wrote besides."""
        naive = NaiveLedger(each for each in movements if each.kind not in _BESIDES)
        found: Changes = Counter()
        for (sku, at, _, state), units in naive.totals().items():
            found[sku, at, state] += units
        return found

    # --- what reservations became where the model has no opinion ------------------------------

    def follow(self, lines: Iterable[LineRow], trusted: Iterable[str] = ()) -> None:
        """
        Take shelves from the ledger, and *lines* as they are, but not those of *trusted* owners.

        Of those only what ran out for somebody else may have changed.
        """
        own = set(trusted)
        self.orders.unfit.clear()
        for (sku, at, lot, state), units in self.ledger.totals().items():
            if state == "sellable" and not lot:
                self.orders.free[sku, at] = units
            elif state in _UNFIT:
                self.orders.unfit[sku, at] += units
        self.orders.lines = [each for each in self.orders.lines if each.reference in own]
        mine = {(each.reference, each.number): each for each in self.orders.lines}
        for row in lines:
            if row.reference not in own:
                self.orders.lines.append(_line(row))
                continue
            line = mine[row.reference, row.number]
            if row.expired > line.counts["expired"]:
                line.move(row.expired - line.counts["expired"], "held", "expired")


def _line(row: LineRow) -> NaiveLine:
    counts = Counter({name: getattr(row, name) for name in ("reserved", *_COUNTERS)})
    deadline = None if row.expires_at == NEVER else row.expires_at
    sku, at, lot = row.key
    return NaiveLine(row.reference, row.number, row.round, sku, at, deadline, counts, lot)


# --- one function for each kind of operation ------------------------------------------------

_Said: TypeAlias = list[tuple[tuple[str, str, str], int]] | None


def _comes(operation: Any, state: str, units: int | None = None) -> _Said:
    return [((operation.sku, operation.at, state), operation.quantity if units is None else units)]


def _goes(operation: Any, state: str, into: str | None = None) -> _Said:
    gone = [((operation.sku, operation.at, state), -operation.quantity)]
    return gone if into is None else [*gone, *(_comes(operation, into) or ())]


def _received(operation: Received, naive: NaiveInventory) -> _Said:
    """What was ordered under the reference is used up, the rest is a surplus."""
    found = list(_comes(operation, operation.into.value) or ())
    if operation.reference is not None:
        left = naive.units(operation.sku, operation.at, "incoming", operation.reference)
        used = min(left, operation.quantity + operation.rejected)
        found.append(((operation.sku, operation.at, "incoming"), -used))
    return found


def _closed(operation: DeliveryClosed, naive: NaiveInventory) -> _Said:
    left = naive.units(operation.sku, operation.at, "incoming", operation.reference)
    return _comes(operation, "incoming", -left)


def _relocated(operation: Relocate, _naive: NaiveInventory) -> _Said:
    sku, state, units = operation.sku, operation.state.value, operation.quantity
    return [((sku, operation.source, state), -units), ((sku, operation.target, state), units)]


def _sent(operation: TransferOut, _naive: NaiveInventory) -> _Said:
    return [
        change
        for sku, units in operation.lines
        for change in (
            ((sku, operation.source, "sellable"), -units),
            ((sku, operation.target, "in_transit"), units),
        )
    ]


def _came_in(operation: Arrived | Rejected | Lost, naive: NaiveInventory) -> _Said:
    """What is on the way comes out of it; what arrives beyond that was a surplus."""
    into = {Arrived: "sellable", Rejected: "quarantine"}.get(type(operation))
    under_way = naive.under_way(operation.reference)
    targets = {at for _, at in under_way}
    if len(targets) != 1:
        return None
    [at] = targets
    found = []
    for sku, units in operation.lines:
        found.append(((sku, at, "in_transit"), -min(units, under_way[sku, at])))
        if into is not None:
            found.append(((sku, at, into), units))
    return found


def _made(operation: Assemble | Disassemble, naive: NaiveInventory) -> _Said:
    sign = 1 if isinstance(operation, Assemble) else -1
    parts = operation.components or tuple(naive.recipes.get(operation.sku, {}).items())
    used = [
        ((sku, operation.at, "sellable"), -sign * each * operation.quantity) for sku, each in parts
    ]
    return [*used, *(_comes(operation, "sellable", sign * operation.quantity) or ())]


def _undone(operation: Undo, naive: NaiveInventory) -> _Said:
    """What it changed is as if it had never been."""
    was = naive.seen([naive.movements[operation.movement_id]])
    return [(place, -units) for place, units in was.items()]


_EXPECTED: Final[Mapping[type[Operation], Callable[[Any, NaiveInventory], _Said]]] = {
    Opened: lambda said, _: _comes(said, said.state.value),
    Expected: lambda said, _: _comes(said, "incoming"),
    Received: _received,
    DeliveryClosed: _closed,
    Inspected: lambda said, _: _goes(said, "quarantine", said.into.value),
    Damaged: lambda said, _: _goes(said, said.state.value, "damaged"),
    Scrapped: lambda said, _: _goes(said, said.state.value),
    ReturnedToSupplier: lambda said, _: _goes(said, said.state.value),
    Adjusted: lambda said, _: _comes(said, said.state.value, said.change),
    Returned: lambda said, naive: (
        None if said.sku in naive.recipes else _comes(said, said.into.value)
    ),
    Relocate: _relocated,
    TransferOut: _sent,
    Arrived: _came_in,
    Rejected: _came_in,
    Lost: _came_in,
    Assemble: _made,
    Disassemble: _made,
    Undo: _undone,
}

"""
A naive inventory: what was told, what carts and orders have, and what must follow.

It never decides what a write needs: what is locked, what is stored, what is refolded. It adds up
what was told (:class:`NaiveLedger`) and what was counted (:class:`NaiveCounts`), keeps the
promises of reservations (:class:`NaiveReservations`) and the recipes they were made with
(:class:`NaiveBundles`), and says lot by lot which figures an operation must change.

It does not say what becomes of orders with bundles after they were reserved, but that whole
bundles are moved by the recipe of their day; nor of parts of a batch, of returns of bundles that
an order names, or when a lot expires that was moved. There it follows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from typing import Final, NamedTuple

import attrs

from truecount.model.commands import Assemble, Disassemble, Relocate, TransferOut
from truecount.model.facts import Sold
from truecount.model.instants import to_instant
from truecount.model.kinds import Kind
from truecount.model.lines import NEVER, LineRow
from truecount.model.movements import Movement
from truecount.model.operation import Operation
from truecount.model.reservation_commands import (
    Pick,
    Release,
    Reserve,
    Ship,
    ShortPick,
    TakeBack,
)
from truecount.testing.model.bundles import NaiveBundles, inside, most, plan, take_apart
from truecount.testing.model.counts import NaiveCounts, Seen
from truecount.testing.model.expected import (
    EXPECTED,
    Changes,
    cart_of,
    gathered,
    moved,
    needs_of,
)
from truecount.testing.model.ledger import NaiveLedger, Shelf
from truecount.testing.model.mistakes import MISTAKES
from truecount.testing.model.reservations import NaiveReservations
from truecount.testing.model.shelves import NaiveLine


#: What the library writes besides what was asked for.
_BESIDES: Final = frozenset({Kind.EXPIRE, Kind.REFOLD})
_EXPECTED: Final = {**EXPECTED, **MISTAKES}
_UNFIT: Final = ("quarantine", "damaged")
_COUNTERS: Final = ("held", "allocated", "picked", "shipped", "released", "expired", "short")


class NaiveAvailability(NamedTuple):
    """How many of a SKU can be had at each place, place by place, and from all together."""

    at: dict[str, int]
    available: int
    in_network: int


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
    >>> naive.expected(Damaged("MUG", 2, at="berlin"))[("MUG", "berlin", "", "damaged")]
    2

    Args:
        places: The locations of the shop, in the order in which they are declared.
    """

    def __init__(self, *places: str) -> None:
        self.ledger = NaiveLedger()
        self.counts = NaiveCounts()
        self.orders = NaiveReservations(*places)
        self.bundles = NaiveBundles()
        self.movements: dict[str, Movement] = {}
        #: What was asked for, by the movement it became.
        self.said: dict[str, Operation] = {}

    def tell(
        self,
        movements: Iterable[Movement],
        counted: Mapping[str, Seen] | None = None,
        reports: Callable[[str, str], bool] = lambda _sku, _at: False,
    ) -> None:
        """
        Write movements down, in the order of their positions.

        Args:
            movements: What the feed tells.
            counted: What each count among them found.
            reports: Whether late facts about a SKU at a location are only reported.
        """
        for movement in movements:
            seen = (counted or {}).get(movement.id)
            late = any(reports(key.sku, key.location) for key, _ in movement.versions)
            self.ledger.tell(movement)
            self.counts.tell(movement, seen, reports=late)
            self.movements[movement.id] = movement
            for key, _ in movement.versions:
                expiries = [at for sku, lot, at in movement.expiries if (sku, lot) == key[::2]]
                since = to_instant(movement.occurred_at)
                self.orders.know(key, since, expiries[-1] if expiries else None)

    def copy(self) -> NaiveInventory:
        """Return another that starts from here, to be thrown away with a host's transaction."""
        other = NaiveInventory(*self.orders.places)
        other.ledger.told = [*self.ledger.told]
        other.counts = self.counts.copy()
        other.orders = deepcopy(self.orders)
        other.bundles = self.bundles.copy()
        other.movements = dict(self.movements)
        other.said = dict(self.said)
        return other

    def without(self, movement_id: str, back: Iterable[tuple[Shelf, int]]) -> NaiveInventory:
        """Return another in which a movement was taken back, *back* being what that changes."""
        other = self.copy()
        was = self.movements[movement_id]
        legs = tuple(leg.reversed() for leg in was.legs)
        other.ledger.tell(attrs.evolve(was, id=f"not {was.id}", legs=legs))
        for (sku, at, lot, state), units in back:
            if state == "sellable":
                other.orders.free[sku, at, lot] += units
        return other

    # --- sums ------------------------------------------------------------------------------

    def units(self, sku: str, at: str, state: str, reference: str | None = None) -> int:
        """Return a figure, lots added up, of all movements or of those under a reference."""
        totals = self.ledger.totals(reference=reference)
        return sum(n for shelf, n in totals.items() if (*shelf[:2], shelf[3]) == (sku, at, state))

    def under_way(self, reference: str) -> Counter[tuple[str, str, str]]:
        """Return what a transfer still has on its way: units by SKU, target and lot."""
        found: Counter[tuple[str, str, str]] = Counter()
        for (*key, state), units in self.ledger.totals(reference=reference).items():
            if state == "in_transit":
                sku, at, lot = key
                found[sku, at, lot] += units
        return found

    # --- what must follow ------------------------------------------------------------------

    def expected(self, operation: Operation, now: int = 0) -> Changes | None:
        """
        Return what must change when *operation* is granted, None without an opinion.

        Args:
            operation: What was asked for.
            now: When it was decided: holds and lots may have run out by then.
        """
        rule = _EXPECTED.get(type(operation))
        said = None if rule is None else rule(operation, self, now)
        if said is None:
            return None
        found: Changes = Counter()
        for shelf, units in said:
            found[shelf] += units
        return found

    def is_short(self, operation: Operation, now: int) -> bool | None:
        """Return whether there is too little for a command, None without an opinion."""
        if operation.occurred_at is not None:
            return None  # A later count may stand against it.
        if isinstance(operation, Reserve):
            found = plan(cart_of(operation), self.orders, self.bundles.recipes, now)
            whole = found.lines == Counter(dict(operation.lines))
            return not whole and not (operation.partial and found.parts)
        if isinstance(operation, Relocate):
            wanted, parts = operation.quantity, moved(operation, self, now)
        elif isinstance(operation, TransferOut):
            wanted = sum(units for _, units in operation.lines)
            parts = gathered(operation.lines, operation.source, self, now)
        elif isinstance(operation, (Assemble, Disassemble)):
            needs, _ = needs_of(operation, self)
            wanted = sum(units for _, units in needs)
            parts = gathered(needs, operation.at, self, now)
        else:
            return None
        # What facts have made negative elsewhere on a shelf is not there to be carried away.
        is_there = all(self.orders.on_hand(key) >= units for key, units in parts)
        return sum(units for _, units in parts) < wanted or not is_there

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
        return None if self.bundles.ever & set(found) else found

    @staticmethod
    def seen(movements: Iterable[Movement]) -> Changes:
        """Return what *movements* changed, without what the library wrote besides."""
        naive = NaiveLedger(each for each in movements if each.kind not in _BESIDES)
        return naive.totals()

    # --- what can be had -------------------------------------------------------------------

    def availability(self, sku: str, now: int) -> NaiveAvailability:
        """Return how many of a SKU can be had: at each place, place by place, and pooled."""
        recipes, family = self.bundles.recipes, inside(sku, self.bundles.recipes)
        shelf: dict[str, dict[str, list[int]]] = {}
        for key in self.orders.since:
            if key[0] in family:
                offers = shelf.setdefault(key[1], {}).setdefault(key[0], [])
                offers.append(self.orders.available(key, now))
        if sku not in recipes:
            at = {place: _never_netted(offers[sku]) for place, offers in shelf.items()}
            everywhere = _never_netted([n for offers in shelf.values() for n in offers[sku]])
            return NaiveAvailability(at, everywhere, everywhere)
        there = {
            place: {each: _never_netted(offers) for each, offers in mine.items()}
            for place, mine in shelf.items()
        }
        at = {place: most(sku, each, recipes) for place, each in there.items()}
        pool = sum((+Counter(each) for each in there.values()), Counter[str]())
        return NaiveAvailability(at, sum(at.values()), most(sku, pool, recipes))

    # --- bundles of orders -----------------------------------------------------------------

    def has_bundle(self, reference: str | None, sku: str) -> bool:
        """Return whether an order has a bundle of this name, as it is now."""
        lines = self.orders.of(reference or "")
        return bool(lines) and (reference, lines[-1].round, sku) in self.bundles.pinned

    def whole_bundles(self, operation: Operation, written: Iterable[Movement]) -> str | None:
        """
        Return what is wrong with the units an order's bundles moved, None when nothing is.

        They are what so many bundles are made of by the recipe of their day, not one more or less.
        """
        if not isinstance(operation, (Pick, ShortPick, Ship, Release)) or not operation.lines:
            return None
        lines = self.orders.of(operation.reference)
        if len(operation.lines) != 1 or not lines:
            return None
        [(sku, quantity)] = operation.lines
        recipes = self.bundles.pinned.get((operation.reference, lines[-1].round, sku))
        if recipes is None:
            return None
        units = Counter[str]()
        for movement in written:
            for leg in movement.legs if movement.kind not in _BESIDES else ():
                units[leg.sku] += leg.quantity
        taken, short = take_apart(sku, quantity, units, recipes)
        if taken == units and not short:
            return None
        return f"{quantity} {sku} of {dict(recipes)}: got {dict(units)}"

    # --- what reservations became where the model has no opinion ------------------------------

    def follow(self, lines: Iterable[LineRow], trusted: Iterable[str] = ()) -> None:
        """
        Take shelves from the ledger, and *lines* as they are, but not those of *trusted* owners.

        Of those only what ran out for somebody else may have changed.
        """
        own = set(trusted)
        self.orders.unfit.clear()
        for (sku, at, lot, state), units in self.ledger.totals().items():
            if state == "sellable":
                self.orders.free[sku, at, lot] = units
            elif state in _UNFIT:
                self.orders.unfit[sku, at, lot] += units
        self.orders.lines = [each for each in self.orders.lines if each.reference in own]
        mine = {(each.reference, each.number): each for each in self.orders.lines}
        for row in lines:
            if row.reference not in own:
                self.orders.lines.append(_line(row))
                continue
            line = mine[row.reference, row.number]
            if row.expired > line.counts["expired"]:
                line.move(row.expired - line.counts["expired"], "held", "expired")


def _never_netted(offers: Iterable[int]) -> int:
    """Return what shelves offer that do not pay for each other."""
    known = [*offers]
    return sum(n for n in known if n > 0) or sum(known)


def _line(row: LineRow) -> NaiveLine:
    counts = Counter({name: getattr(row, name) for name in ("reserved", *_COUNTERS)})
    deadline = None if row.expires_at == NEVER else row.expires_at
    sku, at, lot = row.key
    return NaiveLine(row.reference, row.number, row.round, sku, at, deadline, counts, lot)

"""
Rules of sales and returns that may name bundles; what does not is handed to ``sale_rules``.

Rules:
1. A sale of a bundle takes what its reservation has, by the recipe the order pinned; then
   from the shelf, stocked ones first, by the recipe in force. What is not there at all leaves
   the lowest components short: a fact is recorded whatever the book says.
2. A return of a bundle is of what left: bundles of the order come back as they went, and as
   their components when the order does not tell.
3. A component that comes back is a plain one of the order as long as there is one out there,
   then one of its bundles, in their order.
4. Whoever names a lot names units of the SKU itself; nothing is taken apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import attrs

from truecount.bundles.netting import capacity, net
from truecount.bundles.pinned import (
    KITS,
    Kit,
    back,
    gone,
    kits_of,
    of_round,
    pinned,
    split,
    with_kits,
)
from truecount.errors import TooMany
from truecount.ledger.drafts import counted, draft, quantity_demand
from truecount.ledger.sale_rules import (
    brought_back,
    came_from,
    expired_lots,
    from_lines,
    from_shelf,
    returned,
    sold,
    take_back,
    wants_returned,
    wants_sold,
    wants_take_back,
)
from truecount.ledger.supply import Part, offered, reclaim
from truecount.model.facts import Returned, Sold
from truecount.model.instants import Instant
from truecount.model.kinds import Kind
from truecount.model.lines import LineRow
from truecount.model.movements import Leg, Tally
from truecount.model.operation import Operation
from truecount.model.places import CUSTOMER, State, inside
from truecount.model.recipes import Bill
from truecount.model.reservation_commands import TakeBack
from truecount.model.settings import Settings
from truecount.model.stock import StockKey
from truecount.protocols.storage import ORDER, Wants
from truecount.write.book import Book
from truecount.write.intents import Decision, Granted, Rule, Widen


# --- sold -------------------------------------------------------------------------------


def _of_bundle(bill: Bill, at: str) -> Wants:
    """Want every lot of everything in a bundle, and the keys that may be left short."""
    return Wants(
        scopes={(sku, at) for sku in bill.family},
        keys={StockKey(sku, at, "") for sku, _ in bill.leaves},
    )


def _wants_sold(operation: Sold, settings: Settings) -> Wants:
    wants = wants_sold(operation, settings)
    bill = settings.bill(operation.sku) if operation.lot is None else None
    if bill is not None:
        wants.add(_of_bundle(bill, operation.at))
    return wants


def _demand(operation: Sold, book: Book) -> Iterable[tuple[str, int]]:
    bill = book.settings.bill(operation.sku) if operation.lot is None else None
    if bill is None:
        return quantity_demand(operation, book)
    return bill.gross(operation.quantity).items()


def _sold(operation: Sold, book: Book, now: Instant) -> Decision:
    """Book a sale of a bundle as one of its components; any other as it is."""
    order = book.document(ORDER, operation.reference) if operation.reference else None
    kits = kits_of(order)
    lines = book.lines_of(operation.reference) if operation.reference else []
    kit = of_round(kits, lines[-1].round).get(operation.sku) if lines else None
    bill = book.settings.bill(operation.sku) or (kit.bill if kit else None)
    if operation.lot is not None or bill is None:
        # Single units before those that would leave a bundle of the order incomplete.
        owners = {number for each in kits for number in each.lines}
        return sold(operation, book, now, sorted(lines, key=lambda line: line.number in owners))
    book.settings.check(operation.at)
    wants = _of_bundle(bill, operation.at)
    if not wants.scopes <= book.wants.scopes:
        return Widen(wants)
    plain, owned = split(lines, kits)
    legs, left = from_lines(operation, plain)
    if kit is not None:
        reserved, left = _from_kit(operation, kit, owned.get(kit.number, []), left)
        legs += reserved
    others = book.without_due(operation.reference) if operation.reference and lines else book
    parts = _from_shelf(operation, bill, others, now, left)
    shelf = inside(operation.at, State.SELLABLE)
    legs += [Leg(key.sku, key.lot, part, shelf, CUSTOMER) for key, part in parts]
    notes = expired_lots(operation, book, now, parts)
    if left and (kit is not None or any(line.key.sku == operation.sku for line in plain)):
        notes.append(
            f"beyond_reservation: {operation.quantity} of {operation.sku} were sold under "
            f"{operation.reference}, its reservation still had {operation.quantity - left} there"
        )
    tallies, documents = _on_account(operation, order, kits, bill, parts)
    posted = draft(Kind.SOLD, operation, legs, now, tallies=tallies, notes=notes)
    return Granted((*reclaim(others, now, parts), posted), documents=documents)


def _from_kit(
    operation: Sold, kit: Kit, lines: Sequence[LineRow], left: int
) -> tuple[list[Leg], int]:
    """Return legs that take bundles out of their reservation at the location, and how many not."""
    here = [line for line in lines if line.key.location == operation.at]
    shelf: dict[str, int] = {}
    for line in here:
        shelf[line.key.sku] = shelf.get(line.key.sku, 0) + line.open
    whole = min(left, capacity(kit.bill, shelf))
    legs: list[Leg] = []
    for sku, units in net(kit.bill, whole, shelf).taken.items():
        legs += from_lines(attrs.evolve(operation, sku=sku, quantity=units), here)[0]
    return legs, left - whole


def _from_shelf(operation: Sold, bill: Bill, book: Book, now: Instant, left: int) -> list[Part]:
    """Take bundles from the shelf as they are netted; what is short is taken all the same."""
    shelf = {
        sku: sum(
            max(0, offered(book, key, now), book.row(key).sellable)
            for key in book.keys_of(sku, operation.at)
        )
        for sku in bill.family
    }
    netting = net(bill, left, shelf)
    parts: list[Part] = []
    for sku in bill.family:
        units = netting.taken.get(sku, 0) + netting.short.get(sku, 0)
        if units:
            component = attrs.evolve(operation, sku=sku, quantity=units)
            parts += from_shelf(component, book, now, units)
    return parts


def _on_account(
    operation: Sold,
    order: Mapping[str, Any] | None,
    kits: Sequence[Kit],
    bill: Bill,
    parts: Iterable[Part],
) -> tuple[list[Tally], tuple[tuple[str, str, dict[str, Any]], ...]]:
    """Count what was taken beside the reservation, and pin the recipe it was taken by."""
    reference = operation.reference
    total: dict[str, int] = {}
    for key, part in parts:
        total[key.sku] = total.get(key.sku, 0) + part
    if reference is None or not total:
        return [], ()
    known, kit = pinned(kits, operation.sku, 0, bill)
    tallies = [
        Tally(ORDER, reference, sku, field, units)
        for sku, units in total.items()
        for field in ("sold", kit.sold)
    ]
    return tallies, ((ORDER, reference, with_kits(order, known)),)


# --- what is out there ------------------------------------------------------------------


class _Account(NamedTuple):
    """Units of an order by SKU, gone and back: of one bundle of it, or of its plain lines."""

    kit: Kit | None
    lines: Sequence[LineRow]
    gone: dict[str, int]
    back: dict[str, int]

    @property
    def outside(self) -> dict[str, int]:
        """What the customer has."""
        return {sku: units - self.back.get(sku, 0) for sku, units in self.gone.items()}

    def take(self, sku: str, units: int) -> None:
        """Count units as back."""
        self.back[sku] = self.back.get(sku, 0) + units


class _Back(NamedTuple):
    """Units of a SKU that come back, and whose account they are of."""

    account: _Account
    sku: str
    units: int
    #: Units of it that came back before.
    skip: int


def _accounts(
    order: Mapping[str, Any], lines: Sequence[LineRow]
) -> tuple[_Account, list[_Account]]:
    """Return the account of an order's plain lines, and those of its bundles."""
    kits = kits_of(order)
    plain, owned = split(lines, kits)
    bundles = [
        _Account(kit, mine, gone(kit, mine, order), back(kit, order))
        for kit in kits
        for mine in [owned.get(kit.number, [])]
    ]
    rest = _Account(None, plain, {}, {})
    for sku in {*order.get("lines", {}), *(line.key.sku for line in plain)}:
        sales = counted(dict(order), sku, "sold")
        returns = counted(dict(order), sku, "returned")
        for kit in kits:
            sales -= counted(dict(order), sku, kit.sold)
            returns -= counted(dict(order), sku, kit.returned)
        shipped = sum(line.shipped for line in plain if line.key.sku == sku)
        rest.gone[sku], rest.back[sku] = shipped + sales, returns
    return rest, bundles


def _coming_back(
    wanted: Iterable[tuple[str, int]], rest: _Account, bundles: Sequence[_Account]
) -> Iterator[_Back | tuple[str, int]]:
    """
    Yield whose units come back, and (SKU, quantity) for what nothing out there accounts for.

    Bundles named as such first: the components they take back are not there for others.
    """
    named = {account.kit.sku for account in bundles if account.kit}
    for sku, quantity in sorted(wanted, key=lambda line: line[0] not in named):
        left = quantity
        for account in bundles:
            if account.kit is not None and account.kit.sku == sku:
                shelf = _outside(account, rest, bundles)
                whole = min(left, capacity(account.kit.bill, shelf))
                left -= whole
                for each, units in net(account.kit.bill, whole, shelf).taken.items():
                    yield _Back(account, each, units, account.back.get(each, 0))
                    account.take(each, units)
        for account in (rest, *bundles):
            units = min(left, _outside(account, rest, bundles).get(sku, 0))
            if units > 0:
                yield _Back(account, sku, units, account.back.get(sku, 0))
                account.take(sku, units)
                left -= units
        if left:
            yield sku, left


def _outside(account: _Account, rest: _Account, bundles: Sequence[_Account]) -> dict[str, int]:
    """
    Return what the customer has of an account, but never more than of the whole order.

    An undone sale may leave its account with more that came back than went.
    """
    everywhere = [each.outside for each in (rest, *bundles)]
    return {
        sku: min(units, sum([outside.get(sku, 0) for outside in everywhere]))
        for sku, units in account.outside.items()
    }


def _tallies(reference: str, each: _Back) -> list[Tally]:
    kit = each.account.kit
    fields = ("returned",) if kit is None else ("returned", kit.returned)
    return [Tally(ORDER, reference, each.sku, field, each.units) for field in fields]


# --- returned, taken back ---------------------------------------------------------------


def _wants_returned(operation: Returned, settings: Settings) -> Wants:
    wants = wants_returned(operation, settings)
    bill = settings.bill(operation.sku) if not operation.lot else None
    if bill is not None:
        wants.keys |= {StockKey(sku, operation.at, "") for sku in bill.family}
    return wants


def _returned(operation: Returned, book: Book, now: Instant) -> Decision:
    """Book a return, of bundles as what they went as; too many becomes a finding."""
    bill = book.settings.bill(operation.sku) if not operation.lot else None
    order = book.document(ORDER, operation.reference) if operation.reference else None
    if operation.lot or (bill is None and KITS not in (order or {})):
        return returned(operation, book, now)
    book.settings.check(operation.at)
    lines = book.lines_of(operation.reference) if operation.reference else []
    accounts = _accounts(order or {}, lines)
    total: dict[str, int] = {}
    tallies: list[Tally] = []
    beyond = 0
    for each in _coming_back([(operation.sku, operation.quantity)], *accounts):
        if isinstance(each, _Back):
            total[each.sku] = total.get(each.sku, 0) + each.units
            tallies += _tallies(operation.reference or "", each)
            continue
        beyond = each[1]
        for sku, units in _as_components(operation.sku, bill, accounts[1]):
            total[sku] = total.get(sku, 0) + units * beyond
            tallies.append(Tally(ORDER, operation.reference or "", sku, "returned", units * beyond))
    target = inside(operation.at, operation.into)
    legs = [Leg(sku, "", units, CUSTOMER, target) for sku, units in total.items()]
    if operation.reference is None:
        return Granted((draft(Kind.TAKE_BACK, operation, legs, now),))
    notes = []
    if beyond:
        notes.append(
            f"over_return: {operation.quantity} of {operation.sku} came back for "
            f"{operation.reference}, which had {operation.quantity - beyond} out"
        )
    return Granted((draft(Kind.TAKE_BACK, operation, legs, now, tallies=tallies, notes=notes),))


def _as_components(
    sku: str, bill: Bill | None, bundles: Iterable[_Account]
) -> tuple[tuple[str, int], ...]:
    """Return what one returned unit is, when no order tells what it went as."""
    known = [account.kit.bill for account in bundles if account.kit and account.kit.sku == sku]
    if known:
        return known[-1].leaves
    return bill.leaves if bill is not None else ((sku, 1),)


def _take_back(operation: TakeBack, book: Book, now: Instant) -> Decision:
    """Take a return asked for, of bundles and of units: each that left can come back once."""
    reference = operation.reference
    order = book.document(ORDER, reference)
    if order is None or KITS not in order:
        return take_back(operation, book, now)
    if operation.at is not None:
        book.settings.check(operation.at)
    quantities = dict(operation.lines)
    tallies: list[Tally] = []
    origins: list[Part] = []
    accounts = _accounts(order, book.lines_of(reference))
    for each in _coming_back(operation.lines, *accounts):
        if not isinstance(each, _Back):
            sku, missing = each
            asked = quantities[sku]
            return TooMany("take back", "order", reference, sku, asked, asked - missing)
        tallies += _tallies(reference, each)
        origins += came_from(operation, each.account.lines, each.sku, each.units, each.skip)
    return brought_back(operation, book, now, origins, tallies)


SALE_RULES: Final[dict[type[Operation], Rule]] = {
    Sold: Rule(_wants_sold, _sold, demand=_demand),
    Returned: Rule(_wants_returned, _returned),
    TakeBack: Rule(wants_take_back, _take_back),
}

"""
Rules of plain stock: opening, sales, returns, inspection, damage, counts, relocation, kits.

Each operation has a ``decide`` function; the table at the end pairs it with the stock keys
it wants. Facts always post; commands take from :mod:`truecount.ledger.supply` or refuse.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from truecount.errors import InsufficientStock, InvalidArgument, Refused, TooMany, UnknownReference
from truecount.ledger.drafts import counted, draft, item, short_or_unknown
from truecount.ledger.supply import Part, keys_first_expiry_first, reclaim, take
from truecount.model.instants import Instant, to_instant
from truecount.model.kinds import Kind
from truecount.model.lines import LineRow
from truecount.model.movements import Leg, Tally
from truecount.model.operations import (
    Adjusted,
    Assemble,
    Counted,
    Damaged,
    Disassemble,
    Inspected,
    Opened,
    Operation,
    Put,
    Relocate,
    Returned,
    ReturnedToSupplier,
    Scrapped,
    Sold,
    TakeBack,
)
from truecount.model.places import (
    ASSEMBLY,
    CUSTOMER,
    INDEX,
    OPENING,
    STATES,
    SUPPLIER,
    Place,
    State,
    adjustment,
    inside,
)
from truecount.model.settings import GENERATION, LOCATION, POLICY, Settings
from truecount.model.stock import StockKey
from truecount.protocols.storage import Wants
from truecount.write.book import ORDER, Book
from truecount.write.intents import Decision, Granted, Rule, Widen


def _one_key(operation: Any, settings: Settings) -> Wants:
    del settings
    return Wants(keys={StockKey(operation.sku, operation.at, operation.lot)})


def _one_leg(
    kind: Kind, operation: Any, book: Book, now: Instant, source: Place, target: Place
) -> Granted:
    """Post one leg of the operation's SKU, lot and quantity."""
    book.settings.check(operation.at)
    leg = Leg(operation.sku, operation.lot, operation.quantity, source, target)
    return Granted((draft(kind, operation, (leg,), now),))


def expiries_of(operation: Any) -> tuple[tuple[str, str, Instant], ...]:
    """
    Return the lot expiry an operation names, as a draft carries it.

    Raises:
        InvalidArgument: An expiry without a lot.
    """
    if operation.lot_expires_at is None:
        return ()
    if not operation.lot:
        raise InvalidArgument("lot_expires_at", "without a lot", "lot= as well")
    return ((operation.sku, operation.lot, to_instant(operation.lot_expires_at)),)


def _open(operation: Opened, book: Book, now: Instant) -> Decision:
    book.settings.check(operation.at)
    target = inside(operation.at, operation.state)
    leg = Leg(operation.sku, operation.lot, operation.quantity, OPENING, target)
    return Granted((draft(Kind.OPEN, operation, (leg,), now, expiries=expiries_of(operation)),))


# --- sales and returns ------------------------------------------------------------------


def _wants_sold(operation: Sold, settings: Settings) -> Wants:
    del settings
    wants = Wants(
        scopes={(operation.sku, operation.at)},
        keys={StockKey(operation.sku, operation.at, operation.lot or "")},
    )
    if operation.reference is not None:
        wants.orders.add(operation.reference)
    return wants


def _sold(operation: Sold, book: Book, now: Instant) -> Decision:
    """A sale reported: first what the reservation still has there, then the shelf."""
    book.settings.check(operation.at)
    lines = book.lines_of(operation.reference) if operation.reference else []
    legs, left = _from_reservation(operation, lines)
    reserved = operation.quantity - left
    legs += _from_shelf(operation, book, left)
    tallies, notes = [], []
    if left and operation.reference:
        tallies.append(Tally(ORDER, operation.reference, operation.sku, "sold", left))
    if left and any(line.key.sku == operation.sku for line in lines):
        notes.append(
            f"beyond_reservation: {operation.quantity} of {operation.sku} were sold under "
            f"{operation.reference}, its reservation still had {reserved} there"
        )
    return Granted((draft(Kind.SOLD, operation, legs, now, tallies=tallies, notes=notes),))


def _from_reservation(operation: Sold, lines: list[LineRow]) -> tuple[list[Leg], int]:
    legs, left = [], operation.quantity
    for state in (State.PICKED, State.ALLOCATED, State.HELD):
        for line in lines:
            here = line.key.sku == operation.sku and line.key.location == operation.at
            if not here or (operation.lot is not None and line.key.lot != operation.lot):
                continue
            taken = min(left, getattr(line, state.value))
            if taken:
                source = inside(operation.at, state)
                legs.append(
                    Leg(operation.sku, line.key.lot, taken, source, CUSTOMER, line.number)
                )
                left -= taken
    return legs, left


def _from_shelf(operation: Sold, book: Book, left: int) -> list[Leg]:
    """Take what is there lot by lot; what is not there leaves the key without a lot short."""
    legs = []
    source = inside(operation.at, State.SELLABLE)
    for key in keys_first_expiry_first(book, operation.sku, operation.at, operation.lot):
        taken = min(left, max(0, book.row(key).sellable))
        if taken:
            legs.append(Leg(operation.sku, key.lot, taken, source, CUSTOMER))
            left -= taken
    if left:
        lot = operation.lot or ""
        legs = [leg._replace(quantity=leg.quantity + left) if leg.lot == lot else leg for leg in legs]
        if all(leg.lot != lot for leg in legs):
            legs.append(Leg(operation.sku, lot, left, source, CUSTOMER))
    return legs


def shipped_and_returned(book: Book, reference: str, sku: str) -> tuple[int, int]:
    """Return how many units of *sku* a reference shipped or sold, and how many came back."""
    document = book.document(ORDER, reference)
    lines = book.lines_of(reference)
    shipped = sum(line.shipped for line in lines if line.key.sku == sku)
    return shipped + counted(document, sku, "sold"), counted(document, sku, "returned")


def _wants_returned(operation: Returned, settings: Settings) -> Wants:
    wants = _one_key(operation, settings)
    if operation.reference is not None:
        wants.orders.add(operation.reference)
    return wants


def _returned(operation: Returned, book: Book, now: Instant) -> Decision:
    """A return reported: booked whatever the order says; too many becomes a finding."""
    book.settings.check(operation.at)
    target = inside(operation.at, operation.into)
    leg = Leg(operation.sku, operation.lot, operation.quantity, CUSTOMER, target)
    tallies, notes = [], []
    if operation.reference is not None:
        shipped, returned = shipped_and_returned(book, operation.reference, operation.sku)
        tallies.append(
            Tally(ORDER, operation.reference, operation.sku, "returned", operation.quantity)
        )
        if returned + operation.quantity > shipped:
            notes.append(
                f"over_return: {returned + operation.quantity} of {operation.sku} came back for "
                f"{operation.reference}, which shipped {shipped}"
            )
    return Granted((draft(Kind.TAKE_BACK, operation, (leg,), now, tallies=tallies, notes=notes),))


def _wants_take_back(operation: TakeBack, settings: Settings) -> Wants:
    del settings
    return Wants(orders={operation.reference})


def _take_back(operation: TakeBack, book: Book, now: Instant) -> Decision:
    """Take a return asked for: each unit shipped can come back once."""
    reference = operation.reference
    if operation.at is not None:
        book.settings.check(operation.at)
    if book.document(ORDER, reference) is None:
        raise UnknownReference("order", reference)
    legs, tallies = [], []
    for sku, quantity in operation.lines:
        shipped, returned = shipped_and_returned(book, reference, sku)
        if quantity > shipped - returned:
            return TooMany("take back", "order", reference, sku, quantity, shipped - returned)
        tallies.append(Tally(ORDER, reference, sku, "returned", quantity))
        for key, part in _came_from(operation, book, sku, quantity, returned):
            target = inside(operation.at or key.location, operation.into)
            legs.append(Leg(sku, key.lot, part, CUSTOMER, target))
    return Granted((draft(Kind.TAKE_BACK, operation, legs, now, tallies=tallies, guarded=False),))


def _came_from(operation: TakeBack, book: Book, sku: str, quantity: int, skip: int) -> Iterable[Part]:
    """Yield the keys the next returned units were shipped from, line by line."""
    for line in book.lines_of(operation.reference):
        if line.key.sku == sku and line.shipped:
            passed = min(skip, line.shipped)
            skip -= passed
            part = min(quantity, line.shipped - passed)
            if part:
                yield Part(line.key, part)
                quantity -= part
    if quantity:
        if operation.at is None:
            raise InvalidArgument("at", "None", "the location the returned units went to")
        yield Part(StockKey(sku, operation.at, ""), quantity)


# --- quality ----------------------------------------------------------------------------


def _inspect(operation: Inspected, book: Book, now: Instant) -> Decision:
    source = inside(operation.at, State.QUARANTINE)
    target = inside(operation.at, operation.into)
    return _one_leg(Kind.INSPECT, operation, book, now, source, target)


def _damage(operation: Damaged, book: Book, now: Instant) -> Decision:
    if operation.state is State.DAMAGED:
        raise InvalidArgument("state", "DAMAGED", "SELLABLE or QUARANTINE")
    source = inside(operation.at, operation.state)
    target = inside(operation.at, State.DAMAGED)
    return _one_leg(Kind.DAMAGE, operation, book, now, source, target)


def _scrap(operation: Scrapped, book: Book, now: Instant) -> Decision:
    source = inside(operation.at, operation.state)
    return _one_leg(Kind.SCRAP, operation, book, now, source, adjustment(operation.reason))


def _return_to_supplier(operation: ReturnedToSupplier, book: Book, now: Instant) -> Decision:
    source = inside(operation.at, operation.state)
    return _one_leg(Kind.RETURN_TO_SUPPLIER, operation, book, now, source, SUPPLIER)


# --- adjustments and counts -------------------------------------------------------------


def _adjust(operation: Adjusted, book: Book, now: Instant) -> Decision:
    book.settings.check(operation.at)
    key = StockKey(operation.sku, operation.at, operation.lot)
    before = book.row(key).amounts[INDEX[operation.state]]
    lowest = operation.refuse_below
    if lowest is not None and operation.change < 0 and before + operation.change < lowest:
        rule = f"refuse_below={lowest}"
        where = f"at {operation.at!r}"
        return InsufficientStock(
            "adjust", ((operation.sku, -operation.change, max(0, before - lowest), where, rule),)
        )
    leg = _gain_or_loss(operation, operation.change, operation.state, operation.reason)
    return Granted((draft(Kind.ADJUST, operation, (leg,), now),))


def _gain_or_loss(operation: Any, change: int, state: State, reason: str) -> Leg:
    place, boundary = inside(operation.at, state), adjustment(reason)
    source, target = (boundary, place) if change > 0 else (place, boundary)
    return Leg(operation.sku, operation.lot, abs(change), source, target)


def _counted_moments(operation: Counted, _book: Book) -> Iterable[tuple[StockKey, Instant]]:
    if operation.counted_at is not None:
        key = StockKey(operation.sku, operation.at, operation.lot)
        yield key, to_instant(operation.counted_at)


def _count(operation: Counted, book: Book, now: Instant) -> Decision:
    """A count: the variance against the book as of the moment it was taken."""
    book.settings.check(operation.at)
    key = StockKey(operation.sku, operation.at, operation.lot)
    counted_at = now if operation.counted_at is None else to_instant(operation.counted_at)
    amounts = book.moments.get((key, counted_at), book.row(key).amounts)
    expected = sum(amounts[INDEX[state]] for state in STATES if state in operation.covers)
    variance = operation.quantity - expected
    reason = operation.reason or "count"
    legs = (_gain_or_loss(operation, variance, State.SELLABLE, reason),) if variance else ()
    result = {"expected": expected, "counted": operation.quantity, "variance": variance}
    posted = draft(Kind.COUNT, operation, legs, now, occurred_at=counted_at)
    return Granted((posted,), result=result)


# --- moving and making ------------------------------------------------------------------


def _wants_relocate(operation: Relocate, settings: Settings) -> Wants:
    del settings
    return Wants(
        scopes={(operation.sku, operation.source)},
        keys={StockKey(operation.sku, operation.target, operation.lot or "")},
    )


def _relocate(operation: Relocate, book: Book, now: Instant) -> Decision:
    for location in (operation.source, operation.target):
        book.settings.check(location)
    if operation.source == operation.target:
        raise InvalidArgument("target", repr(operation.target), "another location than the source")
    taken = take_free(book, now, Kind.RELOCATE, operation, operation.source, operation.state)
    if not isinstance(taken, list):
        return taken
    source, target = (inside(a, operation.state) for a in (operation.source, operation.target))
    legs = [Leg(operation.sku, key.lot, quantity, source, target) for key, quantity in taken]
    posted = draft(Kind.RELOCATE, operation, legs, now, expiries=carried(book, taken))
    return Granted((*reclaim(book, now, taken), posted))


def take_free(
    book: Book, now: Instant, kind: Kind, operation: Any, location: str, state: State
) -> list[Part] | Widen | Refused:
    """Return parts of *state* at *location* that add up to the operation's quantity."""
    sku, quantity, lot = operation.sku, operation.quantity, operation.lot
    if state is State.SELLABLE:
        parts = take(book, now, sku, location, quantity, lot=lot)
    else:
        parts = _take_state(book, operation, location, state)
    found = sum(part.quantity for part in parts)
    if found < quantity:
        return short_or_unknown(book, kind, sku, quantity, found, location, state.value)
    return parts


def _take_state(book: Book, operation: Any, location: str, state: State) -> list[Part]:
    parts, left = [], operation.quantity
    for key in keys_first_expiry_first(book, operation.sku, location, operation.lot):
        taken = min(left, max(0, book.row(key).amounts[INDEX[state]]))
        if taken:
            parts.append(Part(key, taken))
            left -= taken
    return parts


def carried(book: Book, parts: Iterable[Part]) -> list[tuple[str, str, Instant]]:
    """Return the expiries of the lots of *parts*, for the keys they move to."""
    return [
        (key.sku, key.lot, expires_at)
        for key, _ in parts
        if (expires_at := book.row(key).lot_expires_at) is not None
    ]


def _wants_kit(operation: Assemble | Disassemble, settings: Settings) -> Wants:
    del settings
    skus = {operation.sku, *(sku for sku, _ in operation.components)}
    return Wants(
        scopes={(sku, operation.at) for sku in skus},
        keys={StockKey(sku, operation.at, "") for sku in skus},
    )


def _kit_demand(operation: Assemble | Disassemble, _book: Book) -> Iterable[tuple[str, int]]:
    yield operation.sku, operation.quantity
    for sku, each in operation.components:
        yield sku, each * operation.quantity


def _assemble(operation: Assemble, book: Book, now: Instant) -> Decision:
    needs = [(sku, each * operation.quantity) for sku, each in operation.components]
    return _convert(Kind.ASSEMBLE, operation, book, now, needs, [(operation.sku, operation.quantity)])


def _disassemble(operation: Disassemble, book: Book, now: Instant) -> Decision:
    gives = [(sku, each * operation.quantity) for sku, each in operation.components]
    return _convert(Kind.DISASSEMBLE, operation, book, now, [(operation.sku, operation.quantity)], gives)


def _convert(
    kind: Kind,
    operation: Assemble | Disassemble,
    book: Book,
    now: Instant,
    needs: list[tuple[str, int]],
    gives: list[tuple[str, int]],
) -> Decision:
    """Turn what is needed into what it gives, through the assembly boundary."""
    book.settings.check(operation.at)
    if any(sku == operation.sku for sku, _ in operation.components):
        raise InvalidArgument("components", repr(operation.sku), "components other than the kit itself")
    shelf = inside(operation.at, State.SELLABLE)
    legs, taken = [], []
    for sku, quantity in needs:
        parts = take(book, now, sku, operation.at, quantity)
        found = sum(part.quantity for part in parts)
        if found < quantity:
            return short_or_unknown(book, kind, sku, quantity, found, operation.at, "sellable")
        taken += parts
        legs += [Leg(sku, key.lot, part, shelf, ASSEMBLY) for key, part in parts]
    legs += [Leg(sku, "", quantity, ASSEMBLY, shelf) for sku, quantity in gives]
    return Granted((*reclaim(book, now, taken), draft(kind, operation, legs, now)))


# --- shop rules -------------------------------------------------------------------------


def _wants_put(operation: Put, settings: Settings) -> Wants:
    del settings
    wants = Wants(records={(space, id_) for space, id_, _ in operation.documents})
    if any(space in (LOCATION, POLICY) for space, _, _ in operation.documents):
        wants.records.add(GENERATION)
    return wants


def _put(operation: Put, book: Book, now: Instant) -> Decision:
    """Store documents; a change of the shop rules is a new generation of them."""
    del now
    documents: list[tuple[str, str, dict[str, Any]]] = [
        (space, id_, body)
        for space, id_, body in operation.documents
        if book.document(space, id_) != body
    ]
    if any(space in (LOCATION, POLICY) for space, _, _ in documents):
        documents.append((*GENERATION, {}))
    return Granted(documents=tuple(documents))


def _quantity_demand(operation: Any, _book: Book) -> Iterable[tuple[str, int]]:
    yield operation.sku, operation.quantity


STOCK_RULES: Final[dict[type[Operation], Rule]] = {
    Opened: Rule(_one_key, _open),
    Sold: Rule(_wants_sold, _sold),
    Returned: Rule(_wants_returned, _returned),
    TakeBack: Rule(_wants_take_back, _take_back),
    Inspected: Rule(_one_key, _inspect),
    Damaged: Rule(_one_key, _damage),
    Scrapped: Rule(_one_key, _scrap),
    ReturnedToSupplier: Rule(_one_key, _return_to_supplier),
    Adjusted: Rule(_one_key, _adjust),
    Counted: Rule(_one_key, _count, moments=_counted_moments),
    Relocate: Rule(_wants_relocate, _relocate, demand=_quantity_demand),
    Assemble: Rule(_wants_kit, _assemble, demand=_kit_demand),
    Disassemble: Rule(_wants_kit, _disassemble, demand=_kit_demand),
    Put: Rule(_wants_put, _put),
}

__all__ = ["STOCK_RULES", "carried", "expiries_of", "item", "shipped_and_returned", "take_free"]

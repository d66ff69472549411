"""
Rules of what customers take and bring back: sales reported, returns reported and asked for.

What a reference shipped and what came back of it is an account (space ``order``, id = the
reference): units shipped by its reservation lines, ``sold`` beside them, and ``returned``.
Bundles are taken apart before they come here (``bundle_sales``).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from truecount.errors import InvalidArgument, TooMany, UnknownReference
from truecount.ledger.drafts import counted, draft, one_key
from truecount.ledger.supply import (
    Part,
    carried,
    is_expired,
    keys_first_expiry_first,
    offered,
    reclaim,
)
from truecount.model.facts import Returned, Sold
from truecount.model.instants import Instant, iso, to_instant
from truecount.model.kinds import Kind
from truecount.model.lines import LineRow
from truecount.model.movements import Leg, Tally
from truecount.model.places import CUSTOMER, State, inside
from truecount.model.reservation_commands import TakeBack
from truecount.model.settings import Settings
from truecount.model.stock import StockKey
from truecount.protocols.storage import ORDER, Wants
from truecount.write.book import Book
from truecount.write.intents import Decision, Granted


def shipped_and_returned(book: Book, reference: str, sku: str) -> tuple[int, int]:
    """Return how many units of *sku* a reference shipped or sold, and how many came back."""
    document = book.document(ORDER, reference)
    lines = book.lines_of(reference)
    shipped = sum(line.shipped for line in lines if line.key.sku == sku)
    return shipped + counted(document, sku, "sold"), counted(document, sku, "returned")


# --- sold -------------------------------------------------------------------------------


def wants_sold(operation: Sold, settings: Settings) -> Wants:
    """Want the shelf, and the order whose reservation may have the units."""
    del settings
    wants = Wants(
        scopes={(operation.sku, operation.at)},
        keys={StockKey(operation.sku, operation.at, operation.lot or "")},
    )
    if operation.reference is not None:
        wants.orders.add(operation.reference)
    return wants


def sold(operation: Sold, book: Book, now: Instant, lines: Sequence[LineRow]) -> Decision:
    """Book a sale: first what *lines* of its reservation still have there, then the shelf."""
    book.settings.check(operation.at)
    legs, left = from_lines(operation, lines)
    reserved = operation.quantity - left
    others = book.without_due(operation.reference) if operation.reference and lines else book
    parts = from_shelf(operation, others, now, left)
    shelf = inside(operation.at, State.SELLABLE)
    legs += [Leg(operation.sku, key.lot, part, shelf, CUSTOMER) for key, part in parts]
    tallies, notes = [], expired_lots(operation, book, now, parts)
    if left and operation.reference:
        tallies.append(Tally(ORDER, operation.reference, operation.sku, "sold", left))
    if left and any(line.key.sku == operation.sku for line in lines):
        notes.append(
            f"beyond_reservation: {operation.quantity} of {operation.sku} were sold under "
            f"{operation.reference}, its reservation still had {reserved} there"
        )
    posted = draft(Kind.SOLD, operation, legs, now, tallies=tallies, notes=notes)
    return Granted((*reclaim(others, now, parts), posted))


def from_lines(operation: Sold, lines: Iterable[LineRow]) -> tuple[list[Leg], int]:
    """Return legs that take what *lines* have at the location, and how many are missing."""
    here = [
        line
        for line in lines
        if (line.key.sku, line.key.location) == (operation.sku, operation.at)
        and operation.lot in {None, line.key.lot}
    ]
    legs, left = [], operation.quantity
    for state in (State.PICKED, State.ALLOCATED, State.HELD):
        source = inside(operation.at, state)
        for line in here:
            taken = min(left, getattr(line, state.value))
            if taken:
                legs.append(Leg(operation.sku, line.key.lot, taken, source, CUSTOMER, line.number))
                left -= taken
    return legs, left


def from_shelf(operation: Sold, book: Book, now: Instant, left: int) -> list[Part]:
    """
    Take what is there lot by lot, expired ones last.

    What is not there at all leaves the lot named, or else the key without a lot, short.
    """
    when = _sold_at(operation, now)
    keys = keys_first_expiry_first(book, operation.sku, operation.at, operation.lot)
    keys.sort(key=lambda key: is_expired(book.row(key), when))
    taken: dict[StockKey, int] = {}
    for key in keys:
        part = min(left, max(offered(book, key, now), book.row(key).sellable))
        if part > 0:
            taken[key] = part
            left -= part
    if left:
        short = StockKey(operation.sku, operation.at, operation.lot or "")
        taken[short] = taken.get(short, 0) + left
    return [Part(key, part) for key, part in taken.items()]


def _sold_at(operation: Sold, now: Instant) -> Instant:
    return now if operation.occurred_at is None else to_instant(operation.occurred_at)


def expired_lots(operation: Sold, book: Book, now: Instant, parts: Iterable[Part]) -> list[str]:
    """Return a note for each lot that had expired when units of it were sold."""
    when = _sold_at(operation, now)
    return [
        f"expired_lot: {part} of {key.sku} were sold from lot {key.lot}, which had expired "
        f"at {iso(row.lot_expires_at)}"
        for key, part in parts
        if (row := book.row(key)).lot_expires_at is not None and is_expired(row, when)
    ]


# --- returned ---------------------------------------------------------------------------


def wants_returned(operation: Returned, settings: Settings) -> Wants:
    """Want the key they came back to, and the order they are of."""
    wants = one_key(operation, settings)
    if operation.reference is not None:
        wants.orders.add(operation.reference)
    return wants


def returned(operation: Returned, book: Book, now: Instant) -> Decision:
    """Book a return whatever the order says; too many becomes a finding."""
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


def wants_take_back(operation: TakeBack, settings: Settings) -> Wants:
    """Want the order, and with it the keys its lines are of."""
    del settings
    return Wants(orders={operation.reference})


def take_back(operation: TakeBack, book: Book, now: Instant) -> Decision:
    """Take a return asked for: each unit shipped can come back once."""
    reference = operation.reference
    if operation.at is not None:
        book.settings.check(operation.at)
    if book.document(ORDER, reference) is None:
        raise UnknownReference("order", reference)
    tallies: list[Tally] = []
    origins: list[Part] = []
    for sku, quantity in operation.lines:
        shipped, returned = shipped_and_returned(book, reference, sku)
        if quantity > shipped - returned:
            left = max(0, shipped - returned)
            return TooMany("take back", "order", reference, sku, quantity, left)
        tallies.append(Tally(ORDER, reference, sku, "returned", quantity))
        origins += came_from(operation, book.lines_of(reference), sku, quantity, returned)
    return brought_back(operation, book, now, origins, tallies)


def brought_back(
    operation: TakeBack, book: Book, now: Instant, origins: list[Part], tallies: list[Tally]
) -> Granted:
    """Post that units came back from where they went, to where they came from."""
    legs = [
        Leg(key.sku, key.lot, part, CUSTOMER, inside(operation.at or key.location, operation.into))
        for key, part in origins
    ]
    posted = draft(
        Kind.TAKE_BACK,
        operation,
        legs,
        now,
        tallies=tallies,
        expiries=carried(book, origins),
        guarded=False,
    )
    return Granted((posted,))


def came_from(
    operation: TakeBack, lines: Iterable[LineRow], sku: str, quantity: int, skip: int
) -> Iterable[Part]:
    """Yield the keys the next returned units of *lines* were shipped from, line by line."""
    for line in lines:
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

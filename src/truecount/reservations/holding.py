"""
Rules of holding: reserve units for a cart. Pure.

Rules:
1. What a command takes it takes through :func:`truecount.reservations.granting.plan`; holds
   that ran out are reclaimed only where the grant needs them, soonest first.
2. A new round begins by giving back what the last one still holds past its time.
"""

from __future__ import annotations

from collections.abc import Iterable

from truecount.bundles.pinned import KITS, kits_of
from truecount.errors import AlreadyReserved
from truecount.ledger.drafts import draft
from truecount.ledger.supply import expiry, reclaim
from truecount.model.instants import Instant, microseconds
from truecount.model.kinds import Kind
from truecount.model.places import State
from truecount.model.reservation_commands import Amend, Reserve
from truecount.model.settings import Settings
from truecount.protocols.storage import ORDER, Wants
from truecount.reservations.expiring import book_without
from truecount.reservations.granting import plan
from truecount.reservations.lines import entering, new_lines
from truecount.reservations.offers import Cart, Grant, planned
from truecount.reservations.orders import changed_order
from truecount.reservations.parcels import bills_in_force, inside
from truecount.reservations.sourcing import Policies
from truecount.write.book import Book
from truecount.write.intents import Decision, Granted


def wants_units(operation: Reserve | Amend, settings: Settings, policies: Policies) -> Wants:
    """Want the order, and the planned location of each SKU, and of what it is made of."""
    lines = [sku for sku, _ in operation.lines]
    first = planned(lines, operation.at, settings, policies)
    scopes = {(sku, first) for sku in inside(lines, settings)}
    opens = {operation.reference} if isinstance(operation, Reserve) else set()
    return Wants(orders={operation.reference}, opens=opens, scopes=scopes)


def asked(operation: Reserve | Amend, book: Book) -> Iterable[tuple[str, int]]:
    """Return what may be taken from SELLABLE: at most the lines, and what they are made of."""
    order = book.document(ORDER, operation.reference) or {}
    if not book.settings.recipes and KITS not in order:
        return operation.lines
    bills = [bill for sku, _ in operation.lines if (bill := book.settings.bill(sku)) is not None]
    bills += [kit.bill for kit in kits_of(order)]
    quantities = dict(operation.lines)
    return [
        *operation.lines,
        *(
            need
            for bill in bills
            for need in bill.gross(quantities.get(bill.sku, 0)).items()
            if need[1]
        ),
    ]


def reserve(operation: Reserve, book: Book, now: Instant, policies: Policies) -> Decision:
    """Hold units until the time has passed, as the next round of the reference."""
    if operation.at is not None:
        book.settings.check(operation.at)
    lines = book.lines_of(operation.reference)
    if any(line.open and not line.has_expired(now) for line in lines):
        return AlreadyReserved(operation.reference)
    leftover = [expiry(line, now) for line in lines if line.held]
    book = book_without(book, leftover, now)
    wanted = dict(operation.lines)
    bills = bills_in_force(wanted, book.settings, operation.lot)
    apart = bool(bills) and operation.kits_apart
    cart = Cart(Kind.RESERVE, wanted, operation.at, operation.lot, bills, apart)
    grant = plan(cart, book, now, policies, partial=operation.partial)
    if not isinstance(grant, Grant):
        return grant
    until = now + _ttl(operation, book.settings)
    opened = new_lines(
        operation.reference, lines, grant.parts, lines[-1].round + 1 if lines else 1, until
    )
    legs = entering(grant.parts, opened, State.HELD)
    posted = draft(Kind.RESERVE, operation, legs, now)
    return Granted(
        (*leftover, *reclaim(book, now, grant.together), posted),
        lines=tuple(opened),
        documents=changed_order(cart, grant, opened, book),
        reservation=operation.reference,
        result={"short": grant.short} if grant.short else None,
    )


def _ttl(operation: Reserve, settings: Settings) -> int:
    """Return how long the hold lasts: as long as asked for, else the shortest policy's time."""
    if operation.ttl is not None:
        return microseconds(operation.ttl)
    ttls = [settings.policy(sku, operation.at or "").hold_ttl for sku, _ in operation.lines]
    return microseconds(min([ttl for ttl in ttls if ttl is not None]))

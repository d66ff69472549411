"""
Rules of amending: other quantities for an open reservation, in one movement. Pure.

Rules:
1. What is too much is given back and what is missing is granted together, or neither.
2. What is missing comes from where the cart had named, unless another place is named now, as
   new lines of the same round; what left the shelf cannot be taken out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from truecount.bundles.pinned import Kit, split
from truecount.errors import InternalError, Refused, ReservationFinished, TooMany
from truecount.ledger.drafts import draft
from truecount.ledger.supply import reclaim
from truecount.model.instants import Instant
from truecount.model.kinds import Kind
from truecount.model.lines import NEVER, LineRow
from truecount.model.movements import Leg
from truecount.model.places import State
from truecount.model.recipes import Bill
from truecount.model.reservation_commands import Amend
from truecount.protocols.storage import ORDER
from truecount.reservations.expiring import book_without
from truecount.reservations.granting import plan
from truecount.reservations.lines import (
    deadline,
    entering,
    expired_hold,
    moving,
    new_lines,
    state_in,
)
from truecount.reservations.offers import Cart, Grant
from truecount.reservations.orders import named_in, order_with_kits
from truecount.reservations.parcels import Missing, bills_in_force, kits_in, portions, whole_bundles
from truecount.reservations.sourcing import Policies
from truecount.write.book import Book
from truecount.write.intents import Decision, Granted


def amend(
    operation: Amend, book: Book, now: Instant, lines: list[LineRow], policies: Policies
) -> Decision:
    """Give back what is too much and grant what is missing, in one movement."""
    if operation.at is not None:
        book.settings.check(operation.at)
    reference = operation.reference
    state = state_in(book, lines, now)
    if state == "expired":
        return expired_hold(operation, lines)
    if state in ("shipped", "released"):
        return ReservationFinished("amend", reference, state)
    order = book.document(ORDER, reference)
    changes = _changes(operation, lines, kits_in(order, lines))
    if isinstance(changes, Refused):
        return changes
    at, lot, apart = named_in(order)
    more, bills = changes.more, changes.bills
    if more and lot is None:
        strangers = [sku for sku in more if sku not in changes.bills and sku not in changes.plain]
        bills |= bills_in_force(strangers, book.settings, lot)
    cart = Cart(Kind.AMEND, more, operation.at or at, lot, bills, apart and bool(bills))
    grant: Decision | Grant = Grant([], {})
    if more and changes.freed:
        # What it gives back it may take again, as another bundle or as single units.
        book = book_without(book, [draft(Kind.AMEND, operation, changes.freed, now)], now)
    if more:
        grant = plan(cart, book, now, policies)
    if not isinstance(grant, Grant):
        return grant
    enters, until = State.ALLOCATED, NEVER
    if state == "held":
        enters, until = State.HELD, deadline(lines)
    before = book.lines_of(reference)
    opened = new_lines(reference, before, grant.parts, lines[-1].round, until)
    legs = [*changes.freed, *entering(grant.parts, opened, enters)]
    if not legs:
        return Granted(reservation=reference)
    posted = draft(Kind.AMEND, operation, legs, now)
    return Granted(
        (*reclaim(book, now, grant.together), posted),
        lines=tuple(opened),
        documents=order_with_kits(cart, grant, opened, book),
        reservation=reference,
    )


class _Changes(NamedTuple):
    """What an amendment gives back, what it needs more of, and of which known bundles."""

    freed: list[Leg]
    more: dict[str, int]
    bills: dict[str, Bill]
    #: SKUs the order has as plain lines, whatever they are by now.
    plain: set[str]


def _changes(
    operation: Amend, lines: Sequence[LineRow], kits: Mapping[str, Kit]
) -> _Changes | TooMany:
    """
    Return by how much each SKU named changes; what left the shelf cannot be taken out.

    A bundle's components are its own: naming a component means what was reserved as such.
    """
    plain, owned = split(lines, kits.values())
    changes = _Changes([], {}, {}, {line.key.sku for line in plain})
    for sku, target in operation.lines:
        kit = kits.get(sku)
        if kit is None:
            mine = [line for line in plain if line.key.sku == sku]
            have = sum(line.open + line.shipped for line in mine)
            free = sum(line.held + line.allocated for line in mine)
        else:
            mine = owned.get(kit.number, [])
            have = whole_bundles(kit, mine, "held", "allocated", "picked", "shipped")
            free = whole_bundles(kit, mine, "held", "allocated")
            changes.bills[sku] = kit.bill
        if have - target > free:
            return TooMany("amend", "reservation", operation.reference, sku, have - target, free)
        if have > target:
            changes.freed.extend(_freed(mine, kit, sku, have - target))
        elif have < target:
            changes.more[sku] = target - have
    return changes


def _freed(lines: Sequence[LineRow], kit: Kit | None, sku: str, quantity: int) -> Iterator[Leg]:
    """Yield legs that give back units, or bundles, that are free to be given back."""
    kits = {} if kit is None else {sku: kit}
    found = portions(lines[::-1], kits, {sku: quantity}, (State.HELD, State.ALLOCATED))
    if isinstance(found, Missing):
        raise InternalError(f"{found} of what was counted as free")
    for line, state, part in found:
        yield moving(line, part, state, State.SELLABLE)

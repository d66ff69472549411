"""
Rules of confirming: a cart becomes an order, also one whose time has passed. Pure.

Rules:
1. Confirming takes nothing: what is held becomes allocated.
2. Holding again keeps the units that are still there for the taking; the others, reclaimed
   or sold from under the hold, compete anew, at the location and lot the cart had named.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from truecount.bundles.netting import capacity, net
from truecount.bundles.pinned import Kit, split
from truecount.errors import ReservationFinished
from truecount.ledger.drafts import draft
from truecount.ledger.supply import Part, expiry, offered, reclaim
from truecount.model.instants import Instant
from truecount.model.kinds import Kind
from truecount.model.lines import NEVER, LineRow
from truecount.model.movements import Leg
from truecount.model.places import State
from truecount.model.reservation_commands import Confirm
from truecount.model.stock import StockKey
from truecount.protocols.storage import ORDER, Wants
from truecount.reservations.expiring import book_without
from truecount.reservations.granting import plan
from truecount.reservations.lines import (
    current_round,
    entering,
    expired_hold,
    moving,
    new_lines,
    state_in,
)
from truecount.reservations.offers import Cart, Grant, spare
from truecount.reservations.orders import named_in, order_with_kits
from truecount.reservations.parcels import kits_in, whole_bundles
from truecount.reservations.sourcing import Policies
from truecount.write.book import Book
from truecount.write.intents import Decision, Granted, Widen


def confirm(
    operation: Confirm, book: Book, now: Instant, lines: list[LineRow], policies: Policies
) -> Decision:
    """Turn held units into allocated ones; a hold that ran out competes again, if asked to."""
    reference = operation.reference
    state = state_in(book, lines, now)
    if state == "released":
        return ReservationFinished("confirm", reference, state)
    if state == "expired" or any(line.has_expired(now) for line in lines):
        if operation.on_expired == "refuse":
            return expired_hold(operation, lines)
        return _hold_again(operation, book, now, lines, policies)
    legs = _allocating(lines)
    if not legs:
        return Granted(reservation=reference)
    return Granted((draft(Kind.CONFIRM, operation, legs, now),), reservation=reference)


def _allocating(lines: Iterable[LineRow]) -> list[Leg]:
    return [moving(line, line.held, State.HELD, State.ALLOCATED) for line in lines if line.held]


def rehold_demand(operation: Confirm, book: Book) -> Iterator[tuple[str, int]]:
    """Yield what an expired hold competes for: what it lost and what it still has."""
    if operation.on_expired == "rehold":
        lines = current_round(book.lines_of(operation.reference))
        for line in lines:
            if line.held or line.expired:
                yield line.key.sku, line.held + line.expired
        kits = kits_in(book.document(ORDER, operation.reference), lines)
        owned = split(lines, kits.values())[1]
        for kit in kits.values():
            lost = whole_bundles(kit, owned.get(kit.number, ()), "held", "expired")
            yield from kit.bill.gross(lost).items()


def _hold_again(
    operation: Confirm, book: Book, now: Instant, lines: list[LineRow], policies: Policies
) -> Decision:
    """Keep what is still there, grant the rest anew, or refuse all of it."""
    unseen = {(line.key.sku, "") for line in lines if not book.saw(line.key.sku)}
    if unseen:
        return Widen(Wants(scopes=unseen))
    order = book.document(ORDER, operation.reference)
    kits = kits_in(order, lines)
    kept = _whole(_still_there(lines, book, now), lines, kits)
    lost = [line for line in lines if line.held and line not in kept]
    given_back = [expiry(line, now) for line in lost]
    book = book_without(book, given_back, now).without_due(operation.reference)
    wanted = _lost(lines, lost, kits)
    at, lot, apart = named_in(order)
    bills = {sku: kits[sku].bill for sku in wanted if sku in kits}
    cart = Cart(Kind.CONFIRM, wanted, at, lot, bills, apart and bool(bills))
    grant: Decision | Grant = Grant([], {})
    if wanted:
        grant = plan(cart, book, now, policies)
    if not isinstance(grant, Grant):
        return grant
    before = book.lines_of(operation.reference)
    opened = new_lines(operation.reference, before, grant.parts, lines[-1].round, NEVER)
    legs = _allocating(kept) + entering(grant.parts, opened, State.ALLOCATED)
    needed = {line.key: _lowest(line.key, book) for line in kept} | dict(grant.together)
    reclaimed = reclaim(book, now, (Part(*need) for need in needed.items()))
    return Granted(
        (*given_back, *reclaimed, draft(Kind.CONFIRM, operation, legs, now)),
        lines=tuple(opened),
        documents=order_with_kits(cart, grant, opened, book),
        reservation=operation.reference,
    )


def _whole(kept: list[LineRow], lines: Sequence[LineRow], kits: Mapping[str, Kit]) -> list[LineRow]:
    """Return the lines of *kept* but for bundles that lost a part: they compete as a whole."""
    torn: set[int] = set()
    for mine in split(lines, kits.values())[1].values():
        if any(line.expired or (line.held and line not in kept) for line in mine):
            torn |= {line.number for line in mine}
    return [line for line in kept if line.number not in torn]


def _lost(
    lines: Sequence[LineRow], lost: Sequence[LineRow], kits: Mapping[str, Kit]
) -> dict[str, int]:
    """Return what must be granted anew: whole bundles, and single units."""
    plain, owned = split(lines, kits.values())
    wanted = _missing(plain, lost)
    for sku, kit in kits.items():
        units = _missing(owned.get(kit.number, ()), lost)
        whole = capacity(kit.bill, units)
        if whole:
            wanted[sku] = wanted.get(sku, 0) + whole
        taken = net(kit.bill, whole, units).taken
        for component, quantity in units.items():
            loose = quantity - taken.get(component, 0)
            if loose:
                wanted[component] = wanted.get(component, 0) + loose
    return wanted


def _missing(lines: Iterable[LineRow], lost: Sequence[LineRow]) -> dict[str, int]:
    missing: dict[str, int] = {}
    for line in lines:
        units = line.expired + (line.held if line in lost else 0)
        if units:
            missing[line.key.sku] = missing.get(line.key.sku, 0) + units
    return missing


def _still_there(lines: Iterable[LineRow], book: Book, now: Instant) -> list[LineRow]:
    """
    Return the lines whose held units a new cart could be granted where they are.

    Units that ran out are promised to nobody, so a sale that was reported meanwhile, or a
    lot past its date, may have taken the ground from under them.
    """
    held = [line for line in lines if line.held]
    book = book_without(book, [expiry(line, now) for line in held], now)
    spent: dict[StockKey | tuple[str, str], int] = {}
    kept = []
    for line in held:
        key, shelf = line.key, (line.key.sku, line.key.location)
        left = min(
            offered(book, key, now, _lowest(key, book)) - spent.get(key, 0),
            spare(book, now, *shelf, None) - spent.get(shelf, 0),
        )
        if line.held <= left:
            kept.append(line)
            for name in (key, shelf):
                spent[name] = spent.get(name, 0) + line.held
    return kept


def _lowest(key: StockKey, book: Book) -> int:
    """Return how far a key may be promised below zero."""
    return 0 if key.lot else min(0, book.settings.floor(key.sku, key.location))

"""
Rules of holds: reserve, confirm, hold again, amend, expire. Pure.

Rules:
1. What a command takes it takes through :func:`truecount.reservations.granting.plan`; holds
   that ran out are reclaimed only where the grant needs them, soonest first.
2. A new round begins by giving back what the last one still holds past its time.
3. Holding again keeps the units that are still there for the taking; the others, reclaimed
   or sold from under the hold, compete anew, at the location and lot the cart had named.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from truecount.errors import (
    AlreadyReserved,
    HoldExpired,
    Refused,
    ReservationFinished,
    TooMany,
)
from truecount.ledger.drafts import draft
from truecount.ledger.supply import Part, expiry, offered, reclaim
from truecount.model.instants import Instant, iso, microseconds
from truecount.model.kinds import Kind
from truecount.model.lines import NEVER, LineRow
from truecount.model.movements import Draft, Leg
from truecount.model.operations import Amend, Confirm, Expire, Reserve
from truecount.model.places import State
from truecount.model.settings import Settings
from truecount.model.stock import StockKey
from truecount.protocols.storage import Wants
from truecount.reservations.granting import Cart, Grant, plan, planned, spare
from truecount.reservations.lines import (
    current_round,
    deadline,
    entering,
    freeing,
    moving,
    new_lines,
    state_in,
)
from truecount.reservations.sourcing import Policies
from truecount.write.book import ORDER, Book, Stage
from truecount.write.intents import Decision, Granted, Widen


def wants_units(operation: Reserve | Amend, settings: Settings, policies: Policies) -> Wants:
    """Want the order, and the planned location of each SKU."""
    first = planned([sku for sku, _ in operation.lines], operation.at, settings, policies)
    return Wants(orders={operation.reference}, scopes={(sku, first) for sku, _ in operation.lines})


def asked(operation: Reserve | Amend, _book: Book) -> Iterable[tuple[str, int]]:
    """Return what may be taken from SELLABLE: at most the lines as they were asked for."""
    return operation.lines


def expired_hold(operation: Any, lines: Iterable[LineRow]) -> HoldExpired:
    """Return the refusal of an act on a hold that ran out."""
    return HoldExpired(operation.reference, iso(deadline(lines)))


class _Named(NamedTuple):
    """The location and the lot a cart named, kept with its order for whatever comes later."""

    at: str | None
    lot: str | None


def _named(order: dict[str, Any] | None) -> _Named:
    return _Named(*(order or {}).get("named", (None, None)))


def _after(book: Book, drafts: Sequence[Draft], now: Instant) -> Book:
    """Return the book as it will be after the holds of *drafts* have been given back."""
    if not drafts:
        return book
    stage = Stage(book, now)
    for each in drafts:
        stage.post(each, each.id or "")
    return book.after(stage)


# --- reserve ----------------------------------------------------------------------------


def reserve(operation: Reserve, book: Book, now: Instant, policies: Policies) -> Decision:
    """Hold units until the time has passed, as the next round of the reference."""
    if operation.at is not None:
        book.settings.check(operation.at)
    lines = book.lines_of(operation.reference)
    if any(line.open and not line.has_expired(now) for line in lines):
        return AlreadyReserved(operation.reference)
    leftover = [expiry(line, now) for line in lines if line.held]
    book = _after(book, leftover, now)
    cart = Cart(Kind.RESERVE, dict(operation.lines), operation.at, operation.lot)
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
        (*leftover, *reclaim(book, now, grant.parts), posted),
        lines=tuple(opened),
        documents=_order(operation, book),
        reservation=operation.reference,
        result={"short": grant.short} if grant.short else None,
    )


def _ttl(operation: Reserve, settings: Settings) -> int:
    """Return how long the hold lasts: as long as asked for, else the shortest policy's time."""
    if operation.ttl is not None:
        return microseconds(operation.ttl)
    ttls = [settings.policy(sku, operation.at or "").hold_ttl for sku, _ in operation.lines]
    return microseconds(min([ttl for ttl in ttls if ttl is not None]))


def _order(operation: Reserve, book: Book) -> tuple[tuple[str, str, dict[str, Any]], ...]:
    """Return the order's document where this round changes it."""
    known = book.document(ORDER, operation.reference)
    named = _Named(operation.at, operation.lot)
    if known is not None and _named(known) == named:
        return ()
    body = {name: value for name, value in (known or {}).items() if name != "named"}
    if named != (None, None):
        body["named"] = list(named)
    return ((ORDER, operation.reference, body),)


# --- confirm ----------------------------------------------------------------------------


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
        for line in current_round(book.lines_of(operation.reference)):
            if line.held or line.expired:
                yield line.key.sku, line.held + line.expired


def _hold_again(
    operation: Confirm, book: Book, now: Instant, lines: list[LineRow], policies: Policies
) -> Decision:
    """Keep what is still there, grant the rest anew, or refuse all of it."""
    unseen = {(line.key.sku, "") for line in lines if not book.saw(line.key.sku)}
    if unseen:
        return Widen(Wants(scopes=unseen))
    kept = _still_there(lines, book, now)
    lost = [line for line in lines if line.held and line not in kept]
    given_back = [expiry(line, now) for line in lost]
    book = _after(book, given_back, now).without_due(operation.reference)
    wanted: dict[str, int] = {}
    for line in lines:
        missing = line.expired + (line.held if line in lost else 0)
        if missing:
            wanted[line.key.sku] = wanted.get(line.key.sku, 0) + missing
    named = _named(book.document(ORDER, operation.reference))
    grant: Decision | Grant = Grant([], {})
    if wanted:
        grant = plan(Cart(Kind.CONFIRM, wanted, *named), book, now, policies)
    if not isinstance(grant, Grant):
        return grant
    before = book.lines_of(operation.reference)
    opened = new_lines(operation.reference, before, grant.parts, lines[-1].round, NEVER)
    legs = _allocating(kept) + entering(grant.parts, opened, State.ALLOCATED)
    needed = {line.key: _lowest(line.key, book) for line in kept} | dict(grant.parts)
    reclaimed = reclaim(book, now, (Part(*need) for need in needed.items()))
    return Granted(
        (*given_back, *reclaimed, draft(Kind.CONFIRM, operation, legs, now)),
        lines=tuple(opened),
        reservation=operation.reference,
    )


def _still_there(lines: Iterable[LineRow], book: Book, now: Instant) -> list[LineRow]:
    """
    Return the lines whose held units a new cart could be granted where they are.

    Units that ran out are promised to nobody, so a sale that was reported meanwhile, or a
    lot past its date, may have taken the ground from under them.
    """
    held = [line for line in lines if line.held]
    book = _after(book, [expiry(line, now) for line in held], now)
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


# --- amend ------------------------------------------------------------------------------


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
    changes = _changes(operation, lines)
    if isinstance(changes, Refused):
        return changes
    legs = [leg for sku, less in changes.items() if less < 0 for leg in freeing(lines, sku, -less)]
    grant: Decision | Grant = Grant([], {})
    more = {sku: change for sku, change in changes.items() if change > 0}
    if more:
        at, lot = _named(book.document(ORDER, reference))
        grant = plan(Cart(Kind.AMEND, more, operation.at or at, lot), book, now, policies)
    if not isinstance(grant, Grant):
        return grant
    enters, until = State.ALLOCATED, NEVER
    if state == "held":
        enters, until = State.HELD, deadline(lines)
    before = book.lines_of(reference)
    opened = new_lines(reference, before, grant.parts, lines[-1].round, until)
    legs += entering(grant.parts, opened, enters)
    if not legs:
        return Granted(reservation=reference)
    posted = draft(Kind.AMEND, operation, legs, now)
    return Granted(
        (*reclaim(book, now, grant.parts), posted), lines=tuple(opened), reservation=reference
    )


def _changes(operation: Amend, lines: Sequence[LineRow]) -> dict[str, int] | TooMany:
    """Return by how much each SKU named changes; what left the shelf cannot be taken out."""
    changes: dict[str, int] = {}
    for sku, target in operation.lines:
        of_sku = [line for line in lines if line.key.sku == sku]
        have = sum(line.open + line.shipped for line in of_sku)
        free = sum(line.held + line.allocated for line in of_sku)
        if have - target > free:
            return TooMany("amend", "reservation", operation.reference, sku, have - target, free)
        changes[sku] = target - have
    return changes


# --- expire -----------------------------------------------------------------------------


def wants_expired(operation: Expire, settings: Settings) -> Wants:
    """Want the orders named."""
    del settings
    return Wants(orders={reference for reference, _ in operation.holds})


def expire(operation: Expire, book: Book, now: Instant) -> Granted:
    """Give back the holds that have run out; the others are somebody's again, or gone."""
    named = set(operation.holds)
    drafts = [
        expiry(line, now)
        for reference in sorted({reference for reference, _ in named})
        for line in book.lines_of(reference)
        if (reference, line.number) in named and line.has_expired(now)
    ]
    return Granted(tuple(drafts), result={"expired": len(drafts)})

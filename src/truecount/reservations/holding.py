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

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from truecount.bundles.netting import capacity, net
from truecount.bundles.pinned import KITS, Kit, kits_of, split
from truecount.errors import (
    AlreadyReserved,
    HoldExpired,
    InternalError,
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
from truecount.model.recipes import Bill
from truecount.model.settings import Settings
from truecount.model.stock import StockKey
from truecount.protocols.storage import Wants
from truecount.reservations.granting import plan
from truecount.reservations.lines import (
    current_round,
    deadline,
    entering,
    moving,
    new_lines,
    state_in,
)
from truecount.reservations.offers import Cart, Grant, planned, spare
from truecount.reservations.parcels import (
    Missing,
    bills_in_force,
    inside,
    kits_in,
    portions,
    whole_bundles,
    with_lines,
)
from truecount.reservations.sourcing import Policies
from truecount.write.book import ORDER, Book, Stage
from truecount.write.intents import Decision, Granted, Widen


def wants_units(operation: Reserve | Amend, settings: Settings, policies: Policies) -> Wants:
    """Want the order, and the planned location of each SKU, and of what it is made of."""
    lines = [sku for sku, _ in operation.lines]
    first = planned(lines, operation.at, settings, policies)
    scopes = {(sku, first) for sku in inside(lines, settings)}
    return Wants(orders={operation.reference}, scopes=scopes)


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


def expired_hold(operation: Any, lines: Iterable[LineRow]) -> HoldExpired:
    """Return the refusal of an act on a hold that ran out."""
    return HoldExpired(operation.reference, iso(deadline(lines)))


class _Named(NamedTuple):
    """What a cart named of places and lots, kept with its order for whatever comes later."""

    at: str | None
    lot: str | None
    apart: bool = False


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
        documents=_order(cart, grant, opened, book),
        reservation=operation.reference,
        result={"short": grant.short} if grant.short else None,
    )


def _ttl(operation: Reserve, settings: Settings) -> int:
    """Return how long the hold lasts: as long as asked for, else the shortest policy's time."""
    if operation.ttl is not None:
        return microseconds(operation.ttl)
    ttls = [settings.policy(sku, operation.at or "").hold_ttl for sku, _ in operation.lines]
    return microseconds(min([ttl for ttl in ttls if ttl is not None]))


def _order(
    cart: Cart, grant: Grant, opened: Sequence[LineRow], book: Book
) -> tuple[tuple[str, str, dict[str, Any]], ...]:
    """Return the order's document where this round changes it."""
    reference = opened[0].reference
    known = book.document(ORDER, reference)
    named = _Named(cart.at, cart.lot, cart.apart)
    if known is not None and _named(known) == named and not grant.owners:
        return ()
    body = {name: value for name, value in (known or {}).items() if name != "named"}
    if named != _Named(None, None):
        body["named"] = list(named if named.apart else named[:2])
    if grant.owners:
        body = with_lines(body, cart.bills, grant.owners, opened)
    return ((ORDER, reference, body),)


def _with_kits(
    cart: Cart, grant: Grant, opened: Sequence[LineRow], book: Book
) -> tuple[tuple[str, str, dict[str, Any]], ...]:
    """Return the order's document where new lines belong to bundles of it."""
    if not any(grant.owners):
        return ()
    reference = opened[0].reference
    known = book.document(ORDER, reference)
    return ((ORDER, reference, with_lines(known, cart.bills, grant.owners, opened)),)


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
    book = _after(book, given_back, now).without_due(operation.reference)
    wanted = _lost(lines, lost, kits)
    at, lot, apart = _named(order)
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
        documents=_with_kits(cart, grant, opened, book),
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
    order = book.document(ORDER, reference)
    changes = _changes(operation, lines, kits_in(order, lines))
    if isinstance(changes, Refused):
        return changes
    at, lot, apart = _named(order)
    more, bills = changes.more, changes.bills
    if more and lot is None:
        strangers = [sku for sku in more if sku not in changes.bills and sku not in changes.plain]
        bills |= bills_in_force(strangers, book.settings, lot)
    cart = Cart(Kind.AMEND, more, operation.at or at, lot, bills, apart and bool(bills))
    grant: Decision | Grant = Grant([], {})
    if more and changes.freed:
        # What it gives back it may take again, as another bundle or as single units.
        book = _after(book, [draft(Kind.AMEND, operation, changes.freed, now)], now)
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
        documents=_with_kits(cart, grant, opened, book),
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

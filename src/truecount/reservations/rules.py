"""
Rules of reservations: hold, confirm, pick, ship, release, expire, amend.

A reservation is named by its reference. While any of its lines promises units it is open;
after that the reference may be reserved for again, as the next round, with new lines.

=========  =======================================  =====================================
status     when                                     what may follow
=========  =======================================  =====================================
held       units are held and time has not run out  confirm, release, amend
expired    the time has run out                     confirm(on_expired="rehold"), reserve
confirmed  units are allocated                      pick, ship, release, amend
picked     units are picked, none is allocated      ship, short_pick
shipped    nothing is open, something shipped       take back; reserve again
released   nothing is open, nothing shipped         reserve again
=========  =======================================  =====================================

Rules:
1. All lines or nothing, unless ``partial``. A refusal was decided under the locks of every
   key that could have served, and names each short SKU.
2. An expired hold blocks nobody, whether or not a sweeper ran.
3. Release, expiry and confirmation of a live hold never fail for stock.
4. Each act takes at most what the lines have: more is refused, never clamped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

from truecount.errors import (
    AlreadyReserved,
    HoldExpired,
    InsufficientStock,
    InvalidArgument,
    NotConfirmed,
    Refused,
    ReservationFinished,
    TooMany,
    UnknownReference,
    UnknownSku,
)
from truecount.ledger.drafts import draft
from truecount.ledger.supply import Part, expiry, offered, reclaim, take
from truecount.model.instants import Instant, iso, microseconds
from truecount.model.kinds import Kind
from truecount.model.lines import NEVER, LineRow
from truecount.model.movements import Draft, Leg
from truecount.model.operations import (
    Amend,
    Confirm,
    Expire,
    Operation,
    Pick,
    Release,
    Reserve,
    Ship,
    ShortPick,
)
from truecount.model.places import CUSTOMER, State, adjustment, inside
from truecount.model.settings import Settings
from truecount.model.stock import StockKey
from truecount.protocols.storage import Wants
from truecount.reservations.sourcing import SOURCING, Share, Sourcing
from truecount.write.book import ORDER, Book
from truecount.write.intents import Decision, Granted, Rule, Rules, Widen


def current_round(lines: Sequence[LineRow]) -> list[LineRow]:
    """Return the lines of the newest reservation under a reference."""
    return [line for line in lines if line.round == lines[-1].round] if lines else []


def status(lines: Sequence[LineRow], now: Instant) -> str:
    """
    Return the status of a reservation, from its lines and the time.

    >>> status([], 0)
    'released'
    """
    if any(line.allocated for line in lines):
        return "confirmed"
    if any(line.picked for line in lines):
        return "picked"
    if any(line.held and not line.has_expired(now) for line in lines):
        return "held"
    if any(line.held or line.expired for line in lines) and not any(line.shipped for line in lines):
        return "expired"
    return "shipped" if any(line.shipped for line in lines) else "released"


def existing(book: Book, reference: str) -> list[LineRow]:
    """Return the current lines of *reference*; raise UnknownReference when it has none."""
    lines = current_round(book.lines_of(reference))
    if not lines:
        raise UnknownReference("reservation", reference)
    return lines


# --- granting: from a cart to lines, legs and reclaimed holds ----------------------------


class Grant:
    """What sourcing found for a cart: parts at keys, and what is missing."""

    def __init__(self, parts: list[Part], wanted: Mapping[str, int]) -> None:
        self.parts = parts
        found: dict[str, int] = {}
        for part in parts:
            found[part.key.sku] = found.get(part.key.sku, 0) + part.quantity
        self.found = found
        self.short = {
            sku: quantity for sku, quantity in wanted.items() if found.get(sku, 0) < quantity
        }


def source(
    book: Book,
    now: Instant,
    wanted: Mapping[str, int],
    at: str | None,
    lot: str | None,
    policies: Mapping[str, Sourcing],
) -> Grant:
    """Return parts for *wanted*, at one location or wherever the sourcing policy says."""
    locations = (at,) if at else book.settings.in_order
    stock: dict[str, dict[str, int]] = {}
    for location in locations:
        for sku in wanted:
            spare = _spare(book, now, sku, location, lot)
            if spare > 0:
                stock.setdefault(location, {})[sku] = spare
    if len(stock) == 1 or at:
        shares = _at_one(wanted, stock)
    else:
        name = book.settings.policy(next(iter(wanted))).sourcing or ""
        shares = policies[name](wanted, stock, locations)
    parts: list[Part] = []
    for sku, location, quantity in shares:
        floor = book.settings.floor(sku, location)
        parts += take(book, now, sku, location, quantity, lot=lot, floor=floor)
    return Grant(parts, wanted)


def _at_one(wanted: Mapping[str, int], stock: Mapping[str, Mapping[str, int]]) -> list[Share]:
    return [
        Share(sku, location, min(quantity, offers[sku]))
        for location, offers in stock.items()
        for sku, quantity in wanted.items()
        if sku in offers
    ]


def _spare(book: Book, now: Instant, sku: str, location: str, lot: str | None) -> int:
    """Return what a location may promise: its lots' offers, less what policy keeps back."""
    total = sum(offered(book, key, now) for key in book.keys_of(sku, location, lot))
    floor = book.settings.floor(sku, location)
    if floor > 0:
        return total - floor
    plain = StockKey(sku, location, "")
    if floor < 0 and not lot and plain in book.rows:
        total += offered(book, plain, now, floor) - offered(book, plain, now)
    return total


def refusal_of(book: Book, now: Instant, kind: Kind, wanted: Mapping[str, int], short: Iterable[str], at: str | None, lot: str | None) -> Refused:
    """Return the refusal that names each short SKU; raise UnknownSku for one that never moved."""
    lines = []
    for sku in short:
        if not book.knows(sku):
            raise UnknownSku(sku)
        locations = (at,) if at else book.settings.in_order
        available = sum(max(0, _spare(book, now, sku, name, lot)) for name in locations)
        where = f"at {at!r}" if at else f"in {len(locations)} locations together"
        rule = book.settings.floor_rule(sku, at or "")
        lines.append((sku, wanted[sku], available, where, rule))
    return InsufficientStock(kind.value, tuple(lines))


def unseen(book: Book, wanted: Iterable[str], at: str | None) -> Wants | None:
    """Return the locks without which a refusal would be premature, None when all are held."""
    scopes = {
        (sku, "")
        for sku in wanted
        if not book.saw(sku) and not (at and book.saw(sku, at) and book.knows(sku))
    }
    backorder = {
        StockKey(sku, name, "")
        for sku in wanted
        for name in ((at,) if at else book.settings.in_order)
        if book.settings.floor(sku, name) < 0 and StockKey(sku, name, "") not in book.rows
    }
    return Wants(scopes=scopes, keys=backorder) if scopes or backorder else None


def new_lines(
    reference: str, lines: Sequence[LineRow], parts: Sequence[Part], round_: int, expires_at: Instant
) -> list[LineRow]:
    """Return empty lines for *parts*, numbered after the ones there are."""
    first = lines[-1].number + 1 if lines else 1
    return [
        LineRow(reference, number, round_, part.key, 0, 0, 0, 0, 0, 0, 0, 0, expires_at)
        for number, part in enumerate(parts, first)
    ]


def _enter(parts: Iterable[Part], lines: Iterable[LineRow], state: State) -> list[Leg]:
    """Return legs that take *parts* from SELLABLE into *state* for *lines*."""
    return [
        Leg(
            key.sku,
            key.lot,
            quantity,
            inside(key.location, State.SELLABLE),
            inside(key.location, state),
            line.number,
        )
        for (key, quantity), line in zip(parts, lines, strict=True)
    ]


# --- reserve ----------------------------------------------------------------------------


def _wants_reserve(operation: Reserve, settings: Settings) -> Wants:
    """Want the planned location first; everywhere only when there is but one."""
    planned = operation.at or (settings.in_order[0] if len(settings.in_order) > 1 else "")
    return Wants(
        orders={operation.reference}, scopes={(sku, planned) for sku, _ in operation.lines}
    )


def _reserve(operation: Reserve, book: Book, now: Instant, policies: Mapping[str, Sourcing]) -> Decision:
    if operation.at is not None:
        book.settings.check(operation.at)
    lines = book.lines_of(operation.reference)
    if any(line.open and not line.has_expired(now) for line in lines):
        return AlreadyReserved(operation.reference)
    wanted = dict(operation.lines)
    grant = source(book, now, wanted, operation.at, operation.lot, policies)
    if grant.short:
        wider = unseen(book, wanted, operation.at)
        if wider is not None:
            return Widen(wider)
        if not operation.partial or not grant.parts:
            return refusal_of(
                book, now, Kind.RESERVE, wanted, grant.short, operation.at, operation.lot
            )
    return _hold(operation, book, now, lines, grant)


def _hold(operation: Reserve, book: Book, now: Instant, lines: list[LineRow], grant: Grant) -> Granted:
    ttl = operation.ttl or book.settings.policy(operation.lines[0][0], operation.at or "").hold_ttl
    if ttl is None:  # the built-in policy has one
        raise InvalidArgument("ttl", "None", "a duration, here or as Policy(hold_ttl=...)")
    round_ = lines[-1].round + 1 if lines else 1
    opened = new_lines(operation.reference, lines, grant.parts, round_, now + microseconds(ttl))
    leftover = [expiry(line, now) for line in lines if line.has_expired(now)]
    spent = {each.id for each in leftover}
    reclaimed = [each for each in reclaim(book, now, grant.parts) if each.id not in spent]
    posted = draft(Kind.RESERVE, operation, _enter(grant.parts, opened, State.HELD), now)
    known = book.document(ORDER, operation.reference)
    return Granted(
        (*leftover, *reclaimed, posted),
        lines=tuple(opened),
        documents=((ORDER, operation.reference, {}),) if known is None else (),
        reservation=operation.reference,
        result={"short": {sku: quantity - grant.found.get(sku, 0) for sku, quantity in grant.short.items()}}
        if grant.short
        else None,
    )


# --- confirm and release ----------------------------------------------------------------


def _wants_owner(operation: Any, settings: Settings) -> Wants:
    del settings
    return Wants(orders={operation.reference})


def _confirm(operation: Confirm, book: Book, now: Instant, policies: Mapping[str, Sourcing]) -> Decision:
    lines = existing(book, operation.reference)
    state = status(lines, now)
    if state in ("confirmed", "picked", "shipped") and not any(line.held for line in lines):
        return Granted(reservation=operation.reference)
    if state == "released":
        return ReservationFinished("confirm", operation.reference, state)
    if state == "expired":
        return _confirm_expired(operation, book, now, lines, policies)
    return Granted(
        (draft(Kind.CONFIRM, operation, _confirmed(lines), now),), reservation=operation.reference
    )


def _confirmed(lines: Iterable[LineRow]) -> list[Leg]:
    return [_leg(line, line.held, State.HELD, State.ALLOCATED) for line in lines if line.held]


def _confirm_expired(
    operation: Confirm, book: Book, now: Instant, lines: list[LineRow], policies: Mapping[str, Sourcing]
) -> Decision:
    """What nobody reclaimed is still there; what somebody did must compete again."""
    if operation.on_expired == "refuse":
        held = [line.expires_at for line in lines if line.held]
        expired_at = iso(min(held)) if held else "an earlier time"
        return HoldExpired(operation.reference, expired_at)
    wanted: dict[str, int] = {}
    for line in lines:
        if line.expired:
            wanted[line.key.sku] = wanted.get(line.key.sku, 0) + line.expired
    grant = source(_without_own(book, operation.reference), now, wanted, None, None, policies) if wanted else Grant([], {})
    if grant.short:
        wider = unseen(book, wanted, None)
        if wider is not None:
            return Widen(wider)
        return refusal_of(book, now, Kind.CONFIRM, wanted, grant.short, None, None)
    everything = book.lines_of(operation.reference)
    opened = new_lines(operation.reference, everything, grant.parts, lines[-1].round, NEVER)
    legs = _confirmed(lines) + _enter(grant.parts, opened, State.ALLOCATED)
    return Granted(
        (*reclaim(book, now, grant.parts), draft(Kind.CONFIRM, operation, legs, now)),
        lines=tuple(opened),
        reservation=operation.reference,
    )


def _without_own(book: Book, reference: str) -> Book:
    """Return the book with this reference's expired holds not on offer: it keeps them."""
    return book.without_due(reference)


def _rehold_demand(operation: Confirm, book: Book) -> Iterable[tuple[str, int]]:
    if operation.on_expired == "rehold":
        for line in current_round(book.lines_of(operation.reference)):
            if line.expired:
                yield line.key.sku, line.expired


def _leg(line: LineRow, quantity: int, source: State, target: State) -> Leg:
    location = line.key.location
    return Leg(
        line.key.sku,
        line.key.lot,
        quantity,
        inside(location, source),
        inside(location, target),
        line.number,
    )


def _release(operation: Release, book: Book, now: Instant) -> Decision:
    lines = existing(book, operation.reference)
    if operation.lines is None:
        return _release_all(operation, lines, now)
    legs: list[Leg] = []
    for sku, quantity in operation.lines:
        left = sum(line.held + line.allocated for line in lines if line.key.sku == sku)
        if quantity > left:
            return _too_many(operation, "release", lines, sku, quantity, left, now)
        legs += _given_back(lines, sku, quantity)
    return Granted((draft(Kind.RELEASE, operation, legs, now, guarded=False),), reservation=operation.reference)


def _release_all(operation: Release, lines: list[LineRow], now: Instant) -> Decision:
    for line in lines:
        if line.picked:
            wanted = line.open
            return TooMany(
                "release",
                "reservation",
                operation.reference,
                line.key.sku,
                wanted,
                wanted - line.picked,
            )
    legs = [
        leg
        for sku in dict.fromkeys(line.key.sku for line in lines)
        for leg in _given_back(lines, sku, sum(line.open for line in lines if line.key.sku == sku))
    ]
    if legs:
        posted = draft(Kind.RELEASE, operation, legs, now, guarded=False)
        return Granted((posted,), reservation=operation.reference)
    if status(lines, now) == "shipped":
        return ReservationFinished("release", operation.reference, "shipped")
    return Granted(reservation=operation.reference)


def _given_back(lines: Sequence[LineRow], sku: str, quantity: int) -> list[Leg]:
    """Return legs that free *quantity* units, held ones first, newest lines first."""
    legs = []
    for state in (State.HELD, State.ALLOCATED):
        for line in reversed(lines):
            taken = min(quantity, getattr(line, state.value)) if line.key.sku == sku else 0
            if taken:
                legs.append(_leg(line, taken, state, State.SELLABLE))
                quantity -= taken
    return legs


def _too_many(
    operation: Any, verb: str, lines: Sequence[LineRow], sku: str, wanted: int, left: int, now: Instant
) -> Refused:
    """Return why an act on more units than there are is refused."""
    state = status(lines, now)
    if state in ("shipped", "released", "expired") and verb != "release":
        return ReservationFinished(verb, operation.reference, state)
    if verb != "release" and any(line.held for line in lines if line.key.sku == sku):
        return NotConfirmed(verb, operation.reference)
    return TooMany(verb, "reservation", operation.reference, sku, wanted, left)


# --- pick, short pick, ship -------------------------------------------------------------


def _act(
    operation: Any,
    book: Book,
    now: Instant,
    kind: Kind,
    states: tuple[State, ...],
    target: Callable[[LineRow], Any],
) -> Decision:
    """Take units of *states* from the lines to *target*: those named, or all there are."""
    verb = kind.value.replace("_", " ")
    if operation.at is not None:
        book.settings.check(operation.at)
    lines = existing(book, operation.reference)
    here = [line for line in lines if operation.at in (None, line.key.location)]
    wanted = operation.lines
    if wanted is None:
        wanted = _everything(here, states)
        if not wanted:
            return _nothing_to(verb, operation, lines, now)
    legs: list[Leg] = []
    for sku, quantity in wanted:
        found = list(_taken(here, sku, quantity, states))
        left = sum(part for _, _, part in found)
        if left < quantity:
            return _too_many(operation, verb, lines, sku, quantity, left, now)
        legs += [
            Leg(sku, line.key.lot, part, inside(line.key.location, state), target(line), line.number)
            for line, state, part in found
        ]
    return Granted((draft(kind, operation, legs, now),), reservation=operation.reference)


def _everything(lines: Iterable[LineRow], states: tuple[State, ...]) -> list[tuple[str, int]]:
    total: dict[str, int] = {}
    for line in lines:
        units = sum(getattr(line, state.value) for state in states)
        if units:
            total[line.key.sku] = total.get(line.key.sku, 0) + units
    return list(total.items())


def _nothing_to(verb: str, operation: Any, lines: Sequence[LineRow], now: Instant) -> Refused:
    state = status(lines, now)
    if state == "held":
        return NotConfirmed(verb, operation.reference)
    return ReservationFinished(verb, operation.reference, state)


def _taken(
    lines: Sequence[LineRow], sku: str, quantity: int, states: tuple[State, ...]
) -> Iterable[tuple[LineRow, State, int]]:
    for state in states:
        for line in lines:
            part = min(quantity, getattr(line, state.value)) if line.key.sku == sku else 0
            if part:
                yield line, state, part
                quantity -= part


def _pick(operation: Pick, book: Book, now: Instant) -> Decision:
    return _act(
        operation,
        book,
        now,
        Kind.PICK,
        (State.ALLOCATED,),
        lambda line: inside(line.key.location, State.PICKED),
    )


def _short_pick(operation: ShortPick, book: Book, now: Instant) -> Decision:
    into, reason = operation.into, operation.reason or "short_pick"
    return _act(
        operation,
        book,
        now,
        Kind.SHORT_PICK,
        (State.ALLOCATED, State.PICKED),
        lambda line: inside(line.key.location, into) if into else adjustment(reason),
    )


def _ship(operation: Ship, book: Book, now: Instant) -> Decision:
    return _act(
        operation, book, now, Kind.SHIP, (State.PICKED, State.ALLOCATED), lambda _line: CUSTOMER
    )


# --- amend and expire -------------------------------------------------------------------


def _amend(operation: Amend, book: Book, now: Instant, policies: Mapping[str, Sourcing]) -> Decision:
    """Release what is too much and grant what is missing, in one movement."""
    lines = existing(book, operation.reference)
    state = status(lines, now)
    if state == "expired":
        return HoldExpired(operation.reference, iso(min((line.expires_at for line in lines if line.held), default=now)))
    if state in ("shipped", "released"):
        return ReservationFinished("amend", operation.reference, state)
    legs: list[Leg] = []
    more: dict[str, int] = {}
    for sku, target in operation.lines:
        of_sku = [line for line in lines if line.key.sku == sku]
        have = sum(line.open + line.shipped for line in of_sku)
        gone = sum(line.picked + line.shipped for line in of_sku)
        if target < gone:
            return TooMany("amend", "reservation", operation.reference, sku, have - target, have - gone)
        if target < have:
            legs += _given_back(lines, sku, have - target)
        elif target > have:
            more[sku] = target - have
    grant = source(book, now, more, operation.at, None, policies) if more else Grant([], {})
    if grant.short:
        wider = unseen(book, more, operation.at)
        if wider is not None:
            return Widen(wider)
        return refusal_of(book, now, Kind.AMEND, more, grant.short, operation.at, None)
    enters = State.HELD if state == "held" else State.ALLOCATED
    expires_at = min(line.expires_at for line in lines) if enters is State.HELD else NEVER
    opened = new_lines(
        operation.reference, book.lines_of(operation.reference), grant.parts, lines[-1].round, expires_at
    )
    legs += _enter(grant.parts, opened, enters)
    if not legs:
        return Granted(reservation=operation.reference)
    posted: tuple[Draft, ...] = (draft(Kind.AMEND, operation, legs, now),)
    return Granted(
        (*reclaim(book, now, grant.parts), *posted),
        lines=tuple(opened),
        reservation=operation.reference,
    )


def _amend_demand(operation: Amend, book: Book) -> Iterable[tuple[str, int]]:
    del book
    return operation.lines


def _wants_amend(operation: Amend, settings: Settings) -> Wants:
    planned = operation.at or (settings.in_order[0] if len(settings.in_order) > 1 else "")
    return Wants(
        orders={operation.reference}, scopes={(sku, planned) for sku, _ in operation.lines}
    )


def _wants_expire(operation: Expire, settings: Settings) -> Wants:
    del settings
    return Wants(orders={reference for reference, _ in operation.holds})


def _expire(operation: Expire, book: Book, now: Instant) -> Decision:
    """Give back the holds that have run out; the others are somebody's again, or gone."""
    named = set(operation.holds)
    drafts = [
        expiry(line, now)
        for reference in sorted({reference for reference, _ in named})
        for line in book.lines_of(reference)
        if (reference, line.number) in named and line.has_expired(now)
    ]
    return Granted(tuple(drafts), result={"expired": len(drafts)})


def _lines_demand(operation: Reserve, book: Book) -> Iterable[tuple[str, int]]:
    del book
    return operation.lines


def reservation_rules(policies: Mapping[str, Sourcing] | None = None) -> Rules:
    """Return the rules of reservations, with the shop's own sourcing policies by name."""
    known = {**SOURCING, **(policies or {})}
    rules: dict[type[Operation], Rule] = {
        Reserve: Rule(
            _wants_reserve,
            lambda operation, book, now: _reserve(operation, book, now, known),
            demand=_lines_demand,
        ),
        Confirm: Rule(
            _wants_owner,
            lambda operation, book, now: _confirm(operation, book, now, known),
            demand=_rehold_demand,
        ),
        Amend: Rule(
            _wants_amend,
            lambda operation, book, now: _amend(operation, book, now, known),
            demand=_amend_demand,
        ),
        Release: Rule(_wants_owner, _release),
        Pick: Rule(_wants_owner, _pick),
        ShortPick: Rule(_wants_owner, _short_pick),
        Ship: Rule(_wants_owner, _ship),
        Expire: Rule(_wants_expire, _expire),
    }
    return rules


RESERVATION_RULES: Final = reservation_rules()

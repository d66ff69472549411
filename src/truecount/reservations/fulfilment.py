"""
Rules of what follows a hold: release, pick, short pick, ship. Pure.

Rules:
1. Each act takes at most what the lines have: more is refused, never clamped. It may name
   bundles of the order, or components (see ``parcels``).
2. An act on "all of it" is safe to repeat: a full release that was done, and a full pick of
   what is picked, change nothing. A second full shipment is refused, for somebody may be
   about to send a second parcel.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple, TypeAlias

from truecount.errors import InvalidArgument, NotConfirmed, Refused, ReservationFinished, TooMany
from truecount.ledger.drafts import draft
from truecount.model.instants import Instant
from truecount.model.kinds import Kind
from truecount.model.lines import LineRow
from truecount.model.movements import Leg
from truecount.model.places import CUSTOMER, Place, State, adjustment, inside
from truecount.model.reservation_commands import Pick, Release, Ship, ShortPick
from truecount.protocols.storage import ORDER
from truecount.reservations.lines import expired_hold, is_given_up, moving, state_in, status, units
from truecount.reservations.parcels import NO_KITS, Missing, kits_in, portions
from truecount.write.book import Book
from truecount.write.intents import Decision, Granted


Act: TypeAlias = Pick | ShortPick | Ship

_FREE = (State.HELD, State.ALLOCATED)


# --- release ----------------------------------------------------------------------------


def release(operation: Release, book: Book, now: Instant, lines: list[LineRow]) -> Decision:
    """Give units back: those named, or all there are."""
    reference = operation.reference
    wanted, kits = units(lines, (*_FREE, State.PICKED)), NO_KITS
    if operation.lines:
        wanted, kits = dict(operation.lines), kits_in(book.document(ORDER, reference), lines)
    found = portions(lines[::-1], kits, wanted, _FREE)
    if isinstance(found, Missing):
        return TooMany("release", "reservation", reference, *found)
    legs = [moving(line, part, state, State.SELLABLE) for line, state, part in found]
    if operation.lines is None:
        return _give_up(operation, book, now, lines, legs)
    posted = draft(Kind.RELEASE, operation, legs, now, guarded=False)
    return Granted((posted,), reservation=reference)


def _give_up(
    operation: Release, book: Book, now: Instant, lines: Sequence[LineRow], legs: list[Leg]
) -> Decision:
    """Release all of it; remember that where the lines alone would not tell."""
    reference = operation.reference
    order = book.document(ORDER, reference)
    given_up = is_given_up(order, lines)
    if not legs and not given_up and status(lines, now) == "shipped":
        return ReservationFinished("release", reference, "shipped")
    tell = not given_up and any(line.shipped or line.expired for line in lines)
    return Granted(
        (draft(Kind.RELEASE, operation, legs, now, guarded=False),) if legs else (),
        documents=((ORDER, reference, {**(order or {}), "given_up": lines[-1].round}),)
        if tell
        else (),
        reservation=reference,
        result={"given_up": True} if tell or given_up else None,
    )


# --- pick, short pick, ship -------------------------------------------------------------


class _Move(NamedTuple):
    """What a kind of act takes units from, and where it puts those of a line."""

    kind: Kind
    states: tuple[State, ...]
    target: Callable[[LineRow], Place]

    @property
    def verb(self) -> str:
        return self.kind.value.replace("_", " ")


_PICK: Final = _Move(
    Kind.PICK, (State.ALLOCATED,), lambda line: inside(line.key.location, State.PICKED)
)
_SHIP: Final = _Move(Kind.SHIP, (State.PICKED, State.ALLOCATED), lambda _line: CUSTOMER)


def pick(operation: Pick, book: Book, now: Instant, lines: list[LineRow]) -> Decision:
    """Take allocated units off the shelf."""
    if operation.lines is None and state_in(book, _here(operation, book, lines), now) == "picked":
        return Granted(reservation=operation.reference)
    return _take(_PICK, operation, book, now, lines)


def short_pick(operation: ShortPick, book: Book, now: Instant, lines: list[LineRow]) -> Decision:
    """Take out of the order what was missing on the shelf, or unfit."""
    into, reason = operation.into, operation.reason or "short_pick"

    def elsewhere(line: LineRow) -> Place:
        return adjustment(reason) if into is None else inside(line.key.location, into)

    move = _Move(Kind.SHORT_PICK, (State.ALLOCATED, State.PICKED), elsewhere)
    return _take(move, operation, book, now, lines)


def ship(operation: Ship, book: Book, now: Instant, lines: list[LineRow]) -> Decision:
    """Let units leave for the customer, picked ones first."""
    return _take(_SHIP, operation, book, now, lines)


def _here(operation: Act, book: Book, lines: list[LineRow]) -> list[LineRow]:
    """Return the lines an act means: all, or those at the location it names."""
    if operation.at is None:
        return lines
    book.settings.check(operation.at)
    here = [line for line in lines if line.key.location == operation.at]
    if not here:
        places = sorted({line.key.location for line in lines})
        raise InvalidArgument("at", repr(operation.at), f"where the reservation is: {places}")
    return here


def _take(move: _Move, operation: Act, book: Book, now: Instant, lines: list[LineRow]) -> Decision:
    """Take units from the lines: those named, or all there are."""
    here = _here(operation, book, lines)
    wanted, kits = units(here, move.states), NO_KITS
    if operation.lines:
        wanted, kits = (
            dict(operation.lines),
            kits_in(book.document(ORDER, operation.reference), here),
        )
    if not wanted:
        return _finished(move, operation, here, state_in(book, here, now))
    found = portions(here, kits, wanted, move.states)
    if isinstance(found, Missing):
        state = state_in(book, here, now)
        if state not in ("confirmed", "picked"):
            return _finished(move, operation, here, state)
        return TooMany(move.verb, "reservation", operation.reference, *found)
    legs = [
        Leg(
            line.key.sku,
            line.key.lot,
            part,
            inside(line.key.location, source),
            move.target(line),
            line.number,
        )
        for line, source, part in found
    ]
    return Granted((draft(move.kind, operation, legs, now),), reservation=operation.reference)


def _finished(move: _Move, operation: Act, here: Sequence[LineRow], state: str) -> Refused:
    """Return why there is nothing at all to act on."""
    if state == "held":
        return NotConfirmed(move.verb, operation.reference)
    if state == "expired":
        return expired_hold(operation, here)
    where = f" at {operation.at!r}" if operation.at else ""
    return ReservationFinished(move.verb, operation.reference, state + where)

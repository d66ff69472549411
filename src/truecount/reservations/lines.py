"""
Reading reservation lines, and the legs that move their units. Pure.

A reservation is in its *hold* while every line of its round still has a deadline; it is
*placed* as soon as one has none (units that were allocated never run out). So what ran out
before an order was placed is told from what may still be held again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from truecount.errors import HoldExpired
from truecount.ledger.supply import Part
from truecount.model.instants import Instant, iso
from truecount.model.lines import NEVER, LineRow, opened
from truecount.model.movements import Leg
from truecount.model.places import State, inside
from truecount.model.stock import made
from truecount.protocols.storage import ORDER
from truecount.write.book import Book


def current_round(lines: Sequence[LineRow]) -> list[LineRow]:
    """Return the lines of the newest reservation under a reference."""
    return [line for line in lines if line.round == lines[-1].round] if lines else []


def status(lines: Sequence[LineRow], now: Instant, *, given_up: bool = False) -> str:
    """
    Return the status of a reservation, from its lines and the time.

    *given_up* tells that it was released as a whole, so that what had run out by then
    cannot be held again.

    >>> status([], 0)
    'released'
    """
    held = allocated = picked = shipped = expired = until = 0
    placed = False
    for line in lines:
        allocated += line.allocated
        picked += line.picked
        shipped += line.shipped
        expired += line.expired
        placed = placed or line.expires_at == NEVER
        if line.held:
            held += line.held
            until = max(until, line.expires_at)
    if allocated:
        return "confirmed"
    if picked:
        return "picked"
    if held:
        return "held" if until > now else "expired"
    if expired and not placed and not given_up:
        return "expired"
    return "shipped" if shipped else "released"


def is_given_up(order: Mapping[str, Any] | None, lines: Sequence[LineRow]) -> bool:
    """Return whether an order's document says that the round of *lines* was released whole."""
    return bool(order and lines) and (order or {}).get("given_up") == lines[-1].round


def state_in(book: Book, lines: Sequence[LineRow], now: Instant) -> str:
    """Return the status of the round of *lines*, some or all of it, as *book* has it."""
    given_up = is_given_up(book.document(ORDER, lines[-1].reference), lines)
    return status(lines, now, given_up=given_up)


def deadline(lines: Iterable[LineRow]) -> Instant:
    """Return when the hold of *lines* runs out or ran out, NEVER when none has a deadline."""
    return min((line.expires_at for line in lines if line.held or line.expired), default=NEVER)


def new_lines(
    reference: str, before: Sequence[LineRow], parts: Iterable[Part], round_: int, until: Instant
) -> list[LineRow]:
    """Return empty lines for *parts*, numbered after those *before*."""
    first = before[-1].number + 1 if before else 1
    return [
        opened(reference, part.key, number, round_, until)
        for number, part in enumerate(parts, first)
    ]


def entering(parts: Iterable[Part], lines: Iterable[LineRow], state: State) -> list[Leg]:
    """Return legs that take *parts* from SELLABLE into *state* for *lines*."""
    return [
        moving(line, quantity, State.SELLABLE, state)
        for (_, quantity), line in zip(parts, lines, strict=True)
    ]


def moving(line: LineRow, quantity: int, source: State, target: State) -> Leg:
    """Return the leg that moves units of *line* from one state to another."""
    sku, location, lot = line.key
    places = inside(location, source), inside(location, target)
    return made(Leg, (sku, lot, quantity, *places, line.number))


def taken(
    lines: Iterable[LineRow], sku: str, quantity: int, states: tuple[State, ...]
) -> Iterator[tuple[LineRow, State, int]]:
    """Yield up to *quantity* units of *sku*, state by state, line by line."""
    for state in states:
        for line in lines:
            part = min(quantity, getattr(line, state.value)) if line.key.sku == sku else 0
            if part:
                yield line, state, part
                quantity -= part


def units(lines: Iterable[LineRow], states: Iterable[State]) -> dict[str, int]:
    """Return how many units of each SKU are in *states*, SKUs without any left out."""
    total: dict[str, int] = {}
    for line in lines:
        found = sum(getattr(line, state.value) for state in states)
        if found:
            total[line.key.sku] = total.get(line.key.sku, 0) + found
    return total


def expired_hold(operation: Any, lines: Iterable[LineRow]) -> HoldExpired:
    """Return the refusal of an act on a hold that ran out."""
    return HoldExpired(operation.reference, iso(deadline(lines)))

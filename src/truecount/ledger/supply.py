"""
Supply: what may be taken from SELLABLE now, from which lot, reclaiming which holds.

Rules:
1. A key offers its sellable units and its expired holds; an expired lot offers nothing.
2. Lots not named go earliest expiry first, then oldest receipt, then by name.
3. Lots never net: a lot below zero takes nothing from another. Only the key without a lot
   may be promised below zero, down to the backorder limit.
4. An expired hold is reclaimed (a movement of its own) only where the units are needed,
   soonest expiry first, each line whole.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from truecount.model.instants import Instant
from truecount.model.kinds import Kind
from truecount.model.lines import LineRow
from truecount.model.movements import Body, Draft, Leg
from truecount.model.places import State, inside
from truecount.model.stock import StockKey, StockRow, made
from truecount.write.book import Book


_LAST: Final[Instant] = 2**63 - 1


class Part(NamedTuple):
    """A quantity to be taken from one stock key."""

    key: StockKey
    quantity: int


def is_expired(row: StockRow, now: Instant) -> bool:
    """Return whether the lot of *row* has expired."""
    return row.has_expired(now)


def offered(book: Book, key: StockKey, now: Instant, floor: int = 0) -> int:
    """
    Return how many units of *key* may be taken without leaving less than *floor*.

    Complexity: O(expired holds read for the key).
    """
    row = book.row(key)
    if row.has_expired(now):
        return 0
    units = row.sellable - (0 if key.lot else floor)
    for line in book.due(key):
        units += line.held
    return max(0, units)


def keys_first_expiry_first(book: Book, sku: str, location: str, lot: str | None) -> list[StockKey]:
    """Return the locked keys of *sku* at *location* in the order they are taken."""
    keys = list(book.keys_of(sku, location, lot))
    if len(keys) > 1:
        keys.sort(key=lambda key: _urgency(book.row(key), key))
    return keys


def _urgency(row: StockRow, key: StockKey) -> tuple[Instant, Instant, str]:
    return (_LAST if row.lot_expires_at is None else row.lot_expires_at, row.opened_at, key.lot)


def carried(book: Book, parts: Iterable[Part]) -> list[tuple[str, str, Instant]]:
    """Return the expiries of the lots of *parts*, for the keys they move to."""
    return [
        (key.sku, key.lot, expires_at)
        for key, _ in parts
        if (expires_at := book.row(key).lot_expires_at) is not None
    ]


def restored(book: Book, body: Body) -> Iterator[tuple[str, str, Instant]]:
    """
    Yield what takes the expiries a movement gave its lots back, as that movement's undo says it.

    Only where nobody has said another one since.
    """
    for key, _ in body.extends:
        told = [instant for sku, lot, instant in body.expiries if (sku, lot) == (key.sku, key.lot)]
        if told and told[0] != told[-1] == book.row(key).lot_expires_at:
            yield key.sku, key.lot, told[-1]
            yield key.sku, key.lot, told[0]


def take(
    book: Book,
    now: Instant,
    sku: str,
    location: str,
    quantity: int,
    *,
    lot: str | None = None,
    floor: int = 0,
) -> list[Part]:
    """
    Return parts that add up to *quantity*, or to less when less is offered.

    A negative *floor* (a backorder limit) is used last, on the key without a lot.
    """
    parts: list[Part] = []
    for key in keys_first_expiry_first(book, sku, location, lot):
        if quantity <= 0:
            break
        taken = min(quantity, offered(book, key, now))
        if taken:
            parts.append(made(Part, (key, taken)))
            quantity -= taken
    if quantity > 0 and floor < 0 and not lot:
        plain = StockKey(sku, location, "")
        already = sum(part.quantity for part in parts if part.key == plain)
        taken = min(quantity, offered(book, plain, now, floor) - already)
        if taken > 0:
            parts = [part for part in parts if part.key != plain]
            parts.append(Part(plain, already + taken))
    return parts


def reclaim(book: Book, now: Instant, parts: Iterable[Part]) -> Iterator[Draft]:
    """Yield the expiry of holds without which *parts* could not be taken."""
    for key, quantity in parts:
        missing = quantity - book.row(key).sellable
        if missing <= 0:
            continue
        for line in book.due(key):
            yield expiry(line, now)
            missing -= line.held
            if missing <= 0:
                break


def expiry(line: LineRow, now: Instant) -> Draft:
    """
    Return the movement that gives an expired hold back; its id comes from the line.

    A line can run out again only after a sale that had taken its units was undone.
    """
    location = line.key.location
    again = f".{line.expired}" if line.expired else ""
    leg = Leg(
        line.key.sku,
        line.key.lot,
        line.held,
        inside(location, State.HELD),
        inside(location, State.SELLABLE),
        line.number,
    )
    return Draft(
        Kind.EXPIRE,
        (leg,),
        now,
        guarded=False,
        id=f"expire/{line.reference}/{line.number}{again}",
        reference=line.reference,
    )

"""
Reservation lines: who owns the held, allocated and picked units of a key.

A reservation is named by its reference (the cart, the order). Each of its lines is one
part at one stock key. Lines are numbered through the life of the reference: a new
reservation made after a finished one is the next *round* and its lines follow on.

Invariants:
I2  A line is the fold of the legs that name it.
I9  Per key, the held, allocated and picked figures equal the sum over lines.
    held + allocated + picked + shipped + released + expired + short = reserved, each >= 0.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Final, NamedTuple

from truecount.errors import InternalError
from truecount.model.instants import Instant
from truecount.model.kinds import Kind
from truecount.model.movements import Body, Leg
from truecount.model.stock import StockKey, made


#: Later than any hold.
NEVER: Final[Instant] = 2**63 - 1


class LineRow(NamedTuple):
    """One line of a reservation, as stored."""

    reference: str
    number: int
    round: int
    key: StockKey
    reserved: int
    held: int
    allocated: int
    picked: int
    shipped: int
    released: int
    expired: int
    short: int
    #: When held units stop (or stopped) blocking others; NEVER once units were allocated.
    expires_at: Instant

    @property
    def open(self) -> int:
        """Units still promised."""
        return self.held + self.allocated + self.picked

    @property
    def counters(self) -> tuple[int, int, int, int, int, int, int, int]:
        """Reserved, held, allocated, picked, shipped, released, expired, short."""
        return self[4:12]

    def has_expired(self, now: Instant) -> bool:
        """Whether held units of this line block nobody any more."""
        return self.held > 0 and self.expires_at <= now


def opened(reference: str, key: StockKey, number: int, round_: int, expires_at: Instant) -> LineRow:
    """Return a line as it is opened: nothing reserved yet."""
    return made(LineRow, (reference, number, round_, key, 0, 0, 0, 0, 0, 0, 0, 0, expires_at))


#: Where each field of a line is.
_FIELD: Final = {name: number for number, name in enumerate(LineRow._fields)}
_EXPIRES_AT: Final = _FIELD["expires_at"]

_KEPT: Final = frozenset({"held", "allocated", "picked"})
_RELEASED: Final = {Kind.EXPIRE: "expired"}


@lru_cache(maxsize=1024)
def counter(name: str, kind: Kind) -> str:
    """
    Return which counter of a line a place's name stands for.

    >>> counter("customer", Kind.SHIP), counter("sellable", Kind.EXPIRE)
    ('shipped', 'expired')
    """
    if name in _KEPT:
        return name
    if name == "customer":
        return "shipped"
    if name == "sellable":
        return _RELEASED.get(kind, "released")
    return "short"


def moved(line: LineRow, leg: Leg, kind: Kind) -> LineRow:
    """
    Return *line* after a leg that names it.

    Units enter a line only from SELLABLE (they are then ``reserved``), and every later leg
    moves them from one counter to another, so the sum holds by construction.
    """
    values: list[Any] = list(line)
    values[_FIELD[counter(leg.target.name, kind)]] += leg.quantity
    if leg.source.name == "sellable":
        values[_FIELD["reserved"]] += leg.quantity
    else:
        source = _FIELD[counter(leg.source.name, kind)]
        values[source] -= leg.quantity
        if values[source] < 0:
            raise InternalError(f"{leg} takes more than {line} has")
    if leg.target.name == "allocated":
        values[_EXPIRES_AT] = NEVER
    return made(LineRow, values)


def follow(lines: dict[int, LineRow], reference: str, kind: Kind, body: Body) -> None:
    """
    Let a stored movement open and move the *lines* of its reference, by number.

    Raises:
        InternalError: A leg names a line that is not there, is of another key, or has less.
    """
    openings = {opening.number: opening for opening in body.opened}
    for leg in body.legs:
        if not leg.line:
            continue
        inner = leg.source if leg.source.is_inside else leg.target
        key = StockKey(leg.sku, inner.location, leg.lot)
        line = lines.get(leg.line)
        if line is None:
            if leg.line not in openings:
                raise InternalError(f"line {leg.line} of {reference!r} was never opened")
            line = opened(reference, key, *openings[leg.line])
        if line.key != key:
            raise InternalError(f"line {leg.line} of {reference!r} is of {line.key}, not {key}")
        lines[leg.line] = moved(line, leg, kind)

"""
Where goods can be: states inside a location, and the boundaries of the shop.

A *place* is (location, state) inside, or a boundary outside, which has no location.
Boundaries have no floor and no stored balance: what came from suppliers or went to
customers is the sum of the legs that say so.
"""

from __future__ import annotations

from enum import StrEnum
from functools import lru_cache
from typing import Final, NamedTuple

from truecount.errors import InvalidArgument


class State(StrEnum):
    """What a unit is doing at its location; the order is the order of stored figures."""

    SELLABLE = "sellable"
    HELD = "held"
    ALLOCATED = "allocated"
    PICKED = "picked"
    QUARANTINE = "quarantine"
    DAMAGED = "damaged"
    IN_TRANSIT = "in_transit"
    INCOMING = "incoming"


STATES: Final = tuple(State)
#: Position of each state in a figures tuple, by its stored name.
INDEX: Final[dict[str, int]] = {state.value: number for number, state in enumerate(STATES)}

#: Physically there.
ON_HAND: Final = frozenset(STATES[:6])
#: Promised to somebody; changed only through the reservation that owns it.
RESERVED: Final = frozenset({State.HELD, State.ALLOCATED, State.PICKED})
#: On hand and owned by nobody: what damage, scrap, counts and adjustments may touch.
FREE: Final = frozenset({State.SELLABLE, State.QUARANTINE, State.DAMAGED})


class Place(NamedTuple):
    """
    One end of a leg: (location, state name), or ("", boundary name).

    >>> inside("berlin", State.SELLABLE)
    Place(location='berlin', name='sellable')
    >>> CUSTOMER.is_inside
    False
    """

    location: str
    name: str

    @property
    def is_inside(self) -> bool:
        """Whether the place is in the shop, with a stored figure."""
        return self.location != ""

    def __str__(self) -> str:
        return f"{self.name}@{self.location}" if self.location else self.name


SUPPLIER: Final = Place("", "supplier")
CUSTOMER: Final = Place("", "customer")
ASSEMBLY: Final = Place("", "assembly")
OPENING: Final = Place("", "opening")


@lru_cache(maxsize=4096)
def inside(location: str, state: State) -> Place:
    """Return the place of *state* at *location*."""
    return Place(location, state.value)


def adjustment(reason: str) -> Place:
    """
    Return the boundary that explains a gain or loss.

    >>> str(adjustment("lost in transit"))
    'adjustment:lost in transit'
    """
    return Place("", f"adjustment:{reason}")


def state_among(allowed: frozenset[State], value: object, name: str = "state") -> State:
    """
    Return *value* as a State if it is one of *allowed*.

    >>> state_among(FREE, "damaged")
    <State.DAMAGED: 'damaged'>
    """
    try:
        state = State(value) if isinstance(value, str) else None
    except ValueError:
        state = None
    if state is None or state not in allowed:
        names = ", ".join(member.name for member in STATES if member in allowed)
        raise InvalidArgument(name, repr(value), f"one of {names}")
    return state

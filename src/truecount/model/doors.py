"""
Arguments at the door: what operations are made of, checked and brought into one form.

Each function takes what a caller passed as one argument and returns it as it is kept, or
raises an error that names the argument.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, TypeAlias

from truecount.errors import InvalidArgument, InvalidQuantity, InvalidTime
from truecount.model import instants, names, quantities
from truecount.model.places import FREE, ON_HAND, State, state_among
from truecount.model.quantities import QUANTITY_MAX


#: What is stored as it is: space, id, body.
Document: TypeAlias = tuple[str, str, dict[str, Any]]

_RECEIVED: Final = frozenset({State.SELLABLE, State.QUARANTINE})
_INSPECTED: Final = frozenset({State.SELLABLE, State.DAMAGED})
_UNFIT: Final = frozenset({State.DAMAGED, State.QUARANTINE})

#: How far a clock may be off, or a report be late, at most.
_SPAN_MAX: Final = timedelta(days=3653)

#: What a caller may pass for lines: a mapping of SKU to quantity, or pairs.
Lines: TypeAlias = Mapping[str, int] | Iterable[tuple[str, int]]


def _pairs(value: object, name: str, allowed: str) -> list[tuple[Any, Any]]:
    """Return what *value* pairs, a mapping or pairs, as a list."""
    if type(value) is dict and value:
        return list(value.items())
    pairs = value.items() if isinstance(value, Mapping) else value
    if isinstance(pairs, (str, bytes)) or not isinstance(pairs, Iterable):
        raise InvalidArgument(name, names.shown(value), allowed)
    found = []
    for pair in pairs:
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:  # noqa: PLR2004 -- a pair
            raise InvalidArgument(name, names.shown(pair), allowed)
        found.append((pair[0], pair[1]))
    if not found:
        raise InvalidArgument(name, "of nothing", f"{allowed}, at least one")
    return found


def lines(value: Lines) -> tuple[tuple[str, int], ...]:
    """Return a mapping or pairs of SKU and quantity, equal SKUs added up, sorted."""
    total: dict[str, int] = {}
    for sku, quantity in _pairs(value, "lines", "a mapping of SKU to quantity"):
        known = total.get(names.sku(sku), 0)
        try:
            total[sku] = quantities.positive(known + quantities.positive(quantity))
        except InvalidQuantity as error:
            raise _of(sku, error) from None
    return tuple(total.items()) if len(total) == 1 else tuple(sorted(total.items()))


def _of(sku: str, error: InvalidQuantity) -> InvalidQuantity:
    """Return *error* naming the line of many it is about."""
    return InvalidQuantity(error.name, f"{error.seen} of {names.shown(sku)}", error.allowed)


def optional_lines(value: Lines | None) -> tuple[tuple[str, int], ...] | None:
    """Return lines, or None where all there is was meant."""
    return None if value is None else lines(value)


def targets(value: Lines) -> tuple[tuple[str, int], ...]:
    """Return each SKU once with the quantity wanted from now on; 0 takes the SKU out."""
    wanted: dict[str, int] = {}
    for sku, quantity in _pairs(value, "lines", "a mapping of SKU to quantity"):
        if names.sku(sku) in wanted:
            raise InvalidArgument("lines", names.shown(sku), "each SKU once")
        try:
            wanted[sku] = quantities.natural(quantity)
        except InvalidQuantity as error:
            raise _of(sku, error) from None
    return tuple(sorted(wanted.items()))


def holds(value: Iterable[tuple[str, int]]) -> tuple[tuple[str, int], ...]:
    """Return pairs of reference and line number."""
    pairs = _pairs(value, "holds", "pairs of reference and line number")
    return tuple((names.reference(ref), quantities.positive(number)) for ref, number in pairs)


def documents(value: Iterable[Document]) -> tuple[Document, ...]:
    """Return documents with bodies of their own."""
    return tuple((space, id_, dict(body)) for space, id_, body in value)


def free_state(value: State | str) -> State:
    """Return a state that nobody owns."""
    return state_among(FREE, value)


def into(value: State | str) -> State:
    """Return the state returned units go into."""
    return state_among(FREE, value, "into")


def received_into(value: State | str) -> State:
    """Return the state received units go into."""
    return state_among(_RECEIVED, value, "into")


def inspected_into(value: State | str) -> State:
    """Return the state inspected units go into."""
    return state_among(_INSPECTED, value, "into")


def short_into(value: State | str | None) -> State | None:
    """Return the state unfit units go into, None for missing ones."""
    return None if value is None else state_among(_UNFIT, value, "into")


def covers(value: Iterable[State | str]) -> frozenset[State]:
    """Return the states a count covers."""
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise InvalidArgument("covers", names.shown(value), "a set of on-hand states")
    states = frozenset(state_among(ON_HAND, item, "covers") for item in value)
    if State.SELLABLE not in states:
        raise InvalidArgument("covers", names.shown(value), "a set with SELLABLE in it")
    return states


def ttl(value: timedelta) -> timedelta:
    """Return how long a hold lasts."""
    return instants.duration(value, "ttl")


def partial(value: bool) -> bool:  # noqa: FBT001 -- the only argument of a converter
    """Return whether less than all will do."""
    return _truth("partial", value)


def kits_apart(value: bool) -> bool:  # noqa: FBT001 -- the only argument of a converter
    """Return whether one bundle may be put together from several locations."""
    return _truth("kits_apart", value)


def _truth(name: str, value: object) -> bool:
    if type(value) is not bool:
        raise InvalidArgument(name, names.shown(value), "True or False")
    return value


def on_expired(value: str) -> str:
    """Return what confirming does about a hold that ran out."""
    if value not in {"refuse", "rehold"}:
        raise InvalidArgument("on_expired", names.shown(value), "'refuse' or 'rehold'")
    return value


def quantity(value: int) -> int:
    """Return a quantity that may be none."""
    return quantities.natural(value)


def rejected(value: int) -> int:
    """Return how many units were sent straight back."""
    return quantities.natural(value, "rejected")


def change(value: int) -> int:
    """Return by how much a figure changes."""
    return quantities.signed(value, "change")


def refuse_below(value: int) -> int:
    """Return the figure that must be left."""
    return quantities.natural(value, "refuse_below")


def counted_at(value: datetime) -> datetime:
    """Return when a shelf was counted."""
    return instants.moment(value, "counted_at")


def counted_from(value: datetime) -> datetime:
    """Return when counting began."""
    return instants.moment(value, "counted_from")


def due_at(value: datetime) -> datetime:
    """Return when something is due."""
    return instants.moment(value, "due_at")


def lot_expires_at(value: datetime) -> datetime:
    """Return when a lot expires."""
    return instants.moment(value, "lot_expires_at")


def counted_until(value: datetime) -> datetime:
    """Return when counting ended."""
    return instants.moment(value, "counted_until")


def seen_at(value: datetime) -> datetime:
    """Return when something was seen, at the earliest."""
    return instants.moment(value, "seen_at")


def seen_until(value: datetime) -> datetime:
    """Return when something was seen, at the latest."""
    return instants.moment(value, "seen_until")


# --- what others see and show -------------------------------------------------------------


def complete(value: bool) -> bool:  # noqa: FBT001 -- the only argument of a converter
    """Return whether a list has everything."""
    return _truth("complete", value)


def skew(value: timedelta) -> timedelta:
    """Return how far a clock may be off."""
    return _span("skew", value)


def late(value: timedelta) -> timedelta:
    """Return how late a report may come."""
    return _span("late", value)


def _span(name: str, value: object) -> timedelta:
    if not isinstance(value, timedelta) or not timedelta(0) <= value <= _SPAN_MAX:
        raise InvalidTime(name, names.shown(value), "expected a timedelta from zero to ten years")
    return value


def safety(value: int) -> int:
    """Return how many units a system keeps back."""
    return quantities.natural(value, "safety")


def pack(value: int) -> int:
    """Return how many units a system sells together."""
    return quantities.positive(value, "pack")


def cap(value: int) -> int:
    """Return the highest level a system shows."""
    return quantities.natural(value, "cap")


def lowest(value: int) -> int:
    """Return the lowest level a system shows."""
    return _level("lowest", value)


def level(value: int) -> int:
    """Return a quantity a system shows, which may be below zero."""
    return _level("quantity", value)


def _level(name: str, value: int) -> int:
    if type(value) is not int or not -QUANTITY_MAX <= value <= QUANTITY_MAX:
        allowed = f"whole numbers (int) from {-QUANTITY_MAX} to {QUANTITY_MAX}"
        raise InvalidQuantity(name, names.shown(value), allowed)
    return value


def places(value: str | Iterable[str] | None) -> frozenset[str] | None:
    """Return one location, or several, as a set; None for all."""
    if value is None:
        return None
    if not isinstance(value, Iterable):
        raise InvalidArgument("at", names.shown(value), "a location, several, or None for all")
    found = frozenset(map(names.location, [value] if isinstance(value, str) else value))
    if not found:
        raise InvalidArgument("at", "of nothing", "a location, several, or None for all")
    return found

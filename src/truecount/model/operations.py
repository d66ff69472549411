"""
Everything a caller can say to the ledger: facts (past participles) and commands (verbs).

An operation is a frozen value, checked completely when it is made; nothing behind it
checks again. ``inventory.receive(...)`` is only a shorter way to hand over one
``Received(...)``; lists of them go through ``inventory.record`` and ``inventory.submit``.

Rules:
1. A *fact* is recorded whatever the book says; what the book cannot explain becomes a
   finding. A *command* is granted or refused.
2. ``key`` names one attempt; ``reference`` names the document and may be reused.
3. The fingerprint of an operation is what the caller asked: all of it except the key, and
   except the round, which only a ``Reservation`` handed over in place of its reference adds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from functools import cache
from hashlib import blake2b
from operator import attrgetter
from typing import Any, ClassVar, Final, Self, TypeAlias

import attrs
from attrs.converters import optional

from truecount.errors import InvalidArgument, InvalidData
from truecount.model import instants, names, quantities
from truecount.model.movements import encode
from truecount.model.places import FREE, ON_HAND, State, state_among


SCHEMA: Final = 1

#: What is stored as it is: space, id, body.
Document: TypeAlias = tuple[str, str, dict[str, Any]]

_OPERATIONS: dict[str, type[Operation]] = {}

_RECEIVED: Final = frozenset({State.SELLABLE, State.QUARANTINE})
_INSPECTED: Final = frozenset({State.SELLABLE, State.DAMAGED})
_UNFIT: Final = frozenset({State.DAMAGED, State.QUARANTINE})


#: What a caller may pass for lines: a mapping of SKU to quantity, or pairs.
Lines: TypeAlias = Mapping[str, int] | Iterable[tuple[str, int]]


def _pairs(value: object, name: str, allowed: str) -> list[tuple[Any, Any]]:
    """Return what *value* pairs, a mapping or pairs, as a list."""
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


def _lines(value: Lines) -> tuple[tuple[str, int], ...]:
    """Return a mapping or pairs of SKU and quantity, equal SKUs added up, sorted."""
    total: dict[str, int] = {}
    for sku, quantity in _pairs(value, "lines", "a mapping of SKU to quantity"):
        known = total.get(names.sku(sku), 0)
        total[sku] = quantities.positive(known + quantities.positive(quantity))
    return tuple(total.items()) if len(total) == 1 else tuple(sorted(total.items()))


def _optional_lines(value: Lines | None) -> tuple[tuple[str, int], ...] | None:
    return None if value is None else _lines(value)


def _targets(value: Lines) -> tuple[tuple[str, int], ...]:
    """Return each SKU once with the quantity wanted from now on; 0 takes the SKU out."""
    wanted: dict[str, int] = {}
    for sku, quantity in _pairs(value, "lines", "a mapping of SKU to quantity"):
        if names.sku(sku) in wanted:
            raise InvalidArgument("lines", names.shown(sku), "each SKU once")
        wanted[sku] = quantities.natural(quantity)
    return tuple(sorted(wanted.items()))


def _holds(value: Iterable[tuple[str, int]]) -> tuple[tuple[str, int], ...]:
    pairs = _pairs(value, "holds", "pairs of reference and line number")
    return tuple((names.reference(ref), quantities.positive(number)) for ref, number in pairs)


def _documents(value: Iterable[Document]) -> tuple[Document, ...]:
    return tuple((space, id_, dict(body)) for space, id_, body in value)


def _free_state(value: State | str) -> State:
    return state_among(FREE, value)


def _into(value: State | str) -> State:
    return state_among(FREE, value, "into")


def _received_into(value: State | str) -> State:
    return state_among(_RECEIVED, value, "into")


def _inspected_into(value: State | str) -> State:
    return state_among(_INSPECTED, value, "into")


def _short_into(value: State | str | None) -> State | None:
    return None if value is None else state_among(_UNFIT, value, "into")


def _covers(value: Iterable[State | str]) -> frozenset[State]:
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise InvalidArgument("covers", names.shown(value), "a set of on-hand states")
    states = frozenset(state_among(ON_HAND, item, "covers") for item in value)
    if State.SELLABLE not in states:
        raise InvalidArgument("covers", names.shown(value), "a set with SELLABLE in it")
    return states


def _ttl(value: timedelta) -> timedelta:
    return instants.duration(value, "ttl")


def _partial(value: bool) -> bool:  # noqa: FBT001 -- the only argument of a converter
    if type(value) is not bool:
        raise InvalidArgument("partial", names.shown(value), "True or False")
    return value


def _on_expired(value: str) -> str:
    if value not in {"refuse", "rehold"}:
        raise InvalidArgument("on_expired", names.shown(value), "'refuse' or 'rehold'")
    return value


def _quantity(value: int) -> int:
    return quantities.natural(value)


def _rejected(value: int) -> int:
    return quantities.natural(value, "rejected")


def _change(value: int) -> int:
    return quantities.signed(value, "change")


def _refuse_below(value: int) -> int:
    return quantities.natural(value, "refuse_below")


def _counted_at(value: datetime) -> datetime:
    return instants.moment(value, "counted_at")


def _due_at(value: datetime) -> datetime:
    return instants.moment(value, "due_at")


def _lot_expires_at(value: datetime) -> datetime:
    return instants.moment(value, "lot_expires_at")


@attrs.frozen(kw_only=True)
class Operation:
    """What every operation carries besides its own words."""

    #: Facts are recorded whatever the book says; commands may be refused.
    is_fact: ClassVar[bool] = True

    key: str | None = attrs.field(default=None, converter=optional(names.key))
    reference: str | None = attrs.field(default=None, converter=optional(names.reference))
    reason: str | None = attrs.field(default=None, converter=optional(names.reason))
    actor: str | None = attrs.field(default=None, converter=optional(names.actor))
    origin: str | None = attrs.field(default=None, converter=optional(names.origin))
    occurred_at: datetime | None = attrs.field(default=None, converter=optional(instants.moment))

    def __init_subclass__(cls) -> None:
        """Register the class under its name for ``from_dict``."""
        if not cls.__name__.startswith("_"):
            _OPERATIONS[cls.__name__] = cls

    @property
    def needs_key(self) -> bool:
        """Whether repeating it without a caller's key could count twice, unnoticed."""
        return False

    @property
    def is_command(self) -> bool:
        """Whether it may be refused."""
        return not self.is_fact

    def fingerprint(self) -> str:
        """
        Return what tells this request from another under the same key.

        >>> a = Sold("MUG", 3, at="berlin", key="etsy-1")
        >>> a.fingerprint() == attrs.evolve(a, key="etsy-2").fingerprint()
        True
        >>> a.fingerprint() == Sold("MUG", 4, at="berlin").fingerprint()
        False
        """
        asked = _asked(type(self))  # type: ignore[arg-type]  # a class is hashable itself
        words = encode((type(self).__name__, asked(self)))
        return blake2b(words.encode(), digest_size=16).hexdigest()

    def to_dict(self) -> dict[str, Any]:
        """
        Return the operation as plain data, for JSON.

        >>> Sold("MUG", 3, at="berlin", key="etsy-1").to_dict()
        {'type': 'Sold', 'schema': 1, 'key': 'etsy-1', 'sku': 'MUG', 'quantity': 3, 'at': 'berlin'}
        """
        data: dict[str, Any] = {"type": type(self).__name__, "schema": SCHEMA}
        for field in attrs.fields(type(self)):
            value = getattr(self, field.name)
            if value != field.default:
                data[field.name] = _plain(value)
        return data

    @staticmethod
    def from_dict(data: Mapping[str, Any]) -> Operation:
        """
        Return the operation that ``to_dict`` described, checked anew.

        >>> Operation.from_dict(Sold("MUG", 3, at="berlin").to_dict())
        Sold(sku='MUG', quantity=3, at='berlin')
        """
        if not isinstance(data, Mapping):
            raise InvalidData("an operation", f"{names.shown(data)} is not a mapping")
        kind = _OPERATIONS.get(str(data.get("type")))
        if kind is None or data.get("schema") != SCHEMA:
            seen = f"type {data.get('type')!r} schema {data.get('schema')!r}"
            raise InvalidData("an operation", f"{seen} is unknown")
        known = {field.name for field in attrs.fields(kind)}
        values = {name: value for name, value in data.items() if name not in {"type", "schema"}}
        unknown = [name for name in values if name not in known]
        if unknown:
            raise InvalidData("an operation", f"{kind.__name__} has no field {unknown[0]!r}")
        try:
            return kind(**{name: _revived(name, value) for name, value in values.items()})
        except TypeError as error:
            raise InvalidData("an operation", str(error)) from error

    def with_key(self, key: str) -> Self:
        """Return the same request under a key."""
        return attrs.evolve(self, key=key)

    def __repr__(self) -> str:
        return _repr(self)


def _repr(operation: Operation) -> str:
    fields = sorted(attrs.fields(type(operation)), key=lambda f: f.default is not attrs.NOTHING)
    words = [
        f"{field.name}={value!r}"
        for field in fields
        if (value := getattr(operation, field.name)) != field.default
    ]
    return f"{type(operation).__name__}({', '.join(words)})"


@cache
def _asked(kind: type[Operation]) -> Callable[[Operation], tuple[Any, ...]]:
    """Return the getter of what the caller asked."""
    names_asked = (field.name for field in attrs.fields(kind))
    return attrgetter(*(name for name in names_asked if name not in ("key", "round")))


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, (str, int)):
        return value
    if isinstance(value, datetime):
        return instants.iso(instants.to_instant(value))
    if isinstance(value, timedelta):
        return instants.microseconds(value)
    if isinstance(value, frozenset):
        return sorted(value)
    return value


def _revived(name: str, value: Any) -> Any:
    if name.endswith("_at") and isinstance(value, str):
        try:
            return datetime.fromisoformat(value)
        except ValueError as error:
            raise InvalidData("an operation", f"{name} {value!r} is not ISO 8601") from error
    if name == "ttl" and type(value) is int:
        try:
            return timedelta(microseconds=value)
        except OverflowError as error:
            raise InvalidData("an operation", f"ttl {value} is not in microseconds") from error
    return value


# --- Facts of the stock ledger ----------------------------------------------------------


@attrs.frozen(repr=False)
class Opened(Operation):
    """Opening stock: what was there when the book began."""

    sku: str = attrs.field(converter=names.sku)
    quantity: int = attrs.field(converter=quantities.positive)
    at: str = attrs.field(kw_only=True, converter=names.location)
    state: State = attrs.field(default=State.SELLABLE, kw_only=True, converter=_free_state)
    lot: str = attrs.field(default="", kw_only=True, converter=names.lot)
    lot_expires_at: datetime | None = attrs.field(
        default=None, kw_only=True, converter=optional(_lot_expires_at)
    )

    def __attrs_post_init__(self) -> None:
        _check_expiry(self)


def _check_expiry(operation: Opened | Received) -> None:
    if operation.lot_expires_at is not None and not operation.lot:
        raise InvalidArgument("lot_expires_at", "without a lot", "lot= as well")


def _check_route(operation: Relocate | TransferOut) -> None:
    if operation.source == operation.target:
        raise InvalidArgument("target", repr(operation.target), "another location than the source")


def _check_recipe(operation: Assemble | Disassemble) -> None:
    if any(sku == operation.sku for sku, _ in operation.components):
        seen = repr(operation.sku)
        raise InvalidArgument("components", seen, "components other than the kit itself")


@attrs.frozen(repr=False, kw_only=True)
class _Delivered(Operation):
    reference: str = attrs.field(converter=names.reference)


@attrs.frozen(repr=False)
class Expected(_Delivered):
    """Ordered from a supplier under *reference*; due at *due_at*."""

    sku: str = attrs.field(converter=names.sku)
    quantity: int = attrs.field(converter=quantities.positive)
    at: str = attrs.field(kw_only=True, converter=names.location)
    due_at: datetime | None = attrs.field(default=None, kw_only=True, converter=optional(_due_at))


@attrs.frozen(repr=False)
class Received(Operation):
    """
    A delivery: *quantity* accepted, *rejected* sent straight back.

    With a *reference* of an expected order it uses up that order's line first; the surplus
    comes from the supplier directly and is noted.
    """

    sku: str = attrs.field(converter=names.sku)
    quantity: int = attrs.field(converter=_quantity)
    at: str = attrs.field(kw_only=True, converter=names.location)
    into: State = attrs.field(default=State.SELLABLE, kw_only=True, converter=_received_into)
    lot: str = attrs.field(default="", kw_only=True, converter=names.lot)
    lot_expires_at: datetime | None = attrs.field(
        default=None, kw_only=True, converter=optional(_lot_expires_at)
    )
    rejected: int = attrs.field(default=0, kw_only=True, converter=_rejected)

    def __attrs_post_init__(self) -> None:
        quantities.positive(self.quantity + self.rejected, "quantity and rejected together")
        _check_expiry(self)


@attrs.frozen(repr=False)
class DeliveryClosed(_Delivered):
    """The rest of an expected order line will not come."""

    sku: str = attrs.field(converter=names.sku)
    at: str = attrs.field(kw_only=True, converter=names.location)


@attrs.frozen(repr=False)
class Sold(Operation):
    """
    A sale that already happened: a till, a channel.

    With the *reference* of a reservation it takes what that still has, then from the
    shelf. Lots not named go earliest expiry first.
    """

    sku: str = attrs.field(converter=names.sku)
    quantity: int = attrs.field(converter=quantities.positive)
    at: str = attrs.field(kw_only=True, converter=names.location)
    lot: str | None = attrs.field(default=None, kw_only=True, converter=optional(names.lot))


@attrs.frozen(repr=False)
class Returned(Operation):
    """A customer's return that already happened, whatever its order says."""

    sku: str = attrs.field(converter=names.sku)
    quantity: int = attrs.field(converter=quantities.positive)
    at: str = attrs.field(kw_only=True, converter=names.location)
    into: State = attrs.field(default=State.QUARANTINE, kw_only=True, converter=_into)
    lot: str = attrs.field(default="", kw_only=True, converter=names.lot)


@attrs.frozen(repr=False)
class Inspected(Operation):
    """Quarantined units were judged fit (SELLABLE) or unfit (DAMAGED)."""

    sku: str = attrs.field(converter=names.sku)
    quantity: int = attrs.field(converter=quantities.positive)
    at: str = attrs.field(kw_only=True, converter=names.location)
    into: State = attrs.field(kw_only=True, converter=_inspected_into)
    lot: str = attrs.field(default="", kw_only=True, converter=names.lot)


@attrs.frozen(repr=False)
class Damaged(Operation):
    """Units were found damaged."""

    sku: str = attrs.field(converter=names.sku)
    quantity: int = attrs.field(converter=quantities.positive)
    at: str = attrs.field(kw_only=True, converter=names.location)
    state: State = attrs.field(default=State.SELLABLE, kw_only=True, converter=_free_state)
    lot: str = attrs.field(default="", kw_only=True, converter=names.lot)

    def __attrs_post_init__(self) -> None:
        if self.state is State.DAMAGED:
            raise InvalidArgument("state", "DAMAGED", "one of SELLABLE, QUARANTINE")


@attrs.frozen(repr=False, kw_only=True)
class _Explained(Operation):
    reason: str = attrs.field(converter=names.reason)


@attrs.frozen(repr=False)
class Scrapped(_Explained):
    """Units were thrown away, for *reason*."""

    sku: str = attrs.field(converter=names.sku)
    quantity: int = attrs.field(converter=quantities.positive)
    at: str = attrs.field(kw_only=True, converter=names.location)
    state: State = attrs.field(default=State.DAMAGED, kw_only=True, converter=_free_state)
    lot: str = attrs.field(default="", kw_only=True, converter=names.lot)


@attrs.frozen(repr=False)
class ReturnedToSupplier(Operation):
    """Units went back to their supplier."""

    sku: str = attrs.field(converter=names.sku)
    quantity: int = attrs.field(converter=quantities.positive)
    at: str = attrs.field(kw_only=True, converter=names.location)
    state: State = attrs.field(default=State.QUARANTINE, kw_only=True, converter=_free_state)
    lot: str = attrs.field(default="", kw_only=True, converter=names.lot)


@attrs.frozen(repr=False)
class Adjusted(_Explained):
    """
    A correction of *change* units for *reason*.

    With *refuse_below* it is a command: refused when it would leave less than that.
    """

    sku: str = attrs.field(converter=names.sku)
    change: int = attrs.field(converter=_change)
    at: str = attrs.field(kw_only=True, converter=names.location)
    state: State = attrs.field(default=State.SELLABLE, kw_only=True, converter=_free_state)
    lot: str = attrs.field(default="", kw_only=True, converter=names.lot)
    refuse_below: int | None = attrs.field(
        default=None, kw_only=True, converter=optional(_refuse_below)
    )

    @property
    def is_command(self) -> bool:
        """Whether *refuse_below* makes it one."""
        return self.refuse_below is not None


@attrs.frozen(repr=False)
class Counted(Operation):
    """
    The shelf held *quantity* of the states it *covers* at *counted_at* (default: now).

    The variance is taken against the book as of that moment, so later movements survive.
    """

    sku: str = attrs.field(converter=names.sku)
    quantity: int = attrs.field(converter=_quantity)
    at: str = attrs.field(kw_only=True, converter=names.location)
    counted_at: datetime | None = attrs.field(
        default=None, kw_only=True, converter=optional(_counted_at)
    )
    covers: frozenset[State] = attrs.field(
        default=ON_HAND - {State.PICKED}, kw_only=True, converter=_covers
    )
    lot: str = attrs.field(default="", kw_only=True, converter=names.lot)

    def __attrs_post_init__(self) -> None:
        both = self.counted_at is not None and self.occurred_at is not None
        if both and self.counted_at != self.occurred_at:
            raise InvalidArgument(
                "occurred_at",
                repr(self.occurred_at),
                "none beside counted_at: a count happened then",
            )


@attrs.frozen(repr=False)
class Arrived(_Delivered):
    """Units of transfer *reference* came out of transit, sellable."""

    lines: tuple[tuple[str, int], ...] = attrs.field(converter=_lines)


@attrs.frozen(repr=False)
class Rejected(_Delivered):
    """Units of transfer *reference* arrived but were not accepted: into quarantine."""

    lines: tuple[tuple[str, int], ...] = attrs.field(converter=_lines)


@attrs.frozen(repr=False)
class Lost(_Delivered):
    """Units of transfer *reference* will not arrive."""

    lines: tuple[tuple[str, int], ...] = attrs.field(converter=_lines)


# --- Commands of the stock ledger -------------------------------------------------------


@attrs.frozen(repr=False)
class Relocate(Operation):
    """Move free units from one location to another in one step."""

    is_fact = False
    sku: str = attrs.field(converter=names.sku)
    quantity: int = attrs.field(converter=quantities.positive)
    source: str = attrs.field(kw_only=True, converter=names.location)
    target: str = attrs.field(kw_only=True, converter=names.location)
    state: State = attrs.field(default=State.SELLABLE, kw_only=True, converter=_free_state)
    lot: str | None = attrs.field(default=None, kw_only=True, converter=optional(names.lot))

    def __attrs_post_init__(self) -> None:
        _check_route(self)


@attrs.frozen(repr=False)
class TransferOut(_Delivered):
    """Send units on their way to another location, under one transfer *reference*."""

    is_fact = False
    lines: tuple[tuple[str, int], ...] = attrs.field(converter=_lines)
    source: str = attrs.field(kw_only=True, converter=names.location)
    target: str = attrs.field(kw_only=True, converter=names.location)
    due_at: datetime | None = attrs.field(default=None, kw_only=True, converter=optional(_due_at))

    def __attrs_post_init__(self) -> None:
        _check_route(self)


@attrs.frozen(repr=False)
class Assemble(Operation):
    """Make *quantity* stocked kits out of *components* (quantities for one kit)."""

    is_fact = False
    sku: str = attrs.field(converter=names.sku)
    quantity: int = attrs.field(converter=quantities.positive)
    components: tuple[tuple[str, int], ...] = attrs.field(converter=_lines)
    at: str = attrs.field(kw_only=True, converter=names.location)

    def __attrs_post_init__(self) -> None:
        _check_recipe(self)


@attrs.frozen(repr=False)
class Disassemble(Operation):
    """Take *quantity* stocked kits apart into *components* (quantities for one kit)."""

    is_fact = False
    sku: str = attrs.field(converter=names.sku)
    quantity: int = attrs.field(converter=quantities.positive)
    components: tuple[tuple[str, int], ...] = attrs.field(converter=_lines)
    at: str = attrs.field(kw_only=True, converter=names.location)

    def __attrs_post_init__(self) -> None:
        _check_recipe(self)


@attrs.frozen(repr=False)
class Correct(_Explained):
    """
    Replace a mistyped movement: its reversal and the right one, in one movement.

    Only what is named changes; ``quantity=0`` takes the movement back altogether.
    """

    is_fact = False
    movement_id: str = attrs.field(converter=names.movement_id)
    quantity: int | None = attrs.field(default=None, kw_only=True, converter=optional(_quantity))
    sku: str | None = attrs.field(default=None, kw_only=True, converter=optional(names.sku))
    at: str | None = attrs.field(default=None, kw_only=True, converter=optional(names.location))
    lot: str | None = attrs.field(default=None, kw_only=True, converter=optional(names.lot))

    def __attrs_post_init__(self) -> None:
        if self.quantity is None and self.sku is None and self.at is None and self.lot is None:
            raise InvalidArgument("correction", "of nothing", "quantity, sku, at or lot to change")


@attrs.frozen(repr=False)
class Undo(_Explained):
    """Take a whole movement back: the same legs the other way round."""

    is_fact = False
    movement_id: str = attrs.field(converter=names.movement_id)


# --- Reservations -----------------------------------------------------------------------


@attrs.frozen(repr=False, kw_only=True)
class _Owned(Operation):
    is_fact = False
    reference: str = attrs.field(converter=names.reference)


@attrs.frozen(repr=False, kw_only=True)
class _Act(_Owned):
    """An act on a reservation; with *round* on that one alone, not on a later one."""

    round: int | None = attrs.field(default=None, converter=optional(_quantity))


@attrs.frozen(repr=False, kw_only=True)
class _PartAct(_Act):
    """An act on all of a reservation (safe to repeat) or on the lines named."""

    @property
    def needs_key(self) -> bool:
        """Whether lines are named: a second "ship one" is another one."""
        return getattr(self, "lines", None) is not None


@attrs.frozen(repr=False)
class Reserve(_Owned):
    """
    Hold units for *reference* until *ttl* has passed.

    All lines or nothing unless *partial*; from *at* only, or from wherever the sourcing
    policy says.
    """

    lines: tuple[tuple[str, int], ...] = attrs.field(converter=_lines)
    at: str | None = attrs.field(default=None, kw_only=True, converter=optional(names.location))
    lot: str | None = attrs.field(default=None, kw_only=True, converter=optional(names.lot))
    ttl: timedelta | None = attrs.field(default=None, kw_only=True, converter=optional(_ttl))
    partial: bool = attrs.field(default=False, kw_only=True, converter=_partial)


@attrs.frozen(repr=False)
class Confirm(_Act):
    """The cart became an order: its holds no longer expire."""

    on_expired: str = attrs.field(default="refuse", kw_only=True, converter=_on_expired)


@attrs.frozen(repr=False)
class Release(_PartAct):
    """Give units back before they are picked; all of them when no lines are named."""

    lines: tuple[tuple[str, int], ...] | None = attrs.field(default=None, converter=_optional_lines)


@attrs.frozen(repr=False)
class Amend(_Act):
    """Set how many units of each named SKU the reservation has, in one step."""

    lines: tuple[tuple[str, int], ...] = attrs.field(converter=_targets)
    at: str | None = attrs.field(default=None, kw_only=True, converter=optional(names.location))


@attrs.frozen(repr=False)
class Pick(_PartAct):
    """Take allocated units off the shelf; all of them when no lines are named."""

    lines: tuple[tuple[str, int], ...] | None = attrs.field(default=None, converter=_optional_lines)
    at: str | None = attrs.field(default=None, kw_only=True, converter=optional(names.location))


@attrs.frozen(repr=False)
class ShortPick(_PartAct):
    """The picker found units missing (default) or unfit (*into* DAMAGED or QUARANTINE)."""

    is_fact = True
    lines: tuple[tuple[str, int], ...] = attrs.field(converter=_lines)
    at: str | None = attrs.field(default=None, kw_only=True, converter=optional(names.location))
    into: State | None = attrs.field(default=None, kw_only=True, converter=_short_into)


@attrs.frozen(repr=False)
class Ship(_PartAct):
    """Units leave for the customer, picked ones first; all when no lines are named."""

    lines: tuple[tuple[str, int], ...] | None = attrs.field(default=None, converter=_optional_lines)
    at: str | None = attrs.field(default=None, kw_only=True, converter=optional(names.location))


@attrs.frozen(repr=False)
class TakeBack(_Owned):
    """Take a customer's return, at most what the reference shipped and did not return yet."""

    @property
    def needs_key(self) -> bool:
        """Whether a caller's key is needed: a second "one came back" is another one."""
        return True

    lines: tuple[tuple[str, int], ...] = attrs.field(converter=_lines)
    at: str | None = attrs.field(default=None, kw_only=True, converter=optional(names.location))
    into: State = attrs.field(default=State.QUARANTINE, kw_only=True, converter=_into)


@attrs.frozen(repr=False)
class Expire(Operation):
    """Reclaim holds that have run out: pairs of reference and line number."""

    holds: tuple[tuple[str, int], ...] = attrs.field(converter=_holds)


# --- Shop rules -------------------------------------------------------------------------


@attrs.frozen(repr=False)
class Put(Operation):
    """Store documents (space, id, body), replacing what is there: locations, policies."""

    documents: tuple[Document, ...] = attrs.field(converter=_documents)

"""
Everything a caller can say to the ledger: facts (past participles) and commands (verbs).

An operation is a frozen value, checked completely when it is made; nothing behind it
checks again. ``inventory.receive(...)`` is only a shorter way to hand over one
``Received(...)``; lists of them go through ``inventory.record`` and ``inventory.submit``.

Rules:
1. A *fact* is recorded whatever the book says; what the book cannot explain becomes a
   finding. A *command* is granted or refused.
2. ``key`` names one attempt; ``reference`` names the document and may be reused.
3. The fingerprint of an operation is what the caller asked, all of it except the key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from functools import cache
from hashlib import blake2b
from operator import attrgetter
from typing import Any, ClassVar, Final, Self

import attrs

from truecount.errors import InvalidArgument, InvalidData
from truecount.model import instants, names, quantities
from truecount.model.movements import encode
from truecount.model.places import FREE, ON_HAND, State, state_among


SCHEMA: Final = 1

_OPERATIONS: dict[str, type[Operation]] = {}


def _lines(value: object) -> tuple[tuple[str, int], ...]:
    """Return a mapping or pairs of SKU and quantity, equal SKUs added up, sorted."""
    pairs = list(value.items()) if isinstance(value, Mapping) else value
    if not isinstance(pairs, Iterable) or isinstance(pairs, (str, bytes)):
        raise InvalidArgument("lines", names.shown(value), "a mapping of SKU to quantity")
    total: dict[str, int] = {}
    for pair in pairs:
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:  # noqa: PLR2004 -- a pair
            raise InvalidArgument("lines", names.shown(pair), "pairs of SKU and quantity")
        sku, quantity = pair
        sku = names.sku(sku)
        total[sku] = quantities.positive(total.get(sku, 0) + quantities.positive(quantity))
    if not total:
        raise InvalidArgument("lines", names.shown(value), "at least one SKU with its quantity")
    return tuple(total.items()) if len(total) == 1 else tuple(sorted(total.items()))


def _optional_lines(value: object) -> tuple[tuple[str, int], ...] | None:
    return None if value is None else _lines(value)


def _targets(value: object) -> tuple[tuple[str, int], ...]:
    """Return SKU and the quantity wanted from now on; 0 takes the SKU out."""
    if not isinstance(value, Mapping) or not value:
        raise InvalidArgument("lines", names.shown(value), "a mapping of SKU to quantity")
    return tuple(sorted((names.sku(s), quantities.natural(q)) for s, q in value.items()))


def _free_state(value: object) -> State:
    return state_among(FREE, value)


def _into(value: object) -> State:
    return state_among(FREE, value, "into")


def _received_into(value: object) -> State:
    return state_among(frozenset({State.SELLABLE, State.QUARANTINE}), value, "into")


def _inspected_into(value: object) -> State:
    return state_among(frozenset({State.SELLABLE, State.DAMAGED}), value, "into")


def _short_into(value: object) -> State | None:
    if value is None:
        return None
    return state_among(frozenset({State.DAMAGED, State.QUARANTINE}), value, "into")


def _covers(value: object) -> frozenset[State]:
    if not isinstance(value, Iterable) or isinstance(value, str):
        raise InvalidArgument("covers", names.shown(value), "a set of on-hand states")
    states = frozenset(state_among(ON_HAND, item, "covers") for item in value)
    if State.SELLABLE not in states:
        raise InvalidArgument("covers", names.shown(value), "a set with SELLABLE in it")
    return states


def _ttl(value: object) -> timedelta | None:
    return None if value is None else instants.duration(value, "ttl")


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise InvalidArgument("flag", names.shown(value), "True or False")
    return value


def _on_expired(value: object) -> str:
    if value not in ("refuse", "rehold"):
        raise InvalidArgument("on_expired", names.shown(value), "'refuse' or 'rehold'")
    return str(value)


def _natural(value: object) -> int:
    return quantities.natural(value)


def _optional_natural(value: object) -> int | None:
    return None if value is None else quantities.natural(value)


def _optional_signed(value: object) -> int | None:
    return None if value is None else quantities.signed(value)


_key = names.optional(names.key)
_reference = names.optional(names.reference)
_reason = names.optional(names.reason)
_actor = names.optional(names.actor)
_origin = names.optional(names.origin)
_location = names.optional(names.location)
_optional_lot = names.optional(names.lot)
_optional_sku = names.optional(names.sku)


def _sku_field() -> Any:
    return attrs.field(converter=names.sku)


def _quantity_field() -> Any:
    return attrs.field(converter=quantities.positive)


def _at_field() -> Any:
    return attrs.field(kw_only=True, converter=names.location)


def _lot_field() -> Any:
    return attrs.field(default="", kw_only=True, converter=names.lot)


def _moment_field() -> Any:
    return attrs.field(default=None, kw_only=True, converter=instants.optional_moment)


@attrs.frozen(kw_only=True)
class Operation:
    """What every operation carries besides its own words."""

    #: Facts are recorded whatever the book says; commands may be refused.
    is_fact: ClassVar[bool] = True

    key: str | None = attrs.field(default=None, converter=_key)
    reference: str | None = attrs.field(default=None, converter=_reference)
    reason: str | None = attrs.field(default=None, converter=_reason)
    actor: str | None = attrs.field(default=None, converter=_actor)
    origin: str | None = attrs.field(default=None, converter=_origin)
    occurred_at: datetime | None = attrs.field(default=None, converter=instants.optional_moment)

    def __init_subclass__(cls) -> None:
        """Register the class under its name for ``from_dict``."""
        _OPERATIONS[cls.__name__] = cls

    @property
    def needs_key(self) -> bool:
        """Whether repeating it without a caller's key could count twice, unnoticed."""
        return False

    def fingerprint(self) -> str:
        """
        Return what tells this request from another under the same key.

        >>> a = Sold("MUG", 3, at="berlin", key="etsy-1")
        >>> a.fingerprint() == attrs.evolve(a, key="etsy-2").fingerprint()
        True
        >>> a.fingerprint() == Sold("MUG", 4, at="berlin").fingerprint()
        False
        """
        words = encode((type(self).__name__, _asked(type(self))(self)))
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
        kind = _OPERATIONS.get(str(data.get("type")))
        if kind is None or data.get("schema") != SCHEMA:
            raise InvalidData(
                "an operation", f"type {data.get('type')!r} schema {data.get('schema')!r} is unknown"
            )
        fields = {field.name for field in attrs.fields(kind)}
        unknown = sorted(set(data) - fields - {"type", "schema"})
        if unknown:
            raise InvalidData("an operation", f"{kind.__name__} has no field {unknown[0]!r}")
        values = {n: _revived(n, data[n]) for n in data if n in fields}
        try:
            return kind(**values)
        except TypeError as error:
            raise InvalidData("an operation", str(error)) from error

    def with_key(self, key: str) -> Self:
        """Return the same request under a key."""
        return attrs.evolve(self, key=key)

    def __repr__(self) -> str:
        return _repr(self)


def _repr(operation: Operation) -> str:
    words = [
        f"{field.name}={getattr(operation, field.name)!r}"
        for field in sorted(attrs.fields(type(operation)), key=lambda f: f.default is not attrs.NOTHING)
        if getattr(operation, field.name) != field.default
    ]
    return f"{type(operation).__name__}({', '.join(words)})"


@cache
def _asked(kind: type[Operation]) -> Callable[[Operation], tuple[Any, ...]]:
    """Return the getter of everything a request says but its key."""
    return attrgetter(*(field.name for field in attrs.fields(kind) if field.name != "key"))


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
    if name == "ttl" and isinstance(value, int):
        return timedelta(microseconds=value)
    return value


# --- Facts of the stock ledger ----------------------------------------------------------


@attrs.frozen(repr=False)
class Opened(Operation):
    """Opening stock: what was there when the book began."""

    sku: str = _sku_field()
    quantity: int = _quantity_field()
    at: str = _at_field()
    state: State = attrs.field(default=State.SELLABLE, kw_only=True, converter=_free_state)
    lot: str = _lot_field()
    lot_expires_at: datetime | None = _moment_field()


@attrs.frozen(repr=False, kw_only=True)
class _Delivered(Operation):
    reference: str = attrs.field(converter=names.reference)


@attrs.frozen(repr=False)
class Expected(_Delivered):
    """Ordered from a supplier under *reference*; due at *due_at*."""

    sku: str = _sku_field()
    quantity: int = _quantity_field()
    at: str = _at_field()
    due_at: datetime | None = _moment_field()


@attrs.frozen(repr=False)
class Received(Operation):
    """
    A delivery: *quantity* accepted, *rejected* sent straight back.

    With a *reference* of an expected order it uses up that order's line first; the surplus
    comes from the supplier directly and is noted.
    """

    sku: str = _sku_field()
    quantity: int = attrs.field(converter=_natural)
    at: str = _at_field()
    into: State = attrs.field(default=State.SELLABLE, kw_only=True, converter=_received_into)
    lot: str = _lot_field()
    lot_expires_at: datetime | None = _moment_field()
    rejected: int = attrs.field(default=0, kw_only=True, converter=_natural)

    def __attrs_post_init__(self) -> None:
        quantities.positive(self.quantity + self.rejected, "quantity and rejected together")


@attrs.frozen(repr=False)
class DeliveryClosed(_Delivered):
    """The rest of an expected order line will not come."""

    sku: str = _sku_field()
    at: str = _at_field()


@attrs.frozen(repr=False)
class Sold(Operation):
    """
    A sale that already happened: a till, a channel.

    With the *reference* of a reservation it takes what that still has, then from the
    shelf. Lots not named go earliest expiry first.
    """

    sku: str = _sku_field()
    quantity: int = _quantity_field()
    at: str = _at_field()
    lot: str | None = attrs.field(default=None, kw_only=True, converter=_optional_lot)


@attrs.frozen(repr=False)
class Returned(Operation):
    """A customer's return that already happened, whatever its order says."""

    sku: str = _sku_field()
    quantity: int = _quantity_field()
    at: str = _at_field()
    into: State = attrs.field(default=State.QUARANTINE, kw_only=True, converter=_into)
    lot: str = _lot_field()


@attrs.frozen(repr=False)
class Inspected(Operation):
    """Quarantined units were judged fit (SELLABLE) or unfit (DAMAGED)."""

    sku: str = _sku_field()
    quantity: int = _quantity_field()
    at: str = _at_field()
    into: State = attrs.field(kw_only=True, converter=_inspected_into)
    lot: str = _lot_field()


@attrs.frozen(repr=False)
class Damaged(Operation):
    """Units were found damaged."""

    sku: str = _sku_field()
    quantity: int = _quantity_field()
    at: str = _at_field()
    state: State = attrs.field(default=State.SELLABLE, kw_only=True, converter=_free_state)
    lot: str = _lot_field()


@attrs.frozen(repr=False, kw_only=True)
class _Explained(Operation):
    reason: str = attrs.field(converter=names.reason)


@attrs.frozen(repr=False)
class Scrapped(_Explained):
    """Units were thrown away, for *reason*."""

    sku: str = _sku_field()
    quantity: int = _quantity_field()
    at: str = _at_field()
    state: State = attrs.field(default=State.DAMAGED, kw_only=True, converter=_free_state)
    lot: str = _lot_field()


@attrs.frozen(repr=False)
class ReturnedToSupplier(Operation):
    """Units went back to their supplier."""

    sku: str = _sku_field()
    quantity: int = _quantity_field()
    at: str = _at_field()
    state: State = attrs.field(default=State.QUARANTINE, kw_only=True, converter=_free_state)
    lot: str = _lot_field()


@attrs.frozen(repr=False)
class Adjusted(_Explained):
    """
    A correction of *change* units for *reason*.

    With *refuse_below* it is a command: refused when it would leave less than that.
    """

    sku: str = _sku_field()
    change: int = attrs.field(converter=quantities.signed)
    at: str = _at_field()
    state: State = attrs.field(default=State.SELLABLE, kw_only=True, converter=_free_state)
    lot: str = _lot_field()
    refuse_below: int | None = attrs.field(
        default=None, kw_only=True, converter=_optional_natural
    )


@attrs.frozen(repr=False)
class Counted(Operation):
    """
    The shelf held *quantity* of the states it *covers* at *counted_at* (default: now).

    The variance is taken against the book as of that moment, so later movements survive.
    """

    sku: str = _sku_field()
    quantity: int = attrs.field(converter=_natural)
    at: str = _at_field()
    counted_at: datetime | None = _moment_field()
    covers: frozenset[State] = attrs.field(
        default=ON_HAND - {State.PICKED}, kw_only=True, converter=_covers
    )
    lot: str = _lot_field()


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
    sku: str = _sku_field()
    quantity: int = _quantity_field()
    source: str = attrs.field(kw_only=True, converter=names.location)
    target: str = attrs.field(kw_only=True, converter=names.location)
    state: State = attrs.field(default=State.SELLABLE, kw_only=True, converter=_free_state)
    lot: str | None = attrs.field(default=None, kw_only=True, converter=_optional_lot)


@attrs.frozen(repr=False)
class TransferOut(_Delivered):
    """Send units on their way to another location, under one transfer *reference*."""

    is_fact = False
    lines: tuple[tuple[str, int], ...] = attrs.field(converter=_lines)
    source: str = attrs.field(kw_only=True, converter=names.location)
    target: str = attrs.field(kw_only=True, converter=names.location)
    due_at: datetime | None = _moment_field()


@attrs.frozen(repr=False)
class Assemble(Operation):
    """Make *quantity* stocked kits out of *components* (quantities for one kit)."""

    is_fact = False
    sku: str = _sku_field()
    quantity: int = _quantity_field()
    components: tuple[tuple[str, int], ...] = attrs.field(converter=_lines)
    at: str = _at_field()


@attrs.frozen(repr=False)
class Disassemble(Operation):
    """Take *quantity* stocked kits apart into *components* (quantities for one kit)."""

    is_fact = False
    sku: str = _sku_field()
    quantity: int = _quantity_field()
    components: tuple[tuple[str, int], ...] = attrs.field(converter=_lines)
    at: str = _at_field()


@attrs.frozen(repr=False)
class Correct(_Explained):
    """
    Replace a mistyped movement: its reversal and the right one, in one movement.

    Only what is named changes; ``quantity=0`` takes the movement back altogether.
    """

    is_fact = False
    movement_id: str = attrs.field(converter=names.reference)
    quantity: int | None = attrs.field(default=None, kw_only=True, converter=_optional_natural)
    sku: str | None = attrs.field(default=None, kw_only=True, converter=_optional_sku)
    at: str | None = attrs.field(default=None, kw_only=True, converter=_location)
    lot: str | None = attrs.field(default=None, kw_only=True, converter=_optional_lot)

    def __attrs_post_init__(self) -> None:
        if self.quantity is None and self.sku is None and self.at is None and self.lot is None:
            raise InvalidArgument("correction", "of nothing", "quantity, sku, at or lot to change")


@attrs.frozen(repr=False)
class Undo(_Explained):
    """Take a whole movement back: the same legs the other way round."""

    is_fact = False
    movement_id: str = attrs.field(converter=names.reference)


# --- Reservations -----------------------------------------------------------------------


@attrs.frozen(repr=False, kw_only=True)
class _Owned(Operation):
    is_fact = False
    reference: str = attrs.field(converter=names.reference)


@attrs.frozen(repr=False, kw_only=True)
class _OwnedPart(_Owned):
    """An act on a reservation: on all of it (safe to repeat) or on the lines named."""

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
    at: str | None = attrs.field(default=None, kw_only=True, converter=_location)
    lot: str | None = attrs.field(default=None, kw_only=True, converter=_optional_lot)
    ttl: timedelta | None = attrs.field(default=None, kw_only=True, converter=_ttl)
    partial: bool = attrs.field(default=False, kw_only=True, converter=_flag)


@attrs.frozen(repr=False)
class Confirm(_Owned):
    """The cart became an order: its holds no longer expire."""

    on_expired: str = attrs.field(default="refuse", kw_only=True, converter=_on_expired)


@attrs.frozen(repr=False)
class Release(_OwnedPart):
    """Give units back before they are picked; all of them when no lines are named."""

    lines: tuple[tuple[str, int], ...] | None = attrs.field(
        default=None, converter=_optional_lines
    )


@attrs.frozen(repr=False)
class Amend(_Owned):
    """Set how many units of each named SKU the reservation has, in one step."""

    lines: tuple[tuple[str, int], ...] = attrs.field(converter=_targets)
    at: str | None = attrs.field(default=None, kw_only=True, converter=_location)


@attrs.frozen(repr=False)
class Pick(_OwnedPart):
    """Take allocated units off the shelf; all of them when no lines are named."""

    lines: tuple[tuple[str, int], ...] | None = attrs.field(
        default=None, converter=_optional_lines
    )
    at: str | None = attrs.field(default=None, kw_only=True, converter=_location)


@attrs.frozen(repr=False)
class ShortPick(_OwnedPart):
    """The picker found units missing (default) or unfit (*into* DAMAGED or QUARANTINE)."""

    is_fact = True
    lines: tuple[tuple[str, int], ...] = attrs.field(converter=_lines)
    at: str | None = attrs.field(default=None, kw_only=True, converter=_location)
    into: State | None = attrs.field(default=None, kw_only=True, converter=_short_into)


@attrs.frozen(repr=False)
class Ship(_OwnedPart):
    """Units leave for the customer, picked ones first; all when no lines are named."""

    lines: tuple[tuple[str, int], ...] | None = attrs.field(
        default=None, converter=_optional_lines
    )
    at: str | None = attrs.field(default=None, kw_only=True, converter=_location)


@attrs.frozen(repr=False)
class TakeBack(_OwnedPart):
    """Take a customer's return, at most what the reference shipped and did not return yet."""

    lines: tuple[tuple[str, int], ...] = attrs.field(converter=_lines)
    at: str | None = attrs.field(default=None, kw_only=True, converter=_location)
    into: State = attrs.field(default=State.QUARANTINE, kw_only=True, converter=_into)


@attrs.frozen(repr=False)
class Expire(Operation):
    """Reclaim holds that have run out: pairs of reference and line number."""

    holds: tuple[tuple[str, int], ...] = attrs.field(converter=tuple)


# --- Shop rules -------------------------------------------------------------------------


@attrs.frozen(repr=False)
class Put(Operation):
    """Store documents (space, id, body), replacing what is there: locations, policies."""

    documents: tuple[tuple[str, str, dict[str, Any]], ...] = attrs.field(converter=tuple)

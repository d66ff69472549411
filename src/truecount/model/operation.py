"""
What a caller can say, whatever it is: words, a fingerprint, the way to plain data and back.

``facts``                 what happened: past participles
``commands``              what is to be done with the stock: verbs
``reservation_commands``  the same for carts and orders
``shop_rules``            documents of the shop, recipes

Rules:
1. An operation is a frozen value, checked completely when it is made; nothing behind it
   checks again.
2. A *fact* is recorded whatever the book says; what the book cannot explain becomes a
   finding. A *command* is granted or refused.
3. ``key`` names one attempt; ``reference`` names the document and may be reused.
4. The fingerprint of an operation is what the caller asked: all of it except the key, and
   except the round, which only a ``Reservation`` handed over in place of its reference adds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import cache
from hashlib import blake2b
from importlib import import_module
from operator import attrgetter
from typing import Any, ClassVar, Final, Self

import attrs
from attrs.converters import optional

from truecount.errors import InvalidData
from truecount.model import instants, names
from truecount.model.movements import encode


SCHEMA: Final = 1

_OPERATIONS: dict[str, type[Operation]] = {}
#: Where operations are that any plain data may name.
_MODULES: Final = ("commands", "facts", "reservation_commands", "shop_rules")


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
        """Register the class under its name for ``from_dict``; what others build on is none."""
        if cls.__module__ != __name__ and not cls.__name__.startswith("_"):
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

        >>> from truecount import Sold
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

        >>> from truecount import Sold
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

        >>> from truecount import Operation, Sold
        >>> Operation.from_dict(Sold("MUG", 3, at="berlin").to_dict())
        Sold(sku='MUG', quantity=3, at='berlin')
        """
        if not isinstance(data, Mapping):
            raise InvalidData("an operation", f"{names.shown(data)} is not a mapping")
        kind = _named(str(data.get("type")))
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


@attrs.frozen(repr=False, kw_only=True)
class Referenced(Operation):
    """An operation that is about a document, so that its reference must be given."""

    reference: str = attrs.field(converter=names.reference)


@attrs.frozen(repr=False, kw_only=True)
class Explained(Operation):
    """An operation nobody would understand later without its reason."""

    reason: str = attrs.field(converter=names.reason)


def _named(name: str) -> type[Operation] | None:
    """Return the operation of this name, whether its module is loaded already or not."""
    for module in _MODULES:
        import_module(f"truecount.model.{module}")
    return _OPERATIONS.get(name)


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

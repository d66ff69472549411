"""
Shop rules: one Policy, set for everything, for a location, for a SKU; the nearest wins.

Rules:
1. Each field is looked up on its own: the SKU's value, else the location's, else the
   default's, else the one built in here.
2. Every refusal names the rule (the field) that refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

import attrs
from attrs.converters import optional
from attrs.validators import optional as if_set

from truecount.errors import InvalidArgument, InvalidData
from truecount.model import instants, names, quantities


def _limit(_policy: Policy, field: attrs.Attribute[int], value: int) -> None:
    quantities.natural(value, field.name)


def _duration(_policy: Policy, field: attrs.Attribute[timedelta], value: timedelta) -> None:
    instants.duration(value, field.name)


def _late(value: str) -> str:
    if value not in {"refold", "report"}:
        raise InvalidArgument("late", names.shown(value), "'refold' or 'report'")
    return value


@attrs.frozen(kw_only=True)
class Policy:
    """
    Rules of the shop; a field left at None asks the next wider policy.

    Attributes:
        backorder_limit: How many units may be promised beyond what is there.
        safety_stock: How many sellable units no command may promise.
        hold_ttl: How long a cart holds stock when it names no duration.
        sourcing: Name of the sourcing policy.
        reorder_point: Low stock is a finding when available falls to it.
        quarantine_after: How long units may wait for inspection before it is a finding.
        allocated_after: How long a placed order may wait to ship before it is a finding.
        late: What becomes of a fact from before a count that is recorded after it: "refold"
            (the count stands and is explained anew) or "report" (it is a finding).

    >>> Policy(hold_ttl=timedelta(minutes=5)).over(Policy(safety_stock=2)).safety_stock
    2
    >>> Policy(backorder_limit=5).over(Policy(safety_stock=2)).safety_stock
    0
    """

    backorder_limit: int | None = attrs.field(default=None, validator=if_set(_limit))
    safety_stock: int | None = attrs.field(default=None, validator=if_set(_limit))
    hold_ttl: timedelta | None = attrs.field(default=None, validator=if_set(_duration))
    sourcing: str | None = attrs.field(default=None, converter=optional(names.reason))
    reorder_point: int | None = attrs.field(default=None, validator=if_set(_limit))
    quarantine_after: timedelta | None = attrs.field(default=None, validator=if_set(_duration))
    allocated_after: timedelta | None = attrs.field(default=None, validator=if_set(_duration))
    late: str | None = attrs.field(default=None, converter=optional(_late))

    def __attrs_post_init__(self) -> None:
        if self.backorder_limit and self.safety_stock:
            raise InvalidArgument(
                "policy",
                f"backorder_limit={self.backorder_limit} with safety_stock={self.safety_stock}",
                "one of them: stock is either kept back or promised ahead",
            )

    def over(self, wider: Policy) -> Policy:
        """
        Return this policy with its gaps filled from *wider*.

        Of a backorder limit and a safety stock the nearer one stands, the other is 0.
        """
        merged = {name: value for name, value in _values(wider).items() if value is not None}
        merged |= {name: value for name, value in _values(self).items() if value is not None}
        if self.backorder_limit:
            merged["safety_stock"] = 0
        if self.safety_stock:
            merged["backorder_limit"] = 0
        return Policy(**merged)

    def to_dict(self) -> dict[str, Any]:
        """Return the fields that are set, durations as microseconds."""
        return {
            name: instants.microseconds(value) if isinstance(value, timedelta) else value
            for name, value in _values(self).items()
            if value is not None
        }

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Policy:
        """
        Return the policy that ``to_dict`` described.

        >>> Policy.from_dict(Policy(hold_ttl=timedelta(minutes=5)).to_dict()).hold_ttl
        datetime.timedelta(seconds=300)

        Raises:
            InvalidData: A field is unknown, or a duration not in whole microseconds.
        """
        known = {field.name for field in attrs.fields(cls)}
        unknown = [name for name in data if name not in known]
        if unknown:
            raise InvalidData("a policy", f"it has no field {unknown[0]!r}")
        values: dict[str, Any] = dict(data)
        try:
            for name in _DURATIONS & values.keys():
                values[name] = timedelta(microseconds=values[name])
            return cls(**values)
        except (TypeError, OverflowError) as error:
            raise InvalidData("a policy", f"{error}") from error


_DURATIONS: Final = frozenset({"hold_ttl", "quarantine_after", "allocated_after"})


def _values(policy: Policy) -> dict[str, Any]:
    return attrs.asdict(policy, recurse=False)


BUILT_IN: Final = Policy(
    backorder_limit=0,
    safety_stock=0,
    hold_ttl=timedelta(minutes=15),
    sourcing="fewest_locations",
    quarantine_after=timedelta(days=7),
    allocated_after=timedelta(days=14),
    late="refold",
)

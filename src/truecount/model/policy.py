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

from truecount.errors import InvalidArgument
from truecount.model import instants, names, quantities


def _days(value: object) -> timedelta | None:
    return None if value is None else instants.duration(value, "policy duration")


def _limit(value: object) -> int | None:
    return None if value is None else quantities.natural(value, "policy quantity")


def _word(value: object) -> str | None:
    return None if value is None else names.reason(value)


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

    >>> Policy(backorder_limit=5).over(Policy(backorder_limit=0, safety_stock=2)).safety_stock
    2
    """

    backorder_limit: int | None = attrs.field(default=None, converter=_limit)
    safety_stock: int | None = attrs.field(default=None, converter=_limit)
    hold_ttl: timedelta | None = attrs.field(default=None, converter=_days)
    sourcing: str | None = attrs.field(default=None, converter=_word)
    reorder_point: int | None = attrs.field(default=None, converter=_limit)
    quarantine_after: timedelta | None = attrs.field(default=None, converter=_days)
    allocated_after: timedelta | None = attrs.field(default=None, converter=_days)

    def __attrs_post_init__(self) -> None:
        if self.backorder_limit and self.safety_stock:
            raise InvalidArgument(
                "policy",
                f"backorder_limit={self.backorder_limit} with safety_stock={self.safety_stock}",
                "one of them: stock is either kept back or promised ahead",
            )

    def over(self, wider: Policy) -> Policy:
        """Return this policy with its gaps filled from *wider*."""
        merged = {name: value for name, value in _values(wider).items() if value is not None}
        merged |= {name: value for name, value in _values(self).items() if value is not None}
        if self.backorder_limit:
            merged.pop("safety_stock", None)
        if self.safety_stock:
            merged.pop("backorder_limit", None)
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
        """
        return cls(
            **{
                name: timedelta(microseconds=value) if name in _DURATIONS else value
                for name, value in data.items()
            }
        )


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
)

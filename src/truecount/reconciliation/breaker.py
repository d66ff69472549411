"""
The breaker: what a repair may change at once before somebody must say so. Pure.

A wrong file, a shelf counted under another location's name or a unit of measure mixed up
makes many mismatches at once. Each line looks reasonable; all of them together do not.

Who calls whom: ``Repairs.repair`` calls :func:`check` before anything is written.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import attrs
from attrs.converters import optional

from truecount.errors import InvalidQuantity, MassRepair
from truecount.model import names, quantities
from truecount.reconciliation.plan import Plan


def _limit(value: int) -> int:
    return quantities.natural(value, "limit")


def _percent(value: int) -> int:
    if type(value) is not int or not 0 <= value <= 100:  # noqa: PLR2004 -- per cent
        raise InvalidQuantity("percent_max", names.shown(value), "whole numbers from 0 to 100")
    return value


@attrs.frozen(kw_only=True)
class Breaker:
    """
    Limits of one repair; None for no limit.

    Attributes:
        lines_max: Lines written.
        units_max: Units of difference, gains and losses added up.
        location_lines_max, location_units_max: The same at any one location.
        percent_max: Lines written, per cent of the observations compared.
        lines_free: So many lines never trip ``percent_max``: a few counts are no mass change.

    >>> Breaker(lines_max=50).units_max
    10000
    """

    lines_max: int | None = attrs.field(default=500, converter=optional(_limit))
    units_max: int | None = attrs.field(default=10_000, converter=optional(_limit))
    location_lines_max: int | None = attrs.field(default=250, converter=optional(_limit))
    location_units_max: int | None = attrs.field(default=5_000, converter=optional(_limit))
    percent_max: int | None = attrs.field(default=20, converter=optional(_percent))
    lines_free: int = attrs.field(default=10, converter=_limit)


class _Limit(NamedTuple):
    """Something measured, and how much of it is allowed."""

    what: str
    seen: int
    allowed: int | None
    name: str


def check(plan: Plan, breaker: Breaker) -> None:
    """
    Raise when *plan* changes more than *breaker* allows, naming the first limit passed.

    Raises:
        MassRepair: It does; what to do is in the message.

    Complexity: O(lines).
    """
    for limit in _limits(plan, breaker):
        if limit.allowed is not None and limit.seen > limit.allowed:
            raise MassRepair(plan.id, limit.what, limit.seen, limit.allowed, limit.name)


def _limits(plan: Plan, breaker: Breaker) -> Iterator[_Limit]:
    lines: dict[str, int] = {}
    units: dict[str, int] = {}
    for line in plan.written:
        lines[line.at] = lines.get(line.at, 0) + 1
        units[line.at] = units.get(line.at, 0) + abs(line.delta[0])
    total = sum(lines.values())
    yield _Limit("too many lines", total, breaker.lines_max, "lines_max")
    yield _Limit("too many units", sum(units.values()), breaker.units_max, "units_max")
    for at in sorted(lines):
        where = f"at {names.shown(at)}"
        yield _Limit(
            f"too many lines {where}", lines[at], breaker.location_lines_max, "location_lines_max"
        )
        yield _Limit(
            f"too many units {where}", units[at], breaker.location_units_max, "location_units_max"
        )
    if breaker.percent_max is not None and total > breaker.lines_free:
        allowed = plan.compared * breaker.percent_max // 100
        what = f"too many lines of {plan.compared} compared"
        yield _Limit(what, total, allowed, f"percent_max={breaker.percent_max}")

"""
Looking ahead: what writing the lines of a plan would change, in figures, units and money. Pure.

Rules:
1. A line changes its key by what is left of its difference after the lines before it that
   are in the same plan; so what is left after all of them is nothing.
2. Everything lands in SELLABLE, where a count and an adjustment put it.
3. Money is exact: ints and Decimals are multiplied and added without rounding. What has no
   cost is named, never taken for free.

Who calls whom: ``Plan.preview`` calls :func:`preview_of`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Context, Decimal, Inexact
from typing import Any, Final, TypeAlias

import attrs

from truecount.errors import InvalidArgument
from truecount.model import names
from truecount.model.stock import StockKey, goods
from truecount.reconciliation.findings import risk
from truecount.reconciliation.plan_lines import PlanLine


#: An amount of money: minor units (cents) as an int, or a Decimal in any unit.
Money: TypeAlias = int | Decimal
#: What one unit of each SKU costs.
Costs: TypeAlias = Mapping[str, Money]

#: Digits enough for every int64 quantity times a cost of a thousand digits, or an error.
_EXACT: Final = Context(prec=1_100, traps=[Inexact])


@attrs.frozen(kw_only=True)
class LinePreview:
    """
    What one line would change.

    Attributes:
        id: The line.
        change: Units the book gains, or loses below zero.
        on_hand, sellable: The figures of the key before and after.
        left: The difference that would still be there.
        money: The change at cost; None where the SKU has no cost.
    """

    id: str
    key: StockKey
    change: int
    on_hand: tuple[int, int]
    sellable: tuple[int, int]
    left: int
    at_risk: tuple[str, ...]
    money: Money | None


@attrs.frozen(kw_only=True)
class PlanPreview:
    """
    What a plan would change when it is written now.

    Attributes:
        lines: Each line that is written, those of one key in order.
        gained, lost: Units over all lines, both from 0.
        at_risk: References whose promises the differences put at risk, each once.
        money: Gains minus losses at cost, of what has one; None without costs.
        without_cost: SKUs that change and have no cost.
    """

    plan_id: str
    lines: tuple[LinePreview, ...]
    gained: int
    lost: int
    at_risk: tuple[str, ...]
    money: Money | None
    without_cost: tuple[str, ...]

    @property
    def left(self) -> int:
        """Differences of written lines that would still be there: none."""
        return sum(1 for line in self.lines if line.left)

    def to_dict(self) -> dict[str, Any]:
        """Return it as plain data, for JSON; a Decimal as text."""
        data = attrs.asdict(self, recurse=False)
        lines = [
            attrs.asdict(line, recurse=False)
            | {
                "key": list(line.key),
                "on_hand": list(line.on_hand),
                "sellable": list(line.sellable),
                "at_risk": list(line.at_risk),
                "money": _plain(line.money),
            }
            for line in self.lines
        ]
        several = {name: list(data[name]) for name in ("at_risk", "without_cost")}
        return data | several | {"lines": lines, "money": _plain(self.money)}

    def __str__(self) -> str:
        """Say what each line changes, and the totals."""
        rows = [
            f"{goods(line.key)}: {line.change:+d}, on hand {line.on_hand[0]} -> {line.on_hand[1]}, "
            f"sellable {line.sellable[0]} -> {line.sellable[1]}{risk(line.at_risk)}"
            for line in self.lines
        ]
        cost = "" if self.money is None else f", at cost {self.money:+}"
        missing = f" (no cost: {', '.join(self.without_cost)})" if self.without_cost else ""
        total = f"{len(self.lines)} lines: {self.gained} gained, {self.lost} lost{cost}{missing}"
        return "\n".join([*rows, total])


def changes_in_order(lines: Iterable[PlanLine]) -> dict[str, int]:
    """
    Return by how much each line to be written changes its key, by id.

    *lines* of one key come oldest first. Complexity: O(lines).
    """
    changes: dict[str, int] = {}
    for line in lines:
        changes[line.id] = line.delta[0] - sum(changes.get(id_, 0) for id_ in line.after)
    return changes


def preview_of(plan_id: str, lines: Sequence[PlanLine], costs: Costs | None) -> PlanPreview:
    """Return what writing *lines*, those of one key oldest first, would change."""
    checked = None if costs is None else _checked(costs)
    changes = changes_in_order(lines)
    moved: dict[StockKey, int] = {}
    found = []
    for line in lines:
        before = moved.get(line.key, 0)
        moved[line.key] = before + changes[line.id]
        found.append(_line(line, changes, before, checked))
    known = checked if checked is not None else {}
    skus = [line.sku for line in lines if changes[line.id]]
    return PlanPreview(
        plan_id=plan_id,
        lines=tuple(found),
        gained=sum(change for change in changes.values() if change > 0),
        lost=-sum(change for change in changes.values() if change < 0),
        at_risk=tuple(dict.fromkeys(ref for line in lines for ref in line.at_risk)),
        money=None if checked is None else _sum(each.money for each in found),
        without_cost=tuple(
            dict.fromkeys(sku for sku in skus if checked is not None and sku not in known)
        ),
    )


def _line(
    line: PlanLine, changes: Mapping[str, int], before: int, costs: Costs | None
) -> LinePreview:
    change = changes[line.id]
    on_hand = sellable = 0
    if line.basis is not None:
        on_hand, sellable = line.basis.on_hand + before, line.basis.sellable + before
    cost = None if costs is None else costs.get(line.sku)
    return LinePreview(
        id=line.id,
        key=line.key,
        change=change,
        on_hand=(on_hand, on_hand + change),
        sellable=(sellable, sellable + change),
        left=line.delta[0] - sum(changes.get(id_, 0) for id_ in (*line.after, line.id)),
        at_risk=line.at_risk,
        money=None if cost is None else _times(cost, change),
    )


def _checked(costs: Costs) -> Costs:
    for sku, cost in costs.items():
        good = type(cost) is int or (isinstance(cost, Decimal) and cost.is_finite())
        if not good or cost < 0:
            seen = f"of {names.shown(sku)}: {names.shown(cost)}"
            raise InvalidArgument("cost", seen, "an int (minor units) or a Decimal, from 0")
    return costs


def _times(cost: Money, units: int) -> Money:
    return cost * units if isinstance(cost, int) else _EXACT.multiply(cost, Decimal(units))


def _sum(amounts: Iterable[Money | None]) -> Money:
    total: Money = 0
    for amount in amounts:
        if isinstance(amount, Decimal) or isinstance(total, Decimal):
            total = _EXACT.add(Decimal(total), Decimal(amount or 0))
        else:
            total += amount or 0
    return total


def _plain(money: Money | None) -> int | str | None:
    return str(money) if isinstance(money, Decimal) else money

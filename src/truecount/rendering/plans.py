"""
What a plan would do, as a section of a page. Pure.

Rules:
1. A plan is whatever has the shape of ``PlanTable``: lines that are written or done
   elsewhere, and what was left out with its reason. Drawing one approves nothing.
2. What would be written stands apart from what somebody must do.

Called by ``page``; calls ``tables`` and ``words``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

from truecount.rendering.lists import SEVERAL, cut, references
from truecount.rendering.markup import Child, Html, element, joined
from truecount.rendering.tables import Cell, Column, Row, named, number, own, table
from truecount.rendering.words import several, span


class PlanRow(Protocol):
    """A line of a plan: what is done about one mismatch."""

    @property
    def id(self) -> str:
        """By what the line is approved."""

    @property
    def action(self) -> str:
        """What is done, in one word."""

    @property
    def sku(self) -> str:
        """The SKU it is about."""

    @property
    def at(self) -> str:
        """The location, "" for several."""

    @property
    def delta(self) -> tuple[int, int]:
        """By how much the figure changes, or differs: lowest and highest."""

    @property
    def at_risk(self) -> tuple[str, ...]:
        """References whose promises depend on it."""

    @property
    def is_written(self) -> bool:
        """Whether the book changes; otherwise it is done elsewhere."""

    @property
    def sentence(self) -> str:
        """What is done, in one sentence."""


class LeftOut(Protocol):
    """What a plan has no line for."""

    @property
    def sku(self) -> str:
        """The SKU, "" for several."""

    @property
    def source(self) -> str:
        """Who showed it."""

    @property
    def reason(self) -> str:
        """Why it has no line."""

    @property
    def number(self) -> int:
        """How many there are alike."""


class PlanTable(Protocol):
    """A plan, as far as it is drawn."""

    @property
    def id(self) -> str:
        """What the plan is approved by."""

    @property
    def lines(self) -> Sequence[PlanRow]:
        """One for each mismatch something is done about."""

    @property
    def left(self) -> Sequence[LeftOut]:
        """What has no line, and why."""


#: What an action is called; one without words here is shown by its own.
ACTIONS: Final[Mapping[str, str]] = {
    "count": "Follow the count",
    "adjust": "Change the book",
    "publish": "Publish again",
    "list": "List it over there",
    "look": "Find out first",
}

_LINES: Final = (
    Column("SKU", is_heading=True),
    Column("Where"),
    Column("What is done"),
    Column("Change", is_number=True),
    Column("Orders at risk"),
)
_LEFT: Final = (
    Column("SKU or source", is_heading=True),
    Column("Rows", is_number=True),
    Column("Why"),
)


def plan_section(plan: PlanTable) -> Html:
    """Return the section of a plan."""
    written = [line for line in plan.lines if line.is_written]
    outside = [line for line in plan.lines if not line.is_written]
    told = (
        f"{several(len(written), 'line changes', 'lines change')} the book,"
        f" {several(len(outside), 'is', 'are')} to be done elsewhere."
        " Nothing is written before somebody approves it."
    )
    return element(
        "section",
        element("h2", "The plan", id="plan"),
        element("p", told),
        _lines("Changes of the book", written),
        _lines("To do elsewhere", outside),
        _left(plan.left),
        element("p", "Plan ", own(plan.id), class_="quiet"),
        aria_labelledby="plan",
    )


def _lines(caption: str, lines: Sequence[PlanRow]) -> Html | None:
    if not lines:
        return None
    listed, note = cut(lines)
    rows = (
        Row(
            (
                named(line.sku),
                named(line.at, missing=SEVERAL),
                Cell(_what(line)),
                Cell(span(line.delta, is_signed=True), line.delta[0]),
                references(line.at_risk),
            )
        )
        for line in listed
    )
    return joined(table(caption, _LINES, rows, has_cards=True), note)


def _what(line: PlanRow) -> Html:
    return joined(
        element("span", ACTIONS.get(line.action, line.action), class_="kind"),
        element("div", line.sentence, class_="quiet"),
    )


def _left(left: Sequence[LeftOut]) -> Html | None:
    if not left:
        return None
    listed, note = cut(left)
    rows = (
        Row((named(one.sku or one.source), number(one.number), Cell(one.reason))) for one in listed
    )
    parts: tuple[Child, ...] = (table("Left out", _LEFT, rows), note)
    return joined(*parts)

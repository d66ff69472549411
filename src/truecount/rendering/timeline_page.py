"""
A timeline as a section of a page: a sentence, the chart, and the movements as a table. Pure.

Rules:
1. What the chart shows is said in words beside it, and listed below it.
2. Movements that left the figure as it was (a hold, a confirmation) are counted, not listed.
3. The newest ``ROWS_MAX`` rows are listed; the chart and the sentence are about all.

Called by ``page``; calls ``chart``, ``tables`` and ``words``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, tzinfo
from typing import Final, NamedTuple

from truecount.model.instants import to_instant
from truecount.model.places import ON_HAND, STATES
from truecount.reconciliation.verdicts import Decision
from truecount.rendering.chart import chart, mark
from truecount.rendering.markup import Child, Html, element, joined
from truecount.rendering.tables import Cell, Column, Row, number, own, table
from truecount.rendering.timeline import SHELF, Sighting, Step, Timeline
from truecount.rendering.words import clocks, document, figure, several, signed, span, time_of


ROWS_MAX: Final = 200
_FIGURES: Final = {ON_HAND: "on hand", SHELF: "on the shelf"}
_LEGEND: Final = (
    (Decision.MATCH, "count that agrees"),
    (Decision.MISMATCH, "count that differs"),
    (Decision.UNDECIDED, "not decided yet"),
)
_COLUMNS: Final = (
    Column("When", is_heading=True),
    Column("What"),
    Column("Change", is_number=True),
    Column("Figure", is_number=True),
)


def section(timeline: Timeline, name: str, zone: tzinfo) -> Html:
    """Return the section of one timeline; *name* tells its parts from those of others."""
    title = f"{timeline.sku} at {timeline.at}: {figure_name(timeline)} over time"
    words = story(timeline, zone)
    return element(
        "section",
        element("h3", own(timeline.sku), " at ", own(timeline.at), id=name),
        element("p", words),
        element(
            "figure",
            chart(timeline, title, words, f"{name}-chart", zone),
            element("figcaption", _legend(timeline)),
            class_="chart",
        ),
        _listed(timeline, zone),
        aria_labelledby=name,
        class_="timeline",
    )


def figure_name(timeline: Timeline) -> str:
    """Return what the line counts."""
    states = [state.value for state in STATES if state in timeline.covers]
    return _FIGURES.get(timeline.covers, " + ".join(states).replace("_", " "))


def story(timeline: Timeline, zone: tzinfo) -> str:
    """Return in words what the chart shows."""
    last = timeline.steps[-1].after
    told = [f"The book says {figure(last)} {figure_name(timeline)}"]
    told[0] += f" after {several(len(timeline.steps), 'movement')}."
    counts = timeline.sightings
    if counts:
        agreed = sum(one.decision is Decision.MATCH for one in counts)
        told.append(f"Of {several(len(counts), 'count')}, {figure(agreed)} agreed with it.")
    for one in timeline.divergences[-1:]:
        between = sum(
            one.after < step.at <= one.by and bool(step.change) for step in timeline.steps
        )
        after, by = clocks(one.after, one.by, zone)
        told.append(
            f"Book and shelf parted between {after} and {by}, by"
            f" {span(one.delta, is_signed=True)};"
            f" {several(between, 'movement lies', 'movements lie')} between."
        )
    return " ".join(told)


def _legend(timeline: Timeline) -> Html:
    present = {one.decision for one in timeline.sightings}
    items: list[Child] = [
        element(
            "span",
            element(
                "svg",
                mark(decision),
                viewBox="-8 -8 16 16",
                width=14,
                height=14,
                aria_hidden="true",
            ),
            " ",
            words,
        )
        for decision, words in _LEGEND
        if decision in present
    ]
    if timeline.divergences:
        swatch = element("span", class_="swatch")
        items.append(element("span", swatch, " where book and shelf parted"))
    return joined(*items)


# --- the table --------------------------------------------------------------------------


class _Line(NamedTuple):
    """A row and what it is ordered by; a count comes after the movements of its moment."""

    at: datetime
    rank: int
    row: Row


def _listed(timeline: Timeline, zone: tzinfo) -> Html:
    lines = sorted(
        [*_movements(timeline, zone), *_counts(timeline, zone)], key=lambda line: line[:2]
    )
    newest = [line.row for line in reversed(lines)][:ROWS_MAX]
    quiet = sum(not _is_listed(step) for step in timeline.steps)
    notes: list[Child] = [
        f"The newest {figure(ROWS_MAX)} of {figure(len(lines))}."
        if len(lines) > ROWS_MAX
        else None,
        f"Not listed: {several(quiet, 'movement')} that left the figure as it was."
        if quiet
        else None,
    ]
    return element(
        "details",
        element(
            "summary", f"All {several(len(lines), 'movement and count', 'movements and counts')}"
        ),
        table("Newest first", _COLUMNS, newest, has_cards=True),
        *(element("p", note, class_="quiet") for note in notes if note is not None),
    )


def _is_listed(step: Step) -> bool:
    return bool(step.change) or step.entry.movement.kind.value == "count"


def _movements(timeline: Timeline, zone: tzinfo) -> Iterator[_Line]:
    for step in filter(_is_listed, timeline.steps):
        in_question = any(one.after < step.at <= one.by for one in timeline.divergences)
        row = Row(
            (
                Cell(time_of(step.at, zone), to_instant(step.at)),
                Cell(_movement(step, in_question=in_question)),
                Cell(signed(step.change), step.change),
                number(step.after),
            ),
            class_="question" if in_question else None,
        )
        yield _Line(step.at, 0, row)


def _movement(step: Step, *, in_question: bool) -> Html:
    movement = step.entry.movement
    kind = movement.kind.value.replace("_", " ")
    words = (document(movement), movement.reason, movement.origin, movement.actor)
    about = [own(word) for word in words if word]
    return joined(
        element("span", kind, class_="kind"),
        element("span", " in question", class_="tag") if in_question else None,
        element("div", *_spaced(about), class_="quiet") if about else None,
    )


def _spaced(words: list[Html]) -> Iterator[Child]:
    for place, word in enumerate(words):
        if place:
            yield " · "
        yield word


def _counts(timeline: Timeline, zone: tzinfo) -> Iterator[_Line]:
    """Yield the counts that no movement stands for."""
    for one in timeline.sightings:
        if one.is_recorded:
            continue
        at = one.seen_at[1]
        row = Row(
            (
                Cell(time_of(at, zone), to_instant(at)),
                Cell(_count(one)),
                Cell(element("span", "none", class_="quiet"), 0),
                number(one.quantity),
            ),
            class_="counted",
        )
        yield _Line(at, 1, row)


def _count(one: Sighting) -> Html:
    return joined(
        element("span", "counted", class_="kind"),
        " by " if one.who else None,
        own(one.who) if one.who else None,
        element("div", _VERDICTS[one.decision](one), class_="quiet"),
    )


_VERDICTS: Final[Mapping[Decision, Callable[[Sighting], str]]] = {
    Decision.MATCH: lambda _one: "it agrees",
    Decision.MISMATCH: lambda one: f"it differs by {span(one.delta, is_signed=True)}",
    Decision.UNDECIDED: lambda _one: "not decided yet",
}

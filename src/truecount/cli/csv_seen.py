"""
Rows of a CSV file as observations: counts of shelves, or levels of another system. Pure.

A row says what a row of kind ``count`` says to an import (see ``csv_rows``), so one file can
be compared first and recorded afterwards; here nothing is written.

Rules:
1. All of a file is looked at before anything is compared: with a bad row nothing is.
2. A key counted twice by one counter is a bad row, named with the line of the first. A SKU
   that a list of levels has twice is a difference, and left to the comparison.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from difflib import get_close_matches
from typing import Final

import attrs

from truecount.cli.csv_import import LISTED_MAX
from truecount.cli.csv_rows import Layout, Problem, fact_of
from truecount.model.facts import Counted
from truecount.reconciliation.observations import Count, Level


#: The cell, or the option, for a level that is about every location.
EVERYWHERE: Final = "*"


@attrs.frozen(kw_only=True)
class Times:
    """When what a row without a time of its own says was true; None for now."""

    since: datetime | None = None
    until: datetime | None = None

    def of(self, row: Counted) -> tuple[datetime | None, datetime | None]:
        """Return the interval in which *row* was true."""
        own = row.counted_at
        return (own, own) if own is not None else (self.since, self.until)


@attrs.define
class Seen:
    """
    What a file says.

    Attributes:
        rows: Rows in all, good and bad.
        bad: Bad rows.
        problems: The first of them.
    """

    counts: list[Count] = attrs.field(factory=list)
    levels: list[Level] = attrs.field(factory=list)
    rows: int = 0
    bad: int = 0
    problems: list[Problem] = attrs.field(factory=list)

    def reject(self, problem: Problem) -> None:
        """Count a bad row, and keep it if it is one of the first."""
        self.bad += 1
        if self.bad <= LISTED_MAX:
            self.problems.append(problem)


def seen_in(
    rows: Iterable[tuple[int, Sequence[str]]],
    layout: Layout,
    locations: Collection[str],
    times: Times,
    *,
    source: str | None = None,
) -> Seen:
    """
    Return what *rows* say: counts, or with a *source* the levels it shows.

    >>> layout = Layout(
    ...     header=("sku", "quantity", "location"),
    ...     places={"sku": 0, "quantity": 1, "location": 2},
    ...     constants={"kind": "count"},
    ...     key_prefix=None,
    ...     any_location=True,
    ... )
    >>> rows = [(2, ["MUG", "3", "berlin"]), (3, ["TEA", "1,000", "berlin"])]
    >>> seen = seen_in(rows, layout, {"berlin"}, Times())
    >>> len(seen.counts), str(seen.problems[0])
    (1, "line 3, quantity '1,000': expected a whole number in digits only, for example 12000; \
drop the separators")

    Args:
        rows: The line each row starts at, and its cells.
        locations: The declared locations.

    Complexity: O(rows) in time and memory.
    """
    seen = Seen()
    first: dict[tuple[str, str, str, str | None], int] = {}
    for line, cells in rows:
        seen.rows += 1
        row = fact_of(layout, line, cells)
        if not isinstance(row, Counted):
            seen.reject(row if isinstance(row, Problem) else _no_count(layout, line))
            continue
        if row.at not in locations and not (source and row.at == EVERYWHERE):
            seen.reject(_unknown(layout, line, row.at, locations))
        elif source is not None:
            seen.levels.append(_level(row, source, times))
        else:
            before = first.setdefault((row.sku, row.at, row.lot, row.actor), line)
            if before == line:
                seen.counts.append(_count(row, times))
            else:
                seen.reject(_twice(layout, line, row, before))
    return seen


def _count(row: Counted, times: Times) -> Count:
    since, until = times.of(row)
    return Count(
        row.sku,
        row.quantity,
        at=row.at,
        lot=row.lot or None,
        counted_at=since,
        counted_until=until,
        counter=row.actor,
    )


def _level(row: Counted, source: str, times: Times) -> Level:
    since, until = times.of(row)
    at = None if row.at == EVERYWHERE else row.at
    return Level(source, row.sku, row.quantity, at=at, seen_at=since, seen_until=until)


def _no_count(layout: Layout, line: int) -> Problem:
    return Problem(line, layout.named("kind"), "", "it is no count; only counts are compared")


def _unknown(layout: Layout, line: int, location: str, locations: Collection[str]) -> Problem:
    near = get_close_matches(location, locations, n=1)
    meant = f"; did you mean {near[0]!r}?" if near else ""
    reason = f"this location was never declared{meant}"
    return Problem(line, layout.named("location"), location, reason)


def _twice(layout: Layout, line: int, row: Counted, before: int) -> Problem:
    who = f" by {row.actor}" if row.actor else ""
    reason = (
        f"counted on line {before} already{who}; leave one, or name another actor for a recount"
    )
    return Problem(line, layout.named("sku"), row.sku, reason)

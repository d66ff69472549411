"""
Between which two comparisons a mismatch began.

A difference that came in one step has its cause between the last agreement and the first
disagreement. One that changed more than once has a cause in each step, so the comparisons
are gone through one by one: bisection would find one of the steps and call it all.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from itertools import pairwise
from typing import NamedTuple

from truecount.errors import InvalidArgument
from truecount.model import instants


class Step(NamedTuple):
    """
    A change of the difference.

    ``after`` is the comparison before it, None where there was none; ``until`` the first
    that shows it; ``delta`` by how much the difference changed.
    """

    after: datetime | None
    until: datetime
    delta: int


def steps(comparisons: Iterable[tuple[datetime, int]]) -> list[Step]:
    """
    Return each change of a difference, oldest first. O(n log n).

    Steps before a comparison that agreed are over and left out: what healed itself was a
    matter of time, not of the book.

    >>> from datetime import UTC
    >>> days = [datetime(2026, 3, day, tzinfo=UTC) for day in range(1, 6)]
    >>> [(step.until.day, step.delta) for step in steps(zip(days, [0, 0, -5, -5, -3]))]
    [(3, -5), (5, 2)]
    >>> steps(zip(days, [0, -5, -5, 0, 0]))
    []

    Raises:
        InvalidArgument: Two comparisons of one moment differ.
    """
    found = sorted({(instants.moment(at, "compared_at"), delta) for at, delta in comparisons})
    for (earlier, seen), (later, other) in pairwise(found):
        if earlier == later:
            raise InvalidArgument(
                "comparisons", f"{seen} and {other} at {later}", "one of a moment"
            )
    agreed = max((number for number, (_, delta) in enumerate(found) if delta == 0), default=-1)
    before = (found[agreed][0], 0) if agreed >= 0 else (None, 0)
    result = []
    for at, delta in found[agreed + 1 :]:
        if delta != before[1]:
            result.append(Step(before[0], at, delta - before[1]))
        before = (at, delta)
    return result

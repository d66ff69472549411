"""
Match, mismatch, or undecided until a named time: the judgement of one observed value. Pure.

Rules:
1. Nothing is decided before everything that happened must have been reported: a late report
   could still explain any difference, or undo any agreement.
2. A value the figure can never have had is a mismatch; by how much is an interval.
3. The only possible value is a match. One of several possible values contradicts nothing and
   proves nothing: looking again when it is quiet will tell.

Invariants:
I19 While the stated bounds hold, no correct value is ever called a mismatch.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple

from truecount.model.instants import Instant
from truecount.reconciliation.reach import Reach


class Decision(StrEnum):
    """What is known about an observation."""

    MATCH = "match"
    MISMATCH = "mismatch"
    UNDECIDED = "undecided"


class Verdict(NamedTuple):
    """
    The judgement of one observed value.

    ``expected`` and ``delta`` (observed minus expected) are intervals, lowest and highest.
    ``decidable_at`` is when an undecided one can be decided from what will then be known;
    None when waiting does not help, because the figure moved while it was observed.
    """

    decision: Decision
    expected: tuple[int, int]
    delta: tuple[int, int]
    decidable_at: Instant | None = None


def judge(value: int, reach: Reach, decidable_at: Instant, now: Instant) -> Verdict:
    """
    Judge an observed *value* by what the figure may have been.

    >>> from truecount.reconciliation.reach import point, reach_of
    >>> judge(4, point(5), decidable_at=60, now=59).decision.value
    'undecided'
    >>> judge(4, point(5), decidable_at=60, now=60)[:3]
    (<Decision.MISMATCH: 'mismatch'>, (5, 5), (-1, -1))
    >>> judge(5, reach_of([5, 8]), 60, 60)  # it moved meanwhile: waiting will not tell
    Verdict(decision=<Decision.UNDECIDED: 'undecided'>, expected=(5, 8), delta=(-3, 0), \
decidable_at=None)

    Args:
        decidable_at: When every report of what had happened by then must have come.
    """
    expected = (reach.lowest, reach.highest)
    delta = (value - reach.highest, value - reach.lowest)
    if now < decidable_at:
        return Verdict(Decision.UNDECIDED, expected, delta, decidable_at)
    if not reach.holds(value):
        return Verdict(Decision.MISMATCH, expected, delta)
    if reach.is_point:
        return Verdict(Decision.MATCH, expected, delta)
    return Verdict(Decision.UNDECIDED, expected, delta)

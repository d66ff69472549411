"""
One SKU at one location over time: what the book says, what was counted, where they parted. Pure.

Rules:
1. The line is the figure as of each time: movements in the order in which they happened, each
   added to what came before. It is exact for the entries that are given; what came before
   the first of them is in the figure it begins with.
2. A sighting is a count, what is known of it, and by how much it differs (counted less book,
   an interval). The report decides where one is given; a count it does not name agreed.
   Without a report the line itself is compared with, exactly.
3. A recorded count that found a difference differs, and agrees from then on: the book followed.
4. Book and shelf parted between two sightings that differ by different amounts: something
   happened between them that one of the two does not know. An undecided count says nothing.

Called by whoever draws a report; calls nobody of this package. The chart is in ``chart``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from operator import attrgetter
from typing import TYPE_CHECKING, Final, NamedTuple

import attrs

from truecount.errors import InvalidArgument
from truecount.ledger.history import HistoryEntry
from truecount.model import doors
from truecount.model.names import shown
from truecount.model.places import ON_HAND, State
from truecount.model.stock import Figures
from truecount.reconciliation.observations import Count
from truecount.reconciliation.reach import reach_of
from truecount.reconciliation.verdicts import Decision, judge


if TYPE_CHECKING:
    from truecount.reconciliation.mismatches import Mismatch
    from truecount.reconciliation.report import Reconciliation, Undecided

#: What a count of a shelf sees; the same as what ``Count`` covers by default.
SHELF: Final = ON_HAND - {State.PICKED}
#: Movements dated at a count that together make the book what was counted, by value.
_COUNT: Final = "count"
_SETTLING: Final = frozenset({_COUNT, "refold"})


class Step(NamedTuple):
    """A movement on the line: when it happened, what it changed, the figure after it."""

    at: datetime
    change: int
    after: int
    entry: HistoryEntry


class Sighting(NamedTuple):
    """
    A count: when, how much, what is known of it, and by how much it differs from the book.

    ``is_recorded`` tells whether the book followed it.
    """

    seen_at: tuple[datetime, datetime]
    quantity: int
    decision: Decision
    delta: tuple[int, int]
    is_recorded: bool
    who: str


class Divergence(NamedTuple):
    """Book and shelf parted after one moment and by another, by so much (an interval)."""

    after: datetime
    by: datetime
    delta: tuple[int, int]


@attrs.frozen(kw_only=True)
class Timeline:
    """
    The history of one SKU at one location, ready to be drawn.

    Attributes:
        sku: The SKU.
        at: The location.
        covers: The states whose sum is the line.
        first: The figure before the first step.
        steps: Movements, in the order in which they happened.
        sightings: Counts, in the order in which they were taken.
        divergences: Where book and shelf parted, oldest first.
    """

    sku: str
    at: str
    covers: frozenset[State]
    first: int
    steps: tuple[Step, ...]
    sightings: tuple[Sighting, ...]
    divergences: tuple[Divergence, ...]

    def value_at(self, moment: datetime) -> int:
        """Return the figure of the line at a time. O(steps)."""
        value = self.first
        for step in self.steps:
            if step.at > moment:
                break
            value = step.after
        return value


def timeline_of(
    entries: Iterable[HistoryEntry],
    *,
    counts: Iterable[Count] = (),
    report: Reconciliation | None = None,
    covers: Iterable[State] = SHELF,
) -> Timeline:
    """
    Return the timeline of the SKU and location whose history *entries* are.

    >>> from truecount import Count, Inventory
    >>> inventory = Inventory()
    >>> inventory.locations.add("berlin")
    >>> receipt = inventory.receive("MUG", 5, at="berlin")
    >>> report = inventory.reconcile([Count("MUG", 3, at="berlin")])
    >>> timeline = timeline_of(inventory.history("MUG", at="berlin"), report=report)
    >>> timeline.steps[0].after, timeline.sightings[0].quantity, timeline.divergences[0].delta
    (5, 3, (-2, -2))

    Args:
        entries: What ``inventory.history(sku, at=...)`` returns.
        counts: Counts to show that are not recorded; those of other keys, lots or states are
            left out.
        report: What came of comparing them; its mismatches of this key are shown as well.
        covers: States of the line; by default what a count of a shelf covers.

    Raises:
        InvalidArgument: There is no entry, they are of several SKUs or locations, a count
            has no time and no report to take it from, or nothing that is on hand is covered.

    Complexity: O(n log n) in entries and counts.
    """
    listed = sorted(entries, key=lambda e: (e.movement.occurred_at, e.movement.recorded_at))
    sku, at = _subject(listed)
    counted = tuple(counts)
    covered = doors.covers(frozenset(covers))
    first = _before(listed, covered)
    steps = tuple(_steps(listed, covered, first))
    line = Timeline(
        sku=sku, at=at, covers=covered, first=first, steps=steps, sightings=(), divergences=()
    )
    sightings = sorted(
        [*_recorded(steps), *_reported(line, report), *_counted(line, counted, report)],
        key=attrgetter("seen_at"),
    )
    return attrs.evolve(
        line, sightings=tuple(sightings), divergences=tuple(_partings(steps[0].at, sightings))
    )


# --- the line ---------------------------------------------------------------------------


def _subject(entries: Sequence[HistoryEntry]) -> tuple[str, str]:
    keys = {(entry.key.sku, entry.key.location) for entry in entries}
    if len(keys) != 1:
        found = "of nothing" if not keys else f"of {len(keys)} keys"
        allowed = "the entries of one SKU at one location: history(sku, at=...)"
        raise InvalidArgument("entries", found, allowed)
    return keys.pop()


def _sum(figures: Figures, covered: frozenset[State]) -> int:
    return sum(figures[state] for state in covered)


def _before(entries: Sequence[HistoryEntry], covered: frozenset[State]) -> int:
    """Return the figure before the first entry of each lot, added up."""
    first: dict[str, HistoryEntry] = {}
    for entry in entries:
        known = first.setdefault(entry.key.lot, entry)
        if entry.version < known.version:
            first[entry.key.lot] = entry
    return sum(_sum(e.after, covered) - _sum(e.change, covered) for e in first.values())


def _steps(
    entries: Sequence[HistoryEntry], covered: frozenset[State], first: int
) -> Iterator[Step]:
    value = first
    for entry in entries:
        change = _sum(entry.change, covered)
        value += change
        yield Step(entry.movement.occurred_at, change, value, entry)


# --- sightings --------------------------------------------------------------------------


def _recorded(steps: Sequence[Step]) -> Iterator[Sighting]:
    """Yield the counts in the book that were not taken back, with what they settled by now."""
    undone = {step.entry.movement.reverses for step in steps}
    counted = {
        step.at: step.entry.movement
        for step in steps
        if step.entry.movement.kind.value == _COUNT and step.entry.movement.id not in undone
    }
    settling: dict[datetime, list[Step]] = {moment: [] for moment in counted}
    for step in steps:
        movement = step.entry.movement
        if movement.kind.value in _SETTLING and step.at in settling:
            settling[step.at].append(step)
    for moment, parts in settling.items():
        change = sum(part.change for part in parts)
        yield Sighting(
            seen_at=(moment, moment),
            quantity=parts[-1].after,
            decision=Decision.MISMATCH if change else Decision.MATCH,
            delta=(change, change),
            is_recorded=True,
            who=counted[moment].actor or counted[moment].origin or "",
        )


def _is_of(line: Timeline, seen: Mismatch | Undecided | Count) -> bool:
    """Return whether what was counted is what the line shows: no other lot, no part of it."""
    lots = {step.entry.key.lot for step in line.steps}
    is_all = (
        seen.lot is None or lots == {seen.lot} or (not seen.lot and not isinstance(seen, Count))
    )
    return is_all and (seen.sku, seen.at) == (line.sku, line.at)


def _reported(line: Timeline, report: Reconciliation | None) -> Iterator[Sighting]:
    """Yield the mismatches of the report that are counts of what the line shows."""
    for one in () if report is None else report.mismatches:
        if one.covers == line.covers and one.observed is not None and _is_of(line, one):
            yield Sighting(
                seen_at=one.seen_at,
                quantity=one.observed,
                decision=Decision.MISMATCH,
                delta=one.delta,
                is_recorded=False,
                who=one.counter or one.source,
            )


def _counted(
    line: Timeline, counts: Iterable[Count], report: Reconciliation | None
) -> Iterator[Sighting]:
    """Yield the counts that are not in the book and no mismatch of the report."""
    differing = set() if report is None else {_mark(one) for one in report.mismatches}
    waiting = {} if report is None else {_mark(one): one.delta for one in report.undecided}
    for count in counts:
        if not _is_of(line, count) or count.covers != line.covers:
            continue
        seen_at = _interval(count, report)
        mark = _mark_of(count, report)
        if mark in differing:
            continue
        if report is None:
            decision, delta = _against(line, count.quantity, seen_at)
        else:
            decision = Decision.UNDECIDED if mark in waiting else Decision.MATCH
            delta = waiting.get(mark, (0, 0))
        yield Sighting(
            seen_at=seen_at,
            quantity=count.quantity,
            decision=decision,
            delta=delta,
            is_recorded=False,
            who=count.counter or count.source,
        )


def _mark(one: Mismatch | Undecided) -> tuple[object, ...]:
    return (one.sku, one.at, one.lot, one.source, one.observed, one.seen_at)


def _mark_of(count: Count, report: Reconciliation | None) -> tuple[object, ...]:
    """Return by what a report knows a count."""
    seen_at = _interval(count, report)
    return (count.sku, count.at, count.lot or "", count.source, count.quantity, seen_at)


def _interval(count: Count, report: Reconciliation | None) -> tuple[datetime, datetime]:
    first, last = count.interval
    if first is None or last is None:
        if report is None:
            allowed = "with counted_at, or with the report they were compared in"
            raise InvalidArgument("counts", shown(count), allowed)
        return report.at, report.at
    return first, last


def _against(
    line: Timeline, quantity: int, seen_at: tuple[datetime, datetime]
) -> tuple[Decision, tuple[int, int]]:
    """Judge a count by the values the line had while it was taken."""
    first, last = seen_at
    values = [line.value_at(first), *(s.after for s in line.steps if first < s.at <= last)]
    verdict = judge(quantity, reach_of(values), decidable_at=0, now=0)
    return verdict.decision, verdict.delta


# --- where they parted ------------------------------------------------------------------


def _partings(begin: datetime, sightings: Iterable[Sighting]) -> Iterator[Divergence]:
    after, known = begin, (0, 0)
    for sighting in sightings:
        if sighting.decision is Decision.UNDECIDED:
            continue
        differs = sighting.decision is Decision.MISMATCH
        if differs and sighting.delta != known:
            by = sighting.seen_at[1]
            yield Divergence(min(after, by), by, sighting.delta)
        after = sighting.seen_at[0]
        known = sighting.delta if differs and not sighting.is_recorded else (0, 0)

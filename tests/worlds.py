"""
A world of true quantities, seen through clocks that are off and reports that come late.

It knows nothing of the differ: what is true is folded here from true times, and observers
read it. A world is played in rounds; after each the ledger knows what had been reported.
"""

from __future__ import annotations

import random
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import accumulate

import attrs

from truecount import (
    Adjusted,
    Count,
    Formula,
    Inventory,
    Level,
    Outcome,
    Returned,
    Shown,
    Sold,
    Source,
    State,
)
from truecount.testing import CountingIds, ManualClock


START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)
SKEW = timedelta(seconds=4)
LATE = timedelta(seconds=90)
ROUND = timedelta(seconds=30)
ORIGINS = ("etsy", "till", "erp")
SOURCES = [
    *(Source(name, skew=SKEW, late=LATE) for name in ORIGINS),
    Source("site", skew=SKEW, formula=Formula(Shown.ON_HAND, lowest=None)),
    Source("shelf", skew=SKEW),
]
OPENING = 1000
#: One report in so many has a wrong quantity, and is corrected at once.
MISTYPED = 9
_RETURNED = frozenset({"sku", "quantity", "at", "origin", "occurred_at", "key"})


@attrs.frozen
class Happened:
    """An event: when it really was, as stamped, when the ledger heard of it."""

    sku: str
    change: int
    origin: str
    true_at: datetime
    stamped_at: datetime
    heard_at: datetime


@attrs.frozen
class Seen:
    """An observation as its observer wrote it down, and whether it is true."""

    seen: Count | Level
    is_true: bool
    true_at: datetime

    @property
    def decidable_at(self) -> datetime:
        """When all that may explain it must have been heard of, by the stated bounds."""
        until = self.seen.interval[1]
        assert until is not None
        return until + SKEW + LATE


class World:
    """SKUs, what happens to them, and what people see of them."""

    def __init__(
        self, seed: int, *, skus: int, rounds: int, per_round: int, seen: int, thefts: int = 0
    ) -> None:
        """
        Play *rounds* rounds with *per_round* events and *seen* observations in each.

        Of *thefts* in all nobody ever tells the ledger.
        """
        self.random = random.Random(seed)
        self.skus = [f"SKU-{number}" for number in range(skus)]
        self.end = START + ROUND * rounds
        self.clock_off = {name: self._within(SKEW) for name in (*ORIGINS, "site", "shelf")}
        self.events = sorted(
            (self._event() for _ in range(rounds * per_round)), key=lambda each: each.heard_at
        )
        self.thefts = [self._event() for _ in range(thefts)]
        self.path = self._paths()
        self.observed = sorted(
            (self._seen() for _ in range(rounds * seen)), key=lambda each: each.true_at
        )
        self.clock = ManualClock(START)
        self.inventory = Inventory(clock=self.clock, new_id=CountingIds("world"))
        self.inventory.locations.add("berlin")
        self.inventory.submit(
            [
                Adjusted(sku, OPENING, at="berlin", reason="opening", key=sku,
                         occurred_at=START - timedelta(days=1))
                for sku in self.skus
            ]
        )  # fmt: skip

    def _within(self, span: timedelta) -> timedelta:
        return span * self.random.uniform(-1, 1)

    def _moment(self) -> datetime:
        return START + (self.end - START) * self.random.random()

    def _event(self) -> Happened:
        true_at = self._moment()
        origin = self.random.choice(ORIGINS)
        change = self.random.choice([-1, -1, -2, -3, 1, 2, 5])
        delay = (LATE - ROUND - SKEW) * self.random.random() ** 3
        stamped = true_at + self.clock_off[origin]
        # Heard of after it was stamped, or it would be a report from the future.
        heard = max(true_at + delay, stamped)
        return Happened(self.random.choice(self.skus), change, origin, true_at, stamped, heard)

    def _paths(self) -> dict[str, tuple[list[datetime], list[int]]]:
        by_sku: dict[str, list[Happened]] = defaultdict(list)
        for event in (*self.events, *self.thefts):
            by_sku[event.sku].append(event)
        paths = {}
        for sku in self.skus:
            events = sorted(by_sku[sku], key=lambda each: each.true_at)
            sums = accumulate((each.change for each in events), initial=OPENING)
            paths[sku] = ([each.true_at for each in events], list(sums))
        return paths

    def true(self, sku: str, moment: datetime) -> int:
        """Return what there really was at a moment."""
        times, figures = self.path[sku]
        return figures[bisect_right(times, moment)]

    def _seen(self) -> Seen:
        sku, moment = self.random.choice(self.skus), self._moment()
        is_true = self.random.random() < 0.8
        shown = self.true(sku, moment)
        if not is_true:
            shown += self.random.choice([-3, -2, -1, 1, 2, 3])
        is_count = self.random.random() < 0.5
        clock = self.clock_off["shelf" if is_count else "site"]
        before, after = (timedelta(seconds=self.random.expovariate(1)) for _ in range(2))
        since, until = moment - before + clock, moment + after + clock
        seen: Count | Level
        if is_count:
            seen = Count(sku, shown, at="berlin", counted_at=since, counted_until=until)
        else:
            seen = Level("site", sku, shown, seen_at=since, seen_until=until)
        return Seen(seen, is_true, moment)

    def rounds(self) -> Iterator[datetime]:
        """Let time pass; yield the time after each round, when the ledger has been told."""
        now, told = START, 0
        while now < self.end + LATE + 3 * SKEW + ROUND:
            now += ROUND
            self.clock.tick(ROUND)
            heard = told
            while heard < len(self.events) and self.events[heard].heard_at <= now:
                heard += 1
            for first in range(told, heard, 1000):
                numbers = range(first, min(first + 1000, heard))
                told_wrong = self.inventory.record([self._fact(number) for number in numbers])
                self._put_right(numbers, told_wrong)
            told = heard
            yield now

    def _put_right(self, numbers: Sequence[int], outcomes: Sequence[Outcome]) -> None:
        """Correct what was typed wrong: the same event, told again by somebody else."""
        for number, outcome in zip(numbers, outcomes, strict=True):
            if number % MISTYPED == 0:
                quantity = abs(self.events[number].change)
                self.inventory.correct(outcome.movement_id, quantity=quantity, reason="typed wrong")

    def _fact(self, number: int) -> Returned | Sold:
        event = self.events[number]
        fact = Sold(
            event.sku,
            abs(event.change) + (number % MISTYPED == 0),
            at="berlin",
            origin=event.origin,
            occurred_at=event.stamped_at,
            key=f"event-{number}",
        )
        if event.change < 0:
            return fact
        words = {field.name: getattr(fact, field.name) for field in attrs.fields(Sold)}
        return Returned(**{k: v for k, v in words.items() if k in _RETURNED}, into=State.SELLABLE)


@attrs.define
class Tally:
    """How the verdicts on a world's observations came out."""

    observed: int = 0
    decided: int = 0
    false_alarms: int = 0
    errors_called_match: int = 0
    errors_found: int = 0
    naive_false_alarms: int = 0
    true: int = 0


def judged(world: World, *, early: int = 1, sources: Sequence[Source] = SOURCES) -> Tally:
    """
    Play *world*; judge each observation when decidable, and every *early*-th at once.

    Args:
        sources: The bounds that are stated; those of the world are ``SOURCES``.
    """
    tally = Tally()
    fresh = waiting = 0
    for now in world.rounds():
        new = fresh
        while new < len(world.observed) and world.observed[new].true_at + SKEW * 3 <= now:
            new += 1
        _early(world, world.observed[fresh:new], tally, early, sources)
        fresh = new
        due = waiting
        while due < fresh and world.observed[due].decidable_at + SKEW * 3 <= now:
            due += 1
        _late(world, world.observed[waiting:due], tally, sources)
        waiting = due
    assert waiting == len(world.observed)
    return tally


def _verdicts(world: World, several: list[Seen], sources: Sequence[Source]) -> list[str]:
    """Return the verdict on each, one call for each, as each is of its own moment."""
    found = []
    for each in several:
        report = world.inventory.reconcile([each.seen], sources=sources)
        found.append("mismatch" if report.found else "undecided" if report.undecided else "match")
    return found


def _early(
    world: World, several: list[Seen], tally: Tally, early: int, sources: Sequence[Source]
) -> None:
    figures = {sku: world.inventory.figures(sku).on_hand for sku in world.skus}
    for each in several:
        tally.observed += 1
        tally.true += each.is_true
        naive = figures[each.seen.sku]
        tally.naive_false_alarms += each.is_true and naive != each.seen.quantity
    chosen = several[::early]
    for each, verdict in zip(chosen, _verdicts(world, chosen, sources), strict=True):
        _note(each, verdict, tally)


def _late(world: World, several: list[Seen], tally: Tally, sources: Sequence[Source]) -> None:
    for each, verdict in zip(several, _verdicts(world, several, sources), strict=True):
        tally.decided += verdict != "undecided"
        tally.errors_found += not each.is_true and verdict == "mismatch"
        _note(each, verdict, tally)


def _note(each: Seen, verdict: str, tally: Tally) -> None:
    tally.false_alarms += each.is_true and verdict == "mismatch"
    tally.errors_called_match += not each.is_true and verdict == "match"

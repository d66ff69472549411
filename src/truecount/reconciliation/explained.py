"""
A report that explains itself: what may be behind each mismatch. A reader inside.

How it goes::

    sightings    the mismatches that can be explained, as differences    (report)
    brackets     since when each has differed                            (``agreed``)
    evidence_of  what happened meanwhile, and what the host knows        (reader)
    explain      all of it weighed                                       (pure)

Rules:
1. Explained is a difference known to the unit. What is undecided is no difference yet; an
   unknown, repeated or missing SKU is no figure.
2. A level is explained where the book's figure as of the observation is what was expected,
   unit for unit. A kit, a pack and a level that was cut off are not: what moved does not add
   up to what is shown.
3. What was compared in one way is explained together: shelves by the states counted, levels
   by the figure and the locations they are made of.
4. Two who saw different things of one figure at one time contradict each other: neither is
   explained. Two who saw the same have one explanation.
5. Explaining reads and never writes; what the ledger cannot know is passed in.

Who calls whom: ``Reconciler.explain`` calls :func:`explained`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from itertools import groupby, islice
from typing import Final, NamedTuple

import attrs

from truecount.explaining.evidence import Bracket, alike, evidence_of
from truecount.explaining.explain import explain
from truecount.explaining.facts import Discrepancy, Evidence, Level, Push
from truecount.explaining.priors import Priors
from truecount.explaining.results import CommonCause, Explanation
from truecount.model.instants import Instant, iso, to_datetime, to_instant
from truecount.model.places import State
from truecount.model.settings import Settings
from truecount.model.stock import StockKey, never_netted
from truecount.protocols.storage import Reader
from truecount.reconciliation.agreed import counted_before, published_before
from truecount.reconciliation.basis import SEEN_IN
from truecount.reconciliation.mismatches import Mismatch, MismatchKind
from truecount.reconciliation.observations import Formula, Shown
from truecount.reconciliation.published import published_levels
from truecount.reconciliation.report import Agreeing, Reconciliation


#: SKUs of the book among which look-alikes are searched; in a larger book only those that differ.
ALIKE_MAX: Final = 20_000

_NO_FIGURE: Final = frozenset(
    {MismatchKind.UNKNOWN_SKU, MismatchKind.DUPLICATE_SKU, MismatchKind.UNLISTED}
)


class Way(NamedTuple):
    """How a figure was compared; what was compared in one way is explained together."""

    #: The figure a level is made of, None for a shelf.
    shows: Shown | None
    #: The states whose units were seen.
    states: frozenset[State]
    #: The locations a figure without a location is about, none named for all.
    locations: tuple[str, ...]
    #: Whether single lots were seen.
    by_lot: bool


class Sighting(NamedTuple):
    """A mismatch as a difference, and where it stands in the report."""

    numbers: tuple[int, ...]
    mismatch: Mismatch
    found: Discrepancy


def explained(
    reader: Reader,
    settings: Settings,
    now: Instant,
    report: Reconciliation,
    *,
    known: Evidence | None = None,
    priors: Priors,
) -> Reconciliation:
    """
    Return *report* with an explanation of each mismatch that can have one.

    Args:
        known: What the ledger cannot know; it is added to what it does.
        priors: What is believed before anything is looked at.

    Complexity: as ``evidence_of`` and ``explain`` say; the stock rows once if two SKUs that
    differ look alike.
    """
    case = _Explaining(reader, settings, now, report, known or Evidence(), priors)
    answers: dict[int, Explanation] = {}
    common: list[CommonCause] = []
    for way, several in case.by_way().items():
        found, shared = case.explain(way, several)
        answers.update(found)
        common += shared
    mismatches = tuple(
        attrs.evolve(mismatch, explanation=answers.get(number))
        for number, mismatch in enumerate(report.mismatches)
    )
    return attrs.evolve(report, mismatches=mismatches, common=tuple(common))


# --- what can be explained ----------------------------------------------------------------


def way_of(mismatch: Mismatch) -> Way | None:
    """Return how a mismatch was compared, None for one that cannot be explained."""
    exact = mismatch.delta[0] == mismatch.delta[1] != 0
    if not exact or mismatch.observed is None or _NO_FIGURE.intersection(mismatch.kinds):
        return None
    several = mismatch.locations if len(mismatch.locations) > 1 else ()
    if mismatch.covers is not None:
        return Way(None, mismatch.covers, several, bool(mismatch.lot))
    formula = mismatch.formula
    if formula is None or not _tells_units(formula, mismatch.observed):
        return None
    return Way(formula.shows, SEEN_IN[formula.shows], several, by_lot=False)


def _tells_units(formula: Formula, shown: int) -> bool:
    """Return whether a level says how many units it stands for, none cut off."""
    return formula.pack == 1 and (formula.cap is None or shown < formula.cap)


def _safety(mismatch: Mismatch) -> int:
    return 0 if mismatch.formula is None else mismatch.formula.safety


@attrs.frozen(eq=False)
class _Explaining:
    """One report on its way."""

    reader: Reader
    settings: Settings
    now: Instant
    report: Reconciliation
    known: Evidence
    priors: Priors

    def by_way(self) -> dict[Way, list[Sighting]]:
        """Return the mismatches that can be explained, by how they were compared."""
        alike_: dict[tuple[Way, str, StockKey, datetime], list[int]] = defaultdict(list)
        for number, mismatch in enumerate(self.report.mismatches):
            way = way_of(mismatch)
            if way is not None and mismatch.sku not in self._kits:
                channel = "" if way.shows is None else mismatch.source
                key = StockKey(mismatch.sku, mismatch.at, mismatch.lot)
                alike_[way, channel, key, mismatch.seen_at[1]].append(number)
        found: dict[Way, list[Sighting]] = defaultdict(list)
        for (way, channel, key, _), numbers in alike_.items():
            mismatches = [self.report.mismatches[number] for number in numbers]
            if len({mismatch.delta for mismatch in mismatches}) == 1:
                sighting = self._sighting(way, channel, key, mismatches[0])
                found[way].append(Sighting(tuple(numbers), mismatches[0], sighting))
        return found

    @property
    def _kits(self) -> Mapping[str, object]:
        return self.settings.recipes

    def _sighting(self, way: Way, channel: str, key: StockKey, each: Mismatch) -> Discrepancy:
        after = (
            counted_before(self.reader, key, way.states, each.seen_at[0])
            if way.shows is None
            else published_before(self.reader, each)
        )
        return Discrepancy(
            sku=key.sku,
            location=key.location,
            lot=key.lot,
            delta=each.delta[0],
            channel=channel,
            expected=each.expected[0] + _safety(each),
            after=after,
            observed_at=each.seen_at[1],
        )

    # --- one way of comparing -------------------------------------------------------------

    def explain(
        self, way: Way, several: Sequence[Sighting]
    ) -> tuple[dict[int, Explanation], tuple[CommonCause, ...]]:
        """Return the explanations of what was compared in one way, by number in the report."""
        agreeing = [] if way.shows is None else self._agreeing(way, several)
        evidence = self._evidence(way, several, agreeing)
        units = _Units(way, evidence)
        told = [each for each in several if units.say(each.found.key, each.found.expected)]
        levels = [*_differing(told), *(each for each in agreeing if units.say_of(each))]
        found = explain(
            [each.found for each in told],
            attrs.evolve(evidence, levels=[*levels, *self.known.levels] if way.shows else ()),
            priors=self.priors,
        )
        answers = {
            number: explanation
            for each, explanation in zip(told, found, strict=True)
            for number in each.numbers
        }
        return answers, found.common

    def _evidence(
        self, way: Way, several: Sequence[Sighting], agreeing: Iterable[Level]
    ) -> Evidence:
        """Return what the ledger knows, and what the host added."""
        read = evidence_of(
            self.reader,
            [*(each.found for each in several), *_brackets(several, agreeing)],
            now=to_datetime(self.now),
            compared=way.states,
            slack=self.known.slack,
            known_at=self.report.at,
            locations=way.locations,
        )
        return attrs.evolve(
            self.known,
            candidates=[*read.candidates, *self.known.candidates],
            holds=[*read.holds, *self.known.holds],
            transfers=[*read.transfers, *self.known.transfers],
            pushes=[*_pushes(self.reader, several), *self.known.pushes],
            recipes=self._recipes() | self.known.recipes,
            figures={**read.figures, **self.known.figures},
            look_alikes=_merged(self._look_alikes(several), self.known.look_alikes),
            locations=read.locations | self.known.locations,
            usual=[*read.usual, *self.known.usual],
        )

    def _agreeing(self, way: Way, several: Sequence[Sighting]) -> list[Level]:
        """Return the levels that agree, of the sources that differ, as units."""
        safety = {each.mismatch.source: _safety(each.mismatch) for each in several}
        found = {each.found.key for each in several}
        rows = (each for each in self.report.agreeing if each.source in safety)
        return [
            level
            for row in rows
            if (level := _level_of(way, row, safety[row.source])) is not None
            and level.key not in found
            and row.sku not in self._kits
        ]

    def _recipes(self) -> dict[str, dict[str, int]]:
        bills = (self.settings.bill(sku) for sku in self.settings.recipes)
        return {bill.sku: dict(bill.leaves) for bill in bills if bill is not None}

    def _look_alikes(self, several: Iterable[Sighting]) -> dict[str, frozenset[str]]:
        """
        Return the SKUs that are easily taken for each other.

        A mix-up takes two that differ. Only if there are some the book is asked how many
        more there are, because each of many is less likely to be the one.
        """
        differing = alike(each.found.sku for each in several)
        return _merged(differing, self._alike_in_book) if differing else {}

    @cached_property
    def _alike_in_book(self) -> dict[str, frozenset[str]]:
        skus = (sku for sku, _ in groupby(self.reader.stock(), key=lambda item: item[0].sku))
        known = list(islice(skus, ALIKE_MAX + 1))
        return {} if len(known) > ALIKE_MAX else alike(known)


def _merged(
    several: Mapping[str, frozenset[str]], others: Mapping[str, frozenset[str]]
) -> dict[str, frozenset[str]]:
    none: frozenset[str] = frozenset()
    return {sku: several.get(sku, none) | others.get(sku, none) for sku in {**several, **others}}


# --- levels -------------------------------------------------------------------------------


def _level_of(way: Way, row: Agreeing, safety: int) -> Level | None:
    """Return a level that agrees as units, None when it was compared in another way."""
    several = row.locations if len(row.locations) > 1 else ()
    if several != way.locations:
        return None
    at = row.locations[0] if len(row.locations) == 1 else ""
    units = row.quantity + safety
    return Level(source=row.source, sku=row.sku, location=at, shown=units, expected=units)


def _differing(several: Iterable[Sighting]) -> Iterator[Level]:
    """Yield the levels that differ, as units, each once."""
    known: set[tuple[str, StockKey]] = set()
    for _, mismatch, found in several:
        if found.channel and found.expected is not None:
            name = (found.channel, found.key)
            if name not in known:
                known.add(name)
                yield Level(
                    source=found.channel,
                    sku=found.sku,
                    location=found.location,
                    shown=found.expected + mismatch.delta[0],
                    expected=found.expected,
                )


def _brackets(several: Iterable[Sighting], agreeing: Iterable[Level]) -> Iterator[Bracket]:
    """Yield the bracket of each agreeing level: that of all its source's differences."""
    spans: dict[str, tuple[datetime | None, datetime]] = {}
    for _, mismatch, found in several:
        after, until = spans.get(found.channel, (found.after, mismatch.seen_at[1]))
        first = None if after is None or found.after is None else min(after, found.after)
        spans[found.channel] = first, max(until, mismatch.seen_at[1])
    for level in agreeing:
        yield Bracket(level.key, *spans[level.source])


def _pushes(reader: Reader, several: Iterable[Sighting]) -> Iterator[Push]:
    """Yield what was published to the sources before they were observed, as units."""
    for _, mismatch, found in several:
        if found.channel:
            until = to_instant(mismatch.seen_at[1])
            for push in published_levels(reader, found.channel, found.sku):
                if push.at <= until:
                    at = to_datetime(push.at)
                    yield Push(
                        id=f"{push.quantity} at {iso(push.at)}",
                        channel=found.channel,
                        sku=found.sku,
                        level=push.quantity + _safety(mismatch),
                        computed_at=at,
                        applied_at=at,
                    )


class _Units:
    """What the book's figures come to, compared in one way."""

    def __init__(self, way: Way, evidence: Evidence) -> None:
        self._way = way
        self._figures: dict[str, list[tuple[StockKey, int]]] = defaultdict(list)
        for key, figures in evidence.figures.items():
            units = (
                figures.available
                if way.shows is Shown.AVAILABLE
                else sum(figures[state] for state in way.states)
            )
            self._figures[key.sku].append((key, units))

    def say(self, key: StockKey, expected: int | None) -> bool:
        """Return whether a figure is made of units alone; what is counted always is."""
        if self._way.shows is None:
            return True
        parts = [
            units
            for place, units in self._figures.get(key.sku, ())
            if key.location in {"", place.location}
        ]
        netted = never_netted(parts) if self._way.shows is Shown.AVAILABLE else sum(parts)
        return netted == expected

    def say_of(self, level: Level) -> bool:
        """Return whether a level that agrees is made of units alone."""
        return self.say(level.key, level.expected)

"""
One cause behind most mismatches of a source: a wrong formula, or a push that is old.

A single level equals some wrong formula quite often; that most mismatching levels of a
source equal the same one, and no agreeing level contradicts it, does not happen by chance.
So these are tried first, and one sentence then explains a thousand rows.

Rules:
1. Accepted is what explains at least four in five of a source's mismatches, at least
   ``FIXED_MIN`` of them, and breaks none of its agreeing levels.
2. Two formulas that say the same of every level are one; the simpler stands for both.

Formula: its weight is prior / number of tries; against it stands the chance that k of m
mismatches fit by accident, C(m, k) / (2R + 1) ** k, R the typical range of a difference.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from fractions import Fraction
from typing import Final

import attrs

from truecount.explaining.cells import Case
from truecount.explaining.facts import Candidate, Level, wholes
from truecount.explaining.formulas import View, formulas
from truecount.explaining.priors import CauseKind, normalized
from truecount.model.stock import StockKey


#: Fewer rows than this are explained one by one.
FIXED_MIN: Final = 5
#: The share of a source's mismatches that one cause must explain.
SHARE_MIN: Final = Fraction(4, 5)

_EARLIEST: Final = datetime.min.replace(tzinfo=UTC)


@attrs.frozen(eq=False, kw_only=True)
class Fit:
    """
    A cause that explains many rows of a source.

    ``says`` is what each row would show if it were the whole truth.
    """

    kind: CauseKind
    source: str
    #: The name of the formula, "" for an old push.
    formula: str
    #: Since when the source was not updated, None for a formula.
    since: datetime | None
    fixed: frozenset[StockKey]
    mismatches: int
    says: Mapping[StockKey, int]
    #: What each row should show.
    expected: Mapping[StockKey, int]
    probability: float = 0.0
    rivals: int = 0


def fits(case: Case, view: View) -> dict[str, Fit]:
    """Return the common cause of each source that has one. O(levels * formulas + entries)."""
    rows: dict[str, list[Level]] = defaultdict(list)
    for level in case.evidence.levels:
        rows[level.source].append(level)
    timelines = _timelines(case.evidence.candidates, case.evidence.levels)
    found = {}
    for source, levels in rows.items():
        wrong = [level for level in levels if level.shown != level.expected]
        if len(wrong) >= FIXED_MIN:
            by_time, moments = _by_time(source, levels, timelines)
            fit = _best(case, _by_formula(view, source, levels), by_time, moments)
            if fit is not None:
                found[source] = fit
    return found


def _best(case: Case, by_formula: Sequence[Fit], by_time: Fit, moments: int) -> Fit | None:
    """Return the most probable of the accepted fits, weighed against all and accident."""
    tried = {CauseKind.WRONG_FORMULA: len(by_formula), CauseKind.STALE_PUSH: moments}
    accepted = _distinct([fit for fit in (*by_formula, by_time) if _is_accepted(fit)])
    if not accepted:
        return None
    most = max(len(fit.fixed) for fit in accepted)
    accepted = [fit for fit in accepted if len(fit.fixed) == most]
    weights = [case.weight(fit.kind, fit.source, tried[fit.kind]) for fit in accepted]
    accident = _accident(accepted[0].mismatches, most, case.range)
    probabilities = normalized([*weights, accident])
    probability, number = max((p, -n) for n, p in enumerate(probabilities[:-1]))
    return attrs.evolve(accepted[-number], probability=probability, rivals=len(accepted) - 1)


def _is_accepted(fit: Fit) -> bool:
    fixed = len(fit.fixed)
    return fixed >= FIXED_MIN and fixed >= SHARE_MIN * fit.mismatches


def _accident(mismatches: int, fixed: int, spread: int) -> float:
    """Return the chance that so many of the mismatches fit by accident; in logarithms."""
    ways = math.lgamma(mismatches + 1) - math.lgamma(fixed + 1)
    ways -= math.lgamma(mismatches - fixed + 1)
    return math.exp(ways - fixed * math.log(2 * spread + 1))


def _distinct(found: Iterable[Fit]) -> list[Fit]:
    """Return fits that say different things; of equal ones the first."""
    distinct: dict[tuple[tuple[StockKey, int], ...], Fit] = {}
    for fit in found:
        distinct.setdefault(tuple(sorted(fit.says.items())), fit)
    return list(distinct.values())


# --- a wrong formula --------------------------------------------------------------------


def _by_formula(view: View, source: str, levels: Sequence[Level]) -> list[Fit]:
    """Return a fit for each formula, empty where it contradicts an agreeing level."""
    says: dict[str, dict[StockKey, int]] = defaultdict(dict)
    wrong = [level for level in levels if level.shown != level.expected]
    for level in levels:
        for shown in formulas(view, level.key, level.expected):
            # Several packs of one SKU: the one that fits it, else the first.
            if shown.level == level.shown or level.key not in says[shown.name]:
                says[shown.name][level.key] = shown.level
    cap = max(level.shown for level in wrong)
    says[f"at most {cap}"] = {level.key: min(level.expected, cap) for level in levels}
    return [
        Fit(
            kind=CauseKind.WRONG_FORMULA,
            source=source,
            formula=name,
            since=None,
            fixed=_fixed(levels, said),
            mismatches=len(wrong),
            says=said,
            expected={level.key: level.expected for level in levels},
        )
        for name, said in says.items()
    ]


def _fixed(levels: Sequence[Level], says: Mapping[StockKey, int]) -> frozenset[StockKey]:
    """Return the mismatching keys that *says* explains, none if it breaks an agreeing one."""
    fitting = {level.key for level in levels if says.get(level.key) == level.shown}
    agreeing = {level.key for level in levels if level.shown == level.expected}
    if any(key in says and key not in fitting for key in agreeing):
        return frozenset()
    return frozenset(fitting - agreeing)


# --- an old push ------------------------------------------------------------------------

#: What the book showed of a key from a moment on, the oldest first.
_Timeline = list[tuple[datetime, int]]


def _timelines(
    candidates: Iterable[Candidate], levels: Iterable[Level]
) -> dict[StockKey, list[tuple[datetime, int]]]:
    """Return when each key of *levels* changed in the book, and by how much."""
    wanted = {level.key for level in levels}
    changes: dict[StockKey, list[tuple[datetime, int]]] = {key: [] for key in wanted}
    for candidate in candidates:
        if candidate.booked:
            for key, change in candidate.effects:
                for place in wholes(key) & wanted:
                    changes[place].append((candidate.recorded_at, change))
    for found in changes.values():
        found.sort()
    return changes


def _shown_since(level: Level, changes: _Timeline) -> _Timeline:
    """Return what the book showed of one key, backwards from what is expected now."""
    shown = level.expected
    found = []
    for at, change in reversed(changes):
        found.append((at, shown))
        shown -= change
    found.append((_EARLIEST, shown))
    return found[::-1]


def _by_time(
    source: str, levels: Sequence[Level], timelines: Mapping[StockKey, _Timeline]
) -> tuple[Fit, int]:
    """
    Return the moment at which the book was most as it is shown, and how many were tried.

    A sweep over the moments the book changed counts how many levels fit at each.
    """
    shown = {level.key: _shown_since(level, timelines[level.key]) for level in levels}
    score: dict[datetime, int] = defaultdict(int)
    wrong = {level.key for level in levels if level.shown != level.expected}
    # An agreeing level that does not fit outweighs any number of mismatches that do.
    veto = -len(levels) - 1
    for level in levels:
        before = 0
        for at, value in shown[level.key]:
            fits_now = value == level.shown
            points = int(fits_now) if level.key in wrong else (0 if fits_now else veto)
            score[at] += points - before
            before = points
    moments = sorted(score)
    best, best_score, running = _EARLIEST, -1, 0
    for at in moments:
        running += score[at]
        if running >= best_score:
            best, best_score = at, running
    says = {key: _at(history, best) for key, history in shown.items()}
    fit = Fit(
        kind=CauseKind.STALE_PUSH,
        source=source,
        formula="",
        since=_until(moments, best),
        fixed=_fixed(levels, says),
        mismatches=len(wrong),
        says=says,
        expected={level.key: level.expected for level in levels},
    )
    return fit, len(moments)


def _at(history: _Timeline, moment: datetime) -> int:
    return next(value for at, value in reversed(history) if at <= moment)


def _until(moments: Sequence[datetime], best: datetime) -> datetime:
    """Return the first change that the source does not show, or the last one it does."""
    return next((at for at in moments if at > best), best)

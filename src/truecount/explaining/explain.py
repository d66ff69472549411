"""
Why figures differ: all of it in one call.

1. Causes common to most mismatches of a source are tried first (``common``).
2. What is left is explained figure by figure, or together where figures share causes
   (``joint``), by sets of up to three causes that make up the difference exactly.
3. Each answer says how probable it is, how many others fit as exactly, and whether it may
   be trusted. "No explanation" is always one of the hypotheses.

Invariants:
E6  No discrepancy, no explanation.
E7  Nothing depends on the text of SKUs, locations and ids but the order of equals.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import attrs

from truecount.errors import InvalidArgument
from truecount.explaining import sentences
from truecount.explaining.cells import Atom, Case, Cell, case_of
from truecount.explaining.common import Fit, fits
from truecount.explaining.entries import entry_atoms, is_logged
from truecount.explaining.facts import Discrepancy, Evidence
from truecount.explaining.formulas import View
from truecount.explaining.joint import Solved, Weighed, solve
from truecount.explaining.others import Around, around, other_atoms
from truecount.explaining.pool import Pool, pool_of
from truecount.explaining.priors import PRIORS, CauseKind, Priors, verdict
from truecount.explaining.results import Cause, Explanation, Explanations, Hypothesis
from truecount.explaining.sentences import Speaker
from truecount.explaining.spanning import spanning_atoms
from truecount.model.names import shown


#: Hypotheses of one figure that are returned.
LISTED_MAX: Final = 20


def explain(
    discrepancies: Iterable[Discrepancy],
    evidence: Evidence | None = None,
    *,
    priors: Priors = PRIORS,
) -> Explanations:
    """
    Return what may have made figures differ, with probabilities and an honest "unexplained".

    A pure function: it reads no clock and no storage, and changes nothing.

    Args:
        discrepancies: Figures that differ; a channel's and a count's may be mixed.
        evidence: What is known beside them; ``evidence_of`` collects what a ledger knows.

    >>> from datetime import UTC, datetime
    >>> from truecount.explaining.facts import Candidate
    >>> from truecount.model.stock import StockKey
    >>> noon = datetime(2026, 3, 2, 12, tzinfo=UTC)
    >>> key = StockKey("MUG", "berlin")
    >>> sale = Candidate(id="m1", kind="sold", effects={key: -7}, reference="order-5",
    ...                  external_id="etsy-1", occurred_at=noon, recorded_at=noon)
    >>> again = attrs.evolve(sale, id="m2")
    >>> [found] = explain(
    ...     [Discrepancy(sku="MUG", location="berlin", delta=7)],
    ...     Evidence(candidates=[sale, again]),
    ... )
    >>> print(found.sentence)
    MUG at berlin: 7 more than the book says; sold order-5 is in the book twice \
(...; 2 other sets of causes would fit as exactly)
    >>> found.verdict.value, found.evidence
    ('confident', ('m1', 'm2'))

    Raises:
        InvalidArgument: Two discrepancies are of one figure and bracket.

    Complexity: O(m * (n + v ** 2)) for m figures of n candidates with v different changes.
    """
    found = [_checked(each) for each in discrepancies]
    evidence = evidence or Evidence()
    whole = case_of(found, evidence, priors)
    common = fits(whole, View(evidence))
    shared = [_fit_of(each, common) for each in found]
    parts = [_part(each, fit) for each, fit in zip(found, shared, strict=True)]
    left = [part for part in parts if part is not None]
    case = whole if left == found else case_of(left, evidence, priors)
    solved = iter(_solved(case))
    speaker = sentences.Speaker(case, {each.id: each for each in evidence.candidates})
    explained = []
    for each, fit, part in zip(found, shared, parts, strict=True):
        before = () if fit is None else (_shared_cause(each, fit),)
        if part is None and fit is not None:
            explained.append(_by_common_cause(each, fit, before))
        else:
            explained.append(_explanation(each, next(solved), before, speaker))
    return Explanations(
        explained=tuple(explained),
        common=tuple(sentences.common_cause(fit) for fit in common.values()),
    )


def _checked(value: Discrepancy) -> Discrepancy:
    if not isinstance(value, Discrepancy):
        raise InvalidArgument("discrepancies", shown(value), "Discrepancy values")
    return value


# --- causes that many figures share ---------------------------------------------------------


def _fit_of(each: Discrepancy, common: Mapping[str, Fit]) -> Fit | None:
    """Return the common cause that speaks of a figure, if its source has one."""
    fit = common.get(each.channel or each.location)
    return fit if fit is not None and each.key in fit.says else None


def _part(each: Discrepancy, fit: Fit | None) -> Discrepancy | None:
    """Return what a common cause leaves of a difference, None when that is nothing."""
    if fit is None:
        return each
    if each.key in fit.fixed:
        return None
    says = fit.says[each.key]
    left = each.delta - (says - fit.expected[each.key])
    return attrs.evolve(each, delta=left, expected=says) if left else None


def _shared_cause(each: Discrepancy, fit: Fit) -> Cause:
    """Return a common cause as one of a single figure's."""
    change = fit.says[each.key] - fit.expected[each.key]
    return Cause(
        kind=fit.kind,
        site=fit.source,
        effects=((each.key, change),),
        evidence=(),
        sentence=sentences.common_cause(fit).sentence,
    )


def _by_common_cause(each: Discrepancy, fit: Fit, causes: tuple[Cause, ...]) -> Explanation:
    best = Hypothesis(causes=causes, probability=fit.probability)
    found = verdict(fit.probability, explained=True)
    return Explanation(
        discrepancy=each,
        verdict=found,
        hypotheses=(best,),
        ways=(1 + fit.rivals, 0, 0),
        rivals=fit.rivals,
        truncated=False,
        sentence=sentences.answer(each, found, best, fit.rivals),
    )


# --- causes of their own --------------------------------------------------------------------


def _solved(case: Case) -> list[Solved]:
    others = around(case)
    logged = is_logged(case.evidence.candidates)
    pools = [_pool(case, cell, others, logged=logged) for cell in case.cells]
    return solve(case, pools, spanning_atoms(case))


def _pool(case: Case, cell: Cell, others: Around, *, logged: bool) -> Pool:
    """Return all causes of one figure, and the two that fit any difference."""
    atoms = [*entry_atoms(case, cell), *other_atoms(case, cell, others)]
    looked = case.signs.get((CauseKind.MISSING, "", cell.key), False if logged else None)
    unseen = case.priors.weights[CauseKind.MISSING] * case.priors.odds(found=looked)

    return pool_of(atoms, _Rests(case, cell.index, unseen), case.priors.further)


@attrs.frozen(eq=False)
class _Rests:
    """An event nobody saw, and no explanation: they fit any difference of one figure."""

    case: Case
    cell: int
    #: The weight of an event nobody saw, before its size is looked at.
    unseen: float

    def weights(self, left: int) -> tuple[float, float]:
        return self.unseen * self.case.sizes.chance(self.cell, left), self.case.unexplained(left)

    def atom(self, left: int, number: int) -> Atom:
        kind = (CauseKind.MISSING, CauseKind.UNEXPLAINED)[number]
        return Atom(kind, "", ((self.cell, left),), self.weights(left)[number], ())


def _explanation(
    each: Discrepancy, solved: Solved, before: tuple[Cause, ...], speaker: Speaker
) -> Explanation:
    """Return a solved figure as callers see it."""
    best = solved.hypotheses[0]
    kinds = [atom.kind for atom in best.atoms]
    counted = all(atom.site for atom in best.atoms)
    rivals = max(0, sum(solved.ways[: len(best.atoms)]) - counted)
    found = verdict(
        best.probability,
        explained=kinds != [CauseKind.UNEXPLAINED],
        partly=CauseKind.UNEXPLAINED in kinds,
        truncated=solved.truncated,
    )
    hypotheses = tuple(
        [_hypothesis(weighed, before, speaker) for weighed in solved.hypotheses[:LISTED_MAX]]
    )
    return Explanation(
        discrepancy=each,
        verdict=found,
        hypotheses=hypotheses,
        ways=solved.ways,
        rivals=rivals,
        truncated=solved.truncated,
        sentence=sentences.answer(each, found, hypotheses[0], rivals),
    )


def _hypothesis(weighed: Weighed, before: tuple[Cause, ...], speaker: Speaker) -> Hypothesis:
    causes = (*before, *map(speaker.cause, weighed.atoms))
    return Hypothesis(causes=causes, probability=weighed.probability)

"""
From a report to a plan: what is done about each mismatch, decided by tables. Pure.

Rules:
1. A count is followed by the book; a level is not, unless the caller says that its source is
   right (``follow``): the book is what other systems follow.
2. Only a difference known to the unit, at one key, is written. Anything else is looked at.
3. What was seen anew is left out: a shelf that was counted since, a level that the same list
   or a later one shows again. So is what another count has answered: one no older that the
   book explains now and could not explain any more.
4. Lines of one key go oldest first, and a later one knows those before it, because they put
   part of its difference right. What contradicts another observation of the same time is
   looked at: nobody knows which of them is right.

5. A line is as certain as the explanation of its mismatch. But where the book is right, or
   something is still to be booked, writing would put a second error beside the first; and
   of what nobody saw there is no evidence, it may as well be a miscount. A line that is
   written is never confident of these.

Who calls whom: ``Reconciliation.plan`` calls :func:`plan_of`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Final, TypedDict

import attrs

from truecount.errors import InvalidArgument
from truecount.explaining.priors import CauseKind, Certainty
from truecount.explaining.results import Cause, Explanation
from truecount.model import names
from truecount.model.instants import to_instant
from truecount.reconciliation.findings import when
from truecount.reconciliation.mismatches import Mismatch, MismatchKind
from truecount.reconciliation.plan import LeftOut, Plan
from truecount.reconciliation.plan_lines import WRITTEN, PlanAction, PlanLine


if TYPE_CHECKING:
    from truecount.reconciliation.report import Reconciliation, Undecided


#: What is done about a level that differs; look at what is not named. A count has its own way.
OUTSIDE: Final[Mapping[MismatchKind, PlanAction]] = {
    MismatchKind.OVERSOLD: PlanAction.PUBLISH,
    MismatchKind.RESERVED_AS_AVAILABLE: PlanAction.PUBLISH,
    MismatchKind.STALE_SYNC: PlanAction.PUBLISH,
    MismatchKind.BUNDLE: PlanAction.PUBLISH,
    MismatchKind.UNLISTED: PlanAction.LIST,
}
_COUNTED: Final = frozenset({MismatchKind.PHANTOM, MismatchKind.UNRECORDED})
#: Nothing was seen that the book could follow.
_NO_QUANTITY: Final = frozenset(
    {MismatchKind.UNKNOWN_SKU, MismatchKind.DUPLICATE_SKU, MismatchKind.UNLISTED}
)

#: What answers a difference better than writing it would: fields of a basis, in words.
_ANSWERED: Final = {
    "recounted_at": "a newer count stands, of {}",
    "denied_at": "a count of {} agrees with the book, and would not any more",
}

_SHOWN_ANEW: Final = "it was shown anew, as of {}"
#: Causes that writing does not put right, and what to do instead.
_ELSEWHERE: Final[Mapping[CauseKind, str]] = {
    CauseKind.IN_FLIGHT: "observe it again when it is quiet",
    CauseKind.HALF_BOOKED: "record the arrival",
    CauseKind.HOLD: "ship or release what was promised",
    CauseKind.STALE_PUSH: "publish again",
    CauseKind.WRONG_FORMULA: "let it show the right figure",
    CauseKind.LOST_UPDATE: "publish again",
}
#: What to do about a cause without a site.
_UNSEEN: Final = "nobody saw it, so count again"

_MOVED: Final = "it moved while it was observed, so by how much it differs is not known"
_WHERE: Final = "which lot or component the difference belongs to is not known; count each"
_FORMULA: Final = "its level does not tell the units of one location, so nothing can be followed"
_CONTRADICTED: Final = "somebody else saw another difference at the same time; look again"
_TWICE: Final = "the same difference was seen by another observer, whose line it is"


def plan_of(report: Reconciliation, follow: Iterable[str] = ()) -> Plan:
    """
    Return what to do about the mismatches of *report*.

    Args:
        follow: Sources whose levels are right, so that the book is adjusted to them.

    Complexity: O(mismatches * log(mismatches)).
    """
    if isinstance(follow, str):
        raise InvalidArgument("follow", names.shown(follow), "a set of sources")
    followed = frozenset(map(names.origin, follow))
    left = [*_undecided(report.undecided), *_only_counted(report)]
    written: list[PlanLine] = []
    outside: list[PlanLine] = []
    for mismatch in report.mismatches:
        line = _line(mismatch, followed)
        if isinstance(line, LeftOut):
            left.append(line)
        else:
            (written if line.is_written else outside).append(line)
    chained, looked_at = _chained(written, left)
    return Plan(
        at=report.at,
        compared=report.compared,
        lines=(*chained, *looked_at, *outside),
        left=tuple(left),
    )


def _line(mismatch: Mismatch, followed: frozenset[str]) -> PlanLine | LeftOut:
    kinds = set(mismatch.kinds)
    is_counted = bool(kinds & _COUNTED)
    if mismatch.superseded_at is not None:
        said = _ANSWERED["recounted_at"] if is_counted else _SHOWN_ANEW
        answer = said.format(when(to_instant(mismatch.superseded_at)))
        return LeftOut(mismatch.sku, mismatch.at, mismatch.source, answer)
    if not is_counted and (kinds & _NO_QUANTITY or mismatch.source not in followed):
        return _made(mismatch, OUTSIDE.get(mismatch.kind, PlanAction.LOOK))
    basis = mismatch.basis
    if basis is None:
        moved = mismatch.delta[0] != mismatch.delta[1]
        return _made(
            mismatch, PlanAction.LOOK, _MOVED if moved else _WHERE if is_counted else _FORMULA
        )
    for said, at in _ANSWERED.items():
        counted_at = getattr(basis, said)
        if counted_at is not None:
            answer = at.format(when(to_instant(counted_at)))
            return LeftOut(mismatch.sku, mismatch.at, mismatch.source, answer)
    return _made(mismatch, PlanAction.COUNT if is_counted and basis.is_exact else PlanAction.ADJUST)


def _made(mismatch: Mismatch, action: PlanAction, why: str = "") -> PlanLine:
    return PlanLine(
        action=action,
        kind=mismatch.kind,
        sku=mismatch.sku,
        at=mismatch.at,
        source=mismatch.source,
        observed=mismatch.observed,
        expected=mismatch.expected,
        delta=mismatch.delta,
        seen_at=mismatch.seen_at,
        at_risk=mismatch.at_risk,
        why=why,
        basis=None if action is PlanAction.LOOK else mismatch.basis,
        **_explained(mismatch.explanation, is_written=action in WRITTEN),
    )


class _Explained(TypedDict, total=False):
    """What an explanation adds to a line."""

    certainty: Certainty
    cause: str


def _explained(explanation: Explanation | None, *, is_written: bool) -> _Explained:
    if explanation is None:
        return {}
    if explanation.verdict is not Certainty.CONFIDENT:
        return {"certainty": explanation.verdict}
    cause = explanation.best.sentence
    instead = [words for each in explanation.causes if (words := _instead(each))]
    if is_written and instead:
        return {"certainty": Certainty.LIKELY, "cause": f"{cause}; {instead[0]}"}
    return {"certainty": Certainty.CONFIDENT, "cause": cause}


def _instead(cause: Cause) -> str:
    """Return what to do about a cause that writing does not put right, "" if it does."""
    return _ELSEWHERE.get(cause.kind, "" if cause.site else _UNSEEN)


# --- several lines of one key -----------------------------------------------------------


def _chained(written: list[PlanLine], left: list[LeftOut]) -> tuple[list[PlanLine], list[PlanLine]]:
    """Return lines in the order they are written, and those that contradict each other."""
    by_key: dict[tuple[str, str, str], list[PlanLine]] = defaultdict(list)
    for line in written:
        by_key[line.key].append(line)
    chained: list[PlanLine] = []
    looked_at: list[PlanLine] = []
    for key in sorted(by_key):
        before: list[str] = []
        for together in _by_time(by_key[key]):
            first, *others = together
            if len({line.delta for line in together}) > 1:
                looked_at += (_contradicted(line) for line in together)
                continue
            left += (LeftOut(line.sku, line.at, line.source, _TWICE) for line in others)
            line = attrs.evolve(first, after=tuple(before))
            chained.append(line)
            before.append(line.id)
    return chained, looked_at


def _by_time(lines: Iterable[PlanLine]) -> Iterator[list[PlanLine]]:
    """Yield the lines of one key, oldest first, those whose times cannot be told apart together."""
    together: list[PlanLine] = []
    until = None
    dated = [(line.basis, line) for line in lines if line.basis is not None]
    for basis, line in sorted(dated, key=lambda pair: pair[0].as_of):
        if until is not None and basis.as_of > until:
            yield together
            together, until = [], None
        together.append(line)
        until = basis.until if until is None else max(until, basis.until)
    if together:
        yield together


def _contradicted(line: PlanLine) -> PlanLine:
    return attrs.evolve(line, action=PlanAction.LOOK, why=_CONTRADICTED, basis=None)


# --- what has no line -------------------------------------------------------------------


def _undecided(several: Iterable[Undecided]) -> Iterator[LeftOut]:
    for each in several:
        until = each.decidable_at
        reason = (
            f"undecided until {when(to_instant(until))}"
            if until is not None
            else f"it moved each of {each.tries} times it was observed: provisionally a match"
            if each.is_provisional
            else "it moved while it was observed; observe it again when it is quiet"
        )
        yield LeftOut(each.sku, each.at, each.source, reason)


def _only_counted(report: Reconciliation) -> Iterator[LeftOut]:
    """Yield how many mismatches of a kind the report counted and did not list."""
    listed = Counter(mismatch.kind for mismatch in report.mismatches)
    for kind, count in report.kinds.items():
        if count > listed[kind]:
            yield LeftOut("", "", kind.value, "the report only counts them", count - listed[kind])

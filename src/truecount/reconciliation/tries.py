"""
Looking again at what moved while it was seen: how often, and what is left of the doubt. Pure.

Rules:
1. A try is an observation that was left open because the figure moved; the same observation
   compared again is the same try, and one that still waits for reports is none.
2. Tries are in a row when no verdict came between them: the report before carries them, so
   nothing is remembered anywhere else.
3. After ``TRIES`` of them what was seen is taken as a match until somebody sees otherwise:
   it stays undecided, is called provisional, and is never written. Three values that were
   each possible prove nothing of a SKU that moves by more than it is off.
4. A difference that lasted through all tries lies in every one of their intervals; what is
   left of them is told. None left but none is as good as a match, if nothing new arose.

Who calls whom: ``reconcile`` calls :func:`again` with the report before.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, TypeAlias

import attrs


if TYPE_CHECKING:
    from truecount.reconciliation.report import Reconciliation, Undecided


#: Tries after which what was seen is taken as a match provisionally.
TRIES: Final = 3

_Key: TypeAlias = tuple[str, str, str, str]


def again(report: Reconciliation, earlier: Reconciliation) -> Reconciliation:
    """
    Return *report* knowing how often what it leaves open was left open before.

    Complexity: O(undecided of both).
    """
    before = _latest(earlier.undecided)
    undecided = tuple(_continued(each, before.get(_key(each))) for each in report.undecided)
    return attrs.evolve(report, undecided=undecided)


def _key(each: Undecided) -> _Key:
    return each.sku, each.at, each.lot, each.source


def _latest(undecided: Iterable[Undecided]) -> dict[_Key, Undecided]:
    """Return the latest observation of each key."""
    return {_key(each): each for each in sorted(undecided, key=lambda each: each.seen_at)}


def _continued(each: Undecided, before: Undecided | None) -> Undecided:
    if before is None or each.seen_at < before.seen_at:
        return each
    is_same = each.seen_at == before.seen_at
    if is_same and each.observed != before.observed:
        return each  # Somebody else's: nobody knows which of the two was made first.
    if not is_same and each.seen_at[0] < before.seen_at[1]:
        return each
    tries = max(each.tries, before.tries) if is_same else each.tries + before.tries
    return attrs.evolve(each, tries=tries, lasting=_common(each.lasting, before.lasting))


def _common(one: tuple[int, int] | None, other: tuple[int, int] | None) -> tuple[int, int] | None:
    """Return what two intervals have in common; each has 0 in it."""
    if one is None or other is None:
        return one or other
    return max(one[0], other[0]), min(one[1], other[1])

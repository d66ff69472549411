"""
What else may have moved one figure: holds, counts, transfers, pushes, wrong formulas.

The table ``RULES`` has one function for each kind of evidence; each lists the sites of one
kind of cause at one mismatch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

import attrs

from truecount.explaining.cells import Atom, Case, Cell, Site
from truecount.explaining.facts import Hold, OpenTransfer, Push, wholes
from truecount.explaining.formulas import View, formulas
from truecount.explaining.priors import CauseKind
from truecount.model.kinds import Kind
from truecount.model.stock import StockKey


@attrs.frozen(eq=False)
class Around:
    """Evidence that is not about entries, by what it is about."""

    holds: dict[StockKey, list[Hold]]
    transfers: dict[StockKey, list[OpenTransfer]]
    pushes: dict[tuple[str, str], list[Push]]
    view: View


def around(case: Case) -> Around:
    """Return the evidence of a case by what it is about. O(evidence)."""
    found = Around({}, {}, {}, View(case.evidence))
    for hold in case.evidence.holds:
        for key in wholes(hold.key):
            found.holds.setdefault(key, []).append(hold)
    for transfer in case.evidence.transfers:
        # Everywhere nothing is missing: what is on the way belongs to one of both ends.
        for key in wholes(transfer.target) - {StockKey(transfer.target.sku, "")}:
            found.transfers.setdefault(key, []).append(transfer)
    for push in case.evidence.pushes:
        found.pushes.setdefault((push.channel, push.sku), []).append(push)
    return found


def other_atoms(case: Case, cell: Cell, others: Around) -> Iterator[Atom]:
    """Yield every cause of *cell* that is not about one entry."""
    for kind, rule in RULES.items():
        yield from case.atoms(kind, cell, list(rule(case, cell, others)))


def _holds(_case: Case, cell: Cell, others: Around) -> Iterator[Site]:
    """Yield promises that may have been counted as sold, or given back twice."""
    for hold in others.holds.get(cell.key, ()):
        yield Site(hold.reference, -hold.quantity, (), (hold.quantity, -1))
        yield Site(hold.reference, hold.quantity, (), (hold.quantity, 1))


def _transfers(_case: Case, cell: Cell, others: Around) -> Iterator[Site]:
    """Yield transfers that may have arrived without anybody saying so."""
    for transfer in others.transfers.get(cell.key, ()):
        yield Site(transfer.reference, transfer.on_the_way, (), (transfer.on_the_way,))


def _old_book(_case: Case, cell: Cell, _others: Around) -> Iterator[Site]:
    """
    Yield counts that may have been compared with a book older than the count.

    What moved between the snapshot and the posting is then in the book twice.
    """
    for count in cell.entries:
        opened = count.candidate.opened_at or count.candidate.occurred_at
        if count.candidate.kind is not Kind.COUNT:
            continue
        during = [
            entry
            for entry in cell.entries
            if entry.candidate.kind is not Kind.COUNT
            and opened < entry.candidate.occurred_at < count.candidate.recorded_at
        ]
        moved = sum(entry.change for entry in during)
        ids = (count.candidate.id, *(entry.candidate.id for entry in during))
        yield Site(count.candidate.id, -moved, ids, (moved,))


def _lost_update(_case: Case, cell: Cell, others: Around) -> Iterator[Site]:
    """Yield pushes that may have overwritten what the channel sold meanwhile."""
    for push in others.pushes.get((cell.discrepancy.channel, cell.discrepancy.sku), ()):
        during = [
            entry
            for entry in cell.entries
            if push.computed_at < entry.candidate.occurred_at < push.applied_at
        ]
        moved = sum(entry.change for entry in during)
        yield Site(push.id, -moved, tuple(e.candidate.id for e in during), (moved,))


def _stale(_case: Case, cell: Cell, others: Around) -> Iterator[Site]:
    """Yield earlier levels that the channel may still show: pushed ones, or the book's."""
    each = cell.discrepancy
    if not each.channel or each.expected is None:
        return
    pushes = others.pushes.get((each.channel, each.sku), ())
    for push in pushes:
        yield Site(push.id, push.level - each.expected, (), (push.level,))
    if not pushes:
        moved = 0
        for entry in sorted(cell.entries, key=lambda e: e.candidate.recorded_at, reverse=True):
            moved += entry.change
            yield Site(entry.candidate.id, -moved, (entry.candidate.id,), (each.expected - moved,))


def _formulas(_case: Case, cell: Cell, others: Around) -> Iterator[Site]:
    """Yield levels that the channel would show by a wrong formula."""
    each = cell.discrepancy
    if not each.channel or each.expected is None:
        return
    for formula in formulas(others.view, each.key, each.expected):
        yield Site(formula.name, formula.level - each.expected, (), (formula.level,))


RULES: Final[Mapping[CauseKind, Callable[[Case, Cell, Around], Iterator[Site]]]] = {
    CauseKind.HOLD: _holds,
    CauseKind.HALF_BOOKED: _transfers,
    CauseKind.OLD_BOOK: _old_book,
    CauseKind.LOST_UPDATE: _lost_update,
    CauseKind.STALE_PUSH: _stale,
    CauseKind.WRONG_FORMULA: _formulas,
}

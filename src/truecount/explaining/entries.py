"""
What one entry of the book may have done to one figure: a table, one rule for each cause.

A rule is given what an entry changed, and yields what the difference would then be. The
difference is truth less book: an entry counted twice leaves minus itself, one that should
have been ten times as large leaves nine times itself.

Sources of the rules: an accountant's "divide by 9" for swapped digits and "divide by 2"
for a reversed sign; "a multiple of the unit" for a wrong unit of measure.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

from truecount.explaining.cells import Atom, Case, Cell, Entry, Site
from truecount.explaining.digits import slipped, swapped
from truecount.explaining.facts import Candidate, Evidence
from truecount.explaining.priors import CauseKind
from truecount.model.kinds import Kind
from truecount.model.stock import made


#: What leaves for customers, and may come back.
_OUTGOING: Final = frozenset({Kind.SHIP, Kind.SOLD})

#: True value of an entry, for each way in which one entry can be wrong.
_Rule = Callable[[Entry, Evidence, str], Sequence[int]]


def _sign(entry: Entry, _evidence: Evidence, _sku: str) -> Sequence[int]:
    return (-entry.change,) if entry.candidate.keyed else ()


def _transposed(entry: Entry, _evidence: Evidence, _sku: str) -> Sequence[int]:
    return _typed(entry, swapped)


def _slip(entry: Entry, _evidence: Evidence, _sku: str) -> Sequence[int]:
    return _typed(entry, slipped)


def _typed(entry: Entry, mistyped: Callable[[int], list[int]]) -> Sequence[int]:
    """Return what an entry may have been if its number was mistyped, with its sign."""
    if not entry.candidate.keyed:
        return ()
    sign = 1 if entry.change > 0 else -1
    return [sign * number for number in mistyped(abs(entry.change))]


def _unit(entry: Entry, evidence: Evidence, sku: str) -> Sequence[int]:
    found = []
    for factor in evidence.factors.get(sku, ()):
        found.append(entry.change * factor)
        if entry.change % factor == 0:
            found.append(entry.change // factor)
    return found


def _not_put_back(entry: Entry, _evidence: Evidence, _sku: str) -> Sequence[int]:
    return (0,) if entry.change < 0 and entry.candidate.kind in _OUTGOING else ()


RULES: Final[Mapping[CauseKind, _Rule]] = {
    CauseKind.SIGN: _sign,
    CauseKind.TRANSPOSED: _transposed,
    CauseKind.SLIP: _slip,
    CauseKind.UNIT: _unit,
    CauseKind.NOT_PUT_BACK: _not_put_back,
}


def entry_atoms(case: Case, cell: Cell) -> Iterator[Atom]:
    """Yield every cause that one entry of *cell* may be. O(entries)."""
    sku, effects = cell.key.sku, _Effects(cell.index)
    named = [((entry.candidate.id,), (entry.change,)) for entry in cell.entries]
    for kind, rule in RULES.items():
        truths = [rule(entry, case.evidence, sku) for entry in cell.entries]
        sites = sum(map(len, truths))
        if not sites or not case.priors.weights[kind]:
            continue
        even = case.priors.weights[kind] / sites
        found = [
            made(Atom, (kind, ids[0], effects[true - note[0]], even, ids, note))
            for (ids, note), each in zip(named, truths, strict=True)
            for true in each
            if true != note[0]
        ]
        if kind is CauseKind.NOT_PUT_BACK:
            found = _taken_back(case, found, cell)
        yield from found if not case.signs else _looked_up(case, found)
    yield from _duplicates(case, cell)
    yield from _in_flight(case, cell)
    yield from _unbooked(case, cell)


class _Effects(dict[int, tuple[tuple[int, int], ...]]):
    """Effects on one cell, each made once: many entries would change it by the same."""

    def __init__(self, cell: int) -> None:
        super().__init__()
        self._cell = cell

    def __missing__(self, change: int) -> tuple[tuple[int, int], ...]:
        self[change] = found = ((self._cell, change),)
        return found


def _looked_up(case: Case, atoms: Iterable[Atom]) -> Iterator[Atom]:
    """Weigh each cause by what was looked up about it."""
    for atom in atoms:
        yield atom._replace(weight=atom.weight * case.odds(atom.kind, atom.site))


def _taken_back(case: Case, atoms: list[Atom], cell: Cell) -> list[Atom]:
    """Weigh each sale by whether another system knows that its order came back."""
    known = case.evidence.taken_back
    if known is None:
        return atoms
    references = {entry.candidate.id: entry.candidate.reference for entry in cell.entries}
    found = []
    for atom in atoms:
        reference = references[atom.site]
        if reference is not None and not _is_signed(case, atom):
            odds = case.priors.odds(found=reference in known)
            found.append(atom._replace(weight=atom.weight * odds))
        else:
            found.append(atom)
    return found


def _is_signed(case: Case, atom: Atom) -> bool:
    return (atom.kind, atom.site, None) in case.signs


def _duplicates(case: Case, cell: Cell) -> Iterator[Atom]:
    """
    Yield each event that may be in the book twice.

    Entries that are one event by their source's id, or by key, size and document, are one
    site. One whose id or document is there only once has a sign against it: what is booked
    twice mostly is under its own name.
    """
    events: dict[object, list[Entry]] = defaultdict(list)
    for entry in cell.entries:
        events[_event(entry)].append(entry)
    sites = [
        Site(same[-1].candidate.id, -same[-1].change, tuple(e.candidate.id for e in same))
        for same in events.values()
    ]
    twice = {same[-1].candidate.id: len(same) > 1 for same in events.values()}
    named = {entry.candidate.id for entry in cell.entries if _is_named(entry.candidate)}
    for atom in case.atoms(CauseKind.DUPLICATE, cell, sites):
        looked = twice[atom.site] or atom.site in named
        if looked and not _is_signed(case, atom):
            odds = case.priors.odds(found=twice[atom.site])
            yield atom._replace(weight=atom.weight * odds)
        else:
            yield atom


def _is_named(candidate: Candidate) -> bool:
    return candidate.external_id is not None or candidate.reference is not None


def _event(entry: Entry) -> object:
    candidate = entry.candidate
    if candidate.external_id is not None:
        return candidate.origin, candidate.external_id
    if candidate.reference is not None:
        return candidate.kind, candidate.reference, entry.change
    return candidate.id


def _in_flight(case: Case, cell: Cell) -> Iterator[Atom]:
    """Yield what happened so near to the observation that only one side may have seen it."""
    moment, slack = cell.discrepancy.observed_at, case.evidence.slack
    if moment is None:
        return
    near = [
        (entry, entry.candidate.occurred_at <= moment)
        for entry in cell.entries
        if abs(entry.candidate.occurred_at - moment) <= slack
    ]
    sites = [
        Site(entry.candidate.id, -entry.change if counted else entry.change, (entry.candidate.id,))
        for entry, counted in near
    ]
    yield from case.atoms(CauseKind.IN_FLIGHT, cell, sites)


def _unbooked(case: Case, cell: Cell) -> Iterator[Atom]:
    """
    Yield what a source's log has and the book does not.

    It is an unseen missing event of its size for which something was found.
    """
    prior, odds = case.priors.weights[CauseKind.MISSING], case.priors.odds(found=True)
    for candidate, change in cell.unbooked:
        seen = case.signs.get((CauseKind.MISSING, candidate.id, None), True)
        weight = prior * case.sizes.chance(cell.index, change)
        weight *= odds if seen else case.priors.odds(found=False)
        if weight:
            effects = ((cell.index, change),)
            yield Atom(CauseKind.MISSING, candidate.id, effects, weight, (candidate.id,))


def is_logged(candidates: Iterable[Candidate]) -> bool:
    """Return whether a source's log was compared with the book."""
    return any(not candidate.booked for candidate in candidates)

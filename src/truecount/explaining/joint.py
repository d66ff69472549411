"""
Figures that share causes, solved together.

A cause that moves two figures explains both for the price of one, or neither. So figures
are joined into components by the spanning causes they share; each choice of spanning causes
leaves every figure of the component a remainder, and the remainders are independent:

    weight(choice) = product of weights of the causes chosen
                   x product over figures of the total of all sets that make up its remainder

Components are kept small: spanning causes are taken by their odds, the strongest first. One
that is unlikely, or would make a component exceed ``SPAN_MAX`` causes, stays outside. It
still competes at each of its figures, against that figure's solved component, so it is a
rival there; only its competition with causes two figures away is left out.

Invariants:
E5  The hypotheses of one figure have probabilities that add up to at most 1, the rest being
    those that are not listed.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from math import prod
from typing import Final, NamedTuple

import attrs

from truecount.explaining.cells import Atom, Case
from truecount.explaining.pool import SIZE_MAX, Pool, Sum


#: Spanning causes of one component; each choice of them is looked at.
SPAN_MAX: Final = 6
#: Spanning causes less likely than this, beside their figures' own, stay outside.
_ODDS_MIN: Final = 0.01
#: Choices whose share is smaller are counted, but none of their sets is listed.
_SHARE_MIN: Final = 1e-9


class Weighed(NamedTuple):
    """A hypothesis about one figure: causes, and its probability."""

    probability: float
    atoms: tuple[Atom, ...]


class Solved(NamedTuple):
    """What may have made one figure differ, the most probable first."""

    hypotheses: tuple[Weighed, ...]
    #: How many sets of one, two and three causes make up the difference exactly.
    ways: tuple[int, int, int]
    truncated: bool


class _Choice(NamedTuple):
    """
    Spanning causes taken to be true, and what they leave of each figure they touch.

    ``weight`` is relative to that of none of them.
    """

    atoms: tuple[Atom, ...]
    sums: dict[int, Sum | None]
    weight: float


@attrs.frozen(eq=False)
class Joint:
    """All figures of a case with their pools and spanning causes."""

    case: Case
    pools: Sequence[Pool]
    #: For each cell the spanning causes that touch it and belong to no component.
    outside: Mapping[int, list[_Choice]]

    def left(self, cell: int, atoms: Sequence[Atom]) -> int:
        """Return what *atoms* leave of a cell's difference."""
        taken = sum(change for atom in atoms for place, change in atom.effects if place == cell)
        return self.case.cells[cell].discrepancy.delta - taken

    def sum_of(self, cell: int, atoms: Sequence[Atom]) -> tuple[Sum | None, float]:
        """
        Return the sets for what *atoms* leave of a cell, and their weight.

        None, weighing 1 for the first cause of a figure, when nothing is left.
        """
        touching = sum(place == cell for atom in atoms for place, _ in atom.effects)
        further = self.case.priors.further
        scale = further ** max(0, touching - 1)
        left = self.left(cell, atoms)
        if left == 0:
            return None, scale
        if touching >= SIZE_MAX:
            return None, 0.0
        found = self.pools[cell].sum_of(left, SIZE_MAX - touching)
        return found, found.total * scale * (further if touching else 1.0)

    def alone(self, cell: int) -> Sum:
        """Return the sets for a cell's whole difference."""
        return self.pools[cell].sum_of(self.case.cells[cell].discrepancy.delta)

    def choice(self, atoms: tuple[Atom, ...]) -> _Choice:
        """Return a choice of spanning causes, weighed against none of them."""
        ratio = prod(atom.weight for atom in atoms)
        sums: dict[int, Sum | None] = {}
        for cell in {cell for atom in atoms for cell, _ in atom.effects}:
            sums[cell], total = self.sum_of(cell, atoms)
            ratio *= total / self.alone(cell).total
        return _Choice(atoms, sums, ratio)


def solve(case: Case, pools: Sequence[Pool], spanning: Sequence[Atom]) -> list[Solved]:
    """
    Return what may have made each figure of *case* differ.

    O(figures) pools of their own cost, and 2 ** SPAN_MAX choices for each component.
    """
    free = Joint(case, pools, {})
    components, outside = _components(free, spanning)
    joint = Joint(case, pools, outside)
    solved: dict[int, Solved] = {}
    for cells, atoms in components:
        choices = _choices(joint, atoms)
        for cell in cells:
            solved[cell] = _solved(joint, cell, choices)
    return [solved[cell.index] for cell in case.cells]


def _components(
    joint: Joint, spanning: Sequence[Atom]
) -> tuple[list[tuple[list[int], list[Atom]]], dict[int, list[_Choice]]]:
    """Return cells joined by spanning causes, and the causes left outside, for each cell."""
    owner = {cell.index: cell.index for cell in joint.case.cells}
    members = {index: [index] for index in owner}
    inside: dict[int, list[Atom]] = {index: [] for index in owner}
    outside: dict[int, list[_Choice]] = defaultdict(list)
    singly = [joint.choice((atom,)) for atom in spanning]
    for choice in sorted(singly, key=lambda each: each.weight, reverse=True):
        [atom] = choice.atoms
        roots = list(dict.fromkeys(owner[cell] for cell, _ in atom.effects))
        if choice.weight < _ODDS_MIN or sum(len(inside[root]) for root in roots) >= SPAN_MAX:
            for cell, _ in atom.effects:
                outside[cell].append(choice)
            continue
        first, *others = roots
        for root in others:
            for cell in members[root]:
                owner[cell] = first
            members[first] += members.pop(root)
            inside[first] += inside.pop(root)
        inside[first].append(atom)
    return [(members[root], inside[root]) for root in members], outside


def _choices(joint: Joint, atoms: Sequence[Atom]) -> list[_Choice]:
    """Return each choice of spanning causes that leaves every figure possible."""
    found = [joint.choice(chosen) for chosen in _subsets(atoms)]
    return [choice for choice in found if choice.weight]


def _subsets(atoms: Sequence[Atom]) -> Iterator[tuple[Atom, ...]]:
    """Yield all sets of *atoms*, small ones first, none with one site of a kind twice."""
    level: list[tuple[int, tuple[Atom, ...]]] = [(0, ())]
    while level:
        following = []
        for start, chosen in level:
            yield chosen
            sites = {(atom.kind, atom.site) for atom in chosen}
            following += [
                (place + 1, (*chosen, atom))
                for place, atom in enumerate(atoms[start:], start)
                if (atom.kind, atom.site) not in sites
            ]
        level = following


def _solved(joint: Joint, cell: int, choices: Sequence[_Choice]) -> Solved:
    """Return one figure's hypotheses out of the choices of its component."""
    weights: dict[tuple[Atom, ...], float] = defaultdict(float)
    ways: dict[tuple[Atom, ...], tuple[int, int, int]] = {}
    total = sum(choice.weight for choice in choices)
    truncated = False
    for choice in choices:
        touching = tuple(
            [atom for atom in choice.atoms if any(place == cell for place, _ in atom.effects)]
        )
        found = choice.sums[cell] if touching else joint.alone(cell)
        ways[touching] = _ways(touching, found)
        truncated = truncated or (found is not None and found.truncated)
        if choice.weight < _SHARE_MIN * total:
            continue
        if found is None:
            weights[touching] += choice.weight
            continue
        for listed in found.listed:
            share = choice.weight * listed.weight / found.total
            weights[touching + listed.atoms] += share
    for choice in joint.outside.get(cell, ()):
        found = choice.sums[cell]
        ways[choice.atoms] = _ways(choice.atoms, found)
        total += choice.weight
        if found is None:
            weights[choice.atoms] += choice.weight
    ordered = sorted(weights.items(), key=lambda item: (-item[1], _order(item[0])))
    hypotheses = tuple([Weighed(weight / total, atoms) for atoms, weight in ordered])
    one, two, three = (sum(column) for column in zip(*ways.values(), strict=True))
    return Solved(hypotheses, (one, two, three), truncated)


def _ways(spanning: tuple[Atom, ...], found: Sum | None) -> tuple[int, int, int]:
    """Return how many sets there are with these spanning causes, by size."""
    before = [0] * len(spanning)
    counts = [*before, *found.ways] if found else [*before[1:], 1]
    one, two, three, *_ = [*counts, 0, 0, 0]
    return one, two, three


def _order(atoms: tuple[Atom, ...]) -> tuple[tuple[str, str], ...]:
    return tuple([(atom.kind.value, atom.site) for atom in atoms])

"""
All sets of up to three causes that make up one difference: weighed together, and counted.

Atoms of one cell are grouped by how they change the difference. The sets of one, two and
three atoms with a given sum are then counted and weighed group by group, without listing
them: products of the groups' power sums (elementary symmetric polynomials, Newton). What is
listed are the heaviest sets, the others are in the totals all the same.

Beside atoms a set may have one *rest*: an event nobody has seen, or no explanation. A rest
fits any difference, so sets with one are weighed but never counted as a coincidence.

Invariants:
E3  ``ways`` is the exact number of sets of atoms, and equals brute force (unless truncated).
E4  ``total`` is the weight of all sets, the unlisted ones too; a listed set never weighs
    more than it would alone.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from heapq import heappush, heappushpop
from itertools import product
from typing import Final, NamedTuple, Protocol

import attrs

from truecount.explaining.cells import Atom
from truecount.explaining.coincidence import LISTED_MAX
from truecount.model.stock import made


#: Combinations of changes that the search for triples of one cell may look at.
BUDGET: Final = 20_000
#: Changes of which all pairs are within the budget.
_CHANGES_MAX: Final = math.isqrt(2 * BUDGET) - 1
#: Causes of one figure at a time.
SIZE_MAX: Final = 3
#: Atoms of one group that can be in a listed set of several.
_HEADS: Final = 6
#: Sets lighter than this share of the heaviest are weighed and counted, but not listed.
_LISTED_FROM: Final = 1e-3


class Listed(NamedTuple):
    """One set of atoms, and its weight."""

    weight: float
    atoms: tuple[Atom, ...]


class Sum(NamedTuple):
    """All sets with one sum; ``ways`` counts those of one, two and three atoms."""

    total: float
    ways: tuple[int, int, int]
    listed: tuple[Listed, ...]
    truncated: bool


class Group(NamedTuple):
    """Atoms that change the difference by the same: the heaviest first, and power sums."""

    atoms: tuple[Atom, ...]
    p1: float
    p2: float
    p3: float

    def taken(self, size: int) -> tuple[float, int]:
        """Return weight and number of all sets of *size* of these atoms."""
        number = len(self.atoms)
        if size == 1:
            return self.p1, number
        if size == 2:  # noqa: PLR2004 -- a pair
            return max(0.0, self.p1**2 - self.p2) / 2, number * (number - 1) // 2
        triples = number * (number - 1) * (number - 2) // 6
        return max(0.0, self.p1**3 - 3 * self.p1 * self.p2 + 2 * self.p3) / 6, triples


def group(atoms: list[Atom]) -> Group:
    """Return *atoms* as a group."""
    if len(atoms) == 1:
        weight = atoms[0].weight
        square = weight * weight
        return made(Group, ((atoms[0],), weight, square, weight * square))
    ordered = sorted(atoms, key=lambda atom: (-atom.weight, atom.kind, atom.site))
    weights = [atom.weight for atom in ordered]
    squares = [weight * weight for weight in weights]
    cubes = [weight * square for weight, square in zip(weights, squares, strict=True)]
    return Group(tuple(ordered), sum(weights), sum(squares), sum(cubes))


class Rests(Protocol):
    """What fits any difference."""

    def weights(self, left: int) -> Sequence[float]:
        """Return the weight of each rest that fits a difference of *left*."""
        ...

    def atom(self, left: int, number: int) -> Atom:
        """Return one of these rests."""
        ...


@attrs.frozen(eq=False)
class Pool:
    """The atoms of one cell, by how they change its difference."""

    groups: dict[int, Group]
    rests: Rests
    #: The chance of one more independent cause.
    further: float
    _sums: dict[tuple[int, int], Sum] = attrs.field(factory=dict)

    def sum_of(self, target: int, size_max: int = SIZE_MAX) -> Sum:
        """
        Return all sets of up to *size_max* causes that make up *target*.

        O(groups ** 2), at most BUDGET combinations.
        """
        known = self._sums.get((target, size_max))
        if known is None:
            known = self._sums[target, size_max] = self._search(target, size_max)
        return known

    def _search(self, target: int, size_max: int) -> Sum:
        best = Best()
        total = 0.0
        for number, weight in enumerate(self.rests.weights(target)):
            total += weight
            best.put(weight, (self.rests.atom(target, number),))
        ways = [0, 0, 0]
        truncated = size_max == SIZE_MAX and len(self.groups) > _CHANGES_MAX
        for size in range(1, size_max + 1):
            scale = self.further ** (size - 1)
            groups = self._heaviest() if size == SIZE_MAX and truncated else self.groups
            for chosen in _SEARCHES[size](groups, target):
                weight, many = _weigh(chosen)
                if many:
                    total += weight * scale
                    ways[size - 1] += many
                    best.add(chosen, scale)
        if size_max > 1:
            total += self._beside_rests(target, best)
        return Sum(total, (ways[0], ways[1], ways[2]), best.sorted(), truncated)

    def _heaviest(self) -> dict[int, Group]:
        """Return the groups that triples are looked for in when there are too many."""
        ordered = sorted(self.groups, key=lambda change: (-self.groups[change].p1, change))
        return {change: self.groups[change] for change in ordered[:_CHANGES_MAX]}

    def _beside_rests(self, target: int, best: Best) -> float:
        """Return the weight of all sets of one atom and a rest."""
        total = 0.0
        for change, atoms in self.groups.items():
            left = target - change
            if left == 0:
                continue
            weights = self.rests.weights(left)
            total += self.further * sum(weights) * atoms.p1
            for number, weight in enumerate(weights):
                scale = self.further * weight
                for atom in atoms.atoms[:_HEADS]:
                    if not best.takes(scale * atom.weight):
                        break
                    best.put(scale * atom.weight, (atom, self.rests.atom(left, number)))
        return total


def pool_of(atoms: Iterable[Atom], rests: Rests, further: float) -> Pool:
    """Return the atoms of one cell, each moving nothing else."""
    by_change: dict[int, list[Atom]] = {}
    for atom in atoms:
        by_change.setdefault(atom.effects[0][1], []).append(atom)
    groups = {change: group(found) for change, found in by_change.items()}
    return Pool(groups, rests, further)


# --- combinations of groups -----------------------------------------------------------------

#: Groups with how many atoms each gives.
_Chosen = tuple[tuple[Group, int], ...]


def _singles(groups: dict[int, Group], target: int) -> Iterator[_Chosen]:
    if target in groups:
        yield ((groups[target], 1),)


def _pairs(groups: dict[int, Group], target: int) -> Iterator[_Chosen]:
    for change, first in groups.items():
        rest = target - change
        if change < rest and rest in groups:
            yield ((first, 1), (groups[rest], 1))
        elif change == rest:
            yield ((first, 2),)


def _triples(groups: dict[int, Group], target: int) -> Iterator[_Chosen]:
    """Yield three changes, low <= middle <= high, that make up *target*."""
    changes = sorted(groups)
    highest = changes[-1] if changes else 0
    for place, low in enumerate(changes):
        if 3 * low > target:
            break
        rest = target - low
        # The highest of the three is at most the highest of all, and not below the middle.
        first = bisect_left(changes, rest - highest, place)
        last = bisect_right(changes, rest // 2, first)
        for middle in changes[first:last]:
            high = rest - middle
            if high not in groups:
                continue
            three = (low, middle, high)
            yield tuple([(groups[each], three.count(each)) for each in dict.fromkeys(three)])


_SEARCHES: Final = {1: _singles, 2: _pairs, 3: _triples}


def _weigh(chosen: _Chosen) -> tuple[float, int]:
    weight, many = 1.0, 1
    for atoms, size in chosen:
        part, number = atoms.taken(size)
        weight *= part
        many *= number
    return weight, many


class Best:
    """The heaviest sets seen so far: LISTED_MAX of them, none far lighter than the first."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, tuple[Atom, ...]]] = []
        self._least = 0.0
        self._seen = 0

    def takes(self, weight: float) -> bool:
        """Return whether a set of *weight* would be kept."""
        return weight > self._least

    def put(self, weight: float, atoms: tuple[Atom, ...]) -> None:
        """Keep one set if it is among the heaviest; of equals the first."""
        if weight <= self._least:
            return
        self._seen += 1
        item = (weight, -self._seen, atoms)
        if len(self._heap) < LISTED_MAX:
            heappush(self._heap, item)
        else:
            heappushpop(self._heap, item)
            self._least = max(self._least, self._heap[0][0])
        self._least = max(self._least, weight * _LISTED_FROM)

    def add(self, chosen: _Chosen, scale: float) -> None:
        """Keep the heaviest sets of a combination of groups."""
        bound = scale
        for members, size in chosen:
            for atom in members.atoms[:size]:
                bound *= atom.weight
        if not self.takes(bound):
            return
        if len(chosen) == 1 and chosen[0][1] == 1:
            for atom in chosen[0][0].atoms[:LISTED_MAX]:
                self.put(scale * atom.weight, (atom,))
            return
        for atoms in _sets(chosen):
            weight = scale
            for atom in atoms:
                weight *= atom.weight
            self.put(weight, atoms)

    def sorted(self) -> tuple[Listed, ...]:
        """Return them, the heaviest first."""
        ordered = sorted(self._heap, key=lambda item: (-item[0], -item[1]))
        return tuple([Listed(weight, atoms) for weight, _, atoms in ordered])


def _sets(chosen: _Chosen) -> Iterator[tuple[Atom, ...]]:
    """Yield sets of the heaviest atoms of each group, no atom twice."""
    spots = [range(min(_HEADS, len(atoms.atoms))) for atoms, size in chosen for _ in range(size)]
    owners = [number for number, (_, size) in enumerate(chosen) for _ in range(size)]
    for places in product(*spots):
        if all(
            owners[spot] != owners[spot + 1] or places[spot] < places[spot + 1]
            for spot in range(len(places) - 1)
        ):
            yield tuple(
                chosen[owner][0].atoms[place] for owner, place in zip(owners, places, strict=True)
            )

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
from collections.abc import Callable, Iterable, Iterator, Sequence
from heapq import heappush, heappushpop
from itertools import product
from typing import Final, NamedTuple

import attrs

from truecount.explaining.cells import Atom
from truecount.explaining.coincidence import LISTED_MAX


#: Combinations of changes that the search for triples of one cell may look at.
BUDGET: Final = 20_000
#: Changes of which all pairs are within the budget.
_CHANGES_MAX: Final = math.isqrt(2 * BUDGET) - 1
#: Causes of one figure at a time.
SIZE_MAX: Final = 3
#: Atoms of one group that can be in a listed set of several.
_HEADS: Final = 6


class Listed(NamedTuple):
    """One set of atoms, and its weight."""

    weight: float
    atoms: tuple[Atom, ...]


class Sum(NamedTuple):
    """All sets with one sum."""

    total: float
    ways: int
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


def group(atoms: Iterable[Atom]) -> Group:
    """Return *atoms* as a group."""
    ordered = sorted(atoms, key=lambda atom: (-atom.weight, atom.kind, atom.site))
    weights = [atom.weight for atom in ordered]
    return Group(
        tuple(ordered),
        sum(weights),
        sum(weight**2 for weight in weights),
        sum(weight**3 for weight in weights),
    )


#: The rests that fit a difference.
Rests = Callable[[int], Sequence[Atom]]


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
        best = _Best()
        total, ways = 0.0, 0
        truncated = size_max == SIZE_MAX and len(self.groups) > _CHANGES_MAX
        for size in range(1, size_max + 1):
            scale = self.further ** (size - 1)
            groups = self._heaviest() if size == SIZE_MAX and truncated else self.groups
            for chosen in _SEARCHES[size](groups, target):
                weight, many = _weigh(chosen)
                if many:
                    total += weight * scale
                    ways += many
                    best.add(chosen, scale)
        total += self._with_rest(target, size_max, best)
        return Sum(total, ways, best.sorted(), truncated)

    def _heaviest(self) -> dict[int, Group]:
        """Return the groups that triples are looked for in when there are too many."""
        ordered = sorted(self.groups, key=lambda change: (-self.groups[change].p1, change))
        return {change: self.groups[change] for change in ordered[:_CHANGES_MAX]}

    def _with_rest(self, target: int, size_max: int, best: _Best) -> float:
        """Return the weight of all sets with a rest in them: it alone, or beside one atom."""
        total = 0.0
        for rest in self.rests(target):
            total += rest.weight
            best.put(rest.weight, (rest,))
        if size_max > 1:
            for change, atoms in self.groups.items():
                if change == target:
                    continue
                for rest in self.rests(target - change):
                    scale = self.further * rest.weight
                    total += scale * atoms.p1
                    for atom in atoms.atoms[:_HEADS]:
                        best.put(scale * atom.weight, (atom, rest))
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
        for middle in changes[place:]:
            high = target - low - middle
            if high < middle:
                break
            if high > highest or high not in groups:
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


class _Best:
    """The heaviest sets seen so far, LISTED_MAX of them."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, tuple[tuple[str, str], ...], tuple[Atom, ...]]] = []

    def put(self, weight: float, atoms: tuple[Atom, ...]) -> None:
        """Keep one set if it is among the heaviest."""
        if len(self._heap) == LISTED_MAX and weight < self._heap[0][0]:
            return
        item = (weight, tuple((atom.kind.value, atom.site) for atom in atoms), atoms)
        if len(self._heap) < LISTED_MAX:
            heappush(self._heap, item)
        else:
            heappushpop(self._heap, item)

    def add(self, chosen: _Chosen, scale: float) -> None:
        """Keep the heaviest sets of a combination of groups."""
        if len(chosen) == 1 and chosen[0][1] == 1:
            for atom in chosen[0][0].atoms[:LISTED_MAX]:
                self.put(scale * atom.weight, (atom,))
            return
        bound = scale
        for members, size in chosen:
            for atom in members.atoms[:size]:
                bound *= atom.weight
        if len(self._heap) == LISTED_MAX and bound < self._heap[0][0]:
            return
        for atoms in _sets(chosen):
            weight = scale
            for atom in atoms:
                weight *= atom.weight
            self.put(weight, atoms)

    def sorted(self) -> tuple[Listed, ...]:
        """Return them, the heaviest first."""
        ordered = sorted(self._heap, key=lambda item: (-item[0], item[1]))
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

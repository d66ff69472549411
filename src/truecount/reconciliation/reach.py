"""
Which values a figure may have shown while somebody looked at it. Pure arithmetic.

An observation is true at an unknown moment of an interval, and every clock that stamped an
event is a little off. So the book does not have *one* value for the observer to have seen,
it has a set of them: what was certainly there before, and after it any prefix of what each
source did, in that source's own order.

Rules:
1. Sources whose clocks differ may interleave in any way. Walking one path sorted by stamps
   is unsound: the true figure may never lie on it. Prefixes of each source are summed
   instead (the Minkowski sum of the sets).
2. What one source stamped alike has no order; any part of it may have been seen.
3. Sets that would grow beyond ``COMBINATIONS_MAX`` become the interval around them, which
   holds everything the set holds, and more.

Invariants:
I19 Every value the true figure can have had is in the reach, while the bounds hold.

``windows`` finds the events, ``verdicts`` judges a value by its reach.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby, product
from math import prod
from operator import itemgetter
from typing import Final, NamedTuple, TypeAlias


#: Sums of more combinations than this are only bounded, not listed.
COMBINATIONS_MAX: Final = 10_000

#: The same for figures made of several others by a function that is worth counting.
MADE_MAX: Final = 1_000

#: When it was stamped, and by how much the figure changed.
Change: TypeAlias = tuple[int, int]


class Reach(NamedTuple):
    """
    The values a figure may have had; ``values`` None stands for all from lowest to highest.

    >>> reach = Reach(2, 5, frozenset({2, 5}))
    >>> 5 in reach.values, reach.holds(5), reach.holds(4), reach.hull().holds(4)
    (True, True, False, True)
    """

    lowest: int
    highest: int
    values: frozenset[int] | None

    def holds(self, value: int) -> bool:
        """Return whether the figure may have had *value*."""
        if self.values is None:
            return self.lowest <= value <= self.highest
        return value in self.values

    @property
    def is_point(self) -> bool:
        """Whether there is one possible value only."""
        return self.lowest == self.highest

    def hull(self) -> Reach:
        """Return the interval around the values."""
        return self._replace(values=None)

    def mapped(self, function: Callable[[int], int]) -> Reach:
        """
        Return the reach of a figure made of this one by a *function* that never falls.

        >>> point(7).mapped(lambda units: units // 2).lowest
        3
        """
        if self.values is None:
            return Reach(function(self.lowest), function(self.highest), None)
        return reach_of(map(function, self.values))


def point(value: int) -> Reach:
    """Return the reach of a figure that did not move."""
    return Reach(value, value, frozenset({value}))


def reach_of(values: Iterable[int]) -> Reach:
    """Return the reach of exactly *values*, at least one."""
    known = frozenset(values)
    return Reach(min(known), max(known), known)


def either(first: Reach, second: Reach) -> Reach:
    """Return what is in the one or in the other; the interval around both if one is one."""
    lowest = min(first.lowest, second.lowest)
    highest = max(first.highest, second.highest)
    if first.values is None or second.values is None:
        return Reach(lowest, highest, None)
    return _bounded(first.values | second.values, lowest, highest)


def plus(first: Reach, second: Reach) -> Reach:
    """
    Return the sums of a value of the one and a value of the other.

    >>> sorted(plus(reach_of([0, 1]), reach_of([0, 10])).values)
    [0, 1, 10, 11]

    Complexity: O(product of the sizes), at most ``COMBINATIONS_MAX``.
    """
    lowest, highest = first.lowest + second.lowest, first.highest + second.highest
    if first.values is None or second.values is None:
        return Reach(lowest, highest, None)
    if len(first.values) * len(second.values) > COMBINATIONS_MAX:
        return Reach(lowest, highest, None)
    both = frozenset(a + b for a in first.values for b in second.values)
    return Reach(lowest, highest, both)


def made_of(parts: Sequence[Reach], function: Callable[[Sequence[int]], int]) -> Reach:
    """
    Return the reach of a figure made of *parts* by a *function* that falls in none of them.

    So what it makes of the lowest figures, and of the highest, is the interval around it.

    >>> sorted(made_of([reach_of([4, 9]), point(3)], lambda units: min(units)).values)
    [3]
    >>> sorted(made_of([reach_of([1, 9]), reach_of([2, 5])], lambda units: min(units)).values)
    [1, 2, 5]

    Complexity: O(calls), as many as the parts have combinations, at most ``MADE_MAX``.
    """
    lowest = function([part.lowest for part in parts])
    highest = function([part.highest for part in parts])
    if lowest == highest:
        return point(lowest)
    sizes = [MADE_MAX + 1 if part.values is None else len(part.values) for part in parts]
    if prod(sizes) > MADE_MAX:
        return Reach(lowest, highest, None)
    return reach_of(map(function, product(*[part.values or () for part in parts])))


def _bounded(values: frozenset[int], lowest: int, highest: int) -> Reach:
    return Reach(lowest, highest, values if len(values) <= COMBINATIONS_MAX else None)


def prefixes(changes: Iterable[Change]) -> Reach:
    """
    Return the sums of the prefixes of one source's *changes*, in the order of their stamps.

    >>> sorted(prefixes([(1, -2), (2, 5)]).values)  # nothing yet, the first, both
    [-2, 0, 3]
    >>> sorted(prefixes([(1, -2), (1, 5)]).values)  # stamped alike: in any order
    [-2, 0, 3, 5]

    Complexity: O(n log n), and for n changes stamped alike O(n * distinct sums).
    """
    done = 0
    total = point(0)
    ordered = sorted(changes, key=itemgetter(0))
    for _, group in groupby(ordered, key=itemgetter(0)):
        alike = [change for _, change in group]
        total = either(total, _shifted(_parts(alike), done))
        done += sum(alike)
    return total


def _parts(changes: Sequence[int]) -> Reach:
    """Return the sums of any of *changes*."""
    sums = point(0)
    for change in changes:
        sums = either(sums, _shifted(sums, change))
    return sums


def _shifted(reach: Reach, by: int) -> Reach:
    lowest, highest, values = reach
    moved = None if values is None else frozenset([value + by for value in values])
    return Reach(lowest + by, highest + by, moved)


def reached(base: int, sources: Iterable[Iterable[Change]]) -> Reach:
    """
    Return what a figure may have been: *base*, and a prefix of each source's changes.

    Two sources whose clocks are seconds apart sold 3 and took 3 back; which came first is
    not known, so 2, 5 and 8 were possible:

    >>> sorted(reached(5, [[(0, -3)], [(1, 3)]]).values)
    [2, 5, 8]

    The form is that of science: F = {base + sum of one prefix of each source}; with too
    many combinations it is the interval from the lowest to the highest.

    Complexity: O(changes * log(changes) + ``COMBINATIONS_MAX`` for each source).
    """
    total = point(base)
    for reach in _moving(sources):
        total = plus(total, reach)
    return total


def _moving(sources: Iterable[Iterable[Change]]) -> Iterator[Reach]:
    for changes in sources:
        reach = prefixes(changes)
        if not (reach.is_point and reach.lowest == 0):
            yield reach


def never_netted(parts: Sequence[Reach]) -> Reach:
    """
    Return what may be promised out of *parts* that cannot pay for each other.

    As ``model.stock.never_netted`` does for numbers: the sum of what is above zero, or, where
    nothing is, the sum of all.

    >>> never_netted([point(5), reach_of([-3, 2])]).values == {5, 7}
    True
    >>> never_netted([point(-3), point(-1)]).lowest
    -4
    """
    if len(parts) == 1:
        return parts[0]
    above = point(0)
    below: Reach | None = point(0)
    for part in parts:
        above = plus(above, part.mapped(lambda value: max(0, value)))
        below = None if below is None or part.lowest > 0 else plus(below, _not_above_zero(part))
    if below is None:
        return above
    if above.highest <= 0:
        return below
    if above.values is None:
        return Reach(below.lowest, above.highest, None)
    return either(below, reach_of(value for value in above.values if value > 0))


def _not_above_zero(part: Reach) -> Reach:
    if part.values is None:
        return Reach(part.lowest, min(0, part.highest), None)
    low = [value for value in part.values if value <= 0]
    return reach_of(low)

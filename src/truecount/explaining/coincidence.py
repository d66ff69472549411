"""
In how many ways numbers add up by accident.

Sixty order lines have 1,770 pairs and a few dozen sums, so a pair that "explains" a
difference explains nothing. The number of ways is what says so; it is exact.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Final

from truecount.errors import InvalidArgument


#: Sets that are listed; all of them are counted.
LISTED_MAX: Final = 20


def ways(items: Sequence[int], target: int, size_max: int = 3) -> tuple[int, ...]:
    """
    Return how many sets of 1, 2, ... *size_max* of *items* add up to *target*.

    Equal items at different places are different. Dynamic programming over
    ``count[size][sum]``: exact, in O(n * size_max * R) time, R the number of sums reached.

    >>> ways([-1, -1, -2, -3, 5, -5, 12, -12, 7], -6, 4)
    (0, 2, 4, 2)
    >>> ways([-1, -1, -2, -3, 5, -5, 12, -12, 7], 12)
    (1, 1, 1)
    """
    counts = _counts(items, _size(size_max))
    return tuple([level.get(target, 0) for level in counts[1:]])


def _size(size_max: int) -> int:
    if type(size_max) is not int or size_max < 1:
        raise InvalidArgument("size_max", repr(size_max), "a whole number of at least 1")
    return size_max


def _counts(items: Sequence[int], size_max: int) -> list[dict[int, int]]:
    counts: list[dict[int, int]] = [{0: 1}, *({} for _ in range(size_max))]
    for item in items:
        for size in range(size_max, 0, -1):
            level = counts[size]
            for total, number in counts[size - 1].items():
                level[total + item] = level.get(total + item, 0) + number
    return counts


def listed(
    items: Sequence[int], target: int, size_max: int = 3, limit: int = LISTED_MAX
) -> list[tuple[int, ...]]:
    """
    Return the positions of up to *limit* sets of *items* that add up to *target*.

    Smaller sets come first, then those of earlier items. Branches that cannot reach the
    target are not entered, so the time is that of ``ways`` once for each suffix, and of
    what is listed.

    >>> listed([-1, -1, -2, -3, 5, -5, 12, -12, 7], -6, 2)
    [(0, 5), (1, 5)]
    """
    suffixes = [_counts(items[start:], _size(size_max)) for start in range(len(items) + 1)]
    found: list[tuple[int, ...]] = []
    for size in range(1, size_max + 1):
        found += islice(_sets(items, suffixes, 0, target, size), limit - len(found))
    return found


def _sets(
    items: Sequence[int], suffixes: list[list[dict[int, int]]], start: int, target: int, size: int
) -> Iterator[tuple[int, ...]]:
    if size == 0:
        yield ()
        return
    for place in range(start, len(items)):
        rest = target - items[place]
        if suffixes[place + 1][size - 1].get(rest):
            for others in _sets(items, suffixes, place + 1, rest, size - 1):
                yield (place, *others)

"""
How a typed number goes wrong: two digits swapped, a zero too many or too few.

The difference made by a swap is divisible by 9, but so is every ninth number: only an
actual typed number that a swap turns into the right one is evidence.
"""

from __future__ import annotations

from collections.abc import Iterator


def swapped(number: int) -> list[int]:
    """
    Return what *number* may have been if two neighbouring digits were swapped in typing.

    Equal digits make no swap; one that would bring a zero to the front is a slip instead.

    >>> swapped(132), swapped(100), swapped(55)
    ([312, 123], [], [])
    """
    text = str(number)
    found = []
    for place in range(len(text) - 1):
        first, second = text[place], text[place + 1]
        if first != second and not (place == 0 and second == "0"):
            found.append(int(text[:place] + second + first + text[place + 2 :]))
    return found


def slipped(number: int) -> list[int]:
    """
    Return what *number* may have been if a zero was added, dropped or led in typing.

    >>> slipped(30), slipped(7), slipped(105)
    ([300, 3], [70], [1050, 15])
    """
    return list(dict.fromkeys(_slips(number)))


def _slips(number: int) -> Iterator[int]:
    text = str(number)
    yield number * 10
    if text[-1] == "0":
        yield number // 10
    if text[1:2] == "0":
        yield int(text[0] + text[2:])

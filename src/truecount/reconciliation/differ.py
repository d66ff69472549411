"""
Two lists of quantities, joined: what differs, what is missing, what is there twice. Pure.

Rules:
1. Comparing never raises because numbers differ: differences, missing keys and repeated keys
   are data. Only a stream that claims an order and has none is refused, because joining it
   would report good keys as missing.
2. A repeated key is reported once more for each repetition, and the first one is compared.
3. Nothing is compared twice and nothing is left out: every key of either side is equal on
   both sides or in exactly one difference that is not a repetition.

============  ==================  ========================  ==============================
function      sides               memory                    for
============  ==================  ========================  ==============================
``ordered``   both sorted by key  O(1)                      files and tables of any size
``unordered`` any order           O(keys of the book)       what fits in memory
``dirty``     any order           O(keys named)             what has moved since last time
``joined``    both sorted by key  O(1)                      any values, not only quantities
============  ==================  ========================  ==============================
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from enum import StrEnum
from typing import Final, NamedTuple, TypeAlias, TypeVar

from truecount.errors import InvalidData
from truecount.model.names import shown


class Side(StrEnum):
    """Which list a key was repeated in."""

    BOOK = "book"
    SEEN = "seen"


class Difference(NamedTuple):
    """
    A key on which the two lists do not agree.

    ``book`` and ``seen`` are the quantities, None where a list does not have the key. In a
    repetition ``repeated`` names the list, and the other quantity is None.
    """

    key: str
    book: int | None
    seen: int | None
    repeated: Side | None = None

    @property
    def delta(self) -> int:
        """Seen minus book, what is missing counted as none."""
        return (self.seen or 0) - (self.book or 0)


#: A key and its quantity.
Pair: TypeAlias = tuple[str, int]

_A = TypeVar("_A")
_B = TypeVar("_B")


# --- sorted -----------------------------------------------------------------------------


def ordered(book: Iterable[Pair], seen: Iterable[Pair]) -> Iterator[Difference]:
    """
    Yield the differences of two lists that are sorted by key, in the order of keys.

    >>> for each in ordered([("MUG", 3), ("TEA", 1)], [("CUP", 2), ("MUG", 4), ("MUG", 4)]):
    ...     print(each.key, each.book, each.seen, each.repeated)
    CUP None 2 None
    MUG 3 4 None
    MUG None 4 seen
    TEA 1 None None

    Raises:
        InvalidData: A list is not sorted; it names the list and both keys.

    Complexity: O(rows) in time, constant in memory. Keys are compared by code point.
    """
    left, right = iter(book), iter(seen)
    a, b = next(left, None), next(right, None)
    while a is not None and b is not None:
        key, quantity = a
        other, shown_there = b
        if key == other:
            if quantity != shown_there:
                yield Difference(key, quantity, shown_there)
            a, b = next(left, None), next(right, None)
            if a is not None and b is not None and a[0] > key < b[0]:
                continue  # In order and unique, as nearly all rows are.
        elif key < other:
            yield Difference(key, quantity, None)
            a = next(left, None)
        else:
            yield Difference(other, None, shown_there)
            b = next(right, None)
        if key <= other:
            a = yield from _after(left, a, key, Side.BOOK)
        if other <= key:
            b = yield from _after(right, b, other, Side.SEEN)
    yield from _rest(left, a, Side.BOOK)
    yield from _rest(right, b, Side.SEEN)


def _after(
    rows: Iterator[Pair], row: Pair | None, key: str, side: Side
) -> Generator[Difference, None, Pair | None]:
    """Yield the rows that repeat *key* and return the first one after them."""
    while row is not None and row[0] == key:
        yield _one_sided(row, side, side)
        row = next(rows, None)
    if row is not None and row[0] < key:
        raise _disorder(side, key, row[0])
    return row


def _rest(rows: Iterator[Pair], row: Pair | None, side: Side) -> Iterator[Difference]:
    """Yield what one list still has when the other has ended."""
    while row is not None:
        yield _one_sided(row, side)
        key = row[0]
        row = yield from _after(rows, next(rows, None), key, side)


def _one_sided(row: Pair, side: Side, repeated: Side | None = None) -> Difference:
    key, quantity = row
    if side is Side.BOOK:
        return Difference(key, quantity, None, repeated)
    return Difference(key, None, quantity, repeated)


def _disorder(side: str, key: str, lower: str) -> InvalidData:
    return InvalidData(
        f"the list of {side}",
        f"{shown(lower)} comes after {shown(key)}; sort it by key, or compare without order",
    )


# --- in any order -----------------------------------------------------------------------

#: Equal to no quantity a list can have.
_MISSING: Final = -(2**64)


def unordered(book: Iterable[Pair], seen: Iterable[Pair]) -> Iterator[Difference]:
    """
    Yield the differences of two lists in any order.

    Those the other system shows come in its order, then what it lacks in the book's order.

    >>> [each.key for each in unordered([("TEA", 1), ("MUG", 3)], [("MUG", 4), ("CUP", 2)])]
    ['MUG', 'CUP', 'TEA']

    Complexity: O(rows) in time; in memory two dictionaries of the book's keys, and the keys
    that are not in the book.
    """
    left: dict[str, int] = {}
    for key, quantity in book:
        if key in left:
            yield Difference(key, quantity, None, Side.BOOK)
        else:
            left[key] = quantity
    unseen, strangers = left.copy(), set[str]()
    pop = unseen.pop  # One look-up instead of two, which is most of the time.
    for key, quantity in seen:
        known = pop(key, _MISSING)
        if known == quantity:
            continue
        if known != _MISSING:
            yield Difference(key, known, quantity)
        elif key in left or key in strangers:
            yield Difference(key, None, quantity, Side.SEEN)
        else:
            strangers.add(key)
            yield Difference(key, None, quantity)
    for key, missed in unseen.items():
        yield Difference(key, missed, None)


def dirty(
    keys: Iterable[str],
    book: Callable[[str], int | None],
    seen: Callable[[str], int | None],
) -> Iterator[Difference]:
    """
    Yield the differences of the *keys* that may have changed, each asked for on both sides.

    >>> book, shown = {"MUG": 3, "TEA": 1}, {"MUG": 4}
    >>> [each.delta for each in dirty(["MUG", "CUP"], book.get, shown.get)]
    [1]

    Args:
        book: Returns the quantity of a key, None where there is none.
        seen: The same of the other side.

    Complexity: O(keys), and of each key what the two functions take.
    """
    for key in dict.fromkeys(keys):
        here, there = book(key), seen(key)
        if here != there:
            yield Difference(key, here, there)


# --- any values -------------------------------------------------------------------------


def joined(
    left: Iterable[tuple[str, _A]], right: Iterable[tuple[str, _B]]
) -> Iterator[tuple[str, _A | None, _B | None]]:
    """
    Yield every key of two lists sorted by key, each key at most once in either, with its values.

    >>> list(joined([("MUG", 3)], [("CUP", "?"), ("MUG", "!")]))
    [('CUP', None, '?'), ('MUG', 3, '!')]

    Raises:
        InvalidData: A list does not rise.

    Complexity: O(rows) in time, constant in memory.
    """
    ours, theirs = _rising(left, Side.BOOK), _rising(right, Side.SEEN)
    a, b = next(ours, None), next(theirs, None)
    while a is not None or b is not None:
        if a is not None and (b is None or a[0] < b[0]):
            yield a[0], a[1], None
            a = next(ours, None)
        elif b is not None and (a is None or b[0] < a[0]):
            yield b[0], None, b[1]
            b = next(theirs, None)
        elif a is not None and b is not None:
            yield a[0], a[1], b[1]
            a, b = next(ours, None), next(theirs, None)


def _rising(rows: Iterable[tuple[str, _A]], side: Side) -> Iterator[tuple[str, _A]]:
    last: str | None = None
    for row in rows:
        if last is not None and row[0] <= last:
            raise _disorder(side, last, row[0])
        last = row[0]
        yield row

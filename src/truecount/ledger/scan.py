"""Reading a whole ledger in constant memory: page by page, each row once, in order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from hashlib import blake2b
from typing import Final, NamedTuple, TypeAlias

from truecount.errors import InternalError
from truecount.model.kinds import Kind
from truecount.model.movements import Body, MovementRow, changes_of, decode
from truecount.model.outcomes import OutcomeRow
from truecount.model.stock import StockKey
from truecount.protocols.storage import Reader, Record


#: Called with rows done and rows to do.
Progress: TypeAlias = Callable[[int, int], None]

#: The rolling digest of a ledger without movements.
START: Final = "0" * 32

#: Rows read in one go.
PAGE: Final = 500

#: What decoding a damaged row may raise.
UNREADABLE: Final = (ValueError, KeyError, TypeError, AttributeError, InternalError)


def rolled(digest: str, row: MovementRow) -> str:
    """Return the rolling digest of a ledger after one more movement."""
    return blake2b(f"{digest}{row.digest}".encode(), digest_size=16).hexdigest()


def last_position(reader: Reader) -> int:
    """Return the position of the last movement. O(log n) reads: positions have no gap."""
    step = 1
    while reader.feed(step - 1, 1):
        step *= 2
    low, high = step // 2, step - 1
    while low < high:
        middle = (low + high + 1) // 2
        if reader.feed(middle - 1, 1):
            low = middle
        else:
            high = middle - 1
    return low


def movement_pages(reader: Reader) -> Iterator[list[tuple[int, MovementRow]]]:
    """Yield the movements by position, page by page."""
    after = 0
    while page := reader.feed(after, PAGE):
        yield page
        after = page[-1][0]


def records_of(reader: Reader, space: str) -> Iterator[Record]:
    """Yield the documents of *space* by id, read page by page."""
    after = ""
    while page := reader.records(space, after, PAGE):
        yield from page
        after = page[-1].id


def outcome_pages(reader: Reader) -> Iterator[list[OutcomeRow]]:
    """Yield the outcomes by key, page by page."""
    after = ""
    while page := reader.outcomes(after, PAGE):
        yield page
        after = page[-1].key


class Said(NamedTuple):
    """What a movement says about one key it extends."""

    version: int
    change: list[int]
    floor: int | None


class Reading(NamedTuple):
    """A movement's body, decoded and folded; or why it cannot be."""

    body: Body
    said: dict[StockKey, Said]
    problem: str | None = None


#: Of a row that is no movement, and the start of one that cannot be read.
NOTHING_READ: Final = Reading(Body((), (), (), (), (), (), ()), {})


def _numbers(body: Body) -> list[object]:
    """Return everything in a body that must be a whole number."""
    return [
        *[leg.quantity for leg in body.legs],
        *[leg.line for leg in body.legs],
        *[version for _, version in body.extends],
        *[floor for floor in body.floors if floor is not None],
        *[number for opening in body.opened for number in opening],
        *[tally.change for tally in body.tallies],
        *[instant for _, _, instant in body.expiries],
    ]


@lru_cache(maxsize=64)  # A wide movement is asked for again by each of its keys.
def _reading(kind: str, text: str) -> Reading:
    try:
        body = decode(text)
        if not {*map(type, _numbers(body))} <= {int}:
            return NOTHING_READ._replace(problem="it has a quantity that is not a whole number")
        changes = changes_of(Kind(kind), body.legs, body.touches)
        keys = [key for key, _ in body.extends]
        if keys != sorted(changes) or len(body.floors) != len(keys):
            return NOTHING_READ._replace(
                problem=f"it extends {keys}, its legs touch {sorted(changes)}"
            )
        said = {
            key: Said(version, changes[key], floor)
            for (key, version), floor in zip(body.extends, body.floors, strict=True)
        }
    except UNREADABLE as error:
        return NOTHING_READ._replace(problem=f"{type(error).__name__}: {error}")
    return Reading(body, said)


def reading_of(row: MovementRow) -> Reading:
    """Return what a stored movement says, decoded and checked against its kind."""
    return _reading(row.kind, row.body)

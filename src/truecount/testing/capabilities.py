"""
What a storage can do besides the contract, and how the kit gets at it.

Every storage locks, writes and reads. Some can also be opened again, joined by a host's
connection, or written by several at once; and some can be looked into without their own
code. What is declared here is checked, what is not is skipped, and said to be.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Final, NamedTuple, Protocol, TypeAlias

import attrs

from truecount.model.stock import Amounts, StockKey
from truecount.protocols.storage import Reader, Storage


class Stored(NamedTuple):
    """
    What is stored for one tenant, read without the storage's own code where possible.

    For a database that is six SELECTs on a connection of one's own; ``stored_by`` makes it
    of what a reader shows, which is what it is compared with.
    """

    #: Ids of movements.
    movements: frozenset[str]
    #: Figures after each entry, by key and version.
    entries: dict[tuple[StockKey, int], Amounts]
    #: Figures of rows that have an entry.
    stock: dict[StockKey, Amounts]
    #: Reserved, held, allocated, picked, shipped, released, expired, short; by reference and
    #: number.
    lines: dict[tuple[str, int], tuple[int, ...]]
    #: Versions of documents, by space and id.
    records: dict[tuple[str, str], int]
    #: Keys of outcomes.
    outcomes: frozenset[str]


class Host(Protocol):
    """A program's own connection to the storage's database, with a transaction open."""

    @property
    def connection(self) -> object:
        """What ``Storage.begin(tenant, host)`` takes."""
        ...

    def write(self) -> None:
        """Insert one more row into a table of the host's own, in the open transaction."""
        ...

    def count(self) -> int:
        """Return how many such rows the open transaction sees; open one if none is."""
        ...

    def commit(self) -> None:
        """Commit what is open."""
        ...

    def roll_back(self) -> None:
        """Roll back what is open."""
        ...


#: Opens the same data once more, as another process would; also after ``close``.
Reopen: TypeAlias = Callable[[Storage], Storage]
#: Opens a host's connection to a storage's database, in a transaction; closes it afterwards.
OpenHost: TypeAlias = Callable[[Storage], AbstractContextManager[Host]]
#: Looks at what is stored for a tenant, past the storage.
LookBehind: TypeAlias = Callable[[Storage, str], Stored]


@attrs.frozen(kw_only=True)
class Capabilities:
    """
    What one kind of storage can do besides the contract.

    >>> Capabilities().missing(("reopen",))
    'not declared: reopen (open the same data again)'

    Attributes:
        reopen: How to open the same data again. None: it goes with the storage, as in memory.
        many_openings: Opened several times at once, as by several processes, it is one storage.
        open_host: How a host connects to its database. None: no host can join.
        look_behind: How to look at stored rows past the storage's own code.
        concurrent_writers: Units over different rows do not wait for each other.
    """

    reopen: Reopen | None = None
    many_openings: bool = False
    open_host: OpenHost | None = None
    look_behind: LookBehind | None = None
    concurrent_writers: bool = False

    def missing(self, needs: tuple[str, ...]) -> str:
        """Return why a check that *needs* these cannot run, "" if it can."""
        absent = [f"{name} ({MEANING[name]})" for name in needs if not getattr(self, name)]
        return f"not declared: {', '.join(absent)}" if absent else ""


#: What each capability means, as the reason of a skipped check says it.
MEANING: Final = {
    "reopen": "open the same data again",
    "many_openings": "several openings at once are one storage",
    "open_host": "join a host's transaction",
    "look_behind": "look at stored rows past the storage's own code",
    "concurrent_writers": "writers of different rows do not wait for each other",
}


def stored_by(reader: Reader) -> Stored:
    """Return what *reader* shows, lines of the references that have an order; small ledgers."""
    feed = reader.feed(0, _ALL)  # First of all: only then it is sure to be numbered.
    stock = dict(reader.stock())
    orders = [record.id for record in reader.records("order", "", _ALL)]
    lines = [line for reference in orders for line in reader.lines(reference)]
    records = [record for space in reader.spaces() for record in reader.records(space, "", _ALL)]
    return Stored(
        movements=frozenset(row.id for _, row in feed),
        entries={(e.key, e.version): e.after for key in stock for e in reader.entries(key)},
        stock={key: row.amounts for key, row in stock.items()},
        lines={(line.reference, line.number): line.counters for line in lines},
        records={(record.space, record.id): record.version for record in records},
        outcomes=frozenset(row.key for row in reader.outcomes("", _ALL)),
    )


_ALL: Final = 100_000

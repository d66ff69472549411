"""
The storage protocol: lock, read, write, and read back. No business rule lives here.

A storage keeps six kinds of rows for each tenant. Movements and entries are insert-only;
stock rows, reservation lines, documents and outcomes have a current value.

==============  ==========================================  ==========================
rows            key (the tenant leads every one)            written as
==============  ==========================================  ==========================
movement        id; position; index on reference            insert
entry           sku, location, lot, version                 insert
stock row       sku, location, lot                          insert or update
line            reference, number                           insert or update
record          space, id                                   insert or update, by version
outcome         key                                         insert (or replace a forgotten)
==============  ==========================================  ==========================

How a write goes (``truecount.write.apply`` does it, for every storage the same)::

    with storage.begin(tenant, host) as unit:     # own transaction, or the host's
        locked = unit.recall(wants) or unit.lock(wants)  # lock in order, then read
        due = unit.due(enough, now)               # expired holds of the locked keys
        ... decide, in memory ...
        unit.write(changes)                       # all of it, or an exception and none

Contract of a unit:

1. ``lock`` takes, in this order and each group sorted: the records of ``wants.orders``
   (space "order"), then the stock rows of ``wants.keys``, of ``wants.scopes`` and of the
   lines of those orders, then ``wants.records``. Missing stock rows of ``wants.keys`` are
   created first (version 0). What it returns was read by statements that began after the
   locks were granted. Serial storages may take one lock for all of it.
2. ``recall`` may return what ``lock`` would, from memory, having locked nothing; it is None
   where a storage remembers nothing. Whatever the unit does next, its locks come first, and
   with them the proof that all of it is so: every row, that no more rows are in the scopes,
   that orders and keys which it says are not there are not. Otherwise the unit raises
   ``Outdated``, at the latest when it is left, also by an exception, and has written nothing.
3. Two units whose wants overlap never both hold what they share, be it there already or
   not (a reference nobody used yet, a document of version 1); only what both name in
   ``wants.shared`` they may hold at once. A unit may call ``lock`` once,
   unless ``recall`` had an answer, and then ``write`` once, as its last word; a wider need
   starts a new unit.
4. ``write`` inserts outcomes first and raises ``KeyTaken`` when a key is there already,
   having written nothing. It verifies nothing but its constraints: every figure of HELD,
   ALLOCATED and PICKED >= 0, every counter of a line >= 0, figures within int64, (key,
   version) unique, an entry's sellable figure >= its floor where it has one.
5. Leaving the context without an exception commits an own transaction, with one rolls it
   back. There a storage may keep what was written until then, to send it with the commit,
   and raise only then what ``write`` would have raised. In joined mode (``host`` given) it
   may not, and a unit never commits, rolls back, retries or opens another connection.
6. Busy, deadlock and serialization failures are raised as ``Retryable``, everything else
   the driver raises as a ``StorageError``, its cause chained.
7. ``Reader`` methods of one ``read`` see one instant. Those of a unit see what the unit
   locked as it is, and those of a joined read what the host's transaction sees.

Positions: serial storages number movements as they write. Others number committed
movements later, ordered by (recorded_at, ordinal, id), which respects every key's
versions; numbers are contiguous from 1 for each tenant. They do so at the latest when
``feed`` is the first thing asked of a ``read``; asked later, or joined, it shows what had
been numbered by the instant of that read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Final, NamedTuple, Protocol, runtime_checkable

import attrs

from truecount.errors import TrueCountError
from truecount.model.instants import Instant
from truecount.model.lines import LineRow
from truecount.model.movements import MovementRow
from truecount.model.outcomes import OutcomeRow
from truecount.model.stock import Amounts, EntryRow, StockKey, StockRow


#: The space of documents that are locked with a reference: ``Wants.orders``.
ORDER: Final = "order"


class Record(NamedTuple):
    """A versioned document; ``body`` is JSON text that storages never look into."""

    space: str
    id: str
    version: int
    body: str


@attrs.define
class Wants:
    """What a write may touch, so that it can be locked in one go."""

    #: Idempotency keys whose outcomes are to be read.
    keys_of_requests: list[str] = attrs.field(factory=list)
    #: References: their order record, all their lines, and those lines' stock rows.
    orders: set[str] = attrs.field(factory=set)
    #: Those of ``orders`` that are probably new: what has a guess starts from there.
    opens: set[str] = attrs.field(factory=set)
    #: Other documents (space, id).
    records: set[tuple[str, str]] = attrs.field(factory=set)
    #: Those of ``records`` that are only read: many units may hold them at once.
    shared: set[tuple[str, str]] = attrs.field(factory=set)
    #: Stock rows, created when missing.
    keys: set[StockKey] = attrs.field(factory=set)
    #: Every stock row with an entry of (sku, location), or of the SKU everywhere: (sku, "").
    scopes: set[tuple[str, str]] = attrs.field(factory=set)
    #: Movements to be read; they never change, so they are not locked.
    movements: set[str] = attrs.field(factory=set)

    def add(self, other: Wants) -> None:
        """Want what *other* wants, too."""
        self.keys_of_requests += other.keys_of_requests
        self.orders |= other.orders
        self.opens |= other.opens
        if other.records:
            written = (self.records - self.shared) | (other.records - other.shared)
            self.records |= other.records
            self.shared = (self.shared | other.shared) - written
        self.keys |= other.keys
        self.scopes |= other.scopes
        self.movements |= other.movements

    def covers(self, other: Wants) -> bool:
        """Return whether everything *other* wants locked is wanted here."""
        return (
            other.orders <= self.orders
            and other.records <= self.records
            and other.keys <= self.keys
            and other.scopes <= self.scopes
            and other.movements <= self.movements
        )


class Locked(NamedTuple):
    """What ``lock`` read. Missing orders, records and outcomes are simply absent."""

    rows: dict[StockKey, StockRow]
    lines: list[LineRow]
    records: dict[tuple[str, str], Record]
    outcomes: dict[str, OutcomeRow]
    movements: dict[str, MovementRow]


class Changes(NamedTuple):
    """What ``write`` writes, already folded: each row once."""

    outcomes: Sequence[OutcomeRow]
    movements: Sequence[MovementRow]
    entries: Sequence[EntryRow]
    rows: Mapping[StockKey, StockRow]
    lines: Sequence[LineRow]
    #: A record of version 1 is inserted, a later one replaces version - 1.
    records: Sequence[Record]


class Reader(Protocol):
    """
    Reads at one instant.

    Iterators are lazy: constant memory, in the order stated. Several may be open at a time,
    with other reads in between.
    """

    def stock(
        self, sku: str | None = None, location: str | None = None
    ) -> Iterator[tuple[StockKey, StockRow]]:
        """Yield stock rows that have an entry, by key; of *sku* and at *location* if given."""
        ...

    def entries(self, key: StockKey, after: int = 0) -> Iterator[EntryRow]:
        """Yield the entries of *key* with a version above *after*, in order. O(log n) to start."""
        ...

    def as_of(self, key: StockKey, instant: Instant, version: int | None = None) -> Amounts:
        """
        Return the figures of *key* as of *instant*, knowing its entries up to *version*.

        That is: the figures after the last entry (up to *version*) whose horizon is not
        after *instant*, plus the change of every later entry up to *version* whose
        occurred_at is not after it. O(log n + late entries whose lateness spans *instant*).
        """
        ...

    def movements(self, ids: Iterable[str]) -> Iterator[tuple[int | None, MovementRow]]:
        """Yield (position, movement) for each known id, in the order given."""
        ...

    def movements_of(self, reference: str) -> Iterator[tuple[int | None, MovementRow]]:
        """Yield (position, movement) under *reference*, in (recorded_at, ordinal, id) order."""
        ...

    def feed(self, after: int = 0, limit: int = 1000) -> list[tuple[int, MovementRow]]:
        """Return the next movements by position, whole: each once, none skipped, for ever."""
        ...

    def lines(self, reference: str) -> list[LineRow]:
        """Return the lines of *reference*, by number."""
        ...

    def open_lines(self, key: StockKey) -> Iterator[LineRow]:
        """Yield the lines of *key* that still promise units, soonest expiry first."""
        ...

    def due_holds(self, before: Instant, limit: int = 1000) -> list[LineRow]:
        """Return lines that hold units and expire at or before *before*, soonest first."""
        ...

    def records(self, space: str, after: str = "", limit: int = 1000) -> list[Record]:
        """Return the documents of *space* whose id is above *after*, by id."""
        ...

    def spaces(self) -> list[str]:
        """Return the spaces that have documents, sorted."""
        ...

    def record(self, space: str, id: str) -> Record | None:
        """Return one document."""
        ...

    def outcomes(self, after: str = "", limit: int = 1000) -> list[OutcomeRow]:
        """Return the outcomes whose key is above *after*, by key."""
        ...


class Unit(Reader, Protocol):
    """One write transaction: a reader that can lock and write."""

    def recall(self, wants: Wants) -> Locked | None:
        """
        Return what a lock of *wants* would find, for all the storage knows; None to lock.

        Nothing is locked yet. Whatever the unit does next, its locks come first, and with them
        the proof that all of it is so; ``Outdated`` says that it is not.
        """
        ...

    def lock(self, wants: Wants) -> Locked:
        """Lock what *wants* names, in order, and return it as read after locking."""
        ...

    def due(self, enough: Mapping[StockKey, int], now: Instant) -> list[LineRow]:
        """
        Return expired holds of locked keys.

        For each key: its lines that hold units and expire at or before *now*, soonest first,
        until they hold *enough* units together.
        """
        ...

    def write(self, changes: Changes) -> None:
        """
        Write all of *changes*; raise KeyTaken, Retryable or StorageError and write nothing.

        It is raised here, or by leaving the unit where the transaction is the storage's own.
        """
        ...

    def forget(self, before: Instant) -> int:
        """Delete refusals with forget_at at or before *before*; return how many."""
        ...


class Storage(Protocol):
    """A database (or a stand-in) that keeps ledgers; safe to use from several threads."""

    def begin(self, tenant: str, host: object | None = None) -> AbstractContextManager[Unit]:
        """Open a write transaction for *tenant*, or join the *host*'s connection."""
        ...

    def read(self, tenant: str, host: object | None = None) -> AbstractContextManager[Reader]:
        """Open a consistent read of *tenant*, or read through the *host*'s connection."""
        ...

    def close(self) -> None:
        """Let go of connections and files; using the storage afterwards is an error."""
        ...


@runtime_checkable
class Patient(Protocol):
    """
    A storage that knows when a failed write may be tried again; no other's ever is.

    Optional. Only a write whose transaction the library began is tried again, and under the
    same keys, so that one which was committed after all is replayed.
    """

    def patience(self) -> Callable[[TrueCountError], bool]:
        """
        Return what to ask after each failed attempt of one write.

        It pauses and returns True to try again; it is bounded in number and in time.
        """
        ...

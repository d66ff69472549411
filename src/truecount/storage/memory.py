"""
Everything in this process: the reference storage, and the fast fake for tests.

One lock serialises all of it, so locking is taking that lock and positions are given as
movements are written. ``write`` checks every constraint before it changes anything.
Readers hold the same lock, so a reader sees one instant and writers wait for it.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Self, TypeAlias

from sortedcontainers import SortedDict, SortedList

from truecount.errors import ConstraintViolated, InvalidArgument, KeyTaken, StorageUnavailable
from truecount.model.instants import Instant
from truecount.model.lines import NEVER, LineRow
from truecount.model.movements import MovementRow
from truecount.model.outcomes import OutcomeRow
from truecount.model.quantities import QUANTITY_MAX
from truecount.model.stock import EMPTY_ROW, NOTHING, Amounts, EntryRow, StockKey, StockRow, plus
from truecount.protocols.storage import ORDER, Changes, Locked, Record, Wants


class MemoryStorage:
    """
    Keep ledgers in memory; nothing survives the process.

    >>> storage = MemoryStorage()
    >>> with storage.read("main") as reader:
    ...     list(reader.stock())
    []
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._tenants: dict[str, _Tenant] = {}
        self._closed = False

    def begin(self, tenant: str, host: object | None = None) -> _Unit:
        """Open a write transaction; there is no host to join in memory."""
        _no_host(host)
        return _Unit(self, tenant)

    def read(self, tenant: str, host: object | None = None) -> _Reader:
        """Open a consistent read; writers wait until it is closed."""
        _no_host(host)
        return _Reader(self, tenant)

    def close(self) -> None:
        """Forget everything."""
        with self._lock:
            self._tenants.clear()
            self._closed = True

    def enter(self, name: str) -> _Tenant:
        """Take the lock and return a tenant's rows; ``leave`` gives it back."""
        self._lock.acquire()
        try:
            return self._tenant(name)
        except BaseException:
            self._lock.release()
            raise

    def leave(self) -> None:
        """Give the lock back."""
        self._lock.release()

    def _tenant(self, name: str) -> _Tenant:
        if self._closed:
            raise StorageUnavailable("memory", "it was closed")
        tenant = self._tenants.get(name)
        if tenant is None:
            tenant = self._tenants[name] = _Tenant()
        return tenant


def _no_host(host: object | None) -> None:
    if host is not None:
        raise InvalidArgument(
            "host", type(host).__name__, "none: memory has no transaction to join"
        )


def _fits(amounts: Amounts) -> bool:
    return max(amounts) <= QUANTITY_MAX and min(amounts) >= -QUANTITY_MAX


#: Lines in the order their holds run out: (expires_at, reference, number).
_Marks: TypeAlias = SortedList[tuple[Instant, str, int]]


class _Tenant:
    """The rows of one tenant, in the containers their keys call for."""

    def __init__(self) -> None:
        self.rows: dict[StockKey, StockRow] = {}
        self.sorted_keys: SortedList[StockKey] = SortedList()
        self.keys_of: defaultdict[str, SortedList[StockKey]] = defaultdict(SortedList)
        self.entries: defaultdict[StockKey, list[EntryRow]] = defaultdict(list)
        #: Horizons of each key's entries, for bisection.
        self.horizons: defaultdict[StockKey, list[Instant]] = defaultdict(list)
        #: Late entries of each key: by lateness class, (occurred_at, version).
        self.late: defaultdict[StockKey, dict[int, SortedList[tuple[Instant, int]]]] = defaultdict(
            lambda: defaultdict(SortedList)
        )
        self.movements: list[MovementRow] = []
        self.positions: dict[str, int] = {}
        self.by_reference: defaultdict[str, list[int]] = defaultdict(list)
        self.lines: defaultdict[str, dict[int, LineRow]] = defaultdict(dict)
        #: Open lines of each key.
        self.open_lines: defaultdict[StockKey, _Marks] = defaultdict(SortedList)
        self.due: _Marks = SortedList()
        self.records: defaultdict[str, SortedDict[str, Record]] = defaultdict(SortedDict)
        self.outcomes: dict[str, OutcomeRow] = {}


class _Reader:
    """Reads of one tenant; inside ``with`` it holds the storage's lock."""

    _tenant: _Tenant
    _outcome_keys: list[str] | None = None

    def __init__(self, storage: MemoryStorage, name: str) -> None:
        self._storage = storage
        self._name = name

    def __enter__(self) -> Self:
        self._tenant = self._storage.enter(self._name)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._storage.leave()

    def stock(
        self, sku: str | None = None, location: str | None = None
    ) -> Iterator[tuple[StockKey, StockRow]]:
        """Yield stock rows in key order. O(log n + keys of the SKU)."""
        keys: Iterable[StockKey] = self._tenant.sorted_keys
        if sku is not None:
            keys = self._keys_of(sku)
        for key in keys:
            if location is None or key.location == location:
                row = self._tenant.rows[key]
                if row.version:
                    yield key, row

    def _keys_of(self, sku: str) -> Iterable[StockKey]:
        return self._tenant.keys_of.get(sku, ())

    def entries(self, key: StockKey, after: int = 0) -> Iterator[EntryRow]:
        """Yield entries of *key* above version *after*."""
        return islice(self._tenant.entries.get(key, []), after, None)

    def as_of(self, key: StockKey, instant: Instant, version: int | None = None) -> Amounts:
        """Return figures as of *instant*. O(log n + late entries spanning it)."""
        entries = self._tenant.entries.get(key, [])
        last = len(entries) if version is None else min(version, len(entries))
        base = min(last, bisect_right(self._tenant.horizons.get(key, []), instant))
        amounts = entries[base - 1].after if base else NOTHING
        for lateness, late in self._tenant.late.get(key, {}).items():
            earliest = (instant - (1 << lateness), 0)
            for _, number in late.irange(earliest, (instant, NEVER)):
                if base < number <= last:
                    amounts = plus(amounts, entries[number - 1].change)
        return amounts

    def movements(self, ids: Iterable[str]) -> Iterator[tuple[int | None, MovementRow]]:
        """Yield known movements in the order of *ids*."""
        for id_ in ids:
            position = self._tenant.positions.get(id_)
            if position is not None:
                yield position, self._tenant.movements[position - 1]

    def movements_of(self, reference: str) -> Iterator[tuple[int | None, MovementRow]]:
        """Yield the movements under *reference*, in order. O(n log n) in their number."""
        positions = self._tenant.by_reference.get(reference, ())
        found = [(position, self._tenant.movements[position - 1]) for position in positions]
        found.sort(key=lambda item: (item[1].recorded_at, item[1].ordinal, item[1].id))
        yield from found

    def feed(self, after: int = 0, limit: int = 1000) -> list[tuple[int, MovementRow]]:
        """Return the next movements by position."""
        rows = self._tenant.movements[after : after + limit]
        return list(enumerate(rows, after + 1))

    def lines(self, reference: str) -> list[LineRow]:
        """Return the lines of *reference*, by number."""
        return [line for _, line in sorted(self._tenant.lines.get(reference, {}).items())]

    def open_lines(self, key: StockKey) -> Iterator[LineRow]:
        """Yield the lines of *key* that still promise units."""
        for _, reference, number in self._tenant.open_lines.get(key, ()):
            yield self._tenant.lines[reference][number]

    def due_holds(self, before: Instant, limit: int = 1000) -> list[LineRow]:
        """Return expired holds, soonest first."""
        due = self._tenant.due.irange(maximum=(before, "\U0010ffff", NEVER))
        return [self._tenant.lines[name][number] for _, name, number in islice(due, limit)]

    def records(self, space: str, after: str = "", limit: int = 1000) -> list[Record]:
        """Return documents of *space* by id."""
        known = self._tenant.records.get(space)
        if known is None:
            return []
        ids = known.irange(minimum=after or None, inclusive=(not after, True))
        return [known[id_] for id_ in islice(ids, limit)]

    def spaces(self) -> list[str]:
        """Return the spaces that have documents, sorted."""
        return sorted(space for space, known in self._tenant.records.items() if known)

    def record(self, space: str, id: str) -> Record | None:
        """Return one document."""
        known = self._tenant.records.get(space)
        return None if known is None else known.get(id)

    def outcomes(self, after: str = "", limit: int = 1000) -> list[OutcomeRow]:
        """Return outcomes by key. The first page sorts them all: for exports."""
        if self._outcome_keys is None:
            self._outcome_keys = sorted(self._tenant.outcomes)
        first = bisect_right(self._outcome_keys, after)
        keys = self._outcome_keys[first : first + limit]
        return [self._tenant.outcomes[key] for key in keys]


class _Unit(_Reader):
    """One write transaction: the storage's lock is held for all of it."""

    _changes: Changes | None = None
    _forgotten: Sequence[str] = ()

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Make the changes, unless an exception says not to; making them cannot fail."""
        try:
            if kind is None:
                for key in self._forgotten:
                    del self._tenant.outcomes[key]
                if self._changes is not None:
                    self._make(self._changes)
        finally:
            self._storage.leave()

    def recall(self, wants: Wants) -> Locked | None:
        """Return None: to look is as fast."""
        return None

    def lock(self, wants: Wants) -> Locked:
        """Return what *wants* names; it is locked already."""
        tenant = self._tenant
        lines = [line for reference in wants.orders for line in self.lines(reference)]
        keys = wants.keys | {line.key for line in lines}
        rows = {key: tenant.rows.get(key, EMPTY_ROW) for key in keys}
        for sku, location in wants.scopes:
            for key in self._keys_of(sku):
                if not location or key.location == location:
                    rows[key] = tenant.rows[key]
        names = wants.records | {(ORDER, reference) for reference in wants.orders}
        records = {name: found for name in names if (found := self.record(*name))}
        outcomes = {
            key: tenant.outcomes[key] for key in wants.keys_of_requests if key in tenant.outcomes
        }
        movements = {row.id: row for _, row in self.movements(wants.movements)}
        return Locked(rows, lines, records, outcomes, movements)

    def due(self, enough: Mapping[StockKey, int], now: Instant) -> list[LineRow]:
        """Return expired holds of each key until they hold enough."""
        found = []
        for key, quantity in enough.items():
            missing = quantity
            for line in self.open_lines(key):
                if line.expires_at > now or missing <= 0:
                    break
                if line.held:
                    found.append(line)
                    missing -= line.held
        return found

    def write(self, changes: Changes) -> None:
        """Check everything; it is changed when the unit is left without an exception."""
        self._check(changes)
        self._changes = changes

    def forget(self, before: Instant) -> int:
        """Delete refusals whose time has come."""
        outcomes = self._tenant.outcomes
        self._forgotten = [
            key for key, row in outcomes.items() if (row.forget_at or before + 1) <= before
        ]
        return len(self._forgotten)

    def _make(self, changes: Changes) -> None:
        tenant = self._tenant
        for outcome in changes.outcomes:
            tenant.outcomes[outcome.key] = outcome
        for movement in changes.movements:
            tenant.movements.append(movement)
            position = tenant.positions[movement.id] = len(tenant.movements)
            if movement.reference is not None:
                tenant.by_reference[movement.reference].append(position)
        for entry in changes.entries:
            self._insert_entry(entry)
        for key, row in changes.rows.items():
            if key not in tenant.rows:
                tenant.sorted_keys.add(key)
                tenant.keys_of[key.sku].add(key)
            tenant.rows[key] = row
        for line in changes.lines:
            self._put_line(line)
        for record in changes.records:
            tenant.records[record.space][record.id] = record

    def _insert_entry(self, entry: EntryRow) -> None:
        tenant = self._tenant
        tenant.entries[entry.key].append(entry)
        tenant.horizons[entry.key].append(entry.horizon)
        if entry.lateness:
            tenant.late[entry.key][entry.lateness].add((entry.occurred_at, entry.version))

    def _put_line(self, line: LineRow) -> None:
        tenant = self._tenant
        lines = tenant.lines[line.reference]
        before = lines.get(line.number)
        lines[line.number] = line
        if before is not None and before.open:
            mark = (before.expires_at, before.reference, before.number)
            tenant.open_lines[before.key].remove(mark)
            if before.held:
                tenant.due.remove(mark)
        if line.open:
            mark = (line.expires_at, line.reference, line.number)
            tenant.open_lines[line.key].add(mark)
            if line.held:
                tenant.due.add(mark)

    def _check(self, changes: Changes) -> None:
        """Refuse what a database's own constraints would refuse; nothing is changed yet."""
        tenant = self._tenant
        for outcome in changes.outcomes:
            known = tenant.outcomes.get(outcome.key)
            if known and (known.forget_at is None or known.forget_at > outcome.decided_at):
                raise KeyTaken(outcome.key)
        ids = {movement.id for movement in changes.movements}
        if len(ids) < len(changes.movements) or not tenant.positions.keys().isdisjoint(ids):
            raise ConstraintViolated("a movement id is not unique")
        versions: dict[StockKey, int] = {}
        for entry in changes.entries:
            expected = versions.get(entry.key, len(tenant.entries.get(entry.key, ()))) + 1
            if entry.version != expected:
                raise ConstraintViolated(f"{entry.key} has version {entry.version}, not {expected}")
            versions[entry.key] = expected
            if entry.floor is not None and entry.after[0] < entry.floor:
                raise ConstraintViolated(f"{entry.key} would fall below its floor {entry.floor}")
        for key, row in changes.rows.items():
            if min(row.promised) < 0 or not _fits(row.amounts):
                raise ConstraintViolated(f"{key} would have figures {row.amounts}")
        for line in changes.lines:
            if min(line.counters) < 0:
                raise ConstraintViolated(f"line {line.number} of {line.reference!r} below zero")
        for record in changes.records:
            stored = self.record(record.space, record.id)
            if record.version != (stored.version if stored else 0) + 1:
                raise ConstraintViolated(f"record {record.space}/{record.id} has changed")

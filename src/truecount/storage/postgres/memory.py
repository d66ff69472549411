"""
What a storage remembers of the stock it locked last: a guess, which saves a round trip.

Rules:
1. A guess is never trusted. Under its locks the server compares every column of it with what
   is there, before anything that was decided on it is written, told or added to (``own_unit``).
   Then it is the same as having read; where it is not, all of it is done again with a read.
2. Only stock rows and shared documents are remembered, and which orders and keys were seen: a
   guess is for what stays, or is changed by this process alone, and for requests that are new.
3. The rows of a SKU that this process knows of are taken for all it has.
4. A SKU that others change as well is guessed no more until ``CONFIRMATIONS`` locks in turn
   have found it as this process left it; twice as many after each guess that was wrong, half
   as many after one that was right.
5. At most *size* SKUs are kept, and as many orders and keys; what was locked or written least
   lately is forgotten first. Shared documents are few.
6. A child process starts with nothing remembered: a thread of the parent's may have been at it.

Who calls whom: ``OwnUnit`` asks for a guess, tells what a committed write has seen and made,
and which guess was wrong.
"""

from __future__ import annotations

import os
import threading
from collections import OrderedDict, defaultdict
from collections.abc import Mapping
from typing import Final, TypeVar
from weakref import WeakSet

from truecount.model.stock import StockKey, StockRow, made
from truecount.protocols.storage import ORDER, Changes, Locked, Record, Wants


#: How often in turn a SKU must be found as it was left before it is guessed again: at first,
#: and at most.
CONFIRMATIONS: Final = 2
_CONFIRMATIONS_MAX: Final = 64
_KEY: Final = "key"

_Name = TypeVar("_Name")
_Value = TypeVar("_Value")


def _version(row: StockRow | None) -> int:
    return 0 if row is None else row.version


class _Shelves:
    """The stock rows of a SKU as this process left them; empty where it found none."""

    __slots__ = ("caution", "doubt", "rows")

    def __init__(self) -> None:
        self.rows: dict[StockKey, StockRow] = {}
        #: How often it must still be found as it was left.
        self.doubt = 0
        #: How often it must after the next doubt.
        self.caution = CONFIRMATIONS


class Memory:
    """What one storage remembers, for all threads of this process."""

    def __init__(self, size: int) -> None:
        self._size = size
        self.begin_anew()
        _MEMORIES.add(self)

    def begin_anew(self) -> None:
        """Remember nothing, and nobody who was about to."""
        self._mutex = threading.Lock()
        self._skus: OrderedDict[tuple[str, str], _Shelves] = OrderedDict()
        self._documents: dict[tuple[str, str, str], Record] = {}
        #: Names of orders and keys: ("order", tenant, reference).
        self._seen: OrderedDict[tuple[str, str, str], None] = OrderedDict()

    # --- guessing -----------------------------------------------------------------------

    def guess(self, tenant: str, wants: Wants) -> Locked | None:
        """
        Return what a lock of *wants* would find, for all this process knows, or None.

        Complexity: O(stock rows of the SKUs wanted).
        """
        if wants.orders != wants.opens or wants.records != wants.shared or wants.movements:
            return None
        names = [(ORDER, tenant, reference) for reference in wants.orders]
        names += [(_KEY, tenant, key) for key in wants.keys_of_requests]
        if not self._seen.keys().isdisjoint(names):
            return None
        with self._mutex:
            rows = self._rows(tenant, wants)
        if rows is None:
            return None
        records: dict[tuple[str, str], Record] = {}
        for name in wants.shared:
            record = self._documents.get((tenant, *name))
            if record is None:
                return None
            records[name] = record
        return made(Locked, (rows, [], records, {}, {}))

    def _rows(self, tenant: str, wants: Wants) -> dict[StockKey, StockRow] | None:
        rows: dict[StockKey, StockRow] = {}
        for sku, location in wants.scopes:
            shelves = self._skus.get((tenant, sku))
            if shelves is None or shelves.doubt:
                return None
            if not location:
                rows |= shelves.rows
                continue
            rows |= {key: row for key, row in shelves.rows.items() if key.location == location}
        for key in wants.keys:
            shelves = self._skus.get((tenant, key.sku))
            if shelves is None or shelves.doubt or key not in shelves.rows:
                return None
            rows[key] = shelves.rows[key]
        return rows

    # --- learning -----------------------------------------------------------------------

    def learn(self, tenant: str, wants: Wants, found: Locked | None, changes: Changes) -> None:
        """Remember what a committed write has *found* under its locks, if it read, and made."""
        if not self._size:
            return
        with self._mutex:
            if found is not None:
                self._look(tenant, wants, found)
            for key, row in changes.rows.items():
                shelves = self._shelves(tenant, key.sku)
                if found is None:  # Nothing was read, so it was guessed, and is proven.
                    shelves.caution = max(CONFIRMATIONS, shelves.caution // 2)
                if row.version > _version(shelves.rows.get(key)):
                    shelves.rows[key] = row  # Threads tell of their writes in any order.
            for record in changes.records:
                name = (tenant, record.space, record.id)
                if name in self._documents:
                    self._documents[name] = record
                if record.space == ORDER:
                    self._keep(self._seen, (ORDER, tenant, record.id), None)
            for outcome in changes.outcomes:
                self._keep(self._seen, (_KEY, tenant, outcome.key), None)

    def doubt(self, tenant: str, guessed: Mapping[StockKey, StockRow], wants: Wants) -> None:
        """Believe no more of what was *guessed* wrongly until it was found as it was left."""
        with self._mutex:
            for sku in {sku for sku, _ in wants.scopes} | {key.sku for key in guessed}:
                shelves = self._shelves(tenant, sku)
                mine = {key: row for key, row in guessed.items() if key.sku == sku}
                if mine.items() <= shelves.rows.items():  # Not a newer write of another thread.
                    shelves.rows.clear()
                    shelves.doubt = shelves.caution
                    shelves.caution = min(2 * shelves.caution, _CONFIRMATIONS_MAX)

    def _look(self, tenant: str, wants: Wants, found: Locked) -> None:
        """Compare what was found with what is known, and know it."""
        seen: defaultdict[str, dict[StockKey, StockRow]] = defaultdict(dict)
        for sku, _ in wants.scopes:
            seen[sku] = {}
        for key, row in found.rows.items():
            if row.version:
                seen[key.sku][key] = row
        for sku, rows in seen.items():
            shelves = self._shelves(tenant, sku)
            known = shelves.rows
            # What is older was found before another thread wrote.
            news = {k: row for k, row in rows.items() if row.version >= _version(known.get(k))}
            as_left = [known[key] == row for key, row in news.items() if key in known]
            if as_left:
                shelves.doubt = max(0, shelves.doubt - 1) if all(as_left) else shelves.caution
            known.update(news)
        for name in wants.shared:
            if name in found.records:
                self._documents[(tenant, *name)] = found.records[name]
            else:  # The database was set back to before there was one.
                self._documents.pop((tenant, *name), None)
        for space, id_ in found.records:
            if space == ORDER:
                self._keep(self._seen, (ORDER, tenant, id_), None)
        for request in found.outcomes:
            self._keep(self._seen, (_KEY, tenant, request), None)

    def _shelves(self, tenant: str, sku: str) -> _Shelves:
        """Return what is known of a SKU, as what was used last."""
        shelves = self._skus.get((tenant, sku)) or _Shelves()
        self._keep(self._skus, (tenant, sku), shelves)
        return shelves

    def _keep(self, kept: OrderedDict[_Name, _Value], name: _Name, value: _Value) -> None:
        """Keep *value* as the last one used."""
        kept[name] = value
        kept.move_to_end(name)
        if len(kept) > self._size:
            kept.popitem(last=False)


_MEMORIES: Final[WeakSet[Memory]] = WeakSet()


def _after_fork() -> None:
    for memory in list(_MEMORIES):
        memory.begin_anew()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)

"""
What a storage remembers of the stock it locked last: a guess, which saves a round trip.

Rules:
1. A guess is never trusted. Under its locks the server compares every column of it with what
   is there, before anything that was decided on it is written, told or added to (``unit``).
   Then it is the same as having read; where it is not, all of it is done again with a read.
2. Only stock rows and shared documents are remembered, and which orders and keys were seen: a
   guess is for what stays, or is changed by this process alone, and for requests that are new.
3. Stock that others change as well is guessed no more until ``CONFIRMATIONS`` locks in turn
   have found it as this process left it.
4. At most *size* stock rows are kept, and as many orders, keys and documents; what was used
   least lately is forgotten first.

Who calls whom: ``OwnUnit`` asks for a guess, tells what a committed write has seen and made,
and which guess was wrong.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable
from typing import Final, NamedTuple, TypeVar

from truecount.model.stock import EMPTY_ROW, StockKey, StockRow
from truecount.protocols.storage import ORDER, Changes, Locked, Record, Wants


#: How often in turn stock must be found as it was left before it is guessed again.
CONFIRMATIONS: Final = 2

_KEY: Final = "key"

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class _Known(NamedTuple):
    """A stock row as this process left it, and how often it must still be found so."""

    row: StockRow
    doubt: int


class Memory:
    """What one storage remembers, for all threads of this process."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._mutex = threading.Lock()
        self._rows: dict[tuple[str, StockKey], _Known] = {}
        #: All keys with an entry of (tenant, sku, location), or of the SKU everywhere.
        self._scopes: dict[tuple[str, str, str], tuple[StockKey, ...]] = {}
        self._documents: dict[tuple[str, str, str], Record] = {}
        #: Names of orders and keys: ("order", tenant, reference).
        self._seen: dict[tuple[str, str, str], None] = {}

    def guess(self, tenant: str, wants: Wants) -> Locked | None:
        """
        Return what a lock of *wants* would find, for all this process knows, or None.

        Complexity: O(stock rows wanted).
        """
        if wants.orders != wants.opens or wants.records != wants.shared or wants.movements:
            return None
        names = [(ORDER, tenant, reference) for reference in wants.orders]
        names += [(_KEY, tenant, key) for key in wants.keys_of_requests]
        if not self._seen.keys().isdisjoint(names):
            return None
        keys = set(wants.keys)
        for scope in wants.scopes:
            known = self._scopes.get((tenant, *scope))
            if known is None:
                return None
            keys.update(known)
        rows: dict[StockKey, StockRow] = {}
        for key in keys:
            row, doubt = self._rows.get((tenant, key), _UNKNOWN)
            if doubt:
                return None
            rows[key] = row
        records: dict[tuple[str, str], Record] = {}
        for name in wants.shared:
            record = self._documents.get((tenant, *name))
            if record is None:
                return None
            records[name] = record
        return Locked(rows, [], records, {}, {})

    def learn(self, tenant: str, wants: Wants, found: Locked | None, changes: Changes) -> None:
        """Remember what a committed write found under its locks, if it looked, and has made."""
        if not self._size:
            return
        with self._mutex:
            if found is not None:
                self._look(tenant, wants, found)
            for key, row in changes.rows.items():
                self._change(tenant, key, row)
            for record in changes.records:
                name = (tenant, record.space, record.id)
                if name in self._documents:
                    self._keep(self._documents, name, record)
                if record.space == ORDER:
                    self._keep(self._seen, (ORDER, tenant, record.id), None)
            for outcome in changes.outcomes:
                self._keep(self._seen, (_KEY, tenant, outcome.key), None)

    def doubt(self, tenant: str, keys: Iterable[StockKey]) -> None:
        """Believe nothing of *keys* until it was found again and again."""
        with self._mutex:
            for key in keys:
                self._keep(self._rows, (tenant, key), _UNKNOWN)

    def _look(self, tenant: str, wants: Wants, found: Locked) -> None:
        for key, row in found.rows.items():
            if row.version:
                known = self._rows.get((tenant, key))
                doubt = 0
                if known is not None:
                    doubt = max(0, known.doubt - 1) if known.row == row else CONFIRMATIONS
                self._keep(self._rows, (tenant, key), _Known(row, doubt))
        for sku, location in wants.scopes:
            keys = [
                key
                for key, row in found.rows.items()
                if row.version and key.sku == sku and location in {"", key.location}
            ]
            self._keep(self._scopes, (tenant, sku, location), tuple(sorted(keys)))
        for name in wants.shared:
            record = found.records.get(name)
            if record is not None:
                self._keep(self._documents, (tenant, *name), record)
        for space, id_ in found.records:
            if space == ORDER:
                self._keep(self._seen, (ORDER, tenant, id_), None)

    def _change(self, tenant: str, key: StockKey, row: StockRow) -> None:
        known = self._rows.get((tenant, key), _NEW)
        if row.version > known.row.version:  # Threads tell of their writes in any order.
            self._keep(self._rows, (tenant, key), _Known(row, known.doubt))
        if row.version == 1:
            self._scopes.pop((tenant, key.sku, ""), None)
            self._scopes.pop((tenant, key.sku, key.location), None)

    def _keep(self, kept: dict[_Key, _Value], key: _Key, value: _Value) -> None:
        """Keep *value* as the last one used."""
        kept.pop(key, None)
        kept[key] = value
        if len(kept) > self._size:
            del kept[next(iter(kept))]


_NEW: Final = _Known(EMPTY_ROW, 0)
_UNKNOWN: Final = _Known(EMPTY_ROW, CONFIRMATIONS)

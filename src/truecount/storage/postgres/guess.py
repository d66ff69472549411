"""
A guess on its way to the server: what was remembered, proven under its locks.

Rules:
1. Orders are locked first, as new ones, sorted; then stock rows; then shared documents.
2. A guess has read the clock, so it waits for no row: one that somebody else has in work makes
   it wrong. Only an order that somebody else is just opening is waited for.
3. What is asked before the write goes out behind the proof. Where the write comes first, both
   are one statement, which is all of the transaction: it writes what it has proven, or fails.

``proving`` has the words, ``memory`` what is remembered.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from truecount.model.stock import StockKey, StockRow, made
from truecount.protocols.storage import ORDER, Changes, Locked, Record, Wants
from truecount.storage.postgres import proving as sql
from truecount.storage.postgres.rows import rows_of
from truecount.storage.postgres.session import Step


#: Outcomes come last, being the statement itself; of what is put beside them the last comes first.
_TABLES: Final = tuple(reversed(sql.PUT_PROVEN))


class Guess(NamedTuple):
    """What was remembered of what a unit wants."""

    #: As it was remembered; whoever decides changes its own.
    rows: dict[StockKey, StockRow]
    #: References of orders that are taken for new.
    orders: list[str]
    #: Keys of requests that are.
    keys: list[str]
    #: The values of ``LOCK_REMEMBERED`` between the tenant and the references.
    told: tuple[object, ...]

    @classmethod
    def of(cls, found: Locked, wants: Wants) -> Guess:
        """Return what was *found* in memory as it is told to the server."""
        stock = [(*key, *row.amounts, *row[1:]) for key, row in sorted(found.rows.items())]
        rows_in: dict[tuple[str, str], int] = {}
        for sku, location, _ in found.rows:
            for scope in ((sku, location), (sku, "")):
                rows_in[scope] = rows_in.get(scope, 0) + 1
        scopes = [(*scope, rows_in.get(scope, 0)) for scope in sorted(wants.scopes)]
        told = stock, scopes, sorted(found.records.values())
        return cls(dict(found.rows), sorted(wants.orders), wants.keys_of_requests, told)

    def proof(self, tenant: str) -> list[Step]:
        """Return what locks all of it and fails unless it is so."""
        lock = sql.LOCK_REMEMBERED, (tenant, *self.told, _each(self.orders), _each(self.keys))
        if not self.orders:
            return [lock]
        return [(sql.OPEN_RECORDS, (tenant, [*self._opened().values()])), lock]

    def with_changes(self, tenant: str, changes: Changes) -> Step:
        """Return the statement that proves it and writes *changes*, or fails."""
        opened = self._opened()
        rows = rows_of(changes)
        rows["record"] = []
        for record in changes.records:
            if record.space == ORDER and record.id in opened:
                opened[record.id] = record
            else:
                rows["record"].append(record)
        tables = tuple([table for table in _TABLES if rows[table]])
        # A line or an outcome that is there already cannot be put, so it need not be asked for.
        references = {*self.orders}.difference([line.reference for line in changes.lines])
        keys = {*self.keys}.difference([row.key for row in changes.outcomes])
        values: list[object] = [tenant, *self.told]
        if opened:
            values.insert(1, [*opened.values()])
        if references:
            values.append(_each(references))
        if keys:
            values.append(_each(keys))
        values += [rows[table] for table in tables]
        asked = sql.Asked(bool(opened), bool(references), bool(keys))
        return sql.at_once(tables, asked), values

    def _opened(self) -> dict[str, Record]:
        """Return the documents of the orders, as they are stored where nothing of them is."""
        return {order: made(Record, (ORDER, order, 0, "")) for order in self.orders}


def _each(names: Iterable[str]) -> list[tuple[str]]:
    return [(name,) for name in sorted(names)]

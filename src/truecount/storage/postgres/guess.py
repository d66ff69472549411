"""
A guess on its way to the server: what was remembered, proven under its locks.

Rules:
1. Orders are locked first, as new ones; then stock rows, sorted; then shared documents.
2. What is asked before the write goes out behind the proof. Where the write comes first, both
   are one statement, which is all of the transaction: it writes what it has proven, or fails.

``statements`` has the words, ``memory`` what is remembered.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from truecount.protocols.storage import ORDER, Changes, Locked, Record, Wants
from truecount.storage.postgres import statements as sql
from truecount.storage.postgres.rows import rows_of
from truecount.storage.postgres.session import Step


class Guess(NamedTuple):
    """What was remembered of what a unit wants."""

    #: References of orders that are taken for new.
    orders: list[str]
    skus: set[str]
    #: The values of ``LOCK_REMEMBERED`` after the tenant, but for the keys.
    told: tuple[object, ...]
    #: Keys of requests that are taken for new.
    requests: list[str]

    @classmethod
    def of(cls, found: Locked, wants: Wants) -> Guess:
        """Return what was *found* in memory as it is told to the server."""
        keys = sorted(found.rows)
        rows = [(*key, *found.rows[key].amounts, *found.rows[key][1:]) for key in keys]
        scopes = sorted(wants.scopes)
        in_scopes = sum(
            key.sku == sku and location in {"", key.location}
            for sku, location in scopes
            for key in keys
        )
        documents = sorted(found.records.values())
        told = (rows, len(rows), scopes, in_scopes, documents, len(documents))
        skus = {sku for sku, _ in scopes} | {key.sku for key in keys}
        return cls(sorted(wants.orders), skus, told, wants.keys_of_requests)

    def proof(self, tenant: str) -> list[Step]:
        """Return what locks all of it and fails unless it is so."""
        requests = [(key,) for key in self.requests]
        steps: list[Step] = [(sql.LOCK_REMEMBERED, (tenant, *self.told, requests))]
        if self.orders:
            steps.insert(0, (sql.OPEN_RECORDS, (tenant, self._opened({}))))
        return steps

    def with_changes(self, tenant: str, changes: Changes) -> Step:
        """Return the statement that proves it and writes *changes*, or fails."""
        orders = {
            record.id: record
            for record in changes.records
            if record.space == ORDER and record.id in self.orders
        }
        others = [record for record in changes.records if record not in orders.values()]
        tables = [
            each for each in rows_of(changes._replace(records=others)) if each[0] in sql.PUT_PROVEN
        ]
        opened = self._opened(orders)
        answered = {row.key for row in changes.outcomes}  # A taken one cannot be put.
        asked = [(key,) for key in self.requests if key not in answered]
        statement = sql.at_once(
            tuple(table for table, _ in tables), opens=bool(opened), asks=bool(asked)
        )
        first = (opened, len(opened)) if opened else ()
        last = (asked,) if asked else ()
        return statement, (tenant, *first, *self.told, *last, *(rows for _, rows in tables))

    def _opened(self, orders: Mapping[str, Record]) -> list[Record]:
        """Return the documents of the orders as they will be stored, empty where nothing is."""
        return [orders.get(order) or Record(ORDER, order, 0, "") for order in self.orders]

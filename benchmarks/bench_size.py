"""
PostgreSQL at size: a million movements written, proven, taken out and moved in again.

Each step runs in a process of its own, so that its peak memory is its own. Nothing is compared
with anything here: what is to be seen is that time grows with the rows and memory does not.
"""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Final, NamedTuple

from benchmarks import by_hand_postgres as server
from truecount import Inventory, Operation, Received, Sold
from truecount.cli.csv_file import collecting_rarely
from truecount.storage.postgres import PostgresStorage


SKUS: Final = 10_000
BATCH: Final = 1000


class House(NamedTuple):
    """Where a ledger is, and the file it is taken out to."""

    dsn: str
    schema: str
    movements: int
    file: Path

    def storage(self) -> PostgresStorage:
        """Return the storage, its tables made."""
        storage = PostgresStorage(self.dsn, schema=self.schema)
        storage.migrate()
        return storage


class Measured(NamedTuple):
    """What a step took: movements, seconds, and the memory of its process at the most."""

    step: str
    movements: int
    seconds: float
    mebibytes: float


def operations(movements: int) -> Iterator[list[Operation]]:
    """Yield receipts of every SKU, then sales, a thousand at a time."""
    for first in range(0, movements, BATCH):
        yield [
            Received(f"SKU-{n}", 10_000, at="berlin", key=f"in-{n}")
            if n < SKUS
            else Sold(f"SKU-{n * 7919 % SKUS}", 1, at="berlin", key=f"out-{n}")
            for n in range(first, min(first + BATCH, movements))
        ]


def write(house: House) -> int:
    """Record facts in batches, and number them."""
    with Inventory(house.storage()) as inventory:
        inventory.locations.add("berlin")
        for batch in operations(house.movements):
            inventory.record(batch)
        inventory.feed(limit=1)
    return house.movements


def verify(house: House) -> int:
    """Prove all that is stored."""
    with Inventory(house.storage()) as inventory:
        verification = inventory.verify()
    assert verification.ok, verification.problems
    return verification.movements


def take_out(house: House) -> int:
    """Export into the file."""
    with (
        Inventory(house.storage()) as inventory,
        house.file.open("w", encoding="utf-8", newline="") as stream,
    ):
        return inventory.export(stream).movements


def move_in(house: House) -> int:
    """Import the file."""
    with (
        Inventory(house.storage()) as inventory,
        house.file.open(encoding="utf-8", newline="") as stream,
    ):
        return inventory.import_lines(stream).movements


def measured(name: str, step: Callable[[House], int], house: House) -> Measured:
    """Run a step in this process and say what it took."""
    started = time.perf_counter()
    with collecting_rarely():
        movements = step(house)
    seconds = time.perf_counter() - started
    return Measured(
        name, movements, seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    )


def alone(name: str, step: Callable[[House], int], house: House) -> Measured:
    """Run a step in a process of its own."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=spawn) as pool:
        return pool.submit(measured, name, step, house).result()


def measure(movements: int, *, moving: bool) -> Iterator[Measured]:
    """Yield what each step took; the schemas are dropped in the end."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "ledger.jsonl"
        old, new = (
            House(server.dsn(), f"b{uuid.uuid4().hex[:12]}", movements, file) for _ in range(2)
        )
        try:
            yield alone("written", write, old)
            yield alone("verified", verify, old)
            if moving:
                yield alone("taken out", take_out, old)
                yield alone("moved in", move_in, new)
                yield alone("the copy verified", verify, new)
        finally:
            with closing(server.connect()) as connection:
                for house in (old, new):
                    connection.execute(f"DROP SCHEMA IF EXISTS {house.schema} CASCADE".encode())


def row(each: Measured) -> str:
    """Return a step as a row of a Markdown table."""
    rate = each.movements / each.seconds
    return f"| {each.step} | {each.seconds:,.0f} s | {rate:,.0f}/s | {each.mebibytes:,.0f} MiB |"


def main() -> int:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description="PostgreSQL at size.")
    parser.add_argument("--movements", type=int, default=1_000_000)
    parser.add_argument("--stay", action="store_true", help="do not move afterwards")
    options = parser.parse_args()
    print(f"| {options.movements:,} movements | time | rate | memory at most |\n|---|---|---|---|")
    for each in measure(options.movements, moving=not options.stay):
        print(row(each), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())

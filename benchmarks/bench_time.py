"""
As-of by time: the slope over the length of the history, with 30 % late entries.

The claim is O(log n + late entries whose lateness spans the moment): from 10,000 entries to
100 times as many, the time of one read may grow like a logarithm, not a hundredfold.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from truecount import Adjusted, Inventory, MemoryStorage, SQLiteStorage
from truecount.protocols import Storage


START = datetime(2025, 1, 1, tzinfo=UTC)
STEP = timedelta(seconds=10)
READS = 200


def build(storage: Storage, entries: int, seed: int = 7) -> Inventory:
    """Return an inventory with one key of *entries* entries, 30 % of them late."""
    random_ = random.Random(seed)
    end = START + STEP * (entries + 1)
    inventory = Inventory(storage, clock=lambda: end)
    inventory.locations.add("berlin")
    for first in range(0, entries, 1000):
        inventory.record(
            Adjusted(
                "MUG",
                1,
                at="berlin",
                reason="build",
                occurred_at=_moment(number, random_),
                key=str(number),
            )
            for number in range(first, min(first + 1000, entries))
        )
    return inventory


def _moment(number: int, random_: random.Random) -> datetime:
    late = random_.random() < 0.3
    back = timedelta(seconds=random_.expovariate(1 / 600)) if late else timedelta(0)
    return max(START, START + STEP * number - back)


def microseconds(inventory: Inventory, entries: int, seed: int = 11) -> float:
    """Return the median time of one as-of read at a random moment."""
    random_ = random.Random(seed)
    moments = [START + STEP * random_.uniform(0, entries) for _ in range(READS)]
    taken = []
    for moment in moments:
        started = time.perf_counter()
        inventory.as_of("MUG", moment, at="berlin")
        taken.append(time.perf_counter() - started)
    return statistics.median(taken) * 1e6


def slope(sizes: list[int]) -> list[tuple[str, int, float]]:
    """Return (storage, entries, microseconds of one read) for each size."""
    rows = []
    for entries in sizes:
        with tempfile.TemporaryDirectory() as folder:
            for name, storage in (
                ("memory", MemoryStorage()),
                ("SQLite", SQLiteStorage(Path(folder) / "time.db", synchronous="OFF")),
            ):
                with build(storage, entries) as inventory:
                    rows.append((name, entries, microseconds(inventory, entries)))
    return rows


def main() -> None:
    """Print one row for each storage and size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    print("| storage | entries of the key | one as-of read, median |\n|---|---|---|")
    for name, entries, taken in slope(parser.parse_args().sizes):
        print(f"| {name} | {entries:,} | {taken:,.0f} µs |")


if __name__ == "__main__":
    main()

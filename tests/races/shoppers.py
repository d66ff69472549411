"""
Shoppers racing for the last units, as a program: one process, some threads, one SQLite file.

Each shopper reserves a unit, then confirms it or walks away and lets the hold run out under
the others. It reports what it was granted and the longest it ever waited for an answer.

`python -m tests.races.shoppers FILE NAME THREADS SECONDS [unlocked]`
"""

from __future__ import annotations

import json
import sqlite3
import sys
import threading
import time
from datetime import timedelta
from pathlib import Path

import attrs

from truecount import Inventory, SQLiteStorage
from truecount.errors import HoldExpired, InsufficientStock


HOT = "HOT"
SHOP = "berlin"
#: Shorter than a race, so that carts run out while others are trying.
TTL = timedelta(milliseconds=20)


@attrs.define
class Report:
    """What the shoppers of one process did."""

    asked: int = 0
    held: int = 0
    confirmed: int = 0
    refused: int = 0
    too_late: int = 0
    longest_wait_seconds: float = 0.0

    def add(self, other: Report) -> None:
        """Take in what others did."""
        longest = max(self.longest_wait_seconds, other.longest_wait_seconds)
        for field in attrs.fields(Report):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))
        self.longest_wait_seconds = longest


def shop(inventory: Inventory, name: str, seconds: float) -> Report:
    """Reserve and confirm until all is sold or the time over; every third cart is left."""
    report = Report()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        report.asked += 1
        cart = f"{name}-{report.asked}"
        started = time.monotonic()
        try:
            inventory.reserve({HOT: 1}, reference=cart, key=cart, ttl=TTL)
            report.held += 1
            if report.asked % 3:
                inventory.confirm(cart)
                report.confirmed += 1
        except InsufficientStock:
            report.refused += 1
            figures = inventory.figures(HOT)
            if not figures.sellable + figures.held:
                break
        except HoldExpired:
            report.too_late += 1
        waited = time.monotonic() - started
        report.longest_wait_seconds = max(report.longest_wait_seconds, waited)
    return report


def shop_unlocked(path: Path, seconds: float) -> Report:
    """Sell as many do: look, decide, write what was left; the control that must oversell."""
    report = Report()
    connection = sqlite3.connect(path, isolation_level=None, timeout=30)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        report.asked += 1
        (left,) = connection.execute("SELECT units FROM plain").fetchone()
        if left <= 0:
            break
        connection.execute("UPDATE plain SET units = ?", (left - 1,))
        report.confirmed += 1
    connection.close()
    return report


def main() -> None:
    """Run the threads of one process and print their report."""
    path, name, threads, seconds = Path(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:5])
    total = Report()
    reports: list[Report] = []
    if "unlocked" in sys.argv:
        workers = [
            threading.Thread(target=lambda: reports.append(shop_unlocked(path, seconds)))
            for _ in range(threads)
        ]
        _run(workers)
    else:
        with Inventory(SQLiteStorage(path)) as inventory:
            names = [f"{name}-{number}" for number in range(threads)]
            workers = [
                threading.Thread(target=lambda n=each: reports.append(shop(inventory, n, seconds)))
                for each in names
            ]
            _run(workers)
    for report in reports:
        total.add(report)
    sys.stdout.write(json.dumps(attrs.asdict(total)) + "\n")


def _run(workers: list[threading.Thread]) -> None:
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


if __name__ == "__main__":
    main()

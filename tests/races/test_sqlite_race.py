"""Processes and threads race for the last units of one SQLite file, carts expiring under them."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from tests.races.shoppers import HOT, SHOP, Report
from truecount import Inventory, SQLiteStorage


ROOT = Path(__file__).parent.parent.parent
#: The storage's own time-out, in seconds.
TIMEOUT = 30.0
#: Seconds after which a race ends that should have sold out long before.
PATIENCE = 120


def race(path: Path, threads: list[int], seconds: int, *words: str) -> Report:
    """Start one process for each number of threads, let all go at once, add their reports up."""
    children = [
        subprocess.Popen(
            [
                *(sys.executable, "-m", "tests.races.shoppers"),
                *(str(path), f"p{number}", str(each), str(seconds), *words),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            text=True,
        )
        for number, each in enumerate(threads)
    ]
    for child in children:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    total = Report()
    for child in children:
        answer, _ = child.communicate()
        assert child.returncode == 0
        total.add(Report(**json.loads(answer)))
    return total


def run_race(path: Path, threads: list[int], seconds: int, supply: int) -> Report:
    """Race for *supply* units and check that exactly what was confirmed is promised."""
    with Inventory(SQLiteStorage(path)) as inventory:
        inventory.locations.add(SHOP)
        inventory.receive(HOT, supply, at=SHOP)
    report = race(path, threads, seconds)
    with Inventory(SQLiteStorage(path)) as inventory:
        inventory.sweep()
        figures = inventory.figures(HOT)
        assert figures.allocated == report.confirmed
        assert figures.sellable + figures.held + figures.allocated == supply
        assert figures.sellable >= 0
        assert inventory.verify().ok
        history = inventory.history(HOT, last=None)
        assert min(entry.after.sellable for entry in history) >= 0
        assert sum(entry.movement.kind == "confirm" for entry in history) == report.confirmed
    assert report.longest_wait_seconds < TIMEOUT
    return report


def test_the_last_units_are_promised_once(tmp_path: Path) -> None:
    """Seven processes of one thread and one of eight sell out a SKU and not one unit more."""
    report = run_race(tmp_path / "race.db", [1] * 7 + [8], seconds=PATIENCE, supply=60)
    assert report.confirmed == 60
    assert report.refused > 0


def test_without_the_lock_the_same_race_oversells(tmp_path: Path) -> None:
    """The race can see what it looks for: read, decide, write without a lock sells too much."""
    path = tmp_path / "plain.db"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("CREATE TABLE plain (units INTEGER)")
        connection.execute("INSERT INTO plain VALUES (200)")
    connection.close()
    report = race(path, [1] * 3 + [8], PATIENCE, "unlocked")
    assert report.confirmed > 200


@pytest.mark.slow
def test_sixty_seconds_of_full_load_keep_every_wait_under_the_timeout(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Eight processes, one of them with eight threads, on one file; the longest wait is told."""
    report = run_race(tmp_path / "load.db", [1] * 7 + [8], seconds=60, supply=1_000_000)
    with capsys.disabled():
        sys.stdout.write(f"asked {report.asked}, longest wait {report.longest_wait_seconds:.2f} s")
    assert report.refused == 0

"""The pytest plugin, as a shop's own test suite meets it: in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path


def run(folder: Path, *, measured: bool = True, **files: str) -> str:
    """Run pytest over some files in a folder; return what it shows."""
    environment = {
        k: v for k, v in os.environ.items() if k != "PYTEST_ADDOPTS"
    }  # Ours, not theirs.
    if not measured:  # Measuring coverage loads a database of its own.
        environment = {k: v for k, v in environment.items() if not k.startswith("COV")}
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "."],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    ).stdout


USES = """
from datetime import timedelta

def test_a_hold_runs_out(truecount_inventory, truecount_clock):
    truecount_inventory.locations.add("berlin")
    truecount_inventory.receive("MUG", 1, at="berlin")
    truecount_inventory.reserve({"MUG": 1}, reference="cart", ttl=timedelta(minutes=5))
    assert truecount_inventory.available("MUG") == 0
    truecount_clock.tick(timedelta(minutes=6))
    assert truecount_inventory.available("MUG") == 1

def test_each_test_starts_empty(truecount_inventory, truecount_storage):
    assert truecount_inventory.storage is truecount_storage
    assert not truecount_inventory.stock()
"""

OVERRIDES = """
import pytest
from truecount import SQLiteStorage

@pytest.fixture
def truecount_storage(tmp_path):
    storage = SQLiteStorage(tmp_path / "shop.db")
    yield storage
    storage.close()
"""

SPOILS = """
import sqlite3

def test_something_else_writes_into_the_tables(truecount_inventory, truecount_storage):
    truecount_inventory.locations.add("berlin")
    truecount_inventory.receive("MUG", 1, at="berlin")
    with sqlite3.connect(truecount_storage.path) as connection:
        connection.execute("UPDATE truecount_stock SET sellable = 2")
    connection.close()
"""

LOOKS = """
import sys
import hypothesis

def test_nothing_was_loaded_or_changed():
    heavy = {"attrs", "sqlite3", "truecount.inventory", "truecount.testing"}
    loaded = heavy.intersection(sys.modules)
    assert not loaded
    assert hypothesis.settings.default.max_examples == 17
"""

KEEPS = """
import hypothesis

hypothesis.settings.register_profile("mine", max_examples=17)
hypothesis.settings.load_profile("mine")
"""


def test_fixtures_are_there_without_a_word(tmp_path: Path) -> None:
    """An installed truecount is enough: no import, no conftest."""
    assert "2 passed" in run(tmp_path, test_shop=USES)


def test_overriding_the_storage_is_enough(tmp_path: Path) -> None:
    """The inventory follows a storage of the shop's own, and a spoilt one is told."""
    shown = run(tmp_path, conftest=OVERRIDES, test_shop=USES, test_spoilt=SPOILS)
    assert "3 passed, 1 error" in shown
    assert "'MUG' at 'berlin', the stock row" in shown


def test_who_does_not_use_it_does_not_pay_for_it(tmp_path: Path) -> None:
    """Nothing but pytest is loaded, and a Hypothesis profile stays as it was."""
    assert "1 passed" in run(tmp_path, measured=False, conftest=KEEPS, test_shop=LOOKS)

"""Our own storages, and the PostgreSQL one of the tests, against the kit we ship."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from truecount import MemoryStorage
from truecount.protocols.storage import Storage
from truecount.testing import STORAGE_CHECKS, MakeStorage, StorageCheck


def memory(request: pytest.FixtureRequest) -> MakeStorage:
    """Return a factory of storages in memory."""
    return MemoryStorage


def sqlite(request: pytest.FixtureRequest) -> MakeStorage:
    """Return a factory of storages in new SQLite files."""
    from truecount.storage.sqlite import SQLiteStorage

    folder: Path = request.getfixturevalue("tmp_path")
    numbers = itertools.count()
    return lambda: SQLiteStorage(folder / f"{next(numbers)}.db")


def postgres(request: pytest.FixtureRequest) -> MakeStorage:
    """Return a factory of storages in new PostgreSQL schemas."""
    factory: Callable[[], Storage] = request.getfixturevalue("make_postgres")
    return factory


@pytest.mark.parametrize("check", STORAGE_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("kind", [memory, sqlite, postgres], ids=lambda kind: kind.__name__)
def test_storage_keeps_the_contract(
    check: StorageCheck,
    kind: Callable[[pytest.FixtureRequest], MakeStorage],
    request: pytest.FixtureRequest,
) -> None:
    """Every check of the kit passes on every storage we have."""
    check(kind(request))


def test_kit_loads_no_test_runner() -> None:
    """Importing the kit loads neither pytest nor Hypothesis, so it works in any test suite."""
    program = (
        "import sys, truecount.testing\n"
        "loaded = {name.partition('.')[0] for name in sys.modules}\n"
        "print(*sorted(loaded & {'pytest', 'hypothesis'}))"
    )
    shown = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True
    )
    assert shown.stdout.strip() == ""


def test_checks_are_alive_without_assert_statements() -> None:
    """A broken storage is caught under ``python -O`` as well."""
    program = (
        "from truecount import MemoryStorage\n"
        "from truecount.testing import check_storage\n"
        "MemoryStorage.read = lambda self, tenant, host=None: self.begin('other', host)\n"
        "try:\n"
        "    check_storage(MemoryStorage)\n"
        "except AssertionError as error:\n"
        "    print('caught:', error)\n"
    )
    shown = subprocess.run(
        [sys.executable, "-O", "-c", program], check=True, capture_output=True, text=True
    )
    assert shown.stdout.startswith("caught: ")


def test_every_check_is_collected_once() -> None:
    """No check of the kit is forgotten in ``STORAGE_CHECKS``, and each says what it proves."""
    from truecount.testing import checks, races, reads

    written = {
        getattr(module, name)
        for module in (checks, races, reads)
        for name in vars(module)
        if name.startswith("check_")
    }
    assert written == set(STORAGE_CHECKS)
    assert len(STORAGE_CHECKS) == len(written)
    assert all(check.__doc__ for check in STORAGE_CHECKS)

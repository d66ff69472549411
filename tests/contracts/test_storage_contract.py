"""Our own storages, and the PostgreSQL one of the tests, against the kit we ship."""

from __future__ import annotations

import itertools
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.contracts.capable import POSTGRES, SQLITE
from truecount import MemoryStorage
from truecount.protocols.storage import Storage
from truecount.testing import (
    CAPABILITY_CHECKS,
    STORAGE_CHECKS,
    Capabilities,
    MakeStorage,
    StorageCheck,
    check_storage,
)
from truecount.testing.reaching import NEEDS, CapabilityCheck


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


#: What each kind of storage is declared to be able to do.
DECLARED: dict[Callable[[pytest.FixtureRequest], MakeStorage], Capabilities] = {
    memory: Capabilities(),
    sqlite: SQLITE,
    postgres: POSTGRES,
}


@pytest.mark.parametrize("check", CAPABILITY_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("kind", DECLARED, ids=lambda kind: kind.__name__)
def test_storage_does_what_it_declares(
    check: CapabilityCheck,
    kind: Callable[[pytest.FixtureRequest], MakeStorage],
    request: pytest.FixtureRequest,
) -> None:
    """Every check of a capability passes where that is declared."""
    reason = DECLARED[kind].missing(NEEDS[check])
    if reason:
        pytest.skip(reason)
    check(kind(request), DECLARED[kind])


def test_what_is_not_declared_is_skipped_and_said_to_be() -> None:
    """Each skipped check is told once, with the capability it would need."""
    told: list[str] = []
    check_storage(MemoryStorage, tell=told.append)
    skipped = [check.__name__ for check, needs in NEEDS.items() if needs]
    assert [line.split()[1].rstrip(":") for line in told] == skipped
    assert all("not declared: " in line for line in told)
    assert set(NEEDS) == set(CAPABILITY_CHECKS)


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


def test_checks_of_capabilities_are_alive_without_assert_statements(tmp_path: Path) -> None:
    """Under ``python -O`` a right storage passes all of them, and a forgetful one is caught."""
    program = (
        "import itertools, sys\n"
        "from truecount import SQLiteStorage\n"
        "from truecount.testing import Capabilities, check_storage\n"
        "names = itertools.count()\n"
        "make = lambda: SQLiteStorage(f'{sys.argv[1]}/{next(names)}.db', synchronous='OFF')\n"
        "again = lambda storage: SQLiteStorage(storage.path)\n"
        "check_storage(make, Capabilities(reopen=again), tell=lambda told: None)\n"
        "print('passed')\n"
        "try:\n"
        "    check_storage(make, Capabilities(reopen=lambda _: make()), tell=lambda told: None)\n"
        "except AssertionError as error:\n"
        "    print('caught', *error.__notes__)\n"
    )
    shown = subprocess.run(
        [sys.executable, "-O", "-c", program, str(tmp_path)],
        check=True,
        capture_output=True,
        text=True,
    )
    passed, caught = shown.stdout.splitlines()
    assert passed == "passed"
    assert caught.startswith("caught in check_reopened_storage_has_everything")


def test_every_check_is_collected_once() -> None:
    """No check of the kit is forgotten in ``STORAGE_CHECKS``, and each says what it proves."""
    from truecount.testing import checks, races, reaching, reads, waiting

    written = {
        getattr(module, name)
        for module in (checks, races, reaching, reads, waiting)
        for name in vars(module)
        if name.startswith("check_")
    }
    every = [*STORAGE_CHECKS, *CAPABILITY_CHECKS]
    assert written == set(every)
    assert len(every) == len(written)
    assert all(check.__doc__ for check in STORAGE_CHECKS)

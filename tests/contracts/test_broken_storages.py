"""Every check of the kit can fail: for each there is a wrong storage that it must notice."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.contracts.broken import SPOILT, Broken, OneCursorStorage, Shared, first, lock_with
from tests.contracts.broken_files import FILES, Wrong, files
from tests.contracts.broken_locks import TOGETHER, RowWise
from truecount.errors import ConstraintViolated
from truecount.protocols.storage import Changes
from truecount.testing import (
    CAPABILITY_CHECKS,
    STORAGE_CHECKS,
    Capabilities,
    MakeStorage,
    check_storage,
    checks,
)
from truecount.testing.forbidden import FORBIDDEN


CONTRACT = {check.__name__: check for check in STORAGE_CHECKS}
BESIDES = {check.__name__: check for check in CAPABILITY_CHECKS}


def in_memory(make: MakeStorage) -> Wrong:
    """Return a storage that needs no file and says that it can do nothing besides."""
    return Wrong(lambda _path: make(), Capabilities())


#: By the check that must notice it, named before it is run: a storage that is wrong.
WRONG: Mapping[str, Wrong] = {
    **{name: in_memory(partial(Broken, **instead)) for name, instead in SPOILT.items()},
    "check_each_storage_is_new": in_memory(Shared),
    "check_iterators_may_be_interleaved": in_memory(OneCursorStorage),
    **{name: in_memory(kind) for name, kind in TOGETHER.items()},
    **FILES,
}

#: A race may end well by luck.
ATTEMPTS = 20


def run(name: str, make: MakeStorage, capabilities: Capabilities) -> None:
    """Run one check of the kit, again and again where threads run as they like."""
    for _ in range(ATTEMPTS if name in TOGETHER else 1):
        if name in CONTRACT:
            CONTRACT[name](make)
        else:
            BESIDES[name](make, capabilities)


@pytest.fixture
def eager_threads() -> Iterator[None]:
    """Let threads take turns at every chance."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(interval)


@pytest.mark.parametrize("name", [*CONTRACT, *BESIDES])
@pytest.mark.usefixtures("eager_threads")
def test_every_check_notices_a_wrong_storage(name: str, tmp_path: Path) -> None:
    """A storage that is wrong in one respect fails the check of that respect."""
    wrong = WRONG[name]
    with pytest.raises(AssertionError, match=r"expected .*, got |still not served"):
        run(name, files(wrong.kind, tmp_path), wrong.capabilities)


def test_no_wrong_storage_is_without_its_check() -> None:
    """The table names checks that exist, each once."""
    assert WRONG.keys() == CONTRACT.keys() | BESIDES.keys()
    assert len(WRONG) == len(SPOILT) + 2 + len(TOGETHER) + len(FILES)


@pytest.mark.parametrize("number", range(len(FORBIDDEN)), ids=list(FORBIDDEN))
def test_every_constraint_is_asked_for(number: int) -> None:
    """A storage that lets one forbidden write pass is told which one."""
    refused = count()

    def write(unit: Any, changes: Changes) -> None:
        try:
            unit.write(changes)
        except ConstraintViolated:
            if next(refused) != number:
                raise

    with pytest.raises(AssertionError) as caught:
        checks.check_constraints_refuse_and_write_nothing(lambda: Broken(write=write))
    problem = list(FORBIDDEN)[number]
    assert str(caught.value) == f"{problem}: expected StorageError, got the result None"


def test_spoiling_nothing_passes() -> None:
    """It is what was spoilt that fails: the same wrapping without it passes every check."""
    check_storage(Broken)


def test_locking_rows_by_threads_passes() -> None:
    """It is the mistake that fails: the storage they are made of passes every check."""
    check_storage(RowWise, Capabilities(concurrent_writers=True))


def test_check_storage_names_the_failed_check() -> None:
    """The error of the first failed check has a note with its name and claim."""
    with pytest.raises(AssertionError) as caught:
        check_storage(lambda: Broken(**lock_with(rows=first)))
    assert "check_lock_creates_missing_rows" in caught.value.__notes__[0]

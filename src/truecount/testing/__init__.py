"""
The kit for those who write a storage of their own, or test code that uses truecount.

A storage is right when every check of :data:`STORAGE_CHECKS` passes. A check is a plain
function over a factory of new, empty storages; it needs no test runner, closes what it
makes, and raises ``AssertionError`` with what was expected and what was seen::

    import pytest
    from truecount.testing import STORAGE_CHECKS

    @pytest.mark.parametrize("check", STORAGE_CHECKS, ids=lambda check: check.__name__)
    def test_contract(check, tmp_path):
        names = itertools.count()
        check(lambda: MyStorage(tmp_path / f"{next(names)}.db"))

Without a test runner:

>>> from truecount import MemoryStorage
>>> check_storage(MemoryStorage)

:class:`ManualClock` and :class:`CountingIds` make any history repeatable:

>>> from datetime import timedelta
>>> from truecount import Inventory
>>> clock = ManualClock()
>>> inventory = Inventory(clock=clock, new_id=CountingIds())
>>> inventory.locations.add("berlin")
>>> receipt = inventory.receive("MUG", 1, at="berlin")
>>> cart = inventory.reserve({"MUG": 1}, reference="cart-1", ttl=timedelta(minutes=15))
>>> inventory.available("MUG")
0
>>> later = clock.tick(timedelta(minutes=16))
>>> inventory.available("MUG")
1
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, TypeAlias

from truecount.testing.checks import UNIT_CHECKS
from truecount.testing.claims import MakeStorage
from truecount.testing.fakes import CountingIds, ManualClock
from truecount.testing.invariants import assert_invariants
from truecount.testing.races import RACE_CHECKS
from truecount.testing.reads import READER_CHECKS


#: Proves one part of the contract; raises AssertionError where it is broken.
StorageCheck: TypeAlias = Callable[[MakeStorage], None]

#: The whole contract of ``truecount.protocols.storage``, a check for each part of it.
STORAGE_CHECKS: Final[tuple[StorageCheck, ...]] = (*UNIT_CHECKS, *READER_CHECKS, *RACE_CHECKS)


def check_storage(make_storage: MakeStorage) -> None:
    """
    Run all of :data:`STORAGE_CHECKS`; *make_storage* returns a new, empty storage each time.

    Raises:
        AssertionError: The storage breaks the contract; a note names the check.
    """
    for check in STORAGE_CHECKS:
        try:
            check(make_storage)
        except BaseException as error:
            error.add_note(f"in {check.__name__}: {check.__doc__}")
            raise


__all__ = [
    "STORAGE_CHECKS",
    "CountingIds",
    "MakeStorage",
    "ManualClock",
    "StorageCheck",
    "assert_invariants",
    "check_storage",
]

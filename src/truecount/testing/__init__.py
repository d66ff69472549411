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

Whole shops are tested with :func:`assert_invariants`, with the histories of
``truecount.testing.strategies`` and with :func:`inventory_machine`; these two need the extra
``testing`` and are loaded when they are first asked for.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module as _import_module
from typing import TYPE_CHECKING, Final, TypeAlias

from truecount.testing.checks import UNIT_CHECKS
from truecount.testing.claims import MakeStorage
from truecount.testing.fakes import CountingIds, ManualClock
from truecount.testing.races import RACE_CHECKS
from truecount.testing.reads import READER_CHECKS


if TYPE_CHECKING:
    from truecount.testing.invariants import assert_invariants
    from truecount.testing.machine import inventory_machine
    from truecount.testing.model import NaiveInventory, NaiveLedger, NaiveReservations
    from truecount.testing.playing import Again, Shop, Step, Tick, play


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


#: What is loaded when it is first asked for, by the module it is in.
_LATER: Final = {
    "truecount.testing.invariants": "assert_invariants",
    "truecount.testing.machine": "inventory_machine",
    "truecount.testing.model": "NaiveInventory NaiveLedger NaiveReservations",
    "truecount.testing.playing": "Again Shop Step Tick play",
}
_HOME: Final = {name: module for module, names in _LATER.items() for name in names.split()}


def __getattr__(name: str) -> object:
    """Load a name's module now, and keep the name for the next time."""
    if name not in _HOME:
        msg = f"module 'truecount.testing' has no attribute {name!r}"
        raise AttributeError(msg)
    value: object = getattr(_import_module(_HOME[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    """List what there is, loaded or not."""
    return sorted({*globals(), *__all__})


__all__ = [
    "STORAGE_CHECKS",
    "Again",
    "CountingIds",
    "MakeStorage",
    "ManualClock",
    "NaiveInventory",
    "NaiveLedger",
    "NaiveReservations",
    "Shop",
    "Step",
    "StorageCheck",
    "Tick",
    "assert_invariants",
    "check_storage",
    "inventory_machine",
    "play",
]

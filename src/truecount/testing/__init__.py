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
skipped check_stored_rows_are_what_readers_show: not declared: look_behind (look at ...
skipped check_reopened_storage_has_everything: not declared: reopen (open the same data again)
...

What is skipped there is checked where :class:`Capabilities` say that the storage can do it.

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
from functools import partial
from importlib import import_module as _import_module
from typing import TYPE_CHECKING, Final, TypeAlias

from truecount.testing.capabilities import Capabilities, Host, Stored, stored_by
from truecount.testing.checks import UNIT_CHECKS
from truecount.testing.claims import MakeStorage
from truecount.testing.fakes import CountingIds, ManualClock
from truecount.testing.faults import (
    BusyAtRandom,
    Call,
    Crash,
    FailAt,
    FaultyStorage,
    Moment,
    Plan,
    SlowBy,
)
from truecount.testing.histories import Event, History, Ledger, ledger_of
from truecount.testing.judging import check_history, unexplained
from truecount.testing.races import RACE_CHECKS
from truecount.testing.reaching import NEEDS, CapabilityCheck
from truecount.testing.reads import READER_CHECKS
from truecount.testing.rowwise import RowLocks, RowUnit
from truecount.testing.simulator import Client, Simulated, simulate, simulate_many
from truecount.testing.survival import Scenario, every_fault, while_busy
from truecount.testing.turns import Turns
from truecount.testing.waiting import WAITING_CHECKS


if TYPE_CHECKING:
    from truecount.testing.invariants import assert_invariants
    from truecount.testing.machine import inventory_machine
    from truecount.testing.model import (
        NaiveBundles,
        NaiveCounts,
        NaiveInventory,
        NaiveLedger,
        NaiveReservations,
    )
    from truecount.testing.playing import Again, Shop, Step, Tick, play


#: Proves one part of the contract; raises AssertionError where it is broken.
StorageCheck: TypeAlias = Callable[[MakeStorage], None]

#: The whole contract of ``truecount.protocols.storage``, a check for each part of it.
STORAGE_CHECKS: Final[tuple[StorageCheck, ...]] = (
    *UNIT_CHECKS,
    *READER_CHECKS,
    *WAITING_CHECKS,
    *RACE_CHECKS,
)


#: Checks of what a storage can do besides; each names the capabilities it needs.
CAPABILITY_CHECKS: Final[tuple[CapabilityCheck, ...]] = tuple(NEEDS)


def check_storage(
    make_storage: MakeStorage,
    capabilities: Capabilities | None = None,
    *,
    tell: Callable[[str], object] = print,
) -> None:
    """
    Run every check there is; *make_storage* returns a new, empty storage each time.

    Args:
        capabilities: What the storage can do besides the contract; by default nothing.
        tell: Is told each check that was skipped, and why.

    Raises:
        AssertionError: The storage breaks the contract; a note names the check.
    """
    capabilities = Capabilities() if capabilities is None else capabilities
    for check in STORAGE_CHECKS:
        _run(check, partial(check, make_storage))
    for capable, needs in NEEDS.items():
        reason = capabilities.missing(needs)
        if reason:
            tell(f"skipped {capable.__name__}: {reason}")
        else:
            _run(capable, partial(capable, make_storage, capabilities))


def _run(check: StorageCheck | CapabilityCheck, call: Callable[[], None]) -> None:
    try:
        call()
    except BaseException as error:
        error.add_note(f"in {check.__name__}: {check.__doc__}")
        raise


#: What is loaded when it is first asked for, by the module it is in.
_LATER: Final = {
    "truecount.testing.invariants": "assert_invariants",
    "truecount.testing.machine": "inventory_machine",
    "truecount.testing.model": "NaiveBundles NaiveCounts NaiveInventory NaiveLedger "
    "NaiveReservations",
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
    "CAPABILITY_CHECKS",
    "STORAGE_CHECKS",
    "Again",
    "BusyAtRandom",
    "Call",
    "Capabilities",
    "Client",
    "CountingIds",
    "Crash",
    "Event",
    "FailAt",
    "FaultyStorage",
    "History",
    "Host",
    "Ledger",
    "MakeStorage",
    "ManualClock",
    "Moment",
    "NaiveBundles",
    "NaiveCounts",
    "NaiveInventory",
    "NaiveLedger",
    "NaiveReservations",
    "Plan",
    "RowLocks",
    "RowUnit",
    "Scenario",
    "Shop",
    "Simulated",
    "SlowBy",
    "Step",
    "StorageCheck",
    "Stored",
    "Tick",
    "Turns",
    "assert_invariants",
    "check_history",
    "check_storage",
    "every_fault",
    "inventory_machine",
    "ledger_of",
    "play",
    "simulate",
    "simulate_many",
    "stored_by",
    "unexplained",
    "while_busy",
]

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
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Final, TypeAlias

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
from truecount.testing.histories import (
    Event,
    History,
    Ledger,
    check_history,
    ledger_of,
    unexplained,
)
from truecount.testing.invariants import assert_invariants
from truecount.testing.races import RACE_CHECKS
from truecount.testing.reaching import NEEDS, CapabilityCheck
from truecount.testing.reads import READER_CHECKS
from truecount.testing.simulator import (
    Client,
    RowLocks,
    RowUnit,
    Simulated,
    simulate,
    simulate_many,
)
from truecount.testing.survival import Scenario, every_fault, while_busy
from truecount.testing.turns import Turns
from truecount.testing.waiting import WAITING_CHECKS


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


__all__ = [
    "CAPABILITY_CHECKS",
    "STORAGE_CHECKS",
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
    "Plan",
    "RowLocks",
    "RowUnit",
    "Scenario",
    "Simulated",
    "SlowBy",
    "StorageCheck",
    "Stored",
    "Turns",
    "assert_invariants",
    "check_history",
    "check_storage",
    "every_fault",
    "ledger_of",
    "simulate",
    "simulate_many",
    "stored_by",
    "unexplained",
    "while_busy",
]

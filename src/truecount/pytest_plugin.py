"""
The pytest plugin: fixtures for the tests of a shop, there as soon as truecount is installed.

Rules:
1. It imports nothing but pytest until a fixture is asked for: who does not use it does not
   pay for it.
2. Its names begin with ``truecount_``, so that they meet no other.
3. It changes no setting of pytest, and none of Hypothesis.

A shop that runs on another database overrides one fixture in its ``conftest.py``, and all
others follow::

    @pytest.fixture
    def truecount_storage(tmp_path):
        storage = SQLiteStorage(tmp_path / "shop.db")
        yield storage
        storage.close()
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest


if TYPE_CHECKING:
    from truecount.inventory import Inventory
    from truecount.protocols.storage import Storage
    from truecount.testing import ManualClock


@pytest.fixture
def truecount_clock() -> ManualClock:
    """A clock that stands at 2026-01-01 00:00 UTC until the test calls ``tick``."""
    from truecount.testing.fakes import ManualClock

    return ManualClock()


@pytest.fixture
def truecount_storage() -> Iterator[Storage]:
    """An empty storage in memory; override it to test on your database."""
    from truecount.storage.memory import MemoryStorage

    storage = MemoryStorage()
    yield storage
    storage.close()


@pytest.fixture
def truecount_inventory(
    truecount_storage: Storage, truecount_clock: ManualClock
) -> Iterator[Inventory]:
    """
    An empty inventory over ``truecount_storage``, with repeatable ids.

    When the test has passed or failed, ``assert_invariants`` looks at what it has left.
    """
    from truecount.inventory import Inventory
    from truecount.testing import assert_invariants
    from truecount.testing.fakes import CountingIds

    inventory = Inventory(truecount_storage, clock=truecount_clock, new_id=CountingIds())
    yield inventory
    assert_invariants(inventory)

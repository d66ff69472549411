"""The whole kit on PostgreSQL: nothing left out, the state machine, a fault at every call."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import psycopg
import pytest

from tests.broad_day import day, morning, prepare
from tests.contracts.capable import POSTGRES, reopened
from tests.machines import run
from tests.postgres.server import storages
from tests.postgres.waiting import connect
from truecount.storage.postgres import PostgresStorage
from truecount.testing import every_fault, inventory_machine, while_busy
from truecount.testing.capabilities import MEANING


class Fresh:
    """Makes empty storages, and drops those made before once a new one is wanted."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._last = ExitStack()

    def __call__(self) -> PostgresStorage:
        """Return a new storage; nobody needs the last one any more."""
        self.close()
        return self._last.enter_context(storages(self._dsn))()

    def close(self) -> None:
        """Drop the last one."""
        self._last.close()


@pytest.fixture
def fresh(postgres_dsn: str) -> Iterator[Fresh]:
    """Return a factory of storages for many examples, one after the other."""
    fresh = Fresh(postgres_dsn)
    yield fresh
    fresh.close()


@contextmanager
def host(storage: PostgresStorage) -> Iterator[psycopg.Connection[Any]]:
    """Open a host's transaction: leaving commits it, an exception rolls it back."""
    with connect(storage) as connection, connection.transaction():
        yield connection


def test_no_check_is_left_out() -> None:
    """Every capability there is is declared, so every check of the kit runs."""
    assert {name: POSTGRES.missing((name,)) for name in MEANING} == dict.fromkeys(MEANING, "")


def test_anything_may_happen_in_a_shop_on_postgres(fresh: Fresh) -> None:
    """Every invariant holds after each step of any history, with hosts and crashes."""
    run(inventory_machine(fresh, join=host, reopen=reopened), examples=4, steps=15)


@pytest.mark.slow
def test_anything_may_happen_in_many_shops_on_postgres(fresh: Fresh) -> None:
    """The same, for 400 examples of 50 steps: ten minutes of a core, and the server's own."""
    run(inventory_machine(fresh, join=host, reopen=reopened), examples=400, steps=50)


class TestFaults:
    def test_a_sample_of_faults_is_survived(self, fresh: Fresh) -> None:
        """Crashes and errors at some calls of a morning leave no trace, and repeating completes."""
        tried = every_fault(fresh, morning, prepare=prepare, reopen=reopened, stride=31)
        assert tried >= 8

    @pytest.mark.slow
    def test_every_fault_is_survived(self, fresh: Fresh) -> None:
        """Crashes and errors before and after every single call of a broad day."""
        tried = every_fault(fresh, day, prepare=prepare, reopen=reopened)
        assert tried >= 4 * 190

    @pytest.mark.slow
    @pytest.mark.parametrize("seed", range(3))
    def test_a_day_of_busy_calls_ends_the_same(self, fresh: Fresh, seed: int) -> None:
        """Whoever repeats what was busy, under the same keys, ends where nobody was busy."""
        assert while_busy(fresh, day, seed=seed, prepare=prepare) > 1

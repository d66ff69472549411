"""In the host's transaction: what is joined, what is refused, and what the host still has."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from psycopg.pq import TransactionStatus
from psycopg.rows import dict_row

from tests.postgres.server import Factory
from tests.postgres.waiting import connect, hosted
from truecount import Inventory
from truecount.errors import (
    InsufficientStock,
    InvalidArgument,
    NotInTransaction,
    Retryable,
    StorageUnavailable,
)
from truecount.storage.postgres import PostgresStorage


Host = psycopg.Connection[Any]


@pytest.fixture
def storage(make_postgres: Factory) -> PostgresStorage:
    """Return an empty storage."""
    return make_postgres()


@pytest.fixture
def inventory(storage: PostgresStorage) -> Inventory:
    """Return an inventory of nine mugs, beside a table of orders of the host's."""
    inventory = Inventory(storage)
    inventory.locations.add("berlin")
    inventory.receive("MUG", 9, at="berlin")
    with connect(storage) as connection:
        connection.execute(f"CREATE TABLE {storage.schema}.orders (id text PRIMARY KEY)".encode())
    return inventory


def order(host: Host, storage: PostgresStorage, name: str) -> None:
    """Write an order of the host's own."""
    host.execute(f"INSERT INTO {storage.schema}.orders VALUES (%s)".encode(), (name,))


def orders(storage: PostgresStorage) -> list[str]:
    """Return the orders that were committed."""
    with connect(storage) as connection:
        rows = connection.execute(f"SELECT id FROM {storage.schema}.orders ORDER BY 1".encode())
        return [name for (name,) in rows]


def fail(host: Host) -> None:
    """Let a statement of the host's fail."""
    with pytest.raises(psycopg.errors.DivisionByZero):
        host.execute("SELECT 1 / 0")


class TestTogether:
    def test_order_and_reservation_commit_together(
        self, storage: PostgresStorage, inventory: Inventory
    ) -> None:
        """With psycopg's own block around both."""
        with connect(storage) as host, host.transaction():
            order(host, storage, "o-1")
            inventory.within(host).reserve({"MUG": 2}, reference="o-1")
            assert inventory.available("MUG") == 9
        assert (orders(storage), inventory.available("MUG")) == (["o-1"], 7)

    def test_order_and_reservation_leave_together(
        self, storage: PostgresStorage, inventory: Inventory
    ) -> None:
        """An exception of the host's takes both back."""

        def sell() -> None:
            with connect(storage) as host, host.transaction():
                inventory.within(host).reserve({"MUG": 2}, reference="o-1")
                order(host, storage, "o-1")
                order(host, storage, "o-1")

        with pytest.raises(psycopg.errors.UniqueViolation):
            sell()
        assert (orders(storage), inventory.available("MUG")) == ([], 9)

    def test_refusal_raises_nothing_inside_the_database(
        self, storage: PostgresStorage, inventory: Inventory
    ) -> None:
        """The host may take the order all the same, and commit; the refusal lasts with it."""
        with connect(storage) as host, host.transaction():
            with pytest.raises(InsufficientStock):
                inventory.within(host).reserve({"MUG": 10}, reference="o-1", key="k-1")
            assert host.info.transaction_status == TransactionStatus.INTRANS
            order(host, storage, "o-1, to be made")
        assert orders(storage) == ["o-1, to be made"]
        inventory.receive("MUG", 9, at="berlin")
        with pytest.raises(InsufficientStock):
            inventory.reserve({"MUG": 10}, reference="o-1", key="k-1")

    def test_hosts_savepoint_takes_back_only_what_came_after(
        self, storage: PostgresStorage, inventory: Inventory
    ) -> None:
        """Savepoints are the host's; within one of them joining works as without."""
        with connect(storage) as host, host.transaction():
            inventory.within(host).reserve({"MUG": 1}, reference="o-1")
            with host.transaction(force_rollback=True):
                inventory.within(host).reserve({"MUG": 2}, reference="o-2")
        assert inventory.available("MUG") == 8

    def test_no_savepoint_is_made(self, storage: PostgresStorage, inventory: Inventory) -> None:
        """A replay, a refusal and a grant cost the host no subtransaction."""
        with hosted(storage) as host:
            host.execute(f"CREATE TABLE {storage.schema}.mine (id int)".encode())
            joined = inventory.within(host)
            for quantity, key in ((1, "a"), (1, "a"), (99, "b"), (2, "c")):
                try:
                    joined.reserve({"MUG": quantity}, reference=f"o-{key}", key=key)
                except InsufficientStock:
                    assert key == "b"
            # Rows written in a savepoint carry the id of a subtransaction.
            [[writers]] = host.execute(
                f"SELECT count(DISTINCT xmin::text) FROM {storage.schema}.outcome"
                f" WHERE xmin::text = (pg_current_xact_id()::xid)::text".encode()
            )
            [[written]] = host.execute(
                f"SELECT count(*) FROM {storage.schema}.outcome"
                f" WHERE xmin::text = (pg_current_xact_id()::xid)::text".encode()
            )
            assert (writers, written) == (1, 3)


class TestRefused:
    def test_autocommit_connection_without_transaction(
        self, storage: PostgresStorage, inventory: Inventory
    ) -> None:
        """Order and reservation would commit apart."""
        advice = r"with connection\.transaction\(\)"
        with connect(storage) as host, pytest.raises(NotInTransaction, match=advice):
            inventory.within(host).receive("MUG", 1, at="berlin")

    def test_connection_whose_transaction_has_not_begun(
        self, storage: PostgresStorage, inventory: Inventory
    ) -> None:
        """A connection that begins by itself has not begun before its first statement."""
        with psycopg.connect(storage._connections.dsn) as host:
            with pytest.raises(NotInTransaction):
                inventory.within(host).available("MUG")
            host.execute("SELECT 1")
            assert inventory.within(host).available("MUG") == 9

    @pytest.mark.parametrize(
        ("spoil", "told"),
        [
            (lambda host: host.close(), "closed"),
            (lambda host: host.pgconn.send_query(b"SELECT 1"), "in the middle of a statement"),
            (fail, "transaction has failed; roll back"),
        ],
        ids=["closed", "busy", "failed"],
    )
    def test_connection_that_cannot_be_used(
        self,
        storage: PostgresStorage,
        inventory: Inventory,
        spoil: Callable[[Host], object],
        told: str,
    ) -> None:
        """The message says what is wrong with it."""
        host = connect(storage)
        host.execute("BEGIN")
        spoil(host)
        with pytest.raises(InvalidArgument, match=told):
            inventory.within(host).receive("MUG", 1, at="berlin")
        host.close()

    @pytest.mark.parametrize("host", ["a dsn", psycopg.AsyncConnection])
    def test_what_is_no_connection(self, inventory: Inventory, host: object) -> None:
        """Only a psycopg connection is joined."""
        with pytest.raises(InvalidArgument, match=r"psycopg\.Connection"):
            inventory.within(host).available("MUG")

    def test_closed_storage(self, storage: PostgresStorage, inventory: Inventory) -> None:
        """A storage that was closed joins nobody."""
        storage.close()
        with hosted(storage) as host, pytest.raises(StorageUnavailable, match="was closed"):
            inventory.within(host).available("MUG")


class TestHostsOwn:
    def test_row_factory_and_loaders_do_not_matter(
        self, storage: PostgresStorage, inventory: Inventory
    ) -> None:
        """A host that reads everything its own way keeps doing so; we read ours."""

        class Shouting(psycopg.adapt.Loader):
            def load(self, data: psycopg.abc.Buffer) -> str:
                """Return any text or number in upper case."""
                return bytes(data).decode().upper() + "!"

        with connect(storage) as host:
            host.row_factory = dict_row
            for name in ("text", "int4", "int8"):
                host.adapters.register_loader(name, Shouting)
            with host.transaction():
                joined = inventory.within(host)
                assert joined.reserve({"MUG": 1}, reference="o-1").reference == "o-1"
                assert joined.available("MUG") == 8
                assert host.execute("SELECT 'mug' AS sku").fetchone() == {"sku": "MUG!"}

    @pytest.mark.parametrize("level", ["REPEATABLE READ", "SERIALIZABLE"])
    def test_stricter_isolation_never_decides_on_what_is_old(
        self, storage: PostgresStorage, inventory: Inventory, level: str
    ) -> None:
        """Where others wrote since the host began to read, it must repeat its transaction."""
        with connect(storage) as host:
            host.execute(f"BEGIN ISOLATION LEVEL {level}".encode())
            host.execute("SELECT 1")
            assert inventory.within(host).available("MUG") == 9
            inventory.reserve({"MUG": 9}, reference="other")
            with pytest.raises(Retryable, match="could not serialize"):
                inventory.within(host).reserve({"MUG": 1}, reference="mine")
            assert host.info.transaction_status == TransactionStatus.INERROR
            host.rollback()
        with connect(storage) as host:
            host.execute(f"BEGIN ISOLATION LEVEL {level}".encode())
            with pytest.raises(InsufficientStock):
                inventory.within(host).reserve({"MUG": 1}, reference="mine")
            host.commit()

    def test_what_the_driver_has_prepared_survives_a_failure_of_ours(
        self, storage: PostgresStorage, inventory: Inventory
    ) -> None:
        """A host that goes back to a savepoint in its own words can go on."""
        with connect(storage) as host:
            host.prepare_threshold = 1
            for turn in range(4):
                with host.transaction():
                    host.execute("SET LOCAL lock_timeout = '30ms'")
                    host.execute("SAVEPOINT before")
                    with hosted(storage) as other:
                        inventory.within(other).receive("MUG", 1, at="berlin")
                        with pytest.raises(Retryable):
                            inventory.within(host).receive("MUG", 1, at="berlin")
                    host.execute("ROLLBACK TO before")
                    inventory.within(host).receive("MUG", 1, at="berlin", key=f"k-{turn}")
                    order(host, storage, f"o-{turn}")
        assert inventory.figures("MUG").on_hand == 13
        assert len(orders(storage)) == 4


FORKING = """
import os, sys
from truecount import Inventory
from truecount.storage.postgres import PostgresStorage

inventory = Inventory(PostgresStorage(sys.argv[1], schema=sys.argv[2]))
print(inventory.available("MUG"), flush=True)
child = os.fork()
if child == 0:
    inventory.receive("MUG", 1, at="berlin")
    print(inventory.available("MUG"), flush=True)
    sys.exit(0)
assert os.waitpid(child, 0)[1] == 0
inventory.receive("MUG", 1, at="berlin")
print(inventory.available("MUG"), flush=True)
inventory.close()
"""


@pytest.mark.skipif(not hasattr(sys, "setdlopenflags"), reason="only there are processes forked")
def test_forked_child_has_connections_of_its_own(
    storage: PostgresStorage, inventory: Inventory
) -> None:
    """Parent and child both go on, whichever of them ends first."""
    words = [sys.executable, "-c", FORKING, storage._connections.dsn, storage.schema]
    answer = subprocess.run(words, check=True, capture_output=True, text=True, timeout=60)
    assert answer.stdout.split() == ["9", "10", "11"], answer.stderr

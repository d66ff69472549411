"""Real deadlocks, backends that are really ended, and servers that are not there."""

from __future__ import annotations

from contextlib import closing
from datetime import timedelta
from functools import partial

import psycopg
import pytest

from tests.postgres.failing import Failing
from tests.postgres.proxy import Fate, proxied
from tests.postgres.server import Factory
from tests.postgres.waiting import DEADLINE, connect, crew, hosted
from truecount import Inventory
from truecount.errors import OutcomeUnknown, Retryable, StorageUnavailable
from truecount.protocols.storage import Wants
from truecount.storage.postgres import PostgresStorage
from truecount.testing.samples import MUG, Sheet, outcome


SKUS = ("MUG", "POT", "TEA")
NOWHERE = "host=127.0.0.1 port=1 dbname=shop"


@pytest.fixture
def storage(make_postgres: Factory) -> PostgresStorage:
    """Return an empty storage."""
    return make_postgres()


@pytest.fixture
def failing(storage: PostgresStorage) -> Failing:
    """Return a storage that fails where a test wants it to."""
    return Failing(storage)


@pytest.fixture
def inventory(failing: Failing) -> Inventory:
    """Return an inventory of nine of everything."""
    inventory = Inventory(failing)
    inventory.locations.add("berlin")
    for sku in SKUS:
        inventory.receive(sku, 9, at="berlin")
    failing.calls.clear()
    return inventory


def end(storage: PostgresStorage, *, idle: bool = False) -> int:
    """End the connections of *storage* that are in a transaction, or are not; return how many."""
    with connect(storage) as connection:
        ended = connection.execute(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
            " WHERE application_name = %s AND pid <> pg_backend_pid()"
            " AND (xact_start IS NULL) = %s",
            (storage.schema, idle),
        ).fetchall()
    return len(ended)


class TestDeadlock:
    def test_own_transaction_is_tried_again(
        self, storage: PostgresStorage, failing: Failing, inventory: Inventory
    ) -> None:
        """An order that closes a circle of waits gives way, and is granted when it is open again."""
        other = Inventory(storage)
        with crew(storage) as threads, hosted(storage) as blocker, hosted(storage) as host:
            host.execute("SET deadlock_timeout = '60s'")  # So the order finds the deadlock.
            other.within(blocker).reserve({"POT": 1}, reference="blocker")
            other.within(host).reserve({"TEA": 1}, reference="host-1")
            order = threads.start_blocked(
                partial(inventory.reserve, dict.fromkeys(SKUS, 1), reference="order")
            )
            mine = threads.start_blocked(
                partial(other.within(host).reserve, {"MUG": 1}, reference="host-2")
            )
            blocker.commit()
            assert mine.result(DEADLINE).status == "held"
            host.commit()
            assert order.result(DEADLINE).status == "held"
        assert failing.calls["begin"] >= 2  # Serializable, it may meet the host's commit as well.
        assert [inventory.available(sku) for sku in SKUS] == [7, 7, 7]

    def test_lock_that_is_not_to_be_had_is_not_waited_for_again(
        self, storage: PostgresStorage, inventory: Inventory
    ) -> None:
        """A call that waited as long as it may says so; nothing was written."""
        quick = PostgresStorage(
            storage._connections.dsn, schema=storage.schema, timeout=timedelta(milliseconds=50)
        )
        with hosted(storage) as host:
            Inventory(storage).within(host).receive("MUG", 1, at="berlin")
            with pytest.raises(Retryable, match="lock timeout"):
                Inventory(quick).receive("MUG", 1, at="berlin")
        quick.close()
        assert inventory.figures("MUG").on_hand == 9


class TestLostConnection:
    def test_idle_connection_that_died_is_replaced_unnoticed(
        self, storage: PostgresStorage, inventory: Inventory
    ) -> None:
        """The first statement tells, before anything was read; another connection takes over."""
        assert end(storage, idle=True) > 0
        assert inventory.available("MUG") == 9
        assert end(storage, idle=True) > 0
        assert inventory.receive("MUG", 1, at="berlin").granted
        assert end(storage, idle=True) > 0
        assert len(inventory.feed()) == 4

    def test_idle_connection_that_died_is_replaced_before_a_guess_is_sent(
        self, storage: PostgresStorage, failing: Failing, inventory: Inventory
    ) -> None:
        """A statement that commits alone could not be sent twice."""
        inventory.reserve({"MUG": 1}, reference="order-1")
        failing.calls.clear()
        assert end(storage, idle=True) > 0
        inventory.reserve({"MUG": 1}, reference="order-2")
        assert failing.calls["begin"] == 1

    def test_dead_connection_is_put_back_once(
        self, storage: PostgresStorage, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """By whoever replaces it, or the pool would make a new one for each time."""
        connections = storage._connections
        dead = connections.take()
        pool = connections._opened()
        put: list[object] = []
        monkeypatch.setattr(pool, "putconn", put.append)
        dead.close()
        connections.give_back(dead)
        connections.give_back(dead)
        assert put == [dead]
        monkeypatch.undo()
        pool.putconn(dead)

    @pytest.mark.parametrize("call", ["write", "commit"])
    def test_connection_ended_in_a_write_is_tried_again(
        self, make_postgres: Factory, call: str
    ) -> None:
        """Whether it ended before the write or before the commit, there is one effect."""
        storage = make_postgres(remembers=0)
        failing = Failing(storage)
        inventory = Inventory(failing)
        inventory.locations.add("berlin")
        failing.calls.clear()
        failing.before(call, lambda: end(storage))
        receipt = inventory.receive("MUG", 3, at="berlin", key="asn-1")
        assert (receipt.granted, receipt.replayed) == (True, False)
        assert failing.calls["begin"] == 2
        assert inventory.figures("MUG").on_hand == 3

    def test_reply_lost_after_the_commit_is_found_by_its_key(
        self, failing: Failing, inventory: Inventory
    ) -> None:
        """What was committed all the same is replayed, not done twice."""
        failing.before("reply", lose_reply)
        receipt = inventory.receive("MUG", 3, at="berlin", key="asn-1")
        assert (receipt.granted, receipt.replayed) == (True, True)
        assert inventory.figures("MUG").on_hand == 12

    def test_reply_lost_for_good_leaves_the_outcome_unknown(
        self, storage: PostgresStorage, failing: Failing, inventory: Inventory
    ) -> None:
        """A later attempt that cannot tell does not say that nothing was written."""
        failing.before("reply", lose_reply)
        failing.before("begin", lambda: None, lock_timeout)
        with pytest.raises(OutcomeUnknown) as caught:
            inventory.receive("MUG", 3, at="berlin", key="asn-1")
        assert caught.value.key == "asn-1"
        assert Inventory(storage).receive("MUG", 3, at="berlin", key="asn-1").replayed
        assert inventory.figures("MUG").on_hand == 12

    def test_connection_ended_before_the_commit_leaves_the_outcome_unknown(
        self, storage: PostgresStorage
    ) -> None:
        """The error of the storage names the key under which to ask again."""

        def commit_after_the_end() -> None:
            with storage.begin("main") as unit:
                sheet = Sheet(unit.lock(Wants(keys={MUG})))
                sheet.move("m1", MUG, sellable=5)
                sheet.outcomes.append(outcome("asn-1"))
                unit.write(sheet.changes())
                assert end(storage) == 1

        with pytest.raises(OutcomeUnknown) as caught:
            commit_after_the_end()
        assert caught.value.key == "asn-1"
        with storage.read("main") as reader:
            assert list(reader.stock()) == []

    def test_connection_ended_before_the_end_of_a_replay_leaves_nothing_unknown(
        self, storage: PostgresStorage
    ) -> None:
        """A transaction that wrote nothing has nothing whose fate could be unknown."""

        def look_and_lose() -> None:
            with storage.begin("main") as unit:
                unit.lock(Wants(keys={MUG}))
                unit.write(Sheet(unit.lock(Wants(keys={MUG}))).changes())
                assert end(storage) == 1

        with pytest.raises(StorageUnavailable):
            look_and_lose()

    def test_unknown_outcome_is_named_by_its_key_though_the_replay_was_lost_too(
        self, storage: PostgresStorage, failing: Failing, inventory: Inventory
    ) -> None:
        """An attempt that found the outcome and lost its connection does not forget the key."""
        failing.before("reply", lose_reply)
        failing.before("commit", lambda: None, lambda: end(storage))
        failing.before("begin", lambda: None, lambda: None, lock_timeout)
        with pytest.raises(OutcomeUnknown) as caught:
            inventory.receive("MUG", 3, at="berlin", key="asn-1")
        assert caught.value.key == "asn-1"
        assert Inventory(storage).receive("MUG", 3, at="berlin", key="asn-1").replayed

    def test_connection_ended_in_a_hosts_transaction_is_the_hosts_to_repeat(
        self, storage: PostgresStorage, inventory: Inventory
    ) -> None:
        """Joined, nothing is tried again."""
        with connect(storage) as host:
            host.execute("BEGIN")
            end(storage)
            with pytest.raises(StorageUnavailable):
                inventory.within(host).receive("MUG", 1, at="berlin")
        assert inventory.figures("MUG").on_hand == 9


def lose_reply() -> None:
    """Lose the reply to a commit."""
    raise OutcomeUnknown("asn-1", "the reply was lost") from psycopg.OperationalError("lost")


def lock_timeout() -> None:
    """Fail in a way that does not pass."""
    raise Retryable("a lock was not to be had") from psycopg.errors.LockNotAvailable("lock timeout")


class TestServerThatIsNotThere:
    def test_storage_is_unavailable_after_its_time(self) -> None:
        """The error names the server, without its password, and nothing was written."""
        storage = PostgresStorage(f"{NOWHERE} password=secret", timeout=timedelta(milliseconds=100))
        with pytest.raises(StorageUnavailable, match="host=127.0.0.1") as caught:
            Inventory(storage).available("MUG")
        storage.close()
        assert "secret" not in str(caught.value)

    def test_server_that_is_lost_before_it_heard_our_settings_is_unavailable(
        self, storage: PostgresStorage
    ) -> None:
        """A connection that was made and ended at once is none."""
        with proxied(storage._connections.dsn) as proxy:
            dsn = proxy.dsn(storage._connections.dsn)
            proxy.once(Fate.CUT)
            with closing(PostgresStorage(dsn, schema=storage.schema)) as cut:
                with pytest.raises(StorageUnavailable):
                    cut.migrate()
                assert cut.migrate() is False

"""What the doctor says of a real server: its settings, its clock, and what is left to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from psycopg.conninfo import make_conninfo

from tests.cli.running import called
from tests.postgres.pooler import pooling
from tests.postgres.proxy import proxied
from tests.postgres.server import Factory, uri_of
from tests.postgres.waiting import connect
from truecount import Inventory
from truecount.errors import InvalidArgument
from truecount.model.diagnosis import HealthCheck, Verdict
from truecount.storage.postgres import PostgresStorage
from truecount.storage.postgres.beginning import ISOLATIONS, Isolation
from truecount.storage.postgres.doctor import diagnosis
from truecount.storage.postgres.session import Session
from truecount.testing import ManualClock


DURABLE = "-c synchronous_commit=on"


@pytest.fixture
def storage(make_postgres: Factory) -> Iterator[PostgresStorage]:
    """Return a storage whose connections are durable, whatever the server of the tests is."""
    made = make_postgres()
    with closing(told_by(made, DURABLE)) as storage:
        yield storage


def told_by(storage: PostgresStorage, options: str) -> PostgresStorage:
    """Return a storage of the same tables, whose connections have other settings."""
    dsn = make_conninfo(storage._connections.dsn, options=options)
    return PostgresStorage(dsn, schema=storage.schema)


def checks(storage: PostgresStorage, now: datetime | None = None) -> dict[str, HealthCheck]:
    """Return the checks by name."""
    return {check.name: check for check in storage.doctor(now=now).checks}


@pytest.mark.parametrize(
    ("options", "name", "verdict"),
    [
        (DURABLE, "synchronous_commit", Verdict.SAFE),
        ("-c synchronous_commit=off", "synchronous_commit", Verdict.UNSAFE),
        (DURABLE, "server role", Verdict.SAFE),
        ("-c default_transaction_read_only=on", "server role", Verdict.UNSAFE),
        (DURABLE, "default_transaction_isolation", Verdict.SAFE),
        (
            "-c default_transaction_isolation=serializable",
            "default_transaction_isolation",
            Verdict.NOTE,
        ),
        (DURABLE, "server version", Verdict.SAFE),
        (DURABLE, "schema version", Verdict.SAFE),
    ],
)
def test_setting_is_judged(
    storage: PostgresStorage, options: str, name: str, verdict: Verdict
) -> None:
    """What costs acknowledged writes, or refuses them, is unsafe; and the check says why."""
    with closing(told_by(storage, options)) as other:
        check = checks(other)[name]
    assert check.verdict is verdict
    assert bool(check.why) == (verdict is not Verdict.SAFE)


def test_tables_that_are_missing_are_unsafe(postgres_dsn: str) -> None:
    """The doctor looks at a database without our tables, too."""
    with closing(PostgresStorage(postgres_dsn, schema="nobody_made_this")) as storage:
        found = checks(storage)
    assert found["schema version"].seen == "missing"
    assert "migrate" in found["schema version"].why
    assert "oldest open hold" not in found


def test_clock_that_is_off_is_unsafe(storage: PostgresStorage) -> None:
    """Holds would expire too early or too late by as much."""
    name = "clock difference to the server"
    assert checks(storage)[name].verdict is Verdict.SAFE
    for minutes in (-2, 2):
        check = checks(storage, datetime.now(UTC) + timedelta(minutes=minutes))[name]
        assert check.verdict is Verdict.UNSAFE
        assert abs(float(check.seen.removesuffix(" s")) - minutes * 60) < 5


def test_what_is_left_to_do_is_noted(storage: PostgresStorage) -> None:
    """Expired holds and movements nobody numbered are no danger, and are told."""
    clock = ManualClock(datetime.now(UTC) - timedelta(hours=2))
    inventory = Inventory(storage, clock=clock)
    inventory.locations.add("berlin")
    assert checks(storage)["oldest open hold"].seen == "none"
    inventory.receive("MUG", 5, at="berlin")
    inventory.reserve({"MUG": 1}, reference="cart-1", ttl=timedelta(hours=1))
    found = checks(storage)
    hold, unnumbered = found["oldest open hold"], found["movements without a position"]
    assert hold.verdict is Verdict.NOTE
    assert hold.seen.startswith("expired for 1:00:")
    assert unnumbered.verdict is Verdict.NOTE
    assert unnumbered.seen.startswith("2, the oldest 72")
    inventory.feed()
    clock.tick(timedelta(hours=2))
    inventory.sweep()
    assert checks(storage)["oldest open hold"].seen == "none"


def test_nothing_is_written(storage: PostgresStorage) -> None:
    """A doctor may look at a server that only reads."""
    with connect(storage) as connection:
        connection.execute("SET default_transaction_read_only = on")
        session = Session(connection, storage._connections.texts, "shop")
        begins = storage._connections.begins
        seen = diagnosis(session, session, begins, now=None, tenant="main", positions={"search": 0})
        assert seen.checks


class TestWay:
    """What is between us and the server."""

    def test_direct_connection_is_kept(self, storage: PostgresStorage) -> None:
        """It is told once how long to wait, and every transaction knows."""
        found = checks(storage)
        assert found["server connection"].verdict is Verdict.SAFE
        assert str(found["lock_timeout of our transactions"]) == (
            "lock_timeout of our transactions is 30 s"
        )

    @pytest.mark.parametrize("servers", [1, 2, 3])
    def test_proxy_that_pools_transactions_is_unsafe_unless_told(
        self, storage: PostgresStorage, servers: int
    ) -> None:
        """What a connection was told is lost on the way; told to, each transaction says it."""
        dsn, schema = storage._connections.dsn, storage.schema
        with pooling(dsn, servers) as address:
            with closing(PostgresStorage(address, schema=schema, proxied=True)) as aware:
                inventory = Inventory(aware)
                inventory.locations.add("berlin")
                for _ in range(8):
                    inventory.receive("MUG", 1, at="berlin")
                inventory.feed()
                found = checks(aware)
                assert found["server connection"].verdict is Verdict.SAFE
                assert found["lock_timeout of our transactions"].seen == "30 s"
                assert inventory.figures("MUG").on_hand == 8
            with closing(PostgresStorage(address, schema=schema)) as unaware:
                check = checks(unaware)["server connection"]
                assert check.verdict is Verdict.UNSAFE
                assert "proxied=True" in check.why

    def test_proxy_that_keeps_connections_needs_no_telling(self, storage: PostgresStorage) -> None:
        """One that only passes on is no danger; saying that it does more costs a little."""
        with proxied(storage._connections.dsn) as proxy:
            dsn = proxy.dsn(storage._connections.dsn)
            with closing(PostgresStorage(dsn, schema=storage.schema)) as plain:
                assert checks(plain)["server connection"].verdict is Verdict.SAFE
            with closing(PostgresStorage(dsn, schema=storage.schema, proxied=True)) as told:
                assert checks(told)["server connection"].verdict is Verdict.NOTE


@pytest.mark.parametrize("level", ISOLATIONS)
def test_isolation_of_our_own_writes_is_told(make_postgres: Factory, level: Isolation) -> None:
    """Whatever it is, it is safe."""
    check = checks(make_postgres(level))["isolation of our own writes"]
    assert (check.seen, check.verdict) == (level, Verdict.SAFE)


class TestFollowers:
    """The age of an outbox is that of the oldest movement a follower has not dealt with."""

    def test_age_is_that_of_the_first_movement_after_the_position(
        self, storage: PostgresStorage
    ) -> None:
        """Movements without a position count, too; nobody can have dealt with them."""
        clock = ManualClock(datetime.now(UTC) - timedelta(hours=3))
        inventory = Inventory(storage, clock=clock)
        inventory.locations.add("berlin")
        for _ in range(2):
            inventory.receive("MUG", 1, at="berlin")
            clock.tick(timedelta(hours=1))
        inventory.feed()
        inventory.receive("MUG", 1, at="berlin")
        told = {
            position: storage.doctor(followers={"search": position}).checks[-1]
            for position in (0, 1, 2, 3)
        }
        assert {check.name for check in told.values()} == {"follower 'search'"}
        assert told[0].seen.startswith("3 movements behind, the oldest 3:00:")
        assert told[1].seen.startswith("2 movements behind, the oldest 2:00:")
        assert told[2].seen.startswith("1 movement behind, the oldest 1:00:")
        assert [told[n].verdict for n in (0, 1, 2)] == [Verdict.NOTE] * 3
        assert told[3].verdict is Verdict.UNSAFE
        assert "the feed ends at 2" in told[3].why
        inventory.feed()
        assert storage.doctor(followers={"search": 3}).checks[-1].seen == "up to date"
        assert (
            storage.doctor(tenant="other", followers={"search": 0}).checks[-1].seen == "up to date"
        )

    @pytest.mark.parametrize("position", [-1, "7", 1.5, None, True])
    def test_position_that_is_none_is_refused(
        self, storage: PostgresStorage, position: Any
    ) -> None:
        """The message names the follower."""
        with pytest.raises(InvalidArgument, match="search"):
            storage.doctor(followers={"search": position})


class TestCommand:
    def test_followers_are_told_on_the_command_line(self, storage: PostgresStorage) -> None:
        """A position beyond the feed is unsafe; what is no position is a wrong call."""
        words = ("doctor", "--db", uri_of(storage._connections.dsn, schema=storage.schema))
        assert (
            "ok      follower 'search' is up to date"
            in called(*words, "--follower", "search=0").out
        )
        answer = called(*words, "--follower", "search=0", "--follower", "mail=9")
        assert answer.code == 1
        assert "follower 'mail' is at position 9: the feed ends at 0" in answer.out
        assert called(*words, "--follower", "search").code == 2

    def test_proxy_is_told_on_the_command_line(self, storage: PostgresStorage) -> None:
        """Whoever looks through the same proxy as the program says so, too."""
        with pooling(storage._connections.dsn, 2) as address:
            unsafe = "UNSAFE  server connection is given out by a proxy"
            db = uri_of(address, schema=storage.schema)
            assert unsafe in called("doctor", "--db", db).out
            assert unsafe not in called("doctor", "--db", f"{db}&proxied=yes").out
            assert called("doctor", "--db", f"{db}&proxied=perhaps").code == 2

    def test_unsafe_server_exits_with_one(self, storage: PostgresStorage) -> None:
        """The reason stands beside the check; JSON has the same."""
        with closing(told_by(storage, "-c synchronous_commit=off")) as relaxed:
            words = ("doctor", "--db", uri_of(relaxed._connections.dsn, schema=storage.schema))
            answer, data = called(*words), called(*words, "--json")
        assert (answer.code, data.code) == (1, 1)
        assert "UNSAFE  synchronous_commit is off: a crash of the server loses" in answer.out
        assert not data.data["safe"]
        seen = {check["name"]: check["verdict"] for check in data.data["checks"]}
        assert seen["synchronous_commit"] == "unsafe"

    def test_server_that_is_not_there_exits_with_three(self) -> None:
        """Nobody can say whether it is safe."""
        answer = called("doctor", "--db", "postgresql://127.0.0.1:1/shop")
        assert answer.code == 3
        assert "dbname=shop host=127.0.0.1" in answer.err

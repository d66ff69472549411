"""What the doctor says of a real server: its settings, its clock, and what is left to do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from psycopg.conninfo import make_conninfo

from tests.cli.running import called
from tests.postgres.server import Factory, uri_of
from tests.postgres.waiting import connect
from truecount import Inventory
from truecount.model.diagnosis import HealthCheck, Verdict
from truecount.storage.postgres import PostgresStorage
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
    assert (hold.verdict, hold.seen) == (Verdict.NOTE, "expired for 1:00:00")
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
        session = Session(connection, storage._connections.texts, "shop", begin="")
        assert diagnosis(session, None).checks


class TestCommand:
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

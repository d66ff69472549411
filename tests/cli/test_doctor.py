"""The doctor of an SQLite file, in Python and on the command line."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.cli.running import Line, called
from truecount import Inventory, SQLiteStorage
from truecount.model.diagnosis import HealthCheck, Verdict
from truecount.testing import ManualClock


@pytest.fixture
def line(tmp_path: Path) -> Line:
    """Return the command line over a ledger with a location."""
    line = Line(tmp_path)
    assert line("locations", "add", "berlin").code == 0
    return line


def checks(storage: SQLiteStorage, now: datetime | None = None) -> dict[str, HealthCheck]:
    """Return the checks by name."""
    return {check.name: check for check in storage.doctor(now=now).checks}


@pytest.mark.parametrize(
    ("synchronous", "verdict"),
    [
        ("FULL", Verdict.SAFE),
        ("EXTRA", Verdict.SAFE),
        ("NORMAL", Verdict.UNSAFE),
        ("OFF", Verdict.UNSAFE),
    ],
)
def test_what_a_power_cut_may_cost_is_told(
    tmp_path: Path, synchronous: str, verdict: Verdict
) -> None:
    """Only what is on the disk before it is acknowledged is safe."""
    with closing(SQLiteStorage(tmp_path / "shop.db", synchronous=synchronous)) as storage:
        found = storage.doctor()
    assert found.is_safe == (verdict is Verdict.SAFE)
    assert {check.name for check in found.unsafe} <= {"synchronous of this program"}


def test_writes_from_the_future_and_expired_holds_are_told(tmp_path: Path) -> None:
    """Another program's clock was ahead of ours; an expired hold is only noted."""
    now = datetime.now(UTC)
    clock = ManualClock(now + timedelta(hours=1))
    with Inventory(SQLiteStorage(tmp_path / "shop.db"), clock=clock) as inventory:
        inventory.locations.add("berlin")
        inventory.receive("MUG", 5, at="berlin")
        inventory.reserve({"MUG": 1}, reference="cart-1", ttl=timedelta(hours=1))
        storage = inventory.storage
        assert isinstance(storage, SQLiteStorage)
        early, late = checks(storage, now), checks(storage, now + timedelta(hours=5, seconds=1))
    name = "latest write ahead of this clock"
    assert (early[name].verdict, early[name].seen) == (Verdict.UNSAFE, "3600.000 s")
    assert late[name].verdict is Verdict.SAFE
    assert early["oldest open hold"].seen == "good for 2:00:00"
    assert late["oldest open hold"].verdict is Verdict.NOTE
    assert late["oldest open hold"].seen == "expired for 3:00:00"


def test_confirmed_orders_are_no_open_holds(tmp_path: Path) -> None:
    """What was promised to an order expires never."""
    with Inventory(SQLiteStorage(tmp_path / "shop.db")) as inventory:
        inventory.locations.add("berlin")
        inventory.receive("MUG", 5, at="berlin")
        inventory.reserve({"MUG": 1}, reference="cart-1")
        inventory.confirm("cart-1")
        storage = inventory.storage
        assert isinstance(storage, SQLiteStorage)
        assert checks(storage)["oldest open hold"].seen == "none"


def test_followers_are_told(line: Line) -> None:
    """How old the oldest movement is that a follower has not dealt with; each ledger its own."""
    answer = line("doctor", "--follower", "search=0", "--follower", "mail=9")
    assert answer.code == 1
    assert "follower 'mail' is at position 9: the feed ends at" in answer.out
    assert (
        "ok      follower 'search' is up to date"
        in line("doctor", "--tenant", "other", "--follower", "search=0").out
    )
    assert line("doctor", "--follower", "search=x").code == 2


def test_safe_file_exits_with_zero(line: Line) -> None:
    """Each check is a line; JSON has all of them."""
    answer, data = line("doctor"), line("doctor", "--json")
    assert (answer.code, data.code) == (0, 0)
    assert answer.out.splitlines()[0] == str(line.db.resolve())
    assert "ok      schema version is 1" in answer.out
    assert answer.out.splitlines()[-1] == "the database is safe"
    assert data.data["safe"]
    assert {check["verdict"] for check in data.data["checks"]} == {"safe"}


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        ((), 2, "--db FILE"),
        (("--db", "nothing.db"), 3, "there is no such file"),
        (("--db", "postgresql:///shop?wish=5"), 2, "connection string"),
        (("--db", "postgresql:///shop?schema=public"), 2, "a schema of its own"),
    ],
)
def test_what_cannot_be_looked_at(words: tuple[str, ...], code: int, told: str) -> None:
    """The message says what to name instead."""
    answer = called("doctor", *words)
    assert answer.code == code
    assert told in answer.err


def test_missing_driver_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has not installed psycopg learns which extra brings it."""
    import sys

    for name in [name for name in sys.modules if name.startswith("truecount.storage.postgres")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    answer = called("doctor", "--db", "postgresql:///shop")
    assert answer.code == 2
    assert "pip install 'truecount[postgres]'" in answer.err

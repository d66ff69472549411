"""What a real SQLite file is worth after the worst: kill -9, a power cut, a full disk, an edit."""

from __future__ import annotations

import os
import re
import resource
import shutil
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.crashes.killing import Reference, work
from truecount import Inventory, SQLiteStorage
from truecount.errors import StorageError, StorageUnavailable
from truecount.testing import ManualClock, assert_invariants
from truecount.testing.claims import expect
from truecount.testing.survival import _state, effects


ROOT = Path(__file__).parent.parent.parent


# --- kill -9 -----------------------------------------------------------------------------


@pytest.mark.parametrize("kills", [20, pytest.param(200, marks=pytest.mark.slow)])
def test_nothing_is_lost_doubled_or_half_done_by_kill_9(kills: int, tmp_path: Path) -> None:
    """Children killed at statements spread over a day leave whole commits, all that was told."""
    environment = {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE")}
    done = subprocess.run(
        [sys.executable, "-m", "tests.crashes.killing", str(tmp_path), str(kills)],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(f"{kills} kills at ")


# --- power cuts --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    """Return the day without a crash."""
    return Reference(tmp_path_factory.mktemp("day"))


@pytest.fixture(scope="module")
def files(reference: Reference) -> tuple[Path, bytes]:
    """Return the file of a shop before its day, and the log of the whole day."""
    path = reference.copy("logged")
    storage = SQLiteStorage(path)
    with storage.begin("main"):
        writer = storage._connections._writer
        assert writer is not None
    writer.rows("PRAGMA wal_autocheckpoint = 0")
    work(storage, "first~")
    log = Path(f"{path}-wal").read_bytes()
    storage.close()
    return reference.template, log


def cut(files: tuple[Path, bytes], log: bytes, path: Path) -> SQLiteStorage:
    """Open the shop with another log, as it is found after a power cut."""
    shutil.copy(files[0], path)
    Path(f"{path}-wal").write_bytes(log)
    return SQLiteStorage(path, synchronous="OFF")


class TestPowerCut:
    @pytest.mark.parametrize("cuts", [25, pytest.param(400, marks=pytest.mark.slow)])
    def test_a_truncated_log_leaves_whole_commits(
        self, cuts: int, files: tuple[Path, bytes], reference: Reference, tmp_path: Path
    ) -> None:
        """Wherever the log ends, what is read is what some number of commits had written."""
        log = files[1]
        reached = []
        for number in range(cuts + 1):
            size = len(log) * number // cuts
            storage = cut(files, log[:size], tmp_path / f"{number}.db")
            left = _state(storage)
            assert left in reference.states, f"the log cut to {size} of {len(log)} bytes"
            reached.append(reference.states.index(left))
            if number % 10 == 0:
                work(storage, "again~")
                expect(effects(storage), reference.effects, "the end of the day, done again")
                assert_invariants(Inventory(storage, clock=ManualClock()))
            storage.close()
        assert reached == sorted(reached)
        assert reached[0] == 0
        assert reference.states[reached[-1]] == reference.states[-1]

    def test_a_torn_page_ends_the_log_there(
        self, files: tuple[Path, bytes], reference: Reference, tmp_path: Path
    ) -> None:
        """A byte of the log that was not written right takes its commit and those after it."""
        log = bytearray(files[1])
        log[len(log) // 2] ^= 0xFF
        storage = cut(files, bytes(log), tmp_path / "torn.db")
        left = _state(storage)
        assert left in reference.states[1:-1]
        storage.close()


# --- a full disk -------------------------------------------------------------------------


class TestFullDisk:
    def test_every_write_that_does_not_fit_is_refused_whole(
        self, reference: Reference, tmp_path: Path
    ) -> None:
        """With one page more each time, the day gets further, and never leaves a half."""
        path = Path(shutil.copy(reference.template, tmp_path / "full.db"))
        storage = SQLiteStorage(path, synchronous="OFF")
        with storage.begin("main"):
            writer = storage._connections._writer
            assert writer is not None
        failures = 0
        for pages in range(1, 200):
            writer.rows(f"PRAGMA max_page_count = {pages}")
            try:
                work(storage, f"{pages}~")
            except StorageUnavailable as error:
                assert "full" in str(error)  # noqa: PT017 -- the loop goes on
                failures += 1
            else:
                break
            assert_invariants(Inventory(storage, clock=ManualClock()))
        assert failures > 3
        expect(effects(storage), reference.effects, "the end of a day on a disk that grew")
        storage.close()

    @pytest.mark.parametrize("room", [0, 4096, 20_000, 100_000])
    def test_a_file_that_may_not_grow_loses_nothing(
        self, room: int, reference: Reference, tmp_path: Path
    ) -> None:
        """A child whose files may not grow is told so; what it had written whole is there."""
        path = Path(shutil.copy(reference.template, tmp_path / "limited.db"))
        environment = {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE")}
        done = subprocess.run(
            [sys.executable, "-m", "tests.crashes.test_crashes", str(path), str(room)],
            cwd=ROOT,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.split()[0] in {"StorageUnavailable", "OutcomeUnknown"}, done.stdout
        storage = SQLiteStorage(path)
        assert _state(storage) in reference.states
        work(storage, "again~")
        expect(effects(storage), reference.effects, "the end of the day, with room again")
        assert_invariants(Inventory(storage, clock=ManualClock()))
        storage.close()


def limited(path: Path, room: int) -> None:
    """Work until the files may not grow any more, and say how that was told."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    storage = SQLiteStorage(path)
    limit = path.stat().st_size + room
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        work(storage, "first~")
    except StorageError as error:
        print(type(error).__name__, error)  # noqa: T201 -- for whoever started us
    os._exit(0)


# --- edits -------------------------------------------------------------------------------

#: By table: which row is hurt, a column and what is added to it, and what must be named.
HURT: dict[str, tuple[str, str, str]] = {
    "movement": ("position = 4", "recorded_at = recorded_at + 1", "first~-000004"),
    "entry": ("sku = 'TEA' AND version = 2", "after_sellable = after_sellable + 1", "'TEA' at"),
    "stock": ("sku = 'POT'", "damaged = damaged + 1", "'POT' at 'hamburg'"),
    "line": ("reference = 'A-1' AND number = 1", "round = round + 1", "'A-1'"),
    "record": ("space = 'order' AND id = 'A-1'", "body = '{}'", "'A-1'"),
    "outcome": (
        "key = 'a1/hold'",
        "body = replace(body, '-0000', '-9999')",
        "a1/hold|first~-000006",
    ),
}


class TestEdits:
    @pytest.mark.parametrize("act", ["missing", "corrupted"])
    @pytest.mark.parametrize("table", HURT)
    def test_a_row_that_is_missing_or_wrong_is_named(
        self, table: str, act: str, reference: Reference, tmp_path: Path
    ) -> None:
        """`verify` says which row it is, whatever the table."""
        path = tmp_path / "edited.db"
        shutil.copy(reference.template, path)
        clock = ManualClock()
        storage = SQLiteStorage(path, synchronous="OFF")
        work(storage, "first~")
        row, change, name = HURT[table]
        statement = {
            "missing": f"DELETE FROM truecount_{table} WHERE {row}",  # noqa: S608 -- our own names
            "corrupted": f"UPDATE truecount_{table} SET {change} WHERE {row}",  # noqa: S608 -- our own names
        }[act]
        hurt(path, statement)
        report = Inventory(storage, clock=clock).verify(limit=100)
        storage.close()
        assert not report.ok
        assert any(re.search(name, str(each)) for each in report.problems), report.problems


def hurt(path: Path, statement: str) -> None:
    """Edit one row behind everybody's back, triggers and all."""
    with closing(sqlite3.connect(path)) as connection, connection:
        triggers = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'")
        for (trigger,) in triggers.fetchall():
            connection.execute(f"DROP TRIGGER {trigger}")
        connection.execute("PRAGMA ignore_check_constraints = 1")
        assert connection.execute(statement).rowcount == 1


if __name__ == "__main__":
    limited(Path(sys.argv[1]), int(sys.argv[2]))

"""Every benchmark runs, at sizes too small to mean anything, so that none can rot."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from benchmarks import (
    bench_bundles,
    bench_explain,
    bench_memory,
    bench_moving,
    bench_postgres,
    bench_postgres_disks,
    bench_postgres_waits,
    bench_reconcile,
    bench_size,
    bench_sqlite,
    bench_start,
    bench_time,
    by_hand_postgres,
)
from benchmarks.by_hand_moving import Copied
from benchmarks.by_hand_sqlite import ByHand, connect, stocked
from benchmarks.harness import Case, Sizes, document, run_case, table
from tests.trade.online_retail import Line, read_lines
from truecount import Inventory, SQLiteStorage


ROOT = Path(__file__).parent.parent

CASES = [
    *bench_explain.CASES,
    *bench_memory.CASES,
    *bench_reconcile.CASES,
    *bench_sqlite.CASES,
    *bench_start.CASES,
]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_benchmark_runs(case: Case, tmp_path: Path) -> None:
    """Both contenders finish and are compared."""
    operations = 1 if case in bench_start.CASES else 10
    result = run_case(case, Sizes(operations, 1, tmp_path))
    assert result.ratio > 0
    assert case.name in table([result])
    assert document([result], operations)["results"]


@pytest.fixture
def postgres_server(postgres_dsn: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Let the benchmarks use the server of the tests."""
    monkeypatch.setattr(by_hand_postgres, "server", lambda: postgres_dsn)
    return postgres_dsn


@pytest.fixture
def trade(data_path: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch) -> list[Line]:
    """Return a few lines of the year, of every kind, and let the benchmarks use them."""
    path = data_path("online_retail_2010_2011.csv.xz")
    lines = read_lines(path.parent, limit=640)
    monkeypatch.setattr(bench_moving, "year", lambda: lines)
    return lines


@pytest.mark.parametrize("case", bench_postgres.CASES, ids=lambda case: case.name)
@pytest.mark.usefixtures("postgres_server")
def test_benchmark_of_postgres_runs(case: Case, tmp_path: Path) -> None:
    """Both contenders finish and are compared."""
    assert run_case(case, Sizes(10, 1, tmp_path)).ratio > 0


@pytest.mark.slow
def test_benchmark_of_peers_runs(postgres_dsn: str) -> None:
    """It has settings of Django's, so it is a process of its own."""
    words = [
        sys.executable,
        "-m",
        "benchmarks.bench_peers",
        "--operations",
        "10",
        "--only",
        "Oscar",
        "--repeat",
        "1",
    ]
    answer = subprocess.run(
        words,
        cwd=ROOT,
        env=os.environ | {"TRUECOUNT_PG_DSN": postgres_dsn},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert answer.stdout.count("django-oscar's allocate") == 2, answer.stderr


@pytest.mark.usefixtures("postgres_server")
def test_waits_are_measured() -> None:
    """Both ways are timed, call by call."""
    assert bench_postgres_waits.table((2,), 4).count("ms") == 6


@pytest.mark.usefixtures("postgres_server")
def test_ratios_on_slower_disks_are_measured(tmp_path: Path) -> None:
    """Each case for each delay, which ends with the measuring."""
    with bench_postgres_disks.slower(1), by_hand_postgres.connect() as connection:
        assert connection.execute("SHOW commit_delay").fetchone() == ("1000",)
    assert bench_postgres_disks.table((0,), Sizes(8, 1, tmp_path)).count("/s : ") == 4
    with by_hand_postgres.connect() as connection:
        assert connection.execute("SHOW commit_delay").fetchone() == ("0",)


@pytest.mark.parametrize("case", bench_moving.CASES, ids=lambda case: case.name)
@pytest.mark.usefixtures("postgres_server", "trade")
def test_benchmark_of_moving_runs(case: Case, tmp_path: Path) -> None:
    """Both contenders finish and are compared."""
    assert run_case(case, Sizes(20, 1, tmp_path)).ratio > 0


@pytest.mark.usefixtures("postgres_server")
def test_rows_copied_by_hand_are_the_rows_truecount_writes(trade: list[Line]) -> None:
    """The raw limit of moving in is honest: verify accepts what was copied."""
    with bench_moving.schema() as storage, by_hand_postgres.connect() as connection:
        inventory = bench_moving.opened(storage, trade)
        Copied(connection, storage.schema).copy(trade)
        verification = inventory.verify()
        assert verification.ok, verification.problems
        assert verification.movements == len(trade) + len({line.code for line in trade})
        assert {line.kind for line in trade} == {"S", "C", "J"}


@pytest.mark.usefixtures("postgres_server")
def test_postgres_at_size_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every step runs, proves what it has, and says what it took."""
    monkeypatch.setattr(bench_size, "alone", bench_size.measured)
    steps = list(bench_size.measure(30, moving=True))
    assert [step.movements for step in steps] == [30] * 5
    assert min(step.mebibytes for step in steps) > 0


@pytest.mark.usefixtures("postgres_server")
def test_rows_written_by_hand_on_postgres_are_the_rows_truecount_writes() -> None:
    """The raw limit is honest: verify accepts what was written by hand."""
    with by_hand_postgres.stocked(3) as storage, by_hand_postgres.connect() as connection:
        hand = by_hand_postgres.ByHand(connection, storage.schema)
        assert hand.reserve("SKU-0", 2, "cart-1", "key-1")
        assert hand.reserve("SKU-1", 1, "cart-2", "key-2")
        assert hand.reserve("SKU-0", 1, "cart-3", "key-3")
        assert not hand.reserve("SKU-0", by_hand_postgres.PLENTY, "cart-4", "key-4")
        combiner = by_hand_postgres.Combiner(connection, storage.schema, "SKU-2")
        together = range(5)
        threads = [
            threading.Thread(
                target=combiner.reserve, args=(number + 1, f"b-{number}", f"k-{number}")
            )
            for number in together
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        combiner.close()
        inventory = Inventory(storage)
        verification = inventory.verify()
        assert verification.ok, verification.problems
        assert inventory.figures("SKU-0").held == 3
        assert inventory.figures("SKU-2").held == 15


def test_every_way_of_joining_finds_the_same() -> None:
    """The joins that are compared in speed agree on what differs."""
    bench_reconcile.check(1000)


def test_slope_of_as_of_reads_is_measured() -> None:
    """Both storages answer as-of reads over a small history."""
    rows = bench_time.slope([200])
    assert [(name, entries) for name, entries, _ in rows] == [("memory", 200), ("SQLite", 200)]
    assert all(taken > 0 for _, _, taken in rows)


def test_bundles_kept_up_are_measured() -> None:
    """Reads, refreshes and full recomputes all run, and agree."""
    found = bench_bundles.measure(bundles=30, components=10, moves=5, repeat=1)
    assert min(found.read, found.refresh, found.full) > 0
    assert found.hub >= found.within > 0
    assert "30, 10" in bench_bundles.table(found)


def test_rows_written_by_hand_are_the_rows_truecount_writes(tmp_path: Path) -> None:
    """The raw limit is honest: verify accepts what was written by hand."""
    path = tmp_path / "hand.db"
    stocked(path, 3).close()
    connection = connect(path)
    hand = ByHand(connection)
    assert hand.reserve("SKU-0", 2, "cart-1", "key-1")
    assert hand.reserve("SKU-1", 1, "cart-2", "key-2")
    assert hand.reserve("SKU-0", 1, "cart-3", "key-3")
    hand.sell_many([("SKU-2", 4, "key-4"), ("SKU-2", 1, "key-5")])
    connection.close()
    with Inventory(SQLiteStorage(path)) as inventory:
        verification = inventory.verify()
        assert verification.ok, verification.problems
        assert inventory.figures("SKU-0").held == 3
        assert inventory.history("SKU-2")[-1].movement.kind == "sold"
        assert inventory.reservation("cart-2").status in ("held", "expired")

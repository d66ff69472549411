"""
PostgreSQL: what becomes of the ratios where a commit takes longer.

A commit waits for the disk, and for a standby where there is one; here for ``commit_delay`` as
well, which the server waits before it flushes, for both contenders. What a commit really takes
is measured beside it.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from benchmarks.bench_postgres import CASES
from benchmarks.by_hand_postgres import connect
from benchmarks.harness import Sizes, run_case


#: What the server waits before each flush, in milliseconds.
DELAYS: Final = (0, 1, 2, 5)
#: Cases whose goals are about commits that wait.
SHOWN: Final = (
    "PostgreSQL, one durable reservation per commit",
    "PostgreSQL, 8 threads over 1,000 SKUs",
    "PostgreSQL, one hot SKU, 32 threads with group commit",
    "PostgreSQL, order and reservation in a host's transaction",
)


@contextmanager
def slower(milliseconds: int) -> Iterator[None]:
    """Let every commit of connections made from now on wait that much longer."""
    with connect() as connection:
        database = f'"{connection.info.dbname}"'
        for setting in (f"commit_delay = {milliseconds * 1000}", "commit_siblings = 0"):
            connection.execute(f"ALTER DATABASE {database} SET {setting}".encode())
    try:
        yield
    finally:
        with connect() as connection:
            for name in ("commit_delay", "commit_siblings"):
                connection.execute(f"ALTER DATABASE {database} RESET {name}".encode())


def commit_time(times: int = 200) -> float:
    """Return the median milliseconds of a transaction that inserts one small row."""
    found = []
    with connect() as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS commit_time (id int)")
        for number in range(times):
            started = time.perf_counter()
            connection.execute("INSERT INTO commit_time VALUES (%s)", (number,))
            found.append(time.perf_counter() - started)
        connection.execute("DROP TABLE commit_time")
    return statistics.median(found) * 1000


def table(delays: Iterable[int], sizes: Sizes) -> str:
    """Return the ratio of each case, a column for each delay, as a Markdown table."""
    cases = [case for case in CASES if case.name in SHOWN]
    columns = [["a commit takes", "---", *(case.name for case in cases)]]
    for delay in delays:
        with slower(delay):
            column = [f"{commit_time():.1f} ms", "---"]
            for case in cases:
                found = run_case(case, sizes)
                column.append(f"{found.ratio:.2f} ({found.ours:,.0f}/s : {found.limit:,.0f}/s)")
        columns.append(column)
    return "\n".join(f"| {' | '.join(row)} |" for row in zip(*columns, strict=True))


def main() -> None:
    """Measure what the command line asks for."""
    parser = argparse.ArgumentParser(description="Compare with the raw limit on slower disks.")
    parser.add_argument("--operations", type=int, default=500)
    parser.add_argument("--repeat", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sizes = Sizes(options.operations, options.repeat, Path(folder))
        print(table(DELAYS, sizes))


if __name__ == "__main__":
    main()

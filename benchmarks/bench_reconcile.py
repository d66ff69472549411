"""
Comparing two lists of a million rows, 1 % of them different: time and memory.

Ordered streams against a plain merge loop over the same tuples, which checks neither order
nor repetitions; unordered rows against a full join in polars, end to end: from the same
tuples to the rows that differ. Memory is what each needs beyond the rows themselves, the
peak of a process of its own, so that no contender sees another's leftovers.
"""

from __future__ import annotations

import argparse
import gc
import random
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

from benchmarks.harness import Case, Sizes, timed
from benchmarks.harness import main as run_cases
from truecount.reconciliation.differ import ordered, unordered


Row = tuple[str, int]
Found = tuple[str, int | None, int | None]

HAS_POLARS = find_spec("polars") is not None


def rows(operations: int, *, shuffled: bool = False) -> tuple[list[Row], list[Row]]:
    """Return two sorted lists: 1 % of the second is changed, missing or new."""
    random_ = random.Random(13)
    book = [(f"SKU-{number:09d}", random_.randrange(100)) for number in range(operations)]
    seen = []
    for key, quantity in book:
        own = "".join((key[:4], key[4:]))  # Another object, as read from another file.
        chance = random_.random()
        if chance < 0.008:
            seen.append((own, quantity + 1))
        elif chance < 0.009:
            seen.append((f"{own}-X", quantity))
        elif chance < 0.999:
            seen.append((own, quantity))
    if shuffled:
        random_.shuffle(seen)
    return book, seen


def plain(book: list[Row], seen: list[Row]) -> Iterator[Found]:
    """Merge two sorted lists as anybody would write it down."""
    left, right = iter(book), iter(seen)
    a, b = next(left, None), next(right, None)
    while a is not None and b is not None:
        if a[0] == b[0]:
            if a[1] != b[1]:
                yield a[0], a[1], b[1]
            a, b = next(left, None), next(right, None)
        elif a[0] < b[0]:
            yield a[0], a[1], None
            a = next(left, None)
        else:
            yield b[0], None, b[1]
            b = next(right, None)
    while a is not None:
        yield a[0], a[1], None
        a = next(left, None)
    while b is not None:
        yield b[0], None, b[1]
        b = next(right, None)


def by_polars(book: list[Row], seen: list[Row]) -> list[Found]:
    """Join with polars, from tuples to tuples."""
    import polars as pl

    left = pl.DataFrame(book, schema={"k": pl.String, "a": pl.Int64}, orient="row")
    right = pl.DataFrame(seen, schema={"k": pl.String, "b": pl.Int64}, orient="row")
    both = left.join(right, on="k", how="full", coalesce=True)
    return both.filter(pl.col("a").ne_missing(pl.col("b"))).rows()


JOINS: dict[str, tuple[Callable[[list[Row], list[Row]], object], bool]] = {
    "ordered": (lambda book, seen: deque(ordered(book, seen), 0), False),
    "plain": (lambda book, seen: deque(plain(book, seen), 0), False),
    "unordered": (lambda book, seen: list(unordered(book, seen)), True),
    "polars": (by_polars, True),
}


def speed(name: str) -> Callable[[Sizes], float]:
    """Return the contender that joins rows in one of the ways."""
    join, shuffled = JOINS[name]

    def run(sizes: Sizes) -> float:
        book, seen = rows(sizes.operations, shuffled=shuffled)
        with timed(sizes.operations) as per_second:
            join(book, seen)
        return per_second()

    return run


def check(operations: int) -> None:
    """Prove that every way finds the same."""
    book, seen = rows(operations)
    expected = sorted(plain(book, seen))
    assert sorted((d.key, d.book, d.seen) for d in ordered(book, seen)) == expected
    assert sorted((d.key, d.book, d.seen) for d in unordered(book, seen)) == expected
    if HAS_POLARS:
        assert sorted(by_polars(book, seen)) == expected


CASES = [
    Case(
        "ordered streams, 1 % different",
        speed("ordered"),
        speed("plain"),
        1 / 3,
        "a plain merge loop",
    )
]
if HAS_POLARS:
    CASES.append(
        Case(
            "unordered, 1 % different",
            speed("unordered"),
            speed("polars"),
            1 / 1.5,
            "polars, end to end",
        )
    )


def extra_memory(name: str, operations: int) -> int:
    """Return the bytes a join needs beyond its rows, measured in a process of its own."""
    words = [sys.executable, "-m", "benchmarks.bench_reconcile", "--peak", name]
    answer = subprocess.run(
        [*words, "--operations", str(operations)], check=True, capture_output=True, text=True
    )
    return int(answer.stdout)


def _peak(name: str, operations: int) -> int:
    join, shuffled = JOINS[name]
    book, seen = rows(operations, shuffled=shuffled)
    join(book[:1000], seen[:1000])  # What is loaded and set up once is not the join's.
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # Forgets the peak so far.
    before = _status("VmRSS")
    join(book, seen)
    return max(0, _status("VmHWM") - before)


def _status(field: str) -> int:
    """Return a figure of this process in bytes, as Linux keeps it."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    [value] = [line.split()[1] for line in lines if line.startswith(f"{field}:")]
    return int(value) * 1024


def _table_of_memory(operations: int) -> bool:
    if not Path("/proc/self/clear_refs").exists():
        print("memory is not measured: it is read from /proc, as Linux has it")
        return True
    names = [name for name in ("ordered", "unordered", "polars") if HAS_POLARS or name != "polars"]
    extra = {name: extra_memory(name, operations) for name in names}
    for name, taken in extra.items():
        print(f"{name}: {taken / 2**20:.0f} MiB beyond the rows")
    reached = extra["ordered"] <= 32 * 2**20
    if HAS_POLARS:
        ratio = extra["unordered"] / max(1, extra["polars"])
        print(f"unordered / polars: {ratio:.2f} of the memory, goal 0.35")
        return reached and ratio <= 0.35
    print("polars is not installed, so the unordered join is compared with nothing")
    return reached


def main() -> int:
    """Compare speed, then memory; the exit code is 1 when a goal is missed."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--operations", type=int, default=1_000_000)
    parser.add_argument("--peak", choices=JOINS)
    options, _ = parser.parse_known_args()
    if options.peak:
        print(_peak(options.peak, options.operations))
        return 0
    check(min(options.operations, 100_000))
    missed = run_cases(CASES, options.operations)
    reached = _table_of_memory(options.operations)
    return missed or int(not reached)


if __name__ == "__main__":
    sys.exit(main())

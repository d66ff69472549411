"""
How every benchmark here is run: interleaved, repeated, compared as a ratio.

A *case* has two contenders, truecount and the raw limit (or a baseline), each a function
that prepares outside the clock and returns operations per second. They run A B A B ...,
because the machine's speed drifts; the ratio is taken pair by pair and its median quoted.
"""

from __future__ import annotations

import argparse
import gc
import json
import platform
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple


class Sizes(NamedTuple):
    """How much work a run does."""

    #: Operations in one timed region, before a case scales it.
    operations: int
    repeat: int
    folder: Path


#: Prepares a workload of a size, runs it, returns operations per second.
Contender = Callable[[Sizes], float]


class Case(NamedTuple):
    """Two contenders and the ratio we promise."""

    name: str
    ours: Contender
    limit: Contender
    #: ours / limit must be at least this.
    goal: float
    limit_name: str = "by hand"


class Result(NamedTuple):
    """What a case came to."""

    name: str
    limit_name: str
    goal: float
    #: Median operations per second of each contender.
    ours: float
    limit: float
    #: Median, lowest and highest ratio of the pairs.
    ratio: float
    lowest: float
    highest: float

    @property
    def reached(self) -> bool:
        """Whether the median ratio reaches the goal."""
        return self.ratio >= self.goal


def run_case(case: Case, sizes: Sizes) -> Result:
    """Run both contenders in turn and compare them pair by pair."""
    ours, limit, ratios = [], [], []
    for _ in range(sizes.repeat):
        limit.append(case.limit(sizes))
        ours.append(case.ours(sizes))
        ratios.append(ours[-1] / limit[-1])
    return Result(
        case.name,
        case.limit_name,
        case.goal,
        statistics.median(ours),
        statistics.median(limit),
        statistics.median(ratios),
        min(ratios),
        max(ratios),
    )


@contextmanager
def timed(operations: int) -> Iterator[Callable[[], float]]:
    """
    Time the body; the yielded function then returns operations per second.

    The garbage collector rests meanwhile, as under ``timeit``: when its full passes fall
    depends on what was measured before, and moved ratios by a factor of two.
    """
    elapsed = [0.0]
    gc.collect()
    gc.disable()
    started = time.perf_counter()
    try:
        yield lambda: operations / elapsed[0]
    finally:
        elapsed[0] = time.perf_counter() - started
        gc.enable()


def table(results: list[Result]) -> str:
    """Return results as a Markdown table."""
    lines = [
        "| case | truecount | raw limit | ratio (lowest to highest) | goal |",
        "|---|---|---|---|---|",
    ]
    for each in results:
        mark = "" if each.reached else " **missed**"
        lines.append(
            f"| {each.name} | {each.ours:,.0f}/s | {each.limit_name} {each.limit:,.0f}/s "
            f"| {each.ratio:.2f} ({each.lowest:.2f} to {each.highest:.2f}) "
            f"| {each.goal:.2f}{mark} |"
        )
    return "\n".join(lines)


def main(cases: list[Case], operations: int) -> int:
    """Run the cases named on the command line and print a table, or JSON."""
    parser = argparse.ArgumentParser(description="Compare truecount with the raw limit.")
    parser.add_argument("--only", default="", help="cases whose name has this text")
    parser.add_argument("--operations", type=int, default=operations)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--json", type=Path, help="write the results there, too")
    options = parser.parse_args()
    results = []
    for case in cases:
        if options.only in case.name:
            with tempfile.TemporaryDirectory() as folder:
                sizes = Sizes(options.operations, options.repeat, Path(folder))
                results.append(run_case(case, sizes))
            print(table(results[-1:]).splitlines()[-1], file=sys.stderr, flush=True)
    print(table(results))
    if options.json:
        options.json.write_text(json.dumps(document(results, options.operations), indent=1))
    return 0 if all(result.reached for result in results) else 1


def document(results: list[Result], operations: int) -> dict[str, object]:
    """Return results with what they were measured on."""
    return {
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "machine": platform.machine(),
        "operations": operations,
        "results": [result._asdict() for result in results],
    }

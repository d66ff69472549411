"""
The kit's state machine on our own storages, with hosts and crashes where there are any.

For as long as one likes, other shops each time: ``python -m tests.machines sqlite --examples 5000``.
"""

from __future__ import annotations

import argparse
import itertools
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from truecount import MemoryStorage, SQLiteStorage
from truecount.testing import inventory_machine


@contextmanager
def sqlite_host(storage: SQLiteStorage) -> Iterator[sqlite3.Connection]:
    """Open a transaction on the same file: leaving commits it, an exception rolls it back."""
    with closing(sqlite3.connect(storage.path, isolation_level=None)) as host:
        host.execute("BEGIN IMMEDIATE")
        try:
            yield host
        except BaseException:
            host.execute("ROLLBACK")
            raise
        host.execute("COMMIT")


def sqlite_again(storage: SQLiteStorage) -> SQLiteStorage:
    """Open the same file as another process would."""
    return SQLiteStorage(storage.path, synchronous="OFF")


def on_memory(folder: Path) -> type[RuleBasedStateMachine]:
    """Return the machine on storages in memory, where nothing is joined and nothing survives."""
    del folder
    return inventory_machine(MemoryStorage)


def on_sqlite(folder: Path) -> type[RuleBasedStateMachine]:
    """Return the machine on new files in *folder*, with hosts and crashes."""
    numbers = itertools.count()

    def make() -> SQLiteStorage:
        return SQLiteStorage(folder / f"{next(numbers)}.db", synchronous="OFF")

    return inventory_machine(make, join=sqlite_host, reopen=sqlite_again)


MACHINES: Final[list[Callable[[Path], type[RuleBasedStateMachine]]]] = [on_memory, on_sqlite]


#: Examples of one run of Hypothesis: it keeps what it needs to shrink them.
ROUND: Final = 250


def run(machine: type[RuleBasedStateMachine], *, examples: int, steps: int, **more: Any) -> None:
    """Run *machine* on a number of examples, new ones where the profile says so."""
    slow = [HealthCheck.too_slow]  # What is slow is a machine that others use as well.
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            suppress_health_check=slow,
            **more,
        ),
    )


def failing_steps(error: BaseException) -> list[str]:
    """Return the rules of the shrunk example an error came with, the first stock left out."""
    lines = [line.strip() for note in getattr(error, "__notes__", ()) for line in note.split("\n")]
    calls = [line.partition("(")[0].removeprefix("state.") for line in lines if "state." in line]
    besides = {"fill", "teardown"}
    return [
        call for call in calls if call not in besides and not call.endswith(("_agree", "_agrees"))
    ]


def said_of(machine: type[RuleBasedStateMachine]) -> str:
    """Return what is said of a machine that must fail, its history not shrunk."""
    with pytest.raises(AssertionError) as caught:
        run(
            machine,
            examples=300,
            steps=15,
            derandomize=True,
            database=None,
            report_multiple_bugs=False,
            phases=[Phase.generate],
        )
    return str(caught.value)


def main() -> None:
    """Run a machine for a number of examples, a few hundred at a time, and say how it goes."""
    makers = {make.__name__.removeprefix("on_"): make for make in MACHINES}
    parser = argparse.ArgumentParser(prog="python -m tests.machines")
    parser.add_argument("storage", choices=makers)
    parser.add_argument("--examples", type=int, default=5000)
    parser.add_argument("--steps", type=int, default=50)
    said = parser.parse_args()
    for done in range(0, said.examples, ROUND):
        few = min(ROUND, said.examples - done)
        with tempfile.TemporaryDirectory() as folder:
            machine = makers[said.storage](Path(folder))
            run(machine, examples=few, steps=said.steps, database=None)
        minutes = time.process_time() / 60
        sys.stdout.write(f"{done + few} shops of {said.steps} steps, {minutes:.1f} CPU minutes\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()

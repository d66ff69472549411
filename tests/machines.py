"""The kit's state machine on our own storages, with hosts and crashes where there are any."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

from hypothesis import settings
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


def run(machine: type[RuleBasedStateMachine], *, examples: int, steps: int, **more: Any) -> None:
    """Run *machine* on a number of examples, new ones where the profile says so."""
    run_state_machine_as_test(
        machine,
        settings=settings(max_examples=examples, stateful_step_count=steps, deadline=None, **more),
    )


def failing_steps(error: BaseException) -> list[str]:
    """Return the rules of the shrunk example an error came with, the first stock left out."""
    lines = [line.strip() for note in getattr(error, "__notes__", ()) for line in note.split("\n")]
    calls = [line.partition("(")[0].removeprefix("state.") for line in lines if "state." in line]
    besides = {"fill", "everything_agrees", "model_agrees", "teardown"}
    return [call for call in calls if call not in besides]

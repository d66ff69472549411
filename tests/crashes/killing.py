"""
Kill a shop in the middle of its day, with ``kill -9``, and see what is left of it.

Run as a program, ``python -m tests.crashes.killing FOLDER KILLS``, so that it forks from a
process with one thread and no open database. Each child works on a file of its own until its
n-th SQL statement, where it is killed; after each commit it was told of, it says so.
"""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.broad_day import day, prepare
from truecount import Inventory, SQLiteStorage
from truecount.testing import CountingIds, FaultyStorage, ManualClock, Moment, assert_invariants
from truecount.testing.claims import expect
from truecount.testing.faults import Call
from truecount.testing.survival import _state, effects


def work(storage: Any, prefix: str) -> None:
    """Do the day's work, with ids that begin with *prefix*."""
    clock = ManualClock()
    day(Inventory(storage, clock=clock, new_id=CountingIds(prefix)), clock)


def each_statement(call: Callable[[], object]) -> None:
    """Let *call* happen before each SQL statement of connections opened from now on."""
    connect: Any = sqlite3.connect

    def traced(*values: Any, **named: Any) -> Any:
        connection = connect(*values, **named)
        connection.set_trace_callback(lambda _statement: call())
        return connection

    vars(sqlite3)["connect"] = traced  # Of this process, which is a child, alone.


class Reference:
    """The same day without a crash: what is stored after each commit, and in the end."""

    def __init__(self, folder: Path) -> None:
        self.template = folder / "template.db"
        clock = ManualClock()
        with Inventory(SQLiteStorage(self.template), clock=clock, new_id=CountingIds("p~")) as shop:
            prepare(shop, clock)
        storage = SQLiteStorage(self.copy("reference"))
        self.states = [_state(storage)]

        def remember(call: Call, moment: Moment) -> None:
            if call.name == "commit" and moment is Moment.AFTER:
                self.states.append(_state(storage))

        work(FaultyStorage(storage, remember), "first~")
        self.effects = effects(storage)
        storage.close()

    def copy(self, name: str) -> Path:
        """Return a new file in which the shop has not begun its day."""
        return Path(shutil.copy(self.template, self.template.with_name(f"{name}.db")))

    def statements(self) -> int:
        """Return how many statements a day takes, counted in a child."""
        told, tell = os.pipe()
        if os.fork() == 0:
            counted = 0

            def count() -> None:
                nonlocal counted
                counted += 1

            each_statement(count)
            work(SQLiteStorage(self.copy("counted")), "first~")
            os.write(tell, str(counted).encode())
            os._exit(0)
        os.wait()
        os.close(tell)
        total = int(os.read(told, 100))
        os.close(told)
        return total

    def kill_at(self, number: int) -> None:
        """Kill a child at its statement *number*, and check what is left."""
        path = self.copy(f"killed-{number}")
        told, tell = os.pipe()
        child = os.fork()
        if child == 0:
            _be_killed(path, number, tell)
            os._exit(0)
        _, status = os.waitpid(child, 0)
        os.close(tell)
        acknowledged = len(os.read(told, 100_000))
        os.close(told)
        expect(os.WIFSIGNALED(status), True, f"whether statement {number} was reached")  # noqa: FBT003 -- what was seen and wanted
        self._check(path, acknowledged)

    def _check(self, path: Path, acknowledged: int) -> None:
        """Everything acknowledged is there, nothing is half there, and repeating completes."""
        storage = SQLiteStorage(path)
        left = _state(storage)
        if left not in self.states[acknowledged : acknowledged + 2]:
            expect(left, self.states[acknowledged], f"what {acknowledged} commits wrote")
        work(storage, "again~")
        expect(effects(storage), self.effects, "the end of the day, done again")
        assert_invariants(Inventory(storage, clock=ManualClock()))
        storage.close()
        for file in path.parent.glob(f"{path.name}*"):
            file.unlink()


def _be_killed(path: Path, number: int, tell: int) -> None:
    """Work on *path* until statement *number*; say each commit that was acknowledged."""
    left = number

    def count() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    def acknowledge(call: Call, moment: Moment) -> None:
        if call.name == "commit" and moment is Moment.AFTER:
            os.write(tell, b".")

    each_statement(count)
    work(FaultyStorage(SQLiteStorage(path), acknowledge), "first~")


def main(folder: Path, kills: int) -> None:
    """Kill that many children, at statements spread over the whole day."""
    reference = Reference(folder)
    total = reference.statements()
    numbers = sorted({1 + total * n // kills for n in range(kills)})
    for number in numbers:
        try:
            reference.kill_at(number)
        except AssertionError as error:
            error.add_note(f"killed at statement {number} of {total}")
            raise
    print(f"{len(numbers)} kills at {total} statements")  # noqa: T201 -- for whoever started us


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))

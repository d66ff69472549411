"""
What must hold while one transaction is open and another one comes along.

Each check holds a unit open in its own thread and lets another thread come. Whether that
one waits is the storage's business (a single writer makes everybody wait); what it sees
when it is served is not.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing
from functools import partial
from typing import Any, Final, Generic, TypeVar

from truecount.model.lines import LineRow
from truecount.model.movements import MovementRow
from truecount.protocols.storage import Record, Storage, Wants
from truecount.testing.claims import DEADLINE, MakeStorage, expect, patiently
from truecount.testing.reads import GLANCE
from truecount.testing.samples import (
    MUG,
    START,
    TEA,
    TENANT,
    Sheet,
    dump,
    line,
    outcome,
    writing,
)


_Result = TypeVar("_Result")


class Aside(Generic[_Result]):
    """A call that runs in a thread of its own while the checking thread goes on."""

    def __init__(self, call: Callable[[], _Result]) -> None:
        self._call = call
        self._found: list[_Result] = []
        self._fault: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._found.append(self._call())
        except BaseException as error:  # noqa: BLE001 -- it is raised in the checking thread
            self._fault = error

    def finished(self, seconds: float = GLANCE) -> bool:
        """Return whether it has ended, waiting at most *seconds* for it."""
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def result(self) -> _Result:
        """Return what the call returned, or raise what it raised."""
        if not self.finished(DEADLINE):
            raise AssertionError(f"a thread: expected to finish in {DEADLINE} s, got stuck")
        if self._fault is not None:
            raise self._fault
        return self._found[0]


# --- the second writer -------------------------------------------------------------------


def check_lock_waits_and_reads_anew(make_storage: MakeStorage) -> None:
    """Who waited for a lock reads rows, lines and expired holds as they are after the wait."""
    for orders in (set[str](), {"old"}):
        with closing(make_storage()) as storage:
            _reclaim_before_another(storage, orders)


def _reclaim_before_another(storage: Storage, orders: set[str]) -> None:
    with writing(storage, MUG, orders=["old"]) as sheet:
        sheet.move("m1", MUG, held=2)
        sheet.lines.append(line("old", 1, MUG, held=2, expires_at=START))
        sheet.records.append(Record("order", "old", 1, "{}"))
    wants = Wants(keys={MUG}, orders=orders)
    with writing(storage, MUG, orders=["old"]) as sheet:
        other = Aside(partial(patiently, partial(_locked, storage, wants)))
        claim = "a second unit over the row that the first has locked"
        expect("served" if other.finished() else "waiting", "waiting", claim)
        sheet.move("m2", MUG, sellable=2, held=-2)
        sheet.lines.append(line("old", 1, MUG, expired=2, expires_at=START))
        sheet.records.append(Record("order", "old", 2, "{}"))
    lines = sheet.lines if orders else []
    claim = "version, sellable, expired holds and lines that a unit reads after its wait"
    expect(other.result(), (2, 2, [], lines), claim)


def _locked(storage: Storage, wants: Wants) -> tuple[int, int, list[LineRow], list[LineRow]]:
    """Return what a unit reads under its locks: of MUG, expired holds, lines of orders."""
    with storage.begin(TENANT) as unit:
        locked = unit.lock(wants)
        row = locked.rows[MUG]
        return row.version, row.sellable, unit.due({MUG: 2}, START), list(locked.lines)


# --- readers and the feed ----------------------------------------------------------------


def check_reader_sees_nothing_uncommitted(make_storage: MakeStorage) -> None:
    """While a unit has written but not ended, a reader sees nothing of it, or waits."""
    with closing(make_storage()) as storage:
        with writing(storage, MUG, orders=["A-1"]) as sheet:
            sheet.move("m1", MUG, sellable=5)
        before = dump(storage, ["A-1"])
        with storage.begin(TENANT) as unit:
            locked = unit.lock(Wants(keys={MUG, TEA}, orders={"A-1"}))
            sheet = Sheet(locked)
            sheet.move("m2", MUG, TEA, sellable=1, held=1)
            sheet.lines.append(line("A-1", 1, MUG, held=1, expires_at=START))
            sheet.records.append(Record("order", "A-1", 1, "{}"))
            sheet.outcomes.append(outcome("k1"))
            unit.write(sheet.changes())
            reader = Aside(partial(dump, storage, ["A-1"]))
            if reader.finished():
                expect(reader.result(), before, "what a reader sees before the writer commits")
        after = dump(storage, ["A-1"])
        seen = reader.result()
        if seen != before:
            expect(seen, after, "what a reader sees that waited for the writer")


def check_feed_tells_slow_writers_once(make_storage: MakeStorage) -> None:
    """A writer that began first and commits last is told once, after what was told before."""
    with closing(make_storage()) as storage:
        others: list[Aside[None]] = []
        readers: list[Aside[list[tuple[int, MovementRow]]]] = []

        def write_slowly() -> None:
            with writing(storage, MUG) as slow:
                slow.move("slow", MUG, sellable=1)
                if not others:
                    others.append(Aside(partial(patiently, partial(_write_tea, storage))))
                    others[0].finished()
                    readers.append(Aside(partial(_feed, storage, 0)))
                    readers[0].finished()

        patiently(write_slowly)
        others[0].result()
        told = readers[0].result()
        rest = _feed(storage, len(told))
        positions = [position for position, _ in told + rest]
        expect(positions, [1, 2], "positions told in two pages, one of them beside a slow writer")
        ids = sorted(row.id for _, row in told + rest)
        expect(ids, ["quick", "slow"], "movements told in two pages")
        expect(_feed(storage, 0), told + rest, "the whole feed afterwards")


def _write_tea(storage: Storage) -> None:
    with writing(storage, TEA) as sheet:
        sheet.move("quick", TEA, sellable=1)


def _feed(storage: Storage, after: int) -> list[tuple[int, MovementRow]]:
    with storage.read(TENANT) as reader:
        return reader.feed(after)


WAITING_CHECKS: Final[tuple[Callable[[MakeStorage], Any], ...]] = (
    check_lock_waits_and_reads_anew,
    check_reader_sees_nothing_uncommitted,
    check_feed_tells_slow_writers_once,
)

"""Everything that can go wrong at a call to the storage, and what is left of it: nothing."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.broad_day import day, morning, prepare
from truecount import Inventory, MemoryStorage, SQLiteStorage
from truecount.errors import (
    HoldExpired,
    OutcomeUnknown,
    Retryable,
    StorageUnavailable,
    UnknownLocation,
)
from truecount.protocols.storage import Storage
from truecount.testing import (
    Crash,
    FailAt,
    FaultyStorage,
    ManualClock,
    Moment,
    SlowBy,
    assert_invariants,
    every_fault,
    while_busy,
)


def sqlite_in(folder: Path) -> Callable[[], Storage]:
    """Return a factory of storages in new SQLite files; no test here cuts the power."""
    numbers = itertools.count()
    return lambda: SQLiteStorage(folder / f"{next(numbers)}.db", synchronous="OFF")


def again(storage: Any) -> Storage:
    """Open the same file again."""
    return SQLiteStorage(storage.path, synchronous="OFF")


class TestEveryFault:
    def test_a_sample_of_faults_is_survived_in_memory(self) -> None:
        """Crashes and errors at every 17th call leave no trace, and repeating completes."""
        assert every_fault(MemoryStorage, day, prepare=prepare, stride=17) >= 40

    def test_a_sample_of_faults_is_survived_by_sqlite(self, tmp_path: Path) -> None:
        """The same in a file, which is opened again after each crash."""
        tried = every_fault(sqlite_in(tmp_path), day, prepare=prepare, reopen=again, stride=41)
        assert tried >= 16

    @pytest.mark.slow
    @pytest.mark.parametrize("kind", ["memory", "sqlite"])
    def test_every_fault_is_survived(self, kind: str, tmp_path: Path) -> None:
        """Crashes and errors before and after every single call of a broad day."""
        if kind == "memory":
            tried = every_fault(MemoryStorage, day, prepare=prepare)
        else:
            tried = every_fault(sqlite_in(tmp_path), day, prepare=prepare, reopen=again)
        assert tried >= 4 * 190

    def test_a_write_that_is_not_rolled_back_is_caught(self) -> None:
        """What a process that crashed before its commit had written must not be there."""
        with pytest.raises(AssertionError, match=r"what whole commits wrote \(I8\).*expected"):
            every_fault(WritesAtOnce, receive_keyed, prepare=prepare)

    def test_a_change_without_a_key_is_caught(self) -> None:
        """Without a key a repetition counts twice, and the note says after which fault."""
        with pytest.raises(AssertionError, match=r"repeated \(I6\)") as caught:
            every_fault(MemoryStorage, receive_unkeyed, prepare=prepare)
        [note] = caught.value.__notes__
        assert re.fullmatch(r"after a crash after call \d+ \(commit\)", note)

    def test_a_scenario_that_hides_errors_is_refused(self) -> None:
        """A scenario that goes on after a fault proves nothing, and is told so."""

        def hiding(inventory: Inventory, clock: ManualClock) -> None:
            try:
                receive_keyed(inventory, clock)
            except BaseException:  # noqa: BLE001 -- that is what must not be done
                return

        with pytest.raises(AssertionError, match="lets errors of the storage through"):
            every_fault(MemoryStorage, hiding, prepare=prepare)


def test_a_scenario_that_is_wrong_by_itself_says_so() -> None:
    """An error that no fault made is the scenario's own, and is raised as it is."""
    with pytest.raises(UnknownLocation):
        every_fault(MemoryStorage, receive_keyed)


def test_whoever_is_always_busy_is_told_after_a_while() -> None:
    """A scenario that never gets through is not repeated for ever."""
    with pytest.raises(AssertionError, match="expected to be done, got 1000 failures"):
        while_busy(MemoryStorage, receive_keyed, seed=1, share=1.0, prepare=prepare)


def receive_keyed(inventory: Inventory, clock: ManualClock) -> None:
    """Take goods in, under a key."""
    inventory.receive("MUG", 5, at="berlin", key="asn-1")


def receive_unkeyed(inventory: Inventory, clock: ManualClock) -> None:
    """Take goods in, and forget the key."""
    inventory.receive("MUG", 5, at="berlin")


class WritesAtOnce(MemoryStorage):
    """Makes the changes of a unit when it writes, not when it is left."""

    @contextmanager
    def begin(self, tenant: str, host: object | None = None) -> Iterator[Any]:  # type: ignore[override]  # a mutant
        """Open a unit that cannot be rolled back."""
        with super().begin(tenant, host) as unit:
            unit.write = unit._make  # type: ignore[method-assign]  # a mutant
            yield unit


class TestBusy:
    @pytest.mark.parametrize("seed", range(5))
    def test_a_day_of_busy_calls_ends_the_same(self, seed: int) -> None:
        """Whoever repeats what was busy, under the same keys, ends where nobody was busy."""
        assert while_busy(MemoryStorage, day, seed=seed, prepare=prepare) > 1

    def test_a_busy_call_writes_nothing(self) -> None:
        """`Retryable` is raised before anything is written."""
        storage = FaultyStorage(MemoryStorage())
        inventory = Inventory(storage)
        prepare(inventory, ManualClock())
        storage.plan = FailAt(1, Moment.AFTER, "write", lambda call: Retryable(str(call)))
        with pytest.raises(Retryable, match="write"):
            inventory.receive("MUG", 5, at="berlin", key="asn-1")
        assert inventory.figures("MUG").on_hand == 0
        assert inventory.receive("MUG", 5, at="berlin", key="asn-1").replayed is False


class TestLostReply:
    def test_the_error_says_what_to_do_and_the_key_tells_what_happened(self) -> None:
        """After a lost reply the write stands; the same key brings its outcome."""
        storage = FaultyStorage(MemoryStorage())
        inventory = Inventory(storage)
        prepare(inventory, ManualClock())
        lost = OutcomeUnknown("asn-1", "the connection broke")
        storage.plan = FailAt(1, Moment.AFTER, "commit", lambda _: lost)
        with pytest.raises(OutcomeUnknown, match="repeat it under the same key"):
            inventory.receive("MUG", 5, at="berlin", key="asn-1")
        assert inventory.receive("MUG", 5, at="berlin", key="asn-1").replayed
        assert inventory.figures("MUG").on_hand == 5
        assert_invariants(inventory)


class TestSlow:
    def test_now_is_read_after_the_wait_for_the_lock(self) -> None:
        """A hold that runs out while its confirmation waits for the lock is not confirmed."""
        clock = ManualClock()
        storage = FaultyStorage(MemoryStorage())
        inventory = Inventory(storage, clock=clock)
        prepare(inventory, clock)
        inventory.receive("MUG", 5, at="berlin")
        inventory.reserve({"MUG": 1}, reference="A-1", ttl=timedelta(minutes=1))
        storage.plan = SlowBy(clock, timedelta(seconds=50))
        with pytest.raises(HoldExpired):
            inventory.confirm("A-1")

    def test_a_slow_day_stays_sound(self) -> None:
        """Ten minutes at each call: holds run out in between, and every invariant holds."""
        clock = ManualClock()
        inventory = Inventory(
            FaultyStorage(MemoryStorage(), SlowBy(clock, timedelta(minutes=10))), clock=clock
        )
        prepare(inventory, clock)
        with pytest.raises(HoldExpired):
            morning(inventory, clock)
        assert_invariants(inventory)


def test_nothing_runs_after_a_crash() -> None:
    """A process that is gone does not read, write or commit any more."""
    storage = FaultyStorage(MemoryStorage(), FailAt(1, Moment.BEFORE, "lock"))
    with pytest.raises(Crash, match=r"call \d+ \(lock\)"):
        Inventory(storage).locations.add("berlin")
    with pytest.raises(Crash, match="gone"):
        Inventory(storage).available("MUG")
    assert storage.commits == 0


def test_an_error_is_not_a_crash() -> None:
    """After an error of the database the process goes on."""
    unavailable = StorageUnavailable("it", "the disk is full")
    storage = FaultyStorage(
        MemoryStorage(), FailAt(1, Moment.BEFORE, "write", lambda _: unavailable)
    )
    inventory = Inventory(storage)
    with pytest.raises(StorageUnavailable, match="full"):
        inventory.locations.add("berlin")
    inventory.locations.add("berlin")
    assert "berlin" in inventory.locations

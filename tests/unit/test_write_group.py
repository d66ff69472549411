from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from types import FrameType

import pytest

from truecount import Inventory, Outcome, Received, Reserve, Sold
from truecount.errors import (
    IdempotencyConflict,
    InsufficientStock,
    OutcomeUnknown,
    Retryable,
    TrueCountError,
)
from truecount.protocols.storage import Wants
from truecount.write.group import BATCH_MAX, GroupCommit
from truecount.write.intents import Intent, Rule


THREADS = 8
PATIENCE = 30.0


class Interrupted(BaseException):
    """What a signal handler raises, as Python does for Ctrl-C."""


def requests(*keys: str) -> list[Intent]:
    """Return requests with these keys; the writer of these tests never decides them."""
    operation = Sold("MUG", 1, at="berlin")
    rule = Rule(lambda _operation, _settings: Wants(), lambda *_: pytest.fail("decided"))
    return [Intent(operation, key, "", rule) for key in keys]


class Writer:
    """Writes batches when it is let, and remembers them and who wrote them."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.threads: list[int] = []
        self.gate = threading.Event()
        self.entered = threading.Event()
        self.errors: list[BaseException | None] = []

    def __call__(self, intents: Sequence[Intent]) -> list[Outcome]:
        """Wait at the gate, then answer each request with its key, or fail as planned."""
        self.batches.append([intent.key for intent in intents])
        self.threads.append(threading.get_ident())
        self.entered.set()
        assert self.gate.wait(PATIENCE)
        error = self.errors.pop(0) if self.errors else None
        if error is not None:
            raise error
        return [Outcome(key=intent.key, decided_instant=0) for intent in intents]


class Crowd:
    """A group with one caller at the gate, and others that queue behind it."""

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self.writer = Writer()
        self.group = GroupCommit(self.writer)
        self.pool = pool
        self.first = self.submit("first")
        assert self.writer.entered.wait(PATIENCE)

    def submit(self, *keys: str) -> Future[list[Outcome]]:
        """Let another thread submit requests."""
        return self.pool.submit(self.group.submit, requests(*keys))

    def queue(self, *tickets: Sequence[str]) -> list[Future[list[Outcome]]]:
        """Let other threads queue behind the one at the gate, in this order."""
        futures = []
        for keys in tickets:
            waiting = self.queued()
            futures.append(self.submit(*keys))
            until(partial(self.has_more_than, waiting))
        return futures

    def has_more_than(self, number: int) -> bool:
        """Return whether more wait than that."""
        return self.queued() > number

    def queued(self) -> int:
        """Return how many wait."""
        return len(self.group._queue)


def until(condition: Callable[[], bool]) -> None:
    """Wait for what another thread is about to do."""
    pause = threading.Event()
    for _ in range(int(PATIENCE * 1_000)):
        if condition():
            return
        pause.wait(0.001)
    pytest.fail("it never happened")


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    """Threads enough for everybody."""
    with ThreadPoolExecutor(THREADS + 2) as pool:
        yield pool


@pytest.fixture
def crowd(pool: ThreadPoolExecutor) -> Iterator[Crowd]:
    """A caller at the gate; nobody is left behind it when the test is over."""
    crowd = Crowd(pool)
    yield crowd
    crowd.writer.gate.set()


def keys_of(future: Future[list[Outcome]]) -> list[str]:
    """Return the keys of the outcomes a caller got."""
    return [outcome.key for outcome in future.result(PATIENCE)]


class TestSharing:
    def test_lone_caller_writes_alone_and_at_once(self) -> None:
        """In its own thread, one transaction for each call."""
        writer = Writer()
        writer.gate.set()
        group = GroupCommit(writer)
        for number in range(3):
            [outcome] = group.submit(requests(f"k{number}"))
            assert outcome.key == f"k{number}"
        assert writer.batches == [["k0"], ["k1"], ["k2"]]
        assert set(writer.threads) == {threading.get_ident()}

    def test_those_who_wait_share_the_next_write(self, crowd: Crowd) -> None:
        """In the order they came, each with its own outcomes."""
        waiting = crowd.queue(["a"], ["b1", "b2"], ["c"])
        crowd.writer.gate.set()
        assert [keys_of(future) for future in waiting] == [["a"], ["b1", "b2"], ["c"]]
        assert keys_of(crowd.first) == ["first"]
        assert crowd.writer.batches == [["first"], ["a", "b1", "b2", "c"]]

    def test_a_write_has_a_limit(self, crowd: Crowd) -> None:
        """What does not fit waits for the next one; a call is never cut in two."""
        half = [[f"{name}{n}" for n in range(BATCH_MAX // 2)] for name in "abc"]
        waiting = crowd.queue(*half)
        crowd.writer.gate.set()
        assert [keys_of(future) for future in waiting] == half
        assert [len(batch) for batch in crowd.writer.batches] == [1, BATCH_MAX, BATCH_MAX // 2]

    def test_room_for_the_last_is_no_room_for_the_next(self, crowd: Crowd) -> None:
        """Callers are written in their order, each only where it fits itself."""
        large = [f"l{n}" for n in range(BATCH_MAX)]
        waiting = crowd.queue(["before"], large, ["after"])
        crowd.writer.gate.set()
        assert [keys_of(future) for future in waiting] == [["before"], large, ["after"]]
        assert [len(batch) for batch in crowd.writer.batches] == [1, 1, BATCH_MAX, 1]

    def test_call_beyond_the_limit_goes_alone(self, crowd: Crowd) -> None:
        """It cannot be joined, and is not refused here."""
        large = [f"l{n}" for n in range(BATCH_MAX + 1)]
        waiting = crowd.queue(large, ["after"])
        crowd.writer.gate.set()
        assert [keys_of(future) for future in waiting] == [large, ["after"]]
        assert [len(batch) for batch in crowd.writer.batches] == [1, BATCH_MAX + 1, 1]

    def test_group_is_free_again_afterwards(self, crowd: Crowd) -> None:
        """Nothing is left over from the crowd."""
        crowd.queue(["a"], ["b"])
        crowd.writer.gate.set()
        until(lambda: len(crowd.writer.batches) == 2)
        assert [outcome.key for outcome in crowd.group.submit(requests("later"))] == ["later"]
        assert crowd.writer.batches[-1] == ["later"]


class TestFailures:
    def test_failed_transaction_reaches_all_its_callers(self, crowd: Crowd) -> None:
        """Each gets an error of its own with the same words; the next write is not touched."""
        crowd.writer.errors = [None, Retryable("it is locked")]
        waiting = crowd.queue(["a"], ["b"])
        crowd.writer.gate.set()
        errors = [future.exception(PATIENCE) for future in waiting]
        assert [str(error) for error in errors] == [str(Retryable("it is locked"))] * 2
        assert errors[0] is not errors[1]
        assert keys_of(crowd.first) == ["first"]
        assert crowd.group.submit(requests("later"))[0].key == "later"

    def test_lost_reply_is_told_by_each_callers_own_key(self, crowd: Crowd) -> None:
        """Whoever asks again must ask for what it asked."""
        crowd.writer.errors = [None, OutcomeUnknown("a", "the reply was lost")]
        waiting = crowd.queue(["a"], ["b1", "b2"])
        crowd.writer.gate.set()
        errors = [future.exception(PATIENCE) for future in waiting]
        assert [getattr(error, "key", None) for error in errors] == ["a", "b1"]

    def test_lone_failure_is_raised_as_it_is(self) -> None:
        """There is nobody to share it with."""
        writer = Writer()
        writer.gate.set()
        error = Retryable("it is locked")
        writer.errors = [error]
        with pytest.raises(Retryable) as caught:
            GroupCommit(writer).submit(requests("k"))
        assert caught.value is error

    @pytest.mark.parametrize("stop", [KeyboardInterrupt(), MemoryError("no room")])
    def test_stopped_leader_leaves_nobody_hanging(self, crowd: Crowd, stop: BaseException) -> None:
        """It raises what stopped it; the others are told their key, and may ask again."""
        crowd.writer.errors = [None, stop]
        leader, follower = crowd.queue(["a"], ["b1", "b2"])
        crowd.writer.gate.set()
        assert leader.exception(PATIENCE) is stop
        unknown = follower.exception(PATIENCE)
        assert isinstance(unknown, OutcomeUnknown)
        assert unknown.key == "b1"
        assert crowd.group.submit(requests("later"))[0].key == "later"

    def test_stopped_lone_writer_lets_the_next_one_lead(self, crowd: Crowd) -> None:
        """Those behind it are written as if nothing had happened."""
        crowd.writer.errors = [KeyboardInterrupt()]
        waiting = crowd.queue(["a"], ["b"])
        crowd.writer.gate.set()
        assert isinstance(crowd.first.exception(PATIENCE), KeyboardInterrupt)
        assert [keys_of(future) for future in waiting] == [["a"], ["b"]]

    @pytest.mark.skipif(
        threading.current_thread() is not threading.main_thread(),
        reason="signals interrupt the main thread only",
    )
    def test_interrupted_waiter_leaves_the_queue(self, crowd: Crowd) -> None:
        """Its request is not written, and nobody is left waiting for it to lead."""

        def interrupt(_number: int, _frame: FrameType | None) -> None:
            raise Interrupted

        main = threading.main_thread().ident
        assert main is not None

        def call() -> list[Future[list[Outcome]]]:
            until(lambda: crowd.queued() == 1)
            behind = crowd.queue(["behind"])
            signal.pthread_kill(main, signal.SIGUSR1)
            return behind

        before = signal.signal(signal.SIGUSR1, interrupt)
        try:
            caller = crowd.pool.submit(call)
            with pytest.raises(Interrupted):
                crowd.group.submit(requests("interrupted"))
        finally:
            signal.signal(signal.SIGUSR1, before)
        crowd.writer.gate.set()
        [behind] = caller.result(PATIENCE)
        assert keys_of(behind) == ["behind"]
        assert crowd.writer.batches == [["first"], ["behind"]]


class TestInventory:
    def test_outcomes_belong_to_their_callers(self, pool: ThreadPoolExecutor) -> None:
        """Eight threads, one hot SKU: each gets its own key back, and the count is exact."""
        inventory = Inventory()
        inventory.locations.add("berlin")
        inventory.receive("MUG", 500, at="berlin")

        def shop(thread: int) -> tuple[int, int]:
            granted = refused = 0
            for number in range(100):
                reference = f"cart-{thread}-{number}"
                try:
                    cart = inventory.reserve({"MUG": 1}, reference=reference, key=reference)
                except InsufficientStock:
                    refused += 1
                else:
                    assert (cart.reference, cart.key) == (reference, reference)
                    assert cart.quantity("held") == {"MUG": 1}
                    granted += 1
            return granted, refused

        counts = list(pool.map(shop, range(THREADS)))
        assert sum(granted for granted, _ in counts) == 500
        assert sum(refused for _, refused in counts) == THREADS * 100 - 500
        assert inventory.figures("MUG").held == 500
        assert inventory.verify().ok

    def test_failing_members_do_not_disturb_others(self, pool: ThreadPoolExecutor) -> None:
        """Refusals, conflicts and mistakes end at the caller they belong to."""
        inventory = Inventory()
        inventory.locations.add("berlin")
        inventory.receive("MUG", 5, at="berlin", key="taken")
        asked = [
            (Received("MUG", 1, at="berlin"), None),
            (Received("MUG", 1, at="berlin", key="taken"), IdempotencyConflict),
            (Received("MUG", 1, at="bremen"), TrueCountError),
            (Reserve({"MUG": 10_000}, reference="cart-1"), InsufficientStock),
        ]

        def call(number: int) -> None:
            operation, expected = asked[number % 4]
            for _ in range(50):
                [outcome] = inventory.submit([operation])
                if expected is None:
                    assert outcome.granted
                else:
                    assert isinstance(outcome.error, expected)

        list(pool.map(call, range(THREADS)))
        assert inventory.figures("MUG").on_hand == 5 + 2 * 50
        assert inventory.verify().ok

    def test_same_request_from_all_sides_has_one_effect(self, pool: ThreadPoolExecutor) -> None:
        """K submissions, k equal outcomes, one movement."""
        inventory = Inventory()
        inventory.locations.add("berlin")
        barrier = threading.Barrier(THREADS)

        def call(_: int) -> Outcome:
            barrier.wait(PATIENCE)
            return inventory.receive("MUG", 1, at="berlin", key="webhook-1")

        outcomes = list(pool.map(call, range(THREADS)))
        assert len({outcome.movements for outcome in outcomes}) == 1
        assert sum(not outcome.replayed for outcome in outcomes) == 1
        assert inventory.figures("MUG").on_hand == 1


FORKED = """
import os, threading
from truecount.errors import TrueCountError
from truecount.write.group import GroupCommit

entered, leave = threading.Event(), threading.Event()

def run(intents):
    if intents == ["slow"]:
        entered.set()
        leave.wait()
    return list(intents)

group = GroupCommit(run)
writer = threading.Thread(target=group.submit, args=(["slow"],))
writer.start()
entered.wait()
child = os.fork()
if child == 0:
    os._exit(0 if group.submit(["quick"]) == ["quick"] else 1)
status = os.waitpid(child, 0)[1]
leave.set()
writer.join()
raise SystemExit(os.waitstatus_to_exitcode(status))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_child_forked_while_another_thread_writes_can_write() -> None:
    """The thread that was writing stayed in the parent; the child waits for nobody."""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", FORKED], check=False, timeout=20)
    assert done.returncode == 0

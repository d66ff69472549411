"""Calls in processes of their own that can meet: for claims about processes."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing.synchronize import Barrier, Semaphore
from typing import Any, TypeVar

from truecount.testing.claims import DEADLINE


#: Nothing is inherited from the process of the tests, as with programs of their own; what all
#: of them need is loaded once.
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["pytest", "tests.postgres.clients", "tests.postgres.traders"])
#: How long a process may take to load on a busy machine.
_LOADING = 2 * DEADLINE

_Result = TypeVar("_Result")

#: Of a child: where it meets the others, and where it tells what it has done.
_GATE: list[Barrier] = []
_STEPS: list[Semaphore] = []


class Crowd:
    """A number of processes, each with one call, that can meet and tell their steps."""

    def __init__(self, size: int, pool: ProcessPoolExecutor, steps: Semaphore) -> None:
        self.size = size
        self._pool = pool
        self._steps = steps
        self._running: list[Future[Any]] = []

    def begin(self, *calls: Callable[[], _Result]) -> list[Future[_Result]]:
        """Run each call, which can be pickled, in a process of its own."""
        if len(calls) != self.size:
            raise AssertionError(f"a crowd of {self.size}: expected as many calls: {len(calls)}")
        begun = [self._pool.submit(call) for call in calls]
        self._running += begun
        return begun

    def take_steps(self, number: int) -> None:
        """Wait until the processes have told *number* more steps."""
        end = time.monotonic() + _LOADING
        while number:
            if self._steps.acquire(timeout=1):
                number -= 1
                end = time.monotonic() + _LOADING
                continue
            for call in self._running:
                if call.done():
                    call.result()  # It failed, and so will never take another step.
            if time.monotonic() > end:
                raise AssertionError(f"processes: expected a step in {_LOADING} s, got none")


@contextmanager
def crowd(size: int) -> Iterator[Crowd]:
    """Yield processes; in the end all of them must have come back."""
    gate, steps = _CONTEXT.Barrier(size), _CONTEXT.Semaphore(0)
    with ProcessPoolExecutor(size, _CONTEXT, _enter, (gate, steps)) as pool:
        yield Crowd(size, pool, steps)


def at_once_in_processes(*calls: Callable[[], _Result]) -> list[_Result]:
    """Run each of *calls* in a process of its own; return their results, in that order."""
    with crowd(len(calls)) as processes:
        return [future.result(_LOADING) for future in processes.begin(*calls)]


def meet() -> None:
    """Wait in one of the processes until all of them are here; may be called again and again."""
    for gate in _GATE:
        gate.wait(_LOADING)


def tell_step() -> None:
    """Tell the process of the tests that something was done."""
    for steps in _STEPS:
        steps.release()


def _enter(gate: Barrier, steps: Semaphore) -> None:
    _GATE.append(gate)
    _STEPS.append(steps)

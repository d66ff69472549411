"""
How a check says no: an ``AssertionError`` with both values, also under ``python -O``.

Checks never use the ``assert`` statement, and need no test runner.
"""

from __future__ import annotations

import sys
import threading
import time
import traceback
from collections.abc import Callable
from itertools import zip_longest
from typing import Any, Final, TypeAlias, TypeVar

from truecount.errors import Retryable, TrueCountError
from truecount.protocols.storage import Storage


#: Makes a new, empty storage at each call; the check closes it.
MakeStorage: TypeAlias = Callable[[], Storage]

#: Seconds after which threads that should have finished are reported as stuck.
DEADLINE: Final = 60.0
#: Values longer than this, as text, are shown where they first differ only.
SHOWN: Final = 200
#: How often a call is repeated when the database says that it was busy.
PATIENCE: Final = 100

_Error = TypeVar("_Error", bound=BaseException)
_Result = TypeVar("_Result")


def expect(seen: object, wanted: object, claim: str) -> None:
    """
    Say that *claim* is broken unless *seen* equals *wanted*.

    >>> expect(1 + 1, 3, "one and one")
    Traceback (most recent call last):
    ...
    AssertionError: one and one: expected 3, got 2
    """
    if seen == wanted:
        return
    where = ""
    if max(len(repr(seen)), len(repr(wanted))) > SHOWN:
        where, seen, wanted = first_difference(seen, wanted)
    raise AssertionError(f"{claim}{where and f', at {where}'}: expected {wanted!r}, got {seen!r}")


class _Nothing:
    """Stands for an item that only the other side has."""

    def __repr__(self) -> str:
        return "nothing"


def first_difference(seen: object, wanted: object) -> tuple[str, object, object]:
    """
    Return where two values first differ, and what is there.

    >>> first_difference({"a": [1, 2], "b": 3}, {"a": [1], "b": 3})
    ("['a'][1]", 2, nothing)
    """
    where = ""
    while (step := _step(seen, wanted)) is not None:
        name, seen, wanted = step
        where += name
    return where.removeprefix("."), seen, wanted


def _step(seen: object, wanted: object) -> tuple[str, object, object] | None:
    """Return the first part in which two values of one shape differ, None if they have none."""
    if type(seen) is not type(wanted):
        return None
    if isinstance(seen, dict) and isinstance(wanted, dict):
        pairs = [
            (f"[{name!r}]", seen.get(name, _Nothing()), wanted.get(name, _Nothing()))
            for name in [*wanted, *(seen.keys() - wanted.keys())]
        ]
    elif isinstance(seen, frozenset) and isinstance(wanted, frozenset):
        return ": what only one has", sorted(seen - wanted), sorted(wanted - seen)
    elif isinstance(seen, (list, tuple)) and isinstance(wanted, (list, tuple)):
        names = getattr(seen, "_fields", None)
        both = zip_longest(seen, wanted, fillvalue=_Nothing())
        pairs = [
            (f".{names[number]}" if names else f"[{number}]", *pair)
            for number, pair in enumerate(both)
        ]
    else:
        return None
    return next((pair for pair in pairs if pair[1] != pair[2]), None)


def expect_raises(kind: type[_Error], call: Callable[[], object], claim: str) -> _Error:
    """
    Say that *claim* is broken unless *call* raises *kind*; return what it raised.

    >>> expect_raises(ZeroDivisionError, lambda: 1 / 0, "no result")
    ZeroDivisionError('division by zero')
    """
    try:
        result = call()
    except kind as error:
        return error
    except TrueCountError as error:
        raise AssertionError(
            f"{claim}: expected {kind.__name__}, got {type(error).__name__}: {error}"
        ) from error
    raise AssertionError(f"{claim}: expected {kind.__name__}, got the result {result!r}")


def patiently(call: Callable[[], _Result]) -> _Result:
    """Return what *call* returns, repeating it while the database is busy."""
    for _ in range(PATIENCE):
        try:
            return call()
        except Retryable as error:
            busy = error
    raise AssertionError(f"a call was still not served after {PATIENCE} attempts: {busy}")


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """
    Run *calls* in threads that start together; return their results, in the order of calls.

    An error of truecount is a result, anything else a call raises is raised here. Threads
    that have not finished within ``DEADLINE`` seconds break the claim that they would.
    """
    barrier = threading.Barrier(len(calls))
    results: list[Any] = [None] * len(calls)
    faults: list[BaseException] = []

    def run(number: int, call: Callable[[], Any]) -> None:
        try:
            barrier.wait(DEADLINE)
            results[number] = call()
        except TrueCountError as error:
            results[number] = error
        except BaseException as error:  # noqa: BLE001 -- it is raised in the calling thread
            faults.append(error)

    threads = [
        threading.Thread(target=run, args=(number, call), daemon=True)
        for number, call in enumerate(calls)
    ]
    for thread in threads:
        thread.start()
    end = time.monotonic() + DEADLINE
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    stuck = [thread for thread in threads if thread.is_alive()]
    if stuck:
        error = AssertionError(
            f"{len(stuck)} of {len(calls)} threads: expected to finish in {DEADLINE} s, got stuck"
        )
        for thread in stuck:
            error.add_note("".join(_where(thread)))
        raise error
    if faults:
        raise faults[0]
    return results


def _where(thread: threading.Thread) -> list[str]:
    """Return the lines that a thread is at, as a traceback shows them."""
    frame = sys._current_frames().get(thread.ident or 0)  # noqa: SLF001 -- the only way to see another thread
    return traceback.format_stack(frame) if frame is not None else ["finished meanwhile"]

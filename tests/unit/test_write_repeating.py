"""A write of our own that failed: who says whether it is tried again, and what the caller hears."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from truecount import MemoryStorage
from truecount.errors import (
    ConstraintViolated,
    InsufficientStock,
    OutcomeUnknown,
    Retryable,
    StorageError,
    StorageUnavailable,
    TrueCountError,
)
from truecount.write.repeating import repeated


DEADLOCK = Retryable("deadlock detected")
LOST = StorageUnavailable("shop", "the connection was lost")
UNKNOWN = OutcomeUnknown("key-1", "the reply was lost")
BROKEN = ConstraintViolated("it is broken")


class Bearing(MemoryStorage):
    """A storage whose failures are borne a number of times."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times
        self.told: list[TrueCountError] = []

    def patience(self) -> Callable[[TrueCountError], bool]:
        """Return what counts failures."""

        def goes_on(problem: TrueCountError) -> bool:
            self.told.append(problem)
            return len(self.told) <= self.times

        return goes_on


def failing(*problems: TrueCountError) -> Callable[[], str]:
    """Return a write that fails with these, one after the other, and then succeeds."""
    left = list(problems)

    def attempt() -> str:
        if left:
            raise left.pop(0)
        return "written"

    return attempt


def test_write_is_tried_again_while_the_storage_says_so() -> None:
    """Every failure is told to the storage, and the result is that of the last attempt."""
    storage = Bearing(3)
    assert repeated(storage, failing(DEADLOCK, LOST, UNKNOWN)) == "written"
    assert storage.told == [DEADLOCK, LOST, UNKNOWN]


def test_storage_without_patience_is_asked_once() -> None:
    """Where nobody knows whether a failure passes it is raised."""
    with pytest.raises(Retryable) as caught:
        repeated(MemoryStorage(), failing(DEADLOCK))
    assert caught.value is DEADLOCK


@pytest.mark.parametrize("last", [DEADLOCK, LOST, BROKEN], ids=lambda error: error.code)
def test_what_was_unknown_once_stays_unknown(last: StorageError | Retryable) -> None:
    """After a lost reply no later failure may claim that nothing was written."""
    with pytest.raises(OutcomeUnknown) as caught:
        repeated(Bearing(1), failing(UNKNOWN, last))
    assert caught.value.key == "key-1"
    assert caught.value.__cause__ is last


@pytest.mark.parametrize(
    "problems", [(DEADLOCK, LOST), (DEADLOCK, UNKNOWN)], ids=["known", "unknown"]
)
def test_last_failure_is_raised_as_it_is(problems: Sequence[TrueCountError]) -> None:
    """If every attempt is known to have written nothing, or the last one was lost, it says so."""
    with pytest.raises(type(problems[-1])) as caught:
        repeated(Bearing(1), failing(*problems))
    assert caught.value is problems[-1]


def test_answer_is_never_asked_for_again() -> None:
    """A refusal is an answer, not a failure."""
    storage = Bearing(9)
    refusal = InsufficientStock("reserve", (("MUG", 2, 1, "at 'berlin'", "floor"),))
    with pytest.raises(InsufficientStock):
        repeated(storage, failing(refusal))
    assert storage.told == []

"""
A write of our own that failed: tried again while its storage says so.

Rules:
1. The storage decides (``Patient``): how often, how long, and after which pause.
2. The keys stay the same, so an attempt that was committed although its reply was lost is
   replayed by the next one.
3. Once a reply was lost nothing but an answer settles it: whatever the later attempts die
   of, the caller hears ``OutcomeUnknown``, never that nothing was written.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from truecount.errors import OutcomeUnknown, Retryable, StorageError, TrueCountError
from truecount.protocols.storage import Patient, Storage


_Result = TypeVar("_Result")


def repeated(storage: Storage, attempt: Callable[[], _Result]) -> _Result:
    """
    Return what *attempt* returns, trying it again while *storage* says so.

    Raises:
        OutcomeUnknown: An attempt may have been committed, and no later one could tell.
        Retryable: The storage gave up; nothing was written.
        StorageError: It failed in a way that does not pass; nothing was written.
    """
    goes_on: Callable[[TrueCountError], bool] | None = None
    unknown: OutcomeUnknown | None = None
    while True:
        try:
            return attempt()
        except (Retryable, StorageError) as problem:
            if isinstance(problem, OutcomeUnknown):
                unknown = problem
            if goes_on is None:
                goes_on = storage.patience() if isinstance(storage, Patient) else _never
            if goes_on(problem):
                continue
            if unknown is None or unknown is problem:
                raise
            raise OutcomeUnknown(unknown.key, unknown.problem) from problem


def _never(_problem: TrueCountError) -> bool:
    return False

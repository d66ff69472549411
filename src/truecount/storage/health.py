"""Checks that doctors of several storages share."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from truecount.model.diagnosis import HealthCheck, told
from truecount.model.instants import Instant
from truecount.model.lines import NEVER


#: Clocks that differ by more are unsafe: holds expire that much too early or too late.
CLOCK_DIFFERENCE_MAX: Final = timedelta(seconds=5)


def clock_check(name: str, microseconds: int) -> HealthCheck:
    """
    Return what a difference of clocks means.

    >>> print(clock_check("clock difference", 90_000_000))
    clock difference is 90.000 s: holds expire that much too early or late; synchronise the clocks
    >>> print(clock_check("clock difference", 1_000))
    clock difference is 0.001 s
    """
    is_far = timedelta(microseconds=abs(microseconds)) > CLOCK_DIFFERENCE_MAX
    why = "holds expire that much too early or late; synchronise the clocks" if is_far else ""
    return told(name, f"{microseconds / 1_000_000:.3f} s", why, unsafe=is_far)


def holds_check(expires_at: Instant | None, now: Instant) -> HealthCheck:
    """
    Return what the hold that expires first says.

    >>> print(holds_check(None, 0))
    oldest open hold is none
    >>> print(holds_check(5_000_000, 65_000_000))
    oldest open hold is expired for 0:01:00: it blocks nobody; let sweep() run, figures show it held
    """
    name = "oldest open hold"
    if expires_at is None:
        return told(name, "none")
    if expires_at >= NEVER:
        return told(name, "without expiry")
    left = timedelta(microseconds=expires_at - now)
    if left > timedelta(0):
        return told(name, f"good for {_whole(left)}")
    why = "it blocks nobody; let sweep() run, figures show it held"
    return told(name, f"expired for {_whole(-left)}", why)


def _whole(span: timedelta) -> timedelta:
    return timedelta(seconds=int(span.total_seconds()))

"""Checks that doctors of several storages share."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Final, NamedTuple

from truecount.errors import InvalidArgument
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


class Behind(NamedTuple):
    """How far a feed has come, seen from a position somebody has dealt with."""

    #: The last position there is, and how many movements have none yet.
    last: int
    unnumbered: int
    #: When the oldest movement was recorded that comes after the position.
    since: Instant | None


def follower_check(name: str, position: int, behind: Behind, now: Instant) -> HealthCheck:
    """
    Return what the position of a follower of the feed says: the age of its outbox.

    >>> print(follower_check("search", 7, Behind(7, 0, None), 0))
    follower 'search' is up to date
    >>> print(follower_check("search", 4, Behind(7, 2, 1_000_000), 61_000_000))
    follower 'search' is 5 movements behind, the oldest 0:01:00 old: what it tells others is ...
    >>> follower_check("search", 9, Behind(7, 0, None), 0).verdict
    <Verdict.UNSAFE: 'unsafe'>
    """
    title = f"follower {name!r}"
    if position > behind.last:
        why = (
            f"the feed ends at {behind.last}: the position is of another ledger, or of one from "
            "before a backup was restored, and movements would be missed; let it begin again at 0"
        )
        return told(title, f"at position {position}", why, unsafe=True)
    if behind.since is None:
        return told(title, "up to date")
    count = behind.last - position + behind.unnumbered
    age = _whole(timedelta(microseconds=max(0, now - behind.since)))
    seen = f"{count} {'movement' if count == 1 else 'movements'} behind, the oldest {age} old"
    return told(title, seen, "what it tells others is that old; let it read on")


def followers(positions: Mapping[str, int] | None) -> list[tuple[str, int]]:
    """
    Return checked positions of followers, by name.

    >>> followers({"search": 7})
    [('search', 7)]

    Raises:
        InvalidArgument: A position is none.
    """
    for name, position in (positions or {}).items():
        if type(position) is not int or position < 0:
            raise InvalidArgument(f"followers[{name!r}]", repr(position), "a position of the feed")
    return sorted((positions or {}).items())


def _whole(span: timedelta) -> timedelta:
    return timedelta(seconds=int(span.total_seconds()))

"""Stand-ins for what the world supplies: a clock moved by hand, ids that count."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import count

from truecount.errors import InvalidTime
from truecount.model.instants import moment


class ManualClock:
    """
    A clock that stands still until it is told to tick.

    Pass it as ``Inventory(clock=...)``. Safe to share between threads. Recorded times run
    ahead of one that stands still: let it tick before comparing a level seen now.

    >>> clock = ManualClock(datetime(2026, 3, 1, 9, 0, tzinfo=UTC))
    >>> clock.tick(timedelta(minutes=15))
    datetime.datetime(2026, 3, 1, 9, 15, tzinfo=datetime.timezone.utc)
    >>> clock() == clock.now
    True

    Raises:
        InvalidTime: *start* has no time zone.
    """

    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC)) -> None:
        self._now = moment(start, "start")

    @property
    def now(self) -> datetime:
        """The time it shows."""
        return self._now

    def __call__(self) -> datetime:
        """Return the time it shows."""
        return self._now

    def tick(self, step: timedelta = timedelta(seconds=1)) -> datetime:
        """
        Move the clock by *step*, back if it is negative, and return the new time.

        Raises:
            InvalidTime: *step* is not a timedelta.
        """
        if not isinstance(step, timedelta):
            raise InvalidTime("step", repr(step), "expected a timedelta")
        self._now += step
        return self._now

    def __repr__(self) -> str:
        return f"ManualClock({self._now.isoformat()})"


class CountingIds:
    """
    A source of ids that counts: the same history has the same ids.

    Pass it as ``Inventory(new_id=...)``. Safe to share between threads. Two sources over one
    storage need different prefixes, because ids are never repeated.

    >>> ids = CountingIds("movement")
    >>> ids(), ids()
    ('movement-000001', 'movement-000002')
    """

    def __init__(self, prefix: str = "id") -> None:
        self._prefix = prefix
        self._numbers = count(1)

    def __call__(self) -> str:
        """Return the next id."""
        return f"{self._prefix}-{next(self._numbers):06d}"

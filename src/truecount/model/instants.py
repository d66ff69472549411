"""
Times at the door.

Callers pass and receive aware ``datetime``; inside, an *instant* is a whole number of
microseconds since 1970-01-01 UTC: exact, cheap to compare, the same in every storage.
Naive times are refused, because nobody can say when they were.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias

from truecount.errors import InvalidTime
from truecount.model import names


#: Microseconds since 1970-01-01T00:00:00Z.
Instant: TypeAlias = int

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
#: Every instant between them can be shown as a UTC datetime.
_FIRST: Final = datetime.min.replace(tzinfo=UTC)
_LAST: Final = datetime.max.replace(tzinfo=UTC)
_DURATION_MAX: Final = timedelta(days=3653)

#: How far ahead of the clock an occurred_at may lie before it is doubted.
SKEW_MAX: Final[Instant] = 5 * 60 * 1_000_000


def moment(value: datetime, name: str = "occurred_at") -> datetime:
    """
    Return *value* if it is an aware datetime within the years 1 to 9999, UTC.

    >>> moment(datetime(2026, 3, 1), "counted_at")
    Traceback (most recent call last):
    ...
    truecount.errors.InvalidTime: cannot use 2026-03-01T00:00:00 as counted_at: \
it has no time zone; pass one, for example datetime.now(UTC)
    """
    problem = _problem_with(value)
    if problem is not None:
        raise InvalidTime(name, _seen(value), problem)
    return value


def _seen(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else names.shown(value)


def _problem_with(value: object) -> str | None:
    if not isinstance(value, datetime):
        return "expected a datetime with a time zone"
    if value.utcoffset() is None:
        return "it has no time zone; pass one, for example datetime.now(UTC)"
    return None if _FIRST <= value <= _LAST else "in UTC it lies outside the years 1 to 9999"


def to_instant(value: datetime) -> Instant:
    """
    Return the instant of an aware datetime, such as the clock returns.

    >>> to_instant(datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC))
    1000000

    Raises:
        InvalidTime: It is no aware datetime.
    """
    try:
        return (value - _EPOCH) // _MICROSECOND
    except TypeError:
        moment(value, "a time")
        raise


def to_datetime(instant: Instant) -> datetime:
    """
    Return the UTC datetime of an instant.

    >>> to_datetime(1_000_000).isoformat()
    '1970-01-01T00:00:01+00:00'
    """
    return _EPOCH + timedelta(0, 0, instant)


def optional_datetime(instant: Instant | None) -> datetime | None:
    """Return the UTC datetime of an instant, None for None."""
    return None if instant is None else to_datetime(instant)


def iso(instant: Instant) -> str:
    """Return the instant as ISO 8601 text, as messages and exports show it."""
    return to_datetime(instant).isoformat()


def duration(value: timedelta, name: str) -> timedelta:
    """
    Return *value* if it is a positive timedelta of at most ten years.

    >>> duration(timedelta(minutes=15), "ttl")
    datetime.timedelta(seconds=900)
    """
    problem = _problem_with_duration(value)
    if problem is not None:
        raise InvalidTime(name, names.shown(value), problem)
    return value


def _problem_with_duration(value: object) -> str | None:
    if not isinstance(value, timedelta):
        return "expected a timedelta, a duration from now"
    if timedelta(0) < value <= _DURATION_MAX:
        return None
    return "expected more than zero and at most ten years"


def microseconds(value: timedelta) -> int:
    """Return a duration as whole microseconds."""
    return value // _MICROSECOND

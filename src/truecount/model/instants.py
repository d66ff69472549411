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


#: Microseconds since 1970-01-01T00:00:00Z.
Instant: TypeAlias = int

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)

#: How far ahead of the clock an occurred_at may lie before it is doubted.
SKEW_MAX: Final[Instant] = 5 * 60 * 1_000_000


def moment(value: object, name: str = "occurred_at") -> datetime:
    """
    Return *value* if it is an aware datetime.

    >>> moment(datetime(2026, 3, 1), "counted_at")
    Traceback (most recent call last):
    ...
    truecount.errors.InvalidTime: cannot use datetime.datetime(2026, 3, 1, 0, 0) as counted_at: \
it has no time zone; pass one, for example datetime.now(UTC)
    """
    if not isinstance(value, datetime):
        raise InvalidTime(name, repr(value), "expected a datetime with a time zone")
    if value.tzinfo is None or value.utcoffset() is None:
        raise InvalidTime(
            name, repr(value), "it has no time zone; pass one, for example datetime.now(UTC)"
        )
    return value


def optional_moment(value: object) -> datetime | None:
    """Return *value* if it is None or an aware datetime."""
    return None if value is None else moment(value)


def to_instant(value: datetime) -> Instant:
    """
    Return the instant of an aware datetime.

    >>> to_instant(datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC))
    1000000
    """
    return (value - _EPOCH) // _MICROSECOND


def to_datetime(instant: Instant) -> datetime:
    """
    Return the UTC datetime of an instant.

    >>> to_datetime(1_000_000).isoformat()
    '1970-01-01T00:00:01+00:00'
    """
    return _EPOCH + timedelta(microseconds=instant)


def optional_datetime(instant: Instant | None) -> datetime | None:
    """Return the UTC datetime of an instant, None for None."""
    return None if instant is None else to_datetime(instant)


def iso(instant: Instant) -> str:
    """Return the instant as ISO 8601 text, as messages and exports show it."""
    return to_datetime(instant).isoformat()


def duration(value: object, name: str) -> timedelta:
    """
    Return *value* if it is a positive timedelta of at most ten years.

    >>> duration(timedelta(minutes=15), "ttl")
    datetime.timedelta(seconds=900)
    """
    if not isinstance(value, timedelta):
        raise InvalidTime(name, repr(value), "expected a timedelta, a duration from now")
    if not timedelta(0) < value <= timedelta(days=3653):
        raise InvalidTime(name, repr(value), "expected more than zero and at most ten years")
    return value


def microseconds(value: timedelta) -> int:
    """Return a duration as whole microseconds."""
    return value // _MICROSECOND

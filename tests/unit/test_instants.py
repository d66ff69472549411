from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone, tzinfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from truecount.errors import InvalidTime
from truecount.model import instants


class NoOffset(tzinfo):
    """A time zone that does not know its offset."""

    def utcoffset(self, _when: datetime | None) -> None:
        """Know nothing."""

    def dst(self, _when: datetime | None) -> None:
        """Know nothing."""

    def tzname(self, _when: datetime | None) -> None:
        """Know nothing."""


EAST, WEST = timezone(timedelta(hours=14)), timezone(timedelta(hours=-12))


class TestMoment:
    @pytest.mark.parametrize(
        "value",
        [
            datetime(2026, 3, 1),  # noqa: DTZ001 -- naive on purpose
            datetime(2026, 3, 1, tzinfo=NoOffset()),
        ],
        ids=["naive", "offset unknown"],
    )
    def test_naive_times_are_refused(self, value: datetime) -> None:
        """Nobody can say when a naive time was."""
        with pytest.raises(InvalidTime, match="it has no time zone; pass one"):
            instants.moment(value, "counted_at")

    @pytest.mark.parametrize("value", [None, 0, "2026-03-01T00:00:00Z", date(2026, 3, 1)])
    def test_only_datetimes_are_times(self, value: object) -> None:
        """Text and numbers are parsed by whoever knows their format."""
        with pytest.raises(InvalidTime, match="expected a datetime"):
            instants.moment(value)  # type: ignore[arg-type]  # the point of the test

    @pytest.mark.parametrize(
        "value",
        [datetime.max.replace(tzinfo=WEST), datetime.min.replace(tzinfo=EAST)],
        ids=["after year 9999", "before year 1"],
    )
    def test_times_that_no_utc_datetime_can_show_are_refused(self, value: datetime) -> None:
        """Stored, they could never be read back."""
        with pytest.raises(InvalidTime, match="outside the years 1 to 9999"):
            instants.moment(value)

    @pytest.mark.parametrize(
        "value", [datetime.max.replace(tzinfo=UTC), datetime.min.replace(tzinfo=UTC)]
    )
    def test_the_first_and_the_last_time_there_are(self, value: datetime) -> None:
        """They pass and come back."""
        assert instants.to_datetime(instants.to_instant(instants.moment(value))) == value


class TestInstant:
    @given(st.datetimes(timezones=st.sampled_from((UTC, EAST, WEST))))
    def test_there_and_back_is_the_same_moment(self, value: datetime) -> None:
        """Microseconds lose nothing, and the time zone is only a way of saying it."""
        try:
            instants.moment(value)
        except InvalidTime:
            return
        back = instants.to_datetime(instants.to_instant(value))
        assert back == value
        assert back.tzinfo is UTC

    def test_order_is_kept(self) -> None:
        """A microsecond later is one more."""
        value = datetime(2026, 3, 1, 12, tzinfo=EAST)
        later = value + timedelta(microseconds=1)
        assert instants.to_instant(later) - instants.to_instant(value) == 1

    def test_nothing_stays_nothing(self) -> None:
        """A time that was not said is None."""
        assert instants.optional_datetime(None) is None
        assert instants.optional_datetime(0) == datetime(1970, 1, 1, tzinfo=UTC)

    def test_iso_is_utc(self) -> None:
        """Messages and exports say times in one way."""
        assert instants.iso(1_000_000) == "1970-01-01T00:00:01+00:00"


class TestDuration:
    @pytest.mark.parametrize("value", [timedelta(microseconds=1), timedelta(days=3653)])
    def test_limits_pass(self, value: timedelta) -> None:
        """A microsecond and ten years are durations."""
        assert instants.duration(value, "ttl") == value

    @pytest.mark.parametrize(
        "value",
        [timedelta(0), timedelta(seconds=-1), timedelta(days=3654), 15, None, "15"],
        ids=repr,
    )
    def test_everything_else_is_refused_by_name(self, value: object) -> None:
        """Nothing, the past, an age and a number."""
        with pytest.raises(InvalidTime, match="as ttl: expected"):
            instants.duration(value, "ttl")  # type: ignore[arg-type]  # the point of the test

    def test_microseconds(self) -> None:
        """Durations are counted as instants are."""
        assert instants.microseconds(timedelta(minutes=15)) == 900_000_000

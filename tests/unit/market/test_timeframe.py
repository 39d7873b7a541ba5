"""Timeframes, held against the calendar of the standard library."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.fields import MAX_TIME_US
from market.timeframe import MINUTE_US, Timeframe, minute_us, next_minute_us

DAY = timedelta(days=1)
LENGTHS = {
    "1m": timedelta(minutes=1), "3m": timedelta(minutes=3), "5m": timedelta(minutes=5), "15m": timedelta(minutes=15),
    "30m": timedelta(minutes=30), "1h": timedelta(hours=1), "2h": timedelta(hours=2), "4h": timedelta(hours=4),
    "6h": timedelta(hours=6), "12h": timedelta(hours=12), "1d": DAY, "1w": 7 * DAY,
}  # fmt: skip
times_ms = st.integers(0, MAX_TIME_US // 1000 - 1)


def at_ms(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> int:
    return int(datetime(year, month, day, hour, minute, tzinfo=UTC).timestamp()) * 1000


def calendar_open(timeframe: str, time_ms: int) -> datetime:
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=time_ms)
    midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
    if timeframe == "1M":
        return midnight.replace(day=1)
    if timeframe == "1w":
        return midnight - at.weekday() * DAY
    return at - (at - midnight) % LENGTHS[timeframe]


def test_every_timeframe_has_the_name_that_the_topics_carry() -> None:
    assert {timeframe.value for timeframe in Timeframe} == {*LENGTHS, "1M"}


@pytest.mark.parametrize("timeframe", Timeframe)
@given(time_ms=times_ms)
def test_a_candle_opens_when_the_calendar_says(timeframe: Timeframe, time_ms: int) -> None:
    opened = calendar_open(timeframe.value, time_ms)
    assert timeframe.open_ms(time_ms) == round(opened.timestamp()) * 1000


@pytest.mark.parametrize("timeframe", Timeframe)
@given(time_ms=times_ms)
def test_candles_follow_each_other_without_a_gap(timeframe: Timeframe, time_ms: int) -> None:
    open_ms = timeframe.open_ms(time_ms)
    end_ms = timeframe.end_ms(open_ms)
    assert open_ms <= time_ms < end_ms
    assert timeframe.open_ms(open_ms) == timeframe.open_ms(end_ms - 1) == open_ms
    assert timeframe.open_ms(end_ms) == end_ms


@pytest.mark.parametrize(
    ("timeframe", "time_ms", "open_ms", "end_ms"),
    [
        (Timeframe.W1, at_ms(2021, 1, 10, 23, 59), at_ms(2021, 1, 4), at_ms(2021, 1, 11)),  # a Sunday
        (Timeframe.W1, at_ms(2021, 1, 11), at_ms(2021, 1, 11), at_ms(2021, 1, 18)),  # a Monday
        (Timeframe.MO1, at_ms(2020, 2, 29, 12), at_ms(2020, 2, 1), at_ms(2020, 3, 1)),
        (Timeframe.MO1, at_ms(2021, 12, 31), at_ms(2021, 12, 1), at_ms(2022, 1, 1)),
        (Timeframe.H4, at_ms(2021, 1, 8, 3, 59), at_ms(2021, 1, 8), at_ms(2021, 1, 8, 4)),
        (Timeframe.D1, at_ms(2021, 1, 8, 3, 59), at_ms(2021, 1, 8), at_ms(2021, 1, 9)),
    ],
)
def test_known_candles(timeframe: Timeframe, time_ms: int, open_ms: int, end_ms: int) -> None:
    assert (timeframe.open_ms(time_ms), timeframe.end_ms(open_ms)) == (open_ms, end_ms)


@given(st.integers(0, MAX_TIME_US - 1))
def test_minutes(time_us: int) -> None:
    assert minute_us(time_us) == time_us // MINUTE_US * MINUTE_US
    assert next_minute_us(time_us) == (
        minute_us(time_us) if time_us % MINUTE_US == 0 else minute_us(time_us) + MINUTE_US
    )

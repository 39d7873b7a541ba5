"""How long candles are, and when they open."""

import pytest

from market.timeframe import DAY_MS, HOUR_MS, MINUTE_MS, Timeframe
from serving.lengths import CandleLength

T0 = 1_610_064_000_000  # 2021-01-08 00:00 UTC, a Friday


@pytest.mark.parametrize("timeframe", Timeframe)
@pytest.mark.parametrize("time_ms", [0, T0, T0 + 12_345_678, 1_709_164_800_000, 4_102_444_799_999])
def test_windows_of_a_timeframe_are_those_of_the_pipeline(timeframe: Timeframe, time_ms: int) -> None:
    length = CandleLength.parse(timeframe.value)
    assert length.timeframe is timeframe
    assert length.open_ms(time_ms) == timeframe.open_ms(time_ms)
    assert length.end_ms(length.open_ms(time_ms)) == timeframe.end_ms(timeframe.open_ms(time_ms))


@pytest.mark.parametrize(
    ("text", "opened_ms", "length_ms"),
    [
        ("7m", T0 - 2 * MINUTE_MS - T0 % (7 * MINUTE_MS) + 2 * MINUTE_MS, 7 * MINUTE_MS),
        ("90m", T0 - T0 % (90 * MINUTE_MS), 90 * MINUTE_MS),
        ("3d", T0 - (T0 // DAY_MS % 3) * DAY_MS, 3 * DAY_MS),
        ("2w", 1_609_718_400_000 - 7 * DAY_MS * ((1_609_718_400_000 - 4 * DAY_MS) // (7 * DAY_MS) % 2), 14 * DAY_MS),
        ("3M", 1_609_459_200_000, 90 * DAY_MS),
    ],
)
def test_other_windows_are_counted_from_1970(text: str, opened_ms: int, length_ms: int) -> None:
    length = CandleLength.parse(text)
    assert (length.open_ms(T0), length.end_ms(opened_ms)) == (opened_ms, opened_ms + length_ms)
    assert length.minutes(opened_ms) == length_ms // MINUTE_MS
    assert (str(length), length.timeframe) == (text, None)


def test_equal_lengths_have_one_name() -> None:
    names = {text: str(CandleLength.parse(text)) for text in ("60m", "24h", "1440m", "7d", "12M", "120m")}
    assert names == {"60m": "1h", "24h": "1d", "1440m": "1d", "7d": "7d", "12M": "12M", "120m": "2h"}
    assert CandleLength.parse("1h").fixed_ms == HOUR_MS


@pytest.mark.parametrize("text", ["", "m", "0m", "-1m", "1", "1s", "1.5h", "07m", "1y", "13M", "9999999m", "٣m", "1m "])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="must be"):
        CandleLength.parse(text)


@pytest.mark.parametrize(
    ("text", "hours", "opened_ms"),
    [
        ("1d", 8, T0 - 8 * HOUR_MS),
        ("1d", -1, T0 + HOUR_MS - DAY_MS),
        ("1h", 8, T0),
        ("1w", 8, T0 - 4 * DAY_MS - 8 * HOUR_MS),
        ("1M", 8, T0 - 7 * DAY_MS - 8 * HOUR_MS),
        ("1M", -12, T0 - 7 * DAY_MS + 12 * HOUR_MS),
    ],
)
def test_windows_of_another_time_zone_begin_at_its_midnight(text: str, hours: int, opened_ms: int) -> None:
    utc = CandleLength.parse(text)
    length = utc._replace(offset_ms=hours * HOUR_MS)
    assert length.open_ms(T0) == opened_ms
    assert length.open_ms(opened_ms) == opened_ms
    assert length.open_ms(opened_ms - 1) < opened_ms
    assert length.open_ms(length.end_ms(opened_ms) - 1) == opened_ms
    assert length.open_ms(length.end_ms(opened_ms)) == length.end_ms(opened_ms)
    assert length.windows_in(opened_ms, length.end_ms(length.end_ms(opened_ms))) == 2
    assert length.timeframe is (utc.timeframe if text == "1h" else None)

"""What an open candle is made of, and how many candles there would be."""

import pytest

from market.candle import Status
from market.timeframe import DAY_MS, HOUR_MS, MINUTE_MS
from serving.encoded import EncodedCandle
from serving.lengths import CandleLength
from serving.planner import SourcedCandle, SpanMs, Tier
from serving.present import PresentCandles, parts_of

T0 = 1_610_064_000_000  # 2021-01-08 00:00 UTC


@pytest.mark.parametrize(
    ("from_ms", "until_ms", "parts"),
    [
        (T0, T0, []),
        (T0, T0 + 3 * MINUTE_MS, ["1m 3"]),
        (T0, T0 + 2 * DAY_MS + HOUR_MS + MINUTE_MS, ["1d 2", "1h 1", "1m 1"]),
        (T0 - 15 * MINUTE_MS, T0 + DAY_MS + HOUR_MS, ["1m 15", "1d 1", "1h 1"]),
        (T0 + 45 * MINUTE_MS, T0 + 2 * HOUR_MS + MINUTE_MS, ["1m 15", "1h 1", "1m 1"]),
    ],
)
def test_whole_minutes_are_as_few_candles_as_there_can_be(from_ms: int, until_ms: int, parts: list[str]) -> None:
    told = parts_of(SpanMs(from_ms, until_ms))
    assert [f"{length} {(span.until_ms - span.from_ms) // length.fixed_ms}" for length, span in told] == parts
    assert [edge for _, span in told for edge in span][1:-1:2] == [span.from_ms for _, span in told][1:]
    assert all(length.open_ms(span.from_ms) == span.from_ms for length, span in told)


@pytest.mark.parametrize(("length", "last", "expected"), [("7m", T0, 1), ("1h", T0 + 5 * HOUR_MS, 6), ("1M", T0, 1)])
def test_expected_are_all_from_the_first_to_the_last(length: str, last: int, expected: int) -> None:
    there = PresentCandles(length=CandleLength.parse(length))
    assert there.expected == 0
    for open_ms in (T0, last):
        opened = there.length.open_ms(open_ms)
        there.candles[opened] = SourcedCandle(EncodedCandle(opened, 1, Status.COMPLETE, 1, b""), (Tier.HOT,))
    assert there.expected == expected

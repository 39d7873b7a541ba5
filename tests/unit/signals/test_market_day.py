"""A market's day is the same however its minutes came: equal to one that is made anew of what the minutes say last."""

import math
import statistics
from decimal import Decimal

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from many_markets import candle

from market.candle import Candle
from market.codec import decode_candle
from market.decimals import plain
from market.limits import SIGNAL_VALUE
from processors.signals.market_day import DAY_MINUTES, MarketDay
from processors.signals.numbers import (
    ABSENT,
    MAD_TO_DEVIATION,
    MEAN_TO_DEVIATION,
    OrderedLogs,
    log_units,
    rounded,
    significant,
)

FIRST = 28_000_000


def made(minute: int, close: int, volume: int, revision: int, trades: int) -> Candle:
    return decode_candle(candle("x:A-B", minute, close, volume, revision, trades=trades))


changes = st.lists(
    st.tuples(st.integers(0, 90), st.integers(1, 50), st.integers(0, 3), st.integers(0, 2)), min_size=1, max_size=60
)


def figures(day: MarketDay) -> tuple[object, ...]:
    returns = tuple(day.return_of(minute) for minute in range(day.newest - DAY_MINUTES + 1, day.newest + 1))
    return (
        returns,
        tuple(day.close_of(minute) for minute in range(day.newest - DAY_MINUTES + 1, day.newest + 1)),
        day.minutes, day.alive_minutes, day.last_alive, day.last_minute, day.last_revision, day.quote_volume,
        day.hour_squares, day.hour_returns, day.usual_square(1, 1), len(day.volume_logs), len(day.return_logs),
        *(logs.spread(robust=robust) for logs in (day.volume_logs, day.return_logs) for robust in (True, False)
          if len(logs) > 1),
    )  # fmt: skip


@given(changes, st.sampled_from([0, 3, 60, 200]))
@example([(0, 1, 1, 0), (1, 2, 1, 1), (1, 2, 1, 0)], 60)
@settings(max_examples=60, deadline=None)
def test_corrected_in_any_order_it_is_as_if_the_newest_had_come_alone(
    changed: list[tuple[int, int, int, int]], later: int
) -> None:
    day, newest = MarketDay(FIRST + 90), dict[int, Candle]()
    for revision, (number, close, volume, trades) in enumerate(changed):
        one = made(FIRST + number, close, volume, revision, trades)
        assert day.put(FIRST + number, one)
        assert not day.put(FIRST + number, one)
        newest[FIRST + number] = one
    again = MarketDay(FIRST - 1)
    for minute in range(FIRST, FIRST + 91):
        again.advance(minute)
        if minute in newest:
            again.put(minute, newest[minute])
    day.advance(FIRST + 90 + later)
    again.advance(FIRST + 90 + later)
    assert figures(day) == figures(again)
    assert day.oldest == again.oldest == min([*newest, FIRST + 91 + later])


def test_nothing_stays_of_what_is_older_than_a_day() -> None:
    day = MarketDay(FIRST - 1)
    for minute in range(FIRST, FIRST + 3 * DAY_MINUTES):
        day.advance(minute)
        if minute < FIRST + DAY_MINUTES:
            day.put(minute, made(minute, 1 + minute % 7, minute % 3, 1, 1))
    empty = MarketDay(day.newest)
    assert figures(day)[1] == figures(empty)[1]
    assert (day.minutes, day.alive_minutes, day.quote_volume, len(day.volume_logs), len(day.return_logs)) == (0,) * 5
    assert day.usual_square(1, 1) is None
    assert not day.put(day.newest - DAY_MINUTES, made(FIRST, 1, 1, 9, 1))


def test_a_jump_over_more_than_a_day_empties_it() -> None:
    day = MarketDay(FIRST)
    day.put(FIRST, made(FIRST, 5, 1, 1, 1))
    day.advance(FIRST + DAY_MINUTES)
    assert figures(day) == figures(MarketDay(FIRST + DAY_MINUTES))


def test_a_minute_without_a_candle_is_no_jump() -> None:
    day = MarketDay(FIRST + 3)
    for number, close in ((0, 10), (1, 11), (3, 30)):
        day.put(FIRST + number, made(FIRST + number, close, 1, 1, 1))
    assert [day.return_of(FIRST + number) for number in range(4)] == [ABSENT, log_units(1.1), ABSENT, ABSENT]


@given(st.lists(st.integers(-(10**15), 10**15), min_size=2, max_size=40), st.data())
def test_median_mad_mean_and_deviation_are_those_of_the_values(values: list[int], data: st.DataObject) -> None:
    logs = OrderedLogs()
    for value in values:
        logs.add(value)
    gone = data.draw(st.lists(st.sampled_from(range(len(values))), unique=True, max_size=len(values) - 2))
    for index in gone:
        logs.remove(values[index])
    left = [value for index, value in enumerate(values) if index not in gone]
    center = statistics.median(left)
    distances = [abs(value - center) for value in left]
    deviation = max(MAD_TO_DEVIATION * statistics.median(distances), MEAN_TO_DEVIATION * statistics.fmean(distances))
    assert logs.spread(robust=True) == (center, pytest.approx(deviation, rel=1e-12))
    assert logs.spread(robust=False) == (
        pytest.approx(statistics.fmean(left), rel=1e-12), pytest.approx(statistics.stdev(left), rel=1e-9),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (9.87654321098765e19, "98765432109900000000"), (1.5e11, "150000000000"), (12345.678901234567, "12345.6789012"),
        (1.23456789012345e-10, "0.000000000123456789"), (-1e-19, "0"), (0.0, "0"), (-2.5, "-2.5"),
    ],
)  # fmt: skip
def test_numbers_are_told_to_twelve_digits_and_within_what_stores_hold(value: float, told: str) -> None:
    assert plain(significant(value)) == told
    assert SIGNAL_VALUE.holds(significant(value))
    assert SIGNAL_VALUE.holds(rounded(value, 4))


def test_logarithms_are_rounded_to_a_millionth_of_a_millionth() -> None:
    assert log_units(math.e) == 10**12
    assert log_units(float(Decimal("1e-18"))) == round(-18 * math.log(10) * 10**12)

"""Longer candles out of a day's minutes: which windows a minute lies in, and the candle of one that is whole."""

from collections.abc import Iterable, Iterator

from market.candle import Candle
from market.key import MarketKey
from market.timeframe import DAY_MS, MINUTE_MS, Timeframe
from processors.rolling.day import Day

TIMEFRAMES = (
    Timeframe.M3, Timeframe.M5, Timeframe.M15, Timeframe.M30, Timeframe.H1,
    Timeframe.H2, Timeframe.H4, Timeframe.H6, Timeframe.H12, Timeframe.D1,
)  # fmt: skip
"""Shortest first. A window of any of them lies in one UTC day."""
_MINUTES = {timeframe: timeframe.end_ms(0) // MINUTE_MS for timeframe in TIMEFRAMES}


def windows(minutes: Iterable[int]) -> Iterator[tuple[Timeframe, int, int]]:
    """The windows that hold one of these minutes of a day: timeframe, first minute, first minute behind."""
    for timeframe, length in _MINUTES.items():
        for number in sorted({minute // length for minute in minutes}):
            yield timeframe, number * length, (number + 1) * length


def window_candle(key: str, day: int, minutes: Day, window: tuple[Timeframe, int, int]) -> Candle | None:
    """The candle of `window` in the day with that number since 1970; None where not all its minutes are there."""
    timeframe, since, until = window
    found = minutes.sum(since, until) if minutes.is_whole(since, until) else None
    if found is None:
        return None
    exchange, symbol = MarketKey.parse(key)
    return Candle(
        exchange=exchange,
        symbol=symbol,
        timeframe=timeframe,
        open_time_ms=day * DAY_MS + since * MINUTE_MS,
        close_time_ms=day * DAY_MS + until * MINUTE_MS - 1,
        open=found.open,
        high=found.high,
        low=found.low,
        close=found.close,
        volume=found.volume,
        quote_volume=found.quote_volume,
        trades=found.trades,
        taker_buy_volume=found.taker_buy_volume,
        taker_buy_quote_volume=found.taker_buy_quote_volume,
        first_trade_id=found.first_trade_id,
        last_trade_id=found.last_trade_id,
        revision=found.revision,
        status=found.status,
    )

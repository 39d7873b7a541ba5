"""Longer candles out of a day's minutes: which windows a minute lies in, and the candle of a whole window."""

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
    """The windows that hold any of these minutes of a day: timeframe, first minute, and the minute after the last."""
    for timeframe, length in _MINUTES.items():
        for number in sorted({minute // length for minute in minutes}):
            yield timeframe, number * length, (number + 1) * length


def window_candle(key: str, day: int, minutes: Day, window: tuple[Timeframe, int, int]) -> Candle | None:
    """The candle of `window` in the day with that number since 1970; None if one of its minutes is missing."""
    timeframe, since, until = window
    whole = minutes.sum(since, until) if minutes.is_whole(since, until) else None
    if whole is None:
        return None
    exchange, symbol = MarketKey.parse(key)
    return Candle(
        exchange=exchange,
        symbol=symbol,
        timeframe=timeframe,
        open_time_ms=day * DAY_MS + since * MINUTE_MS,
        close_time_ms=day * DAY_MS + until * MINUTE_MS - 1,
        open=whole.open,
        high=whole.high,
        low=whole.low,
        close=whole.close,
        volume=whole.volume,
        quote_volume=whole.quote_volume,
        trades=whole.trades,
        taker_buy_volume=whole.taker_buy_volume,
        taker_buy_quote_volume=whole.taker_buy_quote_volume,
        first_trade_id=whole.first_trade_id,
        last_trade_id=whole.last_trade_id,
        revision=whole.revision,
        status=whole.status,
    )

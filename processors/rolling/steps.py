"""The timeframes, each made of parts of the step below: of minutes, of hours, or of days."""

from functools import lru_cache

from market.key import MarketKey
from market.texts import CandleTexts, encode_texts
from market.timeframe import DAY_MS, HOUR_MS, MINUTE_MS, Timeframe
from processors.rolling.amounts import Scale, price_text, texts_at
from processors.rolling.sums import STATUSES, Sum

OF_MINUTES = (Timeframe.M3, Timeframe.M5, Timeframe.M15, Timeframe.M30)
"""A window of these lies in one UTC hour."""
OF_HOURS = (Timeframe.H1, Timeframe.H2, Timeframe.H4, Timeframe.H6, Timeframe.H12, Timeframe.D1)
"""A window of these lies in one UTC day."""
OF_DAYS = (Timeframe.W1, Timeframe.MO1)
TIMEFRAMES = (*OF_MINUTES, *OF_HOURS, *OF_DAYS)
"""Shortest first."""
MINUTES_OF = {timeframe: timeframe.end_ms(0) // MINUTE_MS for timeframe in OF_MINUTES}
HOURS_OF = {timeframe: timeframe.end_ms(0) // HOUR_MS for timeframe in OF_HOURS}


def days_of(timeframe: Timeframe, day: int) -> range:
    """The days (since 1970) of the window that holds a day."""
    open_ms = timeframe.open_ms(day * DAY_MS)
    return range(open_ms // DAY_MS, timeframe.end_ms(open_ms) // DAY_MS)


market_of = lru_cache(maxsize=16_384)(MarketKey.parse)
"""The market of a key."""


def candle_bytes(key: str, timeframe: Timeframe, open_ms: int, whole: Sum, scale: Scale) -> bytes:
    """A value of `md.candles.*.v1`; `scale` is the sum's."""
    exchange, symbol = market_of(key)
    price, volume_text, quote_text = scale.price, texts_at(scale.volume), texts_at(scale.quote)
    return encode_texts(
        CandleTexts(
            exchange,
            symbol,
            timeframe,
            open_ms,
            timeframe.end_ms(open_ms) - 1,
            price_text(whole.open, price),
            price_text(whole.high, price),
            price_text(whole.low, price),
            price_text(whole.close, price),
            volume_text(whole.volume),
            quote_text(whole.quote_volume),
            whole.trades,
            volume_text(whole.taker_buy_volume),
            quote_text(whole.taker_buy_quote_volume),
            whole.first_trade_id,
            whole.last_trade_id,
            whole.revision,
            STATUSES[whole.rank],
        )
    )

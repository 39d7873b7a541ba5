"""Candles and tickers as they stand in JSON, with their amounts as canonical texts.

`market.codec` makes them of models with decimals, the rolling processor of whole numbers: so the bytes are the same.
`market.codec` alone decides what a record may hold.
"""

import msgspec

from market.candle import Status

encode_texts = msgspec.json.Encoder().encode
"""The bytes of a record: those of orjson, in half the time."""


class CandleTexts(msgspec.Struct, gc=False):
    """A candle; fields as `market.candle.Candle`."""

    exchange: str
    symbol: str
    timeframe: str
    open_time_ms: int
    close_time_ms: int
    open: str
    high: str
    low: str
    close: str
    volume: str
    quote_volume: str
    trades: int
    taker_buy_volume: str
    taker_buy_quote_volume: str
    first_trade_id: str | None
    last_trade_id: str | None
    revision: int
    status: Status


class WindowTexts(msgspec.Struct, gc=False):
    """A window; fields as `market.ticker.Window`."""

    minutes: int
    open: str
    high: str
    low: str
    close: str
    change: str
    change_percent: str
    vwap: str | None
    volume: str
    quote_volume: str
    taker_buy_volume: str
    trades: int
    status: Status
    since_ms: int
    missing: int
    taker_buy_share: str | None
    realised_volatility: str | None


class TickerTexts(msgspec.Struct):
    """A ticker; fields as `market.ticker.Ticker`."""

    exchange: str
    symbol: str
    time_ms: int
    last: str
    live: bool
    revision: int
    windows: dict[str, WindowTexts]

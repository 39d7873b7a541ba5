"""Rolling statistics of a symbol: one ticker holds the sliding 1 h and 24 h windows."""

from decimal import Decimal

from msgspec import Struct

from market.candle import Status
from market.fields import Count, Name, TimeMs
from market.key import OfMarket


class Window(Struct, frozen=True, kw_only=True):
    """The whole minutes of one sliding window that ends with the ticker's `time_ms`."""

    minutes: Count
    """How many of the window's minutes had a candle."""
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    change: Decimal
    change_percent: Decimal
    """Rounded half-even to four places; all other numbers but `vwap` are exact."""
    vwap: Decimal | None
    """quote_volume / volume, rounded half-even to 18 places; None without volume."""
    volume: Decimal
    quote_volume: Decimal
    taker_buy_volume: Decimal
    trades: Count
    status: Status
    """The worst status of the window's candles."""


class Ticker(OfMarket, frozen=True, kw_only=True):
    """A record of `md.tickers.v1`. With `live` the open minute is in it: only tickers without are equal in a replay."""

    time_ms: TimeMs
    """End of the newest minute in the windows (with `live`: of the open minute), UTC milliseconds."""
    last: Decimal
    live: bool
    revision: Count
    """The greatest revision of the candles in it."""
    windows: dict[Name, Window]
    """By name: ``1h``, ``24h``."""

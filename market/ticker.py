"""Rolling statistics of a symbol: one ticker holds the sliding 1 h, 24 h and 7 d windows."""

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
    since_ms: TimeMs | None = None
    """Where the window begins. This and the fields below are None in tickers of the first form."""
    missing: Count | None = None
    """How many of the window's minutes had no candle."""
    taker_buy_share: Decimal | None = None
    """taker_buy_volume / volume, rounded half-even to six places; None without volume."""
    realised_volatility: Decimal | None = None
    """The square root of the sum of squared logarithmic returns, to twelve places, not annualised; None if there are
    fewer than two returns (Andersen, Bollerslev, Diebold, Labys: The distribution of realized exchange rate volatility,
    2001). Between closes of minutes (``1h``), of five minutes (``24h``), of hours (``7d``)."""


class Ticker(OfMarket, frozen=True, kw_only=True):
    """A record of `md.tickers.v1`. With `live` the open minute is in it: only tickers without are equal in a replay."""

    time_ms: TimeMs
    """End of the newest minute in the windows (with `live`: of the open minute), UTC milliseconds."""
    last: Decimal
    live: bool
    revision: Count
    """The greatest revision of the candles in it."""
    windows: dict[Name, Window]
    """By name: ``1h``, ``24h``, ``7d``."""

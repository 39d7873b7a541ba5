"""What an exchange itself says of a minute: its kline stands in if the minute's trades cannot be had."""

from decimal import Decimal

from msgspec import Struct

from market.fields import Count, TimeMs


class GivenCandle(Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """The fields of a `Candle` that an exchange gives; None: not given. Times are UTC milliseconds."""

    open_time_ms: TimeMs
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    quote_volume: Decimal | None = None
    trades: Count | None = None
    """As the exchange counts them: it may count fills where our trades are aggregates of several."""
    taker_buy_volume: Decimal | None = None
    taker_buy_quote_volume: Decimal | None = None

"""Bars: as long as it takes to trade so many trades, so much volume or so much money."""

from decimal import Decimal
from enum import StrEnum

from market.candle import Status
from market.fields import Count, Name, Ordinal, TimeUs
from market.key import OfMarket


class BarKind(StrEnum):
    """What a bar counts."""

    TICK = "tick"
    """Trades."""
    VOLUME = "volume"
    """What was traded, in base units."""
    DOLLAR = "dollar"
    """What was paid, in quote units."""


class Bar(OfMarket, frozen=True, kw_only=True, gc=False):
    """One closed bar, in the fields of `md.bars.v1`. A greater `revision` replaces others."""

    kind: BarKind
    threshold: Decimal
    """A bar closes with the trade that brings the total since `series_begin_us` to the next multiple of this."""
    series_begin_us: TimeUs
    """The minute from which on its series counts; a series that begins anew begins with number 1 again."""
    number: Ordinal
    open_time_us: TimeUs
    close_time_us: TimeUs
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    quote_volume: Decimal
    trades: Ordinal
    taker_buy_volume: Decimal
    taker_buy_quote_volume: Decimal
    first_trade_id: Name
    last_trade_id: Name
    remainder: Decimal
    """How far the total has come beyond the multiple: it counts toward the next bar."""
    late_trades: Count
    """Trades of the bar's range that came after it was made: they are in no bar."""
    revision: Count
    status: Status
    """The worst of the minutes that it spans: the first is the one in which the bar before it closed."""

"""Several minutes as one: the values of a minute, of a longer candle, or of a window."""

# ruff: noqa: PLR1730  # a call of min or max takes four times as long as a comparison
from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from market.candle import Status
from processors.rolling.amounts import Scale

STATUSES = tuple(Status)
"""By rank."""


class Sum(Struct, frozen=True, gc=False):
    """Minutes that follow each other, added up; amounts at the scale of their market."""

    open: int
    high: int
    low: int
    close: int
    volume: int
    quote_volume: int
    taker_buy_volume: int
    taker_buy_quote_volume: int
    trades: int
    revision: int
    """The greatest."""
    rank: int
    """Of the worst status."""
    first_trade_id: str | None
    last_trade_id: str | None


def rescaled(value: Sum, before: Scale, scale: Scale) -> Sum:
    """The same amounts at a finer scale."""
    price, volume, quote = (10 ** (finer - places) for places, finer in zip(before, scale, strict=True))
    return replace(
        value,
        open=value.open * price,
        high=value.high * price,
        low=value.low * price,
        close=value.close * price,
        volume=value.volume * volume,
        quote_volume=value.quote_volume * quote,
        taker_buy_volume=value.taker_buy_volume * volume,
        taker_buy_quote_volume=value.taker_buy_quote_volume * quote,
    )


def joined(parts: Sequence[Sum]) -> Sum:
    """One sum of several that follow each other; there must be one."""
    first = parts[0]
    high, low = first.high, first.low
    volume = quote_volume = taker_buy_volume = taker_buy_quote_volume = trades = 0
    revision, rank, first_id, last_id = first.revision, first.rank, None, None
    for part in parts:
        if part.high > high:
            high = part.high
        if part.low < low:
            low = part.low
        volume += part.volume
        quote_volume += part.quote_volume
        taker_buy_volume += part.taker_buy_volume
        taker_buy_quote_volume += part.taker_buy_quote_volume
        trades += part.trades
        if part.revision > revision:
            revision = part.revision
        if part.rank > rank:
            rank = part.rank
        if part.first_trade_id is not None:
            first_id = first_id or part.first_trade_id  # an id has at least one letter
            last_id = part.last_trade_id
    return Sum(
        first.open,
        high,
        low,
        parts[-1].close,
        volume,
        quote_volume,
        taker_buy_volume,
        taker_buy_quote_volume,
        trades,
        revision,
        rank,
        first_id,
        last_id,
    )

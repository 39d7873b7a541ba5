"""The records of tickers, each made one by one: its numbers as texts.

`processors.rolling.ticker_table` makes the same of many at once.
"""

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple

from market.texts import TickerTexts, WindowTexts, encode_texts
from processors.rolling.amounts import Scale, price_text, quotient, texts_at
from processors.rolling.steps import market_of
from processors.rolling.sums import STATUSES

CHANGE_PERCENT_PLACES = 4
VWAP_PLACES = 18
SHARE_PLACES = 6
VOLATILITY_PLACES = 12
NO_VOLATILITY = -1
_percent_text = texts_at(CHANGE_PERCENT_PLACES)
_vwap_text = texts_at(VWAP_PLACES)
_share_text = texts_at(SHARE_PLACES)
_volatility_text = texts_at(VOLATILITY_PLACES)


class WindowNumbers(NamedTuple):
    """A window; fields as `market.ticker.Window`, amounts at the scale of the market."""

    minutes: int
    open: int
    high: int
    low: int
    close: int
    volume: int
    quote_volume: int
    taker_buy_volume: int
    trades: int
    rank: int
    """Of the status."""
    since_ms: int
    missing: int
    volatility: int
    """By `VOLATILITY_PLACES`, or `NO_VOLATILITY`."""


class TickerNumbers(NamedTuple):
    """A ticker; fields as `market.ticker.Ticker`."""

    key: str
    scale: Scale
    time_ms: int
    is_live: bool
    revision: int
    windows: Sequence[WindowNumbers]


def encode_ticker(ticker: TickerNumbers, names: Sequence[str]) -> bytes:
    """The record of a ticker whose windows have these names."""
    _, _, time_ms, is_live, revision, _ = ticker
    windows = {name: _texts(window, ticker.scale) for name, window in zip(names, ticker.windows, strict=True)}
    last = price_text(ticker.windows[-1].close, ticker.scale.price)
    return encode_texts(TickerTexts(*market_of(ticker.key), time_ms, last, is_live, revision, windows))


def _texts(window: WindowNumbers, scale: Scale) -> WindowTexts:
    volume, quote_volume = window.volume, window.quote_volume
    taker_buy_volume, varied = window.taker_buy_volume, window.volatility
    change = window.close - window.open
    volume_text = texts_at(scale.volume)
    times, by = _vwap_factors(scale)
    return WindowTexts(
        window.minutes,
        price_text(window.open, scale.price),
        price_text(window.high, scale.price),
        price_text(window.low, scale.price),
        price_text(window.close, scale.price),
        texts_at(scale.price)(change),
        _percent_text(quotient(change * 10 ** (2 + CHANGE_PERCENT_PLACES), window.open)),
        _vwap_text(quotient(quote_volume * times, volume * by)) if volume else None,
        volume_text(volume),
        texts_at(scale.quote)(quote_volume),
        volume_text(taker_buy_volume),
        window.trades,
        STATUSES[window.rank],
        window.since_ms,
        window.missing,
        _share_text(quotient(taker_buy_volume * 10**SHARE_PLACES, volume)) if volume else None,
        None if varied == NO_VOLATILITY else _volatility_text(varied),
    )


@cache
def _vwap_factors(scale: Scale) -> tuple[int, int]:
    places = VWAP_PLACES + scale.volume - scale.quote
    return 10 ** max(0, places), 10 ** max(0, -places)

"""Statistics of a market's candles: returns, volatility, volume, and how two markets move together. Pure.

Prices and sums are exact. What needs a logarithm or a root is computed in floats and rounded half-even to six places.
A return is the logarithm of a close over the close of the candle right before it: a missing candle is no jump.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Context, Decimal
from itertools import combinations, pairwise

from msgspec import Struct

from market.decimals import EXACT, ZERO
from market.fields import TimeMs

LEAST_RETURNS = 10
"""That two markets must have at the same times, for a correlation to be told."""
_PLACES = Decimal("0.000001")
_WIDE = Context(prec=80, rounding=ROUND_HALF_EVEN)
"""Quotients are computed to so many digits before they are rounded."""


class CandleFigures(Struct, frozen=True, kw_only=True, gc=False):
    """What is read of a candle."""

    open_time_ms: TimeMs
    close_time_ms: TimeMs
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    quote_volume: Decimal
    taker_buy_volume: Decimal
    trades: int


class MomentFigure(Struct, frozen=True, kw_only=True):
    """A number of the candle that opened at that time."""

    open_time_ms: int
    value: Decimal


class MarketFigures(Struct, frozen=True, kw_only=True):
    """Of all candles that are there, of which there is one at least. Percentages are of prices."""

    first_open_time_ms: int
    last_close_time_ms: int
    open: Decimal
    close: Decimal
    high: Decimal
    low: Decimal
    change_percent: Decimal
    returns: int
    """How many candles stand right behind another: only these have a return."""
    mean_return_percent: Decimal | None
    return_deviation_percent: Decimal | None
    """The standard deviation of a sample; None: fewer than two returns."""
    realised_volatility_percent: Decimal | None
    """The root of the sum of squared returns, not annualised."""
    best_return_percent: MomentFigure | None
    worst_return_percent: MomentFigure | None
    greatest_drawdown_percent: Decimal
    """From the highest close to a later one."""
    volume: Decimal
    quote_volume: Decimal
    vwap: Decimal | None
    taker_buy_share: Decimal | None
    trades: int
    busiest: MomentFigure
    """The greatest volume of a candle."""
    median_volume: Decimal


class CorrelationFigure(Struct, frozen=True, kw_only=True):
    """Pearson's coefficient of two markets' returns at the same times."""

    first: str
    second: str
    coefficient: Decimal
    returns: int


def returns_of(candles: Sequence[CandleFigures]) -> dict[int, float]:
    """Open time → logarithmic return; candles are in order."""
    return {
        later.open_time_ms: math.log(_WIDE.divide(later.close, earlier.close))
        for earlier, later in pairwise(candles)
        if later.open_time_ms == earlier.close_time_ms + 1
    }


def market_figures(candles: Sequence[CandleFigures]) -> MarketFigures:
    """Of candles in order, one at least."""
    returns = returns_of(candles)
    values = list(returns.values())
    volume = quote_volume = bought = ZERO
    for candle in candles:
        volume = EXACT.add(volume, candle.volume)
        quote_volume = EXACT.add(quote_volume, candle.quote_volume)
        bought = EXACT.add(bought, candle.taker_buy_volume)
    busiest = max(candles, key=lambda candle: candle.volume)
    return MarketFigures(
        first_open_time_ms=candles[0].open_time_ms,
        last_close_time_ms=candles[-1].close_time_ms,
        open=candles[0].open,
        close=candles[-1].close,
        high=max(candle.high for candle in candles),
        low=min(candle.low for candle in candles),
        change_percent=_percent(_WIDE.subtract(candles[-1].close, candles[0].open), candles[0].open),
        returns=len(values),
        mean_return_percent=_rounded(100 * statistics.fmean(values)) if values else None,
        return_deviation_percent=_rounded(100 * statistics.stdev(values)) if len(values) > 1 else None,
        realised_volatility_percent=_rounded(100 * math.sqrt(sum(value * value for value in values)))
        if values
        else None,
        best_return_percent=_moment(returns, max(returns, key=returns.__getitem__, default=None)),
        worst_return_percent=_moment(returns, min(returns, key=returns.__getitem__, default=None)),
        greatest_drawdown_percent=_drawdown(candles),
        volume=volume,
        quote_volume=quote_volume,
        vwap=_rounded(_WIDE.divide(quote_volume, volume)) if volume else None,
        taker_buy_share=_rounded(_WIDE.divide(bought, volume)) if volume else None,
        trades=sum(candle.trades for candle in candles),
        busiest=MomentFigure(open_time_ms=busiest.open_time_ms, value=busiest.volume),
        median_volume=statistics.median_low(candle.volume for candle in candles),
    )


def correlations(returns: Mapping[str, Mapping[int, float]]) -> list[CorrelationFigure]:
    """Of each two markets by name, the strongest first; only where both move, and have `LEAST_RETURNS` in common."""
    told = []
    for first, second in combinations(returns, 2):
        times = returns[first].keys() & returns[second].keys()
        ours, theirs = [returns[first][time] for time in times], [returns[second][time] for time in times]
        if len(times) < LEAST_RETURNS or len(set(ours)) == 1 or len(set(theirs)) == 1:
            continue
        coefficient = _rounded(statistics.correlation(ours, theirs))
        told.append(CorrelationFigure(first=first, second=second, coefficient=coefficient, returns=len(times)))
    return sorted(told, key=lambda figure: abs(figure.coefficient), reverse=True)


def _drawdown(candles: Sequence[CandleFigures]) -> Decimal:
    peak, greatest = candles[0].close, ZERO
    for candle in candles:
        peak = max(peak, candle.close)
        greatest = max(greatest, _percent(_WIDE.subtract(peak, candle.close), peak))
    return greatest


def _moment(returns: Mapping[int, float], open_time_ms: int | None) -> MomentFigure | None:
    if open_time_ms is None:
        return None
    return MomentFigure(open_time_ms=open_time_ms, value=_rounded(100 * returns[open_time_ms]))


def _percent(part: Decimal, whole: Decimal) -> Decimal:
    return _rounded(_WIDE.divide(_WIDE.multiply(100, part), whole))


def _rounded(value: float | Decimal) -> Decimal:
    return _WIDE.quantize(Decimal(value), _PLACES)

"""``price_outlier`` and ``spread``: one symbol on several exchanges, by the closes of one minute.

Only minutes with trades count: the close of a minute without any is an old price.
"""

from collections.abc import Iterator, Mapping
from decimal import Decimal
from itertools import permutations
from statistics import median
from typing import NamedTuple

from market.candle import Candle
from processors.signals.market_day import is_alive
from processors.signals.numbers import rounded, significant
from processors.signals.rules import SpreadRules
from processors.signals.scene import Measure, Scene

BASIS_POINTS = 10_000


class _Quote(NamedTuple):
    market: str
    candle: Candle
    close: float


def measure_outliers(scene: Scene) -> Iterator[Measure]:
    """Of each market whose symbol was traded on enough exchanges; `level` is its distance in basis points.

    The median is of all of them, its own close too: so the exchanges that agree are not blamed for the one that does
    not.
    """
    for quotes in _by_symbol(scene.candles).values():
        if len(quotes) < scene.rules.price_outlier.min_exchanges:
            continue
        middle = median(quote.close for quote in quotes)
        revision = sum(quote.candle.revision for quote in quotes)
        for quote in quotes:
            distance_bps = (quote.close / middle - 1) * BASIS_POINTS

            def values(
                quote: _Quote = quote, bps: float = distance_bps, middle: float = middle, count: int = len(quotes)
            ) -> dict[str, Decimal]:
                return {
                    "distance_bps": rounded(bps, 4),
                    "close": quote.candle.close,
                    "median_close": significant(middle),
                    "exchanges": Decimal(count),
                }

            yield Measure(quote.market, abs(distance_bps), revision, 1, values)


def measure_spreads(scene: Scene) -> Iterator[Measure]:
    """Of each two markets of a symbol, the cheaper one's record; `level` is what is left after fees, in basis points.

    To buy at the cheaper and sell at the dearer costs the taker's fee of both exchanges: ``sold x (1 - fee) /
    (bought x (1 + fee)) - 1``.
    """
    rules = scene.rules.spread
    for quotes in _by_symbol(scene.candles).values():
        fees = {quote.market: _fee(rules, quote) for quote in quotes} if len(quotes) > 1 else {}
        for bought, sold in permutations(quotes, 2):
            buy_fee, sell_fee = fees[bought.market], fees[sold.market]
            left_bps = (sold.close * (1 - sell_fee) / (bought.close * (1 + buy_fee)) - 1) * BASIS_POINTS

            def values(
                bought: _Quote = bought, sold: _Quote = sold, bps: float = left_bps, fees: float = buy_fee + sell_fee
            ) -> dict[str, Decimal]:
                return {
                    "spread_bps": rounded(bps, 4),
                    "bought": bought.candle.close,
                    "sold": sold.candle.close,
                    "fees_bps": rounded(fees * BASIS_POINTS, 4),
                }

            revision = bought.candle.revision + sold.candle.revision
            yield Measure(bought.market, left_bps, revision, 1, values, sold.market)


def _by_symbol(candles: Mapping[str, Candle]) -> dict[str, list[_Quote]]:
    by_symbol: dict[str, list[_Quote]] = {}
    for market, candle in candles.items():
        if is_alive(candle):
            by_symbol.setdefault(candle.symbol, []).append(_Quote(market, candle, float(candle.close)))
    return by_symbol


def _fee(rules: SpreadRules, quote: _Quote) -> float:
    return rules.fees_bps.get(quote.candle.exchange, rules.default_fee_bps) / BASIS_POINTS

"""``volatility_regime``: the realised variance of the last hour against the median of the last day's hours.

Realised variance is the sum of squared log returns (Andersen, Bollerslev, Diebold and Labys, "The Distribution of
Realized Exchange Rate Volatility", 2001), here of one minute each. Both a wilder and a calmer hour are told.
"""

import math
from collections.abc import Iterator
from decimal import Decimal

from processors.signals.market_day import DAY_MINUTES, MarketDay
from processors.signals.numbers import LOG_UNIT, MAX_SCORE, rounded, significant
from processors.signals.scene import Measure, Scene


def measure_regimes(scene: Scene) -> Iterator[Measure]:
    """Of each market with a candle of the minute; `level` is the ratio of the two, or its inverse if that is greater.

    An hour counts by its mean squared return, so that a missing minute is no calm.
    """
    rules = scene.rules.volatility_regime
    for market, candle in scene.candles.items():
        day = scene.days[market]
        usual = day.usual_square(rules.min_hours, rules.min_returns)
        if not usual or not day.hour_squares or day.hour_returns < rules.min_returns:
            continue  # an hour without any move has no ratio
        now = day.hour_squares / day.hour_returns
        ratio = now / usual
        level = min(MAX_SCORE, max(ratio, 1 / ratio))

        def values(now: float = now, usual: float = usual, day: MarketDay = day) -> dict[str, Decimal]:
            return {
                "ratio": rounded(now / usual, 4),
                "volatility": significant(math.sqrt(now) * LOG_UNIT),
                "usual_volatility": significant(math.sqrt(usual) * LOG_UNIT),
                "returns": Decimal(day.hour_returns),
            }

        yield Measure(market, level, candle.revision, DAY_MINUTES, values)

"""``volume_zscore`` and ``return_zscore``: one minute against the market's own last day.

Volumes are compared by their logarithm: volumes of equal times are close to log-normal (Ajinkya and Jain, "The Behavior
of Daily Stock Market Trading Volume", 1989), and raw ones would call every tenth minute strange. Median and absolute
deviations from it, after Iglewicz and Hoaglin, "How to Detect and Handle Outliers", 1993: what stands out does not
hide itself. They take the mean deviation where the median one is 0; here the greater counts, because in a market that
stands still in nearly half of its minutes the median one is a tick.
"""

import math
from collections.abc import Iterator
from decimal import Decimal

from processors.signals.market_day import DAY_MINUTES
from processors.signals.numbers import LOG_UNIT, MAX_SCORE, OrderedLogs, log_units, rounded, significant
from processors.signals.rules import ScoreRules
from processors.signals.scene import Measure, Scene


def measure_volumes(scene: Scene) -> Iterator[Measure]:
    """Of each market with volume in the minute; `level` is the score: only more than usual is told."""
    rules = scene.rules.volume_zscore
    for market, candle in scene.candles.items():
        day = scene.days.get(market)
        if day is None or not candle.volume:
            continue
        scored = _score(log_units(float(candle.volume)), day.volume_logs, rules)
        if scored is None:
            continue

        def values(volume: Decimal = candle.volume, scored: _Scored = scored) -> dict[str, Decimal]:
            return {
                "score": rounded(scored.score, 4),
                "volume": volume,
                "center": significant(math.exp(scored.center * LOG_UNIT)),
                "log_deviation": significant(scored.deviation * LOG_UNIT),
                "minutes": Decimal(scored.count),
            }

        yield Measure(market, max(0.0, scored.score), candle.revision, DAY_MINUTES, values)


def measure_returns(scene: Scene) -> Iterator[Measure]:
    """Of each market with a candle of the minute before; `level` is the size of the score, either way."""
    rules = scene.rules.return_zscore
    for market, candle in scene.candles.items():
        day = scene.days.get(market)
        before = day.close_of(scene.minute - 1) if day is not None else 0.0
        if day is None or not before:
            continue
        made = log_units(float(candle.close) / before)
        scored = _score(made, day.return_logs, rules)
        if scored is None:
            continue

        def values(close: Decimal = candle.close, made: int = made, scored: _Scored = scored) -> dict[str, Decimal]:
            return {
                "score": rounded(scored.score, 4),
                "close": close,
                "log_return": significant(made * LOG_UNIT),
                "center": significant(scored.center * LOG_UNIT),
                "deviation": significant(scored.deviation * LOG_UNIT),
                "minutes": Decimal(scored.count),
            }

        yield Measure(market, abs(scored.score), candle.revision, DAY_MINUTES, values)


class _Scored:
    __slots__ = ("center", "count", "deviation", "score")

    def __init__(self, value: int, center: float, deviation: float, count: int) -> None:
        self.center = center
        self.deviation = deviation
        self.count = count
        self.score = max(-MAX_SCORE, min(MAX_SCORE, (value - center) / deviation))


def _score(value: int, logs: OrderedLogs, rules: ScoreRules) -> _Scored | None:
    """None without enough values, or where all of them are alike: nothing is usual there."""
    if len(logs) < rules.min_minutes:
        return None
    center, deviation = logs.spread(robust=rules.robust)
    return _Scored(value, center, deviation, len(logs)) if deviation else None

"""Statistics against numpy's, and what is missing."""

from decimal import Decimal

import numpy as np
import pytest
from walked_candles import MINUTE, candle, walk

from serving.analysis.figures import LEAST_RETURNS, correlations, market_figures, returns_of


@pytest.mark.parametrize("seed", range(5))
def test_figures_are_those_of_another_computation(seed: int) -> None:
    candles = walk(seed, 200)
    told = market_figures(candles)
    closes = np.array([float(candle.close) for candle in candles])
    returns = np.diff(np.log(closes)) * 100
    assert float(told.mean_return_percent or 0) == pytest.approx(returns.mean(), abs=1e-6)
    assert float(told.return_deviation_percent or 0) == pytest.approx(returns.std(ddof=1), abs=1e-6)
    assert float(told.realised_volatility_percent or 0) == pytest.approx(np.sqrt((returns**2).sum()), abs=1e-6)
    assert float(told.change_percent) == pytest.approx(100 * (closes[-1] / 100.5 - 1), abs=1e-6)
    drawdown = (1 - closes / np.maximum.accumulate(closes)).max() * 100
    assert float(told.greatest_drawdown_percent) == pytest.approx(drawdown, abs=1e-6)
    assert told.best_return_percent is not None
    assert told.best_return_percent.open_time_ms == (int(returns.argmax()) + 1) * MINUTE
    assert told.returns == 199


def test_sums_are_exact() -> None:
    candles = [candle(0, "1.1", volume="99999999999999999999.000000000000000001"), candle(1, "1.1", volume="1")]
    assert market_figures(candles).volume == Decimal("100000000000000000000.000000000000000001")


def test_a_missing_candle_is_no_return() -> None:
    candles = [candle(0, "100"), candle(1, "110"), candle(3, "50"), candle(4, "55")]
    assert sorted(returns_of(candles)) == [MINUTE, 4 * MINUTE]
    told = market_figures(candles)
    assert (told.returns, told.worst_return_percent and told.worst_return_percent.open_time_ms) == (2, MINUTE)


def test_one_candle_has_no_returns_and_no_volume_no_price() -> None:
    told = market_figures([candle(0, "100", volume="0")])
    assert (told.returns, told.mean_return_percent, told.return_deviation_percent, told.vwap) == (0, None, None, None)
    assert told.taker_buy_share is None


def test_correlations_are_of_common_times_and_the_strongest_is_first() -> None:
    a, b, c = walk(1, 100), walk(2, 100), walk(1, 60)
    told = correlations({"A": returns_of(a), "B": returns_of(b), "C": returns_of(c)})
    assert (told[0].first, told[0].second, told[0].coefficient, told[0].returns) == ("A", "C", Decimal(1), 59)
    ours = np.diff(np.log([float(candle.close) for candle in a]))
    theirs = np.diff(np.log([float(candle.close) for candle in b]))
    pair = next(figure for figure in told if (figure.first, figure.second) == ("A", "B"))
    assert float(pair.coefficient) == pytest.approx(np.corrcoef(ours, theirs)[0, 1], abs=1e-6)


def test_what_cannot_be_correlated_is_not_told() -> None:
    flat = [candle(minute, "100") for minute in range(50)]
    few = walk(3, LEAST_RETURNS)
    assert correlations({"A": returns_of(walk(1, 50)), "B": returns_of(flat), "C": returns_of(few)}) == []

"""The numbers behind signals are those of a batch computation over all candles at once, in polars.

It shares nothing with the processor but the candles. Whole numbers and copies of prices are equal; what is computed in
floats agrees to `TOLERANCE` and `UNIT`: the order of operations differs, and the processor rounds logarithms.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import polars as pl
import pytest
from many_markets import MIDNIGHT_MS, MINUTE_MS, MarketsLog, QuietMarkets, only, told_by

from market.signal import Signal
from processors.signals.rules import rules_of

MARKETS = [*(f"{exchange}:BTC-USDT" for exchange in ("binance", "kraken", "okx")), "okx:ETH-USDT"]
FIRST = MIDNIGHT_MS // MINUTE_MS - 1500
COUNT = 1560
TOLERANCE = 1e-9
UNIT = 2e-12
MAD_TO_DEVIATION, MEAN_TO_DEVIATION = 1.4826, 1.253314


@pytest.fixture(scope="module")
def log() -> MarketsLog:
    markets, log = QuietMarkets(MARKETS, seed=3), MarketsLog()
    for number in range(40, COUNT, 41):
        markets.odd[MARKETS[number % 4], FIRST + number] = {"absent": True}
        markets.odd[MARKETS[number % 3], FIRST + number - 20] = {"trades": 0}
    markets.write(log, range(FIRST, FIRST + COUNT))
    return log


@pytest.fixture(scope="module")
def frame(log: MarketsLog) -> pl.DataFrame:
    """Market, minute, close, volume, quote volume, whether alive; a row for every market and minute."""
    rows = [
        {
            "market": record.key.decode(), "minute": (fields := record.fields)["open_time_ms"] // MINUTE_MS,
            "close": float(fields["close"]), "volume": float(fields["volume"]),
            "quote": float(fields["quote_volume"]), "alive": fields["trades"] > 0, "revision": fields["revision"],
        }
        for _, record in log.in_order()
    ]  # fmt: skip
    grid = pl.DataFrame({"market": MARKETS}).join(pl.DataFrame({"minute": range(FIRST, FIRST + COUNT)}), how="cross")
    made = grid.join(pl.DataFrame(rows), on=["market", "minute"], how="left").sort("market", "minute")
    before = pl.col("close").shift(1).over("market")
    return made.with_columns(
        (pl.col("close") / before).log().alias("return"), pl.col("volume").log().alias("log_volume")
    )


def always(enter: float, leave: float = 0, **rules: Any) -> dict[str, Any]:
    """Rules of a kind by which so much is told that there is something to compare."""
    return {"enter": enter, "leave": leave, "warning": 1e9, "critical": 1e9, **rules}


class Told(NamedTuple):
    """What is told under one set of rules."""

    robust: bool
    window: int
    signals: list[Signal]

    def some(self, kind: str, most: int = 60) -> list[Signal]:
        of_kind = list(only(self.signals, kind))
        assert len(of_kind) > 10
        return of_kind[:: -(-len(of_kind) // most)]


@pytest.fixture(scope="module", params=[(True, 60), (False, 1440)], ids=["median", "mean"])
def told(log: MarketsLog, request: pytest.FixtureRequest) -> Told:
    robust, window = request.param
    rules = rules_of({
        "volume_zscore": always(1.5, 0.5, robust=robust), "return_zscore": always(1.5, 0.5, robust=robust),
        "volatility_regime": always(1.2, 1.1), "stale": always(1, min_silent_minutes=1),
        "price_outlier": always(0.2, 0.1), "spread": always(0.3, 0.1, default_fee_bps=0.0),
        "correlation": {"pairs": [["binance:BTC-USDT", "okx:ETH-USDT"]], "windows_minutes": [window]},
        "correlation_matrix": {"top": 3, "window_minutes": window},
    })  # fmt: skip
    return Told(robust, window, told_by(log, rules))


def day_before(frame: pl.DataFrame, signal: Signal, column: str) -> pl.Series:
    """The values of the 1,440 minutes before the signal's own."""
    minute = signal.time_ms // MINUTE_MS - 1
    return frame.filter(
        pl.col("market") == signal.key, pl.col("minute") < minute, pl.col("minute") >= minute - 1440
    )[column].drop_nulls()  # fmt: skip


def value(frame: pl.DataFrame, market: str, minute: int, column: str) -> Any:
    return frame.filter(pl.col("market") == market, pl.col("minute") == minute)[column].item()


@pytest.mark.parametrize(
    ("kind", "column", "center"),
    [("volume_zscore", "log_volume", math.exp), ("return_zscore", "return", float)],
)
def test_scores(told: Told, frame: pl.DataFrame, kind: str, column: str, center: Callable[[float], float]) -> None:
    for signal in told.some(kind):
        values = day_before(frame, signal, column)
        middle = values.median() if told.robust else values.mean()
        distances = (values - middle).abs()
        robust = max(MAD_TO_DEVIATION * distances.median(), MEAN_TO_DEVIATION * distances.mean())
        spread = robust if told.robust else values.std()
        minute = signal.time_ms // MINUTE_MS - 1
        score = (value(frame, signal.key, minute, column) - middle) / spread
        assert float(signal.values["score"]) == pytest.approx(score, abs=6e-5)  # told to four places
        deviation = signal.values["log_deviation" if kind == "volume_zscore" else "deviation"]
        assert float(deviation) == pytest.approx(spread, rel=TOLERANCE, abs=UNIT)
        assert float(signal.values["center"]) == pytest.approx(center(middle), rel=TOLERANCE, abs=UNIT)
        assert signal.values["minutes"] == len(values)
        assert signal.revision == value(frame, signal.key, minute, "revision")


def test_regimes(told: Told, frame: pl.DataFrame) -> None:
    squares = frame.with_columns(square=pl.col("return") ** 2, hour=pl.col("minute") // 60)
    hours = squares.group_by("market", "hour").agg(pl.col("square").mean(), pl.col("square").count().alias("count"))
    for signal in told.some("volatility_regime"):
        minute = signal.time_ms // MINUTE_MS - 1
        of_market = pl.col("market") == signal.key
        now = squares.filter(of_market, pl.col("minute") <= minute, pl.col("minute") > minute - 60)["square"]
        whole = hours.filter(
            of_market, pl.col("hour") < minute // 60, pl.col("hour") >= minute // 60 - 24, pl.col("count") >= 45
        )["square"]
        assert float(signal.values["ratio"]) == pytest.approx(now.mean() / whole.median(), abs=6e-5)
        assert float(signal.values["volatility"]) == pytest.approx(now.mean() ** 0.5, rel=TOLERANCE, abs=UNIT)
        assert float(signal.values["usual_volatility"]) == pytest.approx(whole.median() ** 0.5, rel=TOLERANCE, abs=UNIT)
        assert signal.values["returns"] == now.count()


def test_silences(told: Told, frame: pl.DataFrame) -> None:
    for signal in told.some("stale"):
        minute = signal.time_ms // MINUTE_MS - 1
        if value(frame, signal.key, minute - 1, "close") is None:
            continue  # a market that comes back is not waited for
        day = frame.filter(pl.col("market") == signal.key, pl.col("minute") <= minute, pl.col("minute") > minute - 1440)
        alive = day.filter(pl.col("alive"))["minute"]
        oldest = day.filter(pl.col("close").is_not_null())["minute"].min()
        assert signal.values["silent_minutes"] == minute - alive.max()
        assert signal.values["traded_minutes"] == len(alive)
        gap = (alive.max() - oldest + 1) / len(alive)
        assert float(signal.values["mean_gap_minutes"]) == pytest.approx(gap, abs=6e-5)


def test_outliers_and_spreads(told: Told, frame: pl.DataFrame) -> None:
    prices = frame.filter(pl.col("alive")).with_columns(pl.col("market").str.split(":").list.last().alias("symbol"))
    for signal in told.some("price_outlier"):
        minute = signal.time_ms // MINUTE_MS - 1
        same = prices.filter(pl.col("symbol") == signal.symbol, pl.col("minute") == minute)
        close = value(frame, signal.key, minute, "close")
        assert float(signal.values["close"]) == close
        assert float(signal.values["median_close"]) == pytest.approx(same["close"].median(), rel=1e-11)
        assert float(signal.values["distance_bps"]) == pytest.approx(
            (close / same["close"].median() - 1) * 1e4, abs=6e-5
        )
        assert signal.values["exchanges"] == len(same)
        assert signal.revision == same["revision"].sum()
    for signal in told.some("spread"):
        minute = signal.time_ms // MINUTE_MS - 1
        bought, sold = (value(frame, market, minute, "close") for market in (signal.key, signal.other or ""))
        assert float(signal.values["spread_bps"]) == pytest.approx((sold / bought - 1) * 1e4, abs=6e-5)


@pytest.mark.parametrize("kind", ["correlation", "correlation_matrix"])
def test_correlations(told: Told, frame: pl.DataFrame, kind: str) -> None:
    wide = frame.pivot(on="market", index="minute", values=["return", "quote"])
    for signal in told.some(kind):
        minute = signal.time_ms // MINUTE_MS - 1
        assert (minute + 1) % 5 == 0
        rows = wide.filter(pl.col("minute") <= minute, pl.col("minute") > minute - told.window)
        if kind == "correlation":
            pairs = {"correlation": (signal.key, signal.other)}
            both = rows.drop_nulls([f"return_{market}" for market in pairs["correlation"]])
            assert signal.values["minutes"] == len(both)
        else:
            day = wide.filter(pl.col("minute") <= minute, pl.col("minute") > minute - 1440)
            volumes = {market: day[f"quote_{market}"].sum() for market in MARKETS}
            greatest = sorted(sorted(volumes, key=lambda market: -volumes[market])[:3])
            pairs = {
                f"{x}|{y}": (x, y) for x in greatest for y in greatest
                if x < y and len(rows.drop_nulls([f"return_{x}", f"return_{y}"])) >= told.window // 2
            }  # fmt: skip
        told_pairs = {name: number for name, number in signal.values.items() if name != "minutes"}
        assert told_pairs.keys() == pairs.keys()
        for name, (x, y) in pairs.items():
            both = rows.drop_nulls([f"return_{x}", f"return_{y}"])
            expected = both.select(pl.corr(f"return_{x}", f"return_{y}")).item()
            assert float(told_pairs[name]) == pytest.approx(expected, abs=2e-8)  # told to eight places

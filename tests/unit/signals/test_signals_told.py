"""What begins and ends, of which market and in which minute, is what a batch computation over all candles says.

`test_signals_batch` holds the numbers of what is told; this holds that nothing else is told, and nothing is left out.
Every market has a candle of every minute here, so every minute is looked at with all of them.
"""

import random
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import polars as pl
import pytest
from many_markets import MIDNIGHT_MS, MINUTE_MS, MarketsLog, QuietMarkets, only, told_by

from market.signal import Signal, SignalState
from processors.signals.rules import SignalRules, Thresholds, rules_of

MARKETS = sorted([*(f"{exchange}:BTC-USDT" for exchange in ("binance", "kraken", "okx")), "okx:ETH-USDT"])
FIRST = MIDNIGHT_MS // MINUTE_MS - 1500
COUNT = 1620
DAY = 1440
FEES_BPS = {"binance": 0.05, "kraken": 0.3, "okx": 0.1}
WIDE = {"warning": 1e9, "critical": 1e9}
"""Severities have tests of their own."""


class Level(NamedTuple):
    """How strange a minute was, of a market with regard to another one or to none."""

    minute: int
    market: str
    other: str | None
    level: float


Condition = tuple[int, str, str | None, SignalState]


@pytest.fixture(scope="module")
def log() -> MarketsLog:
    at, markets, log = random.Random(9), QuietMarkets(MARKETS, seed=8), MarketsLog()
    for minute in range(FIRST, FIRST + COUNT):
        if at.random() < 0.1:
            what = at.choice([{"close": 1.0004}, {"close": 0.998}, {"volume": 8}, {"trades": 0}, {"status": "hole"}])
            market, length = at.choice(MARKETS), at.choice((1, 1, 9))
            markets.odd |= {(market, minute + number): what for number in range(length)}
    markets.wild = {FIRST + 1300: 3.0, FIRST + 1390: 1.0}
    markets.write(log, range(FIRST, FIRST + COUNT))
    return log


@pytest.fixture(scope="module")
def frame(log: MarketsLog) -> pl.DataFrame:
    """Market, minute, close, volume, alive, logarithms; sorted, without holes."""
    rows = [
        {
            "market": record.key.decode(), "minute": (fields := record.fields)["open_time_ms"] // MINUTE_MS,
            "close": float(fields["close"]), "volume": float(fields["volume"]),
            "alive": fields["trades"] > 0 and fields["status"] != "hole",
        }
        for _, record in log.in_order()
    ]  # fmt: skip
    made = pl.DataFrame(rows).sort("market", "minute")
    assert len(made) == len(MARKETS) * COUNT
    before = pl.col("close").shift(1).over("market")
    return made.with_columns(
        (pl.col("close") / before).log().alias("return"), pl.col("volume").log().alias("log_volume")
    )


RULES = rules_of({
    "volume_zscore": {"enter": 2.0, "leave": 1.0, **WIDE}, "return_zscore": {"enter": 2.5, "leave": 1.0, **WIDE},
    "volatility_regime": {"enter": 1.5, "leave": 1.2, **WIDE}, "stale": {"enter": 2, "leave": 1, **WIDE},
    "price_outlier": {"enter": 2, "leave": 0.5, **WIDE},
    "spread": {"enter": 2, "leave": 0.2, "fees_bps": FEES_BPS, **WIDE},
})  # fmt: skip


@pytest.fixture(scope="module", params=[True, False], ids=["median", "mean"])
def rules(request: pytest.FixtureRequest) -> SignalRules:
    scores = {"volume_zscore": {"robust": request.param}, "return_zscore": {"robust": request.param}}
    return rules_of({kind: {**_fields(getattr(RULES, kind)), **scores.get(kind, {})} for kind in KINDS})


def _fields(thresholds: Thresholds) -> dict[str, object]:
    return {name: getattr(thresholds, name) for name in thresholds.__struct_fields__}


@pytest.fixture(scope="module")
def told(log: MarketsLog, rules: SignalRules) -> list[Signal]:
    return told_by(log, rules)


def scores(frame: pl.DataFrame, column: str, *, robust: bool) -> Iterator[Level]:
    """Each minute's value against those of the 1,440 minutes before it."""
    for (market,), of_market in frame.group_by("market", maintain_order=True):
        values = of_market[column].to_numpy()
        for place in range(1, COUNT):
            day = values[max(0, place - DAY) : place]
            day = day[~np.isnan(day)]
            if len(day) < 240:
                continue
            center = np.median(day) if robust else day.mean()
            distances = abs(day - center)
            deviation = max(1.4826 * np.median(distances), 1.253314 * distances.mean()) if robust else day.std(ddof=1)
            score = (values[place] - center) / deviation
            yield Level(FIRST + place, str(market), None, score if column == "log_volume" else abs(score))


def regimes(frame: pl.DataFrame) -> Iterator[Level]:
    squares = frame.with_columns(square=pl.col("return") ** 2)
    now = pl.col("square").rolling_mean(60, min_samples=45).over("market")
    hours = squares.group_by("market", pl.col("minute") // 60).agg(pl.col("square").mean(), pl.len())
    of_hour = {(market, hour): mean for market, hour, mean, count in hours.rows() if count >= 45}
    for market, minute, mean in squares.select("market", "minute", now).rows():
        whole = [of_hour[market, hour] for hour in range(minute // 60 - 24, minute // 60) if (market, hour) in of_hour]
        if mean is not None and len(whole) >= 6:
            ratio = mean / np.median(whole)
            yield Level(minute, market, None, max(ratio, 1 / ratio))


def silences(frame: pl.DataFrame) -> Iterator[Level]:
    for (market,), of_market in frame.group_by("market", maintain_order=True):
        alive = np.flatnonzero(of_market["alive"].to_numpy())
        for place in range(COUNT):
            window = alive[(alive > place - DAY) & (alive <= place)]
            if len(window) < 30:
                continue
            silent, spoken = place - window[-1], window[-1] - max(0, place - DAY + 1) + 1
            yield Level(FIRST + place, str(market), None, silent * len(window) / spoken if silent >= 5 else 0.0)


def outliers(frame: pl.DataFrame) -> Iterator[Level]:
    for minute, quotes in by_minute(frame):
        if len(quotes) >= 3:
            middle = np.median(list(quotes.values()))
            for market, close in quotes.items():
                yield Level(minute, market, None, abs(close / middle - 1) * 1e4)


def spreads(frame: pl.DataFrame) -> Iterator[Level]:
    for minute, quotes in by_minute(frame):
        for bought, price in quotes.items():
            for sold, other in quotes.items():
                if bought != sold:
                    paid, got = price * (1 + fee(bought)), other * (1 - fee(sold))
                    yield Level(minute, bought, sold, (got / paid - 1) * 1e4)


def fee(market: str) -> float:
    return FEES_BPS[market.partition(":")[0]] / 1e4


def by_minute(frame: pl.DataFrame) -> Iterator[tuple[int, dict[str, float]]]:
    """The closes of the one symbol that is on several exchanges, where it was traded."""
    traded = frame.filter(pl.col("alive"), pl.col("market").str.ends_with(":BTC-USDT")).sort("minute", "market")
    for (minute,), rows in traded.group_by("minute", maintain_order=True):
        yield int(str(minute)), dict(rows.select("market", "close").rows())


def conditions(levels: Iterator[Level], thresholds: Thresholds) -> set[Condition]:
    """Begun and ended by two thresholds; forgotten at midnight."""
    states: set[Condition] = set()
    holding: dict[tuple[str, str | None], int] = {}
    for minute, market, other, level in levels:
        day = minute * MINUTE_MS // 86_400_000
        holds = holding.get((market, other)) == day
        if level >= thresholds.enter and not holds:
            holding[market, other] = day
            states.add((minute, market, other, SignalState.BEGIN))
        elif level <= thresholds.leave and holds:
            del holding[market, other]
            states.add((minute, market, other, SignalState.END))
    return states


KINDS = {
    "volume_zscore": lambda frame, rules: scores(frame, "log_volume", robust=rules.volume_zscore.robust),
    "return_zscore": lambda frame, rules: scores(frame, "return", robust=rules.return_zscore.robust),
    "volatility_regime": lambda frame, _: regimes(frame),
    "stale": lambda frame, _: silences(frame),
    "price_outlier": lambda frame, _: outliers(frame),
    "spread": lambda frame, _: spreads(frame),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_told_is_all_that_a_batch_computation_says(
    frame: pl.DataFrame, rules: SignalRules, told: list[Signal], kind: str
) -> None:
    said = {(s.time_ms // MINUTE_MS - 1, s.key, s.other, s.state) for s in only(told, kind)}
    assert said == conditions(KINDS[kind](frame, rules), getattr(rules, kind))
    assert sum(state is SignalState.BEGIN for *_, state in said) >= 3, "there was something to compare"
    assert any(state is SignalState.END for *_, state in said)

"""A test bed: anomalies of known size in quiet markets are told, as severe and as long as they are; nothing else is."""

import math
import random
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import pytest
from many_markets import MIDNIGHT_MS, MINUTE_MS, MarketsLog, QuietMarkets, only, told_by

from market.signal import SignalState

EXCHANGES = ("binance", "kraken", "okx")
MARKETS = [f"{exchange}:{base}-USDT" for exchange in EXCHANGES for base in ("BTC", "ETH")]
MIDNIGHT = MIDNIGHT_MS // MINUTE_MS
BEFORE = 300
SEVERITIES = ("info", "warning", "critical")
STEP, SPREAD_OF_VOLUMES = 5e-4, 0.5
"""Of the quiet markets' minutes."""
TAKER_FEES = 0.002


class Injected(NamedTuple):
    """One anomaly: what is odd in its minutes, and of which markets that is to be told."""

    odd: Mapping[tuple[str, int], Mapping[str, Any]]
    told_of: set[str]
    lasts: int
    """Minutes until it ends."""


def volume(market: str, minute: int, severity: str) -> Injected:
    deviations = {"info": 5.2, "warning": 7, "critical": 10}[severity]
    return Injected({(market, minute): {"volume": math.exp(SPREAD_OF_VOLUMES * deviations)}}, {market}, 1)


def jump(market: str, minute: int, severity: str) -> Injected:
    """On all exchanges, and back in the next minute: two returns stand out, as one condition."""
    factor = math.exp(STEP * {"info": 12.5, "warning": 20, "critical": 32}[severity])
    same = {f"{exchange}:{market.partition(':')[2]}" for exchange in EXCHANGES}
    return Injected({(each, minute): {"close": factor} for each in same}, same, 2)


def halt(market: str, minute: int, severity: str) -> Injected:
    """Nothing for some minutes; it is told by and by, from the tenth on, and is over with the next trades."""
    silent = {"info": 16, "warning": 40, "critical": 150}[severity]
    return Injected({(market, minute + number): {"absent": True} for number in range(silent)}, {market}, silent)


def apart(market: str, minute: int, severity: str) -> Injected:
    """One exchange is dearer for three minutes."""
    factor = 1 + {"info": 70, "warning": 170, "critical": 400}[severity] / 10_000
    return Injected({(market, minute + number): {"close": factor} for number in range(3)}, {market}, 3)


def cheap(market: str, minute: int, severity: str) -> Injected:
    """One exchange is cheaper than both others, after the fees of both sides."""
    left = {"info": 18, "warning": 60, "critical": 150}[severity] / 10_000
    return Injected({(market, minute): {"close": (1 - TAKER_FEES) / (1 + left)}}, {market}, 1)


def by_begin(told: tuple[str, int, int, str]) -> tuple[int, str]:
    return told[1], told[0]


@pytest.mark.parametrize(
    ("kind", "inject", "count", "apart_minutes", "later"),
    [
        ("volume_zscore", volume, 12, 20, (0, 0)),
        ("return_zscore", jump, 3, 120, (0, 0)),  # more of them would be what is usual
        ("stale", halt, 3, 180, (13, 1)),  # a market that comes back is not waited for
        ("price_outlier", apart, 12, 20, (0, 0)),
        ("spread", cheap, 12, 20, (0, 0)),
    ],
)
def test_each_injected_anomaly_is_told_and_nothing_else(
    kind: str, inject: Callable[[str, int, str], Injected], count: int, apart_minutes: int, later: tuple[int, int]
) -> None:
    at, markets, log = random.Random(kind), QuietMarkets(MARKETS, seed=4), MarketsLog()
    expected: list[tuple[str, int, int, str]] = []
    for number in range(count):
        minute, severity = MIDNIGHT + 5 + number * apart_minutes + at.randint(0, 5), SEVERITIES[number % 3]
        injected = inject(at.choice(MARKETS), minute, severity)
        markets.odd |= injected.odd
        expected += [(market, minute, minute + injected.lasts, severity) for market in sorted(injected.told_of)]
    markets.write(log, range(MIDNIGHT - BEFORE, MIDNIGHT + (count + 1) * apart_minutes))
    begun: dict[tuple[str, str | None], int] = {}
    seen = set()
    for signal in only(told_by(log), kind):
        minute, of = signal.time_ms // MINUTE_MS - 1, (signal.key, signal.other)
        if signal.state is SignalState.BEGIN:
            begun.setdefault(of, minute)
        else:
            seen.add((signal.key, begun.pop(of), minute, signal.severity.value))
    assert not begun
    assert len(seen) == len(expected)
    for (key, begin, end, severity), (market, first, over, wanted) in zip(
        sorted(seen, key=by_begin), sorted(expected, key=by_begin), strict=True
    ):
        assert (key, severity) == (market, wanted)
        assert first <= begin <= first + later[0]
        assert over <= end <= over + later[1]

"""Funding of the simulated perpetuals: settled every eight hours, as a pure function of (symbol, time)."""

from collections.abc import Iterator
from typing import NamedTuple

from market.timeframe import DAY_MS, HOUR_MS
from producers.simulator.hashing import key_of
from producers.simulator.instruments import SimulatedInstrument

EVERY_MS = 8 * HOUR_MS
_BEGAN_MS = 20_000 * DAY_MS
"""2024-10-04: nothing was settled before."""
_SPREAD = 30_001
"""Rates are from -0.00015 to 0.00015, in steps of 10^-8."""
_DRIFT = 101


class Settled(NamedTuple):
    """A rate as it is told: the text of a decimal."""

    time_ms: int
    rate: str


def settled(market: SimulatedInstrument, from_ms: int, until_ms: int) -> Iterator[Settled]:
    """The rates of [from_ms, until_ms), the older first; give it a bounded range."""
    first_ms = max(-(-from_ms // EVERY_MS) * EVERY_MS, _BEGAN_MS)
    for time_ms in range(first_ms, until_ms, EVERY_MS):
        yield Settled(time_ms, _text(_steps(market, time_ms)))


def newest_settled(market: SimulatedInstrument, from_ms: int, until_ms: int, most: int) -> list[Settled]:
    """The last `most` rates of [from_ms, until_ms), the newer first."""
    rates = settled(market, max(from_ms, until_ms - (most + 1) * EVERY_MS), until_ms)
    return list(rates)[: -most - 1 : -1]


def expected(market: SimulatedInstrument, now_ms: int) -> Settled:
    """What will be settled next, as it is expected in this hour: a little beside what it will be."""
    time_ms = (now_ms // EVERY_MS + 1) * EVERY_MS
    drift = key_of("drift", market.symbol, now_ms // HOUR_MS) % _DRIFT
    return Settled(time_ms, _text(_steps(market, time_ms) + drift))


def _steps(market: SimulatedInstrument, time_ms: int) -> int:
    return key_of("funding", market.symbol, time_ms) % _SPREAD - _SPREAD // 2


def _text(steps: int) -> str:
    return f"{'-' if steps < 0 else ''}0.{abs(steps):08d}"

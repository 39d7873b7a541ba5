"""What a kind of signal looks at, and what it measures. Pure."""

from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import NamedTuple

from market.candle import Candle
from processors.signals.market_day import MarketDay
from processors.signals.pairs import Pairs
from processors.signals.rules import SignalRules


class Scene(NamedTuple):
    """One minute of all markets; markets stand in the order of their keys."""

    minute: int
    """Counted from 1970."""
    candles: Mapping[str, Candle]
    """Of this minute, by market."""
    days: Mapping[str, MarketDay]
    """By market: up to the minute before, or with this minute, as the kind asks."""
    pairs: Pairs
    rules: SignalRules


class Measure(NamedTuple):
    """What a kind measured of a market; `level` is held against thresholds, None: it is told in any case."""

    market: str
    level: float | None
    revision: int
    window_minutes: int
    values: Callable[[], dict[str, Decimal]]
    """The numbers behind the level, made only if they are told."""
    other: str | None = None


Measuring = Callable[[Scene], Iterator[Measure]]

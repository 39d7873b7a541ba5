"""What a seed has drawn for its workers."""

from dataclasses import dataclass
from random import Random

from market.timeframe import MINUTE_US
from processors.candles.core import Rules


@dataclass(kw_only=True)
class Plan:
    """What a seed has drawn: printed with a violation."""

    workers: int
    static: bool
    deaths: float
    stops: float
    freezes: float
    compactions: bool
    clock_steps: float
    rules: Rules
    at_once: int
    once: bool
    """Whether all are told to stop when the faults end, and one pass with ``--once`` does the rest."""
    rests: bool
    """Whether the group is watched for a while after all is done: then no member may leave it, though another comes."""

    @classmethod
    def drawn(cls, rng: Random) -> "Plan":
        return cls(
            workers=rng.choice((1, 1, 2, 2, 3)),
            static=rng.random() < 0.3,
            deaths=rng.choice((0.0, 0.3, 0.8)),
            stops=rng.choice((0.0, 0.2, 0.4)),
            freezes=rng.choice((0.0, 0.0, 0.3)),
            compactions=rng.random() < 0.6,
            clock_steps=rng.choice((0.0, 2.0, 2.0, 150.0)),
            rules=Rules(allowed_lateness_us=rng.choice((2, 4, 10)) * MINUTE_US),
            at_once=rng.choice((100, 100, 4)),
            once=rng.random() < 0.2,
            rests=rng.random() < 0.15,
        )

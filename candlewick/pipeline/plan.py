"""What a run is made of: the parts with their command lines, and the environment they all see."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

from candlewick.pipeline.supervise.process import Stage
from producers.simulator.instruments import parse_symbols
from runtime.errors import UsageError

DEFAULT_SYMBOLS = "20"
SIMULATOR, PRODUCER = "simulate", "produce"
PROCESSORS = ("candles", "rolling")
SINKS = ("sink.redis", "sink.clickhouse", "sink.parquet")
STAGES = (PRODUCER, *PROCESSORS, *SINKS)


@dataclass(frozen=True, kw_only=True)
class RunPlan:
    """What was asked for. Seconds are of the wall clock, `speed` in market seconds a wall second."""

    for_s: float | None = None
    headless: bool = False
    speed: float = 10.0
    exchange: str | None = None
    """None: the simulator."""
    symbols: tuple[str, ...] = ()
    """As the exchange names them."""
    seed: int | None = None
    faults: tuple[str, ...] = ()
    """Faults of the simulator, ``NAME=VALUE``."""
    kills: Mapping[str, float] = field(default_factory=dict)
    """Stage → seconds between two kills of it."""
    market_start_s: float | None = None
    """How far before now the simulated market begins; None: where the log ends, else so that `for_s` fit before now."""

    @property
    def simulated(self) -> bool:
        """Whether the market is ours."""
        return self.exchange is None

    @property
    def title(self) -> str:
        """What the run runs on, in words."""
        return f"simulator at {self.speed:g}x" if self.exchange is None else self.exchange

    @property
    def disturbed(self) -> bool:
        """Whether faults or kills were asked for: then records may be delivered more than once."""
        return bool(self.faults or self.kills)


def part(
    name: str, *arguments: str, environment: Mapping[str, str], grace_s: float = 25.0, restarted: bool = True
) -> Stage:
    """A part that is one of our own commands: ``sink.redis`` is ``candlewick sink redis``."""
    command = [sys.executable, "-m", "candlewick", *name.split("."), *arguments]
    return Stage(name=name, command=command, environment=environment, grace_s=grace_s, restarted=restarted)


def parse_kills(values: tuple[str, ...]) -> dict[str, float]:
    """``STAGE=SECONDS`` arguments; a wrong one is a usage error."""
    kills = {}
    for value in values:
        stage, _, seconds = value.partition("=")
        if stage not in STAGES or not seconds.replace(".", "", 1).isdigit() or float(seconds) <= 0:
            raise UsageError(f"--kill {value}: it has to be STAGE=SECONDS, and STAGE one of {', '.join(STAGES)}")
        kills[stage] = float(seconds)
    return kills


def chosen_symbols(text: str | None, exchange: str | None) -> tuple[str, ...]:
    """Symbols by name, or by number: that many of the simulator's, busiest first."""
    if exchange is not None and (text is None or text.isdecimal()):
        raise UsageError(f"say which symbols of {exchange}: --symbols BTCUSDT,ETHUSDT")
    return parse_symbols(text or DEFAULT_SYMBOLS)

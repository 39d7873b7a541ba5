"""What a run is made of: its stages with their command lines, and the environment they all see."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass, field

from candlewick.pipeline.stage_names import API, POSTGRES_SINK, PROCESSORS, PRODUCER, SINKS
from candlewick.pipeline.supervise.process import Stage
from runtime.errors import UsageError


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
    postgres: bool = False
    """Whether PostgreSQL is filled too."""
    market_start_s: float | None = None
    """How far before now the simulated market begins; None: where the data end, else so that `for_s` fit before now."""

    @property
    def sinks(self) -> tuple[str, ...]:
        """The names of its sinks."""
        return sinks_of(postgres=self.postgres)

    @property
    def simulated(self) -> bool:
        """Whether the market is ours."""
        return self.exchange is None

    @property
    def disturbed(self) -> bool:
        """Whether faults or kills were asked for: then records may be delivered more than once."""
        return bool(self.faults or self.kills)


def sinks_of(*, postgres: bool) -> tuple[str, ...]:
    """The sinks of a run, with or without that of PostgreSQL."""
    return (*SINKS, POSTGRES_SINK) if postgres else SINKS


def stage(
    name: str, *arguments: str, environment: Mapping[str, str], grace_s: float = 25.0, restarted: bool = True
) -> Stage:
    """A stage that is one of our own commands: ``sink.redis`` is ``candlewick sink redis``.

    ``-P``: a file ``market.py`` in the working folder must not stand for our package of that name.
    """
    command = [sys.executable, "-P", "-m", "candlewick", *name.split("."), *arguments]
    return Stage(name=name, command=command, environment=environment, grace_s=grace_s, restarted=restarted)


def parse_kills(values: tuple[str, ...], *, postgres: bool = False) -> dict[str, float]:
    """``STAGE=SECONDS`` arguments; a wrong one is a usage error."""
    stages = (PRODUCER, *PROCESSORS, *sinks_of(postgres=postgres), API)
    kills = {}
    for value in values:
        name, _, seconds = value.partition("=")
        if name not in stages or not seconds.replace(".", "", 1).isdigit() or float(seconds) <= 0:
            raise UsageError(f"--kill {value}: it has to be STAGE=SECONDS, and STAGE one of {', '.join(stages)}")
        kills[name] = float(seconds)
    return kills

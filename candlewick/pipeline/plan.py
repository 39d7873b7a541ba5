"""What a run is made of: its stages with their command lines, and the environment they all see."""

import sys
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from candlewick.pipeline.stage_names import BARS, POSTGRES_SINK, PROCESSORS, PRODUCER, SIGNALS, SINKS, STAGES
from candlewick.pipeline.supervise.process import Stage
from runtime.errors import UsageError

NOTED_FAULTS = frozenset({"short_history", "broken_row", "lack_every_s"})
"""With these the simulator notes which trades it has given to clients."""


@dataclass(frozen=True, kw_only=True)
class RunPlan:
    """What was asked for. Seconds are of the wall clock, `speed` in market seconds a wall second."""

    for_s: float | None = None
    headless: bool = False
    speed: float = 10.0
    simulated: bool = True
    """Whether the market is ours."""
    markets: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Exchange → symbols: as the simulator names them, of real exchanges as these do."""
    seed: int | None = None
    faults: tuple[str, ...] = ()
    """Faults of the simulator, ``NAME=VALUE``."""
    kills: Mapping[str, float] = field(default_factory=dict)
    """Stage → seconds between two kills of it."""
    postgres: bool = False
    """Whether PostgreSQL is filled too."""
    signals: bool = False
    """Whether signals are told too."""
    bars: Path | None = None
    """The thresholds' file of the bars that are made too."""
    market_start_s: float | None = None
    """How far before now the simulated market begins; None: where the data end, else so that `for_s` fit before now."""

    @property
    def processors(self) -> tuple[str, ...]:
        """The names of its processors, in the order in which they are drained."""
        return (*PROCESSORS, *((BARS,) if self.bars else ()), *((SIGNALS,) if self.signals else ()))

    @property
    def sinks(self) -> tuple[str, ...]:
        """The names of its sinks."""
        return (*SINKS, POSTGRES_SINK) if self.postgres else SINKS

    @property
    def disturbed(self) -> bool:
        """Whether faults or kills were asked for: then records may be delivered more than once."""
        return bool(self.faults or self.kills)

    @property
    def producers(self) -> dict[str, str]:
        """The stages that produce, each with its exchange: `PRODUCER` alone, or one for each exchange."""
        if len(self.markets) == 1:
            return {PRODUCER: next(iter(self.markets))}
        return {f"{PRODUCER}.{exchange}": exchange for exchange in self.markets}


def stage(
    name: str, *arguments: str, environment: Mapping[str, str], grace_s: float = 25.0, restarted: bool = True
) -> Stage:
    """A stage that is one of our own commands: ``sink.redis`` is ``candlewick sink redis``.

    ``-P``: a file ``market.py`` in the working folder must not stand for our package of that name.
    """
    command = [sys.executable, "-P", "-m", "candlewick", *name.split("."), *arguments]
    return Stage(name=name, command=command, environment=environment, grace_s=grace_s, restarted=restarted)


def require_separate(markets: Collection[str], faults: Sequence[str]) -> None:
    """Raise `UsageError` where faults are asked for that only one exchange at a time can have."""
    shared = sorted({fault.partition("=")[0] for fault in faults} & NOTED_FAULTS)
    if shared and len(markets) > 1:
        raise UsageError(
            f"--fault {shared[0]} is for one exchange: who was given which trade is noted for a market, whatever "
            f"exchange gives it; leave it away, or simulate one of {', '.join(markets)}"
        )


def parse_kills(
    values: tuple[str, ...], *, postgres: bool = False, signals: bool = False, bars: bool = False
) -> dict[str, float]:
    """``STAGE=SECONDS`` arguments; a wrong one is a usage error."""
    asked_for = {BARS: bars, SIGNALS: signals, POSTGRES_SINK: postgres}
    stages = (*STAGES, *(name for name, is_asked_for in asked_for.items() if is_asked_for))
    kills = {}
    for value in values:
        name, _, seconds = value.partition("=")
        if name not in stages or not seconds.replace(".", "", 1).isdigit() or float(seconds) <= 0:
            raise UsageError(f"--kill {value}: it has to be STAGE=SECONDS, and STAGE one of {', '.join(stages)}")
        kills[name] = float(seconds)
    return kills

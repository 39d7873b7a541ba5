"""How the candle engine is run."""

from dataclasses import dataclass, field

from processors.candles.core import Rules
from processors.candles.range import RecomputeRange
from processors.config import ProcessorConfig


@dataclass(frozen=True, kw_only=True)
class CandlesConfig(ProcessorConfig):
    """The flags of every processor, and the candles' own."""

    rules: Rules = field(default_factory=Rules)
    range: RecomputeRange | None = None
    """What is recomputed beside the live topics; None: the live topics themselves."""

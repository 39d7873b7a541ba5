"""How the bar engine is run."""

from dataclasses import dataclass, field

from processors.bars.core import BarRules
from processors.bars.thresholds import BarThresholds
from processors.engine.engine import EngineConfig


@dataclass(frozen=True, kw_only=True)
class BarsConfig(EngineConfig):
    """The flags of every engine, and the bars' own."""

    thresholds: BarThresholds
    rules: BarRules = field(default_factory=BarRules)

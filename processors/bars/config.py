"""How the bar engine is run."""

from dataclasses import dataclass, field

from processors.bars.core import BarRules
from processors.bars.thresholds import BarThresholds
from processors.config import ProcessorConfig


@dataclass(frozen=True, kw_only=True)
class BarsConfig(ProcessorConfig):
    """The flags of every processor, and the bars' own."""

    thresholds: BarThresholds
    rules: BarRules = field(default_factory=BarRules)

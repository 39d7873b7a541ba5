"""What every processor is told when it is started."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class ProcessorConfig:
    """The flags that all processors have."""

    once: bool = False
    from_start: bool = False
    accept_truncation: bool = False
    instance_id: str | None = None
    """Static membership: a restart under the same name causes no rebalance."""

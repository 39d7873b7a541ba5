"""The simulator's settings."""

from dataclasses import dataclass, field
from pathlib import Path

from producers.simulator.faults import Faults
from producers.simulator.instruments import default_symbols
from runtime.errors import UsageError

DEFAULT_PORT = 9180
MIN_SPEED, MAX_SPEED = 1, 1_000
_MIB = 1 << 20


@dataclass(frozen=True, kw_only=True)
class SimulatorSettings:
    """How a simulated exchange is set up; `speed` in market seconds a wall second, times in UTC microseconds."""

    symbols: tuple[str, ...] = field(default_factory=lambda: default_symbols(20))
    seed: int = 1
    speed: float = 10.0
    start_us: int | None = None
    recording: Path | None = None
    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    faults: Faults = field(default_factory=Faults)
    ping_s: float = 20.0
    pong_s: float = 60.0
    life_s: float = 24 * 3600.0
    send_buffer_bytes: int = 16 * _MIB

    def __post_init__(self) -> None:
        """Refuse impossible values."""
        if not MIN_SPEED <= self.speed <= MAX_SPEED:
            raise UsageError(f"speed {self.speed:g} is not between {MIN_SPEED} and {MAX_SPEED}")
        if self.recording is not None and len(self.symbols) != 1:
            raise UsageError("a recording is of one symbol: name it with --symbols, such as --symbols BTCUSDT")

"""Market time: faster than the wall clock, and never ahead of it."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class SimulatedClock:
    """Market time is `start_us` at wall time `wall_start_us` and runs `speed` times as fast until it meets the wall."""

    start_us: int
    wall_start_us: int
    speed: float

    def market_us(self, wall_us: int) -> int:
        """Market time in UTC microseconds at a wall time."""
        return min(wall_us, self.start_us + int((wall_us - self.wall_start_us) * self.speed))

"""Stuck readers: a position that does not move although there is something to read."""

from collections.abc import Collection, Hashable
from enum import Enum, auto


class Stand(Enum):
    """What is to be thought of a reader."""

    FINE = auto()
    DOUBTFUL = auto()
    """It has not moved for half the limit: the caller should ask whether the broker is there."""
    STUCK = auto()


class StallWatch:
    """Compares positions, looked at now and then; the caller gives the clock."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._positions: dict[Hashable, tuple[int, float]] = {}
        """Of each reader: its position, and since when it is there."""

    def look(self, reader: Hashable, position: int, lag: int, now_s: float) -> Stand:
        """What to think of a reader that is at `position` now, with `lag` records to read."""
        known_position, since_s = self._positions.get(reader, (None, now_s))
        if lag <= 0 or known_position != position:
            self._positions[reader] = (position, now_s)
            return Stand.FINE
        still_s = now_s - since_s
        if still_s < self._limit_s / 2:
            return Stand.FINE
        return Stand.DOUBTFUL if still_s < self._limit_s else Stand.STUCK

    def keep(self, readers: Collection[Hashable]) -> None:
        """Forget all others: one that pauses is not stuck, and begins anew when it reads again."""
        for reader in self._positions.keys() - set(readers):
            del self._positions[reader]

    def clear(self) -> None:
        """Begin anew: the assignment has changed, or the broker was away."""
        self._positions.clear()

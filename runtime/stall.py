"""Stuck readers: a position that does not move although there is something to read."""

from collections.abc import Hashable
from enum import Enum, auto


class Stand(Enum):
    """What a reader's standing still means."""

    FINE = auto()
    DOUBTFUL = auto()
    """Half the limit is over: from now on somebody should make sure that the broker is there."""
    STUCK = auto()


class StallWatch:
    """Looks at positions now and then; the caller gives the clock."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._moved: dict[Hashable, tuple[int, float]] = {}
        """Of each reader: where it was seen first, and when."""

    def look(self, reader: Hashable, position: int, lag: int, now_s: float) -> Stand:
        """What to think of a reader that is at `position` now, with `lag` records to read."""
        seen = self._moved.get(reader)
        if lag <= 0 or seen is None or seen[0] != position:
            self._moved[reader] = (position, now_s)
            return Stand.FINE
        stood_s = now_s - seen[1]
        if stood_s < self._limit_s / 2:
            return Stand.FINE
        return Stand.DOUBTFUL if stood_s < self._limit_s else Stand.STUCK

    def clear(self) -> None:
        """Begin anew: who reads what has changed, or nothing could be read meanwhile."""
        self._moved.clear()

"""Stuck readers: a position that does not move although there is something to read."""

from collections.abc import Hashable


class StallWatch:
    """Looks at positions now and then; the caller gives the clock. Forgets what it is not asked about again."""

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._moved: dict[Hashable, tuple[int, float]] = {}
        """Of each reader: where it was seen first, and when."""

    def stalled_s(self, reader: Hashable, position: int, lag: int, now_s: float) -> float | None:
        """For how long the reader has stood still over unread records, where that is too long; else None."""
        seen = self._moved.get(reader)
        if lag <= 0 or seen is None or seen[0] != position:
            self._moved[reader] = (position, now_s)
            return None
        stood_s = now_s - seen[1]
        return stood_s if stood_s >= self._limit_s else None

    def clear(self) -> None:
        """Begin anew: who reads what has changed."""
        self._moved.clear()

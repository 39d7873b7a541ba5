"""How far behind the filling of gaps is, and when it will be done. Pure."""

from collections import deque
from collections.abc import Iterable
from typing import NamedTuple

from producers.feed.any_symbol import Missing

WINDOW_S = 60.0
"""The rate of filling is that of so long ago until now."""
_STEP_S = 1.0


class FillingState(NamedTuple):
    """What is missing now."""

    missing: int
    """Trades."""
    behind_us: int
    """Market time from the oldest missing trade until now."""
    rest_s: float | None
    """Our time until all of them are there; None: nothing came of late."""


class Filling:
    """Remembers how many trades came by pages, and when."""

    def __init__(self) -> None:
        self._came: deque[tuple[float, int]] = deque()

    def add(self, trades: int, now_s: float) -> None:
        """Note trades that came by a page."""
        if self._came and now_s - self._came[-1][0] < _STEP_S:
            last_s, before = self._came[-1]
            self._came[-1] = last_s, before + trades
        else:
            self._came.append((now_s, trades))

    def state(self, gaps: Iterable[Missing], present_us: int, now_s: float) -> FillingState:
        """The state at a moment; `present_us` is the market time, 0 where it is not known."""
        while self._came and self._came[0][0] <= now_s - WINDOW_S:
            self._came.popleft()
        missing, from_us = 0, present_us
        for gap in gaps:
            missing += gap.trades
            from_us = min(from_us, gap.from_us)
        came = sum(trades for _, trades in self._came)
        seconds = max(_STEP_S, now_s - self._came[0][0]) if self._came else _STEP_S
        rest_s = 0.0 if not missing else missing * seconds / came if came else None
        return FillingState(missing, present_us - from_us, rest_s)

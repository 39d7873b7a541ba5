"""Minutes wait until the candles of all markets are there, or long enough. Pure.

A minute is over when every market that had a candle of the minute before has one of it, when the log clock is
`wait_ms` past its first candle, or when candles of minutes `MAX_SPAN` later are there. Minutes are over in order.
"""

from market.candle import Candle
from processors.signals.market_day import DAY_MINUTES

MAX_SPAN = 30
"""So many minutes may wait at a time: this bounds the memory."""


class Barrier:
    """The minutes that wait, each with its candles by market."""

    def __init__(self, wait_ms: int) -> None:
        self._wait_ms = wait_ms
        self._waiting: dict[int, dict[str, Candle]] = {}
        self._due_ms: dict[int, int] = {}
        self._expected: set[str] = set()
        """The markets that had a candle of the minute `over`."""
        self.over: int | None = None
        """The newest minute that is over."""

    def put(self, minute: int, market: str, candle: Candle, log_ms: int) -> bool:
        """Let a live candle wait for its minute's end; False if the minute is over already."""
        if self.over is not None and minute <= self.over:
            if minute == self.over:
                self._expected.add(market)
            return False
        waiting = self._waiting.get(minute)
        if waiting is None:
            waiting = self._waiting[minute] = {}
            self._due_ms[minute] = log_ms + self._wait_ms
        before = waiting.get(market)
        if before is None or candle.revision > before.revision:
            waiting[market] = candle
        return True

    def overdue(self, log_ms: int) -> int | None:
        """The first minute that waits, if it has waited long enough at that time."""
        if not self._waiting:
            return None
        first = min(self._waiting)
        return first if log_ms >= self._due_ms[first] else None

    def complete(self) -> int | None:
        """The first minute that waits, if nothing is to be waited for, or too many minutes wait."""
        if not self._waiting:
            return None
        first = min(self._waiting)
        if max(self._waiting) - first >= MAX_SPAN:
            return first
        expected = self._expected if self.over is not None and first - self.over <= DAY_MINUTES else set()
        there = self._waiting[first]
        return first if len(there) >= len(expected) and expected <= there.keys() else None

    def end(self, minute: int) -> dict[str, Candle]:
        """The candles of the first minute that waits, which is over from now on; in the order of the markets' keys."""
        candles = self._waiting.pop(minute)
        del self._due_ms[minute]
        self.over = minute
        self._expected = set(candles)
        return dict(sorted(candles.items()))

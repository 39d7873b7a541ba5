"""What an engine says of itself: CPU of all its threads and wall, from its first record, at the half and at the end."""

import json
import sys
import time


class Result:
    """Counts trades and takes the time."""

    def __init__(self, trades: int) -> None:
        self.trades = 0
        self._half = trades // 2
        self._began: tuple[float, float] | None = None
        self._at_half: tuple[int, float, float] | None = None

    def begin(self) -> None:
        """The first record is about to be asked for; without this, time begins when the first is at hand."""
        if self._began is None:
            self._began = (time.process_time(), time.perf_counter())

    def count(self, trades: int = 1) -> None:
        """So many more trades are at hand."""
        self.begin()
        self.trades += trades
        if self._at_half is None and self.trades >= self._half:
            self._at_half = (self.trades, *self._since())

    def tell(self, *, markers: int = 0) -> None:
        """Print the line that the harness reads: all is written and committed.

        `markers` is how many of what was counted are no trades.
        """
        cpu_s, wall_s = self._since()
        half_trades, half_cpu_s, half_wall_s = self._at_half or (0, 0.0, 0.0)
        figures = {
            "trades": self.trades - markers,
            "cpu_s": cpu_s,
            "wall_s": wall_s,
            "half_trades": half_trades,
            "half_cpu_s": half_cpu_s,
            "half_wall_s": half_wall_s,
        }
        print("RESULT " + json.dumps(figures), file=sys.__stdout__, flush=True)

    def _since(self) -> tuple[float, float]:
        cpu_s, wall_s = self._began or (0.0, 0.0)
        return time.process_time() - cpu_s, time.perf_counter() - wall_s

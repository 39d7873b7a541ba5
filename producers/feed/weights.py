"""How much may be asked of a REST API that counts the weight of requests in a window of time. Pure."""

from bisect import insort
from collections import deque

_LATE_S = 2.0
"""The exchange's minute may end at most this much later than ours."""
_SHARE = 0.9
"""The share of the limit that we use: it is better to pace requests than to be told to wait."""


class Weights:
    """What was spent in the last window: this is stricter than an exchange's count, which restarts with each window."""

    def __init__(self, weight: int, window_s: float = 60.0) -> None:
        self._most = max(1, int(weight * _SHARE))
        self._window_s = window_s
        self._spent: deque[tuple[float, int]] = deque()
        self.used = 0

    def wait_s(self, weight: int, now_s: float) -> float:
        """How many seconds to wait before spending `weight`; 0 or less: none."""
        self._forget(now_s)
        over = self.used + weight - self._most
        for spent_s, spent in self._spent:
            if over <= 0:
                break
            over -= spent
            wait_s = spent_s + self._window_s - now_s
            if over <= 0:
                return wait_s
        return 0.0

    def room_for(self, weight: int, now_s: float) -> int:
        """How many requests of this weight can be asked now."""
        self._forget(now_s)
        return max(0, self._most - self.used) // weight

    def spend(self, weight: int, now_s: float) -> None:
        """Note a request."""
        self._spent.append((now_s, weight))
        self.used += weight

    def correct(self, used: int, now_s: float, minute_s: float) -> None:
        """Take over what the exchange has counted: others at our address spend too, or we did before a restart.

        It counts by the minute of the clock, which began `minute_s` ago: so the difference expires with this minute.
        """
        self._forget(now_s)
        if used > self.used:
            began_s = now_s - min(max(0.0, minute_s - _LATE_S), self._window_s - _LATE_S)
            insort(self._spent, (began_s, used - self.used))
            self.used = used

    def _forget(self, now_s: float) -> None:
        while self._spent and self._spent[0][0] <= now_s - self._window_s:
            self.used -= self._spent.popleft()[1]

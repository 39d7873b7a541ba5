"""Request weights as Binance counts them: 6,000 a minute and address, then 429; after more requests 418."""

from collections import Counter
from typing import NamedTuple

WEIGHT_PER_MINUTE = 6_000
REFUSALS_BEFORE_BAN = 10
BAN_S = 120
MAX_BANS = 1_000
OK, TOO_MANY, BANNED = 200, 429, 418
_MINUTE_S = 60


class LimitVerdict(NamedTuple):
    """The answer to a request: a status, the weight that its address has used this minute, and when to ask again."""

    status: int
    used: int
    retry_after_s: int


class WeightMeter:
    """The weights used in the running wall-clock minute, by address; the counts are dropped as it ends."""

    def __init__(self) -> None:
        self._minute = 0
        self._used: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()
        self._banned_until_s: dict[str, float] = {}

    def charge(self, address: str, weight: int, now_s: float) -> LimitVerdict:
        """Count a request in at wall time `now_s` (seconds since the epoch)."""
        if self._minute != int(now_s) // _MINUTE_S:
            self._minute = int(now_s) // _MINUTE_S
            self._used.clear()
            self._refused.clear()
            self._banned_until_s = {who: until for who, until in self._banned_until_s.items() if until > now_s}
        until_s = self._banned_until_s.get(address, 0.0)
        if until_s > now_s:
            return LimitVerdict(BANNED, self._used[address], int(until_s - now_s) + 1)
        self._used[address] += weight
        if self._used[address] <= WEIGHT_PER_MINUTE:
            return LimitVerdict(OK, self._used[address], 0)
        self._refused[address] += 1
        if self._refused[address] > REFUSALS_BEFORE_BAN and len(self._banned_until_s) < MAX_BANS:
            self._banned_until_s[address] = now_s + BAN_S
            return LimitVerdict(BANNED, self._used[address], BAN_S)
        return LimitVerdict(TOO_MANY, self._used[address], _MINUTE_S - int(now_s) % _MINUTE_S)

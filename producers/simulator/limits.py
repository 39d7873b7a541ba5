"""How much one address may ask of an exchange: a weight a window of wall-clock time, then refusals, then a ban."""

from collections import Counter
from typing import NamedTuple

REFUSALS_BEFORE_BAN = 10
BAN_S = 120
MAX_BANS = 1_000
OK, TOO_MANY, BANNED = 200, 429, 418


class RequestLimit(NamedTuple):
    """`weight` a window of `per_s` seconds; `bans`: an address that goes on asking after refusals is shut out."""

    weight: int
    per_s: int
    bans: bool = False


class LimitVerdict(NamedTuple):
    """The answer to a request: a status, the weight that its address has used in the window, and when to ask again."""

    status: int
    used: int
    retry_after_s: int


class WeightMeter:
    """The weights used in the running window, by address; the counts are dropped as it ends."""

    def __init__(self, limit: RequestLimit) -> None:
        self._limit = limit
        self._window = 0
        self._used: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()
        self._banned_until_s: dict[str, float] = {}

    def charge(self, address: str, weight: int, now_s: float) -> LimitVerdict:
        """Count a request in at wall time `now_s` (seconds since the epoch)."""
        per_s = self._limit.per_s
        if self._window != int(now_s) // per_s:
            self._window = int(now_s) // per_s
            self._used.clear()
            self._refused.clear()
            self._banned_until_s = {who: until for who, until in self._banned_until_s.items() if until > now_s}
        until_s = self._banned_until_s.get(address, 0.0)
        if until_s > now_s:
            return LimitVerdict(BANNED, self._used[address], int(until_s - now_s) + 1)
        self._used[address] += weight
        if self._used[address] <= self._limit.weight:
            return LimitVerdict(OK, self._used[address], 0)
        self._refused[address] += 1
        too_often = self._limit.bans and self._refused[address] > REFUSALS_BEFORE_BAN
        if too_often and len(self._banned_until_s) < MAX_BANS:
            self._banned_until_s[address] = now_s + BAN_S
            return LimitVerdict(BANNED, self._used[address], BAN_S)
        return LimitVerdict(TOO_MANY, self._used[address], per_s - int(now_s) % per_s)

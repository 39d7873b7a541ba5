"""The last rung before a hole: the exchange's own kline of a minute whose trades cannot be had. Pure.

The marker of such a minute waits for the answer, because candles that are final are not corrected. It does not wait
long: without an answer the minute is a `hole`.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from market.given_candle import GivenCandle
from market.timeframe import MINUTE_US
from runtime.backoff import pause_s

LAG_S = 35.0
"""Klines may be 30 s late: one that is asked for earlier may lack trades."""
PATIENCE_S = 60.0
"""So long after that the exchange is asked again and again."""
MAX_MINUTES = 100
"""... in one request: no exchange gives fewer."""


class KlineRequest(NamedTuple):
    """The klines that open from `from_us` on, before `until_us`."""

    from_us: int
    until_us: int


class _Wanted(NamedTuple):
    """A minute whose kline is wanted, and from when on to ask for it."""

    ready_s: float
    until_s: float


class Klines:
    """The minutes of one symbol whose klines are wanted. All times `*_s` are on the caller's monotonic clock."""

    def __init__(self, *, lag_s: float = LAG_S, patience_s: float = PATIENCE_S) -> None:
        self.in_flight = False
        self._lag_s, self._patience_s = lag_s, patience_s
        self._wanted: dict[int, _Wanted] = {}
        """By the minute's open time; in the order of time."""
        self._given: dict[int, GivenCandle | None] = {}
        self._ask_at_s = 0.0
        self._asked = 0

    @property
    def is_waiting(self) -> bool:
        """Whether some minute waits for an answer."""
        return bool(self._wanted)

    def want(self, minutes_us: Iterable[int], now_s: float, fill_timeout_s: float) -> None:
        """Ask for these minutes, which are over, as soon as their klines can be right.

        Whoever gives trades less time than klines may be late gives klines no more.
        """
        ready_s = now_s + min(self._lag_s, fill_timeout_s)
        for open_us in minutes_us:
            if open_us not in self._wanted and open_us not in self._given:
                self._wanted[open_us] = _Wanted(ready_s, ready_s + self._patience_s)

    def held_until_us(self, now_s: float) -> int | None:
        """Markers wait from this minute on; None: none waits. What was asked for long enough is given up."""
        for open_us in [open_us for open_us, wanted in self._wanted.items() if wanted.until_s <= now_s]:
            del self._wanted[open_us]
            self._given[open_us] = None
        return min(self._wanted, default=None)

    def take(self, open_us: int) -> GivenCandle | None:
        """The kline of a minute that is marked now, if it was given."""
        return self._given.pop(open_us, None)

    def next_request(self, now_s: float) -> KlineRequest | None:
        """What to ask for now, if anything."""
        if self.in_flight or not self._wanted or now_s < self._ask_at_s:
            return None
        ready = [open_us for open_us, wanted in self._wanted.items() if wanted.ready_s <= now_s]
        if not ready:
            return None
        from_us = min(ready)
        last_us = max(open_us for open_us in ready if open_us < from_us + MAX_MINUTES * MINUTE_US)
        return KlineRequest(from_us, last_us + MINUTE_US)

    def answer(self, request: KlineRequest, candles: Sequence[GivenCandle] | None, now_s: float) -> None:
        """Take an answer; `candles` None: there was none."""
        self.in_flight = False
        for candle in candles or ():
            open_us = candle.open_time_ms * 1000
            if request.from_us <= open_us < request.until_us and self._wanted.pop(open_us, None) is not None:
                self._given[open_us] = candle
        if any(request.from_us <= open_us < request.until_us for open_us in self._wanted):
            self._ask_at_s = now_s + pause_s(self._asked)
            self._asked += 1
        else:
            self._asked = 0

"""A lane's longer candles and tickers: one key's live minutes, or those of one run. Pure: candles in, candles out."""

from typing import NamedTuple

from market.candle import Candle
from market.codec import encode_candle, encode_ticker
from market.timeframe import MINUTE_MS, Timeframe
from market.trade import split_key
from processors.rolling.roll import PARENTS, Children
from processors.rolling.ticker import Minutes

LIVE_INTERVAL_MS = 1000
"""A live candle refreshes a ticker at most this often, by the log clock."""


class Output(NamedTuple):
    """A record to be published: a candle of `timeframe`, or without one a ticker."""

    timeframe: Timeframe | None
    key: str
    value: bytes
    run: str | None = None


class Lane:
    """Only live lanes have tickers. A run's lane publishes the windows that the run wholly holds."""

    __slots__ = ("_children", "_live_at_ms", "_minutes", "_moved", "_touched", "key", "newest_at_ms", "run")

    def __init__(self, key: str, run: str | None) -> None:
        self.key = key
        self.run = run
        self.newest_at_ms = 0
        """Log clock of the lane's newest record."""
        self._children = {child: Children(child) for child in PARENTS}
        self._touched: dict[Timeframe, set[int]] = {child: set() for child in PARENTS}
        self._minutes = Minutes() if run is None else None
        self._moved = False
        self._live_at_ms = 0

    def put(self, candle: Candle, value: bytes, at_ms: int) -> None:
        """Take in a 1m candle, appended at `at_ms`; what it leads to comes out of `settle`."""
        self.newest_at_ms = max(self.newest_at_ms, at_ms)
        if self._children[Timeframe.M1].put(candle, value):
            self._touched[Timeframe.M1].add(candle.open_time_ms)
        if self._minutes is not None:
            before_ms = self._minutes.newest_ms
            self._minutes.put(candle)
            self._moved |= self._minutes.newest_ms != before_ms

    def settle(self, *, restoring: bool = False) -> list[Output]:
        """The windows that changed and are whole, shortest timeframe first, then the ticker where a minute is new.

        A minute that is only corrected moves no ticker: it is in the next one, and a ticker never goes back in time.
        Where `restoring`, only what later windows are made of is computed.
        """
        outputs: list[Output] = []
        for child, parents in PARENTS.items():
            touched = sorted(self._touched[child])
            self._touched[child].clear()
            for timeframe in parents if not restoring else [parent for parent in parents if parent in PARENTS]:
                for open_ms in dict.fromkeys(timeframe.open_ms(at) for at in touched):
                    candle = self._children[child].window(timeframe, open_ms)
                    if candle is not None:
                        outputs.append(self._roll(timeframe, candle))
        if self._moved and self._minutes is not None and not restoring:
            outputs.append(self._ticker(self._minutes))
        self._moved = False
        return outputs

    def refresh(self, live: Candle, at_ms: int) -> list[Output]:
        """The ticker with the open minute `live` in it, where that follows the newest closed one."""
        minutes = self._minutes
        if minutes is None or minutes.newest_ms is None or live.open_time_ms != minutes.newest_ms + MINUTE_MS:
            return []
        if at_ms < self._live_at_ms + LIVE_INTERVAL_MS:
            return []
        self._live_at_ms = at_ms
        return [self._ticker(minutes, live)]

    def _roll(self, timeframe: Timeframe, candle: Candle) -> Output:
        value = encode_candle(candle)
        # The encoder's bytes hold on to a buffer of several kilobytes: what is kept is a copy.
        if timeframe in PARENTS and self._children[timeframe].put(candle, bytes(memoryview(value))):
            self._touched[timeframe].add(candle.open_time_ms)
        return Output(timeframe, self.key, value, self.run)

    def _ticker(self, minutes: Minutes, live: Candle | None = None) -> Output:
        exchange, symbol = split_key(self.key)
        return Output(None, self.key, encode_ticker(minutes.ticker(exchange, symbol, live)))

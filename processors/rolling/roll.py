"""Longer candles out of shorter ones: which timeframe is made of which, and the exact sum of a window's parts."""

from collections.abc import Sequence

import msgspec

from market.candle import Candle, Status
from market.decimals import EXACT, ZERO
from market.timeframe import HOUR_MS, Timeframe

PARENTS = {
    Timeframe.M1: (Timeframe.M3, Timeframe.M5, Timeframe.M15, Timeframe.M30, Timeframe.H1),
    Timeframe.H1: (Timeframe.H2, Timeframe.H4, Timeframe.H6, Timeframe.H12, Timeframe.D1),
}
"""Child → the timeframes made of it, shortest first; the windows of the last hold those of the others."""
TIMEFRAMES = tuple(parent for parents in PARENTS.values() for parent in parents)
HORIZON_MS = HOUR_MS
"""How far behind a lane's newest child a window must end to be let go: revisions come at most 10 minutes late
(the candle engine's line), so an hour leaves room for a longer line."""
_STATUSES = tuple(Status)  # by rank
_decode = msgspec.json.Decoder(Candle).decode  # of values that `market.codec` has let in: many times cheaper


class Children:
    """The newest children of one lane and timeframe, as they came, back to the oldest window that can still change.

    Values are kept as bytes and decoded when a window is due: a tenth of the memory of candles.
    """

    __slots__ = ("_floor_ms", "_values", "newest_ms", "timeframe")

    def __init__(self, timeframe: Timeframe) -> None:
        self.timeframe = timeframe
        self.newest_ms = -1
        self._floor_ms = -1
        self._values: dict[int, bytes] = {}

    def put(self, candle: Candle, value: bytes) -> bool:
        """Take in a child; False where it changes nothing: behind the horizon, of a lower revision, or the same again.

        Of one revision the later in the log counts: a candle engine that closes on event time may write two.
        """
        open_ms = candle.open_time_ms
        if open_ms < self._floor_ms:
            return False
        held = self._values.get(open_ms)
        if held is not None and (held == value or _decode(held).revision > candle.revision):
            return False
        self._values[open_ms] = value
        if open_ms > self.newest_ms:
            self.newest_ms = open_ms
            self._forget(floor_ms(self.timeframe, open_ms))
        return True

    def window(self, timeframe: Timeframe, open_ms: int) -> Candle | None:
        """The candle of `timeframe` that opens at `open_ms`, where all its children are there."""
        end_ms, length_ms = timeframe.end_ms(open_ms), self.timeframe.end_ms(0)
        if end_ms - length_ms not in self._values:  # the common case: the window is not over
            return None
        values = [self._values.get(child_ms) for child_ms in range(open_ms, end_ms, length_ms)]
        if None in values:
            return None
        return combine(timeframe, [_decode(value) for value in values if value is not None])

    def _forget(self, floor_ms: int) -> None:
        if floor_ms > self._floor_ms:
            self._floor_ms = floor_ms
            for open_ms in [open_ms for open_ms in self._values if open_ms < floor_ms]:
                del self._values[open_ms]


def floor_ms(child: Timeframe, newest_ms: int) -> int:
    """Open time of the oldest child that is kept when the lane's newest opens at `newest_ms`."""
    return PARENTS[child][-1].open_ms(newest_ms - HORIZON_MS)


def combine(timeframe: Timeframe, children: Sequence[Candle]) -> Candle:
    """The candle made of `children`: all of its window, in order. Revision the greatest, status the worst."""
    first, last = children[0], children[-1]
    ids = [(child.first_trade_id, child.last_trade_id) for child in children if child.first_trade_id is not None]
    volume = quote_volume = taker_buy_volume = taker_buy_quote_volume = ZERO
    for child in children:
        volume = EXACT.add(volume, child.volume)
        quote_volume = EXACT.add(quote_volume, child.quote_volume)
        taker_buy_volume = EXACT.add(taker_buy_volume, child.taker_buy_volume)
        taker_buy_quote_volume = EXACT.add(taker_buy_quote_volume, child.taker_buy_quote_volume)
    return Candle(
        exchange=first.exchange,
        symbol=first.symbol,
        timeframe=timeframe.value,
        open_time_ms=first.open_time_ms,
        close_time_ms=last.close_time_ms,
        open=first.open,
        high=max(child.high for child in children),
        low=min(child.low for child in children),
        close=last.close,
        volume=volume,
        quote_volume=quote_volume,
        trades=sum(child.trades for child in children),
        taker_buy_volume=taker_buy_volume,
        taker_buy_quote_volume=taker_buy_quote_volume,
        first_trade_id=ids[0][0] if ids else None,
        last_trade_id=ids[-1][1] if ids else None,
        revision=max(child.revision for child in children),
        status=_STATUSES[max(child.status.rank for child in children)],
    )

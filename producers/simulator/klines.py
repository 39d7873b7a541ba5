"""The exchange's own klines, computed from its integers: not by the code whose candles are compared with them.

A kline without trades is flat at the price before it, as on Binance.
"""

import asyncio
from collections.abc import Iterable

from market.timeframe import MINUTE_MS
from producers.simulator.archive import Archive
from producers.simulator.history import Match

_S, _M, _H = 1_000, 60_000, 3_600_000
INTERVALS_MS = {
    "1s": _S, "1m": _M, "3m": 3 * _M, "5m": 5 * _M, "15m": 15 * _M, "30m": 30 * _M,
    "1h": _H, "2h": 2 * _H, "4h": 4 * _H, "6h": 6 * _H, "8h": 8 * _H, "12h": 12 * _H, "1d": 24 * _H,
}  # fmt: skip


class Kline:
    """The sums of one interval: prices in ticks, volumes in lots, quote volumes in ticks times lots."""

    __slots__ = (
        "close", "first_id", "high", "last_id", "length_ms", "lots", "low", "open", "open_ms", "quote",
        "taker_buy_lots", "taker_buy_quote", "trades",
    )  # fmt: skip

    def __init__(self, open_ms: int, length_ms: int, price_before: int) -> None:
        self.open_ms, self.length_ms = open_ms, length_ms
        self.open = self.high = self.low = self.close = price_before
        self.first_id = self.last_id = -1
        self.lots = self.quote = self.taker_buy_lots = self.taker_buy_quote = self.trades = 0

    def add(self, matches: Iterable[Match]) -> None:
        """Add trades, in order of id."""
        for match in matches:
            ticks, lots = match.ticks, match.lots
            if not self.trades:
                self.open = self.high = self.low = ticks
                self.first_id = match.trade_id
            elif ticks > self.high:
                self.high = ticks
            elif ticks < self.low:
                self.low = ticks
            self.close, self.last_id = ticks, match.trade_id
            self.trades += 1
            self.lots += lots
            self.quote += ticks * lots
            if not match.buyer_is_maker:
                self.taker_buy_lots += lots
                self.taker_buy_quote += ticks * lots

    @property
    def end_ms(self) -> int:
        """When the next one opens."""
        return self.open_ms + self.length_ms


async def klines(archive: Archive, first_ms: int, last_ms: int, length_ms: int, now_ms: int) -> list[Kline]:
    """The klines that open from `first_ms` to `last_ms`, as far as they have happened, from the first trade ever on."""
    made = []
    price = archive.ticks_before(first_ms) if first_ms <= last_ms else None
    for open_ms in range(first_ms, last_ms + 1, length_ms):
        kline = await _kline(archive, open_ms, length_ms, price or 0, now_ms)
        if kline.trades:
            price = kline.close
        if price is not None:
            made.append(kline)
    return made


async def _kline(archive: Archive, open_ms: int, length_ms: int, price_before: int, now_ms: int) -> Kline:
    """A kline as far as it has happened. Other tasks run between minutes: a day may have a million trades."""
    kline = Kline(open_ms, length_ms, price_before)
    end_ms = min(open_ms + length_ms, now_ms + 1)
    for minute_ms in range(open_ms, end_ms, MINUTE_MS):
        kline.add(archive.between(minute_ms, min(minute_ms + MINUTE_MS, end_ms)))
        await asyncio.sleep(0)
    return kline

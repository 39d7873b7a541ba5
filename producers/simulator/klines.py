"""The exchange's own klines, computed from its integers: not by the code whose candles are compared with them.

A kline without trades is flat at the price before it, as on Binance.
"""

from collections.abc import Iterable

from producers.simulator.history import Match
from producers.simulator.instruments import SimulatedInstrument

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

    def rest_row(self, market: SimulatedInstrument) -> list[int | str]:
        """The twelve values of a row of ``/api/v3/klines``; times in milliseconds."""
        return [
            self.open_ms,
            market.price(self.open),
            market.price(self.high),
            market.price(self.low),
            market.price(self.close),
            market.qty(self.lots),
            self.open_ms + self.length_ms - 1,
            market.quote_qty(self.quote),
            self.trades,
            market.qty(self.taker_buy_lots),
            market.quote_qty(self.taker_buy_quote),
            "0",
        ]

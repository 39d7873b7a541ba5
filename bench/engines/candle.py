"""A candle as a user of the Python peers would write it: exact decimals, trades in time order."""

from decimal import Decimal

import orjson


class Candle:
    """One minute of one symbol."""

    __slots__ = ("close", "high", "low", "open", "quote", "taker", "taker_quote", "trades", "volume")

    def __init__(self, price: Decimal) -> None:
        self.open = self.high = self.low = self.close = price
        self.volume = self.quote = self.taker = self.taker_quote = Decimal(0)
        self.trades = 0

    def add(self, price: Decimal, qty: Decimal, side: str) -> None:
        """Take a trade in."""
        if price > self.high:
            self.high = price
        elif price < self.low:
            self.low = price
        self.close = price
        quote = price * qty
        self.volume += qty
        self.quote += quote
        self.trades += 1
        if side == "buy":
            self.taker += qty
            self.taker_quote += quote


def encoded(candle: Candle, key: str, open_time_ms: int) -> bytes:
    """As JSON, the fields named as in ``md.candles.1m.v1``."""
    exchange, symbol = key.split(":")
    return orjson.dumps(
        {
            "exchange": exchange,
            "symbol": symbol,
            "open_time_ms": open_time_ms,
            "open": str(candle.open),
            "high": str(candle.high),
            "low": str(candle.low),
            "close": str(candle.close),
            "volume": str(candle.volume),
            "quote_volume": str(candle.quote),
            "trades": candle.trades,
            "taker_buy_volume": str(candle.taker),
            "taker_buy_quote_volume": str(candle.taker_quote),
        }
    )

"""A market's name: exchange and symbol, and their text, which is the record key."""

from typing import NamedTuple


class MarketKey(NamedTuple):
    """One market. Its text, ``exchange:SYMBOL``, is the key of its records in every topic."""

    exchange: str
    symbol: str

    def __str__(self) -> str:
        return f"{self.exchange}:{self.symbol}"

    @classmethod
    def parse(cls, text: str) -> "MarketKey":
        """The market of a record key; `market.limits.check_key` says whether it may be one."""
        exchange, _, symbol = text.partition(":")
        return cls(exchange, symbol)

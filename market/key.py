"""A market's name: exchange and symbol. Its text is the key of the market's records."""

from typing import NamedTuple

from msgspec import Struct

from market.fields import Name


class MarketKey(NamedTuple):
    """One market; its text is ``exchange:SYMBOL``."""

    exchange: str
    symbol: str

    def __str__(self) -> str:
        return f"{self.exchange}:{self.symbol}"

    @classmethod
    def parse(cls, text: str) -> "MarketKey":
        """The market of a text ``exchange:SYMBOL``; `market.limits.check_key` checks whether it can exist."""
        exchange, _, symbol = text.partition(":")
        return cls(exchange, symbol)


class OfMarket(Struct, frozen=True, kw_only=True):
    """The fields with which every record about a market begins."""

    exchange: Name
    symbol: Name

    @property
    def market(self) -> MarketKey:
        """The market that the record is about."""
        return MarketKey(self.exchange, self.symbol)

    @property
    def key(self) -> str:
        """The record key: the market's text, ``exchange:SYMBOL``."""
        return f"{self.exchange}:{self.symbol}"

"""What one round of the feed has to publish."""

from typing import TYPE_CHECKING

from market.feed import FeedEvent
from market.trade import Marker, Trade
from producers.exchange import RefusedTrade

if TYPE_CHECKING:
    from producers.feed.symbol import SymbolFeed


class Round:
    """Claims are taken back first; trades go before events, and markers after those are acknowledged."""

    def __init__(self, now_s: float, at_ms: int) -> None:
        self.now_s = now_s
        """The monotonic clock."""
        self.at_ms = at_ms
        """Our own clock, UTC milliseconds."""
        self.begins: list[tuple[SymbolFeed, Marker]] = []
        self.trades: list[tuple[SymbolFeed, Trade]] = []
        self.refused: list[tuple[SymbolFeed | None, RefusedTrade]] = []
        """What is no trade, to be kept as dead letters; the symbol where it can be told."""
        self.events: list[FeedEvent] = []
        self.taken_back: list[tuple[SymbolFeed, Marker]] = []
        """Markers that take a claim back; they speak of no trade of this round."""
        self.resets: list[tuple[SymbolFeed, Marker]] = []
        """Of symbols whose ids began anew, what the progress topic has to say before their trades are published."""
        self.markers: list[tuple[SymbolFeed, Marker]] = []

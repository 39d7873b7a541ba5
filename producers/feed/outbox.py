"""What one round of the feed publishes."""

from typing import TYPE_CHECKING

from market.feed import FeedEvent
from market.trade import Marker, Trade
from producers.exchange import RefusedTrade

if TYPE_CHECKING:
    from producers.feed.symbol import SymbolFeed


class Outbox:
    """Filled in one round; `Publishing` says in which order it is sent."""

    def __init__(self, now_s: float, wall_ms: int) -> None:
        self.now_s = now_s
        """The monotonic clock."""
        self.wall_ms = wall_ms
        """Our own clock, UTC milliseconds."""
        self.begins: list[tuple[SymbolFeed, Marker]] = []
        self.trades: list[tuple[SymbolFeed, Trade]] = []
        self.refused: list[tuple[SymbolFeed | None, RefusedTrade]] = []
        """What is no trade and becomes a dead letter, each with its symbol if known."""
        self.events: list[FeedEvent] = []
        self.taken_back: list[tuple[SymbolFeed, Marker]] = []
        """Markers that take claims back; they do not depend on trades of this round."""
        self.resets: list[tuple[SymbolFeed, Marker]] = []
        """Progress of symbols after a reset of ids, to be noted before their trades are published."""
        self.markers: list[tuple[SymbolFeed, Marker]] = []
        self.silent: list[SymbolFeed] = []
        """Symbols whose subscription is dead, although their connection lives: it has to be made anew."""

"""What one round of the feed publishes."""

from typing import TYPE_CHECKING

from market.encoded_trades import EncodedTrades
from market.feed import FeedEvent, FeedEventKind
from market.key import MarketKey
from market.trade import Marker, Source, Trade
from producers.exchange import RefusedTrade

if TYPE_CHECKING:
    from producers.feed.any_symbol import AnySymbol

_REST = Source.REST


class Outbox:
    """Filled in one round; `Publishing` says in which order it is sent."""

    def __init__(self, now_s: float, wall_ms: int) -> None:
        self.now_s = now_s
        """The monotonic clock."""
        self.wall_ms = wall_ms
        """Our own clock, UTC milliseconds."""
        self.begins: list[tuple[AnySymbol, Marker]] = []
        self.trades: list[tuple[AnySymbol, Trade | EncodedTrades]] = []
        self.refused: list[tuple[AnySymbol | None, RefusedTrade]] = []
        """What is no trade and becomes a dead letter, each with its symbol if known."""
        self.events: list[FeedEvent] = []
        self.taken_back: list[tuple[AnySymbol, Marker]] = []
        """Markers that take claims back; they do not depend on trades of this round."""
        self.resets: list[tuple[AnySymbol, Marker]] = []
        """Progress of symbols after a reset of ids, to be noted before their trades are published."""
        self.markers: list[tuple[AnySymbol, Marker]] = []
        self.silent: list[AnySymbol] = []
        """Symbols whose subscription is dead, although their connection lives: it has to be made anew."""

    def count(self) -> tuple[int, int]:
        """How many trades there are, and how many of them came by pages."""
        live = paged = 0
        for _, traded in self.trades:
            if isinstance(traded, EncodedTrades):
                live += len(traded.values)
            elif traded.source is _REST:
                paged += 1
            else:
                live += 1
        return live + paged, paged

    def report(self, market: MarketKey, kind: FeedEventKind, **about: str | int) -> None:
        """Add an event about a market."""
        exchange, symbol = market
        event = FeedEvent(exchange=exchange, symbol=symbol, event=kind, at_ms=self.wall_ms, **about)  # type: ignore[arg-type]  # fields by name
        self.events.append(event)

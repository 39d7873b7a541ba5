"""What a session asks of the feed of one symbol, whatever the symbol's trade ids prove. Pure."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

from market.encoded_trades import EncodedTrades
from market.feed import FeedEventKind
from market.key import MarketKey
from market.trade import Marker, Trade
from producers.exchange import RefusedTrade, TradesPage
from producers.feed.klines import Klines
from producers.feed.marker_clock import MarkerClock

if TYPE_CHECKING:
    from producers.feed.outbox import Outbox
    from producers.feed.symbol import PageRequest


class Missing(Protocol):
    """Trades that are missing."""

    @property
    def from_us(self) -> int:
        """They are no older."""

    @property
    def trades(self) -> int:
        """How many, as far as ids tell it."""


class AnySymbol(Protocol):
    """The feed of one symbol. Pure: it decides, and puts what is to be published into the outbox."""

    market: MarketKey
    native: str
    key: bytes
    partition: int
    klines: Klines
    in_flight: bool
    """A request of the symbol is under way."""
    clock: MarkerClock | None
    """None: the symbol has not begun."""
    begin: Marker | None
    joined: bool
    """What the connection carries follows on what was published."""
    retired: bool
    """The exchange does not trade it any more: no marker goes."""

    @property
    def gaps(self) -> "Sequence[Missing]":
        """What is missing and asked for."""

    @property
    def is_caught_up(self) -> bool:
        """Nothing is missing and nothing has to be asked for."""

    def connected(self, since_us: int, outbox: "Outbox") -> None:
        """The connection carries messages: every trade from `since_us` (the exchange's time) on will come."""

    def disconnected(self, reason: str, server_us: int, outbox: "Outbox") -> None:
        """The connection is lost; `server_us` is the last market time that it proved."""

    def live(self, trade: Trade, outbox: "Outbox") -> None:
        """A trade came over the connection."""

    def live_together(self, trades: EncodedTrades, outbox: "Outbox") -> None:
        """Trades came over the connection one after the other: the same as `live` with each."""

    def refused(self, refused: RefusedTrade, server_us: int, outbox: "Outbox") -> None:
        """An unreadable trade came over the connection, at this market time."""

    def page(self, request: "PageRequest", page: TradesPage | None, server_us: int, outbox: "Outbox") -> None:
        """The answer to a request; `page` None: there was no answer."""

    def next_request(self, now_s: float) -> "PageRequest | None":
        """The page to ask for now, if any."""

    def emit_due(self, server_us: int, fill_timeout_s: float, outbox: "Outbox") -> None:
        """Put the events and markers that are due into the outbox; `server_us` is the market time, 0: unknown."""

    def report(self, kind: FeedEventKind, outbox: "Outbox", **about: str | int) -> None:
        """Put an event about this symbol into the outbox."""

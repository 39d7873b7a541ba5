"""What a playback counts: frames, trades by symbol, what was refused, and clocks that cannot be right. Pure."""

from collections import Counter
from dataclasses import dataclass, field

from market.ids import SeenIds
from market.key import MarketKey
from market.trade import Trade, numeric_id
from producers.capture.lines import CutOff

SERVER_BACK_US = 1_000_000
"""Streams of one connection tell times that differ a little: a step back by more is odd."""
MAX_REASONS = 30
"""So many different texts are kept; others count together."""
OTHER_REASONS = "other reasons"


class Reasons:
    """Why something happened, and how often."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def add(self, reason: str) -> None:
        """Count one."""
        known = reason in self.counts or len(self.counts) < MAX_REASONS
        self.counts[reason if known else OTHER_REASONS] += 1

    def __len__(self) -> int:
        """How often anything happened."""
        return self.counts.total()


@dataclass
class Oddity:
    """Times that cannot be right: how many, and by how much at worst."""

    count: int = 0
    worst_us: int = 0

    def add(self, by_us: int) -> None:
        """Count one that is wrong by `by_us`."""
        self.count += 1
        self.worst_us = max(self.worst_us, by_us)


@dataclass
class SymbolTally:
    """The trades of one symbol."""

    ids_prove: bool
    trades: int = 0
    repeated: int = 0
    """Trades whose id had come before."""
    first_us: int = 0
    last_us: int = 0
    ids: SeenIds = field(default_factory=SeenIds)

    @property
    def missing(self) -> list[tuple[int, int]] | None:
        """The ranges of ids between the least and the greatest that did not come; None: ids of this exchange tell none.

        A capture cannot tell why: they may have come on another connection, or not be the exchange's at all.
        """
        return self.ids.numbers.missing() if self.ids_prove else None


@dataclass
class _ConnectionClock:
    received_us: int = 0
    server_us: int = 0


@dataclass
class PlaybackTally:
    """All that was read."""

    files: int = 0
    """Those with a header."""
    frames: int = 0
    sent: int = 0
    opened: int = 0
    ended: Reasons = field(default_factory=Reasons)
    unreadable: Reasons = field(default_factory=Reasons)
    """Lines that have no form of a capture."""
    malformed: Reasons = field(default_factory=Reasons)
    """Frames that are none of the exchange."""
    refused: Reasons = field(default_factory=Reasons)
    """What stands in place of trades and cannot be read."""
    rejected: Reasons = field(default_factory=Reasons)
    """Subscriptions that the exchange did not take."""
    cut_off: list[CutOff] = field(default_factory=list)
    symbols: dict[MarketKey, SymbolTally] = field(default_factory=dict)
    first_us: int = 0
    last_us: int = 0
    longest_pause_us: int = 0
    """Between two frames of a connection."""
    least_lag_us: int | None = None
    """Of receiving behind the exchange's clock; negative: our clock was behind. None: frames carry no time."""
    greatest_lag_us: int | None = None
    received_back: Oddity = field(default_factory=Oddity)
    """Frames that came before the one before them: the recorder's clock was set back."""
    server_back: Oddity = field(default_factory=Oddity)
    server_ahead: Oddity = field(default_factory=Oddity)
    """Frames that came before the exchange sent them, by their clocks."""
    trade_ahead: Oddity = field(default_factory=Oddity)
    """Trades that came before they were made, by the clocks."""
    _clocks: dict[str, _ConnectionClock] = field(default_factory=dict)

    @property
    def trades(self) -> int:
        """All trades whose ids did not come before."""
        return sum(symbol.trades for symbol in self.symbols.values())

    def begin_connection(self, connection: str) -> None:
        """A connection was made: what stood before it on the same one is no pause."""
        self._clocks.pop(connection, None)

    def receive(self, time_us: int, connection: str) -> None:
        """Count a frame that came at `time_us`."""
        self.frames += 1
        self.first_us = min(self.first_us or time_us, time_us)
        self.last_us = max(self.last_us, time_us)
        clock = self._clocks.setdefault(connection, _ConnectionClock())
        if clock.received_us:
            if time_us < clock.received_us:
                self.received_back.add(clock.received_us - time_us)
            self.longest_pause_us = max(self.longest_pause_us, time_us - clock.received_us)
        clock.received_us = time_us

    def hear(self, server_us: int, received_us: int, connection: str) -> None:
        """Hold a frame's server time, if it has one, against the clocks."""
        if not server_us:
            return
        lag_us = received_us - server_us
        self.least_lag_us = lag_us if self.least_lag_us is None else min(self.least_lag_us, lag_us)
        self.greatest_lag_us = lag_us if self.greatest_lag_us is None else max(self.greatest_lag_us, lag_us)
        if lag_us < 0:
            self.server_ahead.add(-lag_us)
        clock = self._clocks.setdefault(connection, _ConnectionClock())
        if server_us < clock.server_us - SERVER_BACK_US:
            self.server_back.add(clock.server_us - server_us)
        clock.server_us = server_us

    def count(self, trade: Trade, ids_prove: bool) -> bool:  # noqa: FBT001  # a property of the exchange
        """Count a trade; False if its id came before."""
        symbol = self.symbols.setdefault(trade.market, SymbolTally(ids_prove))
        if trade.received_us < trade.time_us:
            self.trade_ahead.add(trade.time_us - trade.received_us)
        if not symbol.ids.add(trade.trade_id, numeric_id(trade.trade_id)):
            symbol.repeated += 1
            return False
        symbol.trades += 1
        symbol.first_us = min(symbol.first_us or trade.time_us, trade.time_us)
        symbol.last_us = max(symbol.last_us, trade.time_us)
        return True

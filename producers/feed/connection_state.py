"""What a session knows of one of its connections, and what it reports about the connection's clock and messages."""

from collections.abc import Iterable

from market.feed import FeedEventKind
from producers.feed.any_symbol import AnySymbol
from producers.feed.market_clock import ClockChange, MarketClock, ProvenTime
from producers.feed.outbox import Outbox
from producers.feed.progress import STAGE
from runtime.telemetry import logger

REPORT_EVERY_S = 10.0
"""What every message could repeat is reported at most once in this time."""


class ConnectionState:
    """The symbols of one connection, and the market time that its messages prove."""

    def __init__(self, number: int, symbols: Iterable[AnySymbol], market: MarketClock) -> None:
        self.number = number
        self.symbols = {feed.market.symbol: feed for feed in symbols}
        self.by_native = {feed.native: feed for feed in self.symbols.values()}
        self.names = {native: feed.market.symbol for native, feed in self.by_native.items()}
        """Native name to ours."""
        self.time = ProvenTime(market)
        self.marked_us = 0
        self.carried: dict[str, AnySymbol] = {}
        """By our symbol: those that the connection carries, and whose feeds were told so."""
        self.accepted: dict[str, AnySymbol] = {}
        """Those that it carries, and whose feeds were not told yet."""
        self.refused = 0
        self._reported_ignored = self._reported_refused = 0
        self._report_at_s = 0.0

    def report_clock(self, limit_us: int, outbox: Outbox) -> None:
        """Report that the clock went away or came back; later times than `limit_us` are impossible."""
        clock, log = self.time, logger(STAGE)
        change = clock.change(outbox.now_s)
        if change is None:
            return
        kind, about = FeedEventKind.CLOCK_BACK, {}
        if change is ClockChange.AWAY:
            reason = f"the exchange's clock says {clock.last_ignored_us} us, at most {limit_us} is possible"
            kind, about = FeedEventKind.CLOCK_AWAY, {"reason": reason}
            log.error("the exchange's clock is wrong for good: markers wait", connection=self.number, reason=reason)
        else:
            log.warning("the exchange's clock is right again", connection=self.number)
        for symbol in self.symbols.values():
            symbol.report(kind, outbox, **about)

    def report_ignored(self, outbox: Outbox) -> int:
        """Now and then report messages with an impossible clock, whose number is returned, and refused messages."""
        clock, log = self.time, logger(STAGE)
        ignored = clock.ignored - self._reported_ignored
        refused = self.refused - self._reported_refused
        if outbox.now_s < self._report_at_s or not (ignored or refused):
            return 0
        self._report_at_s = outbox.now_s + REPORT_EVERY_S
        self._reported_ignored, self._reported_refused = clock.ignored, self.refused
        if ignored:
            reason = f"{ignored} messages with an impossible clock, the last one says {clock.last_ignored_us} us"
            log.warning("clock ignored", connection=self.number, reason=reason)
            if not clock.is_away:
                next(iter(self.symbols.values())).report(FeedEventKind.CLOCK_IGNORED, outbox, reason=reason)
        if refused:
            reason = f"{refused} messages are no trades: see the dead letters"
            log.warning("refused", connection=self.number, reason=reason)
        return ignored

"""Cuts the trades of a span into chunks of whole minutes, each small enough to be repeated. Pure."""

from market.timeframe import MINUTE_US, minute_us
from market.trade import Trade
from producers.archive.dump import DumpPeriod

CHUNK_TRADES = 100_000
"""A chunk ends with the minute in which it has so many: a hundred pages of the largest exchange, half a minute."""
CHUNK_US = 7 * 1440 * MINUTE_US


class Chunker:
    """Says where a chunk ends. Trades come in the order of their times."""

    def __init__(self, span: DumpPeriod, *, most_trades: int = CHUNK_TRADES, most_us: int = CHUNK_US) -> None:
        self.from_us = span.from_us
        """Where the open chunk begins."""
        self._until_us = span.until_us
        self._most_trades = most_trades
        self._most_us = most_us
        self._trades = 0
        self._last_us = 0

    @property
    def is_over(self) -> bool:
        """Whether the span has ended."""
        return self.from_us >= self._until_us

    def end_before(self, trade: Trade) -> DumpPeriod | None:
        """The chunk that ends before this trade, which is the next one; None: the trade belongs to the open chunk."""
        open_us, furthest_us = minute_us(trade.time_us), min(self._until_us, self.from_us + self._most_us)
        is_full = self._trades >= self._most_trades and open_us > minute_us(self._last_us)
        until_us = min(open_us, furthest_us) if is_full else furthest_us
        if self.is_over or open_us < until_us:
            return None
        return self._end(until_us)

    def take(self, trade: Trade) -> None:
        """Take the next trade into the open chunk."""
        self._trades += trade.time_us >= self.from_us
        self._last_us = max(self._last_us, trade.time_us)

    def end(self) -> DumpPeriod | None:
        """The last chunk, up to the end of the span, if no trade follows any more; None: there is none."""
        return None if self.is_over else self._end(self._until_us)

    def _end(self, until_us: int) -> DumpPeriod:
        chunk = DumpPeriod(self.from_us, until_us)
        self.from_us, self._trades = until_us, 0
        return chunk

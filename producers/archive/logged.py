"""What the log already holds of a market: trades, and what markers and candles say of each minute. Pure.

Candles tell what the engine has made so far. Trades and markers tell what the engine will make of records that it has
not read yet, and which ids a candle is made of.
"""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import NamedTuple

from market.candle import STATUS_OF_PROOF, Candle, Status, trade_order
from market.given_candle import GivenCandle
from market.ids import SeenIds
from market.key import MarketKey
from market.timeframe import MINUTE_US, minute_us
from market.trade import Marker, Proof, Trade, numeric_id
from producers.archive.survey import DISORDER_US, MinuteTrades

Run = str | None
"""A run's id; None for live."""


class Current(NamedTuple):
    """The newest candle of a minute, as it is or as the engine will make it."""

    status: Status
    trades: int
    close: Decimal | None
    """Its close, which prices a minute without trades; None: not known."""


class SeriesMinute:
    """One minute of one series: its trades and its newest marker."""

    __slots__ = ("kline", "late", "marker_offset", "price", "status", "trades")

    def __init__(self) -> None:
        self.trades = MinuteTrades()
        self.late = 0
        """How many of them stand behind the final boundary: the engine's candle does not have these."""
        self.marker_offset = -1
        self.status: Status | None = None
        """The best status that its markers give."""
        self.price: Decimal | None = None
        self.kline: GivenCandle | None = None
        """The exchange's own candle, if a marker brought one."""


class LoggedCandle(NamedTuple):
    """The part of a candle of `md.candles.1m.v1` that matters here."""

    revision: int
    run: Run
    status: Status
    trades: int
    close: Decimal
    first_id: str | None
    last_id: str | None


class LoggedMinute:
    """What the log holds of one minute."""

    __slots__ = ("candle", "claim", "from_offset", "series", "until_offset")

    def __init__(self) -> None:
        self.series: dict[Run, SeriesMinute] = {}
        self.candle: LoggedCandle | None = None
        self.claim: Status | None = None
        """The best status that a file (`Survey.claims`) or a live marker gave the minute."""
        self.from_offset = self.until_offset = -1
        """The offset of its first trade, and the offset after its last one."""

    def of(self, run: Run) -> SeriesMinute:
        """The minute in one series."""
        series = self.series.get(run)
        if series is None:
            series = self.series[run] = SeriesMinute()
        return series

    @property
    def is_exact(self) -> bool:
        """Whether `ids` are complete: the trades are in the log, or the candle's count allows no other ids."""
        if self.candle is None or self.has_all():
            return True
        first, last = _numbers(self.candle)
        return first is not None and last is not None and last - first + 1 == self.candle.trades

    def ids(self) -> SeenIds:
        """The known ids; if trades are no longer in the log, the ids that the candle tells."""
        ids = SeenIds()
        for series in self.series.values():
            for first, last in series.trades.ids.numbers:
                ids.numbers.cover(first, last)
            for text in series.trades.ids.texts:
                ids.add(text, None)
        if self.candle is not None and not self.has_all():
            first_id, last_id = _numbers(self.candle)
            if first_id is None or last_id is None:
                for text_id in (self.candle.first_id, self.candle.last_id):
                    ids.add(text_id or "", None)
            elif self.is_exact:
                ids.numbers.cover(first_id, last_id)
            else:
                ids.numbers.cover(first_id, first_id)
                ids.numbers.cover(last_id, last_id)
        return ids

    def has_all(self) -> bool:
        """Whether all trades of its candle are in the log. An exchange's own candle is made of none."""
        if self.candle is None or not self.candle.trades or self.candle.status is Status.KLINE:
            return True
        series = self.series.get(self.candle.run)
        return series is not None and count_of(series.trades.ids) >= self.candle.trades

    def last(self) -> Trade | None:
        """The last trade that is in the log."""
        lasts = [series.trades.last for series in self.series.values() if series.trades.last is not None]
        return max(lasts, key=trade_order, default=None)

    def kline(self) -> GivenCandle | None:
        """The exchange's own candle, if the log has it; of several the newest."""
        given = [series for series in self.series.values() if series.kline is not None]
        return max(given, key=lambda series: series.marker_offset).kline if given else None

    def current(self, processed: int) -> Current | None:
        """The newest candle as it is, or as it will be: the engine has read up to the offset `processed`."""
        newest = max(self.series.values(), key=lambda series: series.marker_offset, default=None)
        offset = -1 if newest is None else newest.marker_offset
        if self.candle is not None and offset < processed:
            return Current(self.candle.status, self.candle.trades, self.candle.close)
        if newest is None or newest.status is None:
            return None
        count = count_of(newest.trades.ids) - newest.late
        if newest.status is Status.KLINE and newest.kline is not None:
            return Current(newest.status, count, newest.kline.close)
        return Current(newest.status, count, newest.price) if count or newest.price is not None else None


@dataclass
class LogSurvey:
    """All minutes of one market. Records are added in the order of their offsets."""

    key: MarketKey
    processed: int = 0
    """The offset up to which the candle engine has read the trades topic."""
    minutes: dict[int, LoggedMinute] = field(default_factory=dict)
    first_offset: dict[str, int] = field(default_factory=dict)
    """By run: the offset of its first record."""
    last_offset: dict[str, int] = field(default_factory=dict)
    _final_until_us: dict[Run, int] = field(default_factory=dict)
    """The final boundary of each series, as the engine has it."""
    _late_offset: int = -1
    """The offset of the last live trade that is in no live candle."""

    def take_trade(self, trade: Trade, run: Run, offset: int) -> None:
        """Add a trade of the market, with its offset."""
        self._note(run, offset)
        minute = self._minute(minute_us(trade.time_us))
        series = minute.of(run)
        if series.trades.add(trade) and trade.time_us < self._final_until_us.get(run, 0):
            series.late += 1
            if run is None:
                self._late_offset = offset
        if minute.from_offset < 0:
            minute.from_offset = offset
        minute.until_offset = offset + 1

    def take_marker(self, marker: Marker, offset: int) -> None:
        """Add a marker of the market, with its offset."""
        self._note(marker.run, offset)
        until_us, final_until_us = marker.complete_until_us, self._final_until_us.get(marker.run, 0)
        until_final_us = until_us if marker.end else until_us - DISORDER_US
        self._final_until_us[marker.run] = max(final_until_us, until_final_us)
        if marker.proof is Proof.BEGIN:
            return
        minute = self._minute(until_us - MINUTE_US)
        status = STATUS_OF_PROOF[marker.proof]
        if until_us > final_until_us:  # else the engine passes over it
            series = minute.of(marker.run)
            series.marker_offset = offset
            series.status = status if marker.takes_back else _best(series.status, status)
            series.price = marker.last_price if series.price is None else series.price
            series.kline = marker.kline or series.kline
        claim = marker.proof if marker.run is None else marker.claim
        if claim is not None:
            minute.claim = status if marker.takes_back else _best(minute.claim, STATUS_OF_PROOF[claim])

    def take_candle(self, candle: Candle, run: Run) -> None:
        """Add a 1m candle of the market."""
        minute = self._minute(candle.open_time_ms * 1000)
        if minute.candle is None or candle.revision >= minute.candle.revision:
            minute.candle = LoggedCandle(
                candle.revision, run, candle.status, candle.trades, candle.close,
                candle.first_trade_id, candle.last_trade_id,
            )  # fmt: skip

    def is_crossed(self, run: str) -> bool:
        """Whether records behind the first one of this run change what has to be published.

        Those of another run, or a live trade that only a run can bring into its candle: the engine may have passed the
        minutes in this run.
        """
        first = self.first_offset.get(run)
        if first is None:
            return False
        return self._late_offset > first or any(
            last > first for other, last in self.last_offset.items() if other != run
        )

    def claim(self, open_us: int) -> Status | None:
        """The status that files and live markers gave a minute; if the log has no marker left, its candle's status."""
        minute = self.minutes.get(open_us)
        if minute is None:
            return None
        marked = minute.claim or any(series.status for series in minute.series.values())
        if minute.candle is not None and not marked:
            return minute.candle.status
        return minute.claim

    def _minute(self, open_us: int) -> LoggedMinute:
        minute = self.minutes.get(open_us)
        if minute is None:
            minute = self.minutes[open_us] = LoggedMinute()
        return minute

    def _note(self, run: Run, offset: int) -> None:
        if run is not None:
            self.first_offset.setdefault(run, offset)
            self.last_offset[run] = offset


def count_of(ids: SeenIds) -> int:
    """How many ids there are."""
    return len(ids.numbers) + len(ids.texts)


def _numbers(candle: LoggedCandle) -> tuple[int | None, int | None]:
    first, last = candle.first_id, candle.last_id
    return (None if first is None else numeric_id(first)), (None if last is None else numeric_id(last))


def _best(known: Status | None, new: Status) -> Status:
    return new if known is None or new.rank < known.rank else known

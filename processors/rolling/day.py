"""One UTC day of a key's minutes, the newest revision of each, in columns: all windows are sums of these.

Every window up to a day lies in one UTC day, a sliding window in two. So a day is the unit that is kept in memory,
read back from the log, and released. It takes some hundred bytes a minute.
"""

from array import array
from collections.abc import Iterator, Sequence
from decimal import Decimal
from typing import NamedTuple

from market.candle import Candle, Status
from market.decimals import EXACT, ZERO
from market.timeframe import DAY_MS, HOUR_MS, MINUTE_MS
from processors.rolling.column import Column, IdColumn, lengthen

DAY_MINUTES = DAY_MS // MINUTE_MS
HOUR_MINUTES = HOUR_MS // MINUTE_MS
_STATUSES = tuple(Status)  # by rank
_ABSENT = 255  # no status has this rank
_COLUMNS = (
    "open", "high", "low", "close",
    "volume", "quote_volume", "taker_buy_volume", "taker_buy_quote_volume",
)  # fmt: skip


class Sum(NamedTuple):
    """Several minutes as one: the values of a longer candle or a sliding window."""

    minutes: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    quote_volume: Decimal
    taker_buy_volume: Decimal
    taker_buy_quote_volume: Decimal
    trades: int
    first_trade_id: str | None
    last_trade_id: str | None
    revision: int
    """The greatest."""
    rank: int
    """Of the worst status."""

    @property
    def status(self) -> Status:
        """The worst status."""
        return _STATUSES[self.rank]


class Day:
    """The minutes of one key and day, by their number from midnight (0 to 1439)."""

    __slots__ = ("_columns", "_first_ids", "_hours", "_last_ids", "_ranks", "_revisions", "_trades")

    def __init__(self) -> None:
        self._columns = {name: Column() for name in _COLUMNS}
        self._first_ids, self._last_ids = IdColumn(), IdColumn()
        self._trades, self._revisions = array("q"), array("q")
        self._ranks = bytearray()
        self._hours: dict[int, Sum | None] = {}

    def put(self, candle: Candle) -> bool:
        """Put a minute in. False if nothing changes: the minute here has a higher revision, or is the same.

        If two candles have the same revision, the later one counts: an engine that closes on event time may write two.
        """
        minute = candle.open_time_ms % DAY_MS // MINUTE_MS
        if self._is_there(minute):
            known = self._revisions[minute]
            if candle.revision < known or (candle.revision == known and self.sum(minute, minute + 1) == sum_of(candle)):
                return False
        for name, column in self._columns.items():
            column.put(minute, getattr(candle, name))
        self._first_ids.put(minute, candle.first_trade_id)
        self._last_ids.put(minute, candle.last_trade_id)
        for values, value in ((self._trades, candle.trades), (self._revisions, candle.revision)):
            lengthen(values, minute + 1)
            values[minute] = value
        if (missing := minute + 1 - len(self._ranks)) > 0:
            self._ranks += bytes((_ABSENT,)) * missing
        self._ranks[minute] = candle.status.rank
        self._hours.pop(minute // HOUR_MINUTES, None)
        return True

    def is_whole(self, since: int, until: int) -> bool:
        """Whether every minute from `since` to before `until` is there."""
        return until <= len(self._ranks) and self._ranks.find(_ABSENT, since, until) < 0

    def sum(self, since: int, until: int) -> Sum | None:
        """The sum of the minutes from `since` to before `until` that are there; None if none is."""
        until = min(until, len(self._ranks))
        first, last = -(-since // HOUR_MINUTES), until // HOUR_MINUTES  # whole hours
        if first >= last:
            return self._plain_sum(since, until)
        hours = [self._hour(hour) for hour in range(first, last)]
        ends = (self._plain_sum(since, first * HOUR_MINUTES), self._plain_sum(last * HOUR_MINUTES, until))
        return joined([part for part in (ends[0], *hours, ends[1]) if part is not None])

    def _hour(self, hour: int) -> Sum | None:
        """The sum of an hour, kept until a minute of it changes: else each sum of a day would add up 1,440 minutes."""
        if hour not in self._hours:
            self._hours[hour] = self._plain_sum(hour * HOUR_MINUTES, (hour + 1) * HOUR_MINUTES)
        return self._hours[hour]

    def _plain_sum(self, since: int, until: int) -> Sum | None:
        return joined([self._sum_of_run(*ends) for ends in self._runs_of_minutes(since, until)])

    def _is_there(self, minute: int) -> bool:
        return minute < len(self._ranks) and self._ranks[minute] != _ABSENT

    def _runs_of_minutes(self, since: int, until: int) -> Iterator[tuple[int, int]]:
        """The runs of neighbouring minutes that are there: first minute, and the minute after the last."""
        while since < until:
            gap = self._ranks.find(_ABSENT, since, until)
            end = until if gap < 0 else gap
            if since < end:
                yield since, end
            since = end + 1

    def _sum_of_run(self, since: int, until: int) -> Sum:
        columns = self._columns
        return Sum(
            minutes=until - since,
            open=columns["open"][since],
            high=columns["high"].greatest(since, until),
            low=columns["low"].least(since, until),
            close=columns["close"][until - 1],
            volume=columns["volume"].total(since, until),
            quote_volume=columns["quote_volume"].total(since, until),
            taker_buy_volume=columns["taker_buy_volume"].total(since, until),
            taker_buy_quote_volume=columns["taker_buy_quote_volume"].total(since, until),
            trades=sum(self._trades[since:until]),
            first_trade_id=self._first_ids.first(since, until),
            last_trade_id=self._last_ids.last(since, until),
            revision=max(self._revisions[since:until]),
            rank=max(self._ranks[since:until]),
        )


def sum_of(candle: Candle) -> Sum:
    """A candle as the sum of one minute (the open one counts as one)."""
    return Sum(
        minutes=1,
        open=candle.open,
        high=candle.high,
        low=candle.low,
        close=candle.close,
        volume=candle.volume,
        quote_volume=candle.quote_volume,
        taker_buy_volume=candle.taker_buy_volume,
        taker_buy_quote_volume=candle.taker_buy_quote_volume,
        trades=candle.trades,
        first_trade_id=candle.first_trade_id,
        last_trade_id=candle.last_trade_id,
        revision=candle.revision,
        rank=candle.status.rank,
    )


def joined(sums: Sequence[Sum]) -> Sum | None:
    """One sum of several that follow each other; None for an empty sequence."""
    if len(sums) <= 1:
        return sums[0] if sums else None
    first_ids = (part.first_trade_id for part in sums if part.first_trade_id is not None)
    last_ids = (part.last_trade_id for part in reversed(sums) if part.last_trade_id is not None)
    return Sum(
        minutes=sum(part.minutes for part in sums),
        open=sums[0].open,
        high=max(part.high for part in sums),
        low=min(part.low for part in sums),
        close=sums[-1].close,
        volume=_total(part.volume for part in sums),
        quote_volume=_total(part.quote_volume for part in sums),
        taker_buy_volume=_total(part.taker_buy_volume for part in sums),
        taker_buy_quote_volume=_total(part.taker_buy_quote_volume for part in sums),
        trades=sum(part.trades for part in sums),
        first_trade_id=next(first_ids, None),
        last_trade_id=next(last_ids, None),
        revision=max(part.revision for part in sums),
        rank=max(part.rank for part in sums),
    )


def _total(values: Iterator[Decimal]) -> Decimal:
    total = ZERO
    for value in values:
        total = EXACT.add(total, value)
    return total

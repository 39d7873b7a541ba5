"""One UTC day of a key's minutes, the newest revision of each, in columns: what all windows are summed from.

Every window up to a day lies in one UTC day, and the sliding ones in two: a day is the unit that is held, read back
from the log, and let go. It takes some hundred bytes a minute.
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
    """Minutes taken together; what a longer candle or a sliding window says of them."""

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
        """Take in a minute; False where that changes nothing: a lower revision than the one held, or the same again.

        Of one revision the later in the log counts: a candle engine that closes on event time may write two.
        """
        at = candle.open_time_ms % DAY_MS // MINUTE_MS
        if self._is_there(at):
            held = self._revisions[at]
            if candle.revision < held or (candle.revision == held and self.sum(at, at + 1) == sum_of(candle)):
                return False
        for name, column in self._columns.items():
            column.put(at, getattr(candle, name))
        self._first_ids.put(at, candle.first_trade_id)
        self._last_ids.put(at, candle.last_trade_id)
        for values, value in ((self._trades, candle.trades), (self._revisions, candle.revision)):
            lengthen(values, at + 1)
            values[at] = value
        if (missing := at + 1 - len(self._ranks)) > 0:
            self._ranks += bytes((_ABSENT,)) * missing
        self._ranks[at] = candle.status.rank
        self._hours.pop(at // HOUR_MINUTES, None)
        return True

    def is_whole(self, since: int, until: int) -> bool:
        """Whether every minute from `since` to before `until` is there."""
        return until <= len(self._ranks) and self._ranks.find(_ABSENT, since, until) < 0

    def sum(self, since: int, until: int) -> Sum | None:
        """The minutes from `since` to before `until` that are there; None where none is."""
        until = min(until, len(self._ranks))
        first, last = -(-since // HOUR_MINUTES), until // HOUR_MINUTES  # whole hours
        if first >= last:
            return self._plain_sum(since, until)
        hours = [self._hour(hour) for hour in range(first, last)]
        ends = (self._plain_sum(since, first * HOUR_MINUTES), self._plain_sum(last * HOUR_MINUTES, until))
        return joined([one for one in (ends[0], *hours, ends[1]) if one is not None])

    def _hour(self, hour: int) -> Sum | None:
        """Kept until one of its minutes changes: days and sliding windows would add up 1,440 minutes each time."""
        if hour not in self._hours:
            self._hours[hour] = self._plain_sum(hour * HOUR_MINUTES, (hour + 1) * HOUR_MINUTES)
        return self._hours[hour]

    def _plain_sum(self, since: int, until: int) -> Sum | None:
        return joined([self._stretch(*ends) for ends in self._stretches(since, until)])

    def _is_there(self, at: int) -> bool:
        return at < len(self._ranks) and self._ranks[at] != _ABSENT

    def _stretches(self, since: int, until: int) -> Iterator[tuple[int, int]]:
        """Where minutes stand side by side."""
        while since < until:
            gap = self._ranks.find(_ABSENT, since, until)
            end = until if gap < 0 else gap
            if since < end:
                yield since, end
            since = end + 1

    def _stretch(self, since: int, until: int) -> Sum:
        held = self._columns
        return Sum(
            minutes=until - since,
            open=held["open"][since],
            high=held["high"].greatest(since, until),
            low=held["low"].least(since, until),
            close=held["close"][until - 1],
            volume=held["volume"].total(since, until),
            quote_volume=held["quote_volume"].total(since, until),
            taker_buy_volume=held["taker_buy_volume"].total(since, until),
            taker_buy_quote_volume=held["taker_buy_quote_volume"].total(since, until),
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
    """One sum of several that follow each other; None where there is none."""
    if len(sums) <= 1:
        return sums[0] if sums else None
    first_ids = (one.first_trade_id for one in sums if one.first_trade_id is not None)
    last_ids = (one.last_trade_id for one in reversed(sums) if one.last_trade_id is not None)
    return Sum(
        minutes=sum(one.minutes for one in sums),
        open=sums[0].open,
        high=max(one.high for one in sums),
        low=min(one.low for one in sums),
        close=sums[-1].close,
        volume=_total(one.volume for one in sums),
        quote_volume=_total(one.quote_volume for one in sums),
        taker_buy_volume=_total(one.taker_buy_volume for one in sums),
        taker_buy_quote_volume=_total(one.taker_buy_quote_volume for one in sums),
        trades=sum(one.trades for one in sums),
        first_trade_id=next(first_ids, None),
        last_trade_id=next(last_ids, None),
        revision=max(one.revision for one in sums),
        rank=max(one.rank for one in sums),
    )


def _total(values: Iterator[Decimal]) -> Decimal:
    total = ZERO
    for value in values:
        total = EXACT.add(total, value)
    return total

"""What the first reading of a file tells: its minutes, its ids and the rows that were skipped. Pure.

Rows come in the order of the file. They need not be sorted, but no row may lie more than `DISORDER_US` behind the
newest row before it. So only the newest rows are remembered, and no marker waits longer. Memory grows with the number
of minutes with trades. Ids that count up by one take no memory; others take about a hundred bytes each.
"""

from typing import NamedTuple

from market.candle import Status, trade_order
from market.errors import MalformedError
from market.ids import SeenIds
from market.timeframe import MINUTE_US, minute_us
from market.trade import Trade, numeric_id
from producers.archive.dump import DumpPeriod

DISORDER_US = 10 * MINUTE_US
"""The allowed lateness of the candle engine: how far behind the watermark a minute can still be corrected."""
MAX_NAMED = 20
"""At most so many conflicts are named; all are counted."""
_RESOLUTIONS_US = (1_000, 1_000_000)
_DIGEST_MASK = (1 << 64) - 1


class DisorderError(MalformedError):
    """A row lies too far behind an earlier row: the rows cannot be published in this order."""


class Conflict(NamedTuple):
    """An id that stands twice, with two contents."""

    trade_id: str
    open_us: int
    """The minute of the copy that counts."""


class Conflicts:
    """Ids that stand twice, with two contents: all are counted, the first `MAX_NAMED` are named."""

    def __init__(self) -> None:
        self.count = 0
        self.named: list[Conflict] = []

    def add(self, trade: Trade) -> None:
        """Note a conflict; `trade` is the copy that counts."""
        self.count += 1
        if len(self.named) < MAX_NAMED:
            self.named.append(Conflict(trade.trade_id, minute_us(trade.time_us)))


class MinuteTrades:
    """The trades of one minute, each id once: their ids, a digest of their content, and the last trade."""

    __slots__ = ("digest", "ids", "last", "last_row")

    def __init__(self) -> None:
        self.ids = SeenIds()
        self.digest = 0
        """Sum of `digest_of` over the trades: equal contents have equal sums, in whatever order."""
        self.last: Trade | None = None
        """By time, then by the order of ids."""
        self.last_row = 0
        """The number of this minute's last row in the file, from 1."""

    def add(self, trade: Trade) -> bool:
        """Add a trade; False if its id was added before."""
        if not self.ids.add(trade.trade_id, numeric_id(trade.trade_id)):
            return False
        self.digest = (self.digest + digest_of(trade)) & _DIGEST_MASK
        if self.last is None or trade_order(trade) > trade_order(self.last):
            self.last = trade
        return True


def digest_of(trade: Trade) -> int:
    """A digest of a trade's content, its time floored to milliseconds; it is only valid in this process."""
    return hash((trade.trade_id, trade.price, trade.qty, trade.side, trade.time_us // 1000))


def same_content(first: Trade, second: Trade) -> bool:
    """Whether two copies of a trade agree; times are compared in the coarser of their two resolutions (ms, s)."""
    if (first.price, first.qty, first.side) != (second.price, second.qty, second.side):
        return False
    return _same_time(first.time_us, second.time_us)


def _same_time(first_us: int, second_us: int) -> bool:
    if first_us == second_us:
        return True
    return any(
        first_us // step_us == second_us // step_us and (first_us % step_us == 0 or second_us % step_us == 0)
        for step_us in _RESOLUTIONS_US
    )


class Rows:
    """Tells new trades from repeated ones. Both readings of a file use it, so that both keep the same copies.

    The first copy of an id counts. A later copy is a repeat, or a conflict where its content differs.
    """

    def __init__(self) -> None:
        self.newest_us = 0
        self.repeated = 0
        self.conflicts = Conflicts()
        self.fell: str | None = None
        """The first id (a number) that is not above all ids of trades that lie `2 * DISORDER_US` or more before it."""
        self._recent: dict[str, Trade] = {}
        self._forgotten_id = -1
        """The greatest number among the ids that `_recent` no longer holds."""
        self._prune_at_us = 0

    def is_new(self, trade: Trade) -> bool:
        """Add the next row; False if it repeats a trade. Raises `DisorderError`."""
        time_us = trade.time_us
        if time_us > self.newest_us:
            self.newest_us = time_us
        elif time_us < self.newest_us - DISORDER_US:
            behind_s = (self.newest_us - time_us) // 1_000_000
            raise DisorderError(f"it lies {behind_s} s behind an earlier row: sort the rows by time")
        first = self._recent.setdefault(trade.trade_id, trade)
        if first is not trade:
            self.repeated += 1
            if not same_content(first, trade):
                self.conflicts.add(first)
            return False
        if self.newest_us >= self._prune_at_us:
            self._prune()
        if self.fell is None and self._forgotten_id >= 0:
            number = numeric_id(trade.trade_id)
            if number is not None and number <= self._forgotten_id:
                self.fell = trade.trade_id
        return True

    def _prune(self) -> None:
        until_us = self.newest_us - 2 * DISORDER_US
        self._prune_at_us = self.newest_us + MINUTE_US
        while self._recent:
            trade_id, trade = next(iter(self._recent.items()))
            if trade.time_us >= until_us:
                return
            del self._recent[trade_id]
            number = numeric_id(trade_id)
            if number is not None and number > self._forgotten_id:
                self._forgotten_id = number


class SkippedRows(NamedTuple):
    """Rows that were skipped because they are no trades, and the minutes that they may belong to."""

    first_line: int
    rows: int
    span: DumpPeriod


class _OpenSkip(NamedTuple):
    """Skipped rows that no new trade has followed yet."""

    first_line: int
    rows: int
    from_us: int
    """The time of the trade before them; 0: there is none."""
    next_id: int | None
    """The id that would follow that trade's id."""


class Survey:
    """All that planning a run needs to know of a file's trades of one market."""

    def __init__(self) -> None:
        self.minutes: dict[int, MinuteTrades] = {}
        """By open time, microseconds."""
        self.rows = Rows()
        self.count = 0
        """How many rows, repeated ones included."""
        self.first_us = 0
        self._last: Trade | None = None
        self._open_skip: _OpenSkip | None = None
        self._skipped: dict[DumpPeriod, SkippedRows] = {}

    @property
    def newest_us(self) -> int:
        """The greatest time of all rows."""
        return self.rows.newest_us

    def add(self, trade: Trade) -> None:
        """Add the next row; raises `DisorderError`."""
        is_new = self.rows.is_new(trade)
        time_us = trade.time_us
        if not self.count or time_us < self.first_us:
            self.first_us = time_us
        self.count += 1
        open_us = time_us - time_us % MINUTE_US
        minute = self.minutes.get(open_us)
        if minute is None:
            minute = self.minutes[open_us] = MinuteTrades()
        minute.last_row = self.count
        if is_new and minute.add(trade):
            if self._open_skip is not None:
                self._close_skip(self._open_skip, trade)
            self._last = trade

    def skip(self, line: int) -> None:
        """Note that the next row, at this line of the file, was skipped: it may have been a trade."""
        skip = self._open_skip
        if skip is not None:
            self._open_skip = skip._replace(rows=skip.rows + 1)
            return
        number = None if self._last is None else numeric_id(self._last.trade_id)
        from_us = 0 if self._last is None else self._last.time_us
        self._open_skip = _OpenSkip(line, 1, from_us, None if number is None else number + 1)

    def skipped(self, until_us: int) -> list[SkippedRows]:
        """The skipped rows that may be trades, in order of time; the last ones may lie anywhere up to `until_us`."""
        skipped = list(self._skipped.values())
        if (skip := self._open_skip) is not None:
            from_us = minute_us(skip.from_us)
            skipped.append(SkippedRows(skip.first_line, skip.rows, DumpPeriod(from_us, max(from_us, until_us))))
        return sorted(skipped, key=lambda rows: rows.span)

    def claims(self, span: DumpPeriod) -> dict[int, Status]:
        """What the file claims for each minute of the span that it covers, by open time, apart from what ids prove.

        `connected`: nothing is missing. `hole`: a row was skipped that may have been a trade of this minute.
        """
        claims = dict.fromkeys(range(span.from_us, span.until_us, MINUTE_US), Status.CONNECTED)
        for rows in self.skipped(span.until_us):
            from_us, until_us = max(rows.span.from_us, span.from_us), min(rows.span.until_us, span.until_us)
            for open_us in range(from_us, until_us, MINUTE_US):
                claims[open_us] = Status.HOLE
        return claims

    def _close_skip(self, skip: _OpenSkip, trade: Trade) -> None:
        """A new trade follows. Unless its id is the next one, a trade may have been skipped before it."""
        self._open_skip = None
        number = numeric_id(trade.trade_id)
        if number is not None and number == skip.next_id:
            return
        first_us, last_us = sorted((skip.from_us, trade.time_us))
        span = DumpPeriod(minute_us(first_us), minute_us(last_us) + MINUTE_US)
        known = self._skipped.get(span)
        if known is None:
            self._skipped[span] = SkippedRows(skip.first_line, skip.rows, span)
        else:
            self._skipped[span] = known._replace(rows=known.rows + skip.rows)

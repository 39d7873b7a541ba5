"""What a first reading finds out about recorded trades: minutes, ids, and where trades are missing. Pure.

Rows come in the order of the file. They need not be sorted, but no row may lie more than `DISORDER_US` behind the
newest before it: so little is remembered of ids, and a marker never has to wait longer. What is kept grows with the
minutes that have trades (some hundred bytes each), not with the trades.
"""

from typing import NamedTuple

from market.candle import id_order
from market.errors import MalformedError
from market.timeframe import MINUTE_US, minute_us
from market.trade import Trade, numeric_id

DISORDER_US = 10 * MINUTE_US
"""As far behind the newest marker a minute can still be corrected (the line of the candle engine)."""
_EVER_US = 1 << 62


class DisorderError(MalformedError):
    """The rows are in no order in which they could be published."""


class Minute:
    """A minute's rows, its trades (each id once), the last of them by (time, id), and the number of its last row."""

    __slots__ = ("last", "last_row", "rows", "trades")

    def __init__(self, trade: Trade) -> None:
        self.rows = self.trades = 0
        self.last = trade
        self.last_row = 0

    def add(self, trade: Trade) -> None:
        """Count a trade that was not seen before."""
        self.trades += 1
        last = self.last
        if trade.time_us > last.time_us or (
            trade.time_us == last.time_us and id_order(trade.trade_id) > id_order(last.trade_id)
        ):
            self.last = trade


class Gap(NamedTuple):
    """Missing ids, both ends inclusive, and the times of the trades around them."""

    first: int
    last: int
    from_us: int
    until_us: int


class _Skipped(NamedTuple):
    """Where a row was passed over: the time of the row before it (0: none), and the id that continues what was seen."""

    from_us: int
    next_id: int | None


class Survey:
    """All that planning a run needs to know of the trades of one key."""

    def __init__(self) -> None:
        self.minutes: dict[int, Minute] = {}
        self.rows = 0
        self.repeated = 0
        """Rows whose id was there already."""
        self.first_us = 0
        self.newest_us = 0
        self.by_ids = True
        """Whether all ids are numbers: others prove nothing."""
        self._ids = _Ids()
        self._texts: dict[int, set[str]] = {}
        self._row_us = 0
        self._skipped: _Skipped | None = None
        self._skipped_holes: set[tuple[int, int]] = set()

    def add(self, trade: Trade) -> None:
        """Take in the next row; raises `DisorderError`."""
        time_us = trade.time_us
        if time_us > self.newest_us:
            self.newest_us = time_us
        elif time_us < self.newest_us - DISORDER_US:
            behind_s = (self.newest_us - time_us) // 1_000_000
            raise DisorderError(f"it lies {behind_s} s behind a row before it: sort rows and files by time")
        if not self.rows or time_us < self.first_us:
            self.first_us = time_us
        self.rows += 1
        open_us = time_us - time_us % MINUTE_US
        minute = self.minutes.get(open_us)
        if minute is None:
            minute = self.minutes[open_us] = Minute(trade)
        minute.rows += 1
        minute.last_row = self.rows
        if self._is_new(trade, open_us):
            minute.add(trade)
            if self._skipped is not None:
                self._close_skipped(self._skipped, trade)
        else:
            self.repeated += 1
        self._row_us = time_us

    def skip(self) -> None:
        """Take in that the next row was passed over: unless the ids around it are contiguous, it may be a trade."""
        if self._skipped is None:
            self._skipped = _Skipped(self._row_us, self._ids.next)

    def last_before(self, time_us: int) -> Trade | None:
        """The last trade of the minutes that end by then."""
        newest = max((open_us for open_us in self.minutes if open_us < time_us), default=None)
        return None if newest is None else self.minutes[newest].last

    def holes(self) -> list[tuple[int, int]]:
        """The minutes that missing ids and rows passed over may belong to, as (first, last) open times, sorted."""
        gaps = ((minute_us(gap.from_us), minute_us(gap.until_us)) for gap in self._ids.all_gaps())
        behind = () if self._skipped is None else ((minute_us(self._skipped.from_us), _EVER_US),)
        return sorted((*gaps, *self._skipped_holes, *behind))

    def _close_skipped(self, skipped: _Skipped, trade: Trade) -> None:
        """A new trade follows: what was passed over lies between the one before and this."""
        self._skipped = None
        number = numeric_id(trade.trade_id)
        if number is None or number != skipped.next_id:
            first_us, last_us = sorted((skipped.from_us, trade.time_us))
            self._skipped_holes.add((minute_us(first_us), minute_us(last_us)))

    def _is_new(self, trade: Trade, open_us: int) -> bool:
        number = numeric_id(trade.trade_id)
        if number is not None:
            return self._ids.add(number, trade.time_us, self.newest_us)
        self.by_ids = False
        seen = self._texts.get(open_us)
        if seen is None:
            self._texts = {at: ids for at, ids in self._texts.items() if at >= self.newest_us - 2 * DISORDER_US}
            seen = self._texts[open_us] = set()
        if trade.trade_id in seen:
            return False
        seen.add(trade.trade_id)
        return True


class _Ids:
    """Numbers seen, as one range with gaps in it; gaps that no later row can fill are kept minute by minute."""

    def __init__(self) -> None:
        self._first = self._first_us = 0
        self._newest = self._newest_us = 0
        self._begun = False
        self._gaps: list[Gap] = []
        self._final: list[Gap] = []

    @property
    def next(self) -> int | None:
        """The number that leaves no gap; None before the first."""
        return self._newest + 1 if self._begun else None

    def all_gaps(self) -> list[Gap]:
        """Gaps that stayed, those of the same minutes taken together."""
        return [*self._final, *self._gaps]

    def add(self, number: int, time_us: int, latest_us: int) -> bool:
        """Take in an id and its time; False where it was there already. `latest_us`: the newest time of all rows."""
        if number == self._newest + 1 and self._begun:
            self._newest, self._newest_us = number, time_us
            return True
        if not self._begun:
            self._begun = True
            self._first = self._newest = number
            self._first_us = self._newest_us = time_us
            return True
        if number > self._newest:
            self._settle(latest_us)
            self._gaps.append(_gap(self._newest + 1, number - 1, self._newest_us, time_us))
            self._newest, self._newest_us = number, time_us
            return True
        if number < self._first:
            return self._add_before(number, time_us)
        return self._fill(number, time_us, latest_us)

    def _add_before(self, number: int, time_us: int) -> bool:
        if time_us > self._newest_us:
            raise DisorderError(f"id {number} begins anew behind id {self._newest}: import the parts one by one")
        if number + 1 < self._first:
            self._gaps.append(_gap(number + 1, self._first - 1, time_us, self._first_us))
        self._first, self._first_us = number, time_us
        return True

    def _fill(self, number: int, time_us: int, latest_us: int) -> bool:
        for at in range(len(self._gaps) - 1, -1, -1):
            gap = self._gaps[at]
            if gap.first <= number <= gap.last:
                parts = []
                if gap.first < number:
                    parts.append(_gap(gap.first, number - 1, gap.from_us, time_us))
                if number < gap.last:
                    parts.append(_gap(number + 1, gap.last, time_us, gap.until_us))
                self._gaps[at : at + 1] = parts
                return True
        if time_us >= latest_us > self._newest_us:
            raise DisorderError(f"id {number} comes again at a later time: import the parts one by one")
        return False

    def _settle(self, latest_us: int) -> None:
        """Let go of gaps that are too old to be filled; those within the same minutes become one."""
        while self._gaps and self._gaps[0].until_us < latest_us - DISORDER_US:
            gap = self._gaps.pop(0)
            before = self._final[-1] if self._final else None
            if before and minute_us(gap.from_us) <= minute_us(before.until_us):
                from_us, until_us = min(before.from_us, gap.from_us), max(before.until_us, gap.until_us)
                self._final[-1] = Gap(before.first, gap.last, from_us, until_us)
            else:
                self._final.append(gap)


def _gap(first: int, last: int, one_us: int, other_us: int) -> Gap:
    return Gap(first, last, min(one_us, other_us), max(one_us, other_us))

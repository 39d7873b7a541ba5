"""What a first reading finds out about a file: its minutes, ids and rows that were passed over. Pure.

Rows come in the order of the file. They need not be sorted, but no row may lie more than `DISORDER_US` behind the
newest before it: so little is remembered of rows, and a marker never has to wait longer. What is kept grows with the
minutes that have trades. Ids that count up by one take no room; others take about a hundred bytes each.
"""

from typing import NamedTuple

from market.candle import Status, trade_order
from market.errors import MalformedError
from market.ids import SeenIds
from market.timeframe import MINUTE_US, minute_us
from market.trade import Trade, numeric_id
from producers.archive.dump import DumpPeriod

DISORDER_US = 10 * MINUTE_US
"""As far behind the newest marker a minute can still be corrected (the line of the candle engine)."""
MAX_NAMED = 20
"""Of conflicts only so many are named; all are counted."""
_RESOLUTIONS_US = (1_000, 1_000_000)
_DIGEST_MASK = (1 << 64) - 1


class DisorderError(MalformedError):
    """The rows are in no order in which they could be published."""


class Conflict(NamedTuple):
    """One id that is told twice, with two contents."""

    trade_id: str
    open_us: int
    """The minute of the copy that counts."""


class Conflicts:
    """Ids told with two contents: all are counted, the first `MAX_NAMED` are named."""

    def __init__(self) -> None:
        self.count = 0
        self.named: list[Conflict] = []

    def add(self, trade: Trade) -> None:
        """Note a conflict; `trade` is the copy that counts."""
        self.count += 1
        if len(self.named) < MAX_NAMED:
            self.named.append(Conflict(trade.trade_id, minute_us(trade.time_us)))


class MinuteTrades:
    """The trades of one minute, each id once: their ids, what stands for their content, and the last of them."""

    __slots__ = ("digest", "ids", "last", "last_row")

    def __init__(self) -> None:
        self.ids = SeenIds()
        self.digest = 0
        """Sum of `digest_of` over the trades: equal contents have equal sums, in whatever order."""
        self.last: Trade | None = None
        """By time, then by the order of ids."""
        self.last_row = 0
        """Number of the file's last row of this minute, from 1."""

    def add(self, trade: Trade) -> bool:
        """Take in a trade; False where its id is in already."""
        if not self.ids.add(trade.trade_id, numeric_id(trade.trade_id)):
            return False
        self.digest = (self.digest + digest_of(trade)) & _DIGEST_MASK
        if self.last is None or trade_order(trade) > trade_order(self.last):
            self.last = trade
        return True


def digest_of(trade: Trade) -> int:
    """What stands for a trade's content, times floored to milliseconds; it means something in this process only."""
    return hash((trade.trade_id, trade.price, trade.qty, trade.side, trade.time_us // 1000))


def same_content(one: Trade, other: Trade) -> bool:
    """Whether two copies of an id say the same; of two times the coarser resolution (ms, s) decides."""
    if (one.price, one.qty, one.side) != (other.price, other.qty, other.side):
        return False
    return _same_time(one.time_us, other.time_us)


def _same_time(one_us: int, other_us: int) -> bool:
    if one_us == other_us:
        return True
    return any(
        one_us // step_us == other_us // step_us and (one_us % step_us == 0 or other_us % step_us == 0)
        for step_us in _RESOLUTIONS_US
    )


class Rows:
    """Tells new trades from rows that repeat one; both readings of a file use it, so that both keep the same copies.

    The first copy of an id counts. Later ones are repeats, or conflicts where they say something else.
    """

    def __init__(self) -> None:
        self.newest_us = 0
        self.repeated = 0
        self.conflicts = Conflicts()
        self.fell: str | None = None
        """The first id, a number, that is not greater than one of `2 * DISORDER_US` before it."""
        self._recent: dict[str, Trade] = {}
        self._settled_id = -1
        """The greatest number among the ids that `_recent` no longer holds."""
        self._prune_at_us = 0

    def is_new(self, trade: Trade) -> bool:
        """Take in the next row; False where it repeats one. Raises `DisorderError`."""
        time_us = trade.time_us
        if time_us > self.newest_us:
            self.newest_us = time_us
        elif time_us < self.newest_us - DISORDER_US:
            behind_s = (self.newest_us - time_us) // 1_000_000
            raise DisorderError(f"it lies {behind_s} s behind a row before it: sort the rows by time")
        first = self._recent.setdefault(trade.trade_id, trade)
        if first is not trade:
            self.repeated += 1
            if not same_content(first, trade):
                self.conflicts.add(first)
            return False
        if self.newest_us >= self._prune_at_us:
            self._prune()
        if self.fell is None and self._settled_id >= 0:
            number = numeric_id(trade.trade_id)
            if number is not None and number <= self._settled_id:
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
            if number is not None and number > self._settled_id:
                self._settled_id = number


class _Skipped(NamedTuple):
    """Where rows were passed over: the time of the trade before them (0: none), and the id that continues it."""

    from_us: int
    next_id: int | None


class Survey:
    """All that planning a run needs to know of a file's trades of one key."""

    def __init__(self) -> None:
        self.minutes: dict[int, MinuteTrades] = {}
        """By open time, microseconds."""
        self.rows = Rows()
        self.count = 0
        """Rows, repeats among them."""
        self.first_us = 0
        self._last: Trade | None = None
        self._skipped: _Skipped | None = None
        self._skipped_spans: set[tuple[int, int]] = set()

    @property
    def newest_us(self) -> int:
        """The greatest time of all rows."""
        return self.rows.newest_us

    def add(self, trade: Trade) -> None:
        """Take in the next row; raises `DisorderError`."""
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
            if self._skipped is not None:
                self._close_skipped(self._skipped, trade)
            self._last = trade

    def skip(self) -> None:
        """Take in that the next row was passed over: it may have been a trade."""
        if self._skipped is None:
            number = None if self._last is None else numeric_id(self._last.trade_id)
            from_us = 0 if self._last is None else self._last.time_us
            self._skipped = _Skipped(from_us, None if number is None else number + 1)

    def claims(self, span: DumpPeriod) -> dict[int, Status]:
        """What the file itself says of each minute of the span that it covers, by open time, ids apart.

        `connected`: nothing is missing. `hole`: a row was passed over that may have been a trade of this minute.
        """
        claims = dict.fromkeys(range(span.from_us, span.until_us, MINUTE_US), Status.CONNECTED)
        spans = set(self._skipped_spans)
        if self._skipped is not None:
            spans.add((minute_us(self._skipped.from_us), span.until_us))
        for first_us, last_us in spans:
            for open_us in range(max(first_us, span.from_us), min(last_us + MINUTE_US, span.until_us), MINUTE_US):
                claims[open_us] = Status.HOLE
        return claims

    def _close_skipped(self, skipped: _Skipped, trade: Trade) -> None:
        """A new trade follows: unless its id continues the one before, a trade may have been passed over between."""
        self._skipped = None
        number = numeric_id(trade.trade_id)
        if number is None or number != skipped.next_id:
            first_us, last_us = sorted((skipped.from_us, trade.time_us))
            self._skipped_spans.add((minute_us(first_us), minute_us(last_us)))

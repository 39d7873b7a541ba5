"""The rolling processor's pure core for one partition: 1m and live candles in log order in, longer candles out.

A longer candle is the aggregate of the newest revision of each of its minutes, whoever wrote them: a live feed or any
run. One marker can lead to several 1m candles, which have the same revision and stand side by side in the log. A window
that holds two of them must come out once: else two different candles would have the same revision. So outputs come out
when the next revision begins, or by `flush`, when the caller knows that the log holds no more candles of this revision.

The state is whole days of minutes by key. Yesterday and today are always in memory. An older day is read back from
the log when a candle of it comes (`missing`, `insert`), and a limited number of them is kept.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from market.candle import Candle
from market.codec import decode_candle, encode_candle, encode_ticker, run_of
from market.errors import MalformedError
from market.partition import partition_of
from market.records import BareRecord
from market.timeframe import DAY_MS, HOUR_MS, MINUTE_MS, Timeframe
from processors.rolling.day import Day
from processors.rolling.history import AHEAD_MS, CandleHistory, DayKey, MinuteRecord, minute_of
from processors.rolling.ticker import make_ticker
from processors.rolling.windows import TIMEFRAMES, window_candle, windows

LIVE_INTERVAL_MS = 1000
"""A live candle refreshes a ticker at most this often, by the log clock."""
LATE_MS = 2 * HOUR_MS
"""A day is kept until the day after the next is this old: so late minutes, and the 24 h before, are in memory."""
MOST_OLD_DAYS = 128
"""Older days kept at a time, some 150 KB each."""


class Output(NamedTuple):
    """A record to be published: a candle of `timeframe`, or a ticker if `timeframe` is None."""

    timeframe: Timeframe | None
    key: str
    value: bytes


class UnfinishedWindows(NamedTuple):
    """Windows that changed but could not come out, because some of their other minutes have left the log."""

    key: str
    open_ms: int
    """Of the day."""
    windows: dict[str, int]
    """Timeframe → how many."""


class Rolling:
    """All keys of one partition. The same records give the same outputs, wherever in the log reading begins."""

    def __init__(self, partition: int, partitions: int, *, most_old_days: int = MOST_OLD_DAYS) -> None:
        self.partition = partition
        self.partitions = partitions
        self.history = CandleHistory()
        self.offset = -1
        """Offset of the newest 1m record that was read."""
        self.most_old_days = most_old_days
        self._clock_ms = 0
        self._days: dict[DayKey, Day] = {}  # in the order of their last change
        self._revision: int | None = None
        self._revision_offset = -1
        self._dirty: dict[DayKey, set[int]] = {}
        self._due_tickers: dict[str, int] = {}
        self._fed_ms: dict[str, int] = {}  # append time of each key's newest live minute
        self._refreshed_ms: dict[str, int] = {}
        self._unfinished: dict[DayKey, set[tuple[Timeframe, int]]] = {}

    @property
    def pending(self) -> bool:
        """Whether the newest revision's outputs are still to come out."""
        return bool(self._dirty or self._due_tickers)

    @property
    def position(self) -> int:
        """The offset from which a new owner has to read again."""
        return self._revision_offset if self.pending else self.offset + 1

    @property
    def held_days(self) -> int:
        """How many days of a key are in memory."""
        return len(self._days)

    def recall(self, record: BareRecord) -> None:
        """Note a record that lies before the start; its minute is kept if all records of its day are known.

        A malformed record is passed over: it became a dead letter when it was first read.
        """
        self.offset = max(self.offset, record.offset)
        self._clock_ms = max(self._clock_ms, record.timestamp)
        minute = minute_of(record)
        if minute is None:
            return
        self.history.note(minute, record.offset)
        is_held, is_newest = self.history.is_known(minute.name[1]), self.history.is_newest(minute)
        candle = self.read_again(record) if is_held or is_newest else None
        if candle is not None and is_held:
            self._days.setdefault(minute.name, Day()).put(candle)
        if candle is not None and is_newest:
            self.history.note_newest(minute)

    def read_again(self, record: BareRecord) -> Candle | None:
        """The candle of a record that was read before; None if the record is malformed."""
        try:
            return self._candle(record)
        except MalformedError:
            return None

    def missing(self, records: Iterable[BareRecord]) -> set[DayKey]:
        """The days that must be known and in memory (`insert`) before these records can be taken in."""
        names: set[DayKey] = set()
        for record in records:
            if (minute := minute_of(record)) is not None:
                names |= _needed(minute)
        return {
            name
            for name in names
            if name not in self._days and (self.history.extent(name) or not self.history.is_known(name[1]))
        }

    def insert(self, name: DayKey, day: Day) -> None:
        """Keep a day that was read back."""
        self._days[name] = day

    def take(self, record: BareRecord) -> list[Output]:
        """Take in a record of the 1m topic. If it begins a new revision, returns the outputs of the revision before.

        Raises `MalformedError` if the record is no candle of this partition; it counts as read all the same.
        """
        self.offset = record.offset
        self._clock_ms = max(self._clock_ms, record.timestamp)
        if self.history.begins_ms is None:
            self.history.begins_ms = record.timestamp
        candle = self._candle(record)
        minute = minute_of(record)
        if candle is None or minute is None:  # a record without value: a `roll`, or another program's
            return []
        outputs = self.flush() if candle.revision != self._revision else []
        if not self.pending:
            self._revision, self._revision_offset = candle.revision, record.offset
        if self.history.is_newest(minute):
            self.history.note_newest(minute)
            self._due_tickers[candle.key] = minute.open_ms
            self._fed_ms[candle.key] = record.timestamp
        self.history.note(minute, record.offset)
        day = self._days.pop(minute.name, None) or Day()
        self._days[minute.name] = day
        if day.put(candle):
            self._dirty.setdefault(minute.name, set()).add(minute.open_ms % DAY_MS // MINUTE_MS)
        return outputs

    def flush(self) -> list[Output]:
        """The outputs of the newest revision: longer candles, the shortest first, and tickers of new live minutes.

        A corrected minute and a minute of a run make no ticker, because tickers never go back in time. The next ticker
        contains them.
        """
        outputs: list[Output] = []
        for (key, day), minutes in self._dirty.items():
            outputs += self._rolled(key, day, minutes)
        for key, open_ms in self._due_tickers.items():
            ticker = make_ticker(key, self._two_days(key, open_ms), open_ms + MINUTE_MS)
            outputs.append(Output(None, key, encode_ticker(ticker)))
        self._dirty.clear()
        self._due_tickers.clear()
        return outputs

    def refresh(self, record: BareRecord) -> list[Output]:
        """Take a record of the live topic. Returns the ticker with its minute, if this follows the newest closed one.

        Raises `MalformedError` if the record is no candle of this partition.
        """
        live = self._candle(record)
        if live is None or live.open_time_ms != self.history.newest_ms(live.key) + MINUTE_MS:
            return []
        days = self._two_days(live.key, live.open_time_ms)
        before = (live.open_time_ms - MINUTE_MS) // DAY_MS
        if before not in days or record.timestamp < self._refreshed_ms.get(live.key, 0) + LIVE_INTERVAL_MS:
            return []
        self._refreshed_ms[live.key] = record.timestamp
        return [Output(None, live.key, encode_ticker(make_ticker(live.key, days, live.open_time_ms, live)))]

    def release(self) -> list[UnfinishedWindows]:
        """Release the oldest days if too many are kept. Returns their unfinished windows."""
        old = [name for name in self._days if not self._is_in_use(*name)]
        released = old[: max(0, len(old) - self.most_old_days)]
        for name in released:
            del self._days[name]
        return self.take_unfinished(released)

    def _is_in_use(self, key: str, day: int) -> bool:
        """Whether a day is due, or is yesterday or today: by the log clock, or by a live market that lags behind it."""
        if day >= (self._clock_ms - LATE_MS) // DAY_MS - 1:
            return True
        if key in self._due_tickers or (key, day) in self._dirty:
            return True
        is_fed = self._fed_ms.get(key, 0) > self._clock_ms - LATE_MS
        return is_fed and day >= self.history.newest_ms(key) // DAY_MS - 1

    def take_unfinished(self, names: Sequence[DayKey] | None = None) -> list[UnfinishedWindows]:
        """The windows of these days (default: all) that could not come out since the last call."""
        names = list(self._unfinished) if names is None else names
        unfinished: list[UnfinishedWindows] = []
        for key, day in names:
            counts = Counter(timeframe for timeframe, _ in self._unfinished.pop((key, day), ()))
            if counts:
                by_timeframe = {timeframe.value: counts[timeframe] for timeframe in TIMEFRAMES if counts[timeframe]}
                unfinished.append(UnfinishedWindows(key, day * DAY_MS, by_timeframe))
        return unfinished

    def _rolled(self, key: str, day: int, minutes: set[int]) -> list[Output]:
        outputs: list[Output] = []
        for window in windows(minutes):
            candle = window_candle(key, day, self._days[key, day], window)
            if candle is not None:
                outputs.append(Output(window[0], key, encode_candle(candle)))
            if self.history.may_have_lost(day):
                self._note_unfinished((key, day), window[:2], is_whole=candle is not None)
        return outputs

    def _note_unfinished(self, name: DayKey, window: tuple[Timeframe, int], *, is_whole: bool) -> None:
        unfinished = self._unfinished.setdefault(name, set())
        if is_whole:
            unfinished.discard(window)
        else:
            unfinished.add(window)
        if not unfinished:
            del self._unfinished[name]

    def _two_days(self, key: str, open_ms: int) -> dict[int, Day]:
        day = open_ms // DAY_MS
        return {number: self._days[key, number] for number in (day - 1, day) if (key, number) in self._days}

    def _candle(self, record: BareRecord) -> Candle | None:
        if record.value is None:
            return None
        candle = decode_candle(record.value)
        key = candle.key.encode()
        if record.key != key:
            raise MalformedError(f"key {record.key!r} over a candle of {candle.key!r}")
        if (right := partition_of(key, self.partitions)) != self.partition:
            raise MalformedError(f"key {candle.key!r} belongs in partition {right}, not {self.partition}")
        if candle.timeframe != Timeframe.M1 or candle.open_time_ms % MINUTE_MS:
            raise MalformedError(f"not a whole minute: {candle.timeframe} candle of {candle.open_time_ms}")
        if candle.open_time_ms > record.timestamp + AHEAD_MS:
            raise MalformedError(f"a minute of the future: it opens at {candle.open_time_ms}, at {record.timestamp}")
        run_of(record.headers)  # raises where the header is broken
        minute = minute_of(record)
        if minute is None or minute.open_ms != candle.open_time_ms:
            raise MalformedError("it has two different open times")
        return candle


def _needed(minute: MinuteRecord) -> set[DayKey]:
    """The days that a minute needs: a live one may lead to a ticker, whose windows reach into the day before."""
    key, day = minute.name
    return {(key, day), (key, day - 1)} if minute.is_live else {(key, day)}

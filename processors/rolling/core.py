"""The rolling processor's pure core for one partition: 1m and live candles in log order in, longer candles out.

A longer candle is the aggregate of the newest revision of each of its minutes, whoever wrote them: a live feed or any
run. One marker can lead to several 1m candles, which have the same revision and stand side by side in the log. A window
that holds two of them must come out once: else two different candles would have the same revision. So outputs come out
when the next revision begins, or by `flush`, when the caller knows that the log holds no more candles of this revision.

`processors.rolling.state` holds what is known. What it lacks is read back from the log first (`missing`).
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from market.errors import MalformedError
from market.key import MarketKey
from market.limits import check_key
from market.partition import check_place
from market.records import BareRecord
from market.timeframe import DAY_MS, MINUTE_MS, Timeframe
from processors.rolling.amounts import Scale
from processors.rolling.columns import BatchReader
from processors.rolling.day import HOUR_MINUTES
from processors.rolling.history import DayKey, MinuteRecord, minute_of
from processors.rolling.minute import Minute, read_minute
from processors.rolling.state import MOST_OLD_DAYS, MOST_OLD_MONTHS, MissingState, RollingState
from processors.rolling.steps import TIMEFRAMES, candle_bytes
from processors.rolling.ticker_columns import DueTicker
from processors.rolling.tickers import Tickers
from processors.rolling.windows import changed_windows

FEW_RECORDS = 160
"""Fewer records than this cost less one by one than by columns."""
LIVE_INTERVAL_MS = 1000
"""A live candle refreshes a ticker at most this often, by the log clock."""


class Output(NamedTuple):
    """A record to be published: a candle of `timeframe`, or a ticker if `timeframe` is None."""

    timeframe: Timeframe | None
    key: str
    value: bytes
    position: int = -1
    """Of a candle: the offset at which the revision begins that led to it."""


class Refused(NamedTuple):
    """A record that is no candle of its partition, and why."""

    record: BareRecord
    error: MalformedError


class Taken(NamedTuple):
    """What came of records that were taken in."""

    outputs: list[Output]
    refused: list[Refused]


class UnfinishedWindows(NamedTuple):
    """Windows that changed but could not come out, because some of their other minutes have left the log."""

    key: str
    open_ms: int
    """Of the day."""
    windows: dict[str, int]
    """Timeframe → how many."""


class Rolling:
    """All keys of one partition. The same records give the same outputs, wherever in the log reading begins."""

    def __init__(
        self,
        partition: int,
        partitions: int,
        *,
        most_old_days: int = MOST_OLD_DAYS,
        most_old_months: int = MOST_OLD_MONTHS,
    ) -> None:
        self.partition = partition
        self.partitions = partitions
        self.state = RollingState(most_old_days, most_old_months)
        self.history = self.state.history
        """What the log holds of each key, and where."""
        self.offset = -1
        """Offset of the newest 1m record that was read."""
        self._revision: int | None = None
        self._revision_offset = -1
        self._dirty: dict[DayKey, set[int]] = {}
        self._due_tickers: dict[str, int] = {}
        self._reader = BatchReader(Timeframe.M1, self.market_of, self.state.scales, self._fit)
        self._tickers = Tickers(self.state)
        self._made: list[Output | DueTicker] = []
        """What is to come out; tickers wait until many can be made at once, or until a minute of theirs changes."""
        self._waiting: set[str] = set()
        """Keys that have a ticker in `_made`."""
        self._places: dict[bytes | None, str] = {}
        """Record keys that were checked → their market's key."""
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

    def recall(self, record: BareRecord) -> None:
        """Note a record that lies before the start; its minute is kept if all records of its day are known.

        A malformed record is passed over: it became a dead letter when it was first read.
        """
        self.note_read(record.offset, record.timestamp)
        minute = minute_of(record)
        if minute is None:
            return
        self.history.note(minute.name, record.offset)
        is_held, is_newest = self.history.is_known(minute.name[1]), self.history.is_newest(minute)
        if (is_held or is_newest) and (candle := self.read_again(record)) is not None:
            if is_held:
                self._put(minute, candle, is_newest=is_newest)
            if is_newest:
                self.note_newest(minute, record)

    def note_read(self, offset: int, timestamp_ms: int) -> None:
        """Note that records were read up to this offset and append time."""
        self.offset = max(self.offset, offset)
        self.state.clock_ms = max(self.state.clock_ms, timestamp_ms)

    def read_again(self, record: BareRecord) -> Minute | None:
        """The minute of a record that was read before; None if the record is malformed."""
        try:
            return self._minute(record)
        except MalformedError:
            return None

    def put_back(self, minute: MinuteRecord, record: BareRecord) -> None:
        """Keep a minute of a day that is read back."""
        if (candle := self.read_again(record)) is not None:
            self._put(minute, candle, is_newest=False)

    def missing(self, records: Iterable[BareRecord]) -> MissingState:
        """What must be known and in memory before these records can be taken in."""
        return self.state.missing(records)

    def take(self, record: BareRecord) -> list[Output]:
        """Take in one record, as `take_all`.

        Raises `MalformedError` if it is no candle of this partition; it counts as read all the same.
        """
        return _of_one(self.take_all([record]))

    def take_all(self, records: Sequence[BareRecord]) -> Taken:
        """Take in records of the 1m topic. A record that begins a new revision makes those of the revision before."""
        refused: list[Refused] = []
        for record, minute in zip(records, self._minutes(records), strict=True):
            self.offset = record.offset
            self.state.clock_ms = max(self.state.clock_ms, record.timestamp)
            if self.history.begins_ms is None:
                self.history.begins_ms = record.timestamp
            if isinstance(minute, MalformedError):
                refused.append(Refused(record, minute))
            elif minute is not None:  # else a record without value: a `roll`, or another program's
                self._take(record, minute)
        return Taken(self._outputs(), refused)

    def _take(self, record: BareRecord, candle: Minute) -> None:
        minute = MinuteRecord((candle.key, candle.open_ms // DAY_MS), candle.open_ms, candle.is_live)
        if candle.sum.revision != self._revision:
            self._flush()
        if not self.pending:
            self._revision, self._revision_offset = candle.sum.revision, record.offset
        is_newest = self.history.is_newest(minute)
        if is_newest:
            self.note_newest(minute, record)
            self._due_tickers[candle.key] = minute.open_ms
        elif candle.key in self._waiting:  # its tickers do not contain this minute as it is now
            self._make_tickers()
        self.history.note(minute.name, record.offset)
        if self._put(minute, candle, is_newest=is_newest):
            self._dirty.setdefault(minute.name, set()).add(minute.open_ms % DAY_MS // MINUTE_MS)
            self._tickers.change(candle.key, minute.open_ms // MINUTE_MS, candle.sum)

    def note_newest(self, minute: MinuteRecord, record: BareRecord) -> None:
        """Note that a record has a valid minute, which `CandleHistory.is_newest`."""
        self.history.note_newest(minute)
        self.state.fed_ms[minute.name[0]] = record.timestamp

    def _put(self, minute: MinuteRecord, candle: Minute, *, is_newest: bool) -> bool:
        self._fit(candle.key, candle.scale)
        return self.state.put(minute.name, minute.open_ms % DAY_MS // MINUTE_MS, candle.sum, is_newest=is_newest)

    def flush(self) -> list[Output]:
        """The outputs of the newest revision: longer candles, the shortest first, and tickers of new live minutes.

        A corrected minute and a minute of a run make no ticker, because tickers never go back in time. The next ticker
        contains them.
        """
        self._flush()
        return self._outputs()

    def _flush(self) -> None:
        for name, minutes in self._dirty.items():
            is_lossy, scale = self.history.may_have_lost(name[1]), self.state.scales[name[0]]
            for timeframe, open_ms, whole in changed_windows(self.state, name, minutes, name_all=is_lossy):
                if whole is not None:
                    value = candle_bytes(name[0], timeframe, open_ms, whole, scale)
                    self._made.append(Output(timeframe, name[0], value, self._revision_offset))
                if is_lossy:
                    self._note_unfinished(name, (timeframe, open_ms), is_whole=whole is not None)
        for key, open_ms in self._due_tickers.items():
            self._wait_for(DueTicker(key, open_ms // MINUTE_MS))
        self._dirty.clear()
        self._due_tickers.clear()

    def _wait_for(self, due: DueTicker) -> None:
        """Let a ticker wait until many can be made at once, or until what it is made of changes."""
        self._waiting.add(due.key)
        self._made.append(due)

    def _outputs(self) -> list[Output]:
        self._make_tickers()
        made, self._made = self._made, []
        return [output for output in made if isinstance(output, Output)]

    def _make_tickers(self) -> None:
        """Make the tickers that wait."""
        due = [(place, made) for place, made in enumerate(self._made) if isinstance(made, DueTicker)]
        values = self._tickers.make([ticker for _, ticker in due])
        for (place, ticker), value in zip(due, values, strict=True):
            self._made[place] = Output(None, ticker.key, value)
        self._waiting.clear()

    def refresh(self, record: BareRecord) -> list[Output]:
        """Take in one record of the live topic, as `refresh_all`. Raises `MalformedError`."""
        return _of_one(self.refresh_all([record]))

    def refresh_all(self, records: Sequence[BareRecord]) -> Taken:
        """Take in records of the live topic: of each market the newest makes the ticker with its minute.

        Only if its minute follows the newest closed one, and at most once a second a market.
        """
        refused: list[Refused] = []
        newest: dict[str, tuple[BareRecord, Minute]] = {}
        for record, minute in zip(records, self._minutes(records), strict=True):
            if isinstance(minute, MalformedError):
                refused.append(Refused(record, minute))
            elif minute is not None and self._is_refreshed(record, minute):
                newest[minute.key] = record, minute
        for record, minute in newest.values():
            self._refreshed_ms[minute.key] = record.timestamp
            self._fit(minute.key, minute.scale)
            self._wait_for(DueTicker(minute.key, minute.open_ms // MINUTE_MS, minute.sum))
        return Taken(self._outputs(), refused)

    def _is_refreshed(self, record: BareRecord, live: Minute) -> bool:
        """Whether a live candle makes a ticker."""
        if live.open_ms != self.history.newest_ms(live.key) + MINUTE_MS:
            return False
        if live.key in self._due_tickers:  # that of the closed minute has to come first
            return False
        if record.timestamp < self._refreshed_ms.get(live.key, 0) + LIVE_INTERVAL_MS:
            return False
        newest = live.open_ms // MINUTE_MS - 1
        return self.state.minutes(live.key, newest // HOUR_MINUTES)[newest % HOUR_MINUTES] is not None

    def prepare_tickers(self) -> None:
        """After the state is rebuilt: look for the first tickers as far back as windows reach."""
        self._tickers.prepare((key, open_ms // MINUTE_MS) for key, open_ms in self.history.newest())

    def _fit(self, key: str, scale: Scale) -> None:
        """Bring all of a market to this scale, if it is another one."""
        if scale != self.state.scales.get(key):
            self.state.fit(key, scale)
            self._tickers.forget(key)

    def release(self) -> list[UnfinishedWindows]:
        """Release the oldest days if too many are kept. Returns their unfinished windows."""
        due = {(key, open_ms // DAY_MS) for key, open_ms in self._due_tickers.items()}
        released = self.state.release(due | self._dirty.keys())
        return self.take_unfinished(released) if released else []

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

    def _note_unfinished(self, name: DayKey, window: tuple[Timeframe, int], *, is_whole: bool) -> None:
        unfinished = self._unfinished.setdefault(name, set())
        if is_whole:
            unfinished.discard(window)
        else:
            unfinished.add(window)
        if not unfinished:
            del self._unfinished[name]

    def market_of(self, key: bytes) -> str | None:
        """The market that a record's key names; None if it is none of this partition."""
        if key not in self._places:
            try:
                market = key.decode()
                check_key(*MarketKey.parse(market))
                check_place(key, market, self.partition, self.partitions)
            except (UnicodeDecodeError, MalformedError):
                return None
            self._places[key] = market
        return self._places[key]

    def _minutes(self, records: Sequence[BareRecord]) -> Iterator[Minute | MalformedError | None]:
        """The minute of each record, or the error; None without a value."""
        usual: Sequence[Minute | None] = [None] * len(records)
        if len(records) >= FEW_RECORDS:
            usual = self._reader.minutes(records)
        for record, minute in zip(records, usual, strict=True):
            try:
                yield minute or self._minute(record)
            except MalformedError as error:
                yield error

    def _minute(self, record: BareRecord) -> Minute | None:
        minute = read_minute(record, self.state.scales)
        if minute is not None and self._places.get(record.key) != minute.key:
            check_place(record.key, minute.key, self.partition, self.partitions)
            self._places[record.key] = minute.key
        return minute


def _of_one(taken: Taken) -> list[Output]:
    for _, error in taken.refused:
        raise error
    return taken.outputs

"""What lies before a core's start, taken in many records at once: by columns, into packed blocks.

Records that are not usual are taken in one by one, and with them all others of their market in the same batch: the
order of a market's records counts, that between markets does not.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

import numpy as np

from market.errors import MalformedError
from market.records import AHEAD_MS, BareRecord
from market.timeframe import DAY_MS, HOUR_MS, Timeframe
from market.value_text import Bools, Ints
from processors.rolling.amounts import Scale
from processors.rolling.columns import BatchColumns, BatchReader
from processors.rolling.core import Rolling
from processors.rolling.day import DAY_HOURS, HOUR_MINUTES
from processors.rolling.filling import FilledBlock, FillingBlocks
from processors.rolling.history import MinuteRecord
from processors.rolling.minute import ReadCandle, Scales, read_candle

MOST_RECORDS = 4096
"""As many make a batch. The more there are, the less an array operation costs each; they wait in memory."""


class Recalled(Protocol):
    """What is recalled, and where it is kept."""

    @property
    def timeframe(self) -> Timeframe:
        """Of the candles."""

    @property
    def size(self) -> int:
        """Candles in a block."""

    @property
    def has_runs(self) -> bool:
        """Whether records with headers have to be taken in by themselves: they may be of a run."""

    def note(self, records: Sequence[BareRecord], columns: BatchColumns) -> Bools:
        """Note what these candles say beside their sums. Returns which of the sums are kept."""

    def take_in(self, record: BareRecord) -> None:
        """Take one record in, whatever it is."""

    def store(self, key: str, block: FilledBlock) -> None:
        """Keep a packed block of a market."""


class Recall:
    """Takes the records of one partition and topic in; `finish` when there are no more."""

    def __init__(self, rolling: Rolling, recalled: Recalled) -> None:
        self._state = rolling.state
        self._recalled = recalled
        self._blocks = FillingBlocks(recalled.size)
        self._reader = BatchReader(recalled.timeframe, rolling.market_of, rolling.state.scales, self._fit)
        self._waiting: list[BareRecord] = []

    def take(self, records: Iterable[BareRecord]) -> None:
        """Take the next records in; they wait until they make a batch."""
        self._waiting += records
        while len(self._waiting) >= MOST_RECORDS:
            batch = self._waiting[:MOST_RECORDS]
            del self._waiting[:MOST_RECORDS]
            self._take(batch)

    def finish(self) -> None:
        """Take in what waits, and keep all blocks as they are."""
        if self._waiting:
            self._take(self._waiting)
        self._waiting = []
        self._store(self._blocks.take_out())

    def _take(self, records: Sequence[BareRecord]) -> None:
        recalled, columns = self._recalled, self._reader.read(records)
        self._blocks.make_room(len(columns.keys))
        usual = columns.usual
        if recalled.has_runs:
            usual &= np.fromiter((not record.headers for record in records), np.bool_, len(records))
        apart = np.unique(columns.markets[~usual])
        is_apart = np.isin(columns.markets, apart)
        self._store(self._blocks.take_out(apart[apart >= 0]))
        for row in np.flatnonzero(is_apart).tolist():
            recalled.take_in(records[row])
        records = [records[row] for row in np.flatnonzero(~is_apart).tolist()]
        columns = columns.chosen(~is_apart)
        kept = np.flatnonzero(recalled.note(records, columns))
        columns = columns.chosen(kept)
        blocks, places = np.divmod(columns.open_ms // recalled.timeframe.end_ms(0), recalled.size)
        filled, late = self._blocks.put(columns.markets, blocks, places, columns.numbers)
        self._store(filled)
        for row in kept[late].tolist():
            recalled.take_in(records[row])

    def _store(self, blocks: Iterable[FilledBlock]) -> None:
        for block in blocks:
            self._recalled.store(self._reader.keys[block.market], block)

    def _fit(self, key: str, scale: Scale) -> None:
        self._blocks.make_room(len(self._reader.keys))
        self._store(self._blocks.take_out(np.array([self._reader.keys.index(key)])))
        self._state.fit(key, scale)


class RecalledMinutes:
    """Minutes of days that are known; of all others it is noted where they lie."""

    timeframe = Timeframe.M1
    size = HOUR_MINUTES
    has_runs = True

    def __init__(self, rolling: Rolling) -> None:
        self._rolling = rolling

    def note(self, records: Sequence[BareRecord], columns: BatchColumns) -> Bools:
        """Note offsets, clock and newest minutes; those of the future are passed over."""
        rolling, history = self._rolling, self._rolling.history
        timestamps = np.fromiter((record.timestamp for record in records), np.int64, len(records))
        rolling.note_read(records[-1].offset if records else -1, int(timestamps.max(initial=0)))
        days = columns.open_ms // DAY_MS
        is_past = columns.open_ms <= timestamps + AHEAD_MS
        past = np.flatnonzero(is_past)
        for first, last in _ends(columns.markets, days, past):
            name = columns.keys[columns.markets[first]], int(days[first])
            history.note(name, records[first].offset)
            history.note(name, records[last].offset)
        for row in _newest(columns, past):
            key, open_ms = columns.keys[columns.markets[row]], int(columns.open_ms[row])
            minute = MinuteRecord((key, open_ms // DAY_MS), open_ms, is_live=True)
            if history.is_newest(minute):
                rolling.note_newest(minute, records[row])
        known = [day for day in np.unique(days).tolist() if history.is_known(day)]
        return is_past & np.isin(days, known)

    def take_in(self, record: BareRecord) -> None:
        """As `Rolling.recall`."""
        self._rolling.recall(record)

    def store(self, key: str, block: FilledBlock) -> None:
        """Keep an hour."""
        day, hour = divmod(block.number, DAY_HOURS)
        self._rolling.state.fill((key, day), hour, block.packed, block.whole)


class RecalledHours:
    """Whole hours, of which the minutes are not here."""

    timeframe = Timeframe.H1
    size = DAY_HOURS
    has_runs = False

    def __init__(self, rolling: Rolling) -> None:
        self._rolling = rolling

    def note(self, records: Sequence[BareRecord], columns: BatchColumns) -> Bools:  # noqa: ARG002  # nothing is noted
        """All are kept."""
        return columns.usual

    def take_in(self, record: BareRecord) -> None:
        """Keep one hour; a malformed record is passed over."""
        state = self._rolling.state
        if (candle := candle_of(record, state.scales)) is not None:
            day, hour = divmod(candle.open_ms // HOUR_MS, DAY_HOURS)
            state.fit(candle.key, candle.scale)
            state.put_hour((candle.key, day), hour, candle.sum)

    def store(self, key: str, block: FilledBlock) -> None:
        """Keep a day."""
        self._rolling.state.fill_hours((key, block.number), block.packed)


def candle_of(record: BareRecord, scales: Scales) -> ReadCandle | None:
    """The longer candle of a record; None if it is malformed."""
    try:
        candle = read_candle(record.value or b"", scales)
    except MalformedError:
        return None
    return candle if record.key == candle.key.encode() else None


def _ends(markets: Ints, days: Ints, rows: Ints) -> Iterator[tuple[int, int]]:
    """The first and the last of these rows of each market and day."""
    order = rows[np.lexsort((days[rows], markets[rows]))]
    begins = np.flatnonzero((np.diff(markets[order], prepend=-1) != 0) | (np.diff(days[order], prepend=-1) != 0))
    ends = np.append(begins[1:], len(order)) - 1
    return zip(order[begins].tolist(), order[ends[: len(begins)]].tolist(), strict=True)


def _newest(columns: BatchColumns, rows: Ints) -> list[int]:
    """Of these rows, that of the newest minute of each market, and of several the first one."""
    markets = columns.markets[rows]
    order = np.lexsort((-rows, columns.open_ms[rows], markets))
    return rows[order[np.diff(markets[order], append=-1) != 0]].tolist()  # type: ignore[no-any-return]

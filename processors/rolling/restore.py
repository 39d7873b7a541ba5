"""Reads what the core must know of the log: at the start, and further back when history is imported.

Minutes come from the 1m topic. Older hours and days come from the topics that this processor writes. After a kill those
may be ahead of the committed offset: what came out of 1m records that are still to be read is left out, by the header
`position` (`processors.rolling.position`).
"""

import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import ExitStack
from typing import NamedTuple, Protocol

from market.records import BareRecord
from market.timeframe import DAY_MS, Timeframe
from processors.rolling.core import Rolling
from processors.rolling.history import DayKey, Extent, minute_of, needs_since_ms
from processors.rolling.minute import ReadCandle
from processors.rolling.position import is_before
from processors.rolling.recall import Recall, RecalledHours, RecalledMinutes, candle_of
from processors.rolling.state import KEPT_DAYS, LATE_MS, month_of, months_of
from runtime.kafka import ends, offsets_at, read_batches_to_end
from runtime.settings import Settings
from runtime.telemetry import logger

GAP_RECORDS = 20_000
"""Days with fewer records than this between them are read in one go."""

TELL_INTERVAL_S = 5.0

log = logger("rolling")


class Rebuild:
    """How far a rebuild is, told now and then."""

    def __init__(self) -> None:
        self._began_s = self._told_s = time.monotonic()
        self._candles = 0

    def count(self, candles: int) -> None:
        """Note that so many candles were read."""
        self._candles += candles
        if time.monotonic() - self._told_s >= TELL_INTERVAL_S:
            self._told_s = time.monotonic()
            log.info("rebuilding", candles=self._candles)

    def tell(self, partitions: Iterable[int]) -> None:
        """Tell that it is done."""
        seconds = round(time.monotonic() - self._began_s, 1)
        log.info("rebuilt", partitions=sorted(partitions), candles=self._candles, seconds=seconds)


class RollingStart(NamedTuple):
    """A partition's first offset, and the first one that was appended at or after some time."""

    first: int
    offset: int


class Log(Protocol):
    """The topics of candles, as they are read back."""

    @property
    def topic_id(self) -> str | None:
        """Kafka's id of the 1m topic."""

    async def starts(self, timeframe: Timeframe, since_ms: Mapping[int, int]) -> dict[int, RollingStart]:
        """Where to read what was appended since some time, by partition."""

    def read(
        self, timeframe: Timeframe, start: Mapping[int, int], stop: Mapping[int, int] | None = None
    ) -> AsyncIterator[tuple[int, list[BareRecord]]]:
        """The committed records from `start` to before `stop` (default: the end), by partition, in offset order."""


class CandleLog:
    """The topics in Kafka."""

    def __init__(self, settings: Settings, topic_id: str | None) -> None:
        self._settings = settings
        self.topic_id = topic_id

    async def starts(self, timeframe: Timeframe, since_ms: Mapping[int, int]) -> dict[int, RollingStart]:
        """As `Log` says."""
        topic = self._settings.topics.candles(timeframe)
        offsets: dict[int, int] = {}
        for since in set(since_ms.values()):
            offsets |= await offsets_at(self._settings, topic, since, [p for p, ms in since_ms.items() if ms == since])
        bounds = await ends(self._settings, topic, offsets)
        return {partition: RollingStart(bounds[partition].first, offset) for partition, offset in offsets.items()}

    def read(
        self, timeframe: Timeframe, start: Mapping[int, int], stop: Mapping[int, int] | None = None
    ) -> AsyncIterator[tuple[int, list[BareRecord]]]:
        """As `Log` says."""
        return read_batches_to_end(self._settings, self._settings.topics.candles(timeframe), start=start, stop=stop)


async def restore(
    source: Log, partitions: int, stops: Mapping[int, int], now_ms: int, since_ms: int | None = None
) -> dict[int, Rolling]:
    """The state before `stops` (partition → offset of the next record to be taken in) of a topic of `partitions`.

    `now_ms`: the time, for partitions whose log ends before `stops`. Minutes are known since yesterday, by the append
    time of each partition's next record, or since `since_ms`; hours and days for as long as windows need them.
    """
    rebuild = Rebuild()
    rollings = {partition: Rolling(partition, partitions) for partition in stops}
    clocks_ms = dict.fromkeys(stops, now_ms) | await _clocks_ms(source, stops)
    since = {p: needs_since_ms(_day_before(clock)) if since_ms is None else since_ms for p, clock in clocks_ms.items()}
    for partition, rolling in rollings.items():
        rolling.history.reaches_ms = since[partition]
    with ExitStack() as rebuilding:
        for rolling in rollings.values():
            rebuilding.enter_context(rolling.state.rebuilding())
        await _recall(source, rollings, since, stops, rebuild)
        for partition, rolling in rollings.items():
            rolling.offset = stops[partition] - 1
        await _restore_hours(source, rollings, clocks_ms, rebuild)
        await _restore_days(source, rollings, clocks_ms, rebuild)
    for rolling in rollings.values():
        rolling.release()
        rolling.prepare_tickers()
    rebuild.tell(rollings)
    return rollings


def _day_before(clock_ms: int) -> int:
    return (clock_ms - LATE_MS) // DAY_MS - 1


async def _clocks_ms(source: Log, stops: Mapping[int, int]) -> dict[int, int]:
    """The append time of each partition's next record, where there is one."""
    clocks_ms: dict[int, int] = {}
    async for partition, records in source.read(Timeframe.M1, stops, {p: offset + 1 for p, offset in stops.items()}):
        if records:
            clocks_ms[partition] = records[0].timestamp
    return clocks_ms


async def _restore_hours(
    source: Log, rollings: Mapping[int, Rolling], clocks_ms: Mapping[int, int], rebuild: Rebuild
) -> None:
    first_day = {partition: _day_before(clock) - KEPT_DAYS for partition, clock in clocks_ms.items()}
    since = {partition: needs_since_ms(day) for partition, day in first_day.items()}
    recalls = {partition: Recall(rolling, RecalledHours(rolling)) for partition, rolling in rollings.items()}
    async for partition, records in _own_records(source, Timeframe.H1, rollings, since, rebuild):
        recalls[partition].take(records)
    for recall in recalls.values():
        recall.finish()


async def _restore_days(
    source: Log, rollings: Mapping[int, Rolling], clocks_ms: Mapping[int, int], rebuild: Rebuild
) -> None:
    first_day = {partition: min(months_of(_day_before(clock))) for partition, clock in clocks_ms.items()}
    for partition, day in first_day.items():
        rollings[partition].state.months_from = day
    since = {partition: needs_since_ms(day) for partition, day in first_day.items()}
    async for partition, records in _own_records(source, Timeframe.D1, rollings, since, rebuild):
        for record in records:
            candle = candle_of(record, rollings[partition].state.scales)
            if candle is not None and candle.open_ms // DAY_MS >= first_day[partition]:
                _put_day(rollings[partition], candle)


def _put_day(rolling: Rolling, candle: ReadCandle) -> None:
    rolling.state.fit(candle.key, candle.scale)
    rolling.state.put_day(candle.key, candle.open_ms // DAY_MS, candle.sum)


async def _own_records(
    source: Log, timeframe: Timeframe, rollings: Mapping[int, Rolling], since_ms: Mapping[int, int], rebuild: Rebuild
) -> AsyncIterator[tuple[int, list[BareRecord]]]:
    """The records of longer candles appended since some time which came out before each core's position."""
    starts = await source.starts(timeframe, since_ms)
    begin = {partition: start.offset for partition, start in starts.items()}
    async for partition, records in source.read(timeframe, begin):
        rebuild.count(len(records))
        yield partition, [record for record in records if _is_own(source, rollings[partition], record)]


def _is_own(source: Log, rolling: Rolling, record: BareRecord) -> bool:
    return record.value is not None and is_before(record.headers, rolling.position, source.topic_id)


async def read_back(source: Log, batches: Mapping[int, tuple[Rolling, Sequence[BareRecord]]]) -> None:
    """Read back what each partition's core needs before it can take its records in."""
    missing = {partition: rolling.missing(records) for partition, (rolling, records) in batches.items()}
    unknown = {
        partition: min(days)
        for partition, names in missing.items()
        if (days := [day for _, day in names.days if not batches[partition][0].history.is_known(day)])
    }
    if unknown:
        since_ms = needs_since_ms(min(unknown.values()))
        log.info("looking further back", partitions=sorted(unknown), since_ms=since_ms)
        rollings = {partition: batches[partition][0] for partition in unknown}
        since = dict.fromkeys(unknown, since_ms)
        await _recall(source, rollings, since, {p: rolling.history.start for p, rolling in rollings.items()}, Rebuild())
    for partition, (rolling, records) in batches.items():
        if missing[partition].days and (names := rolling.missing(records).days):
            await _read_days(source, rolling, names)
        if missing[partition].months:
            await _read_months(source, rolling, missing[partition].months)


async def _recall(
    source: Log,
    rollings: Mapping[int, Rolling],
    since_ms: Mapping[int, int],
    stops: Mapping[int, int],
    rebuild: Rebuild,
) -> None:
    """Let the cores recall what was appended from `since_ms` to before `stops`, and note how far back they now know."""
    starts = await source.starts(Timeframe.M1, since_ms)
    recalls = {partition: Recall(rolling, RecalledMinutes(rolling)) for partition, rolling in rollings.items()}
    oldest_ms: dict[int, int] = {}
    begin = {partition: start.offset for partition, start in starts.items()}
    async for partition, records in source.read(Timeframe.M1, begin, stops):
        rebuild.count(len(records))
        oldest_ms.setdefault(partition, records[0].timestamp)
        recalls[partition].take(records)
    for recall in recalls.values():
        recall.finish()
    for partition, (first, offset) in starts.items():
        history = rollings[partition].history
        history.start = min(offset, stops[partition])
        history.reaches_ms = 0 if history.start <= first else since_ms[partition]
        if history.reaches_ms == 0 and first > 0:
            history.begins_ms = oldest_ms.get(partition)


async def _read_days(source: Log, rolling: Rolling, names: Iterable[DayKey]) -> None:
    """Read whole days back; days that lie close together are read in one go."""
    names = set(names)
    extents = {name: extent for name in names if (extent := rolling.history.extent(name)) is not None}
    for name in names:
        rolling.state.begin_day(name)
    for first, last in _in_one_go(extents.values()):
        seen = last + 1
        async for _, records in source.read(Timeframe.M1, {rolling.partition: first}, {rolling.partition: last + 1}):
            for record in records:
                seen = min(seen, record.offset)
                if (minute := minute_of(record)) is not None and minute.name in names:
                    rolling.put_back(minute, record)
        for name, extent in extents.items():
            if first <= extent.first < seen:
                rolling.history.lose(name[1])


async def _read_months(source: Log, rolling: Rolling, names: Iterable[DayKey]) -> None:
    """Read the days of months that are over back, after a look at what the 1d topic holds since the last look."""
    state, partition = rolling.state, rolling.partition
    async for _, records in source.read(Timeframe.D1, {partition: state.months_end}):
        for record in records:
            state.months_end = record.offset + 1
            if (day := minute_of(record)) is not None:
                name = (day.name[0], month_of(day.name[1]))
                extent = state.month_extents.get(name)
                offset = record.offset
                state.month_extents[name] = extent.with_offset(offset) if extent else Extent(offset, offset)
    names = set(names)
    for name in names:
        state.begin_month(name)
    extents = [extent for name in names if (extent := state.month_extents.get(name)) is not None]
    for first, last in _in_one_go(extents):
        async for _, records in source.read(Timeframe.D1, {partition: first}, {partition: last + 1}):
            for record in records:
                candle = candle_of(record, state.scales) if _is_own(source, rolling, record) else None
                if candle is not None and (candle.key, month_of(candle.open_ms // DAY_MS)) in names:
                    _put_day(rolling, candle)


def _in_one_go(extents: Iterable[Extent]) -> list[Extent]:
    joined: list[Extent] = []
    for extent in sorted(extents):
        if joined and extent.first <= joined[-1].last + GAP_RECORDS:
            joined[-1] = joined[-1].with_offset(extent.last)
        else:
            joined.append(extent)
    return joined

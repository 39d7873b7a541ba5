"""Reads what the core must know of the log: at the start, and further back when history is imported."""

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from typing import NamedTuple, Protocol

from market.records import BareRecord, Record
from processors.rolling.core import Rolling
from processors.rolling.day import Day
from processors.rolling.history import DayKey, Extent, minute_of, needs_since_ms
from runtime.kafka import ends, offsets_at, read_to_end
from runtime.settings import Settings
from runtime.telemetry import logger

GAP_RECORDS = 20_000
"""Days with fewer records than this between them are read in one go."""

log = logger("rolling")


class RollingStart(NamedTuple):
    """A partition's first offset, and the first one that was appended at or after some time."""

    first: int
    offset: int


class Log(Protocol):
    """The topic of 1m candles, as it is read back."""

    async def starts(self, partitions: Iterable[int], since_ms: int) -> dict[int, RollingStart]:
        """Where to read what was appended since `since_ms`."""

    def read(self, start: Mapping[int, int], stop: Mapping[int, int]) -> AsyncIterator[list[Record]]:
        """The committed records from `start` to before `stop` (by partition), in offset order."""


class CandleLog:
    """The topic in Kafka."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._topic = settings.topics.candles()

    async def starts(self, partitions: Iterable[int], since_ms: int) -> dict[int, RollingStart]:
        """As `Log` says."""
        offsets = await offsets_at(self._settings, self._topic, since_ms, partitions)
        bounds = await ends(self._settings, self._topic, offsets)
        return {partition: RollingStart(bounds[partition].first, offset) for partition, offset in offsets.items()}

    def read(self, start: Mapping[int, int], stop: Mapping[int, int]) -> AsyncIterator[list[Record]]:
        """As `Log` says."""
        return read_to_end(self._settings, self._topic, partitions=start, start=start, stop=stop)


async def restore(source: Log, partitions: int, stops: Mapping[int, int], since_ms: int) -> dict[int, Rolling]:
    """The state before `stops` (partition → offset of the next record to be taken in) of a topic of `partitions`.

    It is made of what was appended since `since_ms`.
    """
    rollings = {partition: Rolling(partition, partitions) for partition in stops}
    for rolling in rollings.values():
        rolling.history.reaches_ms = since_ms
    await _recall(source, rollings, since_ms, stops)
    for partition, rolling in rollings.items():
        rolling.offset = stops[partition] - 1
    return rollings


async def read_back(source: Log, batches: Mapping[int, tuple[Rolling, Sequence[BareRecord]]]) -> None:
    """Read back what each partition's core needs before it can take its records in."""
    missing = {partition: rolling.missing(records) for partition, (rolling, records) in batches.items()}
    unknown = {
        partition: min(days)
        for partition, names in missing.items()
        if (days := [day for _, day in names if not batches[partition][0].history.is_known(day)])
    }
    if unknown:
        since_ms = needs_since_ms(min(unknown.values()))
        log.info("looking further back", partitions=sorted(unknown), since_ms=since_ms)
        rollings = {partition: batches[partition][0] for partition in unknown}
        await _recall(source, rollings, since_ms, {p: rolling.history.start for p, rolling in rollings.items()})
    for partition, (rolling, records) in batches.items():
        if missing[partition] and (names := rolling.missing(records)):
            await _insert(source, rolling, names)


async def _recall(source: Log, rollings: Mapping[int, Rolling], since_ms: int, stops: Mapping[int, int]) -> None:
    """Let the cores recall what was appended from `since_ms` to before `stops`, and note how far back they now know."""
    starts = await source.starts(rollings.keys(), since_ms)
    oldest_ms: dict[int, int] = {}
    async for records in source.read({partition: start.offset for partition, start in starts.items()}, stops):
        for record in records:
            oldest_ms.setdefault(record.partition, record.timestamp)
            rollings[record.partition].recall(record)
    for partition, (first, offset) in starts.items():
        history = rollings[partition].history
        history.start = min(offset, stops[partition])
        history.reaches_ms = 0 if history.start <= first else since_ms
        if history.reaches_ms == 0 and first > 0:
            history.begins_ms = oldest_ms.get(partition)


async def _insert(source: Log, rolling: Rolling, names: Iterable[DayKey]) -> None:
    """Read whole days back; days that lie close together are read in one go."""
    days = {name: Day() for name in names}
    extents = {name: extent for name in days if (extent := rolling.history.extent(name)) is not None}
    for first, last in _in_one_go(extents.values()):
        seen = last + 1
        async for records in source.read({rolling.partition: first}, {rolling.partition: last + 1}):
            for record in records:
                seen = min(seen, record.offset)
                _put_back(rolling, days, record)
        for name, extent in extents.items():
            if first <= extent.first < seen:
                rolling.history.lose(name[1])
    for name, day in days.items():
        rolling.insert(name, day)


def _put_back(rolling: Rolling, days: Mapping[DayKey, Day], record: BareRecord) -> None:
    minute = minute_of(record)
    day = None if minute is None else days.get(minute.name)
    candle = None if day is None else rolling.read_again(record)
    if day is not None and candle is not None:
        day.put(candle)


def _in_one_go(extents: Iterable[Extent]) -> list[Extent]:
    joined: list[Extent] = []
    for extent in sorted(extents):
        if joined and extent.first <= joined[-1].last + GAP_RECORDS:
            joined[-1] = joined[-1].with_offset(extent.last)
        else:
            joined.append(extent)
    return joined

"""What Kafka already knows of a market: how far live data are, which runs there are, and what the log holds."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from market.codec import decode_candle, decode_marker, decode_progress, decode_trade, header, run_of
from market.errors import MalformedError
from market.key import MarketKey
from market.partition import partition_of
from market.records import Record
from market.timeframe import minute_us
from market.trade import Trade
from producers.archive.logged import LogSurvey, Run
from runtime.errors import CandlewickError
from runtime.kafka import read_to_end
from runtime.kafka.admin import group_offsets
from runtime.settings import Settings

PUBLISHER_HEADER = "publisher"
"""Header of a run's progress: the process that wrote it."""
MOST_READ_BACK = 5_000_000
"""At most so many trades of the log are kept in memory, to be published again: about 2 GB."""
_ENGINE = "candles"


class RunRecord(NamedTuple):
    """A record of `md.progress.v1` about a run; `appended_ms` is Kafka's append time."""

    run: str
    until_us: int
    finished: bool
    publisher: str
    offset: int
    appended_ms: int


@dataclass
class KeyProgress:
    """A market's records in `md.progress.v1`, oldest first."""

    live_until_us: int | None = None
    runs: list[RunRecord] = field(default_factory=list)

    @property
    def finished(self) -> set[str]:
        """The runs that are finished."""
        return {record.run for record in self.runs if record.finished}


async def read_progress(settings: Settings, key: MarketKey) -> KeyProgress:
    """What the progress topic says of a market; `CandlewickError` if a record cannot be read."""
    known, key_bytes = KeyProgress(), str(key).encode()
    async for records in read_to_end(settings, settings.topics.progress):
        for record in records:
            if record.value is not None and record.key is not None and record.key.split(b"|")[0] == key_bytes:
                _note(known, record, record.value)
    return known


class LogReader:
    """Keeps the `LogSurvey` of one market up to date with the log, and reads trades back from it."""

    def __init__(self, settings: Settings, key: MarketKey) -> None:
        self.survey = LogSurvey(key)
        self._settings = settings
        self._key = str(key).encode()
        self._partition = partition_of(self._key, settings.partitions)
        self._next: dict[str, int] = {}
        """By topic: the first offset that was not read yet."""

    async def read(self) -> None:
        """Read on to the end of the log. Malformed records are skipped: the engine reports them."""
        topics = self._settings.topics
        committed = await group_offsets(self._settings, topics.group(_ENGINE))
        self.survey.processed = committed.get((topics.trades, self._partition), 0)
        await self._read(topics.candles(), self._take_candle)
        await self._read(topics.trades, self._take_record)

    async def trades_of(self, minutes: Collection[int]) -> dict[int, dict[str, Trade]]:
        """The trades of these minutes, by minute and id; among several copies, the one that counts.

        A run's copy counts before a live one, a later run's before an earlier run's, an earlier live copy before a
        later one. Raises `CandlewickError` beyond `MOST_READ_BACK` trades.
        """
        by_minute: dict[int, dict[str, Trade]] = {open_us: {} for open_us in minutes}
        places = [minute for open_us in minutes if (minute := self.survey.minutes[open_us]).from_offset >= 0]
        if not places:
            return by_minute
        start, stop = min(place.from_offset for place in places), max(place.until_offset for place in places)
        count = 0
        async for record in self._records(self._settings.topics.trades, start, stop):
            trade, run = _trade(record)
            copies = by_minute.get(minute_us(trade.time_us)) if trade is not None else None
            if trade is None or copies is None or (run is None and trade.trade_id in copies):
                continue
            count += trade.trade_id not in copies
            copies[trade.trade_id] = trade
            if count > MOST_READ_BACK:
                raise CandlewickError(
                    f"more than {MOST_READ_BACK:,} trades of {self.survey.key} would have to be published again: "
                    "import a shorter part of the file"
                )
        return by_minute

    async def _read(self, topic: str, take: Any) -> None:
        async for record in self._records(topic, self._next.get(topic, 0), None):
            take(record)

    async def _records(self, topic: str, start: int, stop: int | None) -> Any:
        partition = self._partition
        async for records in read_to_end(
            self._settings,
            topic,
            partitions=[partition],
            start={partition: start},
            stop=None if stop is None else {partition: stop},
        ):
            for record in records:
                if record.key == self._key:
                    yield record
            if records and stop is None:
                self._next[topic] = records[-1].offset + 1

    def _take_record(self, record: Record) -> None:
        if record.value is None:
            try:
                marker = decode_marker(record.headers)
            except MalformedError:
                return
            if marker is not None:
                self.survey.take_marker(marker, record.offset)
            return
        trade, run = _trade(record)
        if trade is not None and (trade.exchange, trade.symbol) == self.survey.key:
            self.survey.take_trade(trade, run, record.offset)

    def _take_candle(self, record: Record) -> None:
        if record.value is None:
            return
        try:
            candle, run = decode_candle(record.value), run_of(record.headers)
        except MalformedError:
            return  # the sinks report it
        self.survey.take_candle(candle, run)


def _trade(record: Record) -> tuple[Trade | None, Run]:
    """The trade and run of a record; no trade if the candle engine would refuse the record."""
    if record.value is None:
        return None, None
    try:
        return decode_trade(record.value), run_of(record.headers)
    except MalformedError:
        return None, None


def _note(known: KeyProgress, record: Record, value: bytes) -> None:
    try:
        progress = decode_progress(value)
    except MalformedError as error:
        raise CandlewickError(f"the record {_place(record)} cannot be read: {error}") from error
    if progress.run is None:
        known.live_until_us = progress.complete_until_us
        return
    publisher = (header(record.headers, PUBLISHER_HEADER) or b"").decode(errors="replace")
    known.runs.append(
        RunRecord(
            progress.run, progress.complete_until_us, progress.finished, publisher, record.offset, record.timestamp
        )
    )


def _place(record: Record) -> str:
    return f"{record.topic}/{record.partition}/{record.offset}"

"""What Kafka knows already of a key: how far live is, which runs are finished or under way, which candles there are."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

from market.codec import decode_candle, decode_progress, header, progress_key, run_of
from market.errors import MalformedError
from market.partition import partition_of
from producers.archive.dump import Span
from producers.archive.plan import Known
from runtime.errors import CandlewickError
from runtime.kafka import Record, read_to_end
from runtime.settings import Settings

PUBLISHER_HEADER = "publisher"
"""On a run's progress: which process wrote it."""


class RunRecord(NamedTuple):
    """A record of `md.progress.v1` about a run; `at_ms` is Kafka's append time."""

    run: str
    until_us: int
    finished: bool
    publisher: str
    offset: int
    at_ms: int


@dataclass
class KeyProgress:
    """A key's records in `md.progress.v1`, oldest first."""

    live_until_us: int | None = None
    runs: list[RunRecord] = field(default_factory=list)

    @property
    def finished(self) -> set[str]:
        """The runs that are done."""
        return {record.run for record in self.runs if record.finished}


async def read_progress(settings: Settings, key: str, *, after: RunRecord | None = None) -> KeyProgress:
    """What the progress topic holds of a key; `after`: only what stands behind this record in its partition."""
    found = KeyProgress()
    where: dict[str, Any] = {}
    if after is not None:
        partition = partition_of(progress_key(key, after.run), settings.partitions)
        where = {"partitions": [partition], "start": {partition: after.offset + 1}}
    async for records in read_to_end(settings, settings.topics.progress, **where):
        for record in records:
            if record.value is not None and record.key is not None and record.key.split(b"|")[0] == key.encode():
                _note(found, record, record.value)
    return found


async def read_candles(settings: Settings, key: str, span: Span, run: str) -> dict[int, Known]:
    """Of each minute of the span (by open time, microseconds) the newest candle that is not of `run` itself."""
    partition = partition_of(key.encode(), settings.partitions)
    newest: dict[int, tuple[int, Known]] = {}
    async for records in read_to_end(settings, settings.topics.candles(), partitions=[partition]):
        for record in records:
            if record.key != key.encode() or record.value is None or run_of(record.headers) == run:
                continue
            try:
                candle = decode_candle(record.value)
            except MalformedError as error:
                raise CandlewickError(f"{_place(record)} cannot be read: {error}") from error
            open_us = candle.open_time_ms * 1000
            if span.from_us <= open_us < span.until_us and candle.revision >= newest.get(open_us, (0,))[0]:
                newest[open_us] = (candle.revision, Known(candle.status, candle.trades))
    return {open_us: known for open_us, (_, known) in newest.items()}


def _note(found: KeyProgress, record: Record, value: bytes) -> None:
    try:
        progress = decode_progress(value)
    except MalformedError as error:
        raise CandlewickError(f"{_place(record)} cannot be read: {error}") from error
    if progress.run is None:
        found.live_until_us = progress.complete_until_us
        return
    publisher = (header(record.headers, PUBLISHER_HEADER) or b"").decode(errors="replace")
    found.runs.append(
        RunRecord(
            progress.run, progress.complete_until_us, progress.finished, publisher, record.offset, record.timestamp
        )
    )


def _place(record: Record) -> str:
    return f"{record.topic}/{record.partition}/{record.offset}"

"""Publishing longer candles, tickers and dead letters."""

import asyncio
from collections.abc import Iterable
from typing import Any

from market.codec import dead_letter_headers
from market.errors import MalformedError
from market.records import Record
from processors.rolling.core import Output
from runtime.kafka import Outgoing, Publisher
from runtime.settings import Settings
from runtime.telemetry import Meter, logger

log = logger("rolling")


async def publish(
    settings: Settings,
    publisher: Publisher,
    meter: Meter,
    outputs: Iterable[tuple[int, Output]],
    dead: list[tuple[Record, MalformedError]],
) -> None:
    """Publish outputs, each to the partition that it came from, and dead letters; returns once all are acknowledged."""
    topics = settings.topics
    by_topic: dict[str, list[Outgoing]] = {}
    for partition, output in outputs:
        topic = topics.candles(output.timeframe) if output.timeframe else topics.tickers
        by_topic.setdefault(topic, []).append(Outgoing(output.key.encode(), output.value, (), partition))
        meter.add("candles" if output.timeframe else "tickers")
    for record, error in dead:
        by_topic.setdefault(topics.dead_letters(record.topic), []).append(_letter(record, error))
        meter.add("dead_letters")
    if dead:
        record, error = dead[0]
        where = f"{record.topic}/{record.partition}@{record.offset}"
        log.warning("dead letters", count=len(dead), first=f"{where}: {error}")
    futures: list[asyncio.Future[Any]] = []
    for topic, records in by_topic.items():
        futures += await publisher.send_batches(topic, records, settings.partitions)
    if futures:
        await publisher.await_acknowledgements(futures)


def _letter(record: Record, error: MalformedError) -> Outgoing:
    headers = dead_letter_headers(
        error, topic=record.topic, partition=record.partition, offset=record.offset, headers=record.headers
    )
    return Outgoing(record.key or b"", record.value, headers, record.partition)

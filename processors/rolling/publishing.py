"""Publishing longer candles, tickers and dead letters."""

import asyncio
from collections.abc import Iterable
from typing import Any, NamedTuple

from market.errors import MalformedError
from market.records import BareRecord
from processors.rolling.core import Output
from processors.rolling.position import position_header
from runtime.kafka import Outgoing, Publisher, TopicPartition, dead_letter
from runtime.settings import Settings
from runtime.telemetry import Meter, logger

log = logger("rolling")


class DeadCandle(NamedTuple):
    """A record that is no candle of its partition, and why."""

    topic: str
    partition: int
    record: BareRecord
    error: MalformedError


async def publish(
    settings: Settings,
    publisher: Publisher,
    meter: Meter,
    outputs: Iterable[tuple[int, Output]],
    dead: list[DeadCandle],
    *,
    topic_id: str | None,
) -> None:
    """Publish outputs, each to the partition that it came from, and dead letters; returns once all are acknowledged.

    `topic_id`: Kafka's id of the 1m topic.
    """
    topics = settings.topics
    by_topic: dict[str, list[Outgoing]] = {}
    for partition, output in outputs:
        topic = topics.candles(output.timeframe) if output.timeframe else topics.tickers
        headers = (position_header(output.position, topic_id),) if output.timeframe else ()
        by_topic.setdefault(topic, []).append(Outgoing(output.key.encode(), output.value, headers, partition))
        meter.add("candles" if output.timeframe else "tickers")
    for topic, partition, record, error in dead:
        letter = dead_letter(TopicPartition(topic, partition), record, error)
        by_topic.setdefault(topics.dead_letters(topic), []).append(letter)
        meter.add("dead_letters")
    if dead:
        topic, partition, record, error = dead[0]
        log.warning("dead letters", count=len(dead), first=f"{topic}/{partition}@{record.offset}: {error}")
    futures: list[asyncio.Future[Any]] = []
    for topic, records in by_topic.items():
        futures += await publisher.send_batches(topic, records, settings.partitions)
    if futures:
        await publisher.await_acknowledgements(futures)

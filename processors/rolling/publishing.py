"""Publishing longer candles, tickers and dead letters."""

import asyncio
from collections.abc import Sequence
from typing import Any, NamedTuple

from market.errors import MalformedError
from market.records import BareRecord
from processors.rolling.core import Output
from processors.rolling.position import position_header
from processors.rolling.steps import TIMEFRAMES
from runtime.kafka import KeyedValues, Outgoing, Publisher, TopicPartition, dead_letter
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
    outputs: Sequence[tuple[int, Output]],
    dead: Sequence[DeadCandle],
    *,
    topic_id: str | None,
) -> None:
    """Publish outputs, each to the partition that it came from, and dead letters; returns once all are acknowledged.

    `topic_id`: Kafka's id of the 1m topic.
    """
    topics = settings.topics
    topic_of = {timeframe: topics.candles(timeframe) for timeframe in TIMEFRAMES}
    groups: dict[str, dict[int, list[KeyedValues]]] = {}
    candles = 0
    for partition, (timeframe, key, value, position) in outputs:
        headers = [position_header(position, topic_id)] if timeframe else []
        of_topic = groups.setdefault(topic_of[timeframe] if timeframe else topics.tickers, {})
        of_topic.setdefault(partition, []).append((key.encode(), (value,), headers))
        candles += timeframe is not None
    meter.add("candles", candles)
    meter.add("tickers", len(outputs) - candles)
    futures: list[asyncio.Future[Any]] = []
    for topic, group in groups.items():
        futures += await publisher.send_groups(topic, group)
    futures += await _send_letters(settings, publisher, meter, dead)
    if futures:
        await publisher.await_acknowledgements(futures)


async def _send_letters(
    settings: Settings, publisher: Publisher, meter: Meter, dead: Sequence[DeadCandle]
) -> list["asyncio.Future[Any]"]:
    by_topic: dict[str, list[Outgoing]] = {}
    for topic, partition, record, error in dead:
        letter = dead_letter(TopicPartition(topic, partition), record, error)
        by_topic.setdefault(settings.topics.dead_letters(topic), []).append(letter)
        meter.add("dead_letters")
    if dead:
        topic, partition, record, error = dead[0]
        log.warning("dead letters", count=len(dead), first=f"{topic}/{partition}@{record.offset}: {error}")
    futures: list[asyncio.Future[Any]] = []
    for topic, letters in by_topic.items():
        futures += await publisher.send_batches(topic, letters, settings.partitions)
    return futures

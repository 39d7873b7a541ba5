"""Watching topics from now on."""

from collections.abc import AsyncIterator, Iterable
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

from market.records import Record
from runtime.kafka.connection import connection, kafka_errors
from runtime.kafka.log import FETCH_BYTES, ends
from runtime.settings import Settings

_POLL_MS = 500


async def follow(settings: Settings, topics: Iterable[str]) -> AsyncIterator[list[Record]]:
    """The committed records of all partitions of `topics` from now on, without end; no group is needed.

    Each list holds records of one partition. If the next records were deleted, reading goes on at the log's end.
    """
    tps = [TopicPartition(topic, partition) for topic in topics for partition in await ends(settings, topic)]
    with kafka_errors(settings, "watching"):
        consumer: Any = AIOKafkaConsumer(
            **connection(settings),
            enable_auto_commit=False,
            auto_offset_reset="latest",
            isolation_level="read_committed",
            max_partition_fetch_bytes=FETCH_BYTES,
        )
        await consumer.start()
        try:
            consumer.assign(tps)
            await consumer.seek_to_end()
            while True:
                for records in (await consumer.getmany(timeout_ms=_POLL_MS)).values():
                    yield records
        finally:
            await consumer.stop()

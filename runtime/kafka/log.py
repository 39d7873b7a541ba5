"""Topics read without a group: their ends, and their records to the end as it stands."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from aiokafka import AIOKafkaConsumer, TopicPartition

from market.records import BareRecord, Record
from runtime.errors import UnavailableError
from runtime.kafka.batches import WHOLE_BATCHES, flattened
from runtime.kafka.connection import connection, is_cancelled, kafka_errors
from runtime.kafka.open_transactions import HELD_BACK_S, HeldBackError, OpenTransaction, asked_open_transactions
from runtime.settings import Settings

FETCH_BYTES = 1024 * 1024
STALL_TIMEOUT_S = 60.0
_POLL_MS = 500


class Ends(NamedTuple):
    """A partition's first offset, and the offset that the next record will have."""

    first: int
    next: int


async def ends(settings: Settings, topic: str, partitions: Iterable[int] | None = None) -> dict[int, Ends]:
    """Both ends of the partitions of `topic` (default: all) as they stand.

    The end is that of the whole log, uncommitted records included: Kafka acknowledges a commit a moment before
    committed readers see it, so a reader up to this end waits for all that was committed before the call.
    """
    async with plain_consumer(
        settings, f"asking for the ends of {topic}", isolation_level="read_uncommitted"
    ) as consumer:
        tps = await partitions_of(consumer, topic, partitions)
        firsts = await consumer.beginning_offsets(tps)
        nexts = await consumer.end_offsets(tps)
    return {tp.partition: Ends(firsts[tp], nexts[tp]) for tp in tps}


async def stable_ends(settings: Settings, topic: str, partitions: Iterable[int] | None = None) -> dict[int, int]:
    """How far readers of committed records get now, by partition: the end, or an open transaction's first record."""
    async with plain_consumer(
        settings, f"asking for the ends of {topic}", isolation_level="read_committed"
    ) as consumer:
        stable = await consumer.end_offsets(await partitions_of(consumer, topic, partitions))
    return {tp.partition: offset for tp, offset in stable.items()}


async def open_transactions(settings: Settings, topic: str, partitions: Iterable[int]) -> list[OpenTransaction]:
    """The open transaction that holds back each of these partitions of `topic`, however young."""
    async with plain_consumer(settings, f"asking for open transactions in {topic}") as consumer:
        tps = await partitions_of(consumer, topic, partitions)
        return await asked_open_transactions(consumer._client, tps)  # noqa: SLF001


async def all_open_transactions(settings: Settings, topics: Iterable[str]) -> list[OpenTransaction]:
    """The open transaction that holds back each partition of `topics`, all asked for at the same time."""
    async with plain_consumer(settings, "asking for open transactions") as consumer:
        tps = [tp for topic in topics for tp in await partitions_of(consumer, topic, None)]
        return await asked_open_transactions(consumer._client, tps)  # noqa: SLF001


async def offsets_at(settings: Settings, topic: str, time_ms: int, partitions: Iterable[int]) -> dict[int, int]:
    """By partition, the offset of the first record appended at or after `time_ms`; the end if there is none."""
    async with plain_consumer(settings, f"looking for a time in {topic}") as consumer:
        tps = [TopicPartition(topic, partition) for partition in partitions]
        nexts = await consumer.end_offsets(tps)
        looked_up = await consumer.offsets_for_times(dict.fromkeys(tps, max(0, time_ms)))
    return {tp.partition: first.offset if (first := looked_up[tp]) else nexts[tp] for tp in tps}


async def read_to_end(
    settings: Settings,
    topic: str,
    *,
    partitions: Iterable[int] | None = None,
    start: Mapping[int, int] | None = None,
    stop: Mapping[int, int] | None = None,
    committed: bool = True,
    wait: bool = True,
) -> AsyncGenerator[list[Record], None]:
    """The records of `topic` from `start` (partition → offset; default: the first) to its end as it stood at the call.

    `stop` (partition → first offset not read) ends a partition sooner. Each list holds records of one partition in
    offset order. Needs no group and commits nothing. Waits for open transactions; without `wait`, the records that they
    hide are left out. Raises `HeldBackError`, which names the transaction, if a transaction does not end, and
    `UnavailableError` if nothing comes for `STALL_TIMEOUT_S`.
    """
    span = await _span(settings, topic, partitions, start, stop)
    async for _, records in _read(settings, topic, span, committed=committed, wait=wait):
        yield records


async def read_batches_to_end(
    settings: Settings, topic: str, *, start: Mapping[int, int], stop: Mapping[int, int] | None = None
) -> AsyncGenerator[tuple[int, list[BareRecord]], None]:
    """As `read_to_end`, for the partitions in `start`, in whole batches: several times cheaper for each record.

    Yields a partition and records of it.
    """
    span = await _span(settings, topic, start, start, stop)
    async for tp, batches in _read(settings, topic, span, key_deserializer=WHOLE_BATCHES):
        records = flattened({tp: batches})[tp]
        end = span[tp][1]
        yield (
            tp.partition,
            records if records[-1].offset < end else [record for record in records if record.offset < end],
        )
        await asyncio.sleep(0)  # what is fetched already comes without waiting: others must have their turn


_Span = dict[TopicPartition, tuple[int, int]]
"""The first offset to be read, and the first that is not."""


async def _span(
    settings: Settings,
    topic: str,
    partitions: Iterable[int] | None,
    start: Mapping[int, int] | None,
    stop: Mapping[int, int] | None,
) -> _Span:
    span: _Span = {}
    for partition, (first, end) in (await ends(settings, topic, partitions)).items():
        begin, until = max(first, (start or {}).get(partition, 0)), min(end, (stop or {}).get(partition, end))
        if begin < until:
            span[TopicPartition(topic, partition)] = begin, until
    return span


async def _read(
    settings: Settings, topic: str, span: _Span, *, committed: bool = True, wait: bool = True, **config: Any
) -> AsyncGenerator[tuple[TopicPartition, list[Any]], None]:
    if not span:
        return
    left = set(span)
    async with plain_consumer(
        settings,
        f"reading {topic}",
        enable_auto_commit=False,
        auto_offset_reset="none",
        isolation_level="read_committed" if committed else "read_uncommitted",
        max_partition_fetch_bytes=FETCH_BYTES,
        **config,
    ) as consumer:
        consumer.assign(list(left))
        for tp, (begin, _) in span.items():
            consumer.seek(tp, begin)
        until = {tp: end for tp, (_, end) in span.items()}
        if not wait:
            stable = await consumer.end_offsets(left)
            until = {tp: min(end, stable[tp]) for tp, end in until.items()}
            left = {tp for tp in left if span[tp][0] < until[tp]}
        read_at_s = time.monotonic()
        while left:
            batches = await consumer.getmany(*left, timeout_ms=_POLL_MS)
            for tp, records in batches.items():
                read_at_s = time.monotonic()
                yield tp, records if config else [record for record in records if record.offset < until[tp]]
            done = {tp for tp in left if await consumer.position(tp) >= until[tp]}
            consumer.pause(*done)
            left -= done
            waited_s = time.monotonic() - read_at_s
            if committed and waited_s > HELD_BACK_S:
                open_ones = await asked_open_transactions(consumer._client, left)  # noqa: SLF001
                if open_ones:
                    raise HeldBackError(open_ones)
            if waited_s > STALL_TIMEOUT_S:
                raise UnavailableError(f"{topic} could not be read to its end: no record for {STALL_TIMEOUT_S} s")


@asynccontextmanager
async def plain_consumer(settings: Settings, doing: str, **config: Any) -> AsyncIterator[Any]:
    """A consumer that is no member of a group; it is always closed, even after a failed start."""
    with kafka_errors(settings, doing):
        consumer: Any = AIOKafkaConsumer(**connection(settings), **config)
        try:
            await consumer.start()
            yield consumer
        finally:
            await stop(consumer)


async def stop(consumer: Any) -> None:
    """Stop a consumer completely: aiokafka's own stop ends half-way if connections break meanwhile."""
    try:
        await consumer.stop()
    except asyncio.CancelledError:
        fetcher = consumer._fetcher  # noqa: SLF001  # the rest of what its own stop would have done
        for task in (fetcher._fetch_task, *fetcher._pending_tasks) if fetcher else ():  # noqa: SLF001
            task.cancel()
        await consumer._client.close()  # noqa: SLF001
        if is_cancelled():
            raise


async def partitions_of(consumer: Any, topic: str, wanted: Iterable[int] | None) -> list[TopicPartition]:
    """The `wanted` partitions of `topic` (default: all); the client knows their leaders from then on.

    `UnavailableError` if there is no such topic.
    """
    known = consumer.partitions_for_topic(topic)
    if not known:  # the topic may have been made a moment ago
        consumer._client.add_topic(topic)  # noqa: SLF001  # aiokafka offers no public way to ask again
        await consumer._client.force_metadata_update()  # noqa: SLF001
        known = consumer.partitions_for_topic(topic)
    if not known:
        raise UnavailableError(f"the topic {topic} is not there: run candlewick topics apply")
    return [TopicPartition(topic, partition) for partition in sorted(known if wanted is None else wanted)]

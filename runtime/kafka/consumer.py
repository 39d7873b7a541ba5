"""Reading: as a member of a group, or a topic to its end as it stands."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any, NamedTuple, Self

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import (
    CommitFailedError,
    IllegalGenerationError,
    NoOffsetForPartitionError,
    RebalanceInProgressError,
    UnknownMemberIdError,
)

from runtime.errors import CandlewickError, UnavailableError
from runtime.kafka.batches import WHOLE_BATCHES, flattened
from runtime.kafka.connection import connection, is_cancelled, kafka_errors
from runtime.kafka.records import BareRecord, Record
from runtime.settings import Settings

FETCH_BYTES = 1024 * 1024
STALL_TIMEOUT_S = 60.0
SESSION_TIMEOUT_MS = 10_000
"""A member that is not heard of for this long is out of its group."""
MAX_POLL_INTERVAL_MS = 300_000
"""A member that asks for nothing for this long leaves its group."""
METADATA_MAX_AGE_MS = 30_000
"""A topic that got more partitions, or was made anew, leads to a rebalance after this at the latest."""
_POLL_MS = 500
_NOWHERE = TopicPartition("", 0)


class Changes(NamedTuple):
    """What rebalances did since it was last asked."""

    revoked: frozenset[TopicPartition]
    assigned: frozenset[TopicPartition]
    rebalanced: bool
    """Whether there was a rebalance at all: it may leave a member without partitions."""


_NO_CHANGES = Changes(frozenset(), frozenset(), rebalanced=False)


class _Notes(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka ships no types
    """Only notes: aiokafka logs and swallows what a listener raises."""

    def __init__(self) -> None:
        self.revoked: set[TopicPartition] = set()
        self.assigned: set[TopicPartition] = set()
        self.rebalanced = False

    def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        self.revoked |= set(revoked)
        self.assigned -= set(revoked)

    def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        self.assigned |= set(assigned)
        self.rebalanced = True


class Subscription:
    """A group member that reads only committed records, and only partitions it is told to poll.

    With `bare` it is `poll_batches` that reads, else `poll`.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        group: str,
        topics: Sequence[str],
        instance_id: str | None = None,
        bare: bool = False,
    ) -> None:
        self._settings = settings
        self._topics = list(topics)
        self._notes = _Notes()
        self.group = group
        self._consumer: Any = AIOKafkaConsumer(
            **connection(settings),
            group_id=group,
            group_instance_id=instance_id,
            enable_auto_commit=False,
            # Without a committed offset the caller decides (seek); with one, a jump is never right.
            auto_offset_reset="none",
            isolation_level="read_committed",
            key_deserializer=WHOLE_BATCHES if bare else None,
            partition_assignment_strategy=(RangePartitionAssignor,),  # co-partitioned topics stay together
            max_partition_fetch_bytes=FETCH_BYTES,
            session_timeout_ms=SESSION_TIMEOUT_MS,
            heartbeat_interval_ms=2_000,
            max_poll_interval_ms=MAX_POLL_INTERVAL_MS,
            metadata_max_age_ms=METADATA_MAX_AGE_MS,
        )

    async def __aenter__(self) -> Self:
        with kafka_errors(self._settings, f"joining {self.group}"):
            try:
                await self._consumer.start()
            except BaseException:
                await _stop(self._consumer)
                raise
            self._consumer.subscribe(topics=self._topics, listener=self._notes)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with kafka_errors(self._settings, f"leaving {self.group}"):
            await _stop(self._consumer)

    def changes(self) -> Changes:
        """Partitions that came and went since the last call; one that came back is in both.

        Nothing is told while a rebalance is under way: what went is told together with what came.
        """
        notes = self._notes
        if not notes.rebalanced:
            return _NO_CHANGES
        changes = Changes(frozenset(notes.revoked), frozenset(notes.assigned), notes.rebalanced)
        notes.revoked.clear()
        notes.assigned.clear()
        notes.rebalanced = False
        return changes

    def assignment(self) -> frozenset[TopicPartition]:
        """The partitions held now."""
        return frozenset(self._consumer.assignment())

    async def poll(
        self, partitions: Iterable[TopicPartition], *, timeout_s: float, max_records: int
    ) -> dict[TopicPartition, list[Record]]:
        """Records of these partitions in offset order, as soon as there are any."""
        return await self._poll(partitions, timeout_s, max_records)

    async def poll_batches(
        self, partitions: Iterable[TopicPartition], *, timeout_s: float, max_batches: int
    ) -> dict[TopicPartition, list[BareRecord]]:
        """The same by whole batches, as their producers made them: several times cheaper a record."""
        return flattened(await self._poll(partitions, timeout_s, max_batches))

    async def _poll(
        self, partitions: Iterable[TopicPartition], timeout_s: float, most: int
    ) -> dict[TopicPartition, Any]:
        held = [tp for tp in partitions if tp in self._consumer.assignment()]
        if not held:
            await self.hold(timeout_s)
            return {}
        with kafka_errors(self._settings, f"reading as {self.group}"):
            try:
                return await self._consumer.getmany(  # type: ignore[no-any-return]
                    *held, timeout_ms=int(timeout_s * 1000), max_records=most
                )
            except NoOffsetForPartitionError:
                if not self._notes.rebalanced:
                    raise
                return {}  # dealt out anew while we waited: where to read is sought again once that is looked at

    async def hold(self, timeout_s: float) -> None:
        """Read nothing for a while, and stay a member: one that never asks for records is thrown out."""
        with kafka_errors(self._settings, f"waiting as {self.group}"):
            await self._consumer.getmany(_NOWHERE, timeout_ms=int(timeout_s * 1000))

    async def committed(self, tp: TopicPartition) -> int | None:
        """The group's offset, or None where it has none."""
        with kafka_errors(self._settings, f"asking for the offset of {self.group}"):
            return await self._consumer.committed(tp)  # type: ignore[no-any-return]

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Commit the next offsets to read."""
        with kafka_errors(self._settings, f"committing as {self.group}"):
            await self._consumer.commit(dict(offsets))

    def seek(self, tp: TopicPartition, offset: int) -> None:
        """Read on from `offset`; nothing where a rebalance has just taken the partition away."""
        if tp in self._consumer.assignment():
            self._consumer.seek(tp, offset)

    async def beginning(self, tp: TopicPartition) -> int:
        """The first offset that is still in the log."""
        with kafka_errors(self._settings, f"asking for the beginning of {tp.topic}"):
            return (await self._consumer.beginning_offsets([tp]))[tp]  # type: ignore[no-any-return]

    async def end(self, tp: TopicPartition) -> int:
        """The offset of the next record to be written, behind what transactions still hide."""
        return (await ends(self._settings, tp.topic, [tp.partition]))[tp.partition].next

    async def offset_at(self, tp: TopicPartition, time_ms: int) -> int | None:
        """The first offset appended at or after `time_ms`; None where there is none yet."""
        with kafka_errors(self._settings, f"asking for a time in {tp.topic}"):
            found = (await self._consumer.offsets_for_times({tp: time_ms}))[tp]
        return None if found is None else found.offset

    def highwater(self, tp: TopicPartition) -> int | None:
        """The log's end as of the last fetch: lag without asking; None where the partition is not ours now."""
        return self._consumer.highwater(tp) if tp in self._consumer.assignment() else None

    async def position(self, tp: TopicPartition) -> int:
        """The offset that will be read next, past control records too; 0 where the partition is not ours now.

        Nor is it before the caller was told of the rebalance that brought it: where to read is not sought yet, and
        aiokafka would wait for that.
        """
        if self._notes.rebalanced or tp not in self._consumer.assignment():
            return 0
        with kafka_errors(self._settings, f"asking for the position in {tp.topic}"):
            return await self._consumer.position(tp)  # type: ignore[no-any-return]


class Ends(NamedTuple):
    """A partition's first offset, and the one that the next record will have."""

    first: int
    next: int


async def ends(settings: Settings, topic: str, partitions: Iterable[int] | None = None) -> dict[int, Ends]:
    """Both ends of the partitions of `topic` (default: all) as they stand.

    A commit is acknowledged a moment before committed readers see it, so the end is that of the whole log: who reads
    up to it waits for what was committed before the call.
    """
    async with _consumer(settings, f"asking for the ends of {topic}", isolation_level="read_uncommitted") as consumer:
        tps = await _partitions(consumer, topic, partitions)
        firsts = await consumer.beginning_offsets(tps)
        nexts = await consumer.end_offsets(tps)
    return {tp.partition: Ends(firsts[tp], nexts[tp]) for tp in tps}


async def offsets_at(settings: Settings, topic: str, time_ms: int, partitions: Iterable[int]) -> dict[int, int]:
    """The first offset appended at or after `time_ms`, by partition; where there is none, the log's end."""
    async with _consumer(settings, f"looking for a time in {topic}") as consumer:
        tps = [TopicPartition(topic, partition) for partition in partitions]
        nexts = await consumer.end_offsets(tps)
        found = await consumer.offsets_for_times(dict.fromkeys(tps, max(0, time_ms)))
    return {tp.partition: at.offset if (at := found[tp]) else nexts[tp] for tp in tps}


async def move_group(settings: Settings, group: str, topic: str, offsets: Mapping[int, int]) -> None:
    """Commit `offsets` (partition → next to read) for a group that has no members."""
    async with _consumer(settings, f"moving {group}", group_id=group, enable_auto_commit=False) as consumer:
        try:
            consumer.assign([TopicPartition(topic, partition) for partition in offsets])
            await consumer.commit({TopicPartition(topic, partition): at for partition, at in offsets.items()})
        except (CommitFailedError, UnknownMemberIdError, IllegalGenerationError, RebalanceInProgressError):
            raise CandlewickError(
                f"the group {group} has members, its offsets were not moved: stop them, wait "
                f"{SESSION_TIMEOUT_MS // 1000} s, and try again"
            ) from None


async def read_to_end(
    settings: Settings,
    topic: str,
    *,
    partitions: Iterable[int] | None = None,
    start: Mapping[int, int] | None = None,
    stop: Mapping[int, int] | None = None,
    committed: bool = True,
) -> AsyncGenerator[list[Record], None]:
    """The records of `topic` from `start` (partition → offset; default: the first) to its end as it stood at the call.

    `stop` (partition → first offset not read) ends a partition sooner. Lists hold records of one partition in offset
    order. Needs no group and commits nothing.
    """
    bounds = await ends(settings, topic, partitions)
    begin = {partition: max(first, (start or {}).get(partition, 0)) for partition, (first, _) in bounds.items()}
    until = {partition: min(end, (stop or {}).get(partition, end)) for partition, (_, end) in bounds.items()}
    left = {TopicPartition(topic, partition) for partition, at in begin.items() if at < until[partition]}
    if not left:
        return
    async with _consumer(
        settings,
        f"reading {topic}",
        enable_auto_commit=False,
        auto_offset_reset="none",
        isolation_level="read_committed" if committed else "read_uncommitted",
        max_partition_fetch_bytes=FETCH_BYTES,
    ) as consumer:
        consumer.assign(list(left))
        for tp in left:
            consumer.seek(tp, begin[tp.partition])
        moved = time.monotonic()
        while left:
            batches = await consumer.getmany(*left, timeout_ms=_POLL_MS)
            for tp, records in batches.items():
                moved = time.monotonic()
                yield [record for record in records if record.offset < until[tp.partition]]
            done = {tp for tp in left if await consumer.position(tp) >= until[tp.partition]}
            consumer.pause(*done)
            left -= done
            if time.monotonic() - moved > STALL_TIMEOUT_S:
                raise UnavailableError(f"{topic} could not be read to its end: no record for {STALL_TIMEOUT_S} s")


@asynccontextmanager
async def _consumer(settings: Settings, doing: str, **config: Any) -> AsyncIterator[Any]:
    """A consumer that is no member of a group; it is closed however this ends, a start that fails included."""
    with kafka_errors(settings, doing):
        consumer: Any = AIOKafkaConsumer(**connection(settings), **config)
        try:
            await consumer.start()
            yield consumer
        finally:
            await _stop(consumer)


async def _stop(consumer: Any) -> None:
    """Stop a consumer, all of it: aiokafka's own stop ends half-way where connections break meanwhile."""
    try:
        await consumer.stop()
    except asyncio.CancelledError:
        fetcher = consumer._fetcher  # noqa: SLF001  # the rest of what its own stop would have done
        for task in (fetcher._fetch_task, *fetcher._pending_tasks) if fetcher else ():  # noqa: SLF001
            task.cancel()
        await consumer._client.close()  # noqa: SLF001
        if is_cancelled():
            raise


async def _partitions(consumer: Any, topic: str, wanted: Iterable[int] | None) -> list[TopicPartition]:
    found = consumer.partitions_for_topic(topic)
    if not found:  # it may have been made a moment ago
        consumer._client.add_topic(topic)  # noqa: SLF001  # aiokafka offers no public way to ask again
        await consumer._client.force_metadata_update()  # noqa: SLF001
        found = consumer.partitions_for_topic(topic)
    if not found:
        raise UnavailableError(f"the topic {topic} is not there: run candlewick topics apply")
    return [TopicPartition(topic, partition) for partition in sorted(found if wanted is None else wanted)]

"""Reading as a member of a group, and moving a group that has none."""

from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, NamedTuple, Self

from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, TopicPartition
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import (
    CommitFailedError,
    IllegalGenerationError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
    RebalanceInProgressError,
    UnknownMemberIdError,
)

from market.records import BareRecord, Record
from runtime.errors import CandlewickError, UnavailableError
from runtime.kafka.batches import WHOLE_BATCHES, flattened
from runtime.kafka.connection import connection, kafka_errors
from runtime.kafka.log import FETCH_BYTES, ends, plain_consumer, stop
from runtime.kafka.offset_metadata import Committed, OffsetMetadata
from runtime.kafka.open_transactions import OpenTransaction, asked_open_transactions
from runtime.kafka.sole_assignor import SoleAssignor
from runtime.kafka.topic_id import asked_topic_ids
from runtime.settings import Settings

SESSION_TIMEOUT_MS = 10_000
"""Kafka removes a member from its group if it does not hear from the member for this long."""
SILENT_WAIT_MS = 500
"""How long a fetch waits at the broker for a first record: Kafka's default."""
GATHERED_BYTES = 256 * 1024
"""So much is never waited for: a reader that is behind gets it at once."""
MAX_POLL_INTERVAL_MS = 300_000
"""A member that asks for no records for this long leaves its group."""
METADATA_MAX_AGE_MS = 30_000
"""If a topic gets more partitions or is made anew, a rebalance follows after this time at the latest."""
_NOWHERE = TopicPartition("", 0)


class Changes(NamedTuple):
    """What rebalances did since the last call."""

    revoked: frozenset[TopicPartition]
    assigned: frozenset[TopicPartition]
    rebalanced: bool
    """Whether there was a rebalance at all: it may leave a member without partitions."""


_NO_CHANGES = Changes(frozenset(), frozenset(), rebalanced=False)


class Reach(NamedTuple):
    """How far a partition is read, as of its last fetch."""

    position: int
    """The offset to read next; control records count as read."""
    end: int
    """The log's end, uncommitted records included."""
    seen_ms: int
    """When that was so, by our clock."""


class OutOfRangeError(UnavailableError):
    """The offset to read next is not in the log: its record was deleted, or the topic was made anew."""


class _Notes(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka ships no types
    """Only notes what happened: aiokafka logs and swallows what a listener raises."""

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

    With `bare`, read with `poll_batches`; otherwise with `poll`. With `sole`, one member has all partitions, and the
    others wait for it to go. With `gather_s`, the broker gathers records for so long while they keep coming, so that
    one fetch brings them all; the first record after a silence comes at once.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        group: str,
        topics: Sequence[str],
        instance_id: str | None = None,
        bare: bool = False,
        sole: bool = False,
        gather_s: float = 0.0,
    ) -> None:
        self._settings = settings
        self._gather_ms = int(gather_s * 1000)
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
            # By ranges co-partitioned topics stay together.
            partition_assignment_strategy=(SoleAssignor if sole else RangePartitionAssignor,),
            max_partition_fetch_bytes=FETCH_BYTES,
            fetch_max_wait_ms=SILENT_WAIT_MS,
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
                await stop(self._consumer)
                raise
            self._consumer.subscribe(topics=self._topics, listener=self._notes)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with kafka_errors(self._settings, f"leaving {self.group}"):
            await stop(self._consumer)

    def changes(self) -> Changes:
        """The partitions that came and went since the last call; a partition that came back is in both.

        While a rebalance is under way there are no changes: lost and new partitions are told together.
        """
        notes = self._notes
        if not notes.rebalanced:
            return _NO_CHANGES
        changes = Changes(frozenset(notes.revoked), frozenset(notes.assigned), notes.rebalanced)
        notes.revoked.clear()
        notes.assigned.clear()
        notes.rebalanced = False
        return changes

    @property
    def is_rebalanced(self) -> bool:
        """Whether `changes` has something to tell."""
        return self._notes.rebalanced

    def assignment(self) -> frozenset[TopicPartition]:
        """The partitions held now."""
        return frozenset(self._consumer.assignment())

    async def poll(
        self, partitions: Iterable[TopicPartition], *, timeout_s: float, max_records: int
    ) -> dict[TopicPartition, list[Record]]:
        """Records of these partitions in offset order, as soon as there are any; none after `timeout_s`.

        `OutOfRangeError` if an offset is not in the log, `UnavailableError` if the broker is away.
        """
        return await self._poll(partitions, timeout_s, max_records)

    async def poll_batches(
        self, partitions: Iterable[TopicPartition], *, timeout_s: float, max_batches: int
    ) -> dict[TopicPartition, list[BareRecord]]:
        """What `poll` gives, in whole batches as their producers made them: several times cheaper for each record."""
        return flattened(await self._poll(partitions, timeout_s, max_batches))

    async def _poll(
        self, partitions: Iterable[TopicPartition], timeout_s: float, most: int
    ) -> dict[TopicPartition, Any]:
        held = [tp for tp in partitions if tp in self._consumer.assignment()]
        if not held:
            await self.pause_for(timeout_s)
            return {}
        with kafka_errors(self._settings, f"reading as {self.group}"):
            try:
                polled = await self._consumer.getmany(*held, timeout_ms=int(timeout_s * 1000), max_records=most)
            except NoOffsetForPartitionError:
                if not self._notes.rebalanced:
                    raise
                return {}  # a rebalance came while we waited: the caller will see it and seek again
            except OffsetOutOfRangeError as error:
                where = ", ".join(f"{tp.topic}/{tp.partition}" for tp in held)
                raise OutOfRangeError(f"an offset is not in the log while reading {where}") from error
        if self._gather_ms:
            self._gather(are_coming=bool(polled))
        return polled  # type: ignore[no-any-return]

    def _gather(self, *, are_coming: bool) -> None:
        """Say how long the fetches from now on may wait at the broker.

        A fetch goes out when what the last one brought is taken, but not before we wait the next time: so this is said
        in time for the records that come while the caller works. aiokafka has one wait for all fetches.
        """
        fetcher = self._consumer._fetcher  # noqa: SLF001
        fetcher._fetch_max_wait_ms = self._gather_ms if are_coming else SILENT_WAIT_MS  # noqa: SLF001
        fetcher._fetch_min_bytes = GATHERED_BYTES if are_coming else 1  # noqa: SLF001

    async def pause_for(self, timeout_s: float) -> None:
        """Read nothing for a while, and stay a member: Kafka removes members that never ask for records."""
        with kafka_errors(self._settings, f"waiting as {self.group}"):
            await self._consumer.getmany(_NOWHERE, timeout_ms=int(timeout_s * 1000))

    async def committed(self, tp: TopicPartition) -> int | None:
        """The group's offset, or None if it has none."""
        with kafka_errors(self._settings, f"asking for the offset of {self.group}"):
            return await self._consumer.committed(tp)  # type: ignore[no-any-return]

    async def committed_offsets(self, tps: Iterable[TopicPartition]) -> dict[TopicPartition, Committed]:
        """The group's offsets, as far as it has any, with their metadata."""
        with kafka_errors(self._settings, f"asking for the offsets of {self.group}"):
            # aiokafka's own `committed` drops the metadata.
            fetched = await self._consumer._coordinator.fetch_committed_offsets(list(tps))  # noqa: SLF001
        return {tp: Committed(said.offset, OffsetMetadata.decode(said.metadata)) for tp, said in fetched.items()}

    async def commit(
        self, offsets: Mapping[TopicPartition, int], metadata: Mapping[str, OffsetMetadata] | None = None
    ) -> None:
        """Commit the next offsets to read; `metadata` has, by topic, what to commit with them."""
        said = {topic: of_topic.encode() for topic, of_topic in (metadata or {}).items()}
        with kafka_errors(self._settings, f"committing as {self.group}"):
            await self._consumer.commit(
                {tp: (offset, said[tp.topic]) if said else offset for tp, offset in offsets.items()}
            )

    async def topic_ids(self) -> dict[str, str | None]:
        """The ids of the subscribed topics that are there; None where brokers can't say."""
        with kafka_errors(self._settings, f"asking for the topics of {self.group}"):
            return await asked_topic_ids(self._consumer._client, self._topics)  # noqa: SLF001

    async def open_transactions(self, tps: Iterable[TopicPartition]) -> list[OpenTransaction]:
        """The open transactions that hold back these partitions: readers of committed records get no further."""
        with kafka_errors(self._settings, f"asking for open transactions as {self.group}"):
            return await asked_open_transactions(self._consumer._client, list(tps))  # noqa: SLF001

    def seek(self, tp: TopicPartition, offset: int) -> None:
        """Read on from `offset`; does nothing if a rebalance has just taken the partition away."""
        if tp in self._consumer.assignment():
            self._consumer.seek(tp, offset)

    async def beginning(self, tp: TopicPartition) -> int:
        """The first offset that is still in the log."""
        with kafka_errors(self._settings, f"asking for the beginning of {tp.topic}"):
            return (await self._consumer.beginning_offsets([tp]))[tp]  # type: ignore[no-any-return]

    async def end(self, tp: TopicPartition) -> int:
        """The offset of the next record to be written: records that open transactions hide come before it."""
        return (await ends(self._settings, tp.topic, [tp.partition]))[tp.partition].next

    async def ends(self, tps: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        """How far each partition can be read by now; asked of the brokers, for partitions that are not fetched."""
        asked = [tp for tp in tps if tp in self._consumer.assignment()]
        if not asked:
            return {}
        with kafka_errors(self._settings, f"asking for the ends of {asked[0].topic}"):
            return await self._consumer.end_offsets(asked)  # type: ignore[no-any-return]

    async def offset_at(self, tp: TopicPartition, time_ms: int) -> int | None:
        """The offset of the first record appended at or after `time_ms`; None if there is none yet."""
        with kafka_errors(self._settings, f"asking for a time in {tp.topic}"):
            looked_up = (await self._consumer.offsets_for_times({tp: time_ms}))[tp]
        return None if looked_up is None else looked_up.offset

    def highwater(self, tp: TopicPartition) -> int | None:
        """The log's end as of the last fetch: the lag without a request. None if the partition is not ours now."""
        return self._consumer.highwater(tp) if tp in self._consumer.assignment() else None

    def reach(self, tp: TopicPartition) -> Reach | None:
        """How far the partition is read; None before its first fetch, or if it is not ours now."""
        if self._notes.rebalanced or tp not in self._consumer.assignment():
            return None
        # The public `position` waits for a fetch.
        state = self._consumer._subscription.subscription.assignment.state_value(tp)  # noqa: SLF001
        if not state.has_valid_position or state.highwater is None or state.timestamp is None:
            return None
        return Reach(state.position, state.highwater, state.timestamp)

    async def position(self, tp: TopicPartition) -> int:
        """The offset that will be read next; control records count as read.

        0 if the partition is not ours now, or while the caller does not know of the rebalance that brought it: the
        caller has not called `seek` yet, and aiokafka would wait for that.
        """
        if self._notes.rebalanced or tp not in self._consumer.assignment():
            return 0
        with kafka_errors(self._settings, f"asking for the position in {tp.topic}"):
            return await self._consumer.position(tp)  # type: ignore[no-any-return]


async def move_group(settings: Settings, group: str, topic: str, offsets: Mapping[int, int]) -> None:
    """Commit `offsets` (partition → next to read) of the topic as it is now, for a group that has no members.

    `CandlewickError` if the group has members.
    """
    async with plain_consumer(settings, f"moving {group}", group_id=group, enable_auto_commit=False) as consumer:
        metadata = OffsetMetadata((await asked_topic_ids(consumer._client, [topic])).get(topic)).encode()  # noqa: SLF001
        try:
            consumer.assign([TopicPartition(topic, partition) for partition in offsets])
            await consumer.commit(
                {TopicPartition(topic, partition): (offset, metadata) for partition, offset in offsets.items()}
            )
        except (CommitFailedError, UnknownMemberIdError, IllegalGenerationError, RebalanceInProgressError):
            raise CandlewickError(
                f"the group {group} has members, its offsets were not moved: stop them, wait "
                f"{SESSION_TIMEOUT_MS // 1000} s, and try again"
            ) from None

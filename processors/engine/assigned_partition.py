"""A partition that is assigned to this process: taken over from its old owner, processed, committed in transactions."""

import time
from collections.abc import Sequence
from typing import Generic, Self

from market.records import BareRecord
from processors.engine.engine import CoreT, OutputsT, TransactionalEngine
from processors.engine.start import EngineStartError, EngineStartFacts, decide_start
from processors.engine.state import StoredState, committed
from runtime.kafka import Outgoing, Subscription, TopicPartition, TransactionalPublisher, read_to_end
from runtime.settings import Settings

CHECKPOINT_INTERVAL_S = 5.0
"""How often the state is written (half as often while outputs keep coming): a restart reads this much again."""
LINGER_S = 0.06
"""Outputs wait for more, at most this long, while each poll brings more: markers of many markets come together."""
MOST_WAITING = 10_000
"""At most so many outputs wait while an earlier commit runs; then the partition is not read until it is done."""


class AssignedPartition(Generic[CoreT, OutputsT]):
    """One input partition with its core, its transactional id, and what is not committed yet."""

    def __init__(
        self,
        settings: Settings,
        subscription: Subscription,
        tp: TopicPartition,
        engine: TransactionalEngine[CoreT, OutputsT],
        topic_id: str | None = None,
    ) -> None:
        self.tp = tp
        self._topic_id = topic_id
        self._settings = settings
        self._topics = engine.topics(settings.topics)
        self._subscription = subscription
        self._engine = engine
        self._publisher = TransactionalPublisher(settings, f"{subscription.group}.{tp.topic}.{tp.partition}")
        self._clearing: list[Outgoing] = []
        self._outputs = engine.outputs()
        self._committed_position = 0
        self._has_checkpoint = False
        self._checkpoint_position = 0
        # Outputs wait while a checkpoint is written, so partitions do not write theirs all at once.
        self._checkpoint_at_s = time.monotonic() - CHECKPOINT_INTERVAL_S * tp.partition / settings.partitions
        self._output_at_s = 0.0
        """When the oldest output that is not committed came."""
        self._is_growing = False
        """Whether the last poll led to outputs."""
        self.end = 0
        """Where ``--once`` ends: the log's end when the partition was taken over, or when its range was planned."""
        self.newest_ms = 0
        """Append time of the newest record processed."""
        self.core: CoreT

    async def take_over(self) -> Self:
        """Fence the old owner, **then** read the state and the group's offset, and go on from there.

        `EngineStartError` if the engine must not start, `FencedError` if another process has taken over meanwhile.
        """
        await self._publisher.__aenter__()
        try:
            try:
                await self._restore()
            except EngineStartError:  # perhaps a newer owner changed what we read: then FencedError is the truth
                await self._publisher.confirm(self._subscription.group, self.tp)
                raise
        except BaseException:
            await self._publisher.discard()
            raise
        return self

    async def release(self) -> None:
        """Discard what is not committed; whoever takes over next reads it again."""
        await self._publisher.discard()

    def process(self, records: Sequence[BareRecord]) -> None:
        """Take in the records of a poll, or none; their outputs wait for the next commit."""
        self._is_growing = False
        if records and records[0].offset < self.core.position:  # fetched before we sought to the state's position
            records = [record for record in records if record.offset >= self.core.position]
        if self.core.position < self._committed_position:  # their outputs are committed, the state is older
            self._engine.process(self.core, [record for record in records if record.offset < self._committed_position])
            records = [record for record in records if record.offset >= self._committed_position]
        if not records:
            return
        new = self._engine.process(self.core, records)
        if new and not self._outputs:
            self._output_at_s = time.monotonic()
        self._is_growing = bool(new)
        self._outputs.append(new)
        self.newest_ms = records[-1].timestamp

    @property
    def is_due(self) -> bool:
        """Whether to commit now: outputs have waited long enough, or no more come, or a checkpoint is due."""
        now_s = time.monotonic()
        if self._outputs:
            return not self._is_growing or now_s - self._output_at_s >= LINGER_S
        return self.is_changed and now_s - self._checkpoint_at_s >= CHECKPOINT_INTERVAL_S

    @property
    def is_lingering(self) -> bool:
        """Whether outputs wait to be committed together with others."""
        return bool(self._outputs)

    @property
    def is_changed(self) -> bool:
        """Whether there are changes that no checkpoint holds."""
        if self.core.position < self._committed_position:
            return False
        return bool(self._outputs) or self.core.position != self._checkpoint_position

    @property
    def is_full(self) -> bool:
        """Whether so many outputs wait that nothing more is read before a commit."""
        return len(self._outputs) >= MOST_WAITING

    @property
    def is_final(self) -> bool:
        """Whether nothing that is still to be read can change an output."""
        return self._engine.is_final(self.core)

    async def commit(self, *, last: bool = False) -> OutputsT:
        """Commit outputs and position, and now and then the state, in one transaction; returns the outputs.

        What belongs to a commit is decided before its first wait: what is processed later belongs to the next one.
        After an error (`FencedError`, `UnavailableError`) the partition must be released.
        """
        outputs, position, partition = self._outputs, self.core.position, self.tp.partition
        records = {
            self._topics.state: [committed(position, partition), *self._checkpoint(last=last)],
            **self._engine.records(outputs, self.tp),
        }
        self._outputs = self._engine.outputs()
        self._committed_position = position
        async with self._publisher.transaction() as transaction:
            # The offset goes first: while Kafka adds the group, it may refuse a partition for a moment.
            await transaction.commit_offset(self._subscription.group, self.tp.topic, partition, position)
            for topic, of_topic in records.items():
                await transaction.send(topic, of_topic)
        return outputs

    def _checkpoint(self, *, last: bool) -> list[Outgoing]:
        """The records of a checkpoint, if one is due; while outputs wait, it is due later."""
        aged_s = time.monotonic() - self._checkpoint_at_s
        due_s = 2 * CHECKPOINT_INTERVAL_S if self._outputs else CHECKPOINT_INTERVAL_S
        may_wait = self._has_checkpoint and not self._engine.needs_checkpoint(self.core)
        if may_wait and not last and aged_s < due_s:
            return []
        records = [*self._clearing, *self._engine.checkpoint(self.core, self._topic_id)]
        self._clearing = []
        self._has_checkpoint = True
        self._checkpoint_position = self.core.position
        self._checkpoint_at_s = time.monotonic()
        return records

    async def _restore(self) -> None:
        stored = StoredState()
        async for records in read_to_end(self._settings, self._topics.state, partitions=[self.tp.partition]):
            stored.take(records)
        group_offset = await self._subscription.committed(self.tp)
        facts = EngineStartFacts(
            name=f"{self.tp.topic}/{self.tp.partition}",
            state_position=stored.position,
            committed_position=stored.committed,
            group_offset=group_offset,
            beginning=await self._subscription.beginning(self.tp),
            end=await self._subscription.end(self.tp),
            has_output=group_offset is None and await self._has_output(),
            topic_id=self._topic_id,
            state_topic_id=stored.topic_id,
            state_base=stored.revision_base,
        )
        start = decide_start(
            facts,
            from_start=self._engine.config.from_start,
            accept_truncation=self._engine.config.accept_truncation,
            revision_base=self._engine.revision_base,
        )
        partition, partitions = self.tp.partition, self._topics.names.partitions
        if start.keep_state:
            self.core = self._engine.restore(
                stored, partition=partition, partitions=partitions, resumes_at=start.position
            )
            self._has_checkpoint = True
        else:
            self._clearing = stored.drop(partition)
            self.core = self._engine.begin(
                partition=partition, partitions=partitions, position=start.position, awaits_floor=start.mid_log
            )
        self.end = self._engine.end(partition, facts.end)
        self._committed_position = start.position
        self._checkpoint_position = self.core.position
        self._subscription.seek(self.tp, self.core.position)

    async def _has_output(self) -> bool:
        async for records in read_to_end(self._settings, self._topics.output, partitions=[self.tp.partition]):
            if records:
                return True
        return False

"""A partition that this process owns: taken over from its old owner, worked on, committed in transactions."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Self

from market.codec import RUN_HEADER, dead_letter_headers, encode_candle
from market.topics import Topics
from processors.candles.core import Core, Outputs, Rules
from processors.candles.range import Range
from processors.candles.start import Found, decide_start
from processors.candles.state import Stored, changes, settle
from runtime.kafka import Outgoing, Subscription, TopicPartition, TransactionalPublisher, read_to_end
from runtime.kafka.records import BareRecord
from runtime.settings import Settings

COMMIT_INTERVAL_S = 5.0
"""State and position are committed at least this often where anything changed, so that a restart reads little."""


@dataclass(frozen=True, kw_only=True)
class Config:
    """How the engine is run."""

    rules: Rules = field(default_factory=Rules)
    once: bool = False
    from_start: bool = False
    accept_cut: bool = False
    instance_id: str | None = None
    range: Range | None = None
    """What is recomputed beside the live topics; None: the live topics themselves."""

    def topics(self, topics: Topics) -> Topics:
        """The names to read and write by."""
        return topics if self.range is None else self.range.topics(topics)


class OwnedPartition:
    """One input partition with its lanes, its transactional id, and what is not committed yet."""

    def __init__(self, settings: Settings, subscription: Subscription, tp: TopicPartition, config: Config) -> None:
        self.tp = tp
        self._settings = settings
        self._topics = config.topics(settings.topics)
        self._range = config.range
        self._subscription = subscription
        self._config = config
        self._publisher = TransactionalPublisher(settings, f"{subscription.group}.{tp.topic}.{tp.partition}")
        self._clearing: list[Outgoing] = []
        self._outputs = Outputs()
        self._committed_position = 0
        self._committed_at_s = time.monotonic()
        self.end = 0
        """As far as ``--once`` goes: the log's end when it was taken over, or when its range was planned."""
        self.newest_ms = 0
        """Append time of the newest record processed."""
        self.core: Core

    async def take_over(self) -> Self:
        """Fence the old owner, **then** read the state and the group's offset, and go on from there."""
        await self._publisher.__aenter__()
        try:
            await self._restore()
        except BaseException:
            await self._publisher.discard()
            raise
        return self

    async def let_go(self) -> None:
        """Discard what is not committed."""
        await self._publisher.discard()

    def process(self, records: Sequence[BareRecord]) -> None:
        """Take records in; what they lead to waits for the next commit."""
        if records[0].offset < self.core.position:  # fetched before the seek to where the state stands
            records = [record for record in records if record.offset >= self.core.position]
        if not records:
            return
        new = self.core.process(records)
        self._outputs.candles += new.candles if self._range is None else self._range.keep(new.candles)
        self._outputs.late += new.late
        self._outputs.dead += new.dead
        self.newest_ms = records[-1].timestamp

    @property
    def is_due(self) -> bool:
        """Whether to commit now: outputs wait, or anything changed and the interval is over."""
        if self._outputs:
            return True
        return self.is_changed and time.monotonic() - self._committed_at_s >= COMMIT_INTERVAL_S

    @property
    def is_changed(self) -> bool:
        """Whether there is anything to commit."""
        return bool(self._outputs) or self.core.position != self._committed_position

    @property
    def is_final(self) -> bool:
        """Whether the range that is recomputed can't change any more; never without one."""
        return self._range is not None and self._range.is_final(self.core)

    async def commit(self) -> Outputs:
        """Outputs, changed state and position in one transaction; on an error the partition must be let go."""
        outputs, core, partition = self._outputs, self.core, self.tp.partition
        topics = self._topics
        async with self._publisher.transaction() as transaction:
            await transaction.send(topics.candles(), _candles(outputs, partition))
            await transaction.send(topics.late, _again(outputs, partition))
            await transaction.send(topics.dead_letters(self.tp.topic), _dead_letters(outputs, self.tp))
            await transaction.send(topics.state, chain(self._clearing, changes(core)))
            await transaction.commit_offset(self._subscription.group, self.tp.topic, partition, core.position)
        settle(core)
        self._clearing = []
        self._outputs = Outputs()
        self._committed_position = core.position
        self._committed_at_s = time.monotonic()
        return outputs

    async def _restore(self) -> None:
        stored = Stored()
        async for records in read_to_end(self._settings, self._topics.state, partitions=[self.tp.partition]):
            stored.take(records)
        group_offset = await self._subscription.committed(self.tp)
        found = Found(
            name=f"{self.tp.topic}/{self.tp.partition}",
            state_position=stored.position,
            group_offset=group_offset,
            beginning=await self._subscription.beginning(self.tp),
            end=await self._subscription.end(self.tp),
            has_output=group_offset is None and await self._has_output(),
        )
        start = decide_start(found, from_start=self._config.from_start, accept_cut=self._config.accept_cut)
        partitions = self._topics.partitions
        if start.keep_state:
            self.core = stored.core(partition=self.tp.partition, partitions=partitions, rules=self._config.rules)
        else:
            self._clearing = stored.drop(self.tp.partition)
            self.core = Core(
                partition=self.tp.partition,
                partitions=partitions,
                position=start.position,
                rules=self._config.rules,
                awaits_floor=start.mid_log,
            )
        self.end = found.end if self._range is None else self._range.pieces[self.tp.partition].end
        self._committed_position = start.position
        self._subscription.seek(self.tp, start.position)

    async def _has_output(self) -> bool:
        async for records in read_to_end(self._settings, self._topics.candles(), partitions=[self.tp.partition]):
            if records:
                return True
        return False


def _candles(outputs: Outputs, partition: int) -> Iterator[Outgoing]:
    for candle, run in outputs.candles:
        headers = () if run is None else ((RUN_HEADER, run.encode()),)
        yield Outgoing(candle.key.encode(), encode_candle(candle), headers, partition)


def _again(outputs: Outputs, partition: int) -> Iterator[Outgoing]:
    for record in outputs.late:
        yield Outgoing(record.key or b"", record.value, record.headers, partition)


def _dead_letters(outputs: Outputs, tp: TopicPartition) -> Iterator[Outgoing]:
    for record, error in outputs.dead:
        headers = dead_letter_headers(
            error, topic=tp.topic, partition=tp.partition, offset=record.offset, headers=record.headers
        )
        yield Outgoing(record.key or b"", record.value, headers, tp.partition)

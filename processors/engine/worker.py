"""An engine's shell: a member of its group that moves bytes between Kafka and the pure core."""

import asyncio
import time
from collections.abc import Iterable
from typing import Generic

from market.records import BareRecord
from processors.engine.assigned_partition import AssignedPartition
from processors.engine.engine import CoreT, OutputsT, TransactionalEngine
from processors.stuck import StuckReaders
from runtime.errors import UnavailableError
from runtime.kafka import FencedError, Subscription, TopicPartition
from runtime.kafka.admin import require_topics, topic_id
from runtime.lifecycle import rejoining
from runtime.membership import note_assigned
from runtime.settings import Settings
from runtime.telemetry import Meter, logger

POLL_S = 0.1
POLL_BATCHES = 64
"""With the fetch size this bounds how much is held between two commits."""
COMMITTING_BATCHES = 16
"""Fewer while a transaction is under way, so that the transaction gets its turns."""
SHORT_POLL_S = 0.005
"""Used while a partition commits or is about to: its next commit must not wait for records that do not come."""


async def run_engine(settings: Settings, engine: TransactionalEngine[CoreT, OutputsT], stop: asyncio.Event) -> None:
    """Work until `stop` (or, with ``once``, to the log's end as it stands).

    Where a broker is away, or another process took a partition over, everything is released and the group is joined
    anew; nobody can read what was not committed. `EngineStartError`, `StateError` and other wrong set-ups are raised.
    """
    await _require_topics(settings, engine)
    meter = Meter(engine.name)
    # With `once` a broker that is away ends the pass with its error; a partition that was taken over does not.
    bearable = (FencedError,) if engine.config.once else (FencedError, UnavailableError)
    async with meter.reporting():
        await rejoining(
            lambda: _EngineWorker(settings, engine, meter).run(stop), stop, stage=meter.stage, bearable=bearable
        )


async def _require_topics(settings: Settings, engine: TransactionalEngine[CoreT, OutputsT]) -> None:
    topics = engine.topics(settings.topics)
    await require_topics(settings, set(topics.needed), topics.names)


class _EngineWorker(Generic[CoreT, OutputsT]):
    """One membership in the group, from joining to leaving."""

    def __init__(self, settings: Settings, engine: TransactionalEngine[CoreT, OutputsT], meter: Meter) -> None:
        self._settings = settings
        self._topics = engine.topics(settings.topics).names
        self._engine = engine
        self._config = engine.config
        self._meter = meter
        self._log = logger(engine.name)
        self._assigned: dict[TopicPartition, AssignedPartition[CoreT, OutputsT]] = {}
        self._commits: dict[TopicPartition, asyncio.Task[OutputsT]] = {}
        """Transactions under way, at most one a partition; reading goes on while they wait for the broker."""
        self._joined = False
        self._stuck = StuckReaders(settings.stall_timeout_s)

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop`, then commit what is left and leave the group."""
        group = self._topics.group(self._engine.name)
        subscription = Subscription(
            self._settings,
            group=group,
            topics=[self._topics.trades],
            instance_id=self._config.instance_id,
            bare=True,
        )
        async with subscription, self._engine.beside(self._settings) as show:
            try:
                while not stop.is_set():
                    if self._config.once and self._joined and await self._at_end(subscription):
                        break
                    await self._step(subscription)
                    if not self._config.once:
                        show(self._assigned.values())
                await self._finish_commits()
                self._commit((assigned for assigned in self._assigned.values() if assigned.is_changed), last=True)
                await self._finish_commits()
            finally:
                await asyncio.gather(*self._commits.values(), return_exceptions=True)
                await self._release(list(self._assigned))

    async def _follow_assignment(self, subscription: Subscription) -> bool:
        """Take over the partitions that came and release those that went; returns whether there was a rebalance."""
        changes = subscription.changes()
        if changes.rebalanced:
            self._joined = True
            self._stuck.clear()
            await self._finish_commits()
            # A rebalance revokes all partitions. One that came back is restored: another may have had it in between.
            await self._release([tp for tp in self._assigned if tp in changes.revoked | changes.assigned])
            await _require_topics(self._settings, self._engine)  # a topic that changed leads to a rebalance
            made = await topic_id(self._settings, self._topics.trades)
            new = [
                AssignedPartition(self._settings, subscription, tp, self._engine, made)
                for tp in sorted(changes.assigned)
            ]
            taken = await asyncio.gather(*(assigned.take_over() for assigned in new), return_exceptions=True)
            failures = [result for result in taken if isinstance(result, BaseException)]
            self._assigned |= {assigned.tp: assigned for assigned in taken if isinstance(assigned, AssignedPartition)}
            for failure in failures[1:]:
                self._log.error("partition not taken over", reason=str(failure))
            if failures:
                raise failures[0]
            self._log.info("assigned", partitions=sorted(tp.partition for tp in self._assigned))
            note_assigned(self._meter, self._assigned, self._config.instance_id)
        return changes.rebalanced

    async def _step(self, subscription: Subscription) -> None:
        batches = await self._poll(subscription)
        if await self._follow_assignment(subscription):
            return  # what was polled may begin at the group's offset, before records that are folded already
        began_s = time.monotonic()
        for tp, assigned in self._assigned.items():
            records = batches.get(tp, [])
            assigned.process(records)
            if records:
                self._meter.count(len(records), newest_ms=records[-1].timestamp)
                self._commit([assigned] if assigned.is_due else [])
                await asyncio.sleep(0)  # transactions under way take their next step
        self._meter.set_unread(
            (subscription.highwater(tp), assigned.core.position) for tp, assigned in self._assigned.items()
        )
        self._commit(assigned for assigned in self._assigned.values() if assigned.is_due)
        if self._commits:  # transactions must end within their time-out: they get as much time as processing took
            await asyncio.wait(
                self._commits.values(), timeout=time.monotonic() - began_s, return_when=asyncio.FIRST_COMPLETED
            )
        self._count_commits()
        await self._stuck.look(subscription, [tp for tp, assigned in self._assigned.items() if not assigned.is_final])

    async def _poll(self, subscription: Subscription) -> dict[TopicPartition, list[BareRecord]]:
        """Records of all partitions but those whose commits can't keep up, and those that are read far enough."""
        free = [
            tp
            for tp, assigned in self._assigned.items()
            if not assigned.is_final and (tp not in self._commits or not assigned.is_full)
        ]
        if self._commits and not free:
            await asyncio.wait(self._commits.values(), return_when=asyncio.FIRST_COMPLETED)
            return {}
        is_soon = self._commits or any(assigned.is_lingering for assigned in self._assigned.values())
        return await subscription.poll_batches(
            free,
            timeout_s=SHORT_POLL_S if is_soon else POLL_S,
            max_batches=COMMITTING_BATCHES if self._commits else POLL_BATCHES,
        )

    def _commit(self, due: Iterable[AssignedPartition[CoreT, OutputsT]], *, last: bool = False) -> None:
        for assigned in due:
            if assigned.tp not in self._commits:
                self._commits[assigned.tp] = asyncio.create_task(assigned.commit(last=last))

    async def _finish_commits(self) -> None:
        if self._commits:
            await asyncio.wait(self._commits.values())
            self._count_commits()

    def _count_commits(self) -> None:
        """Count what was committed; raises the error of a commit, which ends this membership."""
        for tp in [tp for tp, commit in self._commits.items() if commit.done()]:
            outputs = self._commits.pop(tp).result()
            for figure, count in outputs.figures().items():
                self._meter.add(figure, count)
            for record, error in outputs.dead:
                self._log.warning("dead letter", reason=str(error), partition=tp.partition, offset=record.offset)

    async def _release(self, tps: list[TopicPartition]) -> None:
        await asyncio.gather(*(self._assigned.pop(tp).release() for tp in tps))

    async def _at_end(self, subscription: Subscription) -> bool:
        """Whether all assigned partitions are read to their end; control records do not count."""
        for tp, assigned in self._assigned.items():
            if (
                not assigned.is_final
                and assigned.core.position < assigned.end
                and await subscription.position(tp) < assigned.end
            ):
                return False
        return True

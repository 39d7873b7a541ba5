"""The runner that all sinks share: a group member that moves records into a store and commits how far it came.

It works in this order, so that a kill at any point loses nothing and repeats only what the store recognises:

1. consume: committed records, from the position of the group (or of the store itself)
2. batch: by pace, or by what the log alone decides
3. encode: pure; records that the store can never hold are refused
4. publish the refused records as dead letters, and wait until they are acknowledged
5. write; what the store cannot take now is tried again, and only its partitions are not read until then
6. commit the offsets up to which all is written

What it holds in memory is bounded: a batch is written at a limit of its size, one poll brings at most `POLL_BATCHES`
of Kafka's batches more, and a partition whose batch waits for the store is not read.
"""

import asyncio
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from runtime.errors import CandlewickError, UnavailableError
from runtime.kafka import HELD_BACK_S, HeldBackError, OutOfRangeError, Subscription, TopicPartition
from runtime.kafka.admin import require_topics
from runtime.lifecycle import GRACE_S, rejoining
from runtime.membership import note_assigned
from runtime.settings import Settings
from runtime.stall import StallWatch, Stand
from runtime.telemetry import Meter, logger
from sinks.assignment import assign
from sinks.dead_letters import DeadLetters
from sinks.identity import Identities
from sinks.partition import Partition
from sinks.patience import LeaveError, Patience, Waiting
from sinks.rolling_policy import USUAL_ROLLING_POLICY, RollingPolicy
from sinks.rolls import ask_for_rolls
from sinks.store import Batch, MovedError, RejectedError, Store

POLL_S = 0.1
POLL_BATCHES = 64
GATHER_S = 0.05
"""How long brokers gather records for one fetch, at most: many small fetches would take most of a core."""
COMMIT_INTERVAL_S = 1.0
DRAIN_S = GRACE_S * 0.6
"""How long a stopped sink may take to end its open files; what is left is read again at the next start."""
LOOK_INTERVAL_S = 20.0
"""How often to check that topics and store are still the ones of the offsets."""


@dataclass(frozen=True, kw_only=True)
class SinkConfig:
    """How a sink is run."""

    once: bool = False
    accept_truncation: bool = False
    instance_id: str | None = None
    rolling_policy: RollingPolicy = USUAL_ROLLING_POLICY
    """Where batches end, for a store without a pace."""


async def run_sink(settings: Settings, store: Store, config: SinkConfig, stop: asyncio.Event) -> None:
    """Move records into `store` until `stop` (or, with ``once``, to the log's end as it stands)."""
    topics = set(store.topics)
    await require_topics(settings, topics | {settings.topics.dead_letters(topic) for topic in topics})
    meter = Meter(f"sink.{store.name}")
    meter.fields = {"rows": 0, "rejected": 0}

    async def membership() -> None:
        with suppress(LeaveError):
            await _SinkWorker(settings, store, config, meter).run(stop)

    # These are failures of Kafka; the worker handles those of the store.
    bearable = () if config.once else (UnavailableError,)
    try:
        async with meter.reporting():
            await rejoining(membership, stop, stage=meter.stage, bearable=bearable)
    finally:
        await store.close()


class _SinkWorker:
    """One membership in the group, from joining to leaving."""

    def __init__(self, settings: Settings, store: Store, config: SinkConfig, meter: Meter) -> None:
        self._settings = settings
        self._store = store
        self._config = config
        self._meter = meter
        self._log = logger(meter.stage)
        self._policy = None if store.pace else config.rolling_policy
        self._subscription = Subscription(
            settings,
            group=settings.topics.group(meter.stage),
            topics=store.topics,
            instance_id=config.instance_id,
            bare=True,
            gather_s=min(GATHER_S, store.pace.usual.seconds) if store.pace else GATHER_S,
        )
        self._dead_letters = DeadLetters(settings, self._subscription.group)
        self._identities = Identities({}, {})
        self._stalls = StallWatch(HELD_BACK_S)
        self._ends: dict[TopicPartition, int] = {}
        """The log's ends when they were last asked for: after a pause the last fetch tells an end of long ago."""
        self._partitions: dict[TopicPartition, Partition] = {}
        self._joined = False
        self._stop = asyncio.Event()
        self._patience = Patience(self._subscription, self._log, once=config.once, look=self._note_lag)
        self._waiting = Waiting(self._log, once=config.once)
        self._leave_by_s: float | None = None
        self._written_at_s = self._committed_at_s = self._looked_at_s = time.monotonic()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop`, then write and commit what is pending and leave."""
        self._stop = self._patience.stop = stop
        async with self._subscription:
            try:
                await self._patience.until_done(self._store.open)
                while not (await self._is_finished() and await self._write() and await self._is_as_it_was()):
                    await self._step()
                await self._commit()
            finally:
                await self._dead_letters.close()

    async def _step(self) -> None:
        """One round of the six steps."""
        if time.monotonic() - self._looked_at_s >= LOOK_INTERVAL_S:
            await self._is_as_it_was()
        readable = [tp for tp, partition in self._partitions.items() if not partition.waits]
        try:
            polled = await self._subscription.poll_batches(readable, timeout_s=POLL_S, max_batches=POLL_BATCHES)
        except OutOfRangeError as error:
            self._log.warning("an offset is not in the log: looking where to go on", reason=str(error))
            await self._assign(list(self._partitions))
            return
        if await self._follow_assignment():
            return  # these records may come before records that are batched already
        for tp, records in polled.items():
            if tp in self._partitions and records:
                self._partitions[tp].take(records, self._policy)
                self._meter.count(len(records), newest_ms=records[-1].timestamp)
        if self._waiting.is_due or self._is_due():
            await self._write()
        if time.monotonic() - self._committed_at_s >= COMMIT_INTERVAL_S:
            await self._commit()

    def _is_due(self) -> bool:
        partitions = [partition for partition in self._partitions.values() if not partition.waits]
        if self._store.pace is None:
            return any(partition.whole for partition in partitions)
        usual, behind = self._store.pace
        limit = behind if (self._meter.unread or 0) > behind.records else usual
        return (
            time.monotonic() - self._written_at_s >= limit.seconds
            or sum(partition.open_records for partition in partitions) >= limit.records
            or sum(partition.size_bytes for partition in partitions) >= limit.size_bytes
        )

    async def _write(self) -> bool:
        """Write whole batches; False if some are not written yet, or have to be read again."""
        if self._stop.is_set() and self._waiting.writes:
            raise LeaveError
        self._written_at_s = time.monotonic()
        ready = [partition for partition in self._partitions.values() if not partition.waits]
        if self._store.pace is not None:
            for partition in ready:
                partition.end_batch()
        await self._encode(ready)
        new = [batch for partition in ready for batch in partition.whole]
        writes = [*(self._waiting.writes if self._waiting.is_due else ()), *([new] if new else ())]
        failure: Exception | None = None
        for write in writes:  # what cannot be written now holds up nothing that can
            failure = await self._try(write) or failure
            if isinstance(failure, RejectedError | MovedError):
                break
        if await self._follow_assignment():
            return False  # the next owner writes the batches, or meets the failure
        if isinstance(failure, RejectedError):
            self._read_again(failure)
        elif isinstance(failure, MovedError):
            self._log.warning("the store lost writes: reading their records again", reason=str(failure))
            await self._assign(list(self._partitions))
        else:
            await self._note_written(writes)
        if isinstance(failure, UnavailableError):
            self._waiting.failed(failure)
        return not self._waiting.writes and failure is None

    async def _encode(self, partitions: Iterable[Partition]) -> None:
        """Encode what is to be written; what is refused is told before anything else happens."""
        refused = {partition.tp: partition.encode(self._store) for partition in partitions}
        if any(refused.values()):
            self._meter.add("rejected", await self._dead_letters.publish(refused))

    async def _try(self, write: Sequence[Batch]) -> Exception | None:
        """Write; returns what the store raised."""
        try:
            await self._store.write(write)
        except (RejectedError, MovedError, UnavailableError) as error:
            return error
        for batch in write:
            batch.is_written = True
        self._waiting.succeeded()
        return None

    async def _note_written(self, writes: list[list[Batch]]) -> None:
        """Let go what is written; the rest waits."""
        written = [batch for write in writes for batch in write if batch.is_written]
        tried = [*self._waiting.writes, *(write for write in writes if write not in self._waiting.writes)]
        rests = ([batch for batch in write if not batch.is_written] for write in tried)
        self._waiting.writes = [rest for rest in rests if rest]
        waiting = {batch.tp for write in self._waiting.writes for batch in write}
        for tp, partition in self._partitions.items():
            partition.whole = [batch for batch in partition.whole if not batch.is_written]
            partition.waits = tp in waiting
        self._meter.add("rows", sum(batch.rows for batch in written))
        if any(batch.rows and self._identities.stores.get(batch.tp.topic, "") is None for batch in written):
            self._identities = self._identities.with_learnt(await self._ask())  # an empty store has an id now
            for partition in self._partitions.values():
                partition.committed = -1  # so that the same offset is committed again, with that id

    def _read_again(self, error: RejectedError) -> None:
        """Go back to where the batches begin; this time the records that the store rejected are refused."""
        for (tp, offset), reason in error.reasons.items():
            self._partitions[tp].rejected[offset] = reason
        self._waiting.writes.clear()
        for tp, partition in self._partitions.items():
            self._subscription.seek(tp, partition.rewind())

    async def _commit(self) -> None:
        """Commit the offsets up to which all is written; they never go back."""
        self._committed_at_s = time.monotonic()
        assignment = self._subscription.assignment()
        offsets: dict[TopicPartition, int] = {}
        stuck: list[TopicPartition] = []
        reached: list[tuple[int | None, int]] = []
        waiting = [tp for tp, partition in self._partitions.items() if partition.waits]
        self._ends |= await self._subscription.ends(waiting)
        for tp, partition in self._partitions.items():
            if tp in assignment:
                position = await self._subscription.position(tp)
                ends = (self._ends.get(tp), self._subscription.highwater(tp))
                end = max((end for end in ends if end is not None), default=None)
                reached.append((end, position))
                behind = 0 if partition.waits else max(0, (end or 0) - position)
                if self._stalls.look(tp, position, behind, self._committed_at_s) is Stand.STUCK:
                    stuck.append(tp)
                if not partition.whole and partition.committable(position) > partition.committed:
                    offsets[tp] = partition.committable(position)
        self._meter.set_unread(reached)
        if offsets:
            metadata = {tp.topic: self._identities.metadata(tp.topic) for tp in offsets}
            await self._subscription.commit(offsets, metadata)
            for tp, offset in offsets.items():
                self._partitions[tp].committed = offset
        if stuck:
            await self._name_who_holds_back(stuck)

    async def _note_lag(self) -> None:
        """Note how many records are unread although nothing is read now."""
        ends = await self._subscription.ends(self._partitions)
        self._ends |= ends
        if ends:
            self._meter.set_unread([(end, await self._subscription.position(tp)) for tp, end in ends.items()])

    async def _name_who_holds_back(self, tps: list[TopicPartition]) -> None:
        """Name the open transactions that have held records back for long. Raises `HeldBackError` with ``once``."""
        self._stalls.clear()
        transactions = await self._subscription.open_transactions(tps)
        if transactions and self._config.once:
            raise HeldBackError(transactions)
        for transaction in transactions:
            self._log.warning("waiting for another program's transaction", reason=str(transaction))

    async def _ask(self) -> Identities:
        """The ids of topics and store as they are now."""
        self._looked_at_s = time.monotonic()
        return Identities(await self._subscription.topic_ids(), await self._patience.until_done(self._store.identities))

    async def _is_as_it_was(self) -> bool:
        """Whether topics and store are still the ones of the offsets; if not, decide anew where to go on."""
        now = await self._ask()
        missing = sorted(set(self._store.topics) - now.topics.keys())
        if missing and self._config.once:
            raise CandlewickError(f"the topic {missing[0]} is missing: run candlewick topics apply")
        if missing:
            self._log.warning("topics are missing: run candlewick topics apply", topics=missing)
        replaced = self._identities.replaced(now)
        if replaced:
            self._log.warning("topics, or their tables or files, were made anew meanwhile", topics=replaced)
            await self._assign(list(self._partitions))
            return False
        return True

    async def _follow_assignment(self) -> bool:
        """Take over the partitions that a rebalance brought; True if there was a rebalance."""
        changes = self._subscription.changes()
        if not changes.rebalanced:
            return False
        self._joined = True
        self._partitions.clear()  # the next owner, which may be this process, reads again what was not committed
        await self._assign(list(changes.assigned))
        self._log.info("assigned", partitions=len(self._partitions))
        note_assigned(self._meter, self._partitions, self._config.instance_id)
        return True

    async def _assign(self, tps: list[TopicPartition]) -> None:
        identities = self._identities = await self._ask()
        self._dead_letters.begin(identities.topics)
        self._stalls.clear()
        self._ends.clear()
        self._waiting.writes.clear()
        positions = await self._patience.until_done(lambda: self._store.positions(tps, identities.topics))
        assigned = await assign(
            self._subscription,
            tps,
            positions=positions,
            identities=identities,
            recent_only=self._store.recent_only,
            accept_truncation=self._config.accept_truncation,
        )
        self._partitions |= {partition.tp: partition for partition in assigned}

    async def _is_finished(self) -> bool:
        """Whether to leave: with ``once`` or after `stop`, when all is read to its end and open files are ended."""
        await self._follow_assignment()
        if self._stop.is_set() and self._leave_by_s is None:
            self._leave_by_s = time.monotonic() + DRAIN_S
            for partition in self._partitions.values():
                partition.end = partition.position
        if self._leave_by_s is None and not (self._config.once and self._joined):
            return False
        if self._leave_by_s is not None and time.monotonic() > self._leave_by_s:
            self._log.warning("leaving with open files: they are read again at the next start")
            return True
        for tp, partition in self._partitions.items():
            if partition.position < partition.end and await self._subscription.position(tp) < partition.end:
                return False
        open_ = [p for p in self._partitions.values() if self._policy and p.open_records and not p.roll_asked]
        if open_:
            await ask_for_rolls(self._settings, open_)
        return not open_

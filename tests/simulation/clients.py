"""What stands in for aiokafka's clients: the methods that `runtime.kafka` calls, over the simulated cluster."""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from aiokafka.errors import (
    KafkaConnectionError,
    KafkaError,
    NoOffsetForPartitionError,
    UnknownMemberIdError,
)
from aiokafka.structs import TopicPartition
from broker import Broker, Entry
from loop import PROCESS, Process
from membership import Group, Member
from network import Fate, Network
from producer import Producer

from runtime.kafka.batches import WHOLE_BATCHES

HEARTBEAT_S = 2.0


class Cluster:
    """All that a client reaches, and makers of clients that take aiokafka's arguments."""

    def __init__(self, network: Network, broker: Broker, group: Group) -> None:
        self.network = network
        self.broker = broker
        self.group = group
        self.arrivals: dict[TopicPartition, list[asyncio.Future[None]]] = {tp: [] for tp in broker.logs}
        """Who waits for more of a partition."""
        self._clients = 0
        for tp, log in broker.logs.items():
            log.grown = lambda tp=tp: self._wake(tp)  # type: ignore[misc]

    def consumer(self, **config: Any) -> "Consumer":
        return Consumer(self, config)

    def producer(self, **config: Any) -> "Producer":
        return Producer(self.network, self.broker, config.get("transactional_id"))

    def next_name(self, process: Process) -> str:
        self._clients += 1
        return f"{process.name}/{self._clients}"

    def _wake(self, tp: TopicPartition) -> None:
        waiting, self.arrivals[tp] = self.arrivals[tp], []
        for future in waiting:
            if not future.done():
                future.set_result(None)


def _process() -> Process:
    process = PROCESS.get()
    assert process is not None, "a client outside of any process"
    return process


class Consumer:
    """As AIOKafkaConsumer: a member of the group, or with partitions of its own choice."""

    def __init__(self, cluster: Cluster, config: Mapping[str, Any]) -> None:
        self._cluster = cluster
        self._network = cluster.network
        self._group_id: str | None = config.get("group_id")
        self._committed_only = config.get("isolation_level") == "read_committed"
        self._batches = config.get("key_deserializer") is WHOLE_BATCHES
        self._instance: str | None = config.get("group_instance_id")
        self._held: frozenset[TopicPartition] = frozenset()
        self._positions: dict[TopicPartition, int | None] = {}
        self._settled = asyncio.Event()
        """Records; none while a rebalance is under way."""
        self._settled.set()
        self._coordination: asyncio.Task[None] | None = None
        self._member: Member | None = None
        self._listener: Any = None
        self._chunk = self._network.rng.choice((1, 3, 20, 200))
        self._fetcher = None
        self._client = _Client()

    async def start(self) -> None:
        await self._network.ask(lambda: None)

    def subscribe(self, *, topics: Iterable[str], listener: Any) -> None:
        del topics  # the group has one
        self._listener = listener
        process = _process()
        self._member = Member(self._cluster.next_name(process), self._instance, process)
        self._settled.clear()
        self._coordination = asyncio.create_task(self._coordinate(self._member))
        self._coordination.add_done_callback(self._tell)

    async def stop(self) -> None:
        if self._coordination is not None and self._member is not None:
            self._coordination.cancel()
            member, group = self._member, self._cluster.group
            member.silent = True
            group.suspect(member)
            try:
                await self._network.ask(lambda: group.leave(member))
            except KafkaError:
                return  # aiokafka only logs it; the session ends by itself

    def assignment(self) -> frozenset[TopicPartition]:
        return self._held

    def assign(self, tps: Iterable[TopicPartition]) -> None:
        self._hold(frozenset(tps))

    def seek(self, tp: TopicPartition, offset: int) -> None:
        assert tp in self._held
        self._positions[tp] = offset

    def pause(self, *tps: TopicPartition) -> None:
        """Paused partitions are not asked for."""

    async def getmany(
        self, *tps: TopicPartition, timeout_ms: int, max_records: int | None = None
    ) -> dict[TopicPartition, Any]:
        await self._settled.wait()
        if self._network.fate() is not Fate.ANSWERED:
            raise KafkaConnectionError("the simulated fetch failed")
        found = self._fetched(tps, max_records)
        if not found:
            await self._arrival(tps, timeout_ms / 1000)
            await self._settled.wait()
            found = self._fetched(tps, max_records)
        if self._network.over:
            raise KafkaConnectionError("the run is over")
        return found

    async def committed(self, tp: TopicPartition) -> int | None:
        return await self._network.ask(lambda: self._offset(tp))

    async def commit(self, offsets: Mapping[TopicPartition, int]) -> None:
        """Outside of a transaction: here the coordinator checks who the member is."""
        assert self._member is not None
        await self._network.ask(lambda: self._move(offsets))

    def _move(self, offsets: Mapping[TopicPartition, int]) -> None:
        assert self._member is not None
        assert self._group_id is not None
        self._cluster.group.knows(self._member)
        for tp, offset in offsets.items():
            self._cluster.broker.commit(self._group_id, tp, offset)

    async def beginning_offsets(self, tps: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        return await self._network.ask(lambda: dict.fromkeys(tps, 0))

    async def end_offsets(self, tps: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
        logs = self._cluster.broker.logs
        if self._committed_only:
            return await self._network.ask(lambda: {tp: logs[tp].stable_end for tp in tps})
        return await self._network.ask(lambda: {tp: logs[tp].next for tp in tps})

    async def position(self, tp: TopicPartition) -> int:
        position = self._positions[tp]
        if position is None:
            raise NoOffsetForPartitionError(tp)
        return position

    def highwater(self, tp: TopicPartition) -> int:
        return self._cluster.broker.logs[tp].next

    def partitions_for_topic(self, topic: str) -> set[int]:
        del topic
        return set(range(self._cluster.broker.partitions))

    async def _coordinate(self, member: Member) -> None:
        """As aiokafka's own task: it joins anew by itself, whatever the owner of the consumer is doing."""
        member.rejoin.set()
        while True:
            await member.rejoin.wait()
            if self._held or self._positions:
                await asyncio.sleep(self._network.rng.uniform(0, HEARTBEAT_S))
            member.rejoin.clear()
            self._settled.clear()
            self._listener.on_partitions_revoked(set(self._held))
            try:
                join = await self._network.ask(lambda: self._cluster.group.join(member), fate=Fate.ANSWERED)
                assignment = await join
            except UnknownMemberIdError:
                member.rejoin.set()
                continue
            await asyncio.sleep(self._network.delay_s())  # each hears of it in its own time
            self._hold(assignment)
            self._settled.set()
            self._listener.on_partitions_assigned(set(assignment))

    def _tell(self, coordination: "asyncio.Task[None]") -> None:
        if not coordination.cancelled() and not self._network.over:
            coordination.result()  # a fault of the simulation

    def _hold(self, tps: frozenset[TopicPartition]) -> None:
        self._held = tps
        self._positions = {tp: self._offset(tp) for tp in sorted(tps)}

    def _offset(self, tp: TopicPartition) -> int | None:
        return None if self._group_id is None else self._cluster.broker.offsets.get((self._group_id, tp))

    def _fetched(self, tps: Iterable[TopicPartition], most: int | None) -> dict[TopicPartition, Any]:
        """Some of the records, of some of the partitions: how many come at once is not promised."""
        found: dict[TopicPartition, Any] = {}
        wanted = [tp for tp in tps if tp in self._held]
        for tp in self._network.rng.sample(sorted(wanted), len(wanted)):
            position = self._positions[tp]
            if position is None:
                raise NoOffsetForPartitionError(tp)
            limit = self._network.rng.randrange(1, self._chunk + 1) if self._batches else 1_000
            if most is not None and not self._batches:
                limit = min(limit, most)
            log = self._cluster.broker.logs[tp]
            records, self._positions[tp] = log.read(position, limit, committed=self._committed_only)
            if records:
                found[tp] = _in_batches(records) if self._batches else records
                if self._network.rng.random() < 0.3:
                    break
        return found

    async def _arrival(self, tps: Iterable[TopicPartition], timeout_s: float) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        for tp in self._held.intersection(tps):
            self._cluster.arrivals[tp].append(waiter)
        await asyncio.wait([waiter], timeout=timeout_s)
        if self._group_id is None or waiter.done():
            await asyncio.sleep(self._network.delay_s())


class _Client:
    """As aiokafka's own, whose connections an interrupted stop leaves to us."""

    @property
    def cluster(self) -> "_Client":
        return self

    def leader_for_partition(self, _tp: TopicPartition) -> None:
        """No transaction holds a reader back for long: in this world they end by themselves."""

    async def close(self) -> None:
        """Nothing to close here."""


def _in_batches(records: list[Entry]) -> list[list[Entry]]:
    half = len(records) // 2
    return [records[:half], records[half:]] if half else [records]

"""What stands in for AIOKafkaProducer, over the simulated cluster."""

import asyncio
from collections.abc import Mapping
from typing import Any

from aiokafka.errors import ConcurrentTransactions, IllegalOperation, KafkaConnectionError, ProducerFenced
from aiokafka.structs import TopicPartition
from broker import Broker, Ending, Message
from network import Fate, Network

RETRY_S = 0.1


class Batch:
    """As aiokafka's BatchBuilder: it takes so many records."""

    def __init__(self, room: int) -> None:
        self._room = room
        self.messages: list[Message] = []

    def append(
        self, *, key: bytes | None, value: bytes | None, timestamp: int | None, headers: list[tuple[str, bytes]]
    ) -> bool | None:
        del timestamp
        if len(self.messages) == self._room:
            return None
        self.messages.append(Message(key, value, tuple(headers)))
        return True

    def close(self) -> None:
        """Nothing more comes."""


class Producer:
    """As AIOKafkaProducer: one request in flight, in order; in transactions where it has a transactional id."""

    def __init__(self, network: Network, broker: Broker, transactional_id: str | None) -> None:
        self._network = network
        self._broker = broker
        self._id = transactional_id
        self._epoch = -1
        self._in_transaction = False
        self._fenced = False
        self._broken: set[TopicPartition] = set()
        self._flight: asyncio.Future[Any] | None = None

    async def start(self) -> None:
        await self._network.ask(lambda: None)
        if self._id is not None:
            transactional_id = self._id
            self._epoch = await self._retried(lambda: self._broker.init_producer(transactional_id))

    async def stop(self) -> None:
        if self._flight is not None:
            await asyncio.wait([self._flight])
        await asyncio.sleep(self._network.delay_s())

    async def begin_transaction(self) -> None:
        await asyncio.sleep(0)
        assert not self._in_transaction
        self._in_transaction = True

    def create_batch(self) -> Batch:
        return Batch(self._network.rng.choice((1, 5, 50, 500)))

    async def send_batch(self, batch: Batch, topic: str, *, partition: int) -> "asyncio.Future[Any]":
        if self._id is not None and (self._fenced or not self._in_transaction):
            raise IllegalOperation("not in a transaction")
        await asyncio.sleep(0)
        before, tp = self._flight, TopicPartition(topic, partition)
        self._flight = asyncio.ensure_future(self._deliver(before, tp, batch.messages))
        return self._flight

    async def send_offsets_to_transaction(self, offsets: Mapping[TopicPartition, Any], group: str) -> None:
        plain = {tp: at.offset for tp, at in offsets.items()}
        assert self._id is not None
        transactional_id = self._id
        await self._retried(lambda: self._broker.offsets_in(transactional_id, self._epoch, group, plain))

    async def commit_transaction(self) -> None:
        """Waits for sends that are under way, and does not look at their errors."""
        if self._flight is not None:
            await asyncio.wait([self._flight])
        assert self._id is not None
        transactional_id = self._id
        await self._retried(lambda: self._broker.end(transactional_id, self._epoch, Ending.COMMIT))
        self._in_transaction = False

    async def _deliver(self, before: "asyncio.Future[Any] | None", tp: TopicPartition, messages: list[Message]) -> None:
        if before is not None:
            await asyncio.wait([before])
        if tp in self._broken:
            raise KafkaConnectionError("an earlier batch of this partition failed")
        fate = Fate.LOST if self._network.rng.random() < self._network.faults.failed_append else None
        try:
            await self._retried(lambda: self._append(tp, messages), fate)
        except BaseException:
            self._broken.add(tp)
            raise

    def _append(self, tp: TopicPartition, messages: list[Message]) -> int:
        if self._id is None:
            return self._broker.produce(tp, messages)
        return self._broker.produce_in(self._id, self._epoch, tp, messages)

    async def _retried(self, request: Any, fate: Fate | None = None) -> Any:
        while True:
            try:
                return await self._network.ask(request, fate=fate)
            except ConcurrentTransactions:
                await asyncio.sleep(RETRY_S)
            except ProducerFenced:
                self._fenced = True
                raise

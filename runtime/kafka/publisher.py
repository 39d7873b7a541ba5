"""Publishing at least once: idempotent, in zstd batches; all replicas acknowledge a send, or its error is told."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, NamedTuple, Self

from aiokafka import AIOKafkaProducer

from market.partition import partition_of
from runtime.errors import UnavailableError
from runtime.kafka.connection import connection, kafka_errors
from runtime.settings import Settings

LINGER_MS = 10
BATCH_BYTES = 256 * 1024
"""Before compression: a second batch of a partition waits for the first, and each costs as much as many records."""
ACK_TIMEOUT_S = 30.0
"""An idempotent producer would wait for ever for a broker's answer: this bounds the wait."""


class Outgoing(NamedTuple):
    """A record to be published; `partition` None: by murmur2 of the key."""

    key: bytes
    value: bytes | None
    headers: Sequence[tuple[str, bytes]] = ()
    partition: int | None = None


KeyedValues = tuple[bytes, Sequence[bytes | None], list[tuple[str, bytes]]]
"""Records of a known partition with one key: the key, the value of each, and the headers that all of them have."""


class Publisher:
    """An idempotent producer. After any error discard it, and send what was not acknowledged with a new one."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._producer: Any = AIOKafkaProducer(
            **connection(settings),
            acks="all",
            enable_idempotence=True,
            compression_type="zstd",
            linger_ms=LINGER_MS,
            max_batch_size=BATCH_BYTES,
            request_timeout_ms=int(ACK_TIMEOUT_S * 1000),
        )

    async def __aenter__(self) -> Self:
        with kafka_errors(self._settings, "starting to publish"):
            try:
                await self._producer.start()
            except BaseException:
                await self._producer.stop()
                raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A producer would wait for records that can't be delivered; their futures tell the error.
        try:
            await asyncio.wait_for(self._producer.stop(), timeout=ACK_TIMEOUT_S if kind is None else 2.0)
        except TimeoutError:
            if kind is None:
                raise UnavailableError("Kafka did not acknowledge the last records in time") from None

    async def send(self, topic: str, record: Outgoing) -> "asyncio.Future[Any]":
        """Queue one record; waits while the queue is full. The future ends with the broker's acknowledgement."""
        with kafka_errors(self._settings, f"publishing to {topic}"):
            return await self._producer.send(  # type: ignore[no-any-return]
                topic,
                key=record.key,
                value=record.value,
                headers=list(record.headers),
                partition=record.partition,
            )

    async def send_batches(
        self, topic: str, records: Iterable[Outgoing], partitions: int
    ) -> list["asyncio.Future[Any]"]:
        """Queue many records, one future a batch: much cheaper than one by one; partitions keep the order."""
        placed = (
            record if record.partition is not None else record._replace(partition=partition_of(record.key, partitions))
            for record in records
        )
        with kafka_errors(self._settings, f"publishing to {topic}"):
            return [future async for future in sent_in_batches(self._producer, topic, placed)]

    async def send_groups(self, topic: str, groups: Mapping[int, Sequence[KeyedValues]]) -> list["asyncio.Future[Any]"]:
        """The same for records that are grouped by partition already: the cheapest way for many."""
        with kafka_errors(self._settings, f"publishing to {topic}"):
            return [future async for future in _sent(self._producer, topic, groups)]

    async def await_acknowledgements(self, futures: Iterable["asyncio.Future[Any]"]) -> list[Any]:
        """Wait until all are acknowledged; `UnavailableError` at the first failure, or if no answer comes."""
        with kafka_errors(self._settings, "publishing"):
            try:
                return await asyncio.wait_for(asyncio.gather(*futures), ACK_TIMEOUT_S)
            except TimeoutError:
                raise UnavailableError(f"Kafka did not acknowledge within {ACK_TIMEOUT_S:.0f} s") from None


async def sent_in_batches(
    producer: Any, topic: str, records: Iterable[Outgoing]
) -> AsyncIterator["asyncio.Future[Any]"]:
    """Hand the records to aiokafka's producer in whole batches; yields a batch's future once it is queued.

    Each record must have its partition, in which the order is kept. A record that is larger than a batch goes alone;
    only the broker may refuse it.
    """
    groups: dict[int, list[KeyedValues]] = {}
    for key, value, headers, partition in records:
        assert partition is not None  # noqa: S101  # asked for above
        group = groups.get(partition)
        if group is None:
            group = groups[partition] = []
        group.append((key, (value,), list(headers)))
    async for future in _sent(producer, topic, groups):
        yield future


async def _sent(
    producer: Any, topic: str, groups: Mapping[int, Sequence[KeyedValues]]
) -> AsyncIterator["asyncio.Future[Any]"]:
    """Send what each partition gets. aiokafka takes a partition's next batch when the one before is on its way.

    So the partitions take turns: they wait for one another's acknowledgements once, and not one after the other.
    """
    queues = {partition: deque(_batches(producer, group)) for partition, group in groups.items()}
    while queues:
        for partition, queue in list(queues.items()):
            yield await producer.send_batch(queue.popleft(), topic, partition=partition)
            if not queue:
                del queues[partition]


def _batches(producer: Any, records: Sequence[KeyedValues]) -> Iterator[Any]:
    batch = producer.create_batch()
    append = batch.append
    for key, values, headers in records:
        for value in values:
            while append(key=key, value=value, timestamp=None, headers=headers) is None:
                batch.close()
                yield batch
                batch = producer.create_batch()  # it takes the record, however large that is
                append = batch.append
    batch.close()
    yield batch

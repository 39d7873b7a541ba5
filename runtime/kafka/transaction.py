"""Publishing exactly once: outputs, state and the group's offset in one transaction."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from types import TracebackType
from typing import Any, Self

from aiokafka import AIOKafkaProducer
from aiokafka.errors import IllegalOperation, KafkaError, ProducerFenced
from aiokafka.structs import OffsetAndMetadata, TopicPartition

from runtime.errors import CandlewickError, UnavailableError
from runtime.kafka.connection import connection, kafka_errors
from runtime.kafka.publisher import Outgoing, sent_in_batches
from runtime.settings import Settings

TRANSACTION_TIMEOUT_MS = 10_000
"""The broker aborts a transaction that is open for longer, because it hides what others commit after it."""
COMMIT_TIMEOUT_S = 15.0
RETRY_MS = 20
"""How soon to ask again if the broker has not yet recorded the previous transaction, or a step of this one."""
MOST_BATCH_BYTES = 960 * 1024
"""Before compression, and below what a broker takes by default: a second batch of a partition waits for the first."""


class FencedError(CandlewickError):
    """Another process has taken the transactional id over: what this process holds is stale."""


class _GivenUp(Exception):  # noqa: N818  # no error: it ends a transaction without a commit
    """Aborts the transaction: nothing of it is kept."""


class TransactionalPublisher:
    """The producer of one transactional id. After any error discard it and make a new one."""

    def __init__(self, settings: Settings, transactional_id: str) -> None:
        self._settings = settings
        self.transactional_id = transactional_id
        self._producer: Any = AIOKafkaProducer(
            **connection(settings),
            transactional_id=transactional_id,
            transaction_timeout_ms=TRANSACTION_TIMEOUT_MS,
            compression_type="zstd",
            linger_ms=0,
            max_batch_size=MOST_BATCH_BYTES,
            retry_backoff_ms=RETRY_MS,
            request_timeout_ms=TRANSACTION_TIMEOUT_MS,
        )

    async def __aenter__(self) -> Self:
        """Take the transactional id over: this fences its previous owner and ends the transaction that it left open.

        `UnavailableError` if Kafka does not answer in time.
        """
        with kafka_errors(self._settings, f"taking over {self.transactional_id}"):
            try:
                await asyncio.wait_for(self._producer.start(), 4 * COMMIT_TIMEOUT_S)
            except (TimeoutError, KafkaError) as error:
                await self.discard()
                if isinstance(error, KafkaError):
                    raise
                raise UnavailableError(f"Kafka did not hand over {self.transactional_id} in time") from None
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.discard()

    async def discard(self) -> None:
        """Stop without waiting for acknowledgements; when the successor starts, Kafka aborts the open transaction."""
        try:
            await asyncio.wait_for(self._producer.stop(), 2.0)
        except (TimeoutError, KafkaError):
            return  # the connection ends with the process at the latest; nobody reads what was not committed

    async def confirm(self, group: str, tp: TopicPartition) -> None:
        """Raise `FencedError` if another process has taken the transactional id over. Discard the publisher afterwards.

        Kafka tells this only in a transaction, so we begin one and never commit it.
        """
        with suppress(_GivenUp):
            async with self.transaction() as transaction:
                await transaction.commit_offset(group, tp.topic, tp.partition, 0)
                raise _GivenUp

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator["Transaction"]:
        """A transaction that is committed at the block's end.

        `FencedError` if another process has taken over, `UnavailableError` if Kafka fails or takes too long.
        After an error nobody can read anything of the transaction, and the publisher must be discarded.
        """
        transaction = Transaction(self._producer)
        try:
            with kafka_errors(self._settings, "writing a transaction"):
                async with asyncio.timeout(COMMIT_TIMEOUT_S):
                    await self._producer.begin_transaction()
                    yield transaction
                    await transaction.await_acknowledgements()
                    await self._producer.commit_transaction()
        except TimeoutError:
            raise UnavailableError("Kafka did not end a transaction in time") from None
        except CandlewickError as error:
            if isinstance(error.__cause__, ProducerFenced):
                raise FencedError(f"{self.transactional_id} was taken over by another process") from error
            raise


class Transaction:
    """What goes into one transaction."""

    def __init__(self, producer: Any) -> None:
        self._producer = producer
        self._futures: list[asyncio.Future[Any]] = []

    async def send(self, topic: str, records: Iterable[Outgoing]) -> None:
        """Add records; their partition must be given."""
        try:
            async for future in sent_in_batches(self._producer, topic, records):
                future.add_done_callback(_retrieved)
                self._futures.append(future)
        except IllegalOperation as error:  # an earlier send failed for good, and its future says why
            await self.await_acknowledgements()
            raise UnavailableError(f"Kafka ended a transaction early: {error}") from error

    async def commit_offset(self, group: str, topic: str, partition: int, offset: int) -> None:
        """Make `offset` the group's offset, together with the rest or not at all."""
        offsets = {TopicPartition(topic, partition): OffsetAndMetadata(offset, "")}
        await self._producer.send_offsets_to_transaction(offsets, group)

    async def await_acknowledgements(self) -> None:
        """Wait for every send: aiokafka's commit does not look at them."""
        await asyncio.gather(*self._futures)


def _retrieved(future: "asyncio.Future[Any]") -> None:
    """Mark the error as seen: `await_acknowledgements` raises it, or the transaction failed by another error."""
    if not future.cancelled():
        future.exception()

"""Writing to the cold store: each file is written once, under a name that the log alone decides."""

import asyncio
import uuid
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from contextlib import suppress

import obstore
import orjson
from obstore.exceptions import AlreadyExistsError
from obstore.store import ObjectStore

from market.records import BareRecord
from runtime.errors import CandlewickError
from runtime.kafka import TopicPartition
from runtime.settings import Settings, cold_address
from sinks.encoded import Encoded
from sinks.parquet.connect import NameRefusedError, cold_errors, connect
from sinks.parquet.files import BatchName, File, holds, parquet_bytes, split
from sinks.parquet.schema import BARS, CANDLES, FEEDS, FUNDING, INSTRUMENTS, SIGNALS, TRADES, Dataset, Reading
from sinks.store import Batch, RejectedError

MARKER = "_candlewick.json"
"""Holds the id of the store: an emptied store has no id, and another store has another id."""
_UPLOADS = 4


class ParquetStore:
    """The cold store of `sinks.store.Store`: batches end where the log says, and only whole ones are written."""

    name = "parquet"
    pace = None
    recent_only: frozenset[str] = frozenset()

    def __init__(self, settings: Settings) -> None:
        topics = settings.topics
        self._url = cold_address(settings)
        self._datasets: dict[str, Dataset] = {
            topics.trades: TRADES,
            topics.candles(): CANDLES,
            topics.funding: FUNDING,
            topics.feeds: FEEDS,
            topics.instruments: INSTRUMENTS,
            topics.signals: SIGNALS,
            topics.bars: BARS,
        }
        self._readings: dict[str, Reading] = {
            topic: dataset.reading(settings.partitions) for topic, dataset in self._datasets.items()
        }
        self.topics = tuple(self._datasets)
        self._client: ObjectStore | None = None

    async def open(self) -> None:
        """Connect, and give the store an id if it has none."""
        self._client = connect(self._url)
        with cold_errors(self._url), suppress(AlreadyExistsError):
            content = orjson.dumps({"id": str(uuid.uuid4())})
            await obstore.put_async(self._client, MARKER, content, mode="create")

    async def identities(self) -> Mapping[str, str | None]:
        """The id that the store got at its first `open`, read from `MARKER`."""
        try:
            with cold_errors(self._url, raise_missing=True):
                marker = await obstore.get_async(self._client or connect(self._url), MARKER)
                content = bytes(await marker.bytes_async())
        except FileNotFoundError:
            return dict.fromkeys(self.topics)
        try:
            return dict.fromkeys(self.topics, str(orjson.loads(content)["id"]))
        except (orjson.JSONDecodeError, KeyError, TypeError):
            raise CandlewickError(
                f"{self._url}/{MARKER} is broken: it says which store this is; put it back, or delete it and write "
                "again what the log still holds (candlewick replay sink.parquet --to earliest --execute)"
            ) from None

    async def positions(
        self,
        tps: Iterable[TopicPartition],  # noqa: ARG002
        topic_ids: Mapping[str, str | None],  # noqa: ARG002
    ) -> Mapping[TopicPartition, int] | None:
        """The group's offsets count: a file that was written is not lost."""
        return None

    def encode(self, tp: TopicPartition, records: Sequence[BareRecord]) -> Encoded:
        """As Arrow columns."""
        encoded = self._readings[tp.topic](tp.partition, records)
        return encoded._replace(chunk=encoded.chunk.select(self._datasets[tp.topic].schema.names))

    async def write(self, batches: Sequence[Batch]) -> None:
        """Write the files of the batches, a few at a time. A failure holds up no other file."""
        slots = asyncio.Semaphore(_UPLOADS)
        await _all_of([self._write(batch, slots) for batch in batches])

    async def close(self) -> None:
        """Nothing is open."""

    @property
    def _opened(self) -> ObjectStore:
        assert self._client is not None  # noqa: S101  # a store is opened before it is written to
        return self._client

    async def _write(self, batch: Batch, slots: asyncio.Semaphore) -> None:
        if batch.rows:
            dataset = self._datasets[batch.tp.topic]
            name = BatchName(batch.tp.topic, batch.tp.partition, batch.first, batch.last)
            await _all_of([self._put(dataset, batch.tp, file, slots) for file in split(dataset, name, batch.chunk)])
        batch.is_written = True

    async def _put(self, dataset: Dataset, tp: TopicPartition, file: File, slots: asyncio.Semaphore) -> None:
        async with slots:
            content = await asyncio.to_thread(parquet_bytes, dataset, file.rows)
            try:
                with cold_errors(self._url):
                    await obstore.put_async(self._opened, file.path, content, mode="create")
            except AlreadyExistsError:
                await self._compare(dataset, file)
            except NameRefusedError as error:
                offsets = file.rows["offset"].to_pylist()
                raise RejectedError({(tp, offset): str(error) for offset in offsets}) from error

    async def _compare(self, dataset: Dataset, file: File) -> None:
        """The name is taken. Raises `CandlewickError` if that file holds other rows: a person has to look at it."""
        with cold_errors(self._url):
            there = bytes(await (await obstore.get_async(self._opened, file.path)).bytes_async())
        if not await asyncio.to_thread(holds, dataset, there, file.rows):
            raise CandlewickError(
                f"{self._url}/{file.path} is there already and does not hold the rows that the log has: "
                "the topic was made anew, or the file is damaged; move it away (and back under another name, if its "
                "rows are to stay), then start the sink again"
            )


async def _all_of(writes: Iterable[Coroutine[None, None, None]]) -> None:
    """Wait for all of them, then raise the first failure."""
    for outcome in await asyncio.gather(*writes, return_exceptions=True):
        if isinstance(outcome, BaseException):
            raise outcome

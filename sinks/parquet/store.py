"""Writing to the cold store: a file is put once under a name that the log alone decides."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import obstore
import pyarrow as pa
from obstore.exceptions import AlreadyExistsError

from runtime.errors import CandlewickError
from runtime.kafka import Record, TopicPartition
from runtime.settings import Settings, cold_address
from sinks.parquet.connect import cold_errors, connect
from sinks.parquet.files import File, parquet_bytes, rows_hash, split, stored_hash
from sinks.parquet.schema import CANDLES, TRADES, Dataset, encode
from sinks.store import Batch, Encoded

_UPLOADS = 4


class ParquetStore:
    """The cold store of `sinks.store.Store`: batches end where the log says, and only whole ones are written."""

    name = "parquet"
    pace = None
    recent_only: frozenset[str] = frozenset()

    def __init__(self, settings: Settings) -> None:
        topics = settings.topics
        self._url = cold_address(settings)
        self._partitions = settings.partitions
        self._datasets: dict[str, Dataset] = {topics.trades: TRADES, topics.candles(): CANDLES}
        self.topics = tuple(self._datasets)
        self._client: Any = None

    async def open(self) -> None:
        """Find the store."""
        self._client = connect(self._url)

    async def positions(self, tps: Iterable[TopicPartition]) -> Mapping[TopicPartition, int] | None:  # noqa: ARG002
        """The group's offsets tell: a file that was put is not lost."""
        return None

    def encode(self, records: Sequence[Record]) -> Encoded:
        """As Arrow columns."""
        return encode(self._datasets[records[0].topic], records, self._partitions)

    async def write(self, batches: Sequence[Batch]) -> None:
        """Put the files of the batches, a few at a time."""
        slots = asyncio.Semaphore(_UPLOADS)

        async def put(dataset: Dataset, file: File) -> None:
            async with slots:
                await self._put(dataset, file)

        for batch in batches:
            if batch.rows:
                dataset = self._datasets[batch.tp.topic]
                rows = pa.concat_tables(batch.chunks).combine_chunks()
                files = split(dataset, batch.tp, batch.first, batch.last, rows)
                await asyncio.gather(*(put(dataset, file) for file in files))

    async def close(self) -> None:
        """Nothing is held."""

    async def _put(self, dataset: Dataset, file: File) -> None:
        content = await asyncio.to_thread(parquet_bytes, dataset, file.rows)
        try:
            with cold_errors(self._url):
                await obstore.put_async(self._client, file.path, content, mode="create")
        except AlreadyExistsError:
            await self._compare(file)

    async def _compare(self, file: File) -> None:
        """The name is taken: by these very rows, or something is wrong that a person has to look at."""
        with cold_errors(self._url):
            there = bytes(await (await obstore.get_async(self._client, file.path)).bytes_async())
        if stored_hash(there) != rows_hash(file.rows):
            raise CandlewickError(
                f"{self._url}/{file.path} is there already and does not hold the rows that the log has: "
                "the topic was made anew, or the file is damaged; move it away, then start the sink again"
            )

"""Writing to ClickHouse: in each round one insert for each table, with a token by which the server knows a repeat."""

import hashlib
import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files

import pyarrow as pa
from clickhouse_connect.driver import AsyncClient

from market.records import BareRecord
from runtime.errors import CandlewickError
from runtime.kafka import TopicPartition
from runtime.settings import Settings, clickhouse_address
from sinks.clickhouse.connect import RowsRefusedError, clickhouse_errors, connect
from sinks.clickhouse.encode import CANDLES, FEEDS, TICKERS, TRADES, Table, encode
from sinks.encoded import Encoded
from sinks.store import Batch, Pace, PaceLimit, RejectedError

SCHEMA_VERSION = 2
_COMMENT = f"candlewick {SCHEMA_VERSION}"
_NO_UUID = "00000000-0000-0000-0000-000000000000"
_INSERT = {
    "insert_deduplicate": "1",
    "max_partitions_per_insert_block": "0",  # an import spans any number of months
}


class ClickHouseStore:
    """The warm store of `sinks.store.Store`.

    Rows with the same data key replace each other, so what is written twice counts once. Besides, an insert has a token
    (of its table, schema version, topics, partitions and offsets), so that the server skips a repeated insert. The
    token also names this process: after rows were deleted by hand, a replay in a new process writes them again.
    """

    name = "clickhouse"
    pace = Pace(PaceLimit(100_000, 64 << 20, 1.0), behind=PaceLimit(250_000, 128 << 20, 5.0))
    recent_only: frozenset[str] = frozenset()

    def __init__(self, settings: Settings) -> None:
        topics = settings.topics
        self._url = clickhouse_address(settings)
        self._database = settings.clickhouse_database
        self._partitions = settings.partitions
        self._tables: dict[str, Table] = {
            topics.trades: TRADES,
            topics.candles(): CANDLES,
            topics.tickers: TICKERS,
            topics.feeds: FEEDS,
        }
        self.topics = tuple(self._tables)
        self._client: AsyncClient | None = None
        self._process = uuid.uuid4().hex

    async def open(self) -> None:
        """Make the database and tables that are missing. Raises `CandlewickError` for tables of another version."""
        await self.close()
        server = await connect(self._url)
        try:
            with clickhouse_errors(self._url):
                await server.command(f"CREATE DATABASE IF NOT EXISTS {self._database}")
        finally:
            await server.close()
        self._client = await connect(self._url, database=self._database)
        with clickhouse_errors(self._url):
            for statement in files("sinks.clickhouse").joinpath("schema.sql").read_text().split(";\n"):
                await self._client.command(statement)
            tables = await self._client.query(
                "SELECT name, comment FROM system.tables "
                "WHERE database = {database:String} AND name IN {names:Array(String)}",
                parameters={"database": self._database, "names": [table.name for table in self._tables.values()]},
            )
        for name, comment in tables.result_rows:
            if comment != _COMMENT:
                raise CandlewickError(
                    f"the table {self._database}.{name} is not of schema {_COMMENT!r} but {comment!r}: "
                    "migrate it, or point CANDLEWICK_CLICKHOUSE_DATABASE at another database"
                )

    async def identities(self) -> Mapping[str, str | None]:
        """By topic: the UUID that its table got when it was made; None while the table holds no row."""
        client = self._client or await connect(self._url)
        try:
            with clickhouse_errors(self._url):
                tables = await client.query(
                    "SELECT name, toString(uuid) FROM system.tables WHERE database = {database:String} AND total_rows",
                    parameters={"database": self._database},
                )
        finally:
            if client is not self._client:
                await client.close()
        ids = {name: uuid for name, uuid in tables.result_rows if uuid != _NO_UUID}
        return {topic: ids.get(table.name) for topic, table in self._tables.items()}

    async def positions(
        self,
        tps: Iterable[TopicPartition],  # noqa: ARG002
        topic_ids: Mapping[str, str | None],  # noqa: ARG002
    ) -> Mapping[TopicPartition, int] | None:
        """The group's offsets count: a write that was acknowledged is not lost."""
        return None

    def encode(self, tp: TopicPartition, records: Sequence[BareRecord]) -> Encoded:
        """As Arrow columns."""
        return encode(self._tables[tp.topic], tp.partition, records, self._partitions)

    async def write(self, batches: Sequence[Batch]) -> None:
        """Insert, table by table."""
        by_table: dict[str, list[Batch]] = defaultdict(list)
        for batch in batches:
            if batch.rows:
                by_table[self._tables[batch.tp.topic].name].append(batch)
        for name, of_table in by_table.items():
            rows = pa.concat_tables([batch.chunk for batch in of_table])
            try:
                await self._insert(name, rows, self._token(name, of_table))
            except RowsRefusedError:
                raise RejectedError(await self._find_refused(name, of_table)) from None
            for batch in of_table:
                batch.is_written = True

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            client, self._client = self._client, None
            await client.close()

    def _token(self, name: str, batches: Sequence[Batch]) -> str:
        ranges = (f"{batch.tp.topic}/{batch.tp.partition}:{batch.first}-{batch.last}" for batch in batches)
        return hashlib.sha256(f"{name} {_COMMENT} {self._process} {' '.join(ranges)}".encode()).hexdigest()

    async def _insert(self, name: str, rows: pa.Table, token: str | None) -> None:
        settings = _INSERT | ({"insert_deduplication_token": token} if token else {})
        assert self._client is not None  # noqa: S101  # a store is opened before it is written to
        with clickhouse_errors(self._url):
            await self._client.insert_arrow(name, rows, settings=settings)

    async def _find_refused(self, name: str, batches: Sequence[Batch]) -> dict[tuple[TopicPartition, int], str]:
        """Halve the rows until those that the server refuses stand alone; by then all others are written.

        The caller writes the others again: that is harmless.
        """
        reasons: dict[tuple[TopicPartition, int], str] = {}
        for batch in batches:
            halves = [batch.chunk]
            while halves:
                rows = halves.pop()
                try:
                    await self._insert(name, rows, None)
                except RowsRefusedError as error:
                    if rows.num_rows == 1:
                        reasons[batch.tp, rows["offset"][0].as_py()] = str(error)
                    else:
                        middle = rows.num_rows // 2
                        halves += [rows.slice(middle), rows.slice(0, middle)]
        return reasons

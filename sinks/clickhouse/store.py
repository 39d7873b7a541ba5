"""Writing to ClickHouse: in each round one insert for each table, with a token by which the server knows a repeat."""

import hashlib
import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

import pyarrow as pa
from clickhouse_connect.driver import AsyncClient

from market.records import BareRecord
from runtime.kafka import TopicPartition
from runtime.settings import Settings, clickhouse_address
from sinks.clickhouse.connect import DatabaseMissingError, RowsRefusedError, clickhouse_errors, connect
from sinks.clickhouse.encode import (
    BARS,
    CANDLES,
    FEEDS,
    FUNDING,
    INSTRUMENTS,
    SIGNALS,
    TICKERS,
    TRADES,
    Table,
    encode,
    encode_trades,
)
from sinks.clickhouse.migrate import SchemaKeeper
from sinks.clickhouse.schema import SCHEMA_VERSION, WarmTable
from sinks.encoded import Encoded
from sinks.halving import refused_among
from sinks.store import Batch, Pace, PaceLimit, RejectedError
from sinks.trade_rows import TradeRows

_COMPUTED = {TRADES: ["offset"]}
"""Columns that the server computes; here they tell which record a row is of."""
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
        self._keeper = SchemaKeeper(self._url, self._database)
        self._trade_rows = TradeRows(settings.partitions)
        self._tables: dict[str, Table] = {
            topics.candles(): CANDLES,
            topics.tickers: TICKERS,
            topics.feeds: FEEDS,
            topics.funding: FUNDING,
            topics.instruments: INSTRUMENTS,
            topics.signals: SIGNALS,
            topics.bars: BARS,
        }
        self._names = {topics.trades: TRADES} | {topic: table.name for topic, table in self._tables.items()}
        self.topics = tuple(self._names)
        self._client: AsyncClient | None = None
        self._process = uuid.uuid4().hex

    async def open(self) -> None:
        """Make or migrate the tables. Raises `CandlewickError` for tables that are not as they have to be."""
        await self.close()
        await self._keeper.bring_up_to_date()
        self._client = await connect(self._url, database=self._database)

    async def identities(self) -> Mapping[str, str | None]:
        """By topic: the id that its table got when it was made, or first made; None while the table holds no row."""
        try:
            client = self._client or await connect(self._url, database=self._database)
        except DatabaseMissingError:
            return dict.fromkeys(self._names)
        try:
            with clickhouse_errors(self._url):
                tables = await client.query(
                    "SELECT name, toString(uuid), comment, engine, sorting_key FROM system.tables "
                    "WHERE database = {database:String} AND total_rows",
                    parameters={"database": self._database},
                )
        finally:
            if client is not self._client:
                await client.close()
        ids = {name: id_ for name, *rest in tables.result_rows if (id_ := WarmTable(*rest).id) != _NO_UUID}
        return {topic: ids.get(name) for topic, name in self._names.items()}

    async def positions(
        self,
        tps: Iterable[TopicPartition],  # noqa: ARG002
        topic_ids: Mapping[str, str | None],  # noqa: ARG002
    ) -> Mapping[TopicPartition, int] | None:
        """The group's offsets count: a write that was acknowledged is not lost."""
        return None

    def encode(self, tp: TopicPartition, records: Sequence[BareRecord]) -> Encoded:
        """As Arrow columns."""
        if self._names[tp.topic] == TRADES:
            return encode_trades(self._trade_rows.read(tp.partition, records))
        return encode(self._tables[tp.topic], tp.partition, records, self._partitions)

    async def write(self, batches: Sequence[Batch]) -> None:
        """Insert, table by table."""
        by_table: dict[str, list[Batch]] = defaultdict(list)
        for batch in batches:
            if batch.rows:
                by_table[self._names[batch.tp.topic]].append(batch)
        for name, of_table in by_table.items():
            rows = pa.concat_tables([batch.chunk for batch in of_table])
            try:
                await self._insert(name, rows, self._token(name, of_table))
            except RowsRefusedError:
                insert = partial(self._insert, name, token=None)
                raise RejectedError(await refused_among(of_table, insert, RowsRefusedError)) from None
            for batch in of_table:
                batch.is_written = True

    async def close(self) -> None:
        """Close the connections."""
        if self._client is not None:
            client, self._client = self._client, None
            await client.close()

    def _token(self, name: str, batches: Sequence[Batch]) -> str:
        ranges = (f"{batch.tp.topic}/{batch.tp.partition}:{batch.first}-{batch.last}" for batch in batches)
        return hashlib.sha256(f"{name} {SCHEMA_VERSION} {self._process} {' '.join(ranges)}".encode()).hexdigest()

    async def _insert(self, name: str, rows: pa.Table, token: str | None) -> None:
        rows = rows.drop_columns(_COMPUTED.get(name, ())).combine_chunks()
        settings = _INSERT | ({"insert_deduplication_token": token} if token else {})
        assert self._client is not None  # noqa: S101  # a store is opened before it is written to
        with clickhouse_errors(self._url):
            await self._client.insert_arrow(name, rows, settings=settings)

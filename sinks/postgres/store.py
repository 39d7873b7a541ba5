"""Writing to PostgreSQL: rows are copied into a staging table, and from there moved by key, in one transaction."""

import asyncio
import io
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import pyarrow as pa

from market.records import BareRecord
from runtime.errors import CandlewickError, UnavailableError
from runtime.kafka import TopicPartition
from runtime.settings import Settings, postgres_address
from sinks.encoded import Encoded
from sinks.halving import refused_among
from sinks.postgres.age import Months, set_retention
from sinks.postgres.connect import MonthMissingError, Pool, ValuesRefusedError, connect, disconnect, postgres_errors
from sinks.postgres.encode import as_csv, encode_rows, encode_trades
from sinks.postgres.migrate import migrate, migrations
from sinks.postgres.tables import (
    BARS,
    CANDLES,
    FEEDS,
    FUNDING,
    INSTRUMENTS,
    SIGNALS,
    TABLES,
    TICKERS,
    TRADES,
    PostgresTable,
)
from sinks.store import Batch, Pace, PaceLimit, RejectedError
from sinks.trade_rows import TradeRows

_NO_LIMIT = "SET LOCAL timescaledb.max_tuples_decompressed_per_dml_transaction = 0"
"""An import may correct months that are compressed by now."""


class PostgresStore:
    """The PostgreSQL store of `sinks.store.Store`, plain or with TimescaleDB.

    A transaction that is acknowledged stays, so the group's offsets count. Of two versions of a row the one of the
    greater rank stays, whoever wrote last: what is written twice counts once, and a writer that was paused while
    another went on takes nothing back.
    """

    name = "postgres"
    pace = Pace(PaceLimit(50_000, 32 << 20, 1.0), behind=PaceLimit(100_000, 64 << 20, 5.0))
    recent_only: frozenset[str] = frozenset()

    def __init__(self, settings: Settings) -> None:
        topics = settings.topics
        self._url = postgres_address(settings)
        self._partitions = settings.partitions
        self._tables: dict[str, PostgresTable] = {
            topics.trades: TRADES,
            topics.candles(): CANDLES,
            topics.tickers: TICKERS,
            topics.funding: FUNDING,
            topics.feeds: FEEDS,
            topics.instruments: INSTRUMENTS,
            topics.signals: SIGNALS,
            topics.bars: BARS,
        }
        self.topics = tuple(self._tables)
        self._trades = TradeRows(settings.partitions)
        self._keep_days = settings.postgres_keep_days
        self._months: Months | None = None
        """None with TimescaleDB, which parts its tables itself."""
        self._pool: Pool | None = None

    async def open(self) -> None:
        """Bring the schema to its newest version. Raises `CandlewickError` if it cannot be what it has to be."""
        await self.close()
        self._pool = await connect(self._url, init=_make_staging)
        with postgres_errors(self._url):
            async with self._pool.acquire() as connection:
                installed = await migrate(connection, TABLES, migrations())
                self._months = None if installed.timescale else Months(self._keep_days)
                if installed.timescale:
                    await set_retention(connection, self._keep_days)

    async def identities(self) -> Mapping[str, str | None]:
        """By topic: the database's and the table's own id; None while the table is missing or holds no row.

        A table that rows leave by age may be empty for that reason.
        """
        async with self._connection() as connection:
            if await connection.fetchval("SELECT to_regclass('candlewick_store')") is None:
                return dict.fromkeys(self._tables)
            store_id = await connection.fetchval("SELECT id FROM candlewick_store")
            ids: dict[str, str | None] = {}
            for topic, table in self._tables.items():
                oid = await connection.fetchval("SELECT to_regclass($1)::oid", table.name)
                counts = oid and (
                    (table is TRADES and self._keep_days is not None)
                    or await connection.fetchval(f"SELECT EXISTS (SELECT FROM {table.name})")  # noqa: S608
                )
                ids[topic] = f"{store_id}/{oid}" if counts else None
            return ids

    async def positions(
        self,
        tps: Iterable[TopicPartition],  # noqa: ARG002
        topic_ids: Mapping[str, str | None],  # noqa: ARG002
    ) -> Mapping[TopicPartition, int] | None:
        """The group's offsets count: a transaction that was acknowledged is not lost."""
        return None

    def encode(self, tp: TopicPartition, records: Sequence[BareRecord]) -> Encoded:
        """As Arrow columns."""
        into = self._tables[tp.topic]
        if into is TRADES:
            return encode_trades(into, tp.partition, records, self._trades)
        return encode_rows(into, tp.partition, records, self._partitions)

    async def write(self, batches: Sequence[Batch]) -> None:
        """Copy and move, table by table."""
        by_table: dict[str, list[Batch]] = defaultdict(list)
        for batch in batches:
            if batch.rows:
                by_table[batch.tp.topic].append(batch)
        for topic, of_table in by_table.items():
            table = self._tables[topic]
            try:
                await self._upsert(table, pa.concat_tables([batch.chunk for batch in of_table]))
            except ValuesRefusedError:
                upsert = partial(self._upsert, table)
                raise RejectedError(await refused_among(of_table, upsert, ValuesRefusedError)) from None
            for batch in of_table:
                batch.is_written = True

    async def close(self) -> None:
        """Close the connections."""
        if self._pool is not None:
            pool, self._pool = self._pool, None
            await disconnect(pool)

    async def _upsert(self, table: PostgresTable, rows: pa.Table) -> None:
        text = await asyncio.to_thread(as_csv, rows)
        try:
            async with self._connection() as connection:
                if self._months is not None:
                    await self._months.prepare(connection, table, rows)
                async with connection.transaction():
                    if self._months is None:
                        await connection.execute(_NO_LIMIT)
                    await connection.copy_to_table(f"staged_{table.name}", source=io.BytesIO(text), format="csv")
                    await connection.execute(table.upsert())
        except MonthMissingError as error:
            if self._months is None:
                raise CandlewickError(f"{table.name} is a hypertable no more: {error}") from error
            self._months.forget()
            raise UnavailableError(f"a month was dropped: {error}", retry_after_s=0.0) from error

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Any]:
        """A connection of the store's own, or of a pool just for this; its errors are ours."""
        pool = self._pool or await connect(self._url)
        try:
            with postgres_errors(self._url):
                async with pool.acquire() as connection:
                    yield connection
        finally:
            if pool is not self._pool:
                await disconnect(pool)


async def _make_staging(connection: Any) -> None:
    for table in TABLES:
        await connection.execute(table.staging())

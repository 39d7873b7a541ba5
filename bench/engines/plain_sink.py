"""What one would write first: each record decoded, and given to the store's own client. No checks, no positions.

``plain_sink.py WAY TRADES``; topics and stores come by `CANDLEWICK_*`. The ways:

- ``parquet``: rows as dictionaries, `pandas.DataFrame.to_parquet` for 50,000 of them;
- ``clickhouse``: rows as lists, `insert` for 50,000 of them;
- ``redis``: an `XADD` a trade, to a stream of about 500 a symbol, 1,000 in a pipeline;
- ``postgres``: rows as tuples, `executemany` with ON CONFLICT for 5,000 of them.
"""

import asyncio
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
import uvloop
from aiokafka import AIOKafkaConsumer
from result import Result

from runtime.settings import (
    Settings,
    clickhouse_address,
    cold_address,
    kafka_address,
    load_settings,
    postgres_address,
    redis_address,
)

_NAMES = ("exchange", "symbol", "trade_id", "price", "qty", "side", "time_us", "received_us", "source")
_TABLE = """
CREATE TABLE plain
(
    exchange LowCardinality(String), symbol LowCardinality(String), trade_id String, price Decimal(38, 18),
    qty Decimal(38, 18), side LowCardinality(String), time_us Int64, received_us Int64, source LowCardinality(String)
)
ENGINE = MergeTree ORDER BY (exchange, symbol, time_us)
"""
_POSTGRES_TABLE = """
CREATE TABLE plain
(
    exchange text, symbol text, trade_id text, price numeric, qty numeric, side text, time_us bigint,
    received_us bigint, source text, PRIMARY KEY (exchange, symbol, trade_id)
)
"""
_POSTGRES_INSERT = "INSERT INTO plain VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING"
Rows = list[dict[str, Any]]
Write = Callable[[Rows], object]
"""What it returns is awaited, if it can be."""


def exact(row: dict[str, Any]) -> dict[str, Any]:
    """With its decimals as decimals."""
    return row | {"price": Decimal(row["price"]), "qty": Decimal(row["qty"])}


def parquet(settings: Settings) -> tuple[int, Write]:
    """Files of 50,000 rows."""
    import pandas as pd  # noqa: PLC0415  # a way does not load the clients of the others

    folder = Path(urlsplit(cold_address(settings)).path)

    def write(rows: Rows) -> None:
        name = f"{len(list(folder.iterdir()))}.parquet"
        pd.DataFrame(map(exact, rows)).to_parquet(folder / name, compression="zstd")

    return 50_000, write


def clickhouse(settings: Settings) -> tuple[int, Write]:
    """Inserts of 50,000 rows."""
    import clickhouse_connect  # noqa: PLC0415

    client = clickhouse_connect.get_client(dsn=clickhouse_address(settings))
    client.command(f"CREATE DATABASE {settings.clickhouse_database}")
    client.command(_TABLE.replace("plain", f"{settings.clickhouse_database}.plain"))

    def write(rows: Rows) -> None:
        values = [[row[name] for name in _NAMES] for row in map(exact, rows)]
        client.insert("plain", values, _NAMES, database=settings.clickhouse_database)

    return 50_000, write


def redis(settings: Settings) -> tuple[int, Write]:
    """Pipelines of 1,000 commands."""
    import redis as client_of_redis  # noqa: PLC0415

    client = client_of_redis.Redis.from_url(redis_address(settings))

    def write(rows: Rows) -> None:
        pipeline = client.pipeline(transaction=False)
        for row in rows:
            pipeline.xadd(f"{row['exchange']}:{row['symbol']}", row, maxlen=500)
        pipeline.execute()

    return 1_000, write


def postgres(settings: Settings) -> tuple[int, Write]:
    """Transactions of 5,000 rows."""
    import asyncpg  # noqa: PLC0415

    opened: list[Any] = []

    async def write(rows: Rows) -> None:
        if not opened:
            opened.append(await asyncpg.connect(postgres_address(settings)))
            await opened[0].execute(_POSTGRES_TABLE)
        await opened[0].executemany(_POSTGRES_INSERT, [[row[name] for name in _NAMES] for row in map(exact, rows)])

    return 5_000, write


WAYS = {"parquet": parquet, "clickhouse": clickhouse, "redis": redis, "postgres": postgres}


async def main(way: str, trades: int) -> None:
    """Every trade once, from the topic's beginning to its end."""
    settings, result = load_settings(), Result(trades)
    most, write = WAYS[way](settings)
    consumer = AIOKafkaConsumer(
        settings.topics.trades, bootstrap_servers=kafka_address(settings), auto_offset_reset="earliest"
    )
    result.begin()
    await consumer.start()
    rows: Rows = []
    while result.trades < trades:
        polled = await consumer.getmany(timeout_ms=1000, max_records=5_000)
        new = [orjson.loads(record.value) for records in polled.values() for record in records if record.value]
        result.count(len(new))
        rows += new
        while len(rows) >= most or (rows and result.trades == trades):
            if asyncio.iscoroutine(writing := write(rows[:most])):
                await writing
            rows = rows[most:]
    result.tell()
    await consumer.stop()


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], int(sys.argv[2])))

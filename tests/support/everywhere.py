"""The whole pipeline behind the log, once: engine, rolling, sinks; then every place's newest candles and trades.

Read by plain means: raw JSON, SQL, Parquet files and Redis commands.
"""

import asyncio
import datetime as dt
import json
from collections.abc import Iterable
from decimal import Decimal
from typing import Any

import clickhouse_connect
import obstore
import pyarrow as pa
import pyarrow.parquet as pq
from candle_engine import one_pass, read_all
from obstore.store import from_url
from redis.asyncio import Redis

from market.timeframe import Timeframe
from processors.config import ProcessorConfig
from processors.rolling import app as rolling
from processors.rolling.steps import TIMEFRAMES
from runtime.settings import Settings, clickhouse_address, redis_address
from sinks.clickhouse.store import ClickHouseStore
from sinks.parquet.store import ParquetStore
from sinks.redis.store import RedisStore
from sinks.runner import SinkConfig, run_sink

FIELDS = ("open", "high", "low", "close", "volume", "quote_volume", "trades", "status")
Candles = dict[tuple[str, str, int], tuple[Any, ...]]
"""(symbol, timeframe, open time in ms) → `FIELDS`, amounts as decimals."""


async def run_all(settings: Settings) -> None:
    """Engine, rolling and sinks, each with ``--once``."""
    await one_pass(settings)
    await asyncio.wait_for(rolling.run_rolling(settings, ProcessorConfig(once=True), asyncio.Event()), 60)
    for store in (RedisStore, ClickHouseStore, ParquetStore):
        await asyncio.wait_for(run_sink(settings, store(settings), SinkConfig(once=True), asyncio.Event()), 60)


async def candles_by_place(settings: Settings) -> dict[str, Candles]:
    """The newest candles: in Kafka and Redis of every timeframe, in ClickHouse and Parquet those of one minute."""
    return {
        "Kafka": await _of_kafka(settings),
        "Redis": await _of_redis(settings),
        "ClickHouse": await _of_clickhouse(settings),
        "Parquet": _newest(_rows_of_parquet(settings, "candles")),
    }


async def trades_by_place(settings: Settings) -> dict[str, dict[tuple[str, str], tuple[Decimal, Decimal, int]]]:
    """(symbol, id) → price, qty and time in microseconds, of the copies that count; runs do not enter Redis."""
    client = await _clickhouse(settings)
    try:
        found = await client.query(
            "SELECT symbol, trade_id, price, qty, toUnixTimestamp64Micro(time) FROM trades FINAL"
        )
    finally:
        await client.close()
    cold = sorted(_rows_of_parquet(settings, "trades"), key=lambda row: (row["run"] is not None, row["offset"]))
    return {
        "ClickHouse": {(symbol, one): (price, qty, us) for symbol, one, price, qty, us in found.result_rows},
        "Parquet": {
            (row["symbol"], row["trade_id"]): (row["price"], row["qty"], _us(row["time"])) for row in cold
        },
    }  # fmt: skip


async def _of_kafka(settings: Settings) -> Candles:
    rows = []
    for timeframe in (Timeframe.M1, *TIMEFRAMES):
        records = await read_all(settings, settings.topics.candles(timeframe))
        rows += [_decimals(json.loads(record.value)) for record in records if record.value is not None]
    return _newest(rows)


async def _of_redis(settings: Settings) -> Candles:
    client = Redis.from_url(redis_address(settings))
    rows = []
    try:
        async for key in client.scan_iter(f"{settings.prefix}cw:candles:*"):
            rows += [_decimals(json.loads(value)) for value in await client.zrange(key, 0, -1)]
    finally:
        await client.aclose()
    return _newest(rows)


async def _of_clickhouse(settings: Settings) -> Candles:
    client = await _clickhouse(settings)
    try:
        found = await client.query("SELECT *, toUnixTimestamp64Milli(open_time) AS open_time_ms FROM candles FINAL")
    finally:
        await client.close()
    return _newest(found.named_results())


async def _clickhouse(settings: Settings) -> Any:
    return await clickhouse_connect.get_async_client(
        dsn=clickhouse_address(settings), database=settings.clickhouse_database
    )


def _rows_of_parquet(settings: Settings, dataset: str) -> list[dict[str, Any]]:
    store, rows = from_url(settings.cold or ""), []
    for listed in obstore.list(store, prefix=f"{dataset}/"):
        for entry in listed:
            content = bytes(obstore.get(store, entry["path"]).bytes())
            rows += pq.read_table(pa.BufferReader(content)).to_pylist()
    for row in rows if dataset == "candles" else ():
        row["open_time_ms"] = _us(row["open_time"]) // 1000
    return rows


def _newest(rows: Iterable[dict[str, Any]]) -> Candles:
    newest: dict[tuple[str, str, int], dict[str, Any]] = {}
    for row in rows:
        place = (row["symbol"], row["timeframe"], row["open_time_ms"])
        if place not in newest or row["revision"] >= newest[place]["revision"]:
            newest[place] = row
    return {place: tuple(row[name] for name in FIELDS) for place, row in newest.items()}


def _decimals(candle: dict[str, Any]) -> dict[str, Any]:
    return candle | {name: Decimal(candle[name]) for name in FIELDS[:6]}


def _us(time: dt.datetime) -> int:
    return (time - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1)

"""What a store holds, read with its own plain means: raw commands, SQL, Parquet files; none of our readers."""

import datetime as dt
import json
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from urllib.parse import unquote

import asyncpg
import clickhouse_connect
import obstore
import pyarrow as pa
import pyarrow.parquet as pq
from obstore.store import from_url
from redis.asyncio import Redis, RedisCluster

from runtime.settings import Settings, clickhouse_address, postgres_address, redis_address
from sinks.clickhouse.store import ClickHouseStore
from sinks.parquet.store import ParquetStore
from sinks.postgres.store import PostgresStore
from sinks.redis.store import RedisStore
from sinks.rolling_policy import RollingPolicy
from sinks.runner import SinkConfig
from sinks.store import Store

_MS = dt.timedelta(milliseconds=1)
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


@dataclass
class Held:
    """Each data key once; and how many rows the store has in all, where it keeps every one."""

    trades: dict[tuple[str, str], tuple[Any, ...]]
    """(symbol, id) → price, qty, side, time_us."""
    candles: dict[tuple[str, int], tuple[Any, ...]]
    """(symbol, open_time_ms) → revision, close, volume, quote_volume, status."""
    rows: int | None = None
    places: list[tuple[Any, ...]] | None = None
    """(dataset, partition, offset) of every row, where the store keeps all records of the log."""


def redis_client(settings: Settings) -> "Redis[bytes] | RedisCluster[bytes]":
    """A plain client of one server or of a cluster."""
    scheme, _, address = redis_address(settings).partition("://")
    if scheme == "redis+cluster":
        return RedisCluster.from_url(f"redis://{address}")
    return Redis.from_url(redis_address(settings))


async def of_redis(settings: Settings) -> Held:
    client = redis_client(settings)
    prefix = settings.prefix
    trades, candles = {}, {}
    try:
        async for key in client.scan_iter(f"{prefix}cw:*"):
            assert await client.ttl(key) > 0, f"{key!r} has no TTL"
            if key.startswith(f"{prefix}cw:trades:{{".encode()):
                ids = await client.zrange(key, 0, -1)
                data = await client.hgetall(key.replace(b"cw:trades:", b"cw:trades:data:"))
                assert sorted(ids) == sorted(data)
                for one in map(json.loads, data.values()):
                    trades[one["symbol"], one["trade_id"]] = _trade(one)
            elif key.startswith(f"{prefix}cw:candles:1m:".encode()):
                values = [json.loads(value) for value in await client.zrange(key, 0, -1)]
                assert len({one["open_time_ms"] for one in values}) == len(values)
                candles |= {(one["symbol"], one["open_time_ms"]): _candle(one) for one in values}
    finally:
        await client.aclose()
    return Held(trades, candles)


async def of_clickhouse(settings: Settings) -> Held:
    client = await clickhouse_connect.get_async_client(
        dsn=clickhouse_address(settings), database=settings.clickhouse_database
    )
    try:
        trades = await client.query("SELECT symbol, trade_id, price, qty, side, time FROM trades FINAL")
        candles = await client.query(
            "SELECT symbol, open_time, revision, close, volume, quote_volume, status FROM candles FINAL"
        )
        rows = await client.query("SELECT (SELECT count() FROM trades) + (SELECT count() FROM candles)")
    finally:
        await client.close()
    return Held(
        {(symbol, one): (price, qty, side, _us(time)) for symbol, one, price, qty, side, time in trades.result_rows},
        {(symbol, _us(time) // 1000): tuple(rest) for symbol, time, *rest in candles.result_rows},
        rows.result_rows[0][0],
    )


async def of_parquet(settings: Settings) -> Held:
    store = from_url(settings.cold or "")
    trades: dict[Any, Any] = {}
    candles: dict[Any, Any] = {}
    places: list[tuple[Any, ...]] = []
    for listed in obstore.list(store):
        for entry in listed:
            if not entry["path"].endswith(".parquet"):
                continue
            content = (await obstore.get_async(store, entry["path"])).bytes()
            rows = pq.read_table(pa.BufferReader(bytes(content))).to_pylist()
            dataset, exchange, date, _ = entry["path"].split("/")
            if dataset not in {"trades", "candles"}:
                continue
            places += [(dataset, row["partition"], row["offset"]) for row in rows]
            for row in rows:
                assert unquote(exchange) == f"exchange={row['exchange']}"
                if dataset == "trades":
                    assert date == f"date={row['time']:%Y-%m-%d}"
                    fields = (row["price"], row["qty"], row["side"], _us(row["time"]))
                    trades[row["symbol"], row["trade_id"]] = fields
                else:
                    key = (row["symbol"], _us(row["open_time"]) // 1000)
                    value = tuple(row[name] for name in ("revision", "close", "volume", "quote_volume", "status"))
                    candles[key] = max(candles.get(key, value), value)
    return Held(trades, candles, places=sorted(places))


async def of_postgres(settings: Settings) -> Held:
    connection = await asyncpg.connect(postgres_address(settings))
    try:
        trades = await connection.fetch("SELECT symbol, trade_id, price, qty, side, time FROM trades")
        candles = await connection.fetch(
            "SELECT symbol, open_time, revision, close, volume, quote_volume, status FROM candles"
        )
    finally:
        await connection.close()
    return Held(
        {(symbol, one): (price, qty, side, _us(time)) for symbol, one, price, qty, side, time in trades},
        {(symbol, _us(time) // 1000): tuple(rest) for symbol, time, *rest in candles},
        len(trades) + len(candles),
    )


def _trade(one: dict[str, Any]) -> tuple[Any, ...]:
    return Decimal(one["price"]), Decimal(one["qty"]), one["side"], one["time_us"]


def _candle(one: dict[str, Any]) -> tuple[Any, ...]:
    sums = (Decimal(one[name]) for name in ("close", "volume", "quote_volume"))
    return one["revision"], *sums, one["status"]


def _us(time: dt.datetime) -> int:
    time = time if time.tzinfo else time.replace(tzinfo=dt.UTC)
    return (time - _EPOCH) // (_MS / 1000)


def expected(trades: list[dict[str, Any]], candles: list[dict[str, Any]]) -> Held:
    """What must be held of these records."""
    newest: dict[Any, dict[str, Any]] = {}
    for one in candles:
        key = (one["symbol"], one["open_time_ms"])
        if key not in newest or one["revision"] >= newest[key]["revision"]:
            newest[key] = one
    return Held(
        {(one["symbol"], one["trade_id"]): _trade(one) for one in trades},
        {key: _candle(one) for key, one in newest.items()},
    )


@dataclass(frozen=True)
class Target:
    """One parameter of the contract suite."""

    name: str
    store: Callable[[Settings], Store]
    held: Callable[[Settings], Any]

    def config(self, *, once: bool = True, file_records: int = 7, instance_id: str | None = None) -> SinkConfig:
        return SinkConfig(once=once, instance_id=instance_id, rolling_policy=RollingPolicy(records=file_records))


TARGETS = {
    "redis": Target("redis", RedisStore, of_redis),
    "redis-cluster": Target("redis", RedisStore, of_redis),
    "clickhouse": Target("clickhouse", ClickHouseStore, of_clickhouse),
    "parquet": Target("parquet", ParquetStore, of_parquet),
    "parquet-s3": Target("parquet", ParquetStore, of_parquet),
    "postgres": Target("postgres", PostgresStore, of_postgres),
}

"""What a store holds, read with its own plain means: raw commands, SQL, Parquet files; none of our readers."""

import datetime as dt
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from operator import itemgetter
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

_US = dt.timedelta(microseconds=1)
_EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
_MINUTE_US = 60_000_000
_TRADES = "SELECT exchange, symbol, trade_id, price, qty, side, time, received, source, seq FROM trades"
_CANDLES = (
    "SELECT exchange, symbol, timeframe, open_time, close_time, open, high, low, close, volume, quote_volume, trades, "
    "taker_buy_volume, taker_buy_quote_volume, first_trade_id, last_trade_id, revision, status FROM candles"
)
_AMOUNTS = (
    "open", "high", "low", "close", "volume", "quote_volume", "taker_buy_volume", "taker_buy_quote_volume",
)  # fmt: skip


@dataclass
class Held:
    """Each data key once; and how many rows the store has in all, where it keeps every one."""

    trades: dict[tuple[Any, ...], tuple[Any, ...]]
    """(exchange, symbol, minute, id) → the other fields."""
    candles: dict[tuple[Any, ...], tuple[Any, ...]]
    """(exchange, symbol, timeframe, open_time_ms) → revision, and the other fields."""
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
                    trades[trade_key(one)] = trade_fields(one)
            elif key.startswith(f"{prefix}cw:candles:1m:".encode()):
                values = [json.loads(value) for value in await client.zrange(key, 0, -1)]
                assert len({one["open_time_ms"] for one in values}) == len(values)
                candles |= {candle_key(one): candle_fields(one) for one in values}
    finally:
        await client.aclose()
    return Held(trades, candles)


async def of_clickhouse(settings: Settings) -> Held:
    client = await clickhouse_connect.get_async_client(
        dsn=clickhouse_address(settings), database=settings.clickhouse_database
    )
    try:
        trades = await client.query(f"{_TRADES} FINAL")
        candles = await client.query(f"{_CANDLES} FINAL")
        rows = await client.query("SELECT (SELECT count() FROM trades) + (SELECT count() FROM candles)")
    finally:
        await client.close()
    return _held(trades.named_results(), candles.named_results(), rows.result_rows[0][0])


async def of_parquet(settings: Settings) -> Held:
    store = from_url(settings.cold or "")
    rows: dict[str, list[dict[str, Any]]] = {"trades": [], "candles": []}
    for listed in obstore.list(store):
        for entry in listed:
            if not entry["path"].endswith(".parquet"):
                continue
            content = (await obstore.get_async(store, entry["path"])).bytes()
            dataset, exchange, date, _ = entry["path"].split("/")
            if dataset not in rows:
                continue
            of_file = pq.read_table(pa.BufferReader(bytes(content))).to_pylist()
            assert {f"exchange={row['exchange']}" for row in of_file} == {unquote(exchange)}
            assert dataset != "trades" or {f"date={row['time']:%Y-%m-%d}" for row in of_file} == {date}
            rows[dataset] += of_file
    held = _held(sorted(rows["trades"], key=_rank), sorted(rows["candles"], key=itemgetter("revision")))
    held.places = sorted((name, row["partition"], row["offset"]) for name, of_name in rows.items() for row in of_name)
    return held


def _rank(row: dict[str, Any]) -> tuple[bool, int]:
    """Of several copies of a trade the greatest counts: a run's last, else the first live one (docs/stores.md)."""
    is_live = row["run"] is None
    return not is_live, -row["offset"] if is_live else row["offset"]


async def of_postgres(settings: Settings) -> Held:
    connection = await asyncpg.connect(postgres_address(settings))
    try:
        trades = await connection.fetch(_TRADES)
        candles = await connection.fetch(_CANDLES)
    finally:
        await connection.close()
    return _held(trades, candles, len(trades) + len(candles))


def _held(trades: Iterable[Mapping[str, Any]], candles: Iterable[Mapping[str, Any]], rows: int | None = None) -> Held:
    """Of rows as a store's client gives them; of rows with the same key the last."""
    of_trades = [{**row, "time_us": _us(row["time"]), "received_us": _us(row["received"])} for row in trades]
    of_candles = [
        {**row, **{f"{name}_ms": _us(row[name]) // 1000 for name in ("open_time", "close_time")}} for row in candles
    ]
    return Held(
        {trade_key(one): trade_fields(one) for one in of_trades},
        {candle_key(one): candle_fields(one) for one in of_candles},
        rows,
    )


def trade_key(one: Mapping[str, Any]) -> tuple[Any, ...]:
    """What makes a trade another trade."""
    return one["exchange"], one["symbol"], one["time_us"] // _MINUTE_US, one["trade_id"]


def trade_fields(one: Mapping[str, Any]) -> tuple[Any, ...]:
    amounts = Decimal(one["price"]), Decimal(one["qty"])
    return *amounts, one["side"], one["time_us"], one["received_us"], one["source"], one.get("seq")


def candle_key(one: Mapping[str, Any]) -> tuple[Any, ...]:
    """What makes a candle another candle."""
    return one["exchange"], one["symbol"], one["timeframe"], one["open_time_ms"]


def candle_fields(one: Mapping[str, Any]) -> tuple[Any, ...]:
    """The revision first, by which copies replace each other."""
    amounts = (Decimal(one[name]) for name in _AMOUNTS)
    ids = one["first_trade_id"], one["last_trade_id"]
    return one["revision"], *amounts, one["trades"], *ids, one["status"], one["close_time_ms"]


def _us(time: dt.datetime) -> int:
    time = time if time.tzinfo else time.replace(tzinfo=dt.UTC)
    return (time - _EPOCH) // _US


def expected(trades: list[dict[str, Any]], candles: list[dict[str, Any]]) -> Held:
    """What must be held of these records."""
    by_revision = sorted(candles, key=itemgetter("revision"))
    return Held(
        {trade_key(one): trade_fields(one) for one in trades},
        {candle_key(one): candle_fields(one) for one in by_revision},
    )


@dataclass(frozen=True)
class Target:
    """One parameter of the contract suite."""

    name: str
    store: Callable[[Settings], Store]
    held: Callable[[Settings], Any]
    s3: str | None = None
    """The fixture that has the address of its S3 server."""

    def config(self, *, once: bool = True, file_records: int = 7, instance_id: str | None = None) -> SinkConfig:
        return SinkConfig(once=once, instance_id=instance_id, rolling_policy=RollingPolicy(records=file_records))


TARGETS = {
    "redis": Target("redis", RedisStore, of_redis),
    "redis-cluster": Target("redis", RedisStore, of_redis),
    "clickhouse": Target("clickhouse", ClickHouseStore, of_clickhouse),
    "parquet": Target("parquet", ParquetStore, of_parquet),
    "parquet-s3": Target("parquet", ParquetStore, of_parquet, s3="s3_server"),
    "parquet-versitygw": Target("parquet", ParquetStore, of_parquet, s3="versitygw"),
    "postgres": Target("postgres", PostgresStore, of_postgres),
}

"""What each store has of its own, and its readers."""

import asyncio
import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from eventually import eventually
from holdings import TARGETS
from log import T0_US, candle, publish, record, rewind, trade

from market.timeframe import Timeframe
from market.topics import Topics
from runtime.kafka import Outgoing
from runtime.settings import Settings, clickhouse_address, redis_address
from sinks.clickhouse import read as warm
from sinks.clickhouse.connect import connect as connect_clickhouse
from sinks.parquet import read as cold
from sinks.parquet.connect import connect as connect_cold
from sinks.redis import keys
from sinks.redis import read as hot
from sinks.redis.connect import connect as connect_redis
from sinks.runner import run_sink

KEY = "binance:BTC-USDT"
WINDOW = {
    "minutes": 60, "open": "1", "high": "2", "low": "1", "close": "2", "change": "-1.5", "change_percent": "-50.1234",
    "vwap": None, "volume": "1", "quote_volume": "2", "taker_buy_volume": "1", "trades": 3, "status": "hole",
}  # fmt: skip


def ticker(time_ms: int, revision: int, **fields: Any) -> dict[str, Any]:
    return {
        "exchange": "binance", "symbol": "BTC-USDT", "time_ms": time_ms, "last": "2", "live": False,
        "revision": revision, "windows": {"1h": WINDOW, "24h": WINDOW},
    } | fields  # fmt: skip


async def once(name: str, settings: Settings, **config: Any) -> None:
    target = TARGETS[name]
    await run_sink(settings, target.store(settings), target.config(**config), asyncio.Event())


@pytest.fixture
def few_trades(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("sinks.redis.encode.TRADES_KEPT", 5)
    return None


@pytest.mark.usefixtures("few_trades")
async def test_redis_keeps_the_latest_trades_by_time_and_id(settings: Settings, topics: Topics) -> None:
    same_time = {"time_us": T0_US + 50_000}
    trades = [trade(9, **same_time), trade(10, **same_time), trade(100, **same_time), *map(trade, (1, 2, 60, 70, 3))]
    await publish(settings, topics.trades, [record(one) for one in trades])
    await publish(settings, topics.trades, [record(trade(200, time_us=T0_US + 10**9), run="r1")])
    await once("redis", settings)
    client = connect_redis(redis_address(settings))
    latest = await hot.read_trades(client, settings.prefix, KEY, limit=4)
    assert [one.trade_id for one in latest] == ["70", "60", "100", "10"]
    assert await client.hlen(keys.trades_data_key(settings.prefix, KEY)) == 5
    await client.aclose()


async def test_redis_replaces_candles_and_tickers_only_by_newer_ones_and_tells_subscribers(
    settings: Settings, topics: Topics
) -> None:
    client = connect_redis(redis_address(settings))
    heard = client.pubsub()
    channel = keys.ticker_key(settings.prefix, KEY)
    await heard.subscribe(channel)
    five = [candle(0, revision, timeframe="5m") for revision in (4, 9, 7)]
    live = [candle(5, 20, status="open"), candle(6, 30, status="open"), candle(5, 40, status="open")]
    tickers = [ticker(60_000, 5), ticker(120_000, 9), ticker(60_000, 30), ticker(120_000, 8), ticker(120_000, 9)]
    await publish(settings, topics.candles(Timeframe.M5), [record(one) for one in five])
    await publish(settings, topics.live, [record(one) for one in live])
    await publish(settings, topics.tickers, [record(one) for one in tickers])
    await once("redis", settings)
    assert [
        one.revision
        for one in await hot.read_candles(client, settings.prefix, KEY, from_ms=0, until_ms=10**15, timeframe="5m")
    ] == [9]
    opened = await hot.read_live(client, settings.prefix, KEY)
    assert opened is not None
    assert (opened.open_time_ms, opened.revision) == (candle(6, 0)["open_time_ms"], 30)
    newest = await hot.read_ticker(client, settings.prefix, KEY)
    assert newest is not None
    assert (newest.time_ms, newest.revision) == (120_000, 9)

    messages: list[bytes] = []

    async def told_twice() -> bool:
        message = await heard.get_message(ignore_subscribe_messages=True, timeout=0.1)
        messages.extend([message["data"]] if message else [])
        return len(messages) == 2

    assert await eventually(told_twice), "a redelivery is not told"
    await heard.aclose()
    await client.aclose()


async def test_clickhouse_keeps_the_first_sighting_and_reads_by_key(settings: Settings, topics: Topics) -> None:
    event = {"exchange": "binance", "symbol": "BTC-USDT", "event": "connected", "at_ms": 1_700_000_000_123}
    trades = [trade(1), trade(2), trade(1, source="rest")]
    [(partition, first), *_] = await publish(settings, topics.trades, [record(one) for one in trades])
    await publish(settings, topics.candles(), [record(candle(0, 5)), record(candle(0, 7), run="r1")])
    await publish(settings, topics.tickers, [record(ticker(60_000, 5)), record(ticker(60_000, 6, last="3"))])
    await publish(settings, topics.feeds, [record(event), record(event)])
    await once("clickhouse", settings)
    client = await connect_clickhouse(clickhouse_address(settings), database=settings.clickhouse_database)
    newest, oldest = await warm.read_trades(client, "binance", "BTC-USDT", limit=10)
    assert (oldest["source"], oldest["partition"], oldest["offset"]) == ("ws", partition, first)
    assert newest["trade_id"] == "2"
    [held] = await warm.read_candles(client, "binance", "BTC-USDT", from_ms=0, until_ms=10**13)
    assert (held["revision"], held["run"], held["open_time"]) == (
        7, "r1", dt.datetime(2023, 11, 14, 22, 14, tzinfo=dt.UTC),
    )  # fmt: skip
    windows = await warm.read_ticker(client, "binance", "BTC-USDT")
    assert [(row["window"], row["last"], row["vwap"]) for row in sorted(windows, key=lambda row: row["window"])] == [
        ("1h", 3, None),
        ("24h", 3, None),
    ]
    assert (await client.query("SELECT count() FROM feeds FINAL")).result_rows == [(2,)]
    await client.close()


async def test_the_same_log_makes_the_same_files_again(settings: Settings, topics: Topics) -> None:
    trades = [trade(number, symbol=f"S{number % 3}") for number in range(40)]
    await publish(settings, topics.trades, [record(one) for one in trades[:25]])
    await once("parquet", settings)
    await publish(settings, topics.trades, [Outgoing(b"binance:S1", None), *(record(one) for one in trades[25:])])
    await once("parquet", settings)
    folder = Path(urlsplit(settings.cold or "").path)
    files = contents(folder)
    assert len(files) > 6, "several files a partition"
    for path in list(files)[::2]:  # some are lost, some are there
        path.unlink()
    await rewind(settings, "sink.parquet", [topics.trades])
    await once("parquet", settings)
    assert contents(folder) == files


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*.parquet")}


async def test_the_cold_store_reads_a_day_by_key(settings: Settings, topics: Topics) -> None:
    await publish(settings, topics.trades, [record(one) for one in map(trade, (3, 1, 2, 1))])
    await publish(settings, topics.candles(), [record(candle(0, 9)), record(candle(1, 8)), record(candle(0, 7))])
    await once("parquet", settings)
    client = connect_cold(settings.cold or "")
    day = dt.date(2023, 11, 14)
    assert [row["trade_id"] for row in await cold.read_trades(client, "binance", "BTC-USDT", day)] == ["1", "2", "3"]
    assert [row["revision"] for row in await cold.read_candles(client, "binance", "BTC-USDT", day)] == [9, 8]
    assert await cold.read_trades(client, "binance", "ETH-USDT", day) == []

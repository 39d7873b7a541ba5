"""What each store has of its own, and its readers."""

import asyncio
import datetime as dt
import json
from collections.abc import Iterator
from decimal import Context, Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import polars as pl
import pytest
from cold_rows import read_day
from eventually import eventually
from holdings import TARGETS
from log import T0_US, candle, dead_letters, publish, record, rewind, trade
from records import BAR, EVENT, FUNDING, INSTRUMENT, SIGNAL

from market.key import MarketKey
from market.timeframe import Timeframe
from market.topics import Topics
from market.trade import Source
from runtime.kafka import Outgoing
from runtime.settings import Settings, clickhouse_address, redis_address
from sinks.clickhouse import read as warm
from sinks.clickhouse.connect import connect as connect_clickhouse
from sinks.clickhouse.read_candles import read_minutes
from sinks.parquet.connect import connect as connect_cold
from sinks.record_forms import RecordKind
from sinks.redis import keys
from sinks.redis import read as hot
from sinks.redis.connect import connect as connect_redis
from sinks.runner import run_sink

pytestmark = pytest.mark.usefixtures("longer_candles")

MARKET = MarketKey("binance", "BTC-USDT")
KEY = str(MARKET)
WINDOW = {
    "minutes": 60, "open": "1", "high": "2", "low": "1", "close": "2", "change": "-1.5", "change_percent": "-50.1234",
    "vwap": None, "volume": "1", "quote_volume": "2", "taker_buy_volume": "1", "trades": 3, "status": "hole",
    "since_ms": 0, "missing": 0, "taker_buy_share": "0.5", "realised_volatility": None,
}  # fmt: skip
RATE = {
    "exchange": "binance-usdm", "symbol": "BTC-USDT-PERP", "time_ms": 120_000, "rate": "0.0001", "kind": "settled",
    "mark_price": "42313.9",
}  # fmt: skip
LISTED = {
    "exchange": "binance", "symbol": "BTC-USDT", "native": "BTCUSDT", "base": "BTC", "quote": "USDT", "tick": "0.01",
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
    monkeypatch.setattr("sinks.redis.trades.TRADES_KEPT", 5)
    return None


@pytest.mark.usefixtures("few_trades")
async def test_redis_keeps_the_latest_trades_by_time_and_id(settings: Settings, topics: Topics) -> None:
    same_time = {"time_us": T0_US + 50_000}
    trades = [trade(9, **same_time), trade(10, **same_time), trade(100, **same_time), *map(trade, (1, 2, 60, 70, 3))]
    await publish(settings, topics.trades, [record(one) for one in trades])
    await publish(settings, topics.trades, [record(trade(200, time_us=T0_US + 10**9), run="r1")])
    await once("redis", settings)
    client = connect_redis(redis_address(settings))
    latest = await hot.read_trades(client, settings.prefix, MARKET, limit=4)
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
    five = [candle(1, revision, timeframe="5m", close_time_ms=1_700_000_399_999) for revision in (4, 9, 7)]
    live = [candle(5, 20, status="open"), candle(6, 30, status="open"), candle(5, 40, status="open")]
    tickers = [ticker(60_000, 5), ticker(120_000, 9), ticker(60_000, 30), ticker(120_000, 8), ticker(120_000, 9)]
    await publish(settings, topics.candles(Timeframe.M5), [record(one) for one in five])
    await publish(settings, topics.live, [record(one) for one in live])
    await publish(settings, topics.tickers, [record(one) for one in tickers])
    await once("redis", settings)
    recent = await hot.read_newest_candle_values(client, settings.prefix, MARKET, Timeframe.M5, limit=9)
    assert [json.loads(one)["revision"] for one in recent] == [9]
    opened = await hot.read_live(client, settings.prefix, MARKET)
    assert opened is not None
    assert (opened.open_time_ms, opened.revision) == (candle(6, 0)["open_time_ms"], 30)
    newest = await hot.read_ticker(client, settings.prefix, MARKET)
    assert newest is not None
    assert (newest.time_ms, newest.revision) == (120_000, 9)

    messages: list[dict[str, Any]] = []

    async def told() -> bool:
        message = await heard.get_message(ignore_subscribe_messages=True, timeout=0.1)
        messages.extend([json.loads(message["data"])] if message else [])
        return bool(messages)

    assert await eventually(told)
    assert messages == [{"skipped": 4, "records": [ticker(120_000, 9)]}]
    await heard.aclose()
    await client.aclose()


async def test_clickhouse_keeps_what_counts_and_reads_by_key(settings: Settings, topics: Topics) -> None:
    event = {"exchange": "binance", "symbol": "BTC-USDT", "event": "connected", "at_ms": 1_700_000_000_123}
    trades = [trade(1), trade(2), trade(1, source="rest", price="1")]
    [(partition, first), *_] = await publish(settings, topics.trades, [record(one) for one in trades])
    await publish(settings, topics.candles(), [record(candle(0, 5)), record(candle(0, 7), run="r1")])
    await publish(settings, topics.tickers, [record(ticker(60_000, 5)), record(ticker(60_000, 6, last="3"))])
    await publish(settings, topics.feeds, [record(event), record(event)])
    rates = [RATE | {"kind": kind, "rate": rate} for kind, rate in (("settled", "-0.01"), ("expected", "0.5"))]
    await publish(settings, topics.funding, [record(one) for one in [*rates, RATE | {"time_ms": 60_000}]])
    await publish(settings, topics.instruments, [record(LISTED), record(LISTED | {"tick": "0.1"})])
    await once("clickhouse", settings)
    client = await connect_clickhouse(clickhouse_address(settings), database=settings.clickhouse_database)
    newest, oldest = await warm.read_trades(client, MARKET, limit=10)
    assert (oldest.trade_id, oldest.source, newest.trade_id) == ("1", Source.WS, "2")
    place = "SELECT partition, offset FROM trades FINAL WHERE trade_id = '1'"
    assert (await client.query(place)).result_rows == [(partition, first)]
    [held] = await read_minutes(client, MARKET, [(0, 10**13)])
    assert json.loads(held) == candle(0, 7)
    assert (await client.query("SELECT run FROM candles FINAL")).result_rows == [("r1",)]
    statistics = await warm.read_ticker(client, MARKET)
    assert statistics is not None
    assert (statistics.last, sorted(statistics.windows), statistics.windows["1h"].vwap) == (3, ["1h", "24h"], None)
    assert (await client.query("SELECT count() FROM feeds FINAL")).result_rows == [(2,)]
    paid = "SELECT toUnixTimestamp64Milli(time), rate, kind, mark_price FROM funding FINAL ORDER BY time"
    assert (await client.query(paid)).result_rows == [
        (60_000, Decimal("0.0001"), "settled", Decimal("42313.9")),
        (120_000, Decimal("-0.01"), "settled", Decimal("42313.9")),
    ]
    listed = "SELECT native, tick, lot FROM instruments FINAL"
    assert (await client.query(listed)).result_rows == [("BTCUSDT", Decimal("0.1"), None)]
    await client.close()


async def copies(settings: Settings) -> dict[str, dict[str, str]]:
    """Store → id → price, as each reader gives them, and as a person asks ClickHouse."""
    redis = connect_redis(redis_address(settings))
    clickhouse = await connect_clickhouse(clickhouse_address(settings), database=settings.clickhouse_database)
    parquet = connect_cold(settings.cold or "")
    try:
        asked = await clickhouse.query("SELECT trade_id, price FROM trades FINAL")
        return {
            "hot": {
                one.trade_id: f"{one.price:f}"
                for one in await hot.read_trades(redis, settings.prefix, MARKET, limit=100)
            },
            "warm": {
                one.trade_id: f"{one.price.normalize():f}"
                for one in await warm.read_trades(clickhouse, MARKET, limit=100)
            },
            "warm, asked": {trade_id: f"{price.normalize():f}" for trade_id, price in asked.result_rows},
            "cold": {
                one["trade_id"]: f"{one['price'].normalize():f}"
                for one in await read_day(parquet, RecordKind.TRADES, MARKET, dt.date(2023, 11, 14))
            },
        }
    finally:
        await redis.aclose()
        await clickhouse.close()


async def test_the_copy_of_a_trade_that_counts_in_candles_is_the_one_that_every_store_keeps(
    settings: Settings, topics: Topics
) -> None:
    told: list[tuple[int, str, str | None, int]] = [  # id, price, run, microseconds later
        (1, "11", None, 0), (1, "12", None, 0),
        (2, "21", None, 0), (2, "22", None, 700_000),
        (3, "31", None, 0), (3, "32", "a", 500),
        (4, "41", None, 0), (4, "42", "a", 0), (4, "43", None, 0), (4, "44", "b", 0), (4, "45", None, 0),
        (5, "51", None, 0), (5, "52", "a", 0), (5, "53", "b", -700),
    ]  # fmt: skip
    counts = {"1": "11", "2": "21", "3": "32", "4": "44", "5": "53"}
    records = [
        record(trade(number, price=price, time_us=T0_US + 1000 * number + later), run=run)
        for number, price, run, later in told
    ]
    for part in (records[:8], records[8:]):
        await publish(settings, topics.trades, part)
        for name in ("redis", "clickhouse", "parquet"):
            await once(name, settings)
    wanted = dict.fromkeys(("hot", "warm", "warm, asked", "cold"), counts)
    assert await copies(settings) == wanted
    for name in ("redis", "clickhouse", "parquet"):
        await rewind(settings, f"sink.{name}", [topics.trades])
        await once(name, settings)
    assert await copies(settings) == wanted


async def test_trades_of_one_time_whose_ids_are_no_numbers_stand_in_the_order_of_seq(
    settings: Settings, topics: Topics
) -> None:
    ids = ["f7496ecb", "2089f1f4", "c6badf81", "b0000000"]
    same = [trade(0, trade_id=one, price=str(seq), seq=seq) for seq, one in enumerate(ids, 1)]
    await publish(settings, topics.trades, [record(one) for one in [*reversed(same), trade(7, time_us=T0_US)]])
    for name in ("redis", "clickhouse", "parquet"):
        await once(name, settings)
    held = await copies(settings)
    del held["warm, asked"]
    for name, prices in held.items():
        newest_first = list(prices) if name != "cold" else list(reversed(prices))
        assert newest_first == [*reversed(ids), "7"], name


async def test_a_person_s_sums_over_the_warm_store_are_right(settings: Settings, topics: Topics) -> None:
    trades = [trade(number, price="67000.1", qty="0.5") for number in range(1000)]
    most = [trade(number, price="9999999999999", qty="1", symbol="MOST") for number in range(1000)]
    least = [trade(0, price="0.0000000001", qty="0.000000000001", symbol="LEAST")]
    wide = {
        "high": "999999999999999",
        "low": "0.5",
        "volume": "99999999999999999999",
        "quote_volume": "9999999999999999",
    }
    candles = [candle(minute, 7) | wide for minute in range(100)]
    await publish(settings, topics.trades, [record(one) for one in [*trades, *most, *least]])
    await publish(settings, topics.candles(), [record(one) for one in candles])
    await once("clickhouse", settings)
    client = await connect_clickhouse(clickhouse_address(settings), database=settings.clickhouse_database)
    wanted = {"BTC-USDT": Decimal(33500050), "MOST": Decimal(9999999999999000), "LEAST": Decimal("1e-22")}
    sums = "SELECT symbol, sum(price * qty), sum(quote_qty), sum(price) FROM trades FINAL GROUP BY symbol"
    rows = {symbol: rest for symbol, *rest in (await client.query(sums)).result_rows}
    assert {symbol: product for symbol, (product, _, _) in rows.items()} == wanted
    assert {symbol: ready for symbol, (_, ready, _) in rows.items()} == wanted
    assert rows["BTC-USDT"][2] == Decimal(67000100)
    products = "SELECT sum(high * volume), sum(quote_volume), sum(quote_volume * high), sum(volume) FROM candles FINAL"
    high, volume, quote = (Decimal(wide[name]) for name in ("high", "volume", "quote_volume"))
    [found] = (await client.query(products)).result_rows
    context = Context(prec=80)
    assert list(found) == [
        context.multiply(context.multiply(high, volume), 100),
        100 * quote,
        context.multiply(context.multiply(quote, high), 100),
        100 * volume,
    ]
    await client.close()


async def test_cold_files_are_read_exactly_by_other_programs(settings: Settings, topics: Topics) -> None:
    fine = {"price": "0.000000000000000001", "qty": "0.0001"}
    sums = {"quote_volume": "9999999999999999.0000000000000000000001", "volume": "9.000000000000000001"}
    await publish(settings, topics.trades, [record(trade(1) | fine | {"trade_id": "x", "seq": 9}), record(trade(2))])
    await publish(settings, topics.candles(), [record(candle(0, 7) | sums)])
    await once("parquet", settings)
    folder = Path(urlsplit(settings.cold or "").path)
    trades = pl.read_parquet(f"{folder}/trades/**/*.parquet").sort("offset")
    assert trades.select("price", "qty", "seq").rows() == [
        (Decimal(fine["price"]), Decimal(fine["qty"]), 9),
        (Decimal("27002.5"), Decimal("0.001"), None),
    ]
    [(quote_volume, volume)] = pl.read_parquet(f"{folder}/candles/**/*.parquet")[["quote_volume", "volume"]].rows()
    assert (quote_volume, volume) == (Decimal(sums["quote_volume"]), Decimal(sums["volume"]))
    client = await connect_clickhouse(clickhouse_address(settings))
    files = f"file('{folder}/trades/*/*/*.parquet', Parquet)"
    exact = f"SELECT sum(toDecimal256(price, 18) * toDecimal256(qty, 18)), max(seq) FROM {files}"  # noqa: S608
    assert (await client.query(exact)).result_rows == [(Decimal("27.0025") + Decimal("1e-22"), 9)]
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


async def test_the_cold_store_keeps_funding_rates_events_and_every_version_of_an_instrument(
    settings: Settings, topics: Topics
) -> None:
    await publish(settings, topics.funding, [record(FUNDING), record(FUNDING | {"rate": "x"})])
    await publish(settings, topics.feeds, [record(EVENT), record(EVENT | {"event": "hole"})])
    await publish(settings, topics.instruments, [record(INSTRUMENT), record(INSTRUMENT | {"status": "halted"})])
    for _ in range(2):
        await once("parquet", settings)
        folder = Path(urlsplit(settings.cold or "").path)
        rates, events, listed = (
            pl.read_parquet(f"{folder}/{name}/**/*.parquet").sort("offset")
            for name in ("funding", "feeds", "instruments")
        )
        assert rates["rate"].to_list() == [Decimal(FUNDING["rate"])]
        assert events["event"].to_list() == ["connected", "hole"]
        assert listed["status"].to_list() == ["trading", "halted"]
        await rewind(settings, "sink.parquet", [topics.funding, topics.feeds, topics.instruments])
    assert len(await dead_letters(settings, topics.funding)) == 1


async def test_every_store_keeps_signals_with_the_numbers_that_they_were_made_from(
    settings: Settings, topics: Topics
) -> None:
    wide = {"spread_bps": "-" + "9" * 20 + "." + "9" * 18, "a|b": "0"}
    told = [
        SIGNAL | {"values": {"spread_bps": "1"}},
        SIGNAL | {"revision": 5, "state": "end", "values": wide},
        SIGNAL | {"revision": 4},
        SIGNAL | {"kind": "stale", "other": None},
    ]
    await publish(settings, topics.signals, [record(one) for one in [*told, SIGNAL | {"values": {"x": "y"}}]])
    redis = connect_redis(redis_address(settings))
    for _ in range(2):
        for name in ("redis", "clickhouse", "parquet"):
            await once(name, settings)
        held = await redis.zrange(keys.signals_key(settings.prefix, KEY), 0, -1)
        by_kind = {one["kind"]: one for one in map(json.loads, held)}
        assert (len(held), by_kind) == (2, {"spread": told[1], "stale": told[3]})
        client = await connect_clickhouse(clickhouse_address(settings), database=settings.clickhouse_database)
        asked = "SELECT kind, other, state, toUnixTimestamp64Milli(time), values FROM signals FINAL ORDER BY kind"
        [spread, stale] = (await client.query(asked)).result_rows
        assert spread == (
            "spread",
            "kraken:BTC-USDT",
            "end",
            60_000,
            {name: Decimal(text) for name, text in wide.items()},
        )
        assert stale[:2] == ("stale", "")
        assert (
            await client.query("SELECT values['spread_bps'] FROM signals FINAL WHERE kind = 'stale'")
        ).result_rows == [(Decimal("-1.5"),)]
        await client.close()
        folder = Path(urlsplit(settings.cold or "").path)
        versions = pl.read_parquet(f"{folder}/signals/**/*.parquet").sort("offset")
        assert versions["revision"].to_list() == [2, 5, 4, 2]
        assert versions["values"].to_list()[1] == {name: Decimal(text) for name, text in wide.items()}
        for name in ("redis", "clickhouse", "parquet"):
            await rewind(settings, f"sink.{name}", [topics.signals])
    await redis.aclose()
    refused = await dead_letters(settings, topics.signals)
    assert len(refused) == 3, "one for each sink"


async def test_every_store_keeps_bars_in_their_greatest_revision_and_apart_by_run(
    settings: Settings, topics: Topics
) -> None:
    bar = BAR | {"series_begin_us": T0_US, "open_time_us": T0_US + 1, "close_time_us": T0_US + 2}
    late = bar | {"revision": 5, "late_trades": 2, "status": "hole"}
    anew = bar | {"series_begin_us": T0_US + 1}
    told = [bar, late, bar | {"revision": 4}, bar | {"threshold": "0.5", "remainder": "0"}, anew]
    records = [*(record(one) for one in told), record(bar, run="r1"), record(bar | {"remainder": "1000000"})]
    await publish(settings, topics.bars, records)
    redis = connect_redis(redis_address(settings))
    for _ in range(2):
        for name in ("redis", "clickhouse", "parquet"):
            await once(name, settings)
        held = await redis.zrange(keys.bars_key(settings.prefix, KEY, "dollar", Decimal(1000000)), 0, -1)
        assert sorted(map(json.loads, held), key=lambda one: int(one["series_begin_us"])) == [late, anew]
        client = await connect_clickhouse(clickhouse_address(settings), database=settings.clickhouse_database)
        asked = (
            "SELECT threshold, run, toUnixTimestamp64Micro(series_begin) - {t0:Int64}, "
            "toUnixTimestamp64Micro(close_time) - {t0:Int64}, revision, late_trades, status, "
            "sum(quote_volume) FROM bars FINAL GROUP BY ALL ORDER BY ALL"
        )
        assert (await client.query(asked, parameters={"t0": T0_US})).result_rows == [
            (Decimal("0.5"), "", 0, 2, 1, 0, "complete", 1000001),
            (Decimal(1000000), "", 0, 2, 5, 2, "hole", 1000001),
            (Decimal(1000000), "", 1, 2, 1, 0, "complete", 1000001),
            (Decimal(1000000), "r1", 0, 2, 1, 0, "complete", 1000001),
        ]
        await client.close()
        folder = Path(urlsplit(settings.cold or "").path)
        versions = pl.read_parquet(f"{folder}/bars/**/*.parquet").sort("offset")
        assert versions["revision"].to_list() == [1, 5, 4, 1, 1, 1]
        assert versions["run"].to_list() == [None] * 5 + ["r1"]
        for name in ("redis", "clickhouse", "parquet"):
            await rewind(settings, f"sink.{name}", [topics.bars])
    await redis.aclose()
    assert len(await dead_letters(settings, topics.bars)) == 3, "one for each sink"


async def test_the_cold_store_reads_a_day_by_key(settings: Settings, topics: Topics) -> None:
    await publish(settings, topics.trades, [record(one) for one in map(trade, (3, 1, 2, 1))])
    await publish(settings, topics.candles(), [record(candle(0, 9)), record(candle(1, 8)), record(candle(0, 7))])
    await once("parquet", settings)
    client = connect_cold(settings.cold or "")
    day = dt.date(2023, 11, 14)
    assert [one["trade_id"] for one in await read_day(client, RecordKind.TRADES, MARKET, day)] == ["1", "2", "3"]
    assert [one["revision"] for one in await read_day(client, RecordKind.CANDLES, MARKET, day)] == [9, 8]
    assert await read_day(client, RecordKind.TRADES, MarketKey("binance", "ETH-USDT"), day) == []


async def test_a_store_says_which_markets_it_holds(settings: Settings, topics: Topics) -> None:
    await publish(settings, topics.candles(), [record(candle(0, 1)), record(candle(0, 1, symbol="ETH-USDT"))])
    await publish(settings, topics.trades, [record(trade(1, symbol="XRP-USDT"))])
    for name in ("redis", "clickhouse"):
        await once(name, settings)
    redis = connect_redis(redis_address(settings))
    clickhouse = await connect_clickhouse(clickhouse_address(settings), database=settings.clickhouse_database)
    with_candles, with_trades = {MARKET, MarketKey("binance", "ETH-USDT")}, MarketKey("binance", "XRP-USDT")
    assert await hot.read_markets(redis, settings.prefix, most=10) == with_candles
    assert await warm.read_markets(clickhouse, most=10) == with_candles
    assert len(await warm.read_markets(clickhouse, most=1)) == 1
    for market, is_held in ((MARKET, True), (with_trades, True), (MarketKey("binance", "BTCUSDT"), False)):
        assert await hot.is_market_held(redis, settings.prefix, market) == is_held
        assert await warm.is_market_held(clickhouse, market) == is_held
    await redis.aclose()
    await clickhouse.close()

"""The verifier on real stores: it finds nothing where all is right, and names each thing that was made wrong."""

import asyncio
import json
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import asyncpg
import pytest

from candlewick.commands.run import report
from candlewick.verify.expected import MINUTE_US, Sent, SpanUs
from candlewick.verify.findings import Findings
from candlewick.verify.truth import Truth
from candlewick.verify.verify import verify
from processors.bars.config import BarsConfig
from processors.bars.thresholds import parse_thresholds
from processors.bars.worker import run_bars
from processors.candles.config import CandlesConfig
from processors.candles.worker import run_candles
from producers.simulator.server import serving
from producers.simulator.settings import SimulatorSettings
from runtime.kafka import Outgoing, Publisher
from runtime.settings import Settings, clickhouse_address, postgres_address, redis_address
from serving import server as api
from sinks.clickhouse.store import ClickHouseStore
from sinks.parquet.store import ParquetStore
from sinks.postgres.store import PostgresStore
from sinks.redis.connect import connect
from sinks.redis.store import RedisStore
from sinks.runner import SinkConfig, run_sink
from sinks.store import Store

BEGIN_US = 1_700_000_040_000_000
SPAN = SpanUs(BEGIN_US, BEGIN_US + 4 * MINUTE_US)
GOOD, UNMARKED, INVERTED, LOST, REPEATED, EARLY = "BTCUSDT", "ETHUSDT", "SOLUSDT", "XRPUSDT", "BNBUSDT", "LTCUSDT"
SYMBOLS = (GOOD, UNMARKED, INVERTED, LOST, REPEATED, EARLY)
BARS_FILE = '["binance:BTC-USDT"]\ntick = [200]\n'
MARKET = SimulatorSettings(symbols=SYMBOLS, seed=7, speed=1.0, start_us=SPAN.until_us + MINUTE_US, port=0)


def signal(number: int, revision: int) -> dict[str, object]:
    return {
        "exchange": "binance", "symbol": "BTC-USDT", "kind": "spread", "state": "begin", "severity": "info",
        "time_ms": BEGIN_US // 1000 + number * 60_000, "revision": revision, "other": "kraken:BTC-USDT",
        "window_minutes": 1, "values": {"spread_bps": "31.5", "bought": "100", "sold": "101.25"},
    }  # fmt: skip


def trade_record(key: str, trade: Sent) -> Outgoing:
    exchange, symbol = key.split(":")
    value = {
        "exchange": exchange,
        "symbol": symbol,
        "trade_id": trade.trade_id,
        "price": trade.price,
        "qty": trade.qty,
        "side": trade.side,
        "time_us": trade.time_us,
        "received_us": trade.time_us,
        "source": "ws",
    }
    return Outgoing(key.encode(), json.dumps(value).encode())


def marker_record(key: str, until_us: int, proof: str, last_price: str) -> Outgoing:
    headers = {"complete_until_us": until_us, "published_until_us": until_us, "proof": proof, "last_price": last_price}
    return Outgoing(key.encode(), None, [(name, str(value).encode()) for name, value in headers.items()])


def feed(key: str, symbol: str, trades: Iterable[Sent], last_price: str) -> Iterator[Outgoing]:
    """What a feed would publish of the span, but for what the symbol stands for."""
    left = list(trades)
    yield marker_record(key, SPAN.from_us, "begin", last_price)
    for open_us in SPAN.minutes():
        minute = [trade for trade in left if open_us <= trade.time_us < open_us + MINUTE_US]
        for at, trade in enumerate(minute):
            if symbol == LOST and open_us == SPAN.from_us and at == 0:
                continue
            if symbol == INVERTED and open_us == SPAN.from_us and at == 0:
                trade = trade._replace(side={"buy": "sell", "sell": "buy"}[trade.side])  # noqa: PLW2901
            yield trade_record(key, trade)
            if symbol == REPEATED and at == 0:
                yield trade_record(key, trade)
        if not (symbol == UNMARKED and open_us == SPAN.from_us + MINUTE_US):
            yield marker_record(key, open_us + MINUTE_US, "ids", last_price)
    if symbol == EARLY:
        for ahead in range(1, 5):
            yield marker_record(key, SPAN.until_us + ahead * MINUTE_US, "ids", last_price)


async def fill(
    settings: Settings, url: str, environment: Mapping[str, str], *more: Store, with_bars: bool = False
) -> None:
    """Publish the market and let the pipeline take it in; into `more` stores too."""
    async with Truth(url) as truth, Publisher(settings) as publisher:
        for key, market in (await truth.keys({"binance": SYMBOLS})).items():
            last_price = await truth.last_price(market, SPAN.from_us)
            records = feed(key, market.symbol, await truth.trades(market, SPAN), last_price or "1")
            await publisher.await_acknowledgements(
                await publisher.send_batches(settings.topics.trades, list(records), settings.partitions)
            )
    await run_candles(settings, CandlesConfig(once=True), asyncio.Event())
    rolling = [sys.executable, "-m", "candlewick", "rolling", "--once"]
    assert await (await asyncio.create_subprocess_exec(*rolling, env=environment)).wait() == 0
    if with_bars:
        await make_bars_and_signals(settings)
    stores = (RedisStore(settings), ClickHouseStore(settings), ParquetStore(settings), *more)
    await asyncio.gather(*(run_sink(settings, store, SinkConfig(once=True), asyncio.Event()) for store in stores))


async def make_bars_and_signals(settings: Settings) -> None:
    config = BarsConfig(thresholds=parse_thresholds(BARS_FILE, "bars.toml"), once=True)
    await run_bars(settings, config, asyncio.Event())
    async with Publisher(settings) as publisher:
        signals = [
            Outgoing(b"binance:BTC-USDT", json.dumps(signal(number, number + 10)).encode()) for number in range(3)
        ]
        await publisher.await_acknowledgements(
            await publisher.send_batches(settings.topics.signals, signals, settings.partitions)
        )


async def clickhouse(settings: Settings, statement: str) -> None:
    query = {"database": settings.clickhouse_database, "mutations_sync": "1"}
    async with (
        aiohttp.ClientSession() as session,
        session.post(clickhouse_address(settings), params=query, data=statement) as response,
    ):
        assert response.ok, await response.text()


def copy_a_file(settings: Settings, dataset: str) -> None:
    root = Path(urlsplit(settings.cold or "").path)
    first = min(root.glob(f"{dataset}/**/*.parquet"))
    shutil.copy(first, first.with_name("again.parquet"))


async def change_in_redis(settings: Settings, name: str, **changes: object) -> None:
    """The oldest of a list of BTC-USDT."""
    client = connect(redis_address(settings))
    key = f"{settings.prefix}cw:{name}:{{binance:BTC-USDT}}"
    (member, score), *_ = await client.zrange(key, 0, 0, withscores=True)
    await client.zrem(key, member)
    await client.zadd(key, {json.dumps({**json.loads(member), **changes}): score})
    await client.aclose()


async def spoil_postgres(settings: Settings, *statements: str) -> None:
    connection = await asyncpg.connect(postgres_address(settings))
    for statement in statements:
        assert not (await connection.execute(f"{statement} AND symbol = 'BTC-USDT'")).endswith(" 0")
    await connection.close()


async def shift_the_ticker(settings: Settings) -> None:
    client = connect(redis_address(settings))
    key = f"{settings.prefix}cw:ticker:{{binance:BTC-USDT}}"
    held = json.loads(await client.get(key) or b"")
    await client.set(key, json.dumps({**held, "time_ms": held["time_ms"] - 60_000}))
    await client.aclose()


def named(findings: Findings, *words: str) -> bool:
    assert report(findings) == 3
    return any(all(word in sentence for word in words) for sentence in findings.named)


@pytest.mark.usefixtures("longer_candles")
async def test_what_is_right_is_verified_and_what_was_made_wrong_is_named(
    settings: Settings, environment: dict[str, str]
) -> None:
    async with serving(MARKET) as (_, url):
        await fill(settings, url, environment)

        async def held(symbol: str = GOOD, *, again: bool = False) -> Findings:
            async with api.serving(settings, api.ServeSettings(port=0)) as (address, _):
                return await verify(settings, url, markets={"binance": [symbol]}, disturbed=again, api=address)

        right = await held()
        assert report(right) == 0, right.named
        assert right.candles == 4
        rolled = f"{right.longer} candles of {len(right.timeframes)} longer timeframes, 4 tickers"
        counts = "0 missing, 0 duplicate, 0 different"
        assert right.summary() == f"verified: {right.trades} trades, 4 candles, {rolled}, {counts}"
        assert right.timeframes == {"3m"}
        assert right.asked_line() == "the API answered 3 questions about the same"

        assert named(await held(UNMARKED), "missing: the marker of binance:ETH-USDT", "22:15")
        assert named(await held(INVERTED), "different: the log's trade", "binance:SOL-USDT")
        inverted = await held(INVERTED)
        for place in ("Kafka:", "the API:", "the API's newest:"):
            assert named(inverted, "different: the candle of binance:SOL-USDT", f"in {place}", "taker_buy_volume")
        assert named(await held(LOST), "missing: trade", "of binance:XRP-USDT in the log")
        repeated = await held(REPEATED, again=True)
        assert (report(repeated), repeated.redelivered) == (0, 4), repeated.named
        assert named(await held(REPEATED), "4 trades at a second offset in a first run without faults")
        assert named(await held(EARLY), "different: the newest marker of binance:LTC-USDT", "not over yet")
        assert named(await held("NOSUCH"), "the simulator does not trade it")

        await change_in_redis(settings, "candles:1m", volume="0.5")
        assert named(await held(), "different: the candle of binance:BTC-USDT", "in Redis", "volume is '0.5'")

        await clickhouse(settings, "ALTER TABLE trades DELETE WHERE symbol = 'BTC-USDT' AND trade_id LIKE '%7'")
        assert named(await held(), "missing: trade", "of binance:BTC-USDT in ClickHouse")

        copy_a_file(settings, "trades")
        assert named(await held(), "duplicate: ", "md.trades.v1 partition", "in Parquet")


@pytest.mark.usefixtures("longer_candles")
async def test_what_is_made_of_candles_and_trades_is_held_against_every_store(
    with_postgres: Settings, environment: dict[str, str]
) -> None:
    settings = with_postgres
    async with serving(MARKET) as (_, url):
        await fill(settings, url, environment, PostgresStore(settings), with_bars=True)

        async def held() -> Findings:
            return await verify(
                settings, url, markets={"binance": [GOOD]}, disturbed=False, postgres=True, thresholds=BARS_FILE
            )

        right = await held()
        assert report(right) == 0, right.named
        bars = right.bars or 0
        assert bars > 3
        assert {store: dict(counts) for store, counts in right.stored.items()} == {
            "Redis": {"candle": 1, "ticker": 3, "bar": bars, "signal": 3},
            "ClickHouse": {"ticker": 12, "bar": bars, "signal": 3},
            "PostgreSQL": {"ticker": 12, "bar": bars, "signal": 3},
            "Parquet": {"bar": bars, "signal": 3},
        }

        await change_in_redis(settings, "candles:3m", close="0.5")
        await change_in_redis(settings, "bars:tick:200", close="0.5")
        await change_in_redis(settings, "signals", severity="critical")
        await shift_the_ticker(settings)
        await clickhouse(
            settings, "ALTER TABLE tickers UPDATE vwap = 1 WHERE symbol = 'BTC-USDT' AND window = '7d' AND minutes = 4"
        )
        await clickhouse(settings, "ALTER TABLE bars DELETE WHERE symbol = 'BTC-USDT' AND number = 2")
        await clickhouse(settings, "ALTER TABLE signals UPDATE values = map('close', 1) WHERE revision = 11")
        await spoil_postgres(
            settings,
            "UPDATE tickers SET trades = 0 WHERE minutes = 4 AND \"window\" = '24h'",
            "DELETE FROM bars WHERE number = 1",
            "UPDATE signals SET state = 'end' WHERE revision = 10",
        )
        copy_a_file(settings, "signals")
        spoilt = await held()
        for words in (
            ("the 3m candle of binance:BTC-USDT", "in Redis: close is '0.5', not"),
            ("bar 1 of tick 200", "in Redis: close is '0.5', not"),
            ("the signal spread", "in Redis: severity is 'critical', not 'info'"),
            ("different: the window 24h of the ticker", "in Redis: the log has none, or a newer one in its place"),
            ("missing: the window 24h of the ticker", "in Redis"),
            ("the window 7d of the ticker", "in ClickHouse: vwap is '1', not"),
            ("missing: bar 2 of tick 200", "in ClickHouse"),
            ("the signal spread", "in ClickHouse: values is {'close': '1'}, not"),
            ("the window 24h of the ticker", "in PostgreSQL: trades is 0, not"),
            ("missing: bar 1 of tick 200", "in PostgreSQL"),
            ("the signal spread", "in PostgreSQL: state is 'end', not 'begin'"),
            ("duplicate: the signal spread", "in Parquet (", "md.signals.v1 partition"),
        ):
            assert named(spoilt, *words), (words, spoilt.named)

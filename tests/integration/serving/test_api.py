"""The interface over the real stores, asked over HTTP; its rows were written by the sinks."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
from prometheus_client import REGISTRY
from pydantic import SecretStr
from written import MINUTE, T0, candle, ticker, trade, write

from market.candle import Status
from runtime.errors import UsageError
from runtime.settings import Settings, load_settings
from serving.server import ServeSettings, serve, serving
from sinks.clickhouse.store import ClickHouseStore
from sinks.parquet.store import ParquetStore
from sinks.redis.store import RedisStore

ANY_PORT = ServeSettings(port=0)
BTC = {"exchange": "binance", "symbol": "BTC-USDT"}
NOWHERE = {"redis": SecretStr("redis://127.0.0.1:1"), "clickhouse": SecretStr("http://127.0.0.1:1")}


@dataclass
class Answer:
    status: int
    kind: str
    body: Any


Ask = Callable[..., Awaitable[Answer]]


@asynccontextmanager
async def asking(settings: Settings) -> AsyncIterator[Ask]:
    async with serving(settings, ANY_PORT) as (address, _), aiohttp.ClientSession(address) as session:

        async def ask(path: str, **query: Any) -> Answer:
            async with session.get(path, params=query) as response:
                return Answer(response.status, response.content_type, json.loads(await response.read()))

        yield ask


@pytest.fixture
async def filled(settings: Settings) -> Settings:
    """Minutes 0 to 2 in cold, 2 to 5 in warm but for 4, 5 to 7 in hot; 2 and 5 repaired in warm alone."""
    topics = settings.topics
    await write(ParquetStore(settings), topics.candles(), [candle(minute) for minute in (0, 1, 2)])
    repaired = [candle(minute, revision=9, close="27001", status=Status.KLINE) for minute in (2, 5)]
    await write(ClickHouseStore(settings), topics.candles(), [candle(3), *repaired], first=10)
    await write(RedisStore(settings), topics.candles(), [candle(minute) for minute in (5, 6, 7)], first=20)
    await write(ClickHouseStore(settings), topics.trades, [trade(number) for number in range(1, 9)])
    await write(RedisStore(settings), topics.trades, [trade(number) for number in (7, 8, 9)])
    await write(ClickHouseStore(settings), topics.tickers, [ticker("BTC-USDT", 1), ticker("ETH-USDT", 2)])
    await write(RedisStore(settings), topics.tickers, [ticker("BTC-USDT", 3)])
    return settings


async def test_one_answer_out_of_all_tiers_says_where_from_and_what_misses(filled: Settings) -> None:
    async with asking(filled) as ask:
        answer = await ask("/v1/candles", **BTC, from_ms=T0, until_ms=T0 + 10 * MINUTE)
        trades = await ask("/v1/trades", **BTC, limit=5)
        tickers = await ask("/v1/tickers", exchange="binance", symbols="BTC-USDT,ETH-USDT,XRP-USDT")
        health = await ask("/v1/health")
    expected = [
        json.loads(candle(minute, revision=9, close="27001", status=Status.KLINE) if minute == 2 else candle(minute))
        for minute in (0, 1, 2, 3, 5, 6, 7)
    ]
    assert (answer.status, answer.body["candles"]) == (200, expected)
    assert answer.body["source"] == {
        "ranges": [
            {"from_ms": T0, "until_ms": T0 + 2 * MINUTE, "tier": "cold"},
            {"from_ms": T0 + 2 * MINUTE, "until_ms": T0 + 4 * MINUTE, "tier": "warm"},
            {"from_ms": T0 + 5 * MINUTE, "until_ms": T0 + 8 * MINUTE, "tier": "hot"},
        ],
        "away": [],
    }
    assert answer.body["coverage"] == {
        "from_ms": T0, "until_ms": T0 + 10 * MINUTE, "expected": 10, "present": 7,
        "missing": [
            {"from_ms": T0 + 4 * MINUTE, "until_ms": T0 + 5 * MINUTE},
            {"from_ms": T0 + 8 * MINUTE, "until_ms": T0 + 10 * MINUTE},
        ],
        "statuses": {"complete": 6, "kline": 1}, "worst_status": "kline",
        "minutes_expected": 10, "minutes_present": 7,
    }  # fmt: skip
    assert trades.body["trades"] == [json.loads(trade(number)) for number in (9, 8, 7, 6, 5)]
    assert [sourced["tier"] for sourced in trades.body["source"]["ranges"]] == ["hot", "warm"]
    assert trades.body["coverage"]["id_ranges"] == [{"first": "5", "last": "9"}]
    assert tickers.body["tickers"] == [json.loads(ticker("BTC-USDT", 3)), json.loads(ticker("ETH-USDT", 2))]
    assert tickers.body["source"]["symbols"] == {"BTC-USDT": "hot", "ETH-USDT": "warm"}
    assert (tickers.body["coverage"]["missing"], tickers.body["coverage"]["worst_status"]) == (["XRP-USDT"], "hole")
    assert health.body["status"] == "ok"


async def test_without_times_the_last_candles_and_with_a_limit_pages(filled: Settings) -> None:
    async with asking(filled) as ask:
        newest = await ask("/v1/candles", **BTC, limit=2)
        page = await ask("/v1/candles", **BTC, from_ms=T0, limit=3)
        rest = await ask("/v1/candles", **BTC, from_ms=page.body["next_from_ms"], limit=5)
    assert [one["open_time_ms"] for one in newest.body["candles"]] == [T0 + 6 * MINUTE, T0 + 7 * MINUTE]
    assert [one["open_time_ms"] for one in page.body["candles"]] == [T0, T0 + MINUTE, T0 + 2 * MINUTE]
    assert [one["open_time_ms"] for one in rest.body["candles"]] == [T0 + minute * MINUTE for minute in (3, 5, 6, 7)]
    assert rest.body["next_from_ms"] is None


async def test_what_is_away_is_told_and_the_others_answer(filled: Settings) -> None:
    away = filled.model_copy(update=NOWHERE)
    async with asking(away) as ask:
        answer = await ask("/v1/candles", **BTC, from_ms=T0, until_ms=T0 + 3 * MINUTE)
        health = await ask("/v1/health")
        trades = await ask("/v1/trades", **BTC)
    assert [one["revision"] for one in answer.body["candles"]] == [7, 7, 7]
    assert answer.body["source"]["away"] == ["hot", "warm"]
    assert (health.status, health.body["status"]) == (200, "degraded")
    assert [health.body["tiers"][tier]["reachable"] for tier in ("hot", "warm", "cold")] == [False, False, True]
    assert (trades.status, trades.kind) == (503, "application/problem+json")
    async with asking(filled.model_copy(update={"redis": NOWHERE["redis"]})) as ask:
        trades = await ask("/v1/trades", **BTC, limit=2)
    assert [one["trade_id"] for one in trades.body["trades"]] == ["8", "7"]
    assert trades.body["source"]["away"] == ["hot"]


@pytest.mark.parametrize("name", ['it\'s \\ "odd"', "x' OR 1=1 --", "币安人生", "../..", "{x}", "%00"])
async def test_any_name_is_only_a_name(settings: Settings, name: str) -> None:
    await write(ClickHouseStore(settings), settings.topics.candles(), [candle(0)])
    async with asking(settings) as ask:
        for query in ({"exchange": name, "symbol": "BTC-USDT"}, {"exchange": "binance", "symbol": name}):
            answer = await ask("/v1/candles", **query, from_ms=T0, until_ms=T0 + MINUTE)
            assert (answer.status, answer.kind) == (404, "application/problem+json"), answer.body
            assert f"{query['exchange']}:{query['symbol']}" in answer.body["detail"]


async def test_wrong_requests_are_problems_in_one_sentence(settings: Settings) -> None:
    wrong: list[tuple[int, str, dict[str, Any], str]] = [
        (400, "/v1/candles", {"exchange": "binance"}, "symbol"),
        (400, "/v1/candles", BTC | {"limit": 10_001}, "10000"),
        (400, "/v1/candles", BTC | {"timeframe": "7x"}, "'7m'"),
        (400, "/v1/candles", BTC | {"timeframe": "13M"}, "a year"),
        (400, "/v1/candles", BTC | {"revision": "second"}, "'first'"),
        (400, "/v1/candles", BTC | {"from_ms": -1}, "from_ms"),
        (400, "/v1/candles", BTC | {"from_ms": 10**18}, "from_ms"),
        (400, "/v1/candles", BTC | {"from_ms": 2, "until_ms": 1}, "from_ms"),
        (400, "/v1/candles", BTC | {"form": 1}, "form"),
        (400, "/v1/candles", {"exchange": "a:b", "symbol": "x"}, "exchange: must not have a colon"),
        (400, "/v1/candles", {"exchange": "a", "symbol": "x\n"}, "symbol"),
        (400, "/v1/trades", BTC | {"limit": 0}, "limit"),
        (400, "/v1/tickers", {"exchange": "a", "symbols": ",".join("x" * 51)}, "50"),
        (404, "/v1/nothing", {}, "/v1/nothing"),
    ]
    async with asking(settings) as ask:
        for status, path, query, word in wrong:
            answer = await ask(path, **query)
            assert (answer.status, answer.kind) == (status, "application/problem+json"), query
            assert set(answer.body) == {"type", "title", "status", "detail"}
            assert answer.body["status"] == status
            assert word in answer.body["detail"]


async def test_a_market_that_nobody_has_is_a_problem_that_names_the_nearest(filled: Settings) -> None:
    near = {"exchange": "binance", "symbol": "BTC-USDT"}
    span = {"from_ms": T0, "until_ms": T0 + MINUTE}
    asked: list[tuple[str, dict[str, Any]]] = [
        ("/v1/candles", {"exchange": "binance", "symbol": "BTCUSDT"}),
        ("/v1/candles", {"exchange": "binance", "symbol": "btc_usdt"} | span),
        ("/v1/trades", {"exchange": "Binance", "symbol": "BTC-USDT"}),
        ("/v1/tickers", {"exchange": "binance", "symbols": "BTC-USTD"}),
    ]
    async with asking(filled) as ask:
        for path, query in asked:
            answer = await ask(path, **query)
            assert (answer.status, answer.kind) == (404, "application/problem+json"), query
            assert answer.body["nearest"][0] == near
            assert "did you mean binance:BTC-USDT?" in answer.body["detail"]
        empty = await ask("/v1/candles", **BTC, from_ms=0, until_ms=MINUTE)
        assert (empty.status, empty.body["candles"]) == (200, [])
    for setting, tier in (("redis", "hot"), ("clickhouse", "warm")):
        async with asking(filled.model_copy(update={setting: NOWHERE[setting]})) as ask:
            for path, query in asked[1:]:
                not_kept = {"from_ms": 0} if "from_ms" in query else {}  # that there is no such market is kept
                answer = await ask(path, **query | not_kept)
                assert (answer.status, answer.body["source"]["away"]) == (200, [tier])


async def test_requests_are_counted_on_the_metrics_port_by_route_and_status(settings: Settings) -> None:
    def count(status: int) -> float:
        labels = {"route": "/v1/trades", "status": str(status)}
        return REGISTRY.get_sample_value("candlewick_http_requests_total", labels) or 0.0

    before = count(200), count(400)
    async with asking(settings.model_copy(update={"redis": NOWHERE["redis"]})) as ask:
        await write(ClickHouseStore(settings), settings.topics.trades, [trade(1)])
        await ask("/v1/trades", **BTC)
        await ask("/v1/trades", **BTC, limit=0)
    assert (count(200), count(400)) == (before[0] + 1, before[1] + 1)


async def test_a_port_that_is_served_is_refused(settings: Settings) -> None:
    async with serving(settings, ANY_PORT) as (address, _):
        port = int(address.rsplit(":", 1)[1])
        with pytest.raises(UsageError, match=f"{port}.*--port"):
            await serve(settings, ServeSettings(port=port), asyncio.Event())


async def test_told_to_stop_it_answers_what_it_was_asked_and_leaves_idle_connections() -> None:
    asked, release = asyncio.Event(), asyncio.Event()

    async def never_answers(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await release.wait()
        writer.close()

    slow = await asyncio.start_server(never_answers, "127.0.0.1", 0)
    redis = SecretStr(f"redis://127.0.0.1:{slow.sockets[0].getsockname()[1]}")
    nowhere = load_settings(redis=redis, clickhouse=NOWHERE["clickhouse"], cold="memory:///")
    async with slow, aiohttp.ClientSession() as session:
        async with serving(nowhere, ANY_PORT) as (address, _):
            idle = await session.get(f"{address}/v1/nothing")
            await idle.read()
            waiting = asyncio.create_task(session.get(f"{address}/v1/health"))
            await asyncio.wait_for(asked.wait(), 10)
            asyncio.get_running_loop().call_later(0.1, release.set)
        response = await waiting
        assert (await response.json())["status"] == "degraded"
        with pytest.raises(aiohttp.ClientConnectionError):
            await session.get(f"{address}/v1/health")

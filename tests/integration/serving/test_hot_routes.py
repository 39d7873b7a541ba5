"""What hot alone can answer, asked over HTTP: the same answers as from all tiers, and as new as the store."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from eventually import eventually
from written import MINUTE, T0, candle, ticker, trade, write

from market.candle import Status
from market.key import MarketKey
from runtime.settings import Settings
from serving.answers import candles_json, tickers_json, trades_json
from serving.candles import CandlesQuestion, read_candles
from serving.held import HeldSpans
from serving.lengths import CandleLength
from serving.reader import read_tickers, read_trades
from serving.responses import to_bytes
from serving.server import ServeSettings, serving
from serving.tiers import Tiers
from sinks.clickhouse.store import ClickHouseStore
from sinks.redis.store import RedisStore

BTC = MarketKey("binance", "BTC-USDT")
MINUTES = 40


@asynccontextmanager
async def client(settings: Settings) -> AsyncIterator[aiohttp.ClientSession]:
    async with serving(settings, ServeSettings(port=0)) as (address, _), aiohttp.ClientSession(address) as session:
        yield session


async def get(session: aiohttp.ClientSession, path: str, **query: Any) -> tuple[bytes, str | None]:
    async with session.get(path, params=query) as response:
        assert response.status == 200
        return await response.read(), response.headers.get("ETag")


@pytest.fixture
async def filled(settings: Settings) -> Settings:
    topics, store = settings.topics, RedisStore(settings)
    statuses = [Status.COMPLETE, Status.COMPLETE, Status.HOLE, Status.CONNECTED]
    await write(store, topics.candles(), [candle(n, status=statuses[n % 4]) for n in range(MINUTES)])
    await write(store, topics.trades, [trade(number) for number in (*range(1, 90), *range(95, 131))])
    await write(store, topics.tickers, [ticker("BTC-USDT", 3), ticker("ETH-USDT", 4)])
    await write(ClickHouseStore(settings), topics.candles(), [candle(0)])
    return settings


async def test_the_answers_are_those_that_all_tiers_give(filled: Settings) -> None:
    tiers = Tiers(filled)
    try:
        now_ms = T0 + 1000 * MINUTE
        question = CandlesQuestion(market=BTC, limit=30)
        candles = await read_candles(tiers, HeldSpans(tiers), question, now_ms=now_ms)
        expected = [
            ("/v1/candles", BTC._asdict() | {"limit": 30}, candles_json(BTC, CandleLength.parse("1m"), candles)),
            ("/v1/trades", BTC._asdict(), trades_json(BTC, await read_trades(tiers, BTC, limit=100))),
            (
                "/v1/tickers",
                {"exchange": "binance", "symbols": "BTC-USDT"},
                tickers_json("binance", await read_tickers(tiers, [BTC])),
            ),
            (
                "/v1/tickers",
                {"exchange": "binance", "symbols": "ETH-USDT,BTC-USDT"},
                tickers_json("binance", await read_tickers(tiers, [MarketKey("binance", "ETH-USDT"), BTC])),
            ),
        ]
        async with client(filled) as session:
            for path, query, answer in expected:
                body, etag = await get(session, path, **query)
                assert body == to_bytes(answer)
                assert etag is not None
    finally:
        await tiers.close()


async def test_a_change_is_in_the_next_answer_and_what_did_not_change_is_told_by_its_tag(filled: Settings) -> None:
    query = BTC._asdict() | {"limit": 5}
    async with client(filled) as session:
        for _ in range(20):
            body, etag = await get(session, "/v1/candles", **query)
        headers = {"If-None-Match": f'"other", {etag}'}
        async with session.get("/v1/candles", params=query, headers=headers) as same:
            assert (same.status, await same.read()) == (304, b"")
        for revision in range(20, 40):
            written = [candle(MINUTES - 1, revision=revision, close="27777.7")]
            await write(RedisStore(filled), filled.topics.candles(), written, first=revision * 10)

            async def newest() -> bool:
                answer, _ = await get(session, "/v1/candles", **query)
                return bool(json.loads(answer)["candles"][-1]["revision"] == revision)  # noqa: B023  # awaited here

            await eventually(newest)
        async with session.get("/v1/candles", params=query, headers=headers) as changed:
            assert changed.status == 200
        assert json.loads(body)["candles"][-1]["revision"] == 7


async def test_what_hot_lacks_or_does_not_know_goes_to_all_tiers(filled: Settings) -> None:
    await write(RedisStore(filled), filled.topics.candles(), [candle(MINUTES + 3)], first=1000)
    async with client(filled) as session:
        for limit in (5, MINUTES + 10):
            body, _ = await get(session, "/v1/candles", **BTC._asdict(), limit=limit)
            covered = json.loads(body)["coverage"]
            assert covered["expected"] - covered["present"] >= 3
        for wrong in ({"limit": "0"}, {"limit": "٣"}, {"timeframe": "7x"}, {"limit": "5", "form": "1"}):
            async with session.get("/v1/candles", params=BTC._asdict() | wrong) as response:
                assert response.status == 400

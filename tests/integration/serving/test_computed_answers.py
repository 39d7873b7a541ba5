"""Answers that are computed: asked of the store once, however many ask, and never older than what was written."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from eventually import eventually
from prometheus_client import REGISTRY
from pydantic import SecretStr
from written import MINUTE, T0, candle, write

from runtime.settings import Settings, clickhouse_address
from serving.caches.computed import LOOK_S
from serving.caches.shared import FRESH_S
from serving.server import ServeSettings, serving
from sinks.clickhouse.store import ClickHouseStore
from sinks.parquet.store import ParquetStore
from sinks.redis.store import RedisStore

BTC = {"exchange": "binance", "symbol": "BTC-USDT"}
CLIENTS, CONNECTIONS = 1_000, 240
WINDOW, WINDOWS = 7 * MINUTE, 19
FIRST = T0 + WINDOW - T0 % WINDOW
ASKED = BTC | {"timeframe": "7m", "from_ms": str(FIRST), "until_ms": str(FIRST + WINDOWS * WINDOW)}
Answer = tuple[int, bytes]


class CountedStore:
    """A ClickHouse behind a front that counts the queries about a market, and may be away."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.queries = 0
        self.is_away = False
        self.session = aiohttp.ClientSession(auto_decompress=False)

    async def forward(self, request: web.Request) -> web.Response:
        if self.is_away:
            raise web.HTTPServiceUnavailable
        body = await request.read()
        self.queries += "BTC-USDT" in f"{request.path_qs}{body!r}"
        headers = {name: value for name, value in request.headers.items() if name != "Host"}
        async with self.session.request(
            request.method, f"{self.address}{request.path_qs}", data=body, headers=headers
        ) as answer:
            passed = {name: value for name, value in answer.headers.items() if name.startswith(("X-", "Content-E"))}
            return web.Response(body=await answer.read(), status=answer.status, headers=passed)


@asynccontextmanager
async def counted(settings: Settings) -> AsyncIterator[tuple[Settings, CountedStore]]:
    store = CountedStore(clickhouse_address(settings).rstrip("/"))
    app = web.Application(client_max_size=1 << 26)
    app.router.add_route("*", "/{any:.*}", store.forward)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        yield settings.model_copy(update={"clickhouse": SecretStr(f"http://127.0.0.1:{port}")}), store
    finally:
        await store.session.close()
        await runner.cleanup()


@asynccontextmanager
async def asking(settings: Settings) -> AsyncIterator[aiohttp.ClientSession]:
    connector = aiohttp.TCPConnector(limit=CONNECTIONS)
    async with (
        serving(settings, ServeSettings(port=0)) as (address, _),
        aiohttp.ClientSession(address, connector=connector) as session,
    ):
        yield session


async def get(session: aiohttp.ClientSession, **query: str) -> Answer:
    async with session.get("/v1/candles", params=ASKED | query) as response:
        return response.status, await response.read()


def newest_revision(answer: Answer) -> int:
    return max(int(each["revision"]) for each in json.loads(answer[1])["candles"])


@pytest.fixture
async def filled(settings: Settings) -> Settings:
    """Windows of seven minutes in warm that lack no minute; hot has the last minutes."""
    values = [candle(minute) for minute in range(140)]
    await write(ClickHouseStore(settings), settings.topics.candles(), values)
    await write(RedisStore(settings), settings.topics.candles(), values[-5:], first=135)
    return settings


async def test_a_thousand_clients_on_a_question_that_nobody_asked_before_cause_one_query(filled: Settings) -> None:
    async with counted(filled) as (settings, store), asking(settings) as session:
        answers = await asyncio.gather(*(get(session) for _ in range(CLIENTS)))
        assert store.queries == 1
        assert {status for status, _ in answers} == {200}
        assert len(set(answers)) == 1
        assert len(json.loads(answers[0][1])["candles"]) == WINDOWS


async def test_a_thousand_clients_on_an_expired_answer_get_it_at_once_and_cause_one_query(filled: Settings) -> None:
    async with counted(filled) as (settings, store), asking(settings) as session:
        first = await get(session)
        assert store.queries == 1
        await asyncio.sleep(FRESH_S + LOOK_S)  # it expires
        answers = await asyncio.gather(*(get(session) for _ in range(CLIENTS)))
        assert set(answers) == {first}
        await eventually(lambda: store.queries == 2)
        assert {await get(session) for _ in range(20)} == {first}
        assert store.queries == 2


async def test_processes_that_are_asked_at_once_make_an_answer_once_for_all(filled: Settings) -> None:
    async with counted(filled) as (settings, store), asking(settings) as session, asking(settings) as other:
        answers = await asyncio.gather(*(get(each) for each in (session, other) for _ in range(50)))
        assert store.queries == 1
        assert {status for status, _ in answers} == {200}
        assert len(set(answers)) == 1


async def test_what_is_written_of_the_market_is_in_the_next_answer_and_a_tag_tells_what_did_not_change(
    filled: Settings,
) -> None:
    async with counted(filled) as (settings, store), asking(settings) as session:
        async with session.get("/v1/candles", params=ASKED) as made:
            etag, before = made.headers["ETag"], (made.status, await made.read())
        async with session.get("/v1/candles", params=ASKED, headers={"If-None-Match": etag}) as same:
            assert (same.status, await same.read()) == (304, b"")
        for revision in (20, 21, 22):  # repairs of a minute that hot does not keep any more
            repaired = [candle(9, revision=revision, close="27777.7")]
            await write(ClickHouseStore(filled), filled.topics.candles(), repaired, first=revision * 10)
            await write(RedisStore(filled), filled.topics.candles(), repaired, first=revision * 10)
            await asyncio.sleep(LOOK_S)
            assert newest_revision(await get(session)) == revision
        assert store.queries == 1 + 3
        async with session.get("/v1/candles", params=ASKED, headers={"If-None-Match": etag}) as changed:
            assert (changed.status, await changed.read() == before[1]) == (200, False)


async def test_that_there_is_no_such_market_is_kept_until_there_is_one(settings: Settings) -> None:
    await write(ClickHouseStore(settings), settings.topics.candles(), [])
    async with counted(settings) as (own, store), asking(own) as session:
        assert (await get(session))[0] == 404
        asked = store.queries
        answers = await asyncio.gather(*(get(session) for _ in range(100)))
        assert ({status for status, _ in answers}, store.queries) == ({404}, asked)
        await write(ClickHouseStore(settings), settings.topics.candles(), [candle(9)])
        await write(RedisStore(settings), settings.topics.candles(), [candle(9)])
        await asyncio.sleep(LOOK_S)
        status, body = await get(session)
        assert (status, len(json.loads(body)["candles"])) == (200, 1)


async def test_an_answer_without_a_tier_that_is_away_is_not_kept(filled: Settings) -> None:
    await write(ParquetStore(filled), filled.topics.candles(), [candle(0)])
    async with counted(filled) as (settings, store), asking(settings) as session:
        store.is_away = True
        async with session.get("/v1/candles", params=ASKED) as partial:
            assert json.loads(await partial.read())["source"]["away"] == ["warm"]
        store.is_away = False

        async def is_whole() -> bool:
            return not json.loads((await get(session))[1])["source"]["away"]

        await eventually(is_whole)


async def test_while_redis_is_away_nothing_is_kept_and_who_asks_at_once_shares_an_answer(filled: Settings) -> None:
    async with counted(filled) as (settings, store):
        away = settings.model_copy(update={"redis": SecretStr("redis://127.0.0.1:1")})
        async with asking(away) as session:
            answers = await asyncio.gather(*(get(session) for _ in range(50)))
            assert {status for status, _ in answers} == {200}
            assert store.queries == 1
            await get(session)
            assert store.queries == 2


async def test_where_answers_come_from_is_counted(filled: Settings) -> None:
    def count(origin: str) -> float:
        return REGISTRY.get_sample_value("candlewick_computed_answers_total", {"origin": origin}) or 0.0

    before: dict[str, Any] = {origin: count(origin) for origin in ("memory", "redis", "tiers", "others")}
    async with asking(filled) as session, asking(filled) as other:
        await asyncio.gather(*(get(session) for _ in range(3)))
        await get(session)
        await get(other)
    after = {origin: count(origin) - before[origin] for origin in before}
    assert after == {"memory": 1, "redis": 1, "tiers": 1, "others": 2}

"""Questions for records that come in pages, over a real store that the sinks wrote."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from pydantic import SecretStr
from records_of_a_market import bar, funding, gap, instrument, signal
from written import MINUTE, T0, candle, trade, write

from market.candle import Status
from market.codec import encode_feed_event
from market.feed import FeedEvent, FeedEventKind
from runtime.settings import Settings
from serving.server import ServeSettings, serving
from sinks.clickhouse.store import ClickHouseStore

BTC = {"exchange": "binance", "symbol": "BTC-USDT"}
COUNT = 7


@asynccontextmanager
async def client(settings: Settings) -> AsyncIterator[aiohttp.ClientSession]:
    async with serving(settings, ServeSettings(port=0)) as (address, _), aiohttp.ClientSession(address) as session:
        yield session


async def ask(session: aiohttp.ClientSession, path: str, **query: Any) -> tuple[int, dict[str, Any]]:
    async with session.get(path, params=query) as response:
        return response.status, json.loads(await response.read())


@pytest.fixture
async def filled(settings: Settings) -> Settings:
    topics, store = settings.topics, ClickHouseStore(settings)
    await write(store, topics.trades, [trade(number) for number in range(COUNT)])
    for topic, make in (
        (topics.signals, signal), (topics.bars, bar), (topics.funding, funding), (topics.feeds, gap),
        (topics.instruments, instrument),
    ):  # fmt: skip
        await write(ClickHouseStore(settings), topic, [make(number) for number in range(COUNT)])
    connected = encode_feed_event(FeedEvent(**BTC, event=FeedEventKind.CONNECTED, at_ms=T0))
    await write(ClickHouseStore(settings), topics.feeds, [connected], first=100)
    minutes = [candle(minute, status=Status.HOLE if minute == 3 else Status.COMPLETE) for minute in (0, 1, 3, 1440)]
    await write(ClickHouseStore(settings), topics.candles(), minutes)
    return settings


CASES: dict[str, tuple[str, dict[str, Any], list[bytes]]] = {
    "/v1/historical": ("trades", BTC, [trade(number) for number in range(COUNT)]),
    "/v1/signals": ("signals", BTC, [signal(number) for number in range(COUNT)]),
    "/v1/bars": ("bars", BTC | {"kind": "dollar", "threshold": "1000000.5"}, [bar(number) for number in range(COUNT)]),
    "/v1/funding": ("funding", BTC, [funding(number) for number in range(COUNT)]),
    "/v1/gaps": ("gaps", BTC, [gap(number) for number in range(COUNT)]),
    "/v1/instruments": ("instruments", {"exchange": "binance"}, [instrument(number) for number in range(COUNT)]),
}


async def test_records_have_their_topics_form_and_pages_hold_each_once(filled: Settings) -> None:
    async with client(filled) as session:
        for path, (name, query, records) in CASES.items():
            wanted = [json.loads(record) for record in records]
            status, whole = await ask(session, path, **query)
            assert (status, whole[name]) == (200, wanted), path
            assert (whole["source"], whole["next_cursor"]) == ({"tier": "warm"}, None)
            for limit in (1, 3, COUNT):
                told: list[Any] = []
                cursor: dict[str, str] = {}
                for _ in range(COUNT):
                    _, page = await ask(session, path, **query, **cursor, limit=limit)
                    told += page[name]
                    if page["next_cursor"] is None:
                        break
                    cursor = {"cursor": page["next_cursor"]}
                assert told == wanted, (path, limit)


async def test_a_period_holds_its_beginning_and_not_its_end(filled: Settings) -> None:
    async with client(filled) as session:
        _, answer = await ask(session, "/v1/historical", **BTC, from_ms=T0 + 2, until_ms=T0 + 4)
        assert [told["trade_id"] for told in answer["trades"]] == ["2", "3"]
        _, answer = await ask(session, "/v1/funding", **BTC, from_ms=T0 + 60 * MINUTE, until_ms=T0 + 120 * MINUTE)
        assert [told["time_ms"] for told in answer["funding"]] == [T0 + 60 * MINUTE]


async def test_coverage_counts_the_minutes_of_each_day_and_exchanges_are_those_of_the_instruments(
    filled: Settings,
) -> None:
    async with client(filled) as session:
        _, answer = await ask(session, "/v1/coverage", **BTC, from_ms=T0, until_ms=T0 + 2 * 1440 * MINUTE)
        assert answer["days"] == [
            {"date": "2021-01-08", "minutes_present": 3, "statuses": {"complete": 2, "hole": 1}},
            {"date": "2021-01-09", "minutes_present": 1, "statuses": {"complete": 1}},
        ]
        assert (await ask(session, "/v1/exchanges"))[1]["exchanges"] == ["binance"]


@pytest.mark.parametrize("cursor", ["", "x", "WzFd", "WyJ4Il0", "W10", "e30", "WzEsMiwzLCJ4Il0=é", "1" * 3000])
async def test_what_no_answer_gave_is_no_cursor(settings: Settings, cursor: str) -> None:
    async with client(settings) as session:
        status, problem = await ask(session, "/v1/historical", **BTC, cursor=cursor)
        assert (status, "cursor" in problem["detail"]) == (400, True)


async def test_without_the_warm_store_the_answer_says_so(settings: Settings) -> None:
    away = settings.model_copy(update={"clickhouse": SecretStr("http://127.0.0.1:1")})
    async with client(away) as session:
        for path, (_, query, _) in CASES.items():
            status, problem = await ask(session, path, **query)
            assert (status, "warm" in problem["detail"]) == (503, True)
        status, problem = await ask(session, "/v1/coverage", **BTC, from_ms=0, until_ms=400 * 86_400_000)
        assert (status, "366 days" in problem["detail"]) == (400, True)

"""Questions for records that come in pages, over a real store that the sinks wrote."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
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
from sinks.parquet.store import ParquetStore
from sinks.redis.store import RedisStore
from sinks.store import Store

BTC = {"exchange": "binance", "symbol": "BTC-USDT"}
COUNT = 7


@asynccontextmanager
async def client(settings: Settings) -> AsyncIterator[aiohttp.ClientSession]:
    async with serving(settings, ServeSettings(port=0)) as (address, _), aiohttp.ClientSession(address) as session:
        yield session


async def ask(session: aiohttp.ClientSession, path: str, **query: Any) -> tuple[int, dict[str, Any]]:
    async with session.get(path, params=query) as response:
        return response.status, json.loads(await response.read())


async def fill(settings: Settings, new_store: Callable[[Settings], Store]) -> None:
    """Write the records of all cases, and some others that are not asked for."""
    topics = settings.topics
    await write(new_store(settings), topics.trades, [trade(number) for number in range(COUNT)])
    for topic, make in (
        (topics.signals, signal), (topics.bars, bar), (topics.funding, funding), (topics.feeds, gap),
        (topics.instruments, instrument),
    ):  # fmt: skip
        await write(new_store(settings), topic, [make(number) for number in range(COUNT)])
    connected = encode_feed_event(FeedEvent(**BTC, event=FeedEventKind.CONNECTED, at_ms=T0))
    await write(new_store(settings), topics.feeds, [connected], first=100)
    minutes = [candle(minute, status=Status.HOLE if minute == 3 else Status.COMPLETE) for minute in (0, 1, 3, 1440)]
    await write(new_store(settings), topics.candles(), minutes)


@pytest.fixture
async def filled(settings: Settings) -> Settings:
    await fill(settings, ClickHouseStore)
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
            assert whole["next_cursor"] is None
            if path != "/v1/instruments":
                assert {of["tier"] for of in whole["source"]["ranges"]} == {"warm"}
                assert whole["coverage"]["present"] == COUNT
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


async def test_coverage_counts_the_minutes_of_each_day_in_each_tier_and_exchanges_are_those_of_the_instruments(
    filled: Settings,
) -> None:
    topic = filled.topics.candles()
    await write(ParquetStore(filled), topic, [candle(minute, status=Status.KLINE) for minute in (1, 2, 2880)])
    await write(RedisStore(filled), topic, [candle(1440), candle(1441)])
    async with client(filled) as session:
        _, answer = await ask(session, "/v1/coverage", **BTC, from_ms=T0, until_ms=T0 + 2 * 1440 * MINUTE)
        first = {"complete": 2, "hole": 1, "kline": 1}
        assert answer["days"] == [
            {"date": "2021-01-08", "minutes_present": 4, "statuses": first, "tiers": {"warm": 3, "cold": 2}},
            {"date": "2021-01-09", "minutes_present": 2, "statuses": {"complete": 2}, "tiers": {"hot": 2, "warm": 1}},
        ]
        day_ms = 1440 * MINUTE
        assert answer["tiers"]["cold"] == [{"from_ms": T0, "until_ms": T0 + day_ms}]
        assert (answer["unread"], answer["source"]) == ([], {"away": []})
        assert (await ask(session, "/v1/exchanges"))[1]["exchanges"] == ["binance"]


@pytest.mark.parametrize("cursor", ["", "x", "WzFd", "WyJ4Il0", "W10", "e30", "WzEsMiwzLCJ4Il0=é", "1" * 3000])
async def test_what_no_answer_gave_is_no_cursor(settings: Settings, cursor: str) -> None:
    async with client(settings) as session:
        status, problem = await ask(session, "/v1/historical", **BTC, cursor=cursor)
        assert (status, "cursor" in problem["detail"]) == (400, True)


async def test_what_cold_alone_has_is_given_with_warm_empty_and_with_warm_away(settings: Settings) -> None:
    await fill(settings, ParquetStore)
    warm = ClickHouseStore(settings)
    await warm.open()  # makes its tables
    await warm.close()
    away = settings.model_copy(update={"clickhouse": SecretStr("http://127.0.0.1:1")})
    for where, names in ((away, ["warm"]), (settings, [])):  # an answer that names a tier as away is not kept
        async with client(where) as session:
            for path, (name, query, records) in CASES.items():
                if path == "/v1/instruments":
                    continue
                status, answer = await ask(session, path, **query)
                assert (status, answer[name]) == (200, [json.loads(record) for record in records]), path
                assert {of["tier"] for of in answer["source"]["ranges"]} == {"cold"}
                assert answer["source"]["away"] == names


async def test_with_warm_and_cold_away_the_answer_says_so(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    gone = {"clickhouse": SecretStr("http://127.0.0.1:1"), "cold": (tmp_path / "file").as_uri()}
    async with client(settings.model_copy(update=gone)) as session:
        for path, (_, query, _) in CASES.items():
            status, problem = await ask(session, path, **query)
            assert (status, "warm" in problem["detail"]) == (503, True), path
            if path != "/v1/instruments":
                assert (await ask(session, path, **query, format="ndjson"))[0] == 503
        status, problem = await ask(session, "/v1/coverage", **BTC, from_ms=0, until_ms=400 * 86_400_000)
        assert (status, "366 days" in problem["detail"]) == (400, True)


async def test_an_estimate_is_not_less_than_the_answer_and_names_its_tiers(filled: Settings) -> None:
    await fill(filled, ParquetStore)
    day = {"from_ms": T0, "until_ms": T0 + 1440 * MINUTE}
    months = {"from_ms": T0 - 40 * 1440 * MINUTE, "until_ms": T0 + 1440 * MINUTE}
    async with client(filled) as session:
        for span in (day, months):
            for path, (_, query, _) in CASES.items():
                if path == "/v1/instruments":
                    continue
                status, told = await estimate(session, of=path.removeprefix("/v1/"), **query, **span)
                assert (status, [of["tier"] for of in told["tiers"]]) == (200, ["warm"]), path
                assert COUNT <= told["rows"] <= 8192
                assert (told["restore"], told["one_stream"]) == ({"bytes": 0, "cost": "0"}, True)
        _, told = await estimate(session, of="candles", **BTC, **day, timeframe="1h")
        assert (told["rows"], [of["tier"] for of in told["tiers"]]) == (24, ["warm"])
        for wrong in (
            {"of": "trades"},
            {"of": "bars"},
            {"of": "gaps", "kind": "tick"},
            {"of": "gaps", "timeframe": "1h"},
        ):
            assert (await estimate(session, **BTC, **wrong))[0] == 400


async def estimate(session: aiohttp.ClientSession, **query: Any) -> tuple[int, dict[str, Any]]:
    async with session.post("/v1/estimate", params=query) as response:
        return response.status, json.loads(await response.read())

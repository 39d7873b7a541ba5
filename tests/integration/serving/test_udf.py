"""TradingView's UDF over the real stores, asked as TradingView's own datafeed code asks.

Its `HistoryProvider` sends symbol, resolution, from, to and countback; its `DataPulseProvider` asks again and again for
the last two bars; a truncated answer is followed by a request up to the first bar that it had.
"""

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from pydantic import SecretStr
from written import EXCHANGE, SYMBOL, T0, candle, write

from market.candle import Status
from market.codec import encode_instrument
from market.instrument import Instrument
from runtime.settings import Settings
from serving.server import ServeSettings, serving
from sinks.clickhouse.store import ClickHouseStore
from sinks.redis.store import RedisStore

Ask = Callable[..., Awaitable[Any]]
TICKER = f"{EXCHANGE}:{SYMBOL}"
S0, LAST = T0 // 1000, 300
MISSING = {100, 101, 102}


@asynccontextmanager
async def asking(settings: Settings) -> AsyncIterator[Ask]:
    async with serving(settings, ServeSettings(port=0)) as (address, _), aiohttp.ClientSession(address) as session:

        async def ask(path: str, **query: Any) -> Any:
            query = {name.rstrip("_"): value for name, value in query.items()}
            async with session.get(f"/udf/{path}", params=query) as response:
                body = json.loads(await response.read())
                if response.status != 200:
                    body |= {"status": response.status}
                return body

        yield ask


@pytest.fixture
async def filled(settings: Settings) -> Settings:
    """A day of warm minutes long before, five hours of hot ones with a hole, and the open minute."""
    topics = settings.topics
    await write(
        ClickHouseStore(settings), topics.candles(), [candle(number) for number in range(-10 * 1440, -9 * 1440)]
    )
    values = [
        candle(number, status=Status.HOLE if number == 50 else Status.COMPLETE, close=str(27000 + number))
        for number in range(LAST + 1)
        if number not in MISSING
    ]
    await write(RedisStore(settings), topics.candles(), values)
    live = json.loads(candle(LAST + 1, close="27999")) | {"status": "open"}
    await write(RedisStore(settings), topics.live, [json.dumps(live).encode()])
    instruments = [
        Instrument(exchange=exchange, symbol=symbol, native="x", base=symbol.split("-")[0], quote="USDT")
        for exchange, symbol in ((EXCHANGE, SYMBOL), (EXCHANGE, "ETH-USDT"), ("okx", SYMBOL))
    ]
    await write(RedisStore(settings), topics.instruments, list(map(encode_instrument, instruments)))
    return settings


def times(*numbers: int) -> list[int]:
    return [S0 + number * 60 for number in numbers]


async def test_the_library_learns_what_there_is_and_resolves_a_symbol(filled: Settings) -> None:
    async with asking(filled) as ask:
        config = await ask("config")
        assert (config["supports_search"], config["supports_group_request"], config["supports_marks"]) == (
            True, False, True,
        )  # fmt: skip
        assert {"1", "60", "1D", "1W", "1M"} <= set(config["supported_resolutions"])
        assert [each["value"] for each in config["exchanges"]] == ["", "binance"]
        found = await ask("search", query="BTC", type="", exchange="", limit=30)
        assert [each["ticker"] for each in found] == [TICKER]
        assert [each["ticker"] for each in await ask("search", query="", exchange="okx", limit=30)] == ["okx:BTC-USDT"]
        for symbol in (TICKER, "binance:BTCUSDT", "BTC-USDT"):
            assert (await ask("symbols", symbol=symbol))["ticker"] == TICKER
        for symbol in ("AAPL", "binance:AAPL", "nobody:BTC-USDT", ":", ""):
            told = await ask("symbols", symbol=symbol)
            assert (told["s"], bool(told["errmsg"])) == ("error", True)
        assert isinstance(await ask("time"), int)


async def test_countback_counts_the_bars_that_there_are_and_from_does_not_matter(filled: Settings) -> None:
    async with asking(filled) as ask:
        told = await ask("history", symbol=TICKER, resolution="1", from_=S0 + 99 * 60, to=S0 + 105 * 60, countback=5)
        assert (told["s"], told["t"]) == ("ok", times(97, 98, 99, 103, 104))
        assert told["c"] == [27097.0, 27098.0, 27099.0, 27103.0, 27104.0]
        assert {len(told[column]) for column in "tohlcv"} == {5}
        over = await ask("history", symbol=TICKER, resolution="1", from_=S0, to=S0 + 3 * 60, countback=5)
        assert over["t"] == [S0 - 9 * 86_400 - 120, S0 - 9 * 86_400 - 60, *times(0, 1, 2)]
        hours = await ask("history", symbol=TICKER, resolution="60", from_=S0, to=S0 + 2**31, countback=2)
        assert hours["t"] == times(240, 300)
        days = await ask("history", symbol=TICKER, resolution="1D", from_=S0, to=S0 + 2**31, countback=2)
        assert days["t"] == [S0 - 10 * 86_400, S0]
        assert days["c"] == [27000.1, 27999.0]


async def test_to_is_not_inclusive_and_the_open_bar_is_the_last(filled: Settings) -> None:
    async with asking(filled) as ask:
        told = await ask("history", symbol=TICKER, resolution="1", from_=S0 + 10 * 60, to=S0 + 13 * 60)
        assert told["t"] == times(10, 11, 12)
        pulse = await ask("history", symbol=TICKER, resolution="1", from_=S0 + 295 * 60, to=S0 + 400 * 60, countback=2)
        assert (pulse["t"], pulse["c"]) == (times(LAST, LAST + 1), [27300.0, 27999.0])


async def test_a_truncated_answer_is_followed_up_without_a_bar_twice(filled: Settings) -> None:
    """`_processTruncatedResponse` of the library, with the latest first."""
    async with asking(filled) as ask:
        bars: list[int] = []
        to, countback = S0 + 400 * 60, 250
        while countback > 0:
            told = await ask("history", symbol=TICKER, resolution="1", from_=S0, to=to, countback=min(countback, 100))
            bars = told["t"] + bars
            countback, to = countback - len(told["t"]), told["t"][0]
        assert bars == times(*(number for number in range(LAST + 2) if number not in MISSING))[-250:]


async def test_no_data_says_when_the_last_bar_before_was(filled: Settings) -> None:
    async with asking(filled) as ask:
        gap = await ask("history", symbol=TICKER, resolution="1", from_=S0 + 100 * 60, to=S0 + 103 * 60)
        assert gap == {"s": "no_data", "nextTime": S0 + 99 * 60}
        week = await ask("history", symbol=TICKER, resolution="60", from_=S0 - 5 * 86_400, to=S0 - 86_400)
        assert week == {"s": "no_data", "nextTime": S0 - 9 * 86_400 - 3600}
        before = {"from_": S0 - 20 * 86_400, "to": S0 - 15 * 86_400}
        assert await ask("history", symbol=TICKER, resolution="1", **before) == {"s": "no_data"}
        assert await ask("history", symbol=TICKER, resolution="1", **before, countback=10) == {"s": "no_data"}
        assert (await ask("history", symbol=TICKER, resolution="1", from_=-9, to=1, countback=1))["s"] == "no_data"


async def test_marks_are_at_holes_and_where_bars_are_missing(filled: Settings) -> None:
    async with asking(filled) as ask:
        told = await ask("marks", symbol=TICKER, from_=S0, to=S0 + 200 * 60, resolution="1")
        assert list(zip(told["time"], told["label"], strict=True)) == [(S0 + 50 * 60, "H"), (S0 + 100 * 60, "M")]
        assert told["text"][1] == "3 candles are missing"
        hours = await ask("marks", symbol=TICKER, from_=S0, to=S0 + 2**31, resolution="60")
        assert list(zip(hours["time"], hours["label"], strict=True)) == [(S0, "H"), (S0 + 3600, "I")]


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"symbol": TICKER, "resolution": "1S", "from": 0, "to": 1}, "1S"),
    ({"symbol": TICKER, "resolution": "1", "from": 0}, "to is missing"),
    ({"symbol": TICKER, "resolution": "1", "from": "x", "to": 1}, "from"),
    ({"symbol": TICKER, "resolution": "1", "to": 1}, "from is missing"),
    ({"symbol": TICKER, "resolution": "1", "to": 1, "countback": "1.5"}, "countback"),
    ({"symbol": "binance:DOGE-USDT", "resolution": "1", "from": 0, "to": 1}, "binance:DOGE-USDT"),
    ({"resolution": "1", "from": 0, "to": 1}, "symbol is missing"),
]


async def test_what_is_wrong_is_an_error_of_the_protocol(settings: Settings) -> None:
    own = Instrument(exchange=EXCHANGE, symbol=SYMBOL, native="x", base="BTC", quote="USDT")
    await write(RedisStore(settings), settings.topics.instruments, [encode_instrument(own)])
    async with asking(settings) as ask:
        for query, word in WRONG:
            told = await ask("history", **query)
            assert (told["s"], word in told["errmsg"]) == ("error", True), told


async def test_without_tiers_it_is_a_503_in_the_protocols_form(settings: Settings) -> None:
    nowhere = {"redis": SecretStr("redis://127.0.0.1:1"), "clickhouse": SecretStr("http://127.0.0.1:1")}
    async with asking(settings.model_copy(update=nowhere)) as ask:
        told = await ask("history", symbol=TICKER, resolution="1", from_=0, to=1)
        assert (told["s"], told["status"]) == ("error", 503)
        assert (await ask("config"))["supports_search"] is True

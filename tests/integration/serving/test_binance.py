"""Binance's spot API over the real stores, against sums of decimals and the trades themselves."""

import json
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from itertools import groupby
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from pydantic import SecretStr
from written import EXCHANGE, MINUTE, SYMBOL, T0, candle, ticker, trade, write

from market.codec import encode_instrument
from market.instrument import Instrument
from runtime.settings import Settings
from serving.access.key_file import change_keys
from serving.access.keys import ApiKey, RateTier, hash_of, key_text
from serving.server import ServeSettings, serving
from serving.walk import MOST_HOLES
from sinks.clickhouse.store import ClickHouseStore
from sinks.parquet.store import ParquetStore
from sinks.redis.store import RedisStore

BTC = {"exchange": EXCHANGE, "symbol": SYMBOL}
DAY = 1440 * MINUTE
WARM = [number for number in range(-200, 700) if number % 11]
LAST = 1_000
"""The minute that was closed last; the next one is open."""
FIELDS = ("open", "high", "low", "close", "volume", "quote_volume", "trades", "taker_buy_volume",
          "taker_buy_quote_volume")  # fmt: skip
INTERVALS = ("1m", "3m", "5m", "15m", "1h", "4h", "1d", "3d", "1w", "1M")
NOWHERE = {"redis": SecretStr("redis://127.0.0.1:1"), "clickhouse": SecretStr("http://127.0.0.1:1")}


@dataclass
class Answer:
    status: int
    body: Any
    headers: Mapping[str, str]
    """Whatever the case of their names."""


Ask = Callable[..., Awaitable[Answer]]


@asynccontextmanager
async def asking(
    settings: Settings, prefix: str = "/api/v3/", headers: dict[str, str] | None = None
) -> AsyncIterator[Ask]:
    async with serving(settings, ServeSettings(port=0)) as (address, _), aiohttp.ClientSession(address) as session:

        async def ask(path: str, **query: Any) -> Answer:
            async with session.get(prefix + path, params=query, headers=headers) as response:
                return Answer(response.status, json.loads(await response.read()), response.headers)

        yield ask


def instrument(symbol: str = SYMBOL, exchange: str = EXCHANGE, **more: Any) -> bytes:
    base, quote = symbol.split("-")[:2]
    return encode_instrument(
        Instrument(exchange=exchange, symbol=symbol, native=base + quote, base=base, quote=quote, **more)
    )


def made(rng: random.Random, minute: int, status: str = "complete") -> dict[str, Any]:
    low, high = sorted((rng.randint(1, 9_999), rng.randint(10_000, 99_999)))
    open_ms = T0 + minute * MINUTE
    return BTC | {
        "timeframe": "1m", "open_time_ms": open_ms, "close_time_ms": open_ms + MINUTE - 1,
        "open": str(rng.randint(low, high)), "high": str(high), "low": str(low), "close": str(rng.randint(low, high)),
        "volume": f"{rng.randint(0, 10**9)}.000000000000000001", "quote_volume": str(rng.randint(0, 10**12)),
        "trades": 3, "taker_buy_volume": "0.00000001", "taker_buy_quote_volume": "0.5", "first_trade_id": "1",
        "last_trade_id": "2", "revision": 1, "status": status,
    }  # fmt: skip


Minutes = dict[int, dict[str, Any]]


@pytest.fixture
async def minutes(settings: Settings) -> Minutes:
    """By open time: some days in cold, then a week without any, warm, and hot with the open minute."""
    rng = random.Random(7)
    numbers = {
        ParquetStore: [*range(-9 * 1440, -9 * 1440 + 90), *range(-8 * 1440 - 30, -8 * 1440 + 60, 3)],
        ClickHouseStore: WARM,
        RedisStore: [number for number in range(600, LAST + 1) if rng.random() < 0.95 or number == LAST],
    }
    told: Minutes = {}
    for store, held in numbers.items():
        for number in held:
            told.setdefault(T0 + number * MINUTE, made(rng, number))
        values = [json.dumps(told[T0 + number * MINUTE]).encode() for number in held]
        await write(store(settings), settings.topics.candles(), values)
    live = made(rng, LAST + 1, "open")
    await write(RedisStore(settings), settings.topics.live, [json.dumps(live).encode()])
    await write(RedisStore(settings), settings.topics.instruments, [instrument()])
    return told | {live["open_time_ms"]: live}


def window_of(interval: str, open_ms: int, offset_ms: int) -> tuple[int, int]:
    """From the calendar, without the code that is tested."""
    number, unit = int(interval[:-1]), interval[-1]
    local = datetime.fromtimestamp((open_ms + offset_ms) / 1000, UTC)
    midnight = local.replace(hour=0, minute=0)
    if unit == "M":
        begin = midnight.replace(day=1)
        end = (begin + timedelta(days=32)).replace(day=1)
    elif unit == "w":
        begin = midnight - timedelta(days=midnight.weekday())
        end = begin + timedelta(days=7)
    else:
        length = number * {"m": MINUTE, "h": 60 * MINUTE, "d": DAY}[unit]
        start_ms = (open_ms + offset_ms) // length * length
        return start_ms - offset_ms, start_ms + length - offset_ms
    return int(begin.timestamp() * 1000) - offset_ms, int(end.timestamp() * 1000) - offset_ms


def klines_of(minutes: Minutes, interval: str, offset_ms: int = 0) -> list[list[Any]]:
    rows = []
    with localcontext(prec=100):
        for (begin_ms, end_ms), group in groupby(
            sorted(minutes.items()), lambda item: window_of(interval, item[0], offset_ms)
        ):
            parts = [part for _, part in group]
            sums = [sum(Decimal(part[name]) for part in parts) for name in FIELDS[4:]]
            prices = [
                Decimal(parts[0]["open"]),
                max(Decimal(part["high"]) for part in parts),
                min(Decimal(part["low"]) for part in parts),
                Decimal(parts[-1]["close"]),
            ]
            rows.append([begin_ms, *prices, sums[0], end_ms - 1, *sums[1:], Decimal(0)])
    return rows


def numbers(rows: Iterable[list[Any]]) -> list[list[Any]]:
    """Every text as an exact number; a text that is no plain decimal is an error."""
    return [[Decimal(value) if isinstance(value, str) else value for value in row] for row in rows]


async def test_klines_of_any_question_are_the_minutes_that_there_are(settings: Settings, minutes: Minutes) -> None:
    rng = random.Random(11)
    opens = sorted(minutes)
    async with asking(settings) as ask:
        for _ in range(60):
            interval, limit = rng.choice(INTERVALS), rng.choice([1, 2, 7, 50, 1000])
            zone, offset_ms = rng.choice(
                [("0", 0), ("5:45", 345 * MINUTE), ("-3", -180 * MINUTE), ("+14:00", 840 * MINUTE)]
            )
            start, end = (rng.randint(opens[0] - 2 * DAY, opens[-1] + DAY) for _ in range(2))
            query: dict[str, Any] = {"interval": interval, "limit": limit, "timeZone": zone}
            expected = klines_of(minutes, interval, offset_ms)
            form = rng.choice(["neither", "start", "end", "both"])
            if form in ("start", "both"):
                query["startTime"] = start
                expected = [row for row in expected if row[0] >= start]
            if form in ("end", "both"):
                query["endTime"] = end
                expected = [row for row in expected if row[0] <= end]
            expected = expected[:limit] if "startTime" in query else expected[-limit:]
            answer = await ask("klines", symbol="BTCUSDT", **query)
            assert answer.status == 200, answer.body
            assert numbers(answer.body) == expected, query


async def test_pages_have_every_kline_once_though_candles_are_missing(settings: Settings, minutes: Minutes) -> None:
    """As python-binance and ccxt page: from the last open time on, until a page is short."""
    async with asking(settings) as ask:
        [first] = (await ask("klines", symbol="BTCUSDT", interval="1m", startTime=0, limit=1)).body
        assert first[0] == min(minutes)
        told, start = [], 0
        while True:
            answer = await ask("klines", symbol="BTCUSDT", interval="1m", startTime=start, limit=300)
            told += answer.body
            if len(answer.body) < 300:
                break
            start = answer.body[-1][0] + MINUTE
        assert numbers(told) == klines_of(minutes, "1m")
        newest = await ask("klines", symbol="BTCUSDT", interval="1m", limit=10)
        assert (newest.body, newest.headers["X-Candlewick-Source"]) == (told[-10:], "hot")
        assert (await ask("uiKlines", symbol="BTCUSDT", interval="1m", limit=10)).body == newest.body
        micro = await ask("klines", symbol="BTCUSDT", interval="1m", startTime=first[0] * 1000, limit=1)
        assert micro.body == [first]


async def test_headers_say_how_complete_klines_are(settings: Settings, minutes: Minutes) -> None:
    async with asking(settings) as ask:
        answer = await ask("klines", symbol="BTCUSDT", interval="1h", limit=3)
    rows = klines_of(minutes, "1h")[-3:]
    lacking = sum(
        open_ms not in minutes for row in rows[:-1] for open_ms in range(row[0], row[0] + 60 * MINUTE, MINUTE)
    )
    assert answer.headers["X-Candlewick-Coverage"] == (
        f"expected=3, present=3, open=1, minutes_missing={lacking}, worst=complete"
    )
    away = settings.model_copy(update={"redis": NOWHERE["redis"]})
    async with asking(away) as ask:
        answer = await ask("klines", symbol="BTCUSDT", interval="1m", limit=2)
    held = klines_of({open_ms: minutes[open_ms] for number in WARM if (open_ms := T0 + number * MINUTE)}, "1m")
    assert (numbers(answer.body), answer.headers["X-Candlewick-Away"]) == (held[-2:], "hot")
    assert answer.headers["X-Candlewick-Source"] == "warm"


async def test_too_many_holes_are_refused_with_a_limit_that_is_answered(settings: Settings) -> None:
    """A short page would be the end to a client: it would lose what lies beyond."""
    alone = [candle(number * 2000) for number in range(MOST_HOLES + 5)]
    await write(RedisStore(settings), settings.topics.candles(), alone)
    async with asking(settings.model_copy(update={"clickhouse": NOWHERE["clickhouse"]})) as ask:
        for query in ({"startTime": 0}, {}):
            refused = await ask("klines", symbol="BTCUSDT", interval="1m", limit=MOST_HOLES + 2, **query)
            assert (refused.status, refused.body["code"]) == (400, -1130)
            assert f"at most {MOST_HOLES}" in refused.body["msg"]
            answer = await ask("klines", symbol="BTCUSDT", interval="1m", limit=MOST_HOLES, **query)
            assert len(answer.body) == MOST_HOLES


@pytest.mark.parametrize(
    ("path", "query", "code"),
    [
        ("klines", {"interval": "1m"}, -1102),
        ("klines", {"symbol": "BTCUSDT"}, -1102),
        ("klines", {"symbol": "DOGEUSDT", "interval": "1m"}, -1121),
        ("klines", {"symbol": "BTC-USDT", "interval": "1m"}, -1121),
        ("klines", {"symbol": "BTCUSDT", "interval": "1s"}, -1120),
        ("klines", {"symbol": "BTCUSDT", "interval": "1m", "timeZone": "99"}, -1130),
        ("klines", {"symbol": "BTCUSDT", "interval": "1m", "form": "1"}, -1104),
        ("trades", {"symbol": "BTCUSDT", "limit": "x"}, -1100),
        ("aggTrades", {"symbol": "BTCUSDT", "fromId": "1", "startTime": "1"}, -1128),
        ("aggTrades", {"symbol": "BTCUSDT", "endTime": "1"}, -1128),
        ("ticker/24hr", {"symbol": "BTCUSDT", "type": "HUGE"}, -1139),
        ("ticker/24hr", {"symbol": "BTCUSDT", "symbolStatus": "HALT"}, -1220),
        ("ticker/price", {"symbol": "BTCUSDT", "symbolStatus": "NONE"}, -1122),
        ("ticker/price", {"symbols": json.dumps([str(number) for number in range(101)])}, -1130),
        ("exchangeInfo", {"symbols": '["BTCUSDT","DOGEUSDT"]'}, -1121),
        ("exchangeInfo", {"symbol": "BTCUSDT", "permissions": "SPOT"}, -1128),
    ],
)
async def test_what_is_wrong_is_told_as_binance_does(
    settings: Settings, path: str, query: dict[str, str], code: int
) -> None:
    await write(RedisStore(settings), settings.topics.instruments, [instrument()])
    async with asking(settings) as ask:
        answer = await ask(path, **query)
    assert (answer.status, answer.body["code"]) == (400, code)
    assert set(answer.body) == {"code", "msg"}


async def test_without_tiers_the_answer_is_a_503_in_binances_form(settings: Settings) -> None:
    away = settings.model_copy(update=NOWHERE)
    async with asking(away) as ask:
        answer = await ask("klines", symbol="BTCUSDT", interval="1m")
        assert (answer.status, answer.body["code"], answer.headers["Retry-After"]) == (503, -1001, "5")
        assert (await ask("ping")).body == {}
        assert set((await ask("time")).body) == {"serverTime"}


def traded(count: int) -> list[dict[str, Any]]:
    """Trades in runs of one price, time and side."""
    rng = random.Random(5)
    told, price, time_us, side = [], 27000, T0 * 1000, "buy"
    for number in range(1, count + 1):
        if rng.random() < 0.4:
            price, time_us, side = (
                rng.randint(26_000, 28_000),
                time_us + rng.choice([0, 1_000, 70_000]),
                rng.choice(["buy", "sell"]),
            )
        told.append(
            json.loads(trade(number)) | {"price": str(price), "time_us": time_us, "side": side, "qty": f"0.{number}"}
        )
    return told


def aggregated(trades: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    rows = []
    for (price, time_us, side), group in groupby(trades, lambda each: (each["price"], each["time_us"], each["side"])):
        parts = list(group)
        rows.append(
            {"a": int(parts[0]["trade_id"]), "p": price, "q": sum(Decimal(each["qty"]) for each in parts),
             "f": int(parts[0]["trade_id"]), "l": int(parts[-1]["trade_id"]), "T": time_us // 1000,
             "m": side == "sell", "M": True}
        )  # fmt: skip
    return rows


def summed(rows: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row | {"q": Decimal(row["q"])} for row in rows]


async def test_trades_and_their_aggregates_by_id_by_time_and_the_latest(settings: Settings) -> None:
    trades = traded(6_000)
    values = [json.dumps(each).encode() for each in trades]
    await write(ClickHouseStore(settings), settings.topics.trades, values)
    await write(RedisStore(settings), settings.topics.trades, values[-500:])
    await write(RedisStore(settings), settings.topics.instruments, [instrument()])
    every = aggregated(trades)
    async with asking(settings) as ask:
        latest = await ask("trades", symbol="BTCUSDT", limit=700)
        assert [row["id"] for row in latest.body] == list(range(5_301, 6_001))
        assert latest.headers["X-Candlewick-Source"] == "hot, warm"
        assert latest.body[0][
            "quoteQty"
        ] == f"{Decimal(trades[5300]['price']) * Decimal(trades[5300]['qty']):f}".rstrip("0").rstrip(".")
        assert latest.body[0]["isBuyerMaker"] == (trades[5300]["side"] == "sell")
        old = await ask("historicalTrades", symbol="BTCUSDT", fromId=17, limit=1000)
        assert [row["id"] for row in old.body] == list(range(17, 1017))
        assert (await ask("historicalTrades", symbol="BTCUSDT", fromId=6_001)).body == []
        assert (await ask("historicalTrades", symbol="BTCUSDT", fromId=10**19)).body == []
        assert (await ask("historicalTrades", symbol="BTCUSDT", limit=3)).body == latest.body[-3:]

        assert summed((await ask("aggTrades", symbol="BTCUSDT", limit=20)).body) == every[-20:]
        told = (await ask("aggTrades", symbol="BTCUSDT", fromId=0, limit=1000)).body
        while len(page := (await ask("aggTrades", symbol="BTCUSDT", fromId=told[-1]["a"], limit=1000)).body) > 1:
            told += page[1:]  # as python-binance does
        assert summed(told) == every
        start, end = T0 + 900, T0 + 20_000
        between = (await ask("aggTrades", symbol="BTCUSDT", startTime=start, endTime=end, limit=1000)).body
        assert summed(between) == [row for row in every if start <= row["T"] <= end][:1000]
    async with asking(settings.model_copy(update={"clickhouse": NOWHERE["clickhouse"]})) as ask:
        assert (await ask("aggTrades", symbol="BTCUSDT", fromId=1)).status == 503
        assert len((await ask("trades", symbol="BTCUSDT", limit=700)).body) == 500


async def test_ids_that_are_no_numbers_are_refused_whatever_is_asked(settings: Settings) -> None:
    value = json.loads(trade(1)) | {"trade_id": "a1-b2", "exchange": "bybit"}
    for store in (ClickHouseStore, RedisStore):
        await write(store(settings), settings.topics.trades, [json.dumps(value).encode()])
    await write(ClickHouseStore(settings), settings.topics.instruments, [instrument(exchange="bybit")])
    async with asking(settings, "/exchange/bybit/api/v3/") as ask:
        for path, query in (("trades", {}), ("historicalTrades", {"fromId": 1}), ("aggTrades", {"fromId": 1}),
                            ("aggTrades", {}), ("aggTrades", {"startTime": T0})):  # fmt: skip
            answer = await ask(path, symbol="BTCUSDT", **query)
            assert (answer.status, answer.body["code"]) == (400, -1020), path
            assert "bybit:BTC-USDT" in answer.body["msg"]
        assert (await ask("ticker/price", symbol="BTCUSDT")).body == {"symbol": "BTCUSDT", "price": "27000.1"}


async def test_tickers_prices_and_markets(settings: Settings) -> None:
    topics = settings.topics
    tick = {"tick": Decimal("0.01"), "lot": Decimal("0.001")}
    await write(
        RedisStore(settings), topics.instruments,
        [instrument(**tick), instrument("ETH-USDT"), instrument("BTC-USDT-PERP"), instrument("XRP-USDT", "okx")],
    )  # fmt: skip
    await write(RedisStore(settings), topics.tickers, [ticker("BTC-USDT", 1), ticker("BTC-USDT-PERP", 1)])
    await write(ClickHouseStore(settings), topics.tickers, [ticker("ETH-USDT", 1)])
    await write(RedisStore(settings), topics.trades, [trade(1)])
    imported = json.loads(candle(0)) | {"symbol": "LTC-USDT"}
    await write(ClickHouseStore(settings), topics.candles(), [json.dumps(imported).encode()])
    async with asking(settings) as ask:
        info = (await ask("exchangeInfo", showPermissionSets="false")).body
        assert [each["symbol"] for each in info["symbols"]] == ["BTCUSDT", "ETHUSDT", "LTCUSDT"]
        assert [each["filterType"] for each in info["symbols"][0]["filters"]] == ["PRICE_FILTER", "LOT_SIZE"]
        assert (await ask("exchangeInfo", permissions='["MARGIN"]')).body["symbols"] == []
        assert [each["symbol"] for each in (await ask("exchangeInfo", symbol="ETHUSDT")).body["symbols"]] == ["ETHUSDT"]
        day = await ask("ticker/24hr", symbol="BTCUSDT")
        assert (day.body["symbol"], day.body["lastPrice"], day.body["count"]) == ("BTCUSDT", "2", 9)
        assert day.body["closeTime"] == T0 + 2 * MINUTE - 1
        several = await ask("ticker/24hr", symbols='["BTCUSDT","ETHUSDT"]', type="MINI")
        assert [each["symbol"] for each in several.body] == ["BTCUSDT", "ETHUSDT"]
        assert several.headers["X-Candlewick-Source"] == "hot, warm"
        assert [each["symbol"] for each in (await ask("ticker/24hr")).body] == ["BTCUSDT"]
        assert (await ask("ticker/price", symbol="BTCUSDT")).body == {"symbol": "BTCUSDT", "price": "27000.1"}
        assert (await ask("ticker/price")).body == [{"symbol": "BTCUSDT", "price": "2"}]
        nothing = await ask("ticker/24hr", symbol="LTCUSDT")
        assert (nothing.status, nothing.body["code"]) == (400, -1000)
    async with asking(settings, "/exchange/okx/api/v3/") as ask:
        assert [each["symbol"] for each in (await ask("exchangeInfo")).body["symbols"]] == ["XRPUSDT"]


async def test_a_key_is_sent_as_binances_and_its_scopes_count(settings: Settings, tmp_path: Path) -> None:
    await write(RedisStore(settings), settings.topics.instruments, [instrument(), instrument("BTC-USDT", "okx")])
    text, path = key_text(b"k" * 32), tmp_path / "keys.json"
    key = ApiKey(name="a", sha256=hash_of(text), tier=RateTier.PRO, exchanges=("okx",), created_ms=1)
    change_keys(path, lambda ring: ring.with_key(key))
    guarded = settings.model_copy(update={"keys": path, "anonymous": False})
    for prefix, status in (("/exchange/okx/api/v3/", 200), ("/api/v3/", 403), ("/exchange/binance/api/v3/", 403)):
        async with asking(guarded, prefix, {"X-MBX-APIKEY": text}) as ask:
            assert (await ask("klines", symbol="BTCUSDT", interval="1m")).status == status
            assert (await ask("ping")).status == 200
    async with asking(guarded) as ask:
        assert (await ask("klines", symbol="BTCUSDT", interval="1m")).status == 401

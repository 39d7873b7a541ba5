"""Trades of any time over tiers that hold any of them, against a plain computation; in pages and as streams."""

import csv
import io
import json
import random
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

import aiohttp
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import SecretStr
from written import MINUTE, T0, Written, candle, trade, write, write_records

from market.candle import trade_order
from market.codec import decode_candle, decode_trade, encode_candle, encode_trade
from market.trade import Side, Trade
from runtime.settings import Settings
from serving.server import ServeSettings, serving
from sinks.clickhouse.store import ClickHouseStore
from sinks.parquet.store import ParquetStore
from sinks.redis.store import RedisStore
from sinks.store import Store

BTC = {"exchange": "binance", "symbol": "BTC-USDT"}
BEGIN = T0 + 23 * 24 * 60 * MINUTE - 300 * MINUTE
"""Five hours before February: the day and the month change within the minutes."""
MINUTES = 600
COLD_END, WARM_BEGIN, WARM_END, HOT_BEGIN = 430, 250, 560, 480
HOT_TRADES = 500


class Logged(NamedTuple):
    """A copy of a trade in the log; `run` is None for live."""

    offset: int
    run: str | None
    trade: Trade

    @property
    def minute(self) -> int:
        return (self.trade.time_us // 1000 - BEGIN) // MINUTE

    @property
    def counts_for(self) -> tuple[bool, int]:
        """The greatest counts: a run's before a live one, of runs' the last, of live ones the first."""
        return (True, self.offset) if self.run else (False, -self.offset)


def made_log(rng: random.Random) -> list[Logged]:
    """Live trades, copies of some with other contents, and runs over some minutes."""
    copies: list[tuple[str | None, Trade]] = []
    number = 900
    for minute in range(MINUTES):
        for _ in range(rng.randint(0, 4)):
            number += rng.choice([1, 1, 3])
            time_us = (BEGIN + minute * MINUTE) * 1000 + rng.randrange(60_000_000)
            is_text = rng.random() < 0.2
            of = Trade(
                **BTC, trade_id=f't{number}",' if is_text else str(number),
                price=Decimal(rng.randint(1, 10**9)).scaleb(-rng.choice([0, 2, 9])), qty=Decimal(rng.randint(1, 9)) / 8,
                side=rng.choice(list(Side)), time_us=time_us, received_us=time_us + 5,
                seq=rng.randint(0, 9) if is_text else None,
            )  # fmt: skip
            copies.append((None, of))
            if rng.random() < 0.1:
                copies.append((rng.choice([None, "r1", "r2"]), Trade(**{**fields(of), "price": Decimal(7)})))
    return [Logged(offset, run, of) for offset, (run, of) in enumerate(copies)]


def fields(of: Trade) -> dict[str, Any]:
    return {name: getattr(of, name) for name in of.__struct_fields__}


def counted(copies: Iterable[Logged]) -> dict[tuple[int, str], Logged]:
    """The copy that counts of each trade of a minute."""
    best: dict[tuple[int, str], Logged] = {}
    for copy in copies:
        key = (copy.minute, copy.trade.trade_id)
        best[key] = max(best.get(key, copy), copy, key=lambda of: of.counts_for)
    return best


def in_order(copies: Iterable[Logged]) -> list[dict[str, Any]]:
    trades = sorted((copy.trade for copy in copies), key=trade_order)
    return [json.loads(encode_trade(of)) for of in trades]


class Spread(NamedTuple):
    cold: list[Logged]
    warm: list[Logged]
    hot: list[Logged]
    lost: set[int]
    """Minutes of which warm lost a trade and cold has none."""

    def expected(
        self, *, is_warm_there: bool = True, is_cold_there: bool = True, is_hot_there: bool = True
    ) -> list[Any]:
        best = counted((self.cold if is_cold_there else []) + (self.warm if is_warm_there else []))
        if is_hot_there:
            best = {**{(copy.minute, copy.trade.trade_id): copy for copy in self.hot}, **best}
        return in_order(best.values())


async def spread(settings: Settings, rng: random.Random) -> Spread:
    """Each tier a range: warm without some trades, of which most are in cold."""
    log = made_log(rng)
    lost_keys = {
        key for key, copy in counted(log).items() if WARM_BEGIN <= copy.minute < WARM_END and rng.random() < 0.05
    }
    cold = [copy for copy in log if copy.minute < COLD_END]
    warm = [
        copy
        for copy in log
        if WARM_BEGIN <= copy.minute < WARM_END and (copy.minute, copy.trade.trade_id) not in lost_keys
    ]
    live = counted(copy for copy in log if copy.run is None and copy.minute >= HOT_BEGIN).values()
    hot = sorted(live, key=lambda copy: trade_order(copy.trade))[-HOT_TRADES:]
    await write_log(ParquetStore(settings), settings, cold)
    await write_log(ClickHouseStore(settings), settings, warm)
    await write_log(RedisStore(settings), settings, hot)
    ids: dict[int, set[str]] = {}
    for copy in log:
        ids.setdefault(copy.minute, set()).add(copy.trade.trade_id)
    for store, begin, end in ((ParquetStore(settings), 0, COLD_END), (ClickHouseStore(settings), WARM_BEGIN, WARM_END)):
        values = [candle_of(minute, len(ids.get(minute, ()))) for minute in range(begin, end)]
        await write(store, settings.topics.candles(), values)
    hot_keys = {(copy.minute, copy.trade.trade_id) for copy in hot}
    lost = {minute for minute, trade_id in lost_keys if minute >= COLD_END and (minute, trade_id) not in hot_keys}
    return Spread(cold, warm, hot, lost)


async def write_log(store: Store, settings: Settings, copies: list[Logged]) -> None:
    """Each copy under its own offset, with its run."""
    records = [
        Written(
            copy.offset, encode_trade(copy.trade), b"binance:BTC-USDT",
            headers=[("run", copy.run.encode())] if copy.run else [],
        )
        for copy in copies
    ]  # fmt: skip
    await write_records(store, settings.topics.trades, records)


def candle_of(minute: int, trades: int) -> bytes:
    of = decode_candle(candle(0))
    values = {name: getattr(of, name) for name in of.__struct_fields__}
    open_ms = BEGIN + minute * MINUTE
    ids = {"first_trade_id": None, "last_trade_id": None} if not trades else {}
    return encode_candle(
        type(of)(**{**values, "open_time_ms": open_ms, "close_time_ms": open_ms + MINUTE - 1, "trades": trades, **ids})
    )


@asynccontextmanager
async def client(settings: Settings) -> AsyncIterator[aiohttp.ClientSession]:
    async with serving(settings, ServeSettings(port=0)) as (address, _), aiohttp.ClientSession(address) as session:
        yield session


async def pages(session: aiohttp.ClientSession, limit: int, **query: Any) -> list[dict[str, Any]]:
    """All answers, one after the other."""
    answers: list[dict[str, Any]] = []
    cursor: dict[str, str] = {}
    while not answers or cursor:
        async with session.get("/v1/historical", params=BTC | query | cursor | {"limit": limit}) as response:
            answer = json.loads(await response.read())
            assert response.status == 200, answer
        answers.append(answer)
        cursor = {"cursor": answer["next_cursor"]} if answer["next_cursor"] else {}
    return answers


def within(trades: list[Any], span: dict[str, int]) -> list[Any]:
    return [of for of in trades if span["from_ms"] * 1000 <= of["time_us"] < span["until_ms"] * 1000]


@pytest.mark.parametrize("seed", range(3))
async def test_no_trade_is_given_twice_or_missing_whatever_tier_it_is_in(settings: Settings, seed: int) -> None:
    rng = random.Random(seed)  # any made-up market
    held = await spread(settings, rng)
    wanted = held.expected()
    async with client(settings) as session:
        [answer] = await pages(session, 10_000)
        assert answer["trades"] == wanted
        assert answer["source"]["ranges"][0]["tier"] == "cold"
        assert {name for of in answer["source"]["ranges"] for name in of["tier"].split("+")} == {"hot", "warm", "cold"}
        lacking = {
            (time_ms - BEGIN) // MINUTE
            for part in answer["coverage"]["lacking"]
            for time_ms in range(part["from_ms"], part["until_ms"], MINUTE)
        }
        assert lacking == held.lost
        assert answer["coverage"]["statuses"] == {"complete": WARM_END}
        assert (answer["coverage"]["present"], answer["source"]["away"]) == (len(wanted), [])
        for _ in range(4):
            first, end = sorted(rng.sample(range(-50, MINUTES + 50), 2))
            span = {
                "from_ms": BEGIN + first * MINUTE + rng.choice([0, 1, 59_999]),
                "until_ms": BEGIN + end * MINUTE + rng.choice([0, 1, 59_999]),
            }
            told = [of for page in await pages(session, rng.choice([37, 200]), **span) for of in page["trades"]]
            assert told == within(wanted, span)


async def test_what_a_tier_that_is_away_does_not_give_the_others_do(settings: Settings) -> None:
    held = await spread(settings, random.Random(9))  # any made-up market
    gone = {"redis": SecretStr("redis://127.0.0.1:1"), "clickhouse": SecretStr("http://127.0.0.1:1")}
    cases: list[tuple[list[str], dict[str, Any], dict[str, bool]]] = [
        (["hot"], {"redis": gone["redis"]}, {"is_hot_there": False}),
        (["warm"], {"clickhouse": gone["clickhouse"]}, {"is_warm_there": False}),
        (["hot", "warm"], gone, {"is_hot_there": False, "is_warm_there": False}),
    ]
    for names, changed, there in cases:
        async with client(settings.model_copy(update=changed)) as session:
            [answer] = await pages(session, 10_000)
            assert answer["trades"] == held.expected(**there), names
            assert answer["source"]["away"] == names


async def test_streams_hold_what_pages_hold_and_say_that_they_are_whole(settings: Settings) -> None:
    held = await spread(settings, random.Random(4))  # any made-up market
    span = {"from_ms": BEGIN + 100 * MINUTE + 7, "until_ms": BEGIN + 590 * MINUTE + 3}
    wanted = within(held.expected(), span)
    async with client(settings) as session:

        async def stream(form: str) -> bytes:
            async with session.get("/v1/historical", params=BTC | span | {"format": form}) as response:
                assert response.status == 200
                return await response.read()

        *lines, last = (await stream("ndjson")).splitlines()
        assert [json.loads(line) for line in lines] == wanted
        end = json.loads(last)["end"]
        assert (end["rows"], end["coverage"]["until_ms"], end["source"]["away"]) == (len(wanted), span["until_ms"], [])

        rows = list(csv.DictReader(io.StringIO((await stream("csv")).decode())))
        assert [{name: value for name, value in row.items() if value} for row in rows] == [
            {name: str(value) for name, value in of.items()} for of in wanted
        ]

        exact = [
            {**of, "price": Decimal(of["price"]), "qty": Decimal(of["qty"]), "seq": of.get("seq")} for of in wanted
        ]
        with pa.ipc.open_stream(await stream("arrow")) as arrow:
            batches = list(arrow.iter_batches_with_custom_metadata())
        assert [row for batch in batches for row in batch.batch.to_pylist()] == exact
        assert json.loads(batches[-1].custom_metadata["candlewick.end"]) == end

        parquet = pa.BufferReader(await stream("parquet"))
        assert pq.read_table(parquet).to_pylist() == exact
        assert json.loads(pq.read_metadata(parquet).metadata[b"candlewick.end"]) == end

        accept = {"Accept": "application/vnd.apache.arrow.stream"}
        async with session.get("/v1/historical", params=BTC | span, headers=accept) as response:
            assert response.content_type == accept["Accept"]
            assert pa.ipc.open_stream(await response.read()).read_all().num_rows == len(wanted)


async def test_a_stream_that_fails_midway_breaks_and_does_not_look_whole(settings: Settings) -> None:
    days = [T0, T0 + 3 * 24 * 60 * MINUTE]
    for number, begin in enumerate(days):
        of = decode_trade(trade(number))
        moved = Trade(**{**fields(of), "time_us": begin * 1000 + number})
        await write(ParquetStore(settings), settings.topics.trades, [encode_trade(moved)], first=number)
    damage(settings, "2021-01-11")
    await write(ClickHouseStore(settings), settings.topics.candles(), [candle(0)])
    async with client(settings) as session:
        for form in ("ndjson", "csv", "arrow", "parquet"):
            given = bytearray()
            async with session.get("/v1/historical", params=BTC | {"format": form}) as response:
                assert response.status == 200
                with pytest.raises(aiohttp.ClientPayloadError):
                    await read_into(given, response)
            assert given
            assert b'"end"' not in given
        async with session.get("/v1/historical", params=BTC) as response:
            answer = await response.json()
        assert [of["trade_id"] for of in answer["trades"]] == ["0"]
        assert answer["source"]["away"] == ["cold"]


def damage(settings: Settings, date: str) -> None:
    """Destroy the rows of a day's file; its footer still tells what is in it."""
    [damaged] = Path(unquote(urlsplit(settings.cold or "").path)).glob(f"trades/*/date={date}/*.parquet")
    content = bytearray(damaged.read_bytes())
    content[4:200] = bytes(196)
    damaged.write_bytes(content)


async def read_into(given: bytearray, response: aiohttp.ClientResponse) -> None:
    async for part, _ in response.content.iter_chunks():
        given += part


async def test_streams_take_no_pages_and_candles_as_streams_begin_somewhere(settings: Settings) -> None:
    async with client(settings) as session:
        for path, query in (
            ("/v1/historical", {"format": "arrow", "limit": 5}),
            ("/v1/historical", {"format": "csv", "cursor": "x"}),
            ("/v1/candles", {"format": "csv"}),
            ("/v1/candles", {"format": "xml", "from_ms": 0}),
        ):
            async with session.get(path, params=BTC | query) as response:
                assert (response.status, response.content_type) == (400, "application/problem+json"), query

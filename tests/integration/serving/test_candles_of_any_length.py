"""Candles of any length over tiers that hold any of their minutes, against sums of fractions."""

import csv
import io
import json
import random
from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

import aiohttp
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import SecretStr
from written import MINUTE, T0, write

from market.timeframe import Timeframe
from runtime.settings import Settings
from serving import candle_stream
from serving.server import ServeSettings, serving
from sinks.clickhouse.store import ClickHouseStore
from sinks.parquet.store import ParquetStore
from sinks.redis.store import RedisStore
from sinks.store import Store

BTC = {"exchange": "binance", "symbol": "BTC-USDT"}
BEGIN = T0 + 23 * 24 * 60 * MINUTE - 300 * MINUTE
"""Five hours before February: days and months change within the minutes."""
MINUTES = 600
LENGTHS = ["1m", "7m", "90m", "1h", "1d", "3d", "1w", "1M", "2M"]
STATUSES = ["complete", "connected", "kline", "hole"]
SUMS = ("volume", "quote_volume", "trades", "taker_buy_volume", "taker_buy_quote_volume")
Told = dict[int, dict[int, dict[str, Any]]]
"""Minute → revision → candle."""


def made(rng: random.Random, minute: int, revision: int) -> dict[str, Any]:
    low, high = sorted((rng.randint(1, 9_999), rng.randint(10_000, 99_999)))
    trades = rng.choice([0, 3])
    open_ms = BEGIN + minute * MINUTE
    return BTC | {
        "timeframe": "1m", "open_time_ms": open_ms, "close_time_ms": open_ms + MINUTE - 1,
        "open": str(rng.randint(low, high)), "high": str(high), "low": str(low), "close": str(rng.randint(low, high)),
        "volume": f"{rng.randint(0, 10**9)}.000000000000000001", "quote_volume": str(rng.randint(0, 10**12)),
        "trades": trades, "taker_buy_volume": "0.00000001", "taker_buy_quote_volume": "0.5",
        "first_trade_id": str(minute) if trades else None, "last_trade_id": str(minute + 3) if trades else None,
        "revision": revision, "status": rng.choice(STATUSES),
    }  # fmt: skip


async def spread(settings: Settings, rng: random.Random) -> tuple[Told, Told]:
    """Write minutes into the tiers, each tier a range with holes: old ones in cold, new ones in hot.

    Gives all of them, and those of cold alone.
    """
    told: Told = {minute: {10: made(rng, minute, 10)} for minute in range(MINUTES) if rng.random() < 0.97}
    for minute in rng.sample(sorted(told), 60):
        told[minute][500 + minute] = made(rng, minute, 500 + minute)
    ranges: list[tuple[Store, int, int]] = [
        (ParquetStore(settings), 0, 430),
        (ClickHouseStore(settings), 250, 560),
        (RedisStore(settings), 480, MINUTES),
    ]
    cold: Told = {}
    for number, (store, first, end) in enumerate(ranges):
        minutes = [minute for minute in told if first <= minute < end]
        values = [told[minute][revision] for minute in minutes for revision in sorted(told[minute])]
        await write(store, settings.topics.candles(), [json.dumps(value).encode() for value in values], first=number)
        if not number:
            cold = {minute: told[minute] for minute in minutes}
    return told, cold


def window_of(length: str, time_ms: int) -> tuple[int, int]:
    """From the calendar, without the code that is tested."""
    number, unit = int(length[:-1]), length[-1]
    if unit == "M":
        time = datetime.fromtimestamp(time_ms / 1000, UTC)
        month = (time.year - 1970) * 12 + time.month - 1
        month -= month % number
        opened, closed = (
            int(datetime(1970 + index // 12, index % 12 + 1, 1, tzinfo=UTC).timestamp() * 1000)
            for index in (month, month + number)
        )
        return opened, closed
    length_ms = number * {"m": 1, "h": 60, "d": 1440, "w": 10_080}[unit] * MINUTE
    shift = 4 * 1440 * MINUTE if unit == "w" else 0
    opened = (time_ms - shift) // length_ms * length_ms + shift
    return opened, opened + length_ms


def expected(told: Told, length: str, from_ms: int, until_ms: int, *, is_first: bool) -> dict[int, dict[str, Any]]:
    windows: dict[int, list[dict[str, Any]]] = {}
    for minute in sorted(told):
        revision = (min if is_first else max)(told[minute])
        candle = told[minute][revision]
        opened, _ = window_of(length, candle["open_time_ms"])
        if from_ms <= opened < until_ms:
            windows.setdefault(opened, []).append(candle)
    return {opened: summed(length, opened, parts) for opened, parts in windows.items()}


def summed(length: str, opened: int, parts: list[dict[str, Any]]) -> dict[str, Any]:
    traded = [part for part in parts if part["trades"]]
    end = window_of(length, opened)[1]
    whole = (end - opened) // MINUTE
    lacks = {"minutes_covered": len(parts), "minutes_missing": whole - len(parts)} if len(parts) < whole else {}
    return {
        "timeframe": length, "open_time_ms": opened, "close_time_ms": end - 1,
        "open": Fraction(parts[0]["open"]), "close": Fraction(parts[-1]["close"]),
        "high": max(Fraction(part["high"]) for part in parts), "low": min(Fraction(part["low"]) for part in parts),
        **{name: sum(Fraction(part[name]) for part in parts) for name in SUMS},
        "first_trade_id": traded[0]["first_trade_id"] if traded else None,
        "last_trade_id": traded[-1]["last_trade_id"] if traded else None,
        "revision": max(part["revision"] for part in parts),
        "status": max((part["status"] for part in parts), key=STATUSES.index),
    } | lacks | BTC  # fmt: skip


def exact(candle: dict[str, Any]) -> dict[str, Any]:
    return {
        name: Fraction(value) if name in {"open", "high", "low", "close", *SUMS} else value
        for name, value in candle.items()
    }


async def ask(session: aiohttp.ClientSession, **query: Any) -> dict[str, Any]:
    async with session.get("/v1/candles", params=BTC | query) as response:
        body = await response.json()
        assert response.status == 200, body
        return dict(body)


@pytest.mark.parametrize("seed", range(3))
async def test_every_answer_is_the_sum_of_the_minutes_of_all_tiers(settings: Settings, seed: int) -> None:
    rng = random.Random(seed)  # any made-up market
    told, _ = await spread(settings, rng)
    async with serving(settings, ServeSettings(port=0)) as (address, _), aiohttp.ClientSession(address) as session:
        for length in LENGTHS:
            for _ in range(3):
                first, end = sorted(rng.sample(range(-90, MINUTES + 90), 2))
                from_ms, until_ms = BEGIN + first * MINUTE, BEGIN + end * MINUTE
                if length[-1] in "dwM":
                    from_ms, until_ms = BEGIN - 90 * 1440 * MINUTE, BEGIN + 90 * 1440 * MINUTE
                answer = await ask(session, timeframe=length, from_ms=from_ms, until_ms=until_ms, limit=5000)
                wanted = expected(told, length, from_ms, until_ms, is_first=False)
                assert [exact(candle) for candle in answer["candles"]] == [wanted[opened] for opened in sorted(wanted)]
                covered = answer["coverage"]
                assert covered["present"] == len(wanted)
                minutes = [candle.get("minutes_covered") for candle in wanted.values()]
                if None not in minutes:
                    assert covered["minutes_present"] == sum(minutes)
                if length != "1m":
                    continue
                # The least revisions are kept for sure where cold has them.
                span = {"from_ms": BEGIN + 30 * MINUTE, "until_ms": BEGIN + rng.randint(30, 430) * MINUTE}
                answer = await ask(session, timeframe=length, limit=5000, revision="first", **span)
                firsts = expected(told, length, is_first=True, **span)
                assert [exact(candle) for candle in answer["candles"]] == list(firsts.values())


async def test_streams_hold_the_candles_of_all_pages(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(candle_stream, "MAX_CANDLES", 50)  # so that a stream is of several pages
    await spread(settings, random.Random(5))  # any made-up market
    span = {"from_ms": BEGIN, "until_ms": BEGIN + MINUTES * MINUTE}
    async with serving(settings, ServeSettings(port=0)) as (address, _), aiohttp.ClientSession(address) as session:
        for length in ("1m", "7m", "1d"):
            whole = await ask(session, timeframe=length, limit=5000, **span)
            told: dict[str, bytes] = {}
            for form in ("ndjson", "csv", "arrow", "parquet"):
                query = BTC | span | {"timeframe": length, "format": form}
                async with session.get("/v1/candles", params=query) as response:
                    told[form] = await response.read()
            *lines, last = map(json.loads, told["ndjson"].splitlines())
            assert lines == whole["candles"]
            assert last["end"] == {
                "rows": len(lines), "source": whole["source"],
                "coverage": whole["coverage"] | {"statuses": last["end"]["coverage"]["statuses"]},
            }  # fmt: skip
            assert sum(last["end"]["coverage"]["statuses"].values()) == len(lines)
            rows = pa.ipc.open_stream(told["arrow"]).read_all()
            assert rows.equals(pq.read_table(pa.BufferReader(told["parquet"])))
            exact_rows = [{name: value for name, value in row.items() if value is not None} for row in rows.to_pylist()]
            assert [exact(row) for row in exact_rows] == [
                {name: value for name, value in exact(of).items() if value is not None} for of in whole["candles"]
            ]
            table = list(csv.DictReader(io.StringIO(told["csv"].decode())))
            assert [{name: value for name, value in row.items() if value} for row in table] == [
                {name: str(value) for name, value in of.items() if value is not None} for of in whole["candles"]
            ]


async def test_without_a_tier_the_others_answer_for_what_they_have(settings: Settings) -> None:
    told, cold = await spread(settings, random.Random(7))  # any made-up market
    away = {"redis": SecretStr("redis://127.0.0.1:1"), "clickhouse": SecretStr("http://127.0.0.1:1")}
    span = {"from_ms": BEGIN, "until_ms": BEGIN + MINUTES * MINUTE}
    for gone, names in (({"redis"}, ["hot"]), ({"redis", "clickhouse"}, ["hot", "warm"])):
        left = settings.model_copy(update={name: away[name] for name in gone})
        there = cold if len(gone) == 2 else {minute: told[minute] for minute in told if minute < 560}
        async with serving(left, ServeSettings(port=0)) as (address, _), aiohttp.ClientSession(address) as session:
            for length in ("1m", "7m", "90m"):
                answer = await ask(session, timeframe=length, limit=5000, **span)
                wanted = expected(there, length, span["from_ms"], span["until_ms"], is_first=False)
                assert [exact(candle) for candle in answer["candles"]] == [wanted[opened] for opened in sorted(wanted)]
                assert answer["source"]["away"] == names


async def test_a_long_candle_stands_as_the_pipeline_made_it_and_says_hot(settings: Settings) -> None:
    rng = random.Random(1)  # any made-up market
    hour = 3_600_000
    stored = made(rng, 0, 3) | {"timeframe": "1h", "open_time_ms": T0, "close_time_ms": T0 + hour - 1}
    await write(RedisStore(settings), settings.topics.candles(Timeframe.H1), [json.dumps(stored).encode()])
    async with serving(settings, ServeSettings(port=0)) as (address, _), aiohttp.ClientSession(address) as session:
        for name in ("1h", "60m"):
            answer = await ask(session, timeframe=name, from_ms=T0, until_ms=T0 + hour)
            assert answer["candles"] == [stored]
            assert answer["source"]["ranges"] == [{"from_ms": T0, "until_ms": T0 + hour, "tier": "hot"}]


async def test_too_much_for_one_answer_is_refused_with_the_way_to_get_it(settings: Settings) -> None:
    value = json.dumps(made(random.Random(1), 0, 3)).encode()  # any made-up market
    await write(ClickHouseStore(settings), settings.topics.candles(), [value])
    async with serving(settings, ServeSettings(port=0)) as (address, _), aiohttp.ClientSession(address) as session:
        query = BTC | {"timeframe": "1d", "from_ms": BEGIN - BEGIN % 86_400_000, "limit": 2000}
        async with session.get("/v1/candles", params=query) as response:
            problem = await response.json(content_type="application/problem+json")
        assert (response.status, problem["limit"]) == (400, 1111)
        assert "limit=1111" in problem["detail"]
        assert (await ask(session, timeframe="1d", from_ms=query["from_ms"], limit=1111))["coverage"][
            "minutes_present"
        ] == 1

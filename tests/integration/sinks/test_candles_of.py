"""Candles of any length out of ClickHouse, held against fractions of the newest minutes."""

import json
import random
from fractions import Fraction
from typing import Any

import pytest
from log import candle
from written import write

from market.timeframe import DAY_MS, MINUTE_MS
from runtime.settings import Settings, clickhouse_address
from sinks.clickhouse.connect import connect
from sinks.clickhouse.store import ClickHouseStore

DAY = 19_677
"""2023-11-16: a day whose midnight begins a window of seven minutes too, as windows are counted from 1970."""
MINUTES = 400
SUMS = ("volume", "quote_volume", "trades", "taker_buy_volume", "taker_buy_quote_volume")
BEST_FIRST = ("complete", "connected", "kline", "hole")


def candles(rng: random.Random) -> list[dict[str, Any]]:
    """Minutes of a day in several revisions, in any order; some minutes are missing, some without trades."""
    told = []
    for minute in rng.sample(range(MINUTES), MINUTES - 9):
        for _ in range(rng.randint(1, 3)):
            low, high = sorted((rng.randint(1, 9_999), rng.randint(1, 9_999)))
            ids = rng.choice([(None, None), ("7", "12"), ("f7496ecb", "2089f1f4"), (str(minute), str(minute + 1))])
            prices = {"low": str(low), "high": str(high), "open": str(rng.randint(low, high)), "close": str(high)}
            sums = {
                "volume": f"{rng.randint(0, 10**9)}.000000000000000001",
                "quote_volume": str(rng.randint(0, 10**12)),
            }
            open_ms = DAY * DAY_MS + minute * MINUTE_MS
            told.append(
                candle(0, rng.randint(1, 10**9))
                | prices
                | sums
                | {"open_time_ms": open_ms, "close_time_ms": open_ms + MINUTE_MS - 1, "trades": rng.randint(0, 99)}
                | {"first_trade_id": ids[0], "last_trade_id": ids[1]}
                | {"status": rng.choice(["complete", "connected", "kline", "hole"])}
            )
    return rng.sample(told, len(told))


@pytest.mark.parametrize("minutes", [1, 3, 5, 7, 15, 60, 240, 1440])
async def test_they_are_the_sums_of_the_newest_minutes_before_anything_is_merged(
    settings: Settings, minutes: int
) -> None:
    told = candles(random.Random(minutes))  # any made-up market
    values = [json.dumps(fields).encode() for fields in told]
    store = ClickHouseStore(settings)
    await store.open()
    async with await connect(clickhouse_address(settings), database=settings.clickhouse_database) as client:
        await client.command("SYSTEM STOP MERGES candles")
        for number in range(3):
            await write(store, settings.topics.candles(), values[number::3], first=1000 * number)
        [(rows, newest)] = (await client.query("SELECT count(), uniq(open_time) FROM candles")).result_rows
        assert rows > newest, "nothing would show that only the newest revisions count"
        asked = (
            "SELECT * FROM candles_of(exchange = 'binance', symbol = 'BTC-USDT', minutes = {minutes:UInt32}, "
            "from_time = '2023-11-16 00:00:00', until_time = '2023-11-17 00:00:00')"
        )
        seen = list((await client.query(asked.replace("{minutes:UInt32}", str(minutes)))).named_results())
        await client.command(f"DROP DATABASE {settings.clickhouse_database}")
    wanted = windows(told, minutes)
    assert len(seen) == len(wanted)
    for row in seen:
        since = (int(row["open_time"].timestamp() * 1000) - DAY * DAY_MS) // MINUTE_MS
        for name, value in summed(wanted[since]).items():
            assert (Fraction(row[name]) if isinstance(value, Fraction) else row[name]) == value, name


def windows(told: list[dict[str, Any]], minutes: int) -> dict[int, list[dict[str, Any]]]:
    """First minute of a window → the newest version of each of its minutes that is there, in order."""
    newest: dict[int, dict[str, Any]] = {}
    for fields in told:
        minute = (fields["open_time_ms"] - DAY * DAY_MS) // MINUTE_MS
        if minute not in newest or fields["revision"] > newest[minute]["revision"]:
            newest[minute] = fields
    parts: dict[int, list[dict[str, Any]]] = {}
    for minute in sorted(newest):
        parts.setdefault(minute // minutes * minutes, []).append(newest[minute])
    return parts


def summed(parts: list[dict[str, Any]]) -> dict[str, Any]:
    first_ids = [part["first_trade_id"] for part in parts if part["first_trade_id"] is not None]
    last_ids = [part["last_trade_id"] for part in parts if part["last_trade_id"] is not None]
    return {
        "open": Fraction(parts[0]["open"]),
        "high": max(Fraction(part["high"]) for part in parts),
        "low": min(Fraction(part["low"]) for part in parts),
        "close": Fraction(parts[-1]["close"]),
        **{name: sum(Fraction(part[name]) for part in parts) for name in SUMS},
        "first_trade_id": first_ids[0] if first_ids else None,
        "last_trade_id": last_ids[-1] if last_ids else None,
        "revision": max(part["revision"] for part in parts),
        "status": max((part["status"] for part in parts), key=BEST_FIRST.index),
        "minutes_held": len(parts),
    }

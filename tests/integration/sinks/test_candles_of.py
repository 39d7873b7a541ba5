"""Candles of any length out of ClickHouse, held against the processor that makes the longer candles of the topics."""

import json
import random
from typing import Any

import pytest
from log import candle
from written import write

from market.candle import Status
from market.codec import decode_candle
from market.timeframe import DAY_MS, MINUTE_MS
from processors.rolling.day import Day
from runtime.settings import Settings, clickhouse_address
from sinks.clickhouse.connect import connect
from sinks.clickhouse.store import ClickHouseStore

DAY = 19_677
"""2023-11-16: a day whose midnight begins a window of seven minutes too, as windows are counted from 1970."""
MINUTES = 400
FIELDS = (
    "open", "high", "low", "close", "volume", "quote_volume", "trades", "taker_buy_volume", "taker_buy_quote_volume",
    "first_trade_id", "last_trade_id", "revision", "status",
)  # fmt: skip


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
    values, day = [json.dumps(fields).encode() for fields in told], Day()
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
    for value in values:
        day.put(decode_candle(value))
    wanted = {since: day.sum(since, since + minutes) for since in range(0, MINUTES, minutes)}
    assert len(seen) == sum(one is not None for one in wanted.values())
    for row in seen:
        since = (int(row["open_time"].timestamp() * 1000) - DAY * DAY_MS) // MINUTE_MS
        whole = wanted[since]
        assert whole is not None
        assert row["minutes_held"] == whole.minutes
        assert (row["minutes_held"] == minutes) == day.is_whole(since, since + minutes)
        assert [row[name] for name in FIELDS] == [_plain(getattr(whole, name)) for name in FIELDS]


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Status) else value

"""The programs in `examples` that read the cold and the hot store, on stores that hold what the test wrote."""

import asyncio
import random
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import orjson
import pytest
from eventually import eventually
from log import candle, trade
from matplotlib import image
from redis.asyncio import Redis
from written import write

from market.topics import Topics
from runtime.settings import Settings, redis_address
from sinks.parquet.store import ParquetStore
from sinks.redis.store import RedisStore

EXAMPLES = Path(__file__).parents[2] / "examples"
DAY_MS = 1_700_006_400_000  # 2023-11-15
DAY = "2023-11-15"
MINUTE_MS = 60_000


def values(records: Sequence[dict[str, Any]]) -> list[bytes]:
    return [orjson.dumps(told) for told in records]


def folder(settings: Settings) -> str:
    return urlsplit(settings.cold or "").path


async def run(name: str, *arguments: str) -> tuple[int | None, str, str]:
    """The program's exit code, and what it prints, and what it complains of."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(EXAMPLES / name), *arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    out, errors = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode, out.decode(), errors.decode()


async def ran(name: str, *arguments: str) -> list[str]:
    """What it prints, line by line, when all goes well."""
    code, out, errors = await run(name, *arguments)
    assert code == 0, errors
    return out.splitlines()


def day_of_candles() -> list[dict[str, Any]]:
    """A minute each; every tenth is told first with wrong amounts under a lower revision."""
    at, price, made = random.Random(3), 2700000, []
    for minute in range(1440):
        opened, price = price, price + at.randint(-900, 900)
        open_ms = DAY_MS + minute * MINUTE_MS
        right = candle(
            0, 5000 + minute, open_time_ms=open_ms, close_time_ms=open_ms + MINUTE_MS - 1,
            open=cents(opened), close=cents(price), high=cents(max(opened, price) + at.randint(0, 500)),
            low=cents(min(opened, price) - at.randint(0, 500)), volume=f"{at.randint(1, 10**9)}.{at.randint(1, 10**9)}",
            status="hole" if minute == 70 else "complete",
        )  # fmt: skip
        if minute % 10 == 0:
            made.append(right | {"revision": minute, "volume": "1", "high": "99999", "status": "hole"})
        made.append(right)
    return made


def cents(amount: int) -> str:
    return f"{amount // 100}.{amount % 100:02}"


async def test_polars_tells_each_hour_s_volume_exactly_and_each_trade_once(settings: Settings, topics: Topics) -> None:
    trades = [
        trade(number, qty=f"{number % 97 + 1}.00{number % 89:02}1", time_us=DAY_MS * 1000 + number * 11_000_000)
        for number in range(900)
    ]
    again = [told | {"qty": "77"} for told in trades[::9]]
    others = [trade(number, symbol="ETH-USDT", time_us=DAY_MS * 1000) for number in range(50)]
    await write(ParquetStore(settings), topics.trades, values([*trades, *others, *again]))
    volumes: defaultdict[int, Decimal] = defaultdict(Decimal)
    for told in trades:
        volumes[(told["time_us"] // 1000 - DAY_MS) // 3_600_000] += Decimal(told["qty"])
    printed = [line.split() for line in await ran("polars_trades.py", folder(settings))]
    assert [(line[1], Decimal(line[3])) for line in printed] == [(f"{hour:02}:00", volumes[hour]) for hour in volumes]
    assert sum(int(line[2]) for line in printed) == 900
    turnover = sum(Decimal(told["price"]) * Decimal(told["qty"]) for told in trades)
    assert sum(float(line[4]) for line in printed) == pytest.approx(float(turnover), rel=1e-6)


async def test_duckdb_makes_longer_candles_of_the_highest_revisions(settings: Settings, topics: Topics) -> None:
    told = day_of_candles()
    await write(ParquetStore(settings), topics.candles(), values(told))
    right = [each for each in told if each["revision"] >= 5000]
    header, *lines = await ran("duckdb_candles.py", folder(settings), "--minutes", "420")
    assert header.startswith("from open high")
    assert len(lines) == 5  # of seven hours, which do not begin with the day
    _, *hours = await ran("duckdb_candles.py", folder(settings))
    printed = [line.split() for line in hours]
    for hour, line in enumerate(printed):
        minutes = right[hour * 60 : hour * 60 + 60]
        assert line[:2] == [DAY, f"{hour:02}:00"]
        assert [Decimal(text) for text in line[2:7]] == [
            Decimal(minutes[0]["open"]),
            max(Decimal(minute["high"]) for minute in minutes),
            min(Decimal(minute["low"]) for minute in minutes),
            Decimal(minutes[-1]["close"]),
            sum(Decimal(minute["volume"]) for minute in minutes),
        ]
        assert (line[7], line[8]) == (str(60 * 9), "1" if hour == 1 else "0")
    assert len(printed) == 24


async def test_redis_tells_the_newest_candle_and_then_what_comes(settings: Settings, topics: Topics) -> None:
    await write(RedisStore(settings), topics.candles(), values([candle(0, 1, close="1.5"), candle(1, 2, close="2.5")]))
    channel = f"{settings.prefix}cw:trades:{{binance:BTC-USDT}}"
    watching = asyncio.create_task(
        ran("redis_follow.py", redis_address(settings), "--prefix", settings.prefix, "--messages", "2")
    )
    client = Redis.from_url(redis_address(settings))
    try:
        await eventually(lambda: _is_heard(client, channel), timeout_s=30)
    finally:
        await client.aclose()
    await write(RedisStore(settings), topics.trades, values([trade(7), trade(8)]), first=10)
    await write(RedisStore(settings), topics.candles(), values([candle(2, 3, close="3.25")]), first=10)
    newest, *came = await watching
    assert newest.split()[2:] == [str(candle(1, 2)["open_time_ms"]), "2.5", "complete"]
    assert came == [
        "trade: 7 buy 0.001 at 27007.5",
        "trade: 8 sell 0.001 at 27008.5",
        f"candle: {candle(2, 3)['open_time_ms']} 3.25 complete",
    ]


async def _is_heard(client: Any, channel: str) -> bool:
    [(_, listeners)] = await client.pubsub_numsub(channel)
    return bool(listeners)


async def test_a_day_is_drawn_as_candlesticks(settings: Settings, topics: Topics, tmp_path: Path) -> None:
    await write(ParquetStore(settings), topics.candles(), values(day_of_candles()))
    path = tmp_path / "day.png"
    [line] = await ran("plot_day.py", DAY, str(path), "--folder", folder(settings))
    assert line == f"96 candles of 1440 minutes: {path}"
    pixels = image.imread(path)
    assert pixels.shape[:2] == (715, 1320)
    for color in ("#26805a", "#c0392b"):  # risen and fallen
        wanted = [int(color[place : place + 2], 16) for place in (1, 3, 5)]
        assert (abs(pixels[..., :3] * 255 - wanted).max(axis=2) < 2).sum() > 2000
    code, _, errors = await run("plot_day.py", DAY, str(path), "--folder", folder(settings), "--symbol", "X-Y")
    assert (code, errors) == (1, f"no candles of binance:X-Y on {DAY}\n")


@pytest.mark.parametrize(
    ("command", "told"),
    [
        (["polars_trades.py", "{}"], "no trades in {}: the first files come"),
        (["duckdb_candles.py", "{}"], "no candles in {}: the first files come"),
        (["plot_day.py", DAY, "no.png", "--folder", "{}"], "no candles of that day in {}: "),
    ],
)
async def test_an_empty_store_is_told_in_a_sentence(command: list[str], told: str, tmp_path: Path) -> None:
    name, *arguments = (word.format(tmp_path) for word in command)
    code, _, errors = await run(name, *arguments)
    assert code == 1
    assert errors.startswith(told.format(tmp_path))


EVERY = ("polars_trades.py", "duckdb_candles.py", "redis_follow.py", "plot_day.py", "api_candles.py")


@pytest.mark.parametrize("name", EVERY)
async def test_an_example_says_what_it_is_for_and_how_to_run_it(name: str) -> None:
    told = "\n".join(await ran(name, "--help"))
    assert re.search(r"pip install [a-z ]+, then: python " + re.escape(name), told)
    assert "--symbol" in told

"""What lies back in time: ten million trades as one stream, candles of a month made in warm, a day that only cold has.

``bench_history.py [--trades 10000000] [--markets 20] [--asked 100]``; into ``results/history.json``. Each question is
asked alone and of another time, so that nothing kept answers it; the server is a process of its own.
"""

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import clickhouse_connect
import orjson
import psutil
import pyarrow as pa
from cold import LoggedRecord
from report import figure, write
from trades import PARTITIONS

from deploy.local import stack
from market.partition import partition_of
from market.timeframe import DAY_MS, MINUTE_MS
from runtime.kafka import TopicPartition
from runtime.settings import Settings, child_environment, clickhouse_address, load_settings
from sinks.clickhouse.store import ClickHouseStore
from sinks.parquet.store import ParquetStore
from sinks.store import Batch

T0 = 1_610_064_000_000  # 2021-01-08 00:00 UTC
COLD_DAY = T0 - 90 * DAY_MS
DAYS = 40
BTC = {"exchange": "binance", "symbol": "BTC-USDT"}
STREAM_GOAL_MB = 300
GOAL_MS = 200
COLD_SYMBOLS = 25
"""In the files of one partition: 300 symbols in twelve."""
SLOTS = 96
"""Files of a day: one in 15 minutes."""
_TRADES = """
INSERT INTO trades (exchange, symbol, id_number, id_text, time, price, qty, side, received, source, run, partition, seq,
    precedence)
SELECT 'binance', 'BTC-USDT', number, '', fromUnixTimestamp64Micro(toInt64({t0_us:Int64} + number * {step_us:Int64})),
    toDecimal256(2700000 + number * 7 % 10007, 18) / 100, toDecimal256(1 + number * 13 % 9973, 18) / 100000,
    if(number % 3 = 0, 'buy', 'sell'), time, 'ws', '', 0, NULL, 9223372036854775807 - number
FROM numbers({first:UInt64}, {count:UInt64})
"""
_CANDLES = """
INSERT INTO candles
WITH number % {markets:UInt32} AS market
SELECT 'binance', if(market = 0, 'BTC-USDT', concat('S', toString(market), '-USDT')), '1m',
    fromUnixTimestamp64Milli(toInt64({t0_ms:Int64} + intDiv(number, {markets:UInt32}) * 60000)) AS open_time,
    open_time + toIntervalMillisecond(59999),
    toDecimal256(27000 + number % 100, 18), toDecimal256(28000 + number % 77, 18),
    toDecimal256(26000 + number % 77, 18), toDecimal256(27000 + number % 33, 18),
    toDecimal256(number % 10000, 18) / 1000, toDecimal256(number % 100000, 22) / 1000, number % 100,
    toDecimal256(number % 100, 18) / 1000, toDecimal256(number % 1000, 22) / 1000, toString(number * 10),
    toString(number * 10 + 9), number + 7, 'complete', '', 0, number
FROM numbers({first:UInt64}, {count:UInt64})
"""


@contextmanager
def stores() -> Iterator[Settings]:
    """Redis, the ClickHouse engine and a cold folder; nothing here needs Kafka."""
    with tempfile.TemporaryDirectory(prefix="candlewick-bench-") as home:
        settings = load_settings(
            home=Path(home), partitions=PARTITIONS, kafka="127.0.0.1:1", redis_port=0, clickhouse_port=0
        )
        stack.up(settings)
        try:
            yield settings
        finally:
            stack.down(settings)


def fill_warm(settings: Settings, trades: int, markets: int) -> None:
    """A market's trades over a day, and 1m candles of several markets; in parts as sinks write them."""
    asyncio.run(_migrated(settings))
    client = clickhouse_connect.get_client(dsn=clickhouse_address(settings), database=settings.clickhouse_database)
    share = 500_000
    for first in range(0, trades, share):
        parameters = {"t0_us": T0 * 1000, "step_us": DAY_MS * 1000 // trades, "first": first}
        client.command(_TRADES, parameters=parameters | {"count": min(share, trades - first)})
    candles = DAYS * 1440 * markets
    for first in range(0, candles, share):
        parameters = {"t0_ms": T0, "markets": markets, "first": first}
        client.command(_CANDLES, parameters=parameters | {"count": min(share, candles - first)})
    client.close()


async def _migrated(settings: Settings) -> None:
    store = ClickHouseStore(settings)
    await store.open()
    await store.close()


async def fill_cold(settings: Settings) -> None:
    """A day of 1m candles of the symbols of one partition, in the files that the sink makes of them."""
    store, topic = ParquetStore(settings), settings.topics.candles()
    partition = partition_of(b"binance:BTC-USDT", PARTITIONS)
    names = ["BTC-USDT", *(f"S{number}-USDT" for number in range(1000))]
    symbols = [name for name in names if partition_of(f"binance:{name}".encode(), PARTITIONS) == partition]
    symbols = symbols[:COLD_SYMBOLS]
    await store.open()
    for slot in range(SLOTS):
        records = [
            candle_record(slot * 15 * COLD_SYMBOLS + place, minute, symbol)
            for place, (minute, symbol) in enumerate(
                (minute, symbol) for minute in range(slot * 15, slot * 15 + 15) for symbol in symbols
            )
        ]
        tp, last = TopicPartition(topic, partition), records[-1].offset
        encoded = store.encode(tp, records)
        batch = Batch(tp=tp, first=records[0].offset, last=last, next=last + 1, count=len(records))
        batch.chunk, batch.rows = encoded.chunk, encoded.rows
        await store.write([batch])
    await store.close()


def candle_record(offset: int, minute: int, symbol: str) -> LoggedRecord:
    """A 1m candle of the cold day."""
    open_ms = COLD_DAY + minute * MINUTE_MS
    value = {
        "exchange": "binance", "symbol": symbol, "timeframe": "1m", "open_time_ms": open_ms,
        "close_time_ms": open_ms + MINUTE_MS - 1, "open": f"{27000 + minute}.1", "high": f"{28000 + minute}.25",
        "low": f"{26000 + minute}.5", "close": f"{27000 + minute}", "volume": f"{minute + 1}.00012345",
        "quote_volume": f"{minute + 1}.1234567890123", "trades": minute + 1, "taker_buy_volume": "0.0001",
        "taker_buy_quote_volume": "2.70001", "first_trade_id": str(offset * 100),
        "last_trade_id": str(offset * 100 + minute), "revision": offset + 1, "status": "complete",
    }  # fmt: skip
    return LoggedRecord(offset, f"binance:{symbol}".encode(), orjson.dumps(value))


@contextmanager
def server(settings: Settings) -> Iterator[tuple[str, psutil.Process]]:
    """``candlewick serve``, and its process."""
    command = [sys.executable, "-m", "candlewick", "serve", "--port", "0"]
    environment = child_environment(settings, free_weight="0") | {"PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True) as started:
        assert started.stderr is not None
        address = next(told["address"] for told in map(json.loads, started.stderr) if "address" in told)
        try:
            yield address, psutil.Process(started.pid)
        finally:
            started.terminate()


async def stream(session: aiohttp.ClientSession, form: str, process: psutil.Process) -> tuple[int, float, float, float]:
    """Rows of a stream, its seconds and megabytes, and the greatest memory of the server meanwhile, in megabytes."""
    peak, began_s, taken = 0, time.monotonic(), 0
    reader = ArrowRows() if form == "arrow" else LineRows()
    query = BTC | {"format": form, "from_ms": T0, "until_ms": T0 + DAY_MS}
    async with session.get("/v1/historical", params=query, timeout=aiohttp.ClientTimeout(None)) as response:
        response.raise_for_status()
        async for part in response.content.iter_chunked(1 << 20):
            taken += len(part)
            reader.take(part)
            peak = max(peak, process.memory_info().rss)
    return reader.close(), time.monotonic() - began_s, taken / 1e6, peak / 1e6


class LineRows:
    """Counts lines, without the last."""

    def __init__(self) -> None:
        self._count = -1

    def take(self, part: bytes) -> None:
        """The next bytes."""
        self._count += part.count(b"\n")

    def close(self) -> int:
        """How many there were."""
        return self._count


class ArrowRows:
    """Counts the rows of an Arrow stream as it comes, in a file that a reader reads afterwards."""

    def __init__(self) -> None:
        self._file = tempfile.TemporaryFile(prefix="candlewick-bench-")  # noqa: SIM115  # closed below

    def take(self, part: bytes) -> None:
        """The next bytes."""
        self._file.write(part)

    def close(self) -> int:
        """How many there were: the stream has to be whole, with its ids in order."""
        self._file.seek(0)
        rows, with_end = 0, False
        with pa.ipc.open_stream(self._file) as batches:
            for batch, metadata in batches.iter_batches_with_custom_metadata():
                ids = [int(batch["trade_id"][place].as_py()) for place in ((0, -1) if len(batch) else ())]
                if ids and ids != [rows, rows + len(batch) - 1]:
                    raise SystemExit(f"ids from {ids[0]} to {ids[1]} stand where {rows} was due")
                rows, with_end = rows + len(batch), metadata is not None
        self._file.close()
        return rows if with_end else -1


async def answers_ms(
    session: aiohttp.ClientSession, path: str, queries: list[dict[str, Any]], expected: str
) -> list[float]:
    """How long each answer took; `expected` is in it."""
    taken = []
    for query in queries:
        began_s = time.perf_counter()
        async with session.get(path, params=BTC | query) as response:
            body = await response.read()
        taken.append((time.perf_counter() - began_s) * 1000)
        if response.status != 200 or expected.encode() not in body:
            raise SystemExit(f"{path} {query}: {response.status} {body[-300:]!r}")
    return sorted(taken)


async def measure(address: str, process: psutil.Process, trades: int, asked: int) -> list[dict[str, Any]]:
    """All figures."""
    rng, figures = random.Random(7), []
    minutes = [rng.randrange(9 * 1440) for _ in range(asked)]
    month = [
        {"timeframe": "7m", "from_ms": from_ms, "until_ms": from_ms + 30 * DAY_MS, "limit": 10_000}
        for from_ms in (T0 + minute * MINUTE_MS for minute in minutes)
    ]
    cold = [{"from_ms": COLD_DAY, "until_ms": COLD_DAY + DAY_MS - of * MINUTE_MS, "limit": 1440} for of in range(asked)]
    pages = [{"from_ms": T0 + of, "limit": 500} for of in rng.sample(range(DAY_MS), asked)]
    async with aiohttp.ClientSession(address) as session:
        for name, path, queries, expected in (
            ("candles of 7m over 30 days, warm", "/v1/candles", month, '"tier":"warm"'),
            ("1m candles of a day, cold", "/v1/candles", cold, '"tier":"cold"'),
            ("500 trades of any time, warm", "/v1/historical", pages, '"tier":"warm"'),
        ):
            taken = await answers_ms(session, path, queries, expected)
            p50, p99 = taken[len(taken) // 2], taken[min(len(taken) - 1, len(taken) * 99 // 100)]
            print(f"{name:40} p50 {p50:7.1f} ms, p99 {p99:7.1f} ms, first or slowest {taken[-1]:7.1f} ms", flush=True)
            figures.append(figure(f"{name}, p99", "ms", [p99], GOAL_MS) | {"p50": round(p50, 1)})
        for form in ("arrow", "ndjson"):
            rows, seconds, megabytes, peak_mb = await stream(session, form, process)
            print(f"{rows:,} trades as {form}: {seconds:.1f} s, {megabytes:,.0f} MB, peak {peak_mb:.0f} MB", flush=True)
            if rows != trades:
                raise SystemExit(f"{rows} rows of {trades}")
            figures.append(figure(f"memory, {rows:,} trades as {form}", "MB", [peak_mb], STREAM_GOAL_MB))
            figures.append(figure(f"{rows:,} trades as {form}", "s", [seconds]))
    return figures


def main() -> None:
    """Fill the stores, ask, write the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trades", type=int, default=10_000_000)
    parser.add_argument("--markets", type=int, default=20)
    parser.add_argument("--asked", type=int, default=100)
    arguments = parser.parse_args()
    with stores() as settings:
        fill_warm(settings, arguments.trades, arguments.markets)
        asyncio.run(fill_cold(settings))
        with server(settings) as (address, process):
            write("history", {"figures": asyncio.run(measure(address, process, arguments.trades, arguments.asked))})


if __name__ == "__main__":
    main()

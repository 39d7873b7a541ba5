"""The candle engine beside the bare drain of the same topic: ``bench_candles.py [--trades 1000000] [--runs 3]``."""

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from confluent_kafka.admin import AdminClient
from trades import KEYS, PARTITIONS, PRICE_DIGITS, QTY_DIGITS, Figures, make_records

from deploy.local import stack
from runtime.kafka import Publisher, read_to_end
from runtime.kafka.admin import apply_topics
from runtime.settings import Settings, kafka_address, load_settings

RESULTS = Path(__file__).parent / "results"
CHUNK = 20_000


@dataclass(frozen=True)
class Run:
    """One process from start to end."""

    cpu_s: float
    wall_s: float
    peak_mb: float


async def fill(settings: Settings, trades: int) -> dict[tuple[int, int], Figures]:
    """Publish the trades; returns their candles by integers."""
    figures: dict[tuple[int, int], Figures] = {}
    async with Publisher(settings) as publisher:
        chunk = []
        for record in make_records(trades, figures):
            chunk.append(record)
            if len(chunk) == CHUNK:
                await publisher.settle(await publisher.send_batches(settings.topics.trades, chunk, PARTITIONS))
                chunk = []
        await publisher.settle(await publisher.send_batches(settings.topics.trades, chunk, PARTITIONS))
    return figures


def measure(command: list[str], environment: dict[str, str]) -> Run:
    """Run a command to its end and take its whole CPU time, wall time and peak memory."""
    began = time.perf_counter()
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}")
    return Run(usage.ru_utime + usage.ru_stime, time.perf_counter() - began, usage.ru_maxrss / 1024)


async def check(settings: Settings, figures: dict[tuple[int, int], Figures]) -> None:
    """Every minute with trades came out once and equal."""
    symbols = {key: n for n, key in enumerate(KEYS)}
    seen = set()
    async for records in read_to_end(settings, settings.topics.candles()):
        for record in records:
            candle = json.loads(record.value or b"")
            if not candle["trades"]:
                continue
            symbol = symbols[f"{candle['exchange']}:{candle['symbol']}"]
            minute = (symbol, candle["open_time_ms"] * 1000)
            want, price, qty = figures[minute], Decimal(10) ** PRICE_DIGITS[symbol], Decimal(10) ** QTY_DIGITS[symbol]
            got = [Decimal(candle[name]) * price for name in ("open", "high", "low", "close")]
            got += [Decimal(candle[name]) * qty for name in ("volume", "taker_buy_volume")]
            got += [Decimal(candle[name]) * price * qty for name in ("quote_volume", "taker_buy_quote_volume")]
            prices = [want.open, want.high, want.low, want.close]
            assert minute not in seen
            assert got == [*prices, want.volume, want.taker, want.quote, want.taker_quote]
            assert candle["trades"] == want.trades
            seen.add(minute)
    assert seen == figures.keys(), f"{len(seen)} of {len(figures)} candles"


def interleave(settings: Settings, figures: dict[tuple[int, int], Figures], runs: int) -> dict[str, list[Run]]:
    """Each engine in turn, so that whatever else the machine does falls on both."""
    environment = os.environ | {
        "CANDLEWICK_HOME": str(settings.home),
        "CANDLEWICK_PARTITIONS": str(PARTITIONS),
        "CANDLEWICK_LOG_LEVEL": "error",
    }
    kafka, topics = kafka_address(settings), settings.topics
    results: dict[str, list[Run]] = {"aiokafka-drain": [], "candlewick": []}
    for _ in range(runs):
        results["aiokafka-drain"].append(
            measure([sys.executable, str(Path(__file__).parent / "drain.py"), kafka, topics.trades], environment)
        )
        results["candlewick"].append(
            measure([sys.executable, "-m", "candlewick", "candles", "--once", "--from-start"], environment)
        )
        asyncio.run(check(settings, figures))
        forget(settings)
    return results


def forget(settings: Settings) -> None:
    """Drop what the engine wrote and its group, so that the next run starts over the same input."""
    admin, topics = AdminClient({"bootstrap.servers": kafka_address(settings)}), settings.topics
    written = [topics.candles(), topics.state, topics.late, topics.dead_letters(topics.trades)]
    for future in (
        *admin.delete_topics(written).values(),
        *admin.delete_consumer_groups([topics.group("candles")]).values(),
    ):
        future.result(30)
    time.sleep(1)  # the broker deletes in the background, and refuses to make a topic that is still going
    asyncio.run(apply_topics(settings))


def report(trades: int, results: dict[str, list[Run]]) -> None:
    """Print the table, and write it down."""
    engines = []
    for engine, runs in results.items():
        per_cpu, per_s = sorted(trades / run.cpu_s for run in runs), sorted(trades / run.wall_s for run in runs)
        peak_mb = max(run.peak_mb for run in runs)
        print(
            f"{engine:16} {statistics.median(per_cpu):>12,.0f} trades/CPU-s  ({per_cpu[0]:,.0f} to {per_cpu[-1]:,.0f})"
            f"  {statistics.median(per_s):>12,.0f} trades/s  {peak_mb:6.0f} MB"
        )
        engines.append(
            {
                "engine": engine,
                "trades_per_cpu_s": _spread(per_cpu),
                "trades_per_s": _spread(per_s),
                "peak_rss_mb": round(peak_mb),
            }
        )
    RESULTS.mkdir(exist_ok=True)
    machine = f"{os.cpu_count()} cores, Python {sys.version.split()[0]}"
    (RESULTS / "candles.json").write_text(json.dumps({"machine": machine, "engines": engines}, indent=1) + "\n")


def _spread(values: list[float]) -> dict[str, int]:
    return {"min": round(values[0]), "median": round(statistics.median(values)), "max": round(values[-1])}


def main() -> None:
    """Start a stack, fill the topic, measure, check, stop."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trades", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        settings = load_settings(
            home=Path(folder), kafka_port=0, redis_port=0, clickhouse_port=0, partitions=PARTITIONS
        )
        stack.up(settings)
        try:
            asyncio.run(apply_topics(settings))
            figures = asyncio.run(fill(settings, arguments.trades))
            report(arguments.trades, interleave(settings, figures, arguments.runs))
        finally:
            stack.down(settings)


if __name__ == "__main__":
    main()

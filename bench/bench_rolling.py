"""The rolling processor: candles per CPU-second, the rebuild of a day, memory, and how long a live candle takes.

``bench_rolling.py [--symbols 3000] [--hours 24] [--live-s 60] [--once-symbols 300] [--once-minutes 240]``
"""

import argparse
import asyncio
import json
import logging
import os
import random
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from broker import broker
from confluent_kafka import Consumer
from measure import EngineFailed
from peers import ROOT
from report import figure, write
from trades import PARTITIONS

from market.partition import partition_of
from market.timeframe import DAY_MS, HOUR_MS, MINUTE_MS, Timeframe
from runtime.kafka import KeyedValues, Outgoing, Publisher, ends, move_group
from runtime.kafka.admin import apply_topics
from runtime.settings import Settings, child_environment, kafka_address

PATIENCE_S = 1_800.0
SLICES = 20
"""Live candles of a second are sent in so many parts."""
LIVE_EVERY_S = 1.05
"""A little more than what a ticker is refreshed at most."""
WEEK_HOURS, MONTH_DAYS = 24 * 8, 40
_CANDLE = (
    b'{"exchange":"binance","symbol":"%b","timeframe":"%b","open_time_ms":%d,"close_time_ms":%d,"open":"%d.%02d",'
    b'"high":"%d.97","low":"%d.01","close":"%d.%02d","volume":"%d.%05d","quote_volume":"%d.1234567","trades":%d,'
    b'"taker_buy_volume":"%d.5","taker_buy_quote_volume":"%d.7654321","first_trade_id":"%d","last_trade_id":"%d",'
    b'"revision":%d,"status":"%b"}'
)


class Walk:
    """Candles of one market, whose price walks at random."""

    def __init__(self, number: int) -> None:
        self.symbol = b"S%d-USDT" % number
        self.key = b"binance:" + self.symbol
        self.partition = partition_of(self.key, PARTITIONS)
        self._random = random.Random(number)
        self._cents = self._random.randint(100_000, 5_000_000)

    def candle(
        self, open_ms: int, revision: int, timeframe: Timeframe = Timeframe.M1, status: bytes = b"complete"
    ) -> bytes:
        """The next candle."""
        opened = self._cents
        self._cents += self._random.randint(-60, 60)
        close = self._cents
        volume, taker = self._random.randint(2, 90), self._random.randint(0, 1)
        return _CANDLE % (
            self.symbol, timeframe.value.encode(), open_ms, timeframe.end_ms(open_ms) - 1,
            *divmod(opened, 100), max(opened, close) // 100 + 1, min(opened, close) // 100 - 1, *divmod(close, 100),
            volume, self._random.randint(1, 99_999), volume * close // 100, volume, taker, taker * close // 100,
            revision, revision + volume, revision, status,
        )  # fmt: skip


async def fill(settings: Settings, walks: list[Walk], timeframe: Timeframe, first_ms: int, count: int) -> None:
    """A candle topic with so many candles of each market, in the order of time."""
    topic, length_ms = settings.topics.candles(timeframe), timeframe.end_ms(0)
    async with Publisher(settings) as publisher:
        for number in range(count):
            groups: dict[int, list[KeyedValues]] = {}
            for place, walk in enumerate(walks):
                value = walk.candle(first_ms + number * length_ms, number * len(walks) + place, timeframe)
                groups.setdefault(walk.partition, []).append((walk.key, (value,), []))
            await publisher.await_acknowledgements(await publisher.send_groups(topic, groups))


@contextmanager
def rolling(settings: Settings, folder: Path, *flags: str) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """``candlewick rolling`` as a process of its own, and what it logs."""
    told = folder / f"rolling-{time.time_ns()}.log"
    environment = child_environment(settings) | {"PYTHONPATH": str(ROOT), "CANDLEWICK_LOG_LEVEL": "info"}
    with told.open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "candlewick", "rolling", *flags], env=environment, stdout=log, stderr=log
        )
    try:
        yield process, told
    finally:
        process.terminate()
        process.wait(60)


def once(settings: Settings, folder: Path) -> tuple[float, float]:
    """CPU seconds and peak memory in MB of one pass to the end."""
    with rolling(settings, folder, "--once") as (process, told):
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise EngineFailed(told.read_text()[-500:])
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def event(process: subprocess.Popen[bytes], told: Path, name: str) -> dict[str, Any]:
    """Wait until the process has logged this."""
    deadline_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline_s and process.poll() is None:
        for line in told.read_text().splitlines():
            if line.startswith("{") and (said := json.loads(line))["event"] == name:
                return said  # type: ignore[no-any-return]
        time.sleep(0.2)
    raise EngineFailed(f"no {name}: {told.read_text()[-500:]}")


class Tickers:
    """Reads the tickers' topic in a thread, and takes the time of each that has a live candle in it."""

    def __init__(self, settings: Settings) -> None:
        self.latencies_s: list[float] = []
        self.sent_s: dict[tuple[str, str], float] = {}
        """Key and price of a live candle → when it was sent."""
        self._stop = threading.Event()
        self._consumer = Consumer(
            {"bootstrap.servers": kafka_address(settings), "group.id": "bench", "auto.offset.reset": "latest",
             "fetch.wait.max.ms": 20}
        )  # fmt: skip
        self._consumer.subscribe([settings.topics.tickers])
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def _read(self) -> None:
        while not self._stop.is_set():
            for message in self._consumer.consume(2_000, 0.05):
                now_s, fields = time.monotonic(), json.loads(message.value())
                sent_s = self.sent_s.pop((message.key().decode(), fields["last"]), None) if fields["live"] else None
                if sent_s is not None:
                    self.latencies_s.append(now_s - sent_s)

    def forget(self) -> None:
        """Begin anew: what was sent before is not waited for."""
        self.sent_s = {}
        self.latencies_s.clear()

    def close(self) -> None:
        """End the thread."""
        self._stop.set()
        self._thread.join()
        self._consumer.close()


async def send_live(settings: Settings, walks: list[Walk], open_ms: int, seconds: float, tickers: Tickers) -> int:
    """A live candle of each market about once a second; returns how many."""
    count, began_s = 0, time.monotonic()
    async with Publisher(settings) as publisher:
        while (turn_s := time.monotonic()) < began_s + seconds:
            for slice_ in range(SLICES):
                records = []
                for walk in walks[slice_::SLICES]:
                    value = walk.candle(open_ms, 10**9 + count, status=b"open")
                    price = json.loads(value)["close"]
                    price = price.rstrip("0").rstrip(".")
                    tickers.sent_s[walk.key.decode(), price] = time.monotonic()
                    records.append(Outgoing(walk.key, value, (), walk.partition))
                    count += 1
                await publisher.await_acknowledgements(
                    await publisher.send_batches(settings.topics.live, records, PARTITIONS)
                )
                await asyncio.sleep(max(0.0, turn_s + (slice_ + 1) * LIVE_EVERY_S / SLICES - time.monotonic()))
    return count


def measure_once(settings: Settings, folder: Path, symbols: int, minutes: int) -> dict[str, Any]:
    """Candles per CPU-second over a backlog, with all longer candles and tickers published."""
    settings = settings.model_copy(update={"prefix": "once."})
    asyncio.run(apply_topics(settings))
    idle_s, _ = once(settings, folder)
    walks = [Walk(number) for number in range(symbols)]
    first_ms = (time.time_ns() // 1_000_000 - minutes * MINUTE_MS) // HOUR_MS * HOUR_MS
    asyncio.run(fill(settings, walks, Timeframe.M1, first_ms, minutes))
    cpu_s, peak_mb = once(settings, folder)
    candles = symbols * minutes
    row = {
        "symbols": symbols,
        "candles": candles,
        "candles_per_cpu_s": round(candles / (cpu_s - idle_s)),
        "idle_cpu_s": round(idle_s, 1),
        "peak_mb": round(peak_mb),
    }
    print(row, flush=True)
    return row


def measure_live(settings: Settings, folder: Path, symbols: int, hours: int, live_s: float) -> dict[str, Any]:
    """The rebuild of a day, and then live candles of all symbols once a second."""
    settings = settings.model_copy(update={"prefix": "live."})
    asyncio.run(apply_topics(settings))
    walks = [Walk(number) for number in range(symbols)]
    now_ms = time.time_ns() // MINUTE_MS // 1_000_000 * MINUTE_MS
    hour_ms, day_ms = now_ms // HOUR_MS * HOUR_MS, now_ms // DAY_MS * DAY_MS
    asyncio.run(fill(settings, walks, Timeframe.D1, day_ms - MONTH_DAYS * DAY_MS, MONTH_DAYS))
    asyncio.run(fill(settings, walks, Timeframe.H1, hour_ms - WEEK_HOURS * HOUR_MS, WEEK_HOURS))
    asyncio.run(fill(settings, walks, Timeframe.M1, now_ms - hours * HOUR_MS, hours * 60))
    bounds: Mapping[int, Any] = asyncio.run(ends(settings, settings.topics.candles()))
    offsets = {partition: end for partition, (_, end) in bounds.items()}
    asyncio.run(move_group(settings, settings.topics.group("rolling"), settings.topics.candles(), offsets))
    with rolling(settings, folder) as (process, told):
        rebuilt = event(process, told, "rebuilt")
        rebuilt_mb, rebuilt_cpu_s = _rss_mb(process.pid), _cpu_s(process.pid)
        tickers = Tickers(settings)
        asyncio.run(send_live(settings, walks, now_ms, 5, tickers))
        tickers.forget()  # what is still to be answered of these does not count either
        began_s, cpu_s = time.monotonic(), _cpu_s(process.pid)
        sent = asyncio.run(send_live(settings, walks, now_ms, live_s, tickers))
        time.sleep(1)
        used_s, took_s = _cpu_s(process.pid) - cpu_s, time.monotonic() - began_s
        tickers.close()
        latencies = sorted(tickers.latencies_s)
        row = {
            "symbols": symbols,
            "rebuilt_candles": rebuilt["candles"],
            "rebuild_s": rebuilt["seconds"],
            "rebuild_cpu_s": round(rebuilt_cpu_s, 1),
            "rss_after_rebuild_mb": rebuilt_mb,
            "rss_with_all_tickers_mb": _rss_mb(process.pid),
            "live_per_s": round(sent / took_s),
            "answered_share": round(len(latencies) / sent, 3),
            "cores_used": round(used_s / took_s, 2),
            "latency_ms": {
                "median": round(1000 * statistics.median(latencies)),
                "p99": round(1000 * latencies[int(len(latencies) * 0.99)]),
                "max": round(1000 * latencies[-1]),
            },
        }
    print(row, flush=True)
    return row


def _rss_mb(pid: int) -> int:
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) // 1024


def _cpu_s(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def figures(backlog: dict[str, Any], live: dict[str, Any]) -> list[dict[str, Any]]:
    """What is to be reached, and what was."""
    of_symbols = f"{live['symbols']} symbols"
    return [
        figure(
            "1m candles in, all longer candles and tickers out", "candles/CPU-s", [backlog["candles_per_cpu_s"]], 40_000
        ),
        figure(f"{of_symbols}: rebuild", "s", [live["rebuild_s"]], 60),
        figure(f"{of_symbols}: memory with all tickers", "MB", [live["rss_with_all_tickers_mb"]], 500),
        figure(f"{of_symbols}: live candles", "candles/s", [live["live_per_s"]], live["symbols"]),
        figure(f"{of_symbols}: live candle to ticker, p99", "ms", [live["latency_ms"]["p99"]], 250),
    ]


def main() -> None:
    """Both measurements, each over topics of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--symbols", type=int, default=3_000)
    parser.add_argument("--hours", type=int, default=24)
    parser.add_argument("--live-s", type=float, default=60)
    parser.add_argument("--once-symbols", type=int, default=300)
    parser.add_argument("--once-minutes", type=int, default=240)
    arguments = parser.parse_args()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    with broker() as settings, tempfile.TemporaryDirectory(prefix="candlewick-bench-") as folder:
        backlog = measure_once(settings, Path(folder), arguments.once_symbols, arguments.once_minutes)
        live = measure_live(settings, Path(folder), arguments.symbols, arguments.hours, arguments.live_s)
    write("rolling", {"figures": figures(backlog, live), "backlog": backlog, "live": live})


if __name__ == "__main__":
    main()

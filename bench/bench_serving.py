"""The API under load, one process of it: newest candles, trades and tickers, with and without keys; older candles.

``bench_serving.py [--runs 3] [--seconds 5] [--parts newest,past,stream]``; into ``results/serving.json``.
"""

import argparse
import asyncio
import http.client
import json
import os
import secrets
import statistics
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

import clickhouse_connect
import hot_data
import load
import psutil
import pyarrow as pa
from broker import servers
from filled import FilledStore, by_slot
from measure import EngineFailed
from peers import ENGINES, ROOT
from report import RESULTS, figure, write

from deploy.local.ports import any_free_port
from market.timeframe import DAY_MS, MINUTE_MS
from runtime.settings import Settings, child_environment, clickhouse_address
from serving.access.key_file import change_keys
from serving.access.keys import KEY_BYTES, ApiKey, RateTier, hash_of, key_text
from sinks.clickhouse.store import ClickHouseStore
from sinks.parquet.store import ParquetStore
from sinks.redis.store import RedisStore

CLIENTS = 64
WARM_DAYS, COLD_DAYS_AGO = 31, 100
"""Of one market warm has so many days; a day so long ago, of all markets, is in cold alone."""
ASKED = {"candles": "limit=30", "trades": "limit=100", "tickers": ""}
GOALS_PER_S = {"candles": 6_000, "trades": 4_000, "tickers": 8_000}
CANDLES_P99_MS = 25
SEED_TIMES = 3
PAST_P99_MS = 200
PAST_QUESTIONS = 60
UNLIMITED = str(10**12)
PATIENCE_S = 60.0
STREAMED_ROWS, STREAMED_EVERY_US = 10_000_000, 100_000
STREAM_MB = 300
_STREAMED = """
INSERT INTO trades (exchange, symbol, id_number, id_text, time, price, qty, side, received, source, run, partition, seq,
  precedence)
SELECT 'bench', 'STREAM-USDT', number, '', fromUnixTimestamp64Micro({first_us:Int64} + number * {every_us:Int64}),
  27000 + toDecimal256(number % 1000, 18) / 10, toDecimal256(1 + number % 100, 18) / 1000,
  if(number % 2, 'buy', 'sell'), time + toIntervalMillisecond(5), 'ws', '', 0, NULL, 9223372036854775807 - number
FROM numbers({rows:UInt64})
"""
Figures = list[dict[str, Any]]


class Way(NamedTuple):
    """A server with its settings, and what its clients send."""

    name: str
    command: tuple[str, ...]
    settings: Mapping[str, str] = {}
    headers: Mapping[str, str] = {}


OURS = (sys.executable, "-m", "candlewick", "serve", "--port")
OPEN = Way("open", OURS)


def main() -> None:
    """Each part that was asked for; what another run wrote of the others is kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--parts", default="newest,past,stream")
    arguments = parser.parse_args()
    others_load = round(os.getloadavg()[1], 1)
    figures: Figures = []
    with servers("redis", "clickhouse") as settings:
        end_ms = time.time_ns() // 1_000_000 // MINUTE_MS * MINUTE_MS
        if "newest" in arguments.parts:
            asyncio.run(fill_newest(settings, end_ms))
            figures += newest(settings, arguments.runs, arguments.seconds)
        if "past" in arguments.parts:
            asyncio.run(fill_past(settings, end_ms))
            figures += past(settings, end_ms)
        if "stream" in arguments.parts:
            asyncio.run(open_store(settings))
            figures += stream(settings, end_ms)
    path = RESULTS / "serving.json"
    earlier = json.loads(path.read_text())["figures"] if path.exists() else []
    measured = {each["name"].partition(":")[0] for each in figures}
    figures += [each for each in earlier if each["name"].partition(":")[0] not in measured]
    write("serving", {"others_load": others_load, "load": load.NAME, "figures": figures})


async def fill_newest(settings: Settings, end_ms: int) -> None:
    """What hot keeps of 200 markets; ClickHouse has the same, for the seed design."""
    topics, partitions = settings.topics, settings.partitions
    for store in (FilledStore(RedisStore(settings)), FilledStore(ClickHouseStore(settings))):
        await store.write(topics.candles(), hot_data.candles(end_ms, partitions), logged_ms=end_ms)
        await store.write(topics.tickers, hot_data.tickers(end_ms, partitions), logged_ms=end_ms)
        await store.write(topics.trades, hot_data.trades(end_ms, partitions), logged_ms=end_ms)


async def fill_past(settings: Settings, end_ms: int) -> None:
    """A month of one market in ClickHouse; a day of all markets in Parquet, in files as a live sink leaves them."""
    topic, partitions = settings.topics.candles(), settings.partitions
    month = range(end_ms - WARM_DAYS * DAY_MS, end_ms, MINUTE_MS)
    warm = FilledStore(ClickHouseStore(settings))
    await warm.write(topic, (hot_data.candle(0, open_ms, partitions) for open_ms in month), logged_ms=end_ms)
    cold, first = FilledStore(ParquetStore(settings)), cold_day_ms(end_ms)
    minutes = (
        (open_ms + MINUTE_MS, hot_data.candle(number, open_ms, partitions))
        for open_ms in range(first, first + DAY_MS, MINUTE_MS)
        for number in range(hot_data.SYMBOLS)
    )
    for slot_ms, records in by_slot(minutes):
        await cold.write(topic, records, logged_ms=slot_ms)


async def open_store(settings: Settings) -> None:
    """With its tables."""
    store = ClickHouseStore(settings)
    await store.open()
    await store.close()


def cold_day_ms(end_ms: int) -> int:
    """When the day begins that only cold has."""
    return end_ms // DAY_MS * DAY_MS - COLD_DAYS_AGO * DAY_MS


def newest(settings: Settings, runs: int, seconds: float) -> Figures:
    """Each question to each server in turn, so many times."""
    ways = list(ways_to_ask(settings))
    seen: dict[tuple[str, str], list[load.LoadFigures]] = {}
    cpu: dict[tuple[str, str], list[float]] = {}
    for way in ways:
        with served(settings, way) as (address, process):
            for name, run in ((name, run) for name in ASKED for run in range(runs)):
                if not run:
                    ask_once(address, name, way.headers)
                before_s = cpu_s(process)
                took = load.load(address, paths(name), clients=CLIENTS, seconds=seconds, headers=way.headers)
                seen.setdefault((way.name, name), []).append(took)
                cpu.setdefault((way.name, name), []).append(
                    (cpu_s(process) - before_s) / max(1, took.per_s * seconds) * 1e6
                )
                print(f"{way.name}, {name}: {took.per_s:,.0f}/s, p99 {took.p99_ms:.1f} ms", flush=True)
    return list(chain(told(seen, cpu), beside_the_seed(seen)))


def told(
    seen: Mapping[tuple[str, str], Sequence[load.LoadFigures]], cpu: Mapping[tuple[str, str], Sequence[float]]
) -> Iterator[dict[str, Any]]:
    """The figures of each server and question."""
    for (way, name), runs in seen.items():
        has_goal = way != "seed"
        what = f"newest: {name}, {way}"
        goal = GOALS_PER_S[name] if has_goal else None
        yield figure(f"{what}, {CLIENTS} clients", "requests/s", [run.per_s for run in runs], goal)
        yield figure(f"{what}, p50", "ms", [run.p50_ms for run in runs])
        goal = CANDLES_P99_MS if has_goal and name == "candles" else None
        yield figure(f"{what}, p99", "ms", [run.p99_ms for run in runs], goal)
        yield figure(f"{what}, the server's CPU", "us a request", cpu[way, name])


def beside_the_seed(seen: Mapping[tuple[str, str], Sequence[load.LoadFigures]]) -> Iterator[dict[str, Any]]:
    """How many times the seed design's requests ours answers: medians."""
    for name in ASKED:
        ours, seed = (statistics.median(run.per_s for run in seen[way, name]) for way in ("open", "seed"))
        yield figure(f"newest: {name}, open, times the seed design", "times", [ours / seed], SEED_TIMES)
        print(f"{name}: {ours / seed:.1f} times the seed design", flush=True)


def ways_to_ask(settings: Settings) -> Iterator[Way]:
    """Ours without and with counting, keys and the audit log; and the seed design."""
    key, path, audit = (
        key_text(secrets.token_bytes(KEY_BYTES)),
        settings.home / "keys.json",
        settings.home / "audit.log",
    )
    added = ApiKey(name="bench", sha256=hash_of(key), tier=RateTier.ENTERPRISE, created_ms=1)
    change_keys(path, lambda ring: ring.with_key(added))
    keys = {"CANDLEWICK_KEYS": str(path), "CANDLEWICK_ANONYMOUS": "false", "CANDLEWICK_ENTERPRISE_WEIGHT": UNLIMITED}
    yield Way("seed", (sys.executable, str(ENGINES / "seed_api.py")))
    yield OPEN
    yield Way("anonymous", OURS, {"CANDLEWICK_ANONYMOUS": "true", "CANDLEWICK_FREE_WEIGHT": UNLIMITED})
    yield Way("key", OURS, keys, {"X-API-Key": key})
    yield Way("key and audit", OURS, keys | {"CANDLEWICK_AUDIT": str(audit)}, {"X-API-Key": key})


def ask_once(address: str, name: str, headers: Mapping[str, str]) -> None:
    """Ask every question, so that none is asked for the first time while it counts."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=PATIENCE_S)
    for path in paths(name):
        connection.request("GET", path, headers=dict(headers))
        answer = connection.getresponse()
        answer.read()
        if answer.status != 200:
            raise EngineFailed(f"{answer.status} to {path}")
    connection.close()


def paths(name: str) -> list[str]:
    """One question for each market."""
    markets = [hot_data.key_of(number).partition(":")[::2] for number in range(hot_data.SYMBOLS)]
    wanted = "symbols" if name == "tickers" else "symbol"
    return [f"/v1/{name}?{urlencode({'exchange': each, wanted: symbol})}&{ASKED[name]}".rstrip("&")
            for each, symbol in markets]  # fmt: skip


@contextmanager
def served(settings: Settings, way: Way) -> Iterator[tuple[str, psutil.Process]]:
    """A server at work: its address, and its process."""
    port = any_free_port()
    address = f"http://127.0.0.1:{port}"
    environment = child_environment(settings) | {"PYTHONPATH": str(ROOT)} | dict(way.settings)
    with subprocess.Popen([*way.command, str(port)], env=environment, stderr=subprocess.DEVNULL) as running:
        try:
            until_served(address, running)
            yield address, psutil.Process(running.pid)
        finally:
            running.terminate()
            running.wait(PATIENCE_S)


def until_served(address: str, running: "subprocess.Popen[bytes]") -> None:
    """Wait for any answer; raises `EngineFailed` where none comes."""
    deadline_s = time.monotonic() + PATIENCE_S
    while True:
        try:
            urllib.request.urlopen(f"{address}/v1/nothing", timeout=5).close()  # noqa: S310  # a server of our own
        except urllib.error.HTTPError:
            return  # an answer
        except OSError as error:
            if running.poll() is not None or time.monotonic() > deadline_s:
                raise EngineFailed(f"nobody serves on {address}: {error}") from None
            time.sleep(0.1)


def past(settings: Settings, end_ms: int) -> Figures:
    """Questions one after the other, each another one, so that no answer is kept."""
    market = dict(zip(("exchange", "symbol"), hot_data.key_of(0).split(":"), strict=True))
    windows = WARM_DAYS - 1
    sevens = [
        market | {"timeframe": "7m", "from_ms": end_ms - windows * DAY_MS - 7 * MINUTE_MS * each,
                  "until_ms": end_ms - 7 * MINUTE_MS * each, "limit": 10_000}
        for each in range(PAST_QUESTIONS)
    ]  # fmt: skip
    first = cold_day_ms(end_ms)
    days = [
        {"exchange": "bench", "symbol": hot_data.key_of(each).partition(":")[2], "from_ms": first,
         "until_ms": first + DAY_MS, "limit": DAY_MS // MINUTE_MS}
        for each in range(PAST_QUESTIONS)
    ]  # fmt: skip
    figures: Figures = []
    with served(settings, OPEN) as (address, _):
        for what, questions, least in (
            (f"7m over {windows} days, from warm", sevens, windows * DAY_MS // (7 * MINUTE_MS)),
            ("a day of 1m that only cold has", days, DAY_MS // MINUTE_MS),
        ):
            answers = one_by_one(address, questions, least)
            again = one_by_one(address, questions[-1:] * PAST_QUESTIONS, least)
            for state, times_ms, goal in (("uncached", answers, PAST_P99_MS), ("asked again", again, None)):
                cuts = statistics.quantiles(times_ms, n=100, method="inclusive")
                cuts_told = (("p50", cuts[49], None), ("p99", cuts[98], goal))
                figures += [figure(f"past: {what}, {state}, {name}", "ms", [cut], aim) for name, cut, aim in cuts_told]
                print(f"{what}, {state}: p50 {cuts[49]:.1f} ms, p99 {cuts[98]:.1f} ms", flush=True)
    return figures


def stream(settings: Settings, end_ms: int) -> Figures:
    """Ten million trades of one market as one Arrow stream, read as fast as it comes."""
    first_us = (end_ms - STREAMED_ROWS * STREAMED_EVERY_US // 1000) * 1000
    store = clickhouse_connect.get_client(dsn=clickhouse_address(settings), database=settings.clickhouse_database)
    store.command(_STREAMED, parameters={"first_us": first_us, "every_us": STREAMED_EVERY_US, "rows": STREAMED_ROWS})
    question = {"exchange": "bench", "symbol": "STREAM-USDT", "from_ms": first_us // 1000, "until_ms": end_ms,
                "format": "arrow"}  # fmt: skip
    with served(settings, OPEN) as (address, process):
        began_s, peak_bytes, rows = time.perf_counter(), 0, 0
        at_rest_bytes = process.memory_info().rss
        with (
            urllib.request.urlopen(f"{address}/v1/historical?{urlencode(question)}", timeout=PATIENCE_S) as answer,  # noqa: S310  # a server of our own
            pa.ipc.open_stream(answer) as batches,
        ):
            for batch in batches:
                rows += batch.num_rows
                peak_bytes = max(peak_bytes, process.memory_info().rss)
        took_s = time.perf_counter() - began_s
    if rows != STREAMED_ROWS:
        raise EngineFailed(f"{rows:,} rows of {STREAMED_ROWS:,} were streamed")
    what = f"stream: {STREAMED_ROWS // 10**6} M trades as Arrow"
    print(f"{what}: {rows / took_s:,.0f} rows/s, {peak_bytes >> 20} MB at most", flush=True)
    return [
        figure(f"{what}, the server's memory at rest", "MB", [at_rest_bytes / 2**20]),
        figure(f"{what}, the server's memory at most", "MB", [peak_bytes / 2**20], STREAM_MB),
        figure(what, "rows/s", [rows / took_s]),
    ]


def one_by_one(address: str, questions: Sequence[Mapping[str, Any]], least: int) -> list[float]:
    """Milliseconds of each question on one connection. Raises `EngineFailed` for an answer that lacks candles."""
    connection = http.client.HTTPConnection(urlsplit(address).netloc, timeout=PATIENCE_S)
    times_ms: list[float] = []
    for question in questions:
        began_s = time.perf_counter()
        connection.request("GET", f"/v1/candles?{urlencode(question)}")
        answer = connection.getresponse()
        body = answer.read()
        times_ms.append((time.perf_counter() - began_s) * 1000)
        told_ = json.loads(body)
        if answer.status != 200 or len(told_["candles"]) < least:
            raise EngineFailed(f"{answer.status} to {question}: {body[:300]!r}")
    return times_ms


def cpu_s(process: psutil.Process) -> float:
    """What it took so far, all its threads."""
    times = process.cpu_times()
    return float(times.user + times.system)


if __name__ == "__main__":
    main()

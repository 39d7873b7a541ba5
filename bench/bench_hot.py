"""The hot store alive: from Kafka until readable in Redis, what a trade costs then, and how fast it is read.

``bench_hot.py [--rates 2000,10000,20000] [--seconds 20] [--parts flow,reads]``; into ``results/hot.json``.
"""

import argparse
import asyncio
import json
import logging
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import hot_data
import orjson
import psutil
import redis
from broker import broker
from confluent_kafka import Consumer, TopicPartition
from flow import HERE
from measure import EngineFailed
from pace import Pace
from peers import ENGINES, ROOT
from report import RESULTS, figure, write
from trades import PARTITIONS

from deploy.local.server import process_of
from market.timeframe import MINUTE_MS
from runtime.kafka import Publisher
from runtime.kafka.admin import apply_topics
from runtime.settings import Settings, child_environment, kafka_address, redis_address
from sinks.redis.keys import TRADES_KEPT, market_of, trades_data_key, trades_key, written_key

SYMBOLS = 200
RATES = (2_000, 10_000, 20_000)
WARMING_S = 5.0
"""Of every flow so much is not counted: processes start, and the sink catches up."""
LATENCY_GOAL_MS = {2_000: 60}
LIVE_GOAL = 60_000
"""Trades per CPU-second of the sink, every trade written, at the greatest rate: at a small one a batch has a trade."""
READ_GOALS_MS = {"p50": 0.8, "p99": 2.3}
"""Of 64 clients that together leave their process time: else it is the queue before its one core that is measured."""
PATIENCE_S = 60.0
SETTLE_S = 3.0
"""What was sent last has so long to be written."""
PAUSE_S = 0.05
READERS = (
    (1, 0.0, "bytes"),
    (64, PAUSE_S, "bytes"),
    (64, PAUSE_S, "models"),
    (64, 0.0, "bytes"),
    (64, 0.0, "models"),
)
"""Clients, the pause of each between two reads, and what they read."""
Figures = list[dict[str, Any]]


class Flowed(NamedTuple):
    """What a flow gave, of the seconds that count."""

    trades: int
    """Written in these seconds."""
    delays_ms: list[float]
    """Of each trade from its append time until it could be read; empty for the peer."""
    sink_cpu_s: float
    redis_cpu_s: float


def main() -> None:
    """Each part that was asked for; what another run wrote of the others is kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rates", default=",".join(map(str, RATES)))
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--parts", default="flow,reads")
    arguments = parser.parse_args()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    others_load = round(os.getloadavg()[1], 1)
    figures: Figures = []
    if "flow" in arguments.parts:
        figures += flows([int(rate) for rate in arguments.rates.split(",")], arguments.seconds)
    if "reads" in arguments.parts:
        figures += reads(arguments.seconds)
    path = RESULTS / "hot.json"
    earlier = json.loads(path.read_text())["figures"] if path.exists() else []
    measured = {each["name"].partition(":")[0] for each in figures}
    figures += [each for each in earlier if each["name"].partition(":")[0] not in measured]
    write("hot", {"others_load": others_load, "figures": figures})


def flows(rates: Sequence[int], seconds: float) -> Figures:
    """Each rate with our sink, and then with the plain way."""
    figures: Figures = []
    for rate in rates:
        for way in ("sink", "plain"):
            with broker("redis") as settings, tempfile.TemporaryDirectory(prefix="candlewick-bench-") as folder:
                asyncio.run(apply_topics(settings))
                figures += list(told(way, rate, flow(settings, Path(folder), way, rate, seconds)))
                if way == "sink" and rate == rates[-1]:
                    figures += memory(settings)
    return figures


def flow(settings: Settings, folder: Path, way: str, rate: int, seconds: float) -> Flowed:
    """A producer of a steady rate, a sink, and for ours a subscriber, all processes of their own."""
    wanted, noted = folder / "pace.json", folder / "seen.json"
    pace = Pace(symbols=SYMBOLS, trades_per_s=rate, start_us=time.time_ns() // 1000)
    wanted.write_text(json.dumps(asdict(pace)))
    command = {
        "sink": [sys.executable, "-m", "candlewick", "sink", "redis"],
        "plain": [sys.executable, str(ENGINES / "plain_sink.py"), "redis", str(10**9)],
    }[way]
    watching = [sys.executable, str(HERE / "hot_watch.py"), redis_address(settings), settings.prefix, str(noted)]
    client = redis.Redis.from_url(redis_address(settings))
    with ExitStack() as running:
        sink = running.enter_context(process(settings, folder, command))
        if way == "sink":
            watch = running.enter_context(process(settings, folder, watching))
            until(lambda: "ready" in watch.log.read_text(), "the subscriber did not start")
        running.enter_context(process(settings, folder, [sys.executable, str(HERE / "pace.py"), str(wanted)]))
        processes = (psutil.Process(sink.of.pid), psutil.Process(process_of(settings.home, "redis").pid()))
        until(lambda: client.dbsize() > 0, f"nothing came into Redis: {way}")
        time.sleep(WARMING_S)
        began_s, before, added = time.time(), [_cpu_s(each) for each in processes], _added(client)
        time.sleep(seconds)
        until_s, after, written = time.time(), [_cpu_s(each) for each in processes], _added(client) - added
        time.sleep(SETTLE_S)
    took = [end - begin for begin, end in zip(before, after, strict=True)]
    appended = appended_between(settings, began_s, until_s)
    delays_ms: list[float] = []
    skipped = 0
    if way == "sink":
        said = json.loads(noted.read_text())
        seen, skipped = said["seen"], said["skipped"]
        delays_ms = [1000 * seen[name] - at_ms for name, at_ms in appended.items() if name in seen]
        if len(appended) - len(delays_ms) > skipped:
            raise EngineFailed(f"{len(appended) - len(delays_ms)} trades were not told, {skipped} were skipped")
        written = sum(began_s <= at_s < until_s for at_s in seen.values())
    return Flowed(written, delays_ms, *took)


def _added(client: redis.Redis) -> int:
    """How many trades the plain way has written."""
    return int(client.info("commandstats").get("cmdstat_xadd", {"calls": 0})["calls"])


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return times.user + times.system


def until(is_so: Callable[[], bool], otherwise: str) -> None:
    """Wait for it; raises `EngineFailed`."""
    deadline_s = time.monotonic() + PATIENCE_S
    while not is_so():
        if time.monotonic() > deadline_s:
            raise EngineFailed(otherwise)
        time.sleep(0.05)


class Started(NamedTuple):
    """A process, and what it says."""

    of: subprocess.Popen[bytes]
    log: Path


@contextmanager
def process(settings: Settings, folder: Path, command: Sequence[str]) -> Iterator[Started]:
    """A running process, stopped by SIGTERM; one that ended before that fails the benchmark."""
    environment = child_environment(settings) | {"PYTHONPATH": str(ROOT)}
    path = folder / f"{time.time_ns()}.log"
    with path.open("w") as log:
        running = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            yield Started(running, path)
            ended = running.poll()
        finally:
            running.terminate()
            running.wait(PATIENCE_S)
    if ended is not None:
        raise EngineFailed(f"{command[1:3]} ended with {ended}: {path.read_text()[-300:]}")


def appended_between(settings: Settings, began_s: float, until_s: float) -> dict[str, int]:
    """The trades that Kafka took in then: ``<key> <id>`` → append time in milliseconds."""
    consumer = Consumer({"bootstrap.servers": kafka_address(settings), "group.id": "bench-appended"})
    places = [TopicPartition(settings.topics.trades, partition, 0) for partition in range(PARTITIONS)]
    ends = {place.partition: consumer.get_watermark_offsets(place)[1] for place in places}
    consumer.assign(places)
    appended: dict[str, int] = {}
    while any(place.offset < ends[place.partition] for place in consumer.position(places)):
        for message in consumer.consume(10_000, timeout=1.0):
            at_ms = message.timestamp()[1]
            if message.value() and 1000 * began_s <= at_ms < 1000 * until_s:
                appended[f"{message.key().decode()} {orjson.loads(message.value())['trade_id']}"] = at_ms
    consumer.close()
    return appended


def told(way: str, rate: int, flowed: Flowed) -> Iterator[dict[str, Any]]:
    """The figures of a flow."""
    what = f"flow: {way} at {rate:,} trades/s"
    if flowed.delays_ms:
        cuts = statistics.quantiles(flowed.delays_ms, n=100)
        yield figure(f"{what}, append to readable, p50", "ms", [cuts[49]])
        yield figure(f"{what}, append to readable, p99", "ms", [cuts[98]], LATENCY_GOAL_MS.get(rate))
        print(f"{what}: p50 {cuts[49]:.0f} ms, p99 {cuts[98]:.0f} ms from append to readable", flush=True)
    per_cpu_s = flowed.trades / flowed.sink_cpu_s
    goal = LIVE_GOAL if (way, rate) == ("sink", RATES[-1]) else None
    yield figure(f"{what}, the sink's CPU", "trades/CPU-s", [per_cpu_s], goal)
    yield figure(f"{what}, Redis' CPU", "trades/CPU-s", [flowed.trades / flowed.redis_cpu_s])
    print(f"{what}: {per_cpu_s:,.0f} trades a CPU-second of the sink", flush=True)


def memory(settings: Settings) -> Figures:
    """What a market's trades take, its list full or not."""
    client = redis.Redis.from_url(redis_address(settings))
    sizes = []
    for key in client.scan_iter(match=trades_key(settings.prefix, "*"), count=1000):
        market = str(market_of(key))
        if client.zcard(key) == TRADES_KEPT:
            keys = (key, trades_data_key(settings.prefix, market), written_key(settings.prefix, market))
            sizes.append(sum(client.memory_usage(each, samples=0) or 0 for each in keys))
    return [figure(f"flow: memory of a market, {TRADES_KEPT} trades", "bytes", sizes)] if sizes else []


def reads(seconds: float) -> Figures:
    """Clients in a process of their own, over what the sink has written."""
    figures: Figures = []
    end_ms = time.time_ns() // 1_000_000 // MINUTE_MS * MINUTE_MS
    with broker("redis") as settings:
        asyncio.run(fill(settings, end_ms))
        environment = child_environment(settings) | {"PYTHONPATH": str(ROOT)}
        once = [sys.executable, "-m", "candlewick", "sink", "redis", "--once"]
        subprocess.run(once, env=environment, check=True, capture_output=True, timeout=PATIENCE_S)
        for clients, pause_s, form in READERS:
            command = [sys.executable, str(HERE / "hot_read.py"), *map(str, (clients, seconds, pause_s, end_ms, form))]
            done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
            if done.returncode:
                raise EngineFailed(f"the readers ended with {done.returncode}: {done.stderr[-300:]}")
            pace = f"every {1000 * pause_s:.0f} ms" if pause_s else "as fast as they can"
            goals = READ_GOALS_MS if (form, pause_s) == ("bytes", PAUSE_S) else {}
            figures += list(told_reads(f"reads: {form}, {clients} clients {pace}", json.loads(done.stdout), goals))
    return figures


async def fill(settings: Settings, end_ms: int) -> None:
    """Publish what is read."""
    await apply_topics(settings)
    topics, partitions = settings.topics, settings.partitions
    async with Publisher(settings) as publisher:
        for topic, records in (
            (topics.candles(), hot_data.candles(end_ms, partitions)),
            (topics.tickers, hot_data.tickers(end_ms, partitions)),
            (topics.trades, hot_data.trades(end_ms, partitions)),
        ):
            await publisher.await_acknowledgements(await publisher.send_batches(topic, records, partitions))


def told_reads(what: str, said: dict[str, Any], goals: dict[str, float]) -> Iterator[dict[str, Any]]:
    """The figures of some clients."""
    yield figure(f"{what}, all kinds", "reads/s", [said["per_s"]])
    everything = [latency for seen in said["seen_ms"].values() for latency in seen]
    for kind, seen in {"all kinds": everything, **said["seen_ms"]}.items():
        cuts = statistics.quantiles(seen, n=100)
        for name, cut in (("p50", cuts[49]), ("p99", cuts[98])):
            yield figure(f"{what}, {kind}, {name}", "ms", [cut], goals.get(name) if kind == "all kinds" else None)
        print(f"{what}, {kind}: p50 {cuts[49]:.2f} ms, p99 {cuts[98]:.2f} ms", flush=True)
    print(f"{what}: {said['per_s']:,.0f} reads/s", flush=True)


if __name__ == "__main__":
    main()

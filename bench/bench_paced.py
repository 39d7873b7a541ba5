"""What a trade costs each stage at the pace of a live market: small batches, transactions, commits every second.

``bench_paced.py [--rate 10000] [--symbols 300] [--seconds 30] [--runs 3]``; into ``results/paced.json``.
"""

import argparse
import asyncio
import json
import logging
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from bench_sinks import ENGINE
from broker import broker
from flow import HERE
from measure import EngineFailed, spread
from pace import Pace
from peers import ROOT
from report import write

from runtime.kafka import ends
from runtime.kafka.admin import apply_topics, group_offsets
from runtime.settings import Settings, child_environment

STAGES = {
    "candles": ["candles"],
    "sink redis": ["sink", "redis"],
    "sink clickhouse": ["sink", "clickhouse"],
    "sink parquet": ["sink", "parquet"],
}
"""Name → what `candlewick` is called with."""
WARM_S = 15.0
GOAL = 40_000
"""Trades per CPU-second of all stages together, where the candle engine makes `ENGINE`; --engine says what it makes."""
_TICKS_PER_S = os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Let it flow, and take each process's CPU."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rate", type=int, default=10_000)
    parser.add_argument("--symbols", type=int, default=300)
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--engine", type=int, default=ENGINE, help="trades per CPU-second, by bench_sinks.py today")
    arguments = parser.parse_args()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    runs: list[dict[str, float]] = []
    for _ in range(arguments.runs):
        with broker("redis", "clickhouse") as settings, tempfile.TemporaryDirectory(prefix="candlewick-bench-") as name:
            own = settings.model_copy(update={"cold": (Path(name) / "cold").as_uri()})
            pace = Pace(
                symbols=arguments.symbols, trades_per_s=arguments.rate, start_us=time.time_ns() // 1000, staggered=True
            )
            runs.append(measured(own, Path(name), pace, arguments.seconds))
        print(", ".join(f"{stage} {cost_us:.1f} us" for stage, cost_us in runs[-1].items()), flush=True)
    costs_us = {stage: [run[stage] for run in runs] for stage in STAGES}
    sums_us = [sum(run.values()) for run in runs]
    share = min(1.0, arguments.engine / ENGINE)
    figures = [
        {"name": f"{stage}, CPU a trade", "unit": "ns", **spread([1000 * cost for cost in costs]), "goal": None}
        for stage, costs in costs_us.items()
    ]
    whole = spread([1e6 / cost_us for cost_us in sums_us])
    figures.append({"name": "candles and three sinks", "unit": "trades/CPU-s", **whole, "goal": round(GOAL * share)})
    print(f"candles and three sinks together: {whole['median']:,} trades per CPU-second at {arguments.rate:,} a second")
    setting = {"trades_per_s": arguments.rate, "symbols": arguments.symbols, "seconds": arguments.seconds}
    write("paced", {**setting, "engine_trades_per_cpu_s": arguments.engine, "figures": figures})


def measured(settings: Settings, folder: Path, pace: Pace, seconds: float) -> dict[str, float]:
    """Stage → microseconds of CPU a trade, all threads, while trades come at the pace. No stage may fall behind."""
    asyncio.run(apply_topics(settings))
    environment = child_environment(settings) | {"PYTHONPATH": str(ROOT)}
    with running(
        {stage: [sys.executable, "-m", "candlewick", *call] for stage, call in STAGES.items()}, environment
    ) as pids:
        wanted = folder / "pace.json"
        wanted.write_text(json.dumps(asdict(pace)))
        producer = subprocess.Popen([sys.executable, str(HERE / "pace.py"), str(wanted)], env=environment)
        try:
            time.sleep(WARM_S)
            began, began_s = {stage: cpu_s(pid) for stage, pid in pids.items()}, time.monotonic()
            published = asyncio.run(_end(settings))
            time.sleep(seconds)
            used = {stage: cpu_s(pid) - began[stage] for stage, pid in pids.items()}
            trades, elapsed_s = asyncio.run(_end(settings)) - published, time.monotonic() - began_s
            behind = asyncio.run(_lags(settings))
        finally:
            producer.terminate()
            producer.wait()
    if trades < 0.9 * pace.trades_per_s * elapsed_s:
        raise EngineFailed(
            f"the producer made {trades:,} records in {seconds:g} s: the machine is too slow for the rate"
        )
    if late := {group: lag for group, lag in behind.items() if lag > 3 * pace.trades_per_s}:
        raise EngineFailed(f"more than three seconds behind: {late}")
    return {stage: 1e6 * cpu / trades for stage, cpu in used.items()}


@contextmanager
def running(commands: dict[str, list[str]], environment: dict[str, str]) -> Iterator[dict[str, int]]:
    """Processes by name; they are ended by SIGTERM."""
    processes = {
        name: subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        for name, command in commands.items()
    }
    try:
        yield {name: process.pid for name, process in processes.items()}
    finally:
        for process in processes.values():
            process.terminate()
        for process in processes.values():
            process.wait(60)


def cpu_s(pid: int) -> float:
    """User and system time of all threads of a process (proc(5): fields 14 and 15 of stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_S


async def _end(settings: Settings) -> int:
    """How many records the topic of trades holds."""
    return sum(end for _, end in (await ends(settings, settings.topics.trades)).values())


async def _lags(settings: Settings) -> dict[str, int]:
    """Group → records of the topic of trades that it has not committed."""
    topic, topics = settings.topics.trades, settings.topics
    bounds = await ends(settings, topic)
    lags = {}
    for name in ("candles", "sink.redis", "sink.clickhouse", "sink.parquet"):
        committed = await group_offsets(settings, topics.group(name))
        lags[name] = sum(end - committed.get((topic, partition), first) for partition, (first, end) in bounds.items())
    del lags["sink.parquet"]  # it commits a file at a time, of up to 15 minutes
    return lags


if __name__ == "__main__":
    main()

"""Candlewick beside the engines one would use instead, all on the same topic, every candle checked.

``bench_candles.py [--trades 3000000] [--runs 3] [--engines candlewick,flink]``
"""

import argparse
import asyncio
import logging
import os
import sys
import tempfile
import time
from pathlib import Path

import peers
from broker import Log, broker, filled, forget_candles, forget_topics, make_topic
from check import WrongCandlesError, check
from measure import EngineFailed, Run, run_engine
from report import report
from trades import Market

from runtime.settings import child_environment, kafka_address


def main() -> None:
    """Start Kafka, fill the topic, let each engine in turn go over it, check, report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trades", type=int, default=3_000_000)
    parser.add_argument("--part", type=int, default=6, help="slow engines are given one in so many of the trades")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--engines", default=",".join(engine.name for engine in peers.ALL))
    arguments = parser.parse_args()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # it tells of leaders of new topics that it waits for
    wanted = arguments.engines.split(",")
    engines = [engine for engine in peers.ALL if engine.name in wanted]
    commands = peers.set_up(engines)
    engines = [engine for engine in engines if engine.name in commands]
    with broker() as settings:
        market = Market(trades=arguments.trades)
        part = Market(trades=arguments.trades, upto=arguments.trades // arguments.part)
        print(f"filling the topic with {arguments.trades:,} trades", flush=True)
        whole_log = filled(settings, "", market)
        part_log = filled(settings, "part.", part) if any(engine.part for engine in engines) else whole_log
        logs = {engine.name: part_log if engine.part else whole_log for engine in engines}
        results, failures = interleave(engines, commands, logs, arguments.runs)
        report(engines, logs, results, failures)
    sys.exit(1 if failures else 0)


def interleave(
    engines: list[peers.Engine], commands: dict[str, list[str]], logs: dict[str, Log], runs: int
) -> tuple[dict[str, list[Run]], list[str]]:
    """Each engine in turn, so that whatever else the machine does falls on all of them; what failed beside it."""
    results: dict[str, list[Run]] = {}
    failures: list[str] = []
    for number in range(1, runs + 1):
        for engine in engines:
            try:
                run = run_once(engine, commands[engine.name], logs[engine.name])
            except (EngineFailed, WrongCandlesError) as failure:
                failures.append(f"{engine.name}, run {number}: {failure}")
                print(f"{number} {engine.name:18} failed: {failure}", flush=True)
                continue
            results.setdefault(engine.name, []).append(run)
            print(
                f"{number} {engine.name:18} {run.work.per_cpu_s:>10,.0f} trades/CPU-s, second half "
                f"{run.warm.per_cpu_s:>10,.0f}, {run.whole.wall_s:6.1f} s, {run.peak_mb:6.0f} MB",
                flush=True,
            )
    return results, failures


def run_once(engine: peers.Engine, command: list[str], log: Log) -> Run:
    """One engine over its topic, in a folder of its own; its candles are checked and then forgotten."""
    settings, own = log.settings, engine.name == "candlewick"
    reads_only = engine.name == "aiokafka-drain"
    output = settings.topics.candles() if own else f"peer-{engine.name}-{time.time_ns()}"
    if not own and not reads_only:
        make_topic(settings, output)
    arguments = [kafka_address(settings), settings.topics.trades, output, str(log.trades), str(log.records)]
    environment = child_environment(settings) | {"PYTHONPATH": str(peers.ROOT)} if own else dict(os.environ)
    try:
        with tempfile.TemporaryDirectory(prefix="candlewick-bench-") as folder:
            run = run_engine([*command, *arguments], trades=log.trades, folder=Path(folder), environment=environment)
        if not reads_only:
            asyncio.run(check(settings, output, log.market, log.candles))
    finally:
        if own:
            forget_candles(settings)
        else:
            forget_topics(settings, output)
    return run


if __name__ == "__main__":
    main()

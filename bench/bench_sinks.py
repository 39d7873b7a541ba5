"""The sinks over one log, beside what one would write first and the candle engine; and what a trade weighs.

``bench_sinks.py [--trades 1000000] [--runs 3] [--sinks parquet,clickhouse,redis,postgres]
[--parts sinks,steps,storage]``; into ``results/sinks.json``.
"""

import argparse
import asyncio
import json
import logging
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cold
from bench_costs import engine
from broker import Log, broker, filled, forget_candles, forget_group
from check import WrongCandlesError, check
from measure import EngineFailed, Run, run_engine, spread
from peers import ENGINES, ROOT
from report import RESULTS, write
from stores import empty_store, held_trades
from trades import Market

from runtime.settings import child_environment

GOALS = {"parquet": 500_000, "clickhouse": 400_000, "redis": 250_000, "postgres": 120_000}
"""Rows per CPU-second, on a machine where the candle engine makes `ENGINE` in the same run."""
ENGINE = 600_000
CANDLES = "candle engine"
PIPELINE = {CANDLES, "sink parquet", "sink clickhouse", "sink redis"}
WHOLE_GOAL = 80_000
"""Of candles and the three sinks together, in the same proportion."""


def main() -> None:
    """Each part that was asked for; what another run wrote of the others is kept."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trades", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--sinks", default=",".join(GOALS))
    parser.add_argument("--parts", default="sinks,steps,storage")
    arguments = parser.parse_args()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # it tells of leaders of new topics that it waits for
    parts, failures = arguments.parts.split(","), list[str]()
    figures: dict[str, Any] = {}
    if "steps" in parts:
        figures["steps"] = cold.steps(arguments.runs)
    if "storage" in parts:
        figures["storage"] = cold.storage()
    if "sinks" in parts:
        names = arguments.sinks.split(",")
        with broker(*(name for name in names if name != "parquet")) as settings:
            print(f"filling the topic with {arguments.trades:,} trades", flush=True)
            log, of_engine = (filled(settings, prefix, Market(trades=arguments.trades)) for prefix in ("", "engine."))
            runs, failures = interleave(log, of_engine, names, arguments.runs)
        sinks = rows(log, runs)
        figures |= {"sinks": sinks, "failures": failures, "figures": figures_of(sinks)}
    tell(figures)
    write("sinks", written() | figures)
    sys.exit(1 if failures else 0)


def written() -> dict[str, Any]:
    """The figures of earlier runs."""
    path = RESULTS / "sinks.json"
    known: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    return {name: value for name, value in known.items() if name != "machine"}


def interleave(log: Log, of_engine: Log, names: Sequence[str], runs: int) -> tuple[dict[str, list[Run]], list[str]]:
    """The engine, each sink and the plain way beside it in turn, so that what else the machine does falls on all.

    The engine has a log of its own: its candles are no work of the sinks, and a sink's rolls are no records of its.
    """
    seen: dict[str, list[Run]] = {}
    failures: list[str] = []
    ways = [CANDLES, *(f"{kind} {name}" for name in names for kind in ("sink", "plain"))]
    for number in range(1, runs + 1):
        for way in ways:
            try:
                run = candles(of_engine) if way == CANDLES else sink(log, *way.split())
            except (EngineFailed, WrongCandlesError) as failure:
                failures.append(f"{way}, run {number}: {failure}")
                print(f"{number} {way:18} failed: {failure}", flush=True)
                continue
            seen.setdefault(way, []).append(run)
            print(
                f"{number} {way:18} {run.work.per_cpu_s:>10,.0f} trades/CPU-s, {run.whole.wall_s:6.1f} s, "
                f"{run.peak_mb:6.0f} MB",
                flush=True,
            )
    return seen, failures


def candles(log: Log) -> Run:
    """The candle engine over the log; its candles are checked and forgotten."""
    run = engine(log.settings, trades=log.trades, records=log.records)
    asyncio.run(check(log.settings, log.settings.topics.candles(), log.market, log.candles))
    forget_candles(log.settings)
    return run


def sink(log: Log, kind: str, name: str) -> Run:
    """A sink, or the plain way, over the whole log, into a store that is empty; a sink must have written each trade."""
    script = {"sink": "candlewick_sink.py", "plain": "plain_sink.py"}[kind]
    command = [sys.executable, str(ENGINES / script), name, str(log.trades)]
    with empty_store(log.settings, name) as settings, tempfile.TemporaryDirectory(prefix="candlewick-bench-") as folder:
        environment = child_environment(settings) | {"PYTHONPATH": str(ROOT)}
        try:
            run = run_engine(command, trades=log.trades, folder=Path(folder), environment=environment)
            held = held_trades(settings, name) if kind == "sink" else None
        finally:
            forget_group(settings, f"sink.{name}")
    if held not in {None, log.trades}:
        raise EngineFailed(f"the store holds {held} trades of {log.trades}")
    return run


def rows(log: Log, runs: dict[str, list[Run]]) -> list[dict[str, Any]]:
    """A row for each way; goals are in proportion to what the candle engine made."""
    made = {way: statistics.median(run.work.per_cpu_s for run in seen) for way, seen in runs.items()}
    share = made.get(CANDLES, ENGINE) / ENGINE
    return [
        {
            "way": way,
            "runs": len(seen),
            "trades": log.trades,
            "trades_per_cpu_s": spread([run.work.per_cpu_s for run in seen]),
            "whole_run_trades_per_cpu_s": spread([run.whole.per_cpu_s for run in seen]),
            "trades_per_s": spread([run.work.per_s for run in seen]),
            "peak_rss_mb": round(statistics.median(run.peak_mb for run in seen)),
            "goal": round(GOALS[way.split()[1]] * min(1, share)) if way.startswith("sink ") else None,
        }
        for way, seen in runs.items()
    ]


def figures_of(sinks: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What each way makes, and candles and the three sinks together: by the sum of what a trade costs in each."""
    named = {row["way"]: row for row in sinks}
    per_cpu_s = [(way, row["trades_per_cpu_s"], row["goal"]) for way, row in named.items()]
    if named.keys() >= PIPELINE:
        parts = [named[way]["trades_per_cpu_s"] for way in PIPELINE]
        summed = {name: round(1 / sum(1 / part[name] for part in parts)) for name in ("min", "median", "max")}
        share = min(1, named[CANDLES]["trades_per_cpu_s"]["median"] / ENGINE)
        per_cpu_s.append(("candle engine and three sinks, summed", summed, round(WHOLE_GOAL * share)))
    return [{"name": name, "unit": "trades/CPU-s", **spread_, "goal": goal} for name, spread_, goal in per_cpu_s]


def tell(figures: dict[str, Any]) -> None:
    """The table of the sinks."""
    if "sinks" not in figures:
        return
    print(f"\n{'':18} {'trades per CPU-second':>34} {'whole run':>11} {'trades/s':>11} {'peak':>8} {'goal':>9}")
    for row in figures["sinks"]:
        per_cpu = row["trades_per_cpu_s"]
        least_to_most = f"({per_cpu['min']:,} to {per_cpu['max']:,})"
        goal = f"{row['goal']:,}" if row["goal"] else ""
        print(
            f"{row['way']:18} {per_cpu['median']:>11,} {least_to_most:>22} "
            f"{row['whole_run_trades_per_cpu_s']['median']:>11,} {row['trades_per_s']['median']:>11,} "
            f"{row['peak_rss_mb']:>5} MB {goal:>9}"
        )


if __name__ == "__main__":
    main()

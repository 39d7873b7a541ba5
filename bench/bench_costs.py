"""What the candle engine costs by symbols, duplicates, late trades and workers.

``bench_costs.py [--trades 600000] [--runs 3] [--parts symbols,disorder,workers]``; into ``results/costs.json``.
"""

import argparse
import asyncio
import logging
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from broker import Log, broker, filled, forget_candles
from check import WrongCandlesError, check
from measure import EngineFailed, Run, run_engine, spread
from peers import ENGINES, ROOT
from report import write
from trades import Market

from runtime.settings import Settings, child_environment

MINUTES = 15
"""Of market time, where symbols are many: more than the ten that are held for corrections."""
SYMBOLS = (300, 3_000, 30_000)
SHARES = (0.0, 0.01, 0.1)


def engine(settings: Settings, *, trades: int | None, records: int = 0) -> Run:
    """One pass of the engine over what its group has not read."""
    command = [sys.executable, str(ENGINES / "candlewick_candles.py"), "-", "-", "-", str(trades or 0), str(records)]
    environment = child_environment(settings) | {"PYTHONPATH": str(ROOT)}
    with tempfile.TemporaryDirectory(prefix="candlewick-bench-") as folder:
        return run_engine(command, trades=trades, folder=Path(folder), environment=environment)


def over(log: Log) -> Run:
    """One process over a whole log; its candles are checked and forgotten."""
    run = engine(log.settings, trades=log.trades, records=log.records)
    asyncio.run(check(log.settings, log.settings.topics.candles(), log.market, log.candles))
    forget_candles(log.settings)
    return run


def cost(settings: Settings, prefix: str, market: Market, runs: int) -> dict[str, Any]:
    """The engine over one kind of market."""
    log = filled(settings, prefix, market)
    row: dict[str, Any] = {"trades": log.trades, "records": log.records}
    try:
        seen = [over(log) for _ in range(runs)]
    except (EngineFailed, WrongCandlesError) as failure:
        print(f"{prefix:18} failed: {failure}", flush=True)
        return row | {"failed": str(failure)}
    row |= {
        "trades_per_cpu_s": spread([run.work.per_cpu_s for run in seen]),
        "records_per_cpu_s": spread([log.records / run.work.cpu_s for run in seen]),
        "peak_rss_mb": round(statistics.median(run.peak_mb for run in seen)),
    }
    print(
        f"{prefix:18} {row['trades_per_cpu_s']['median']:>10,} trades/CPU-s {row['records_per_cpu_s']['median']:>10,} "
        f"records/CPU-s {row['peak_rss_mb']:>6} MB",
        flush=True,
    )
    return row


def symbols(settings: Settings, trades: int, runs: int) -> list[dict[str, Any]]:
    """The same trades over more symbols, each with its marker and candle a minute."""
    return [
        {"symbols": count}
        | cost(settings, f"symbols-{count}.", Market(trades=trades, symbols=count, minutes=MINUTES), runs)
        for count in SYMBOLS
    ]


def disorder(settings: Settings, trades: int, runs: int) -> list[dict[str, Any]]:
    """Trades that come twice, and trades that come behind the marker of their minute."""
    markets = [(share, 0.0) for share in SHARES] + [(0.0, share) for share in SHARES[1:]]
    return [
        {"duplicated": twice, "late": late}
        | cost(
            settings,
            f"twice-{twice}-late-{late}.",
            Market(trades=trades, minutes=MINUTES, duplicated=twice, late=late),
            runs,
        )
        for twice, late in markets
    ]


def workers(settings: Settings, trades: int, runs: int) -> list[dict[str, Any]]:
    """One process, then two that share the partitions; both started at once, from their start to the last one's end."""
    log = filled(settings, "workers.", Market(trades=trades))
    return [_workers(log, count, runs) for count in (1, 2)]


def _workers(log: Log, count: int, runs: int) -> dict[str, Any]:
    walls, cpus = [], []
    for _ in range(runs):
        with ThreadPoolExecutor(count) as pool:
            seen = list(pool.map(lambda _: engine(log.settings, trades=None), range(count)))
        asyncio.run(check(log.settings, log.settings.topics.candles(), log.market, log.candles))
        forget_candles(log.settings)
        walls.append(max(run.whole.wall_s for run in seen))
        cpus.append(sum(run.whole.cpu_s for run in seen))
    row = {
        "workers": count,
        "trades": log.trades,
        "whole_run_trades_per_s": spread([log.trades / wall_s for wall_s in walls]),
        "whole_run_trades_per_cpu_s": spread([log.trades / cpu_s for cpu_s in cpus]),
    }
    print(
        f"{count} worker(s)        {row['whole_run_trades_per_s']['median']:>10,} trades/s, start included", flush=True
    )
    return row


PARTS: dict[str, Callable[[Settings, int, int], Sequence[dict[str, Any]]]] = {
    "symbols": symbols,
    "disorder": disorder,
    "workers": workers,
}


def main() -> None:
    """Each part over logs of its own, on one broker."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trades", type=int, default=600_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--parts", default=",".join(PARTS))
    arguments = parser.parse_args()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # it tells of leaders of new topics that it waits for
    with broker() as settings:
        figures = {
            name: part(settings, arguments.trades, arguments.runs)
            for name, part in PARTS.items()
            if name in arguments.parts.split(",")
        }
    write("costs", figures)
    sys.exit(any("failed" in row for rows in figures.values() for row in rows))


if __name__ == "__main__":
    main()

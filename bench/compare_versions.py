"""The candle engine of this tree beside that of another checkout, in turn over one topic, every candle checked.

``compare_versions.py ../other [--trades 1000000] [--runs 5]``
"""

import argparse
import asyncio
import logging
import sys
import tempfile
from pathlib import Path

import peers
from broker import Log, broker, filled, forget_candles
from check import check
from measure import run_engine, spread
from report import write
from trades import Market

from runtime.settings import child_environment, kafka_address

GOAL = 0.98


def main() -> None:
    """Fill the topic, let both go over it in turn, report the ratios of each pair."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("other", type=Path)
    parser.add_argument("--trades", type=int, default=1_000_000)
    parser.add_argument("--runs", type=int, default=5)
    arguments = parser.parse_args()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    rates: dict[str, list[float]] = {"this": [], "other": []}
    trees = {"this": peers.ROOT, "other": arguments.other.resolve()}
    with broker() as settings:
        log = filled(settings, "", Market(trades=arguments.trades))
        for number in range(arguments.runs):
            order = ("this", "other") if number % 2 else ("other", "this")  # neither is always first
            for name in order:
                rates[name].append(trades_per_cpu_s(log, trees[name]))
            print(number + 1, {name: round(found[-1]) for name, found in rates.items()}, flush=True)
    ratios = [this / other for this, other in zip(rates["this"], rates["other"], strict=True)]
    figures = [{"name": name, "unit": "trades/CPU-s", **spread(found), "goal": None} for name, found in rates.items()]
    ordered = sorted(ratios)
    ratio = {"min": ordered[0], "median": ordered[len(ordered) // 2], "max": ordered[-1]}
    figures.append(
        {"name": "this / other", "unit": "ratio", **{k: round(v, 3) for k, v in ratio.items()}, "goal": GOAL}
    )
    print(*figures, sep="\n")
    write("versions", {"figures": figures})


def trades_per_cpu_s(log: Log, tree: Path) -> float:
    """One pass of the engine of `tree`, from its first record to its last commit; its candles are checked."""
    settings, command = log.settings, [sys.executable, str(tree / "bench" / "engines" / "candlewick_candles.py")]
    arguments = [kafka_address(settings), settings.topics.trades, settings.topics.candles()]
    environment = child_environment(settings) | {"PYTHONPATH": str(tree)}
    try:
        with tempfile.TemporaryDirectory(prefix="candlewick-bench-") as folder:
            run = run_engine(
                [*command, *arguments, str(log.trades), str(log.records)],
                trades=log.trades,
                folder=Path(folder),
                environment=environment,
            )
        asyncio.run(check(settings, settings.topics.candles(), log.market, log.candles))
    finally:
        forget_candles(settings)
    return run.work.per_cpu_s


if __name__ == "__main__":
    main()

"""From a marker sent to its candle readable by a committed reader, all markers of a minute at once.

``bench_latency.py [--symbols 3000] [--rate 10000] [--minutes 4]``: real minutes, and memory with all of them held.
"""

import argparse
import asyncio
import logging
import statistics
import tempfile
import time
from pathlib import Path

from broker import broker, publish
from flow import flow
from measure import EngineFailed
from pace import Pace
from report import write
from trades import MINUTE_US, PARTITIONS, Market
from worker import Worker

from runtime.kafka.admin import apply_topics

HELD_MINUTES = 12
"""More than the ten that are held for corrections: the log begins with so many, ended a moment ago."""
AFTER_S = 3.0


def main() -> None:
    """Fill, catch up, let it flow, compare the times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--symbols", type=int, default=3_000)
    parser.add_argument("--rate", type=int, default=10_000)
    parser.add_argument("--minutes", type=int, default=4, help="how many minutes' ends are measured")
    arguments = parser.parse_args()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    with broker() as settings, tempfile.TemporaryDirectory(prefix="candlewick-bench-") as folder:
        asyncio.run(apply_topics(settings))
        now_us = time.time_ns() // 1000 // MINUTE_US * MINUTE_US
        start_us = now_us - HELD_MINUTES * MINUTE_US
        held = Market(trades=HELD_MINUTES * 100_000, symbols=arguments.symbols, minutes=HELD_MINUTES, start_us=start_us)
        asyncio.run(publish(settings, held.records({})))
        worker = Worker(settings, Path(folder), "worker")
        try:
            worker.wait_for("caught_up", PARTITIONS)
            pace = Pace(symbols=arguments.symbols, trades_per_s=arguments.rate, start_us=time.time_ns() // 1000)
            with flow(settings, Path(folder), pace) as result:
                _sleep_until_after(arguments.minutes + 1)  # its candles begin at the first minute's end
            peak_mb = worker.stop()
        finally:
            worker.kill()
    arrived: dict[str, float] = {}
    for seen in result.seen:
        arrived.setdefault(f"{seen.key} {seen.open_time_ms}", seen.at_s)
    missing = result.sent.keys() - arrived.keys()
    if missing:
        minutes = sorted({int(name.split()[1]) for name in missing})
        raise EngineFailed(f"{len(missing)} of {len(result.sent)} candles did not come, of minutes {minutes}")
    milliseconds = [1000 * (arrived[name] - at_s) for name, at_s in result.sent.items()]
    cuts = statistics.quantiles(milliseconds, n=100)
    figures = {"p50_ms": round(cuts[49]), "p99_ms": round(cuts[98]), "max_ms": round(max(milliseconds))}
    print(
        f"marker to readable candle over {len(milliseconds):,} candles: p50 {figures['p50_ms']} ms, p99 "
        f"{figures['p99_ms']} ms, longest {figures['max_ms']} ms; the worker's peak memory {peak_mb:.0f} MB"
    )
    setting = {"symbols": arguments.symbols, "trades_per_s": arguments.rate, "candles": len(milliseconds)}
    write("latency", {**setting, **figures, "peak_rss_mb": round(peak_mb)})


def _sleep_until_after(ends: int) -> None:
    """Until a moment after so many ends of minutes by the clock."""
    now_s = time.time()
    time.sleep(now_s // 60 * 60 + ends * 60 + AFTER_S - now_s)


if __name__ == "__main__":
    main()

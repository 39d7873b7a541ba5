"""What a restart costs: from a process's start to caught up, by backlog, with the state of many symbols.

``bench_restart.py [--symbols 3000] [--backlogs 0,100000,1000000] [--runs 3]``
"""

import argparse
import asyncio
import logging
import tempfile
from itertools import islice
from pathlib import Path

from broker import broker, publish
from measure import spread
from report import write
from trades import PARTITIONS, Market
from worker import Worker

from runtime.kafka.admin import apply_topics
from runtime.settings import Settings

HELD_MINUTES = 12
"""More than the ten that are held for corrections."""
TRADES_A_MINUTE = 100_000


def main() -> None:
    """Fill the state, then stop, add a backlog and start, for each backlog in turn."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--symbols", type=int, default=3_000)
    parser.add_argument("--backlogs", default="0,100000,1000000")
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    backlogs = [int(backlog) for backlog in arguments.backlogs.split(",")]
    added = sum(backlogs) * arguments.runs
    minutes = HELD_MINUTES + added // TRADES_A_MINUTE + 2
    market = Market(trades=minutes * TRADES_A_MINUTE, symbols=arguments.symbols, minutes=minutes)
    log = market.records({})
    rows: dict[int, list[dict[str, float]]] = {backlog: [] for backlog in backlogs}
    with broker() as settings, tempfile.TemporaryDirectory(prefix="candlewick-bench-") as folder:
        asyncio.run(apply_topics(settings))
        held = HELD_MINUTES * (TRADES_A_MINUTE + arguments.symbols)
        asyncio.run(publish(settings, islice(log, held)))
        restart(settings, Path(folder))
        for number in range(1, arguments.runs + 1):
            for backlog in backlogs:
                asyncio.run(publish(settings, islice(log, backlog)))
                row = restart(settings, Path(folder))
                rows[backlog].append(row)
                print(
                    f"{number} backlog {backlog:>9,}: partitions taken over after {row['taken_s']:.2f} s, "
                    f"caught up after {row['caught_up_s']:.2f} s",
                    flush=True,
                )
    figures = [
        {
            "backlog": backlog,
            "taken_over_after_ms": spread([1000 * row["taken_s"] for row in found]),
            "caught_up_after_ms": spread([1000 * row["caught_up_s"] for row in found]),
        }
        for backlog, found in rows.items()
    ]
    write("restart", {"symbols": arguments.symbols, "held_minutes": 10, "restarts": figures})


def restart(settings: Settings, folder: Path) -> dict[str, float]:
    """Start a worker, wait until it has caught up, stop it; seconds since its process was started."""
    worker = Worker(settings, folder, "worker", instance_id="bench")
    try:
        taken = worker.wait_for("taken", PARTITIONS)
        caught_up = worker.wait_for("caught_up", PARTITIONS)
        worker.stop()
    finally:
        worker.kill()
    return {
        "taken_s": max(said["at_s"] for said in taken) - worker.began_s,
        "caught_up_s": max(said["at_s"] for said in caught_up) - worker.began_s,
    }


if __name__ == "__main__":
    main()

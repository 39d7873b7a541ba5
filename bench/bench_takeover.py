"""How long candles stay away when partitions change hands between two workers, at a steady flow.

``bench_takeover.py [--symbols 3000] [--rate 10000] [--runs 3]``: minutes of market time take six seconds and end one
symbol after the other, so that each partition's candles come all the time.
"""

import argparse
import asyncio
import logging
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from broker import broker, publish
from flow import Flow, Seen, flow
from measure import EngineFailed, spread
from pace import Pace
from report import write
from trades import MINUTE_US, PARTITIONS, START_US, Market
from worker import PATIENCE_S, Worker

from runtime.kafka.admin import apply_topics
from runtime.settings import Settings

HELD_MINUTES = 12
"""More than the ten that are held for corrections."""
MINUTE_S = 6.0
WINDOW_S = 20.0
"""How long is looked at after an event; longer than a session."""


@dataclass
class Pair:
    """Two workers; each is known to the group by its name, so one that is started again takes its own partitions."""

    settings: Settings
    folder: Path
    one: Worker
    other: Worker

    def start_other(self) -> None:
        """As Kubernetes does with a pod that ended; never two under one name: they would fence each other for ever."""
        self.other.kill()
        self.other = Worker(self.settings, self.folder, "other", instance_id="other")

    def replace(self) -> None:
        """SIGTERM, and the next one at once: a rolling upgrade."""
        self.other.stop()
        self.start_other()

    def crash(self) -> None:
        """SIGKILL, and the next one at once: a container that is restarted."""
        self.other.kill()
        self.start_other()

    def lose(self) -> None:
        """SIGKILL and nobody comes: a lost machine, found by the group's session."""
        self.other.kill()


EVENTS = {"nothing": lambda _: None, "replaced": Pair.replace, "crashed": Pair.crash, "lost": Pair.lose}


def main() -> None:
    """Let it flow, make each event happen in turn, and look for the longest silence of any partition."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--symbols", type=int, default=3_000)
    parser.add_argument("--rate", type=int, default=10_000)
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    held = Market(trades=HELD_MINUTES * 100_000, symbols=arguments.symbols, minutes=HELD_MINUTES)
    pace = Pace(
        symbols=arguments.symbols,
        trades_per_s=arguments.rate,
        minute_s=MINUTE_S,
        staggered=True,
        start_us=START_US + HELD_MINUTES * MINUTE_US,
    )
    windows: list[tuple[str, float, float]] = []
    with broker() as settings, tempfile.TemporaryDirectory(prefix="candlewick-bench-") as folder:
        asyncio.run(apply_topics(settings))
        asyncio.run(publish(settings, held.records({})))
        with workers(settings, Path(folder)) as pair, flow(settings, Path(folder), pace) as result:
            time.sleep(2 * MINUTE_S)  # the first whole minute of each symbol is over
            for _ in range(arguments.runs):
                for event, happen in EVENTS.items():
                    began_s = time.time()
                    happen(pair)
                    time.sleep(WINDOW_S)
                    windows.append((event, began_s, time.time()))
                pair.start_other()
                time.sleep(WINDOW_S)
    require_each_once(result)
    rows = []
    for event in EVENTS:
        gaps = [1000 * longest_gap(result.seen, begin, end) for name, begin, end in windows if name == event]
        rows.append({"event": event, "longest_gap_ms": spread(gaps)})
        print(f"{event:10} longest silence of a partition: {max(gaps):,.0f} ms (least of the runs {min(gaps):,.0f})")
    write("takeover", {"symbols": arguments.symbols, "trades_per_s": arguments.rate, "events": rows})


@contextmanager
def workers(settings: Settings, folder: Path) -> Iterator[Pair]:
    """Two that have caught up and share the partitions."""
    pair = Pair(settings, folder, *(Worker(settings, folder, name, instance_id=name) for name in ("one", "other")))
    try:
        deadline_s = time.time() + PATIENCE_S
        while not all(worker.events("caught_up") for worker in (pair.one, pair.other)):
            if time.time() > deadline_s:
                raise EngineFailed("the two workers do not share the partitions")
            time.sleep(0.1)
        pair.one.wait_for("caught_up", PARTITIONS // 2)
        pair.other.wait_for("caught_up", PARTITIONS // 2)
        yield pair
    finally:
        pair.one.kill()
        pair.other.kill()


def longest_gap(seen: list[Seen], begin_s: float, end_s: float) -> float:
    """The longest silence of any partition between two times, in seconds."""
    longest = 0.0
    for partition in range(PARTITIONS):
        times = [one.at_s for one in seen if one.partition == partition and begin_s <= one.at_s <= end_s]
        times = [begin_s, *sorted(times), end_s]
        longest = max(longest, *(after - before for before, after in pairwise(times)))
    return longest


def require_each_once(result: Flow) -> None:
    """Whatever happened: every minute that had a marker, but for the last ones, came, and came once."""
    counts = Counter(f"{seen.key} {seen.open_time_ms}" for seen in result.seen)
    twice = [name for name, count in counts.items() if count > 1]
    until_s = max(result.sent.values()) - MINUTE_S
    missing = [name for name, at_s in result.sent.items() if at_s < until_s and name not in counts]
    if twice or missing:
        raise EngineFailed(f"{len(twice)} candles came twice, {len(missing)} did not come")


if __name__ == "__main__":
    main()

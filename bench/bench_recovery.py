"""How long a feed takes to be whole again after all its connections broke.

``bench_recovery.py [--symbols 200] [--speed 120] [--outages 0,10] [--runs 3]``; into ``results/recovery.json``.
"""

import argparse
import asyncio
import json
import logging
import os
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from broker import broker
from confluent_kafka import Consumer, TopicPartition
from measure import EngineFailed, spread
from peers import ROOT
from report import write

from deploy.local.ports import any_free_port
from market.codec import decode_marker
from runtime.kafka.admin import apply_topics
from runtime.settings import Settings, child_environment, kafka_address

MINUTE_US = 60_000_000
LATE_S = 1.0
"""A feed is whole while each symbol has the marker of every minute that ended so long ago, in wall time."""
SETTLED_S = 5.0
"""... and was so for this long."""
GOAL_MS = 30_000
PATIENCE_S = 180.0
BETWEEN_S = 65.0
"""The exchange counts what is asked in a minute: what was asked for one outage is not to weigh on the next."""
STARTED_S = 60.0


class SimulatedMarket:
    """The simulated exchange: its clock, and its faults on request."""

    def __init__(self, address: str, speed: float) -> None:
        self._address, self._speed = address, speed
        deadline_s = time.time() + STARTED_S
        while True:
            try:
                now_us = self._ask("/sim/now")["now_us"]
                break
            except OSError as error:
                if time.time() > deadline_s:
                    raise EngineFailed(f"the simulator does not answer: {error}") from None
                time.sleep(0.1)
        self._zero_us = now_us - time.time() * speed * 1e6

    def due_us(self) -> float:
        """The markers of the minutes that ended before this time have to be there."""
        return self._zero_us + (time.time() - LATE_S) * self._speed * 1e6 - MINUTE_US

    def drop(self, for_s: float) -> None:
        """Break all connections, and take none for so long."""
        self._ask("/sim/faults", {"drop_for_s": for_s, "now": "drop"})

    def _ask(self, path: str, change: dict[str, Any] | None = None) -> dict[str, Any]:
        data = None if change is None else json.dumps(change).encode()
        with urllib.request.urlopen(self._address + path, data, timeout=10) as response:  # noqa: S310  # ours
            answer: dict[str, Any] = json.load(response)
            return answer


class FollowedFeed:
    """What a producer has said so far: the newest marker of each symbol, and its events."""

    def __init__(self, settings: Settings, symbols: int) -> None:
        self.events: Counter[str] = Counter()
        self._symbols = symbols
        self._until_us: dict[bytes, int] = {}
        self._progress, feeds = settings.topics.progress, settings.topics.feeds
        kafka = kafka_address(settings)
        self._consumer = Consumer({"bootstrap.servers": kafka, "group.id": "bench-recovery", "log_level": 0})
        topics = [(topic, partition) for topic in (self._progress, feeds) for partition in range(settings.partitions)]
        self._consumer.assign([TopicPartition(topic, partition, 0) for topic, partition in topics])

    def read(self) -> None:
        """Read on to what is new now."""
        for message in self._consumer.consume(10_000, timeout=0.05):
            key, value = message.key(), message.value()
            if message.error() or not isinstance(key, bytes):
                continue
            if message.topic() != self._progress:
                self.events[json.loads(value or b"{}").get("event", "")] += 1
                continue
            marker = decode_marker([(name, bytes(said or b"")) for name, said in message.headers() or []])
            if marker is not None:
                self._until_us[key] = marker.complete_until_us

    def has_all(self, due_us: float) -> bool:
        """Whether each symbol has the markers that are due."""
        return len(self._until_us) == self._symbols and min(self._until_us.values()) >= due_us


def main() -> None:
    """Each outage in turn, some times."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--symbols", type=int, default=200)
    parser.add_argument("--speed", type=float, default=120.0)
    parser.add_argument("--outages", default="0,10", help="for how many seconds no connection is taken")
    parser.add_argument("--runs", type=int, default=3)
    arguments = parser.parse_args()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    others_load = round(os.getloadavg()[1], 1)
    outages = [float(outage) for outage in arguments.outages.split(",")]
    seen: dict[float, list[float]] = {outage: [] for outage in outages}
    with broker() as settings:
        asyncio.run(apply_topics(settings))
        with producing(settings, arguments.symbols, arguments.speed) as address:
            market, feed = SimulatedMarket(address, arguments.speed), FollowedFeed(settings, arguments.symbols)
            until_whole(feed, market)
            for number in range(1, arguments.runs + 1):
                for outage_s in outages:
                    time.sleep(BETWEEN_S)
                    seen[outage_s].append(recovered_after_s(feed, market, outage_s))
                    whole_s = seen[outage_s][-1]
                    print(f"{number} outage of {outage_s:g} s: whole after {whole_s:.1f} s, {told(feed)}", flush=True)
    figures = [
        {"name": f"whole after all connections were lost for {outage_s:g} s", "unit": "ms", "goal": GOAL_MS}
        | spread([1000 * each for each in values])
        for outage_s, values in seen.items()
    ]
    setting = {"symbols": arguments.symbols, "speed": arguments.speed, "others_load": others_load}
    write("recovery", {**setting, "figures": figures})


def recovered_after_s(feed: FollowedFeed, market: SimulatedMarket, outage_s: float) -> float:
    """Break a whole feed's connections; returns how many seconds later it is whole again."""
    until_whole(feed, market)
    feed.events.clear()
    began_s = time.time()
    market.drop(outage_s)
    whole_s = until_whole(feed, market)
    if feed.events["hole"]:
        raise EngineFailed("trades were lost that the exchange could still show")
    return whole_s - began_s


def until_whole(feed: FollowedFeed, market: SimulatedMarket) -> float:
    """Wait until the feed is whole, and stays so; returns since when it is (`time.time()`)."""
    deadline_s = time.time() + PATIENCE_S
    since_s = None
    while True:
        feed.read()
        now_s = time.time()
        if not feed.has_all(market.due_us()):
            since_s = None
        elif since_s is None:
            since_s = now_s
        elif now_s - since_s >= SETTLED_S:
            return since_s
        if now_s > deadline_s:
            raise EngineFailed(f"not whole within {PATIENCE_S:.0f} s: {told(feed)}")


def told(feed: FollowedFeed) -> str:
    """How often which event came."""
    return ", ".join(f"{count} {event}" for event, count in sorted(feed.events.items()))


@contextmanager
def producing(settings: Settings, symbols: int, speed: float) -> Iterator[str]:
    """A simulated exchange and a producer of all its symbols, as processes; gives the exchange's address."""
    port = any_free_port()
    address = f"http://127.0.0.1:{port}"
    hosts = {"CANDLEWICK_BINANCE_WS": f"ws://127.0.0.1:{port}", "CANDLEWICK_BINANCE_REST": address}
    environment = child_environment(settings) | {"PYTHONPATH": str(ROOT)} | hosts
    with (
        running(environment, "simulate", "--symbols", str(symbols), "--speed", f"{speed:g}", "--port", str(port)),
        running(environment, "produce", "binance", "--all"),
    ):
        yield address


@contextmanager
def running(environment: dict[str, str], *words: str) -> Iterator[None]:
    """``candlewick …`` for as long as the block runs."""
    command: Sequence[str] = [sys.executable, "-m", "candlewick", *words]
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.kill()


if __name__ == "__main__":
    main()

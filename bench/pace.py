"""A producer at a steady rate, as a process of its own: trades and markers of many symbols.

``pace.py FILE``; the file holds the arguments of `Pace` as JSON. It ends by SIGTERM and then writes when each marker
was sent, as JSON ``{"<key> <open_time_ms>": seconds of the system's clock}``, to ``FILE.sent``.
"""

import asyncio
import itertools
import json
import random
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from trades import MINUTE_US, trade

from market.codec import encode_marker
from market.partition import partition_of
from market.trade import Marker, Proof
from runtime.kafka import Outgoing, Publisher
from runtime.lifecycle import run
from runtime.settings import load_settings

TICK_S = 0.02
FIRST_ID = 10_000_000
"""Above the ids of whatever the log was filled with before; each market counts its own, as exchanges do."""


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How it goes."""

    symbols: int
    trades_per_s: int
    minute_s: float = 60.0
    """How long a minute of market time takes."""
    staggered: bool = False
    """Whether the symbols' minutes end one after the other, or all at once."""
    start_us: int
    """Market time at the start."""


class Feed:
    """What is due at a time."""

    def __init__(self, pace: Pace, partitions: int) -> None:
        self._pace = pace
        self._keys = [f"bench:S{n:05d}-USDT" for n in range(pace.symbols)]
        self._partitions = [partition_of(key.encode(), partitions) for key in self._keys]
        self._weights = list(itertools.accumulate(1 / (n + 1) for n in range(pace.symbols)))
        self._ids = [itertools.count(FIRST_ID) for _ in range(pace.symbols)]
        self._rng = random.Random(11)
        step_us = MINUTE_US // pace.symbols if pace.staggered else 0
        self._ahead_us = [n * step_us for n in range(pace.symbols)]
        self._ends_us = [(pace.start_us + ahead) // MINUTE_US * MINUTE_US + MINUTE_US for ahead in self._ahead_us]
        self._published = 0

    def begin(self) -> list[Outgoing]:
        """The first record of each symbol; its candles begin with the minute after the one at hand."""
        records = [self._marker(symbol, self._ends_us[symbol], Proof.BEGIN) for symbol in range(self._pace.symbols)]
        self._ends_us = [end_us + MINUTE_US for end_us in self._ends_us]
        return records

    def trades(self, elapsed_s: float) -> list[Outgoing]:
        """Trades that have become due; none lies behind the end of its symbol's minute."""
        due = int(elapsed_s * self._pace.trades_per_s) - self._published
        self._published += due
        return [
            self._trade(symbol, elapsed_s)
            for symbol in self._rng.choices(range(self._pace.symbols), cum_weights=self._weights, k=due)
        ]

    def markers(self, elapsed_s: float) -> list[tuple[str, Outgoing]]:
        """Markers of the minutes that are over, each with its name."""
        over = []
        for symbol, end_us in enumerate(self._ends_us):
            if self._market_us(symbol, elapsed_s) >= end_us:
                name = f"{self._keys[symbol]} {(end_us - MINUTE_US) // 1000}"
                over.append((name, self._marker(symbol, end_us, Proof.IDS)))
                self._ends_us[symbol] += MINUTE_US
        return over

    def _market_us(self, symbol: int, elapsed_s: float) -> int:
        return self._pace.start_us + self._ahead_us[symbol] + int(elapsed_s * MINUTE_US / self._pace.minute_s)

    def _trade(self, symbol: int, elapsed_s: float) -> Outgoing:
        key = self._keys[symbol]
        time_us = min(self._market_us(symbol, elapsed_s), self._ends_us[symbol] - 1)
        price, qty = self._rng.randrange(10_000, 10_300), self._rng.randrange(1, 100_000)
        value = trade(key, next(self._ids[symbol]), f"{price / 100:.2f}", f"0.{qty:05d}", time_us, buy=qty % 2 == 0)
        return Outgoing(key.encode(), value, partition=self._partitions[symbol])

    def _marker(self, symbol: int, until_us: int, proof: Proof) -> Outgoing:
        headers = encode_marker(Marker(complete_until_us=until_us, published_until_us=until_us, proof=proof))
        return Outgoing(self._keys[symbol].encode(), None, headers, self._partitions[symbol])


async def publish(pace: Pace, stop: asyncio.Event) -> dict[str, float]:
    """Send what is due every tick until `stop`; when each marker was sent. Markers wait for their trades."""
    settings = load_settings()
    topic, partitions = settings.topics.trades, settings.partitions
    feed = Feed(pace, partitions)
    sent: dict[str, float] = {}
    async with Publisher(settings) as publisher:
        await publisher.await_acknowledgements(await publisher.send_batches(topic, feed.begin(), partitions))
        began_s = time.monotonic()
        waiting: list[asyncio.Future[object]] = []
        while not stop.is_set():
            elapsed_s = time.monotonic() - began_s
            waiting += await publisher.send_batches(topic, feed.trades(elapsed_s), partitions)
            if over := feed.markers(elapsed_s):
                await publisher.await_acknowledgements(waiting)
                at_s = time.time()
                sent |= {name: at_s for name, _ in over}
                waiting = await publisher.send_batches(topic, (record for _, record in over), partitions)
            waiting = [future for future in waiting if not future.done() or future.result() is None]
            await asyncio.sleep(max(0.0, TICK_S - (time.monotonic() - began_s - elapsed_s)))
        await publisher.await_acknowledgements(waiting)
    return sent


if __name__ == "__main__":
    arguments = Path(sys.argv[1])
    sent = run(lambda stop: publish(Pace(**json.loads(arguments.read_text())), stop))
    arguments.with_suffix(".sent").write_text(json.dumps(sent))

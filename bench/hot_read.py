"""Clients of the hot store, as a process of its own: each asks as soon as it has its answer, or with pauses.

``hot_read.py CLIENTS SECONDS PAUSE_S END_MS``; it prints ``{"kind": [latency in ms, …]}`` for each kind of reading, and
the reads a second of all as ``"per_s"``. Times are around our reader. Redis comes by `CANDLEWICK_*`.
"""

import asyncio
import json
import random
import sys
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable

import uvloop
from hot_data import SYMBOLS, key_of

from market.key import MarketKey
from market.timeframe import MINUTE_MS
from runtime.settings import load_settings, redis_address
from sinks.redis import read
from sinks.redis.connect import connect, disconnect

WARMING = 0.2
"""The first part of the seconds is not counted."""
CANDLES, TRADES = 30, 100
Read = Callable[[MarketKey], Awaitable[int]]
"""A market → how many records came."""


async def main(clients: int, seconds: float, pause_s: float, end_ms: int) -> None:
    """All clients at once, each going from kind to kind and from market to market."""
    settings = load_settings()
    redis = connect(redis_address(settings))
    prefix, from_ms = settings.prefix, end_ms - CANDLES * MINUTE_MS

    async def candles(market: MarketKey) -> int:
        return len(await read.read_candles(redis, prefix, market, from_ms=from_ms, until_ms=end_ms))

    async def ticker(market: MarketKey) -> int:
        return int(await read.read_ticker(redis, prefix, market) is not None)

    async def trades(market: MarketKey) -> int:
        return len(await read.read_trades(redis, prefix, market, limit=TRADES))

    kinds: dict[str, tuple[Read, int]] = {
        f"newest {CANDLES} candles": (candles, CANDLES),
        "ticker": (ticker, 1),
        f"newest {TRADES} trades": (trades, TRADES),
    }
    seen_ms: dict[str, list[float]] = defaultdict(list)
    began_s = time.perf_counter()
    counted_from_s, until_s = began_s + WARMING * seconds, began_s + seconds

    async def client(number: int) -> None:
        rng = random.Random(number)
        await asyncio.sleep(rng.random() * pause_s)
        while (asked_s := time.perf_counter()) < until_s:
            kind = rng.choice(list(kinds))
            ask, wanted = kinds[kind]
            came = await ask(MarketKey.parse(key_of(rng.randrange(SYMBOLS))))
            if came != wanted:
                raise SystemExit(f"{came} of {wanted} came: {kind}")
            now_s = time.perf_counter()
            if asked_s >= counted_from_s:
                seen_ms[kind].append(1000 * (now_s - asked_s))
            if pause_s:
                await asyncio.sleep(pause_s)

    await asyncio.gather(*(client(number) for number in range(clients)))
    await disconnect(redis)
    per_s = sum(map(len, seen_ms.values())) / ((1 - WARMING) * seconds)
    print(json.dumps({"per_s": per_s, "seen_ms": seen_ms}))


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4])))

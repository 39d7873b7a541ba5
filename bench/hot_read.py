"""Clients of the hot store, as a process of its own: each asks as soon as it has its answer, or after a pause.

Pauses are random (exponential), `PAUSE_S` on average. Equal ones would bind together all clients that once met in the
queue, and measure how long the queue of all is.

``hot_read.py CLIENTS SECONDS PAUSE_S END_MS FORM``; FORM is ``bytes`` (values as they stand) or ``models``. It prints
``{"per_s": …, "seen_ms": {"kind": [latency, …]}}``. Times are around our reader. Redis comes by `CANDLEWICK_*`.
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

from market.codec import decode_candle
from market.key import MarketKey
from market.timeframe import MINUTE_MS
from runtime.settings import load_settings, redis_address
from sinks.redis import read
from sinks.redis.connect import HotClient, connect, disconnect

WARMING = 0.2
"""The first part of the seconds is not counted."""
CANDLES, TRADES = 30, 100
Read = Callable[[MarketKey], Awaitable[int]]
"""A market → how many records came."""


def kinds(form: str, redis: HotClient, prefix: str, end_ms: int) -> dict[str, tuple[Read, int]]:
    """What is read, by its name, and how many records come each time."""
    as_bytes = form == "bytes"
    decode = len if as_bytes else decode_candle
    read_ticker = read.read_ticker_value if as_bytes else read.read_ticker
    read_trades = read.read_trade_values if as_bytes else read.read_trades

    async def candles(market: MarketKey) -> int:
        from_ms = end_ms - CANDLES * MINUTE_MS
        values = await read.read_candle_values(redis, prefix, market, from_ms=from_ms, until_ms=end_ms)
        return len([decode(value) for value in values])

    async def ticker(market: MarketKey) -> int:
        return int(await read_ticker(redis, prefix, market) is not None)

    async def trades(market: MarketKey) -> int:
        return len(await read_trades(redis, prefix, market, limit=TRADES))

    return {
        f"newest {CANDLES} candles": (candles, CANDLES),
        "ticker": (ticker, 1),
        f"newest {TRADES} trades": (trades, TRADES),
    }


async def main(clients: int, seconds: float, pause_s: float, end_ms: int, form: str) -> None:
    """All clients at once, each going from kind to kind and from market to market."""
    settings = load_settings()
    redis = connect(redis_address(settings))
    of_kind = kinds(form, redis, settings.prefix, end_ms)
    seen_ms: dict[str, list[float]] = defaultdict(list)
    began_s = time.perf_counter()
    counted_from_s, until_s = began_s + WARMING * seconds, began_s + seconds

    async def client(number: int) -> None:
        rng = random.Random(number)
        await asyncio.sleep(rng.random() * pause_s)
        while (asked_s := time.perf_counter()) < until_s:
            kind = rng.choice(list(of_kind))
            ask, wanted = of_kind[kind]
            came = await ask(MarketKey.parse(key_of(rng.randrange(SYMBOLS))))
            if came != wanted:
                raise SystemExit(f"{came} of {wanted} came: {kind}")
            now_s = time.perf_counter()
            if asked_s >= counted_from_s:
                seen_ms[kind].append(1000 * (now_s - asked_s))
            if pause_s:
                await asyncio.sleep(rng.expovariate(1 / pause_s))

    await asyncio.gather(*(client(number) for number in range(clients)))
    await disconnect(redis)
    per_s = sum(map(len, seen_ms.values())) / ((1 - WARMING) * seconds)
    print(json.dumps({"per_s": per_s, "seen_ms": seen_ms}))


if __name__ == "__main__":
    uvloop.run(main(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]), sys.argv[5]))

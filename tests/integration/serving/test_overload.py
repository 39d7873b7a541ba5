"""The server in a storm: who comes first, how much memory it takes, and what other clients notice of it."""

import asyncio
import json
import os
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import aiohttp
import psutil
import pytest
from eventually import eventually
from written import MINUTE, T0, candle, write

from deploy.local.ports import any_free_port
from runtime.settings import Settings, WithoutRedis, child_environment
from serving.access.key_file import change_keys
from serving.access.keys import ApiKey, RateTier, hash_of, key_text
from sinks.clickhouse.store import ClickHouseStore
from sinks.redis.store import RedisStore

KEYS = {tier: key_text(tier.value[:2].encode() * 16) for tier in RateTier}
MINUTES = 10_000
MARKET = urlencode({"exchange": "binance", "symbol": "BTC-USDT"})
LARGE = f"/v1/candles?{MARKET}&from_ms={T0}&until_ms={T0 + MINUTES * MINUTE}&limit={MINUTES}"
PLAIN = f"/v1/candles?{MARKET}&limit=30"
STORM, SLOW_READERS, STORM_S = 1_000, 200, 20.0
PRO_WEIGHT = 300
MOST_BYTES = 450 * 1024 * 1024
"""Of the server in the storm: 130 MB at rest, 64 of large answers to tier free, 64 of a cache, and what is being made.

Without a bound, 200 slow readers of 3.3 MB take 660 MB.
"""
SLOWEST_S = 10.0


@pytest.fixture
async def filled(settings: Settings) -> Settings:
    values = [candle(minute) for minute in range(MINUTES)]
    await write(ClickHouseStore(settings), settings.topics.candles(), values)
    await write(RedisStore(settings), settings.topics.candles(), values[-1500:], first=MINUTES - 1500)
    return settings


@contextmanager
def served(settings: Settings, folder: Path) -> Iterator[tuple[str, psutil.Process]]:
    """``candlewick serve`` in a process of its own, with a key of each tier."""
    path = folder / "keys.json"
    for tier in RateTier:
        key = ApiKey(name=tier.value, sha256=hash_of(KEYS[tier]), tier=tier, created_ms=1)
        change_keys(path, lambda ring: ring.with_key(key))  # noqa: B023  # called here
    rules = {"keys": path, "anonymous": False, "free_weight": 0, "pro_weight": PRO_WEIGHT, "enterprise_weight": 0,
             "without_redis": WithoutRedis.CLOSED}  # fmt: skip
    environment = child_environment(settings.model_copy(update=rules)) | {"PYTHONPATH": os.pathsep.join(sys.path)}
    port = any_free_port()
    command = [sys.executable, "-m", "candlewick", "serve", "--port", str(port)]
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
        try:
            yield f"http://127.0.0.1:{port}", psutil.Process(process.pid)
        finally:
            process.terminate()


async def ask(session: aiohttp.ClientSession, path: str, tier: RateTier) -> tuple[int, float]:
    """The status (0: the connection broke), and how long the whole answer took."""
    began_s = time.monotonic()
    try:
        async with session.get(path, headers={"X-API-Key": KEYS[tier]}) as response:
            await response.read()
            status = response.status
    except aiohttp.ClientError:
        status = 0
    return status, time.monotonic() - began_s


async def slow_reader(address: str) -> asyncio.StreamWriter:
    """A client that asks for something large and takes almost nothing of it."""
    reader, writer = await asyncio.open_connection(urlsplit(address).hostname, urlsplit(address).port, limit=1024)
    writer.write(f"GET {LARGE} HTTP/1.1\r\nHost: x\r\nX-API-Key: {KEYS[RateTier.FREE]}\r\n\r\n".encode())
    await reader.read(100)
    return writer


async def storm(session: aiohttp.ClientSession, until_s: float) -> dict[RateTier, Counter[int]]:
    """Clients that ask again and again: of tier free each another expensive question, of tier pro a cheap one.

    Gives how often each status came.
    """
    statuses = {tier: Counter[int]() for tier in (RateTier.FREE, RateTier.PRO)}

    async def client(number: int) -> None:
        tier, asked = (RateTier.FREE, RateTier.PRO)[number % 2], 0
        while time.monotonic() < until_s:
            from_ms = T0 + (number + STORM * asked) % (MINUTES - 1_000) * MINUTE
            path = PLAIN if tier is RateTier.PRO else f"{PLAIN}&timeframe=7m&from_ms={from_ms}"
            status, _ = await ask(session, path, tier)
            statuses[tier][status] += 1
            asked += 1

    await asyncio.gather(*map(client, range(STORM)))
    return statuses


@pytest.mark.long
@pytest.mark.timeout(300)
async def test_a_storm_with_slow_readers_leaves_memory_and_limits_as_they_are_and_a_higher_tier_served(
    filled: Settings, tmp_path: Path
) -> None:
    timeout = aiohttp.ClientTimeout(total=60)
    with served(filled, tmp_path) as (address, process):
        async with (
            aiohttp.ClientSession(address, connector=aiohttp.TCPConnector(limit=0), timeout=timeout) as stormy,
            aiohttp.ClientSession(address, timeout=timeout) as other,
        ):

            async def is_served() -> bool:
                return (await ask(other, "/v1/health", RateTier.ENTERPRISE))[0] == 200

            await eventually(is_served, timeout_s=60)
            readers = [await slow_reader(address) for _ in range(SLOW_READERS)]
            until_s = time.monotonic() + STORM_S
            storming = asyncio.create_task(storm(stormy, until_s))
            peak_bytes, seen = 0, []
            while time.monotonic() < until_s:
                seen.append(await ask(other, PLAIN, RateTier.ENTERPRISE))
                peak_bytes = max(peak_bytes, process.memory_info().rss)
            statuses = await storming
            for writer in readers:
                writer.close()
    cuts = statistics.quantiles([took_s for _, took_s in seen], n=100)
    told = {"peak_mb": peak_bytes >> 20, "others": len(seen), "p50_ms": cuts[49] * 1000, "p99_ms": cuts[98] * 1000}
    print(json.dumps(told | {tier.value: counts for tier, counts in statuses.items()}))  # noqa: T201  # the figures
    assert {status for status, _ in seen} == {200}
    assert cuts[98] < SLOWEST_S
    assert statuses[RateTier.FREE][503] > 0
    assert set(statuses[RateTier.FREE]) <= {0, 200, 503}
    assert 0 < statuses[RateTier.PRO][200] <= PRO_WEIGHT
    assert set(statuses[RateTier.PRO]) <= {0, 200, 429, 503}
    assert peak_bytes < MOST_BYTES

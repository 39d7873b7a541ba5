"""Kafka answers nothing for a minute while trades come by the thousand: memory stays bounded, and nothing is lost."""

import asyncio
from pathlib import Path

import pytest
from eventually import eventually
from feed_log import check_markers, published, read_log, sent
from frozen import frozen_broker
from programs import program
from simulator_client import simulator

from market.topics import Topics
from producers.feed.progress import read_progress
from producers.simulator.instruments import default_symbols, instrument
from runtime.settings import Settings

SYMBOLS = default_symbols(30)
FROZEN_S = 60.0
MOST_MB = 250
"""The process with all its libraries; it has about 110 MB before."""


def resident_mb(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024


@pytest.mark.timeout(600)
async def test_a_minute_without_kafka_costs_no_trade_and_little_memory(
    settings: Settings,
    topics: Topics,  # noqa: ARG001  # they have to be there
    environment: dict[str, str],
) -> None:
    names = [f"{instrument(symbol).base}-{instrument(symbol).quote}" for symbol in SYMBOLS]
    keys = [f"binance:{name}".encode() for name in names]
    async with simulator(symbols=SYMBOLS, speed=60.0) as client:
        hosts = {
            "CANDLEWICK_BINANCE_WS": client.address.replace("http", "ws", 1), "CANDLEWICK_BINANCE_REST": client.address,
        }  # fmt: skip

        async def marked() -> int:
            progress = (await read_progress(settings, keys, 1 << 62)).resumptions
            ends_us = [progress[key].marker.complete_until_us for key in keys if key in progress]
            return min(ends_us) if len(ends_us) == len(keys) else 0

        async with program(environment | hosts, "produce", "binance", *SYMBOLS) as process:

            async def has_begun() -> bool:
                return await marked() > 0

            await eventually(has_begun, timeout_s=60, every_s=1.0)
            with frozen_broker(settings):
                await asyncio.sleep(FROZEN_S)  # the fault itself
            until_us = (await client.get("/sim/now"))["now_us"]

            async def is_whole() -> bool:
                return await marked() >= until_us

            await eventually(is_whole, timeout_s=300, every_s=2.0)
            most_mb = resident_mb(process.pid)
            process.terminate()
            assert await asyncio.wait_for(process.wait(), 30) == 0
        logs = await read_log(settings)
        for symbol, name in zip(SYMBOLS, names, strict=True):
            log = logs[name]
            truth = await sent(client.address, symbol, log.begin_us, log.end_us)
            assert published(log.trades, log.begin_us, log.end_us) == truth, symbol
            check_markers(log, truth, strict=False)
            assert {minute.proof for minute in log.closed} == {"ids"}
    print(f"most memory: {most_mb} MB")  # noqa: T201  # a figure for the closing note
    assert most_mb <= MOST_MB

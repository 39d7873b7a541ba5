"""Two producers of the same symbols, one killed every 20 s: nothing is lost, counted twice, or late."""

import asyncio
import os
from collections import defaultdict
from decimal import Decimal

import pytest
from candle_log import first_seen, newest_candles
from eventually import eventually
from feed_log import MINUTE_US, sent
from feeding import START_US
from programs import program

from market.topics import Topics
from producers.simulator.server import serving
from producers.simulator.settings import SimulatorSettings
from runtime.settings import Settings

SYMBOLS = ("BTCUSDT", "ETHUSDT", "SOLUSDT", "BNBUSDT", "LTCUSDT", "XRPETH")
KILLS = int(os.environ.get("KILLS", "10"))
KILL_EVERY_S = 20.0
LATEST_S = 3.0
"""In market time, which is as fast as ours here."""


@pytest.mark.timeout(900)
async def test_one_of_two_producers_may_die_at_any_time(
    settings: Settings,
    topics: Topics,  # noqa: ARG001  # they have to be there
    environment: dict[str, str],
) -> None:
    async with serving(SimulatorSettings(symbols=SYMBOLS, speed=1, start_us=START_US, port=0)) as (exchange, address):
        hosts = {"CANDLEWICK_BINANCE_WS": address.replace("http", "ws", 1), "CANDLEWICK_BINANCE_REST": address}
        produce = ("produce", "binance", *SYMBOLS)
        async with program(environment, "candles"), program(environment | hosts, *produce):  # the one that lives
            for _ in range(KILLS):
                async with program(environment | hosts, *produce):
                    await asyncio.sleep(KILL_EVERY_S)  # then it is killed
            until_us = exchange.now_us // MINUTE_US * MINUTE_US

            async def candles_until_then() -> bool:
                return max((open_us for _, open_us in await first_seen(settings)), default=0) >= until_us - MINUTE_US

            await eventually(candles_until_then, timeout_s=30, every_s=1.0)
        seen = await first_seen(settings)
        assert len({open_us for _, open_us in seen}) >= KILLS * KILL_EVERY_S // 60 - 1
        wall_us = exchange.clock.wall_start_us - exchange.clock.start_us
        late_s = {key: (at_us - wall_us - key[1] - MINUTE_US) / 1e6 for key, at_us in seen.items()}
        assert max(late_s.values()) <= LATEST_S, sorted(late_s.items(), key=lambda late: late[1])[-5:]
        await check(settings, address)


async def check(settings: Settings, address: str) -> None:
    """The newest revision of each candle is what an independent sum over the simulator's record says."""
    newest = await newest_candles(settings)
    by_symbol: dict[str, list[int]] = defaultdict(list)
    for symbol, open_us in newest:
        by_symbol[symbol].append(open_us)
    assert len(by_symbol) == len(SYMBOLS)
    for symbol, minutes in by_symbol.items():
        assert sorted(minutes) == list(range(min(minutes), max(minutes) + 1, MINUTE_US)), symbol
        truth = await sent(address, symbol.replace("-", ""), min(minutes), max(minutes) + MINUTE_US)
        for open_us in minutes:
            of_minute = [row for row in truth.values() if open_us <= row[2] < open_us + MINUTE_US]
            candle = newest[symbol, open_us]
            assert candle.status.value == "complete"
            assert (candle.trades, candle.volume) == (len(of_minute), sum((row[1] for row in of_minute), Decimal(0)))
            assert candle.quote_volume == sum((row[0] * row[1] for row in of_minute), Decimal(0))

"""A symbol whose subscription the exchange refuses, on a real Kafka and the simulator: the others go on without it."""

import time

import aiohttp
import pytest
from eventually import eventually
from exchange_feed import START_US, feeding_of, hosted
from feed_log import MINUTE_US, read_events, read_log
from simulator_client import Client

from market.topics import Topics
from producers.exchanges import EXCHANGES
from producers.feed import runner
from producers.feed.progress import read_progress
from producers.simulator.server import serving
from producers.simulator.settings import SimulatorSettings
from runtime.settings import Settings

MARKETS = ("BTCUSDT", "SOLUSDT", "XRPETH")
SPEED = 60.0


@pytest.mark.parametrize("name", ["okx", pytest.param("bybit", marks=pytest.mark.long)])
async def test_it_is_left_out_and_taken_up_again_once_it_is_traded(
    name: str,
    settings: Settings,
    topics: Topics,  # noqa: ARG001  # they have to be there
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(runner, "REFUSED_AGAIN_S", 0.5)
    simulated = SimulatorSettings(symbols=MARKETS, speed=SPEED, start_us=START_US, port=0)
    async with serving(simulated) as (exchange, address), aiohttp.ClientSession() as http:
        settings, client = hosted(settings, name, address), Client(http, address)
        symbols = ("BTC-USDT", "SOL-USDT", "XRP-ETH")
        keys = {symbol: f"{EXCHANGES[name](settings).name}:{symbol}".encode() for symbol in symbols}

        async def marked_us(symbol: str) -> int:
            progress = await read_progress(settings, [keys[symbol]], time.time_ns() // 1000, ids_prove=name == "okx")
            resumption = progress.resumptions.get(keys[symbol])
            return 0 if resumption is None else resumption.marker.complete_until_us

        async def all_marked(*wanted: str, minutes: int) -> bool:
            from_us = exchange.clock.start_us
            return min([await marked_us(symbol) for symbol in wanted]) >= from_us + minutes * MINUTE_US

        await client.faults(suspend="SOLUSDT")
        async with feeding_of(settings, name, symbols):
            await eventually(lambda: all_marked("BTC-USDT", "XRP-ETH", minutes=8), timeout_s=60, every_s=0.3)
            assert not await marked_us("SOL-USDT")
            connections = exchange.plan.done["connections"]
            await eventually(lambda: all_marked("BTC-USDT", minutes=12), timeout_s=60, every_s=0.3)
            assert exchange.plan.done["connections"] == connections, "nobody connects again and again"
            await client.faults(resume="SOLUSDT")
            await eventually(lambda: _has_begun(marked_us), timeout_s=60, every_s=0.3)
            reached = (exchange.now_us - START_US) // MINUTE_US
            await eventually(lambda: all_marked(*symbols, minutes=reached + 2), timeout_s=60, every_s=0.3)
        events = [event for event in await read_events(settings) if event["symbol"] == "SOL-USDT"]
        assert [event["event"] for event in events] == ["disconnected", "connected"]
        assert events[0]["reason"].startswith("the exchange refuses the subscription: ")
        logs = await read_log(settings)
        assert {minute.proof for symbol in symbols for minute in logs[symbol].closed} == {
            "ids" if name == "okx" else "connection"
        }
        disconnected = [event for event in await read_events(settings) if event["event"] == "disconnected"]
        assert len(disconnected) == 1, "the others were never interrupted"


async def _has_begun(marked_us) -> bool:  # noqa: ANN001  # the test's own
    return await marked_us("SOL-USDT") > 0

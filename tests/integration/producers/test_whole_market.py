"""A producer of a whole market, on a real Kafka: what is listed while it runs is fed, what is delisted is let go."""

import asyncio
from contextlib import suppress

import pytest
from eventually import eventually
from feed_log import MINUTE_US, read_log
from feeding import START_US

from market.topics import Topics
from producers.feed import runner
from producers.feed.runner import run_feed
from producers.feed.selection import Selection, Shard
from producers.simulator.archive import Archive
from producers.simulator.history import GeneratedHistory
from producers.simulator.instruments import instrument
from producers.simulator.server import serving
from producers.simulator.settings import SimulatorSettings
from runtime.settings import Settings

SYMBOLS = ("SOLUSDT", "LTCUSDT", "XRPETH")
NEW = "ADAUSDT"


async def test_listings_and_delistings_are_followed_while_it_runs(
    settings: Settings,
    topics: Topics,  # noqa: ARG001  # they have to be there
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(runner, "LISTINGS_EVERY_S", 0.5)
    simulated = SimulatorSettings(symbols=SYMBOLS, speed=240, start_us=START_US, port=0)
    async with serving(simulated) as (exchange, address):
        hosts = {"fill_timeout_s": 60.0, "binance_rest": address, "binance_ws": address.replace("http", "ws", 1)}
        everything = Selection(whole_market=True, quotes=frozenset({"USDT"}), shard=Shard(0, 1))
        stop = asyncio.Event()
        feeding = asyncio.create_task(run_feed(settings.model_copy(update=hosts), "binance", everything, stop))

        async def closed(*symbols: str) -> bool:
            logs = await read_log(settings)
            return logs.keys() >= set(symbols) and all(len(logs[symbol].closed) >= 3 for symbol in symbols)

        try:
            await eventually(lambda: closed("SOL-USDT", "LTC-USDT"), timeout_s=40, every_s=0.3)
            exchange.archives[NEW] = Archive(GeneratedHistory(simulated.seed, instrument(NEW)))
            gone = exchange.archives.pop("LTCUSDT")
            await eventually(lambda: closed("SOL-USDT", "LTC-USDT", "ADA-USDT"), timeout_s=40, every_s=0.3)
            exchange.archives["LTCUSDT"] = gone  # the tape still plays it
        finally:
            stop.set()
            with suppress(asyncio.CancelledError):
                await asyncio.wait_for(feeding, 30)
        logs = await read_log(settings)
        assert set(logs) == {"SOL-USDT", "LTC-USDT", "ADA-USDT"}, "and nothing against ETH"
        assert logs["LTC-USDT"].end_us < logs["SOL-USDT"].end_us - MINUTE_US
        ids = [int(trade["trade_id"]) for trade in logs["ADA-USDT"].trades]
        assert ids == list(range(ids[0], ids[-1] + 1))
        assert {minute.proof for minute in logs["ADA-USDT"].closed} == {"ids"}

"""An exchange whose REST answers are some seconds old: a quiet symbol does not join before they can tell."""

import time
from itertools import pairwise

import aiohttp
from eventually import eventually
from exchange_feed import START_US, feeding_of, hosted
from feed_log import MINUTE_US, check_markers, published, read_events, read_log
from simulator_client import Client

from market.topics import Topics
from producers.feed.progress import read_progress
from producers.simulator.exchange import SimulatedExchange
from producers.simulator.faults import Action, Faults
from producers.simulator.history import Match
from producers.simulator.server import serving
from producers.simulator.settings import SimulatorSettings
from runtime.settings import Settings

MARKETS = ("LTCUSDT", "XRPETH")
SPEED = 60.0
SILENCE_MS = 6 * 60_000
"""Of market time: six seconds of ours."""


def trade_with_silence_behind(exchange: SimulatedExchange) -> Match:
    """The next trade of a quiet market behind which nothing comes for a while."""
    coming = exchange.archives["XRPETH"].between(exchange.now_ms + 60_000, exchange.now_ms + 24 * 3_600_000)
    return next(trade for trade, later in pairwise(coming) if later.time_ms - trade.time_ms > SILENCE_MS)


async def _reached(exchange: SimulatedExchange, time_ms: int) -> bool:
    return exchange.now_ms >= time_ms


async def test_no_minute_is_called_complete_by_an_answer_of_before_the_connection(
    settings: Settings,
    topics: Topics,  # noqa: ARG001  # they have to be there
) -> None:
    faults = Faults(rest_lag_s=3.0, drop_for_s=1.0)
    simulated = SimulatorSettings(symbols=MARKETS, speed=SPEED, start_us=START_US, port=0, faults=faults)
    async with serving(simulated) as (exchange, address), aiohttp.ClientSession() as http:
        settings, client = hosted(settings, "okx", address), Client(http, address)
        symbols = ("LTC-USDT", "XRP-ETH")
        keys = [f"okx:{symbol}".encode() for symbol in symbols]

        async def marked(until_us: int) -> bool:
            newest = (await read_progress(settings, keys, time.time_ns() // 1000)).resumptions.values()
            return len(newest) == len(keys) and min(each.marker.complete_until_us for each in newest) >= until_us

        async with feeding_of(settings, "okx", symbols):
            await eventually(lambda: marked(START_US + 2 * MINUTE_US), timeout_s=60, every_s=0.2)
            alone = trade_with_silence_behind(exchange)
            await eventually(lambda: _reached(exchange, alone.time_ms - 20_000), timeout_s=120, every_s=0.02)
            exchange.do(Action.DROP)  # the trade happens while nobody can connect, and no live one follows
            await eventually(lambda: marked(alone.time_ms * 1_000 + SILENCE_MS * 1_000), timeout_s=60, every_s=0.2)
        logs = await read_log(settings)
        for symbol in symbols:
            log, market = logs[symbol], symbol.replace("-", "")
            rows = await client.record(market, protocol="okx", from_us=log.begin_us, until_us=log.end_us)
            trades = [
                {"trade_id": row[0], "price": row[1], "qty": row[2], "time_us": int(row[3]),
                 "side": "sell" if row[4] == "true" else "buy"}
                for row in rows
            ]  # fmt: skip
            truth = published(trades, log.begin_us, log.end_us)
            assert published(log.trades, log.begin_us, log.end_us) == truth, symbol
            check_markers(log, truth, strict=True)
            assert {minute.proof for minute in log.closed} == {"ids"}, symbol
        asked_for = [trade["trade_id"] for trade in logs["XRP-ETH"].trades if trade["source"] == "rest"]
        assert str(alone.trade_id) in asked_for, "it came by REST alone"
        assert not [event for event in await read_events(settings) if event["event"] == "taken_back"]

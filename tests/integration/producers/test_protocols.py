"""The feed of each exchange whose ids prove, on a real Kafka and the simulator: the log is the record."""

import time

import aiohttp
import pytest
from eventually import eventually
from exchange_feed import START_US, feeding_of, hosted
from feed_log import MINUTE_US, check_markers, published, read_log
from simulator_client import Client

from market.topics import Topics
from market.trade import Proof
from producers.exchanges import EXCHANGES
from producers.feed.progress import read_progress
from producers.simulator.faults import Faults
from producers.simulator.server import serving
from producers.simulator.settings import SimulatorSettings
from runtime.settings import Settings

MARKETS = ("BTCUSDT", "SOLUSDT", "XRPETH")
SPEED = 60.0
PROVING = ("binance-usdm", "coinbase", "kraken", "okx", "okx-swap")
FAULTS = {"skip": 0.01, "duplicate": 0.02, "reorder": 0.02, "zero": 0.005, "drop_every_s": 4.0, "html": 0.05}


@pytest.mark.long
@pytest.mark.parametrize("name", PROVING)
async def test_the_log_is_the_record(
    name: str,
    settings: Settings,
    topics: Topics,  # noqa: ARG001  # they have to be there
) -> None:
    simulated = SimulatorSettings(symbols=MARKETS, speed=SPEED, start_us=START_US, port=0, faults=Faults(**FAULTS))
    async with serving(simulated) as (_, address), aiohttp.ClientSession() as http:
        settings = hosted(settings, name, address)
        exchange, client = EXCHANGES[name](settings), Client(http, address)
        end = "-PERP" if name in {"binance-usdm", "okx-swap"} else ""
        symbols = tuple(f"{pair}{end}" for pair in ("BTC-USDT", "SOL-USDT", "XRP-ETH"))
        keys = [f"{exchange.name}:{symbol}".encode() for symbol in symbols]

        async def far_enough() -> bool:
            newest = (await read_progress(settings, keys, time.time_ns() // 1000)).resumptions.values()
            marked = [each.marker for each in newest if each.marker.proof is not Proof.BEGIN]
            until_us = min((marker.complete_until_us for marker in marked), default=0)
            return len(marked) == len(keys) and until_us >= START_US + 8 * MINUTE_US

        async with feeding_of(settings, name, symbols):
            await eventually(far_enough, timeout_s=90, every_s=0.5)
        logs = await read_log(settings)
        assert set(logs) == set(symbols)
        for symbol, log in logs.items():
            market = "".join(symbol.split("-")[:2])
            rows = await client.record(market, protocol=name, from_us=log.begin_us, until_us=log.end_us)
            truth = published(
                [
                    {"trade_id": row[0], "price": row[1], "qty": row[2], "time_us": int(row[3]),
                     "side": "sell" if row[4] == "true" else "buy"}
                    for row in rows
                ],
                log.begin_us, log.end_us,
            )  # fmt: skip
            assert published(log.trades, log.begin_us, log.end_us) == truth, symbol
            check_markers(log, truth, strict=False)
            assert {minute.proof for minute in log.closed} == {"ids"}, symbol

"""The feed of an exchange whose ids prove nothing, on a real Kafka and the simulated exchange."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from eventually import eventually
from feed_log import MINUTE_US, KeyLog, read_events, read_log
from feeding import START_US, SYMBOLS

from producers.exchanges import EXCHANGES
from producers.feed.progress import read_progress
from producers.feed.runner import run_feed
from producers.feed.selection import Selection
from producers.simulator.faults import Faults
from producers.simulator.server import serving
from producers.simulator.settings import SimulatorSettings
from runtime.settings import Settings

pytestmark = pytest.mark.usefixtures("topics")
SPEED = 60.0


@asynccontextmanager
async def simulated(settings: Settings, **faults: float) -> AsyncIterator[Settings]:
    options = SimulatorSettings(symbols=tuple(SYMBOLS), speed=SPEED, start_us=START_US, port=0, faults=Faults(**faults))
    async with serving(options) as (_, address):
        hosts = {"bybit_rest": address, "bybit_ws": address.replace("http", "ws"), "fill_timeout_s": 3.0}
        yield settings.model_copy(update=hosts)


@asynccontextmanager
async def feeding(settings: Settings, name: str) -> AsyncIterator[None]:
    stop = asyncio.Event()
    task = asyncio.create_task(run_feed(settings, name, Selection(tuple(SYMBOLS)), stop))
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(task, 30)


async def marked(settings: Settings, name: str, until_us: int) -> None:
    """Wait until every symbol's minutes are marked up to then."""
    suffix = "-PERP" if name == "bybit-linear" else ""
    keys = [f"bybit:{symbol}{suffix}".encode() for symbol in SYMBOLS.values()]

    async def far_enough() -> bool:
        progress = await read_progress(
            settings, keys, time.time_ns() // 1000, ids_prove=EXCHANGES[name](settings).ids_prove
        )
        newest = progress.resumptions.values()
        return len(newest) == len(keys) and all(each.marker.complete_until_us >= until_us for each in newest)

    await eventually(far_enough, timeout_s=90, every_s=0.3)


async def truth_of(settings: Settings, native: str, from_us: int, until_us: int) -> dict[str, int]:
    """The ids and times of the trades that happened."""
    query = {"symbol": native, "protocol": "bybit", "from_us": str(from_us), "until_us": str(until_us)}
    async with (
        aiohttp.ClientSession() as http,
        http.get(f"{settings.bybit_rest}/sim/record", params=query) as response,
    ):
        rows = [line.split(",") for line in (await response.text()).splitlines()[1:]]
    return {row[0]: int(row[3]) for row in rows}


async def check(settings: Settings) -> dict[str, KeyLog]:
    """No minute is called connected that lacks a trade, and nothing stands in the log that did not happen."""
    logs = await read_log(settings)
    assert len(logs) == len(SYMBOLS)
    for symbol, log in logs.items():
        native = symbol.removesuffix("-PERP").replace("-", "")
        truth = await truth_of(settings, native, log.begin_us, log.end_us)
        published = {trade["trade_id"]: trade["time_us"] for trade in log.trades}
        inside = {trade_id: time_us for trade_id, time_us in published.items() if log.begin_us <= time_us < log.end_us}
        assert inside.items() <= truth.items(), symbol
        ends = [minute.until_us for minute in log.closed]
        assert ends == list(range(log.begin_us + MINUTE_US, log.end_us + 1, MINUTE_US)), symbol
        connected = {minute.until_us for minute in log.closed if minute.proof == "connection"}
        missing = {
            trade_id for trade_id, time_us in truth.items() if time_us // MINUTE_US * MINUTE_US + MINUTE_US in connected
        }
        assert missing <= published.keys(), symbol
    return logs


@pytest.mark.parametrize("name", ["bybit", "bybit-linear"])
async def test_every_minute_is_connected_while_the_connection_holds(settings: Settings, name: str) -> None:
    async with simulated(settings) as exchange:
        async with feeding(exchange, name):
            await marked(exchange, name, START_US + 4 * MINUTE_US)
        logs = await check(exchange)
        assert {minute.proof for log in logs.values() for minute in log.closed} == {"connection"}
        assert sum(len(log.trades) for log in logs.values()) > 100
        trades = [trade for log in logs.values() for trade in log.trades]
        assert len({trade["trade_id"] for trade in trades}) == len(trades)


async def test_outages_and_restarts_are_covered_by_pages_of_the_newest_trades(settings: Settings) -> None:
    name = "bybit-linear"
    async with simulated(settings, drop_every_s=3.0, duplicate=0.02) as exchange:
        for minutes in (6, 10):
            async with feeding(exchange, name):
                await marked(exchange, name, START_US + minutes * MINUTE_US)
        logs = await check(exchange)
        assert {minute.proof for log in logs.values() for minute in log.closed} == {"connection"}
        events = {event["event"] for event in await read_events(exchange)}
        assert {"connected", "disconnected", "gap_opened", "gap_filled"} <= events
        assert "hole" not in events


@pytest.mark.long
async def test_what_sixty_rows_do_not_reach_is_a_hole_and_the_exchanges_kline_stands_in(settings: Settings) -> None:
    async with simulated(settings) as exchange:
        async with feeding(exchange, "bybit"):
            await marked(exchange, "bybit", START_US + 3 * MINUTE_US)
        await asyncio.sleep(2)  # two minutes of the market
        async with feeding(exchange, "bybit"):
            await marked(exchange, "bybit", START_US + 12 * MINUTE_US)
        logs = await check(exchange)
        proofs = {symbol: {minute.proof for minute in log.closed} for symbol, log in logs.items()}
        assert proofs["SOL-USDT"] == {"connection", "kline"}, "it has 4 trades a second"
        assert proofs["LTC-BTC"] == {"connection"}, "it has a trade in several minutes"
        holes = [event for event in await read_events(exchange) if event["event"] == "hole"]
        [hole] = [event for event in holes if event["symbol"] == "SOL-USDT"]
        given = [minute.until_us for minute in logs["SOL-USDT"].closed if minute.proof == "kline"]
        first, last = hole["from_us"] // MINUTE_US, hole["until_us"] // MINUTE_US
        assert given == [(minute + 1) * MINUTE_US for minute in range(first, last + 1)]

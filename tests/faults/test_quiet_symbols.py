"""Symbols with a trade in an hour, or none: flat candles on time, and the connection is left alone."""

import time
from collections import Counter

import pytest
from candle_log import first_seen, newest_candles
from eventually import eventually
from feed_log import MINUTE_US, read_events
from programs import program
from simulator_client import Client, simulator

from market.candle import Candle, Status
from market.timeframe import MINUTE_MS
from market.topics import Topics
from producers.simulator.instruments import instrument
from runtime.settings import Settings

NEVER = ("SIM99999912USDT", "SIM99999920USDT")
ONCE = ("SIM99999904USDT", "SIM99999926USDT", "SIM99999960USDT", "SIM99999988USDT")
"""Each has one minute with trades in the hour: the 14th, 34th, 11th and 45th after the start."""
QUIET = NEVER + ONCE
START_US = 1_740_000_000_000_000
MINUTES = 60
SPEED = 60.0
EXCHANGES = ("binance", "okx", "bybit", "kraken")
"""Their clocks: a stream of klines, a stream of candles, an order book, and the answer to a ping."""
LATEST_S = 3.0
"""In wall time: Kraken's clock comes once a second, and the machine may be busy."""


@pytest.mark.timeout(300)
@pytest.mark.parametrize("exchange", EXCHANGES)
async def test_an_hour_almost_without_trades_is_flat_candles_on_time_over_one_connection(
    settings: Settings,
    topics: Topics,  # noqa: ARG001  # they have to be there
    environment: dict[str, str],
    exchange: str,
) -> None:
    async with simulator(symbols=QUIET, speed=SPEED, start_us=START_US) as client:
        wall_us, market_us = time.time_ns() // 1000, (await client.get("/sim/now"))["now_us"]
        hosts = {
            f"CANDLEWICK_{exchange.upper()}_WS": client.address.replace("http", "ws", 1),
            f"CANDLEWICK_{exchange.upper()}_REST": client.address,
        }

        async def have_an_hour() -> bool:
            symbols = [symbol for symbol, _ in await first_seen(settings)]
            return all(symbols.count(_ours(native)) >= MINUTES for native in QUIET)

        async with (
            program(environment, "candles"),
            program(environment | hosts, "produce", exchange, *map(_ours, QUIET)),
        ):
            await eventually(have_an_hour, timeout_s=150, every_s=1.0)
        assert (await client.get("/sim/now"))["faults_done"]["connections"] == 1
        assert {event["event"] for event in await read_events(settings)} == {"connected"}
        late_s = [
            (at_us - wall_us - (open_us + MINUTE_US - market_us) / SPEED) / 1e6
            for (_, open_us), at_us in (await first_seen(settings)).items()
        ]
        assert max(late_s) <= LATEST_S
        candles = await newest_candles(settings)
        traded = 0
        for native in QUIET:
            own = [candle for (symbol, _), candle in sorted(candles.items()) if symbol == _ours(native)]
            traded += await check(client, exchange, native, own)
        assert traded >= len(ONCE) - 1, "the first of them may have been over before the first candle"


async def check(client: Client, exchange: str, native: str, candles: list[Candle]) -> int:
    """One candle for each minute; where nothing was traded, it is flat at the close before. Returns the trades."""
    opens_ms = [candle.open_time_ms for candle in candles]
    assert opens_ms == list(range(opens_ms[0], opens_ms[-1] + 1, MINUTE_MS))
    span_us = {"from_us": opens_ms[0] * 1000, "until_us": (opens_ms[-1] + MINUTE_MS) * 1000}
    minutes = Counter(int(row[3]) // MINUTE_US for row in await client.record(native, protocol=exchange, **span_us))
    close = candles[0].open
    for candle in candles:
        assert candle.status in {Status.COMPLETE, Status.CONNECTED}
        assert candle.trades == minutes[candle.open_time_ms // MINUTE_MS]
        if not candle.trades:
            assert {candle.open, candle.high, candle.low, candle.close} == {close}
            assert candle.volume == 0
        close = candle.close
    return minutes.total()


def _ours(native: str) -> str:
    market = instrument(native)
    return f"{market.base}-{market.quote}"

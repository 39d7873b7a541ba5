"""Symbols with a trade in an hour, or none: flat candles on time, and the connection is left alone."""

import time
from decimal import Decimal

import pytest
from candle_log import first_seen, newest_candles
from eventually import eventually
from feed_log import MINUTE_US, read_events
from programs import program
from simulator_client import simulator

from market.candle import Status
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
LATEST_S = {"binance": 1.5, "okx": 1.5, "bybit": 1.5, "kraken": 3.0}
"""In wall time. Kraken tells its clock only where it is asked, once a second: that is a minute of this market."""


@pytest.mark.timeout(300)
@pytest.mark.parametrize("exchange", LATEST_S)
async def test_an_hour_almost_without_trades_is_flat_candles_on_time_over_one_connection(
    settings: Settings,
    topics: Topics,  # noqa: ARG001  # they have to be there
    environment: dict[str, str],
    exchange: str,
) -> None:
    async with simulator(symbols=QUIET, speed=SPEED, start_us=START_US) as client:
        began_us = time.time_ns() // 1000
        market = (await client.get("/sim/now"))["now_us"]
        hosts = {
            f"CANDLEWICK_{exchange.upper()}_WS": client.address.replace("http", "ws", 1),
            f"CANDLEWICK_{exchange.upper()}_REST": client.address,
        }

        async def have_an_hour() -> bool:
            seen = [symbol for symbol, _ in await first_seen(settings)]
            return all(seen.count(_ours(native)) >= MINUTES for native in QUIET)

        async with (
            program(environment, "candles"),
            program(environment | hosts, "produce", exchange, *map(_ours, QUIET)),
        ):
            await eventually(have_an_hour, timeout_s=150, every_s=1.0)
        connections = (await client.get("/sim/now"))["faults_done"]["connections"]
        assert connections == 1
        assert {event["event"] for event in await read_events(settings)} == {"connected"}

        candles = await newest_candles(settings)
        traded = 0
        for native in QUIET:
            opens_us = sorted(open_us for symbol, open_us in candles if symbol == _ours(native))
            assert opens_us == list(range(opens_us[0], opens_us[-1] + 1, MINUTE_US))
            rows = await client.record(
                native, protocol=exchange, until_us=opens_us[-1] + MINUTE_US, from_us=opens_us[0]
            )
            close = None
            for open_us in opens_us:
                candle = candles[_ours(native), open_us]
                prices = [Decimal(row[1]) for row in rows if open_us <= int(row[3]) < open_us + MINUTE_US]
                assert candle.status in {Status.COMPLETE, Status.CONNECTED}
                assert candle.trades == len(prices)
                if not prices:
                    flat = candle.open if close is None else close
                    assert (candle.open, candle.high, candle.low, candle.close) == (flat,) * 4
                    assert candle.volume == 0
                close = candle.close
                traded += len(prices)
        assert traded >= len(ONCE) - 1
        seen_us = await first_seen(settings)
        late_s = {
            place: (at_us - began_us) / 1e6 - (place[1] + MINUTE_US - market) / 1e6 / SPEED
            for place, at_us in seen_us.items()
        }
        print(exchange, sorted(late_s.values())[-10:], connections, traded)  # noqa: T201  # figures
        assert max(late_s.values()) <= LATEST_S[exchange]


def _ours(native: str) -> str:
    market = instrument(native)
    return f"{market.base}-{market.quote}"

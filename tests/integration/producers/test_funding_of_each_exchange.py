"""Funding rates end to end on a real Kafka and the simulator: those of a live feed, and those of the past."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal

import pytest
from eventually import eventually
from exchange_feed import feeding_of, hosted

from market.codec import decode_funding_rate
from market.funding import FundingKind, FundingRate
from market.timeframe import DAY_MS
from producers.archive.dump import DumpPeriod
from producers.backfill import funding as past
from producers.backfill.asking import InterruptedBackfillError
from producers.backfill.funding import FundingBackfilled, backfill_funding
from producers.exchanges.funding import FUNDING
from producers.feed import funding as live
from producers.simulator.funding import settled
from producers.simulator.instruments import instrument
from producers.simulator.server import serving
from producers.simulator.settings import SimulatorSettings
from runtime.errors import UsageError
from runtime.kafka import decoded
from runtime.settings import Settings

SYMBOL = "BTC-USDT-PERP"


@asynccontextmanager
async def simulated(settings: Settings, name: str) -> AsyncIterator[Settings]:
    """A simulator whose market is now."""
    now_us = time.time_ns() // 1000
    async with serving(SimulatorSettings(symbols=("BTCUSDT",), speed=1.0, start_us=now_us, port=0)) as (_, address):
        yield hosted(settings, name, address)


async def told(settings: Settings, kind: FundingKind) -> list[FundingRate]:
    records = decoded(settings, settings.topics.funding, decode_funding_rate)
    return [rate async for _, rate in records if rate.kind is kind]


def truth(from_ms: int, until_ms: int) -> list[tuple[int, Decimal]]:
    return [(time_ms, Decimal(rate)) for time_ms, rate in settled(instrument("BTCUSDT"), from_ms, until_ms)]


@pytest.mark.usefixtures("topics")
@pytest.mark.parametrize("name", sorted(FUNDING))
async def test_a_feed_publishes_what_is_settled_and_expected_and_a_backfill_the_past(
    name: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "PACE_S", 0.05)
    monkeypatch.setattr(past, "PACE_S", 0.01)
    now_ms = time.time_ns() // 1_000_000
    async with simulated(settings, name) as settings:  # noqa: PLR1704  # with its hosts
        week = truth(now_ms - live.HISTORY_S * 1000, now_ms)

        async def is_told() -> bool:
            rates = [(rate.time_ms, rate.rate) for rate in await told(settings, FundingKind.SETTLED)]
            return rates == week and len(await told(settings, FundingKind.EXPECTED)) == 1

        async with feeding_of(settings, name, (SYMBOL,)):
            await eventually(is_told, timeout_s=60, every_s=0.3)
        from_ms = now_ms - 80 * DAY_MS
        span = DumpPeriod(from_ms * 1000, now_ms * 1000)

        async def run(stop_after_pages: int | None = None) -> FundingBackfilled:
            stop, pages = asyncio.Event(), 0

            def watch(*_: object) -> None:
                nonlocal pages
                pages += 1
                if pages == stop_after_pages:
                    stop.set()

            [result] = [each async for each in backfill_funding(settings, name, [SYMBOL], span, watch=watch, stop=stop)]
            return result

        with pytest.raises(InterruptedBackfillError):
            await run(stop_after_pages=1)
        some = len(await told(settings, FundingKind.SETTLED))
        assert some > len(week)
        rest = await run()
        everything = truth(from_ms, now_ms)
        assert (rest.published, rest.known) == (len(everything) - some, some)
        rates = [(rate.time_ms, rate.rate) for rate in await told(settings, FundingKind.SETTLED)]
        assert sorted(rates) == everything, "each of them once"
        again = await run()
        assert (again.published, again.known) == (0, len(everything))
        assert again.requests <= 2, "before the first and after the last one there may be others"


@pytest.mark.usefixtures("topics")
async def test_what_has_no_funding_is_refused_in_words(settings: Settings) -> None:
    async def ask(hosts: Settings, name: str, symbol: str) -> None:
        span, stop = DumpPeriod(1_760_000_000_000_000, 1_761_000_000_000_000), asyncio.Event()
        async for _ in backfill_funding(hosts, name, [symbol], span, watch=lambda *_: None, stop=stop):
            pytest.fail("it was taken")

    async with simulated(settings, "okx-swap") as hosts:
        with pytest.raises(UsageError, match="kraken has no funding rates: choose binance-usdm or"):
            await ask(hosts, "kraken", "BTC-USDT")
        with pytest.raises(UsageError, match="okx-swap is perpetuals"):
            await ask(hosts, "okx-swap", "BTC-USDT")

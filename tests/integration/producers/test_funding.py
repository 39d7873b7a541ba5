"""Funding rates on a real Kafka, from a server that answers as Binance's USD-M documentation says."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from decimal import Decimal
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from eventually import eventually

from market.codec import decode_funding_rate
from market.funding import FundingKind, FundingRate
from market.instrument import Instrument
from market.timeframe import HOUR_MS
from market.topics import Topics
from producers.exchanges.binance import Binance
from producers.exchanges.funding import FUNDING
from producers.feed import funding
from producers.feed.rest import RestClient
from runtime.kafka import decoded
from runtime.settings import Settings

PERPETUALS = {
    f"{base}USDT": Instrument(
        exchange="binance", symbol=f"{base}-USDT-PERP", native=f"{base}USDT", base=base, quote="USDT"
    )
    for base in ("BTC", "ETH")
}
SPOT = Instrument(exchange="binance", symbol="LTC-USDT", native="LTCUSDT", base="LTC", quote="USDT")
EVERY_MS = 8 * HOUR_MS


class UsdM:
    """A server with two perpetuals, which settles every 8 hours, some milliseconds late."""

    def __init__(self) -> None:
        self.now_ms = time.time_ns() // 1_000_000
        self.asked: Counter[str] = Counter()
        self.fails = False
        self.expected = "0.00038246"

    @property
    def times_ms(self) -> list[int]:
        """The hours of the last seven days at which it settled."""
        first = (self.now_ms - funding.HISTORY_S * 1000) // EVERY_MS + 1
        return [n * EVERY_MS for n in range(first, self.now_ms // EVERY_MS + 1)]

    async def rates(self, request: web.Request) -> web.Response:
        if self.fails:
            raise web.HTTPServiceUnavailable
        query = request.query
        self.asked[query["symbol"]] += 1
        span = range(int(query["startTime"]), int(query["endTime"]) + 1)
        rows = [
            {"symbol": query["symbol"], "fundingRate": "-0.00010000", "fundingTime": time_ms + 3, "markPrice": "7.50"}
            for time_ms in self.times_ms
            if time_ms + 3 in span
        ]
        return web.json_response(rows)

    async def premiums(self, _: web.Request) -> web.Response:
        next_ms = (self.now_ms // EVERY_MS + 1) * EVERY_MS
        row = {"markPrice": "7.6", "lastFundingRate": self.expected, "nextFundingTime": next_ms}
        return web.json_response([row | {"symbol": native} for native in (*PERPETUALS, "XRPUSDT")])


@asynccontextmanager
async def publishing(settings: Settings, exchange: UsdM, instruments: dict[str, Instrument]) -> AsyncIterator[None]:
    app = web.Application()
    app.router.add_get("/fapi/v1/fundingRate", exchange.rates)
    app.router.add_get("/fapi/v1/premiumIndex", exchange.premiums)
    adapter = Binance(settings)
    async with TestServer(app) as server, aiohttp.ClientSession() as http:
        rest = RestClient(http, str(server.make_url("")).rstrip("/"), adapter.rest_limits)
        task = asyncio.create_task(
            funding.publish_funding(settings, adapter, FUNDING["binance-usdm"], rest, instruments)
        )
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def told(settings: Settings) -> list[FundingRate]:
    return [rate async for _, rate in decoded(settings, settings.topics.funding, decode_funding_rate)]


@pytest.mark.usefixtures("topics")
async def test_settled_rates_are_published_once_whoever_asks_and_expected_ones_when_they_change(
    settings: Settings, topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert topics.funding.endswith("md.funding.v1")
    monkeypatch.setattr(funding, "PACE_S", 0.02)
    monkeypatch.setattr(funding, "EXPECTED_EVERY_S", 0.3)
    exchange = UsdM()
    instruments: dict[str, Instrument] = {"LTCUSDT": SPOT, "BTCUSDT": PERPETUALS["BTCUSDT"]}

    async def has(symbol: str, *, settled: list[int], expected: list[str]) -> bool:
        rates = [rate for rate in await told(settings) if rate.symbol == symbol]
        by_kind: dict[FundingKind, list[Any]] = {kind: [] for kind in FundingKind}
        for rate in rates:
            by_kind[rate.kind].append(rate)
        times = [rate.time_ms for rate in by_kind[FundingKind.SETTLED]]
        assert {rate.rate for rate in by_kind[FundingKind.SETTLED]} <= {Decimal("-0.0001")}
        return times == settled and [str(rate.rate) for rate in by_kind[FundingKind.EXPECTED]] == expected

    def all_of(symbol: str, *expected: str) -> Any:
        return lambda: has(symbol, settled=exchange.times_ms, expected=list(expected))

    async with publishing(settings, exchange, instruments):
        await eventually(all_of("BTC-USDT-PERP", "0.00038246"), timeout_s=30, every_s=0.2)
        exchange.expected = "0.0004"
        await eventually(all_of("BTC-USDT-PERP", "0.00038246", "0.0004"), timeout_s=30, every_s=0.2)
        exchange.fails = True
        instruments["ETHUSDT"] = PERPETUALS["ETHUSDT"]  # taken up while it runs
        await eventually(lambda: has("ETH-USDT-PERP", settled=[], expected=["0.0004"]), timeout_s=30, every_s=0.2)
    exchange.fails = False
    asked = exchange.asked["BTCUSDT"]
    async with publishing(settings, exchange, instruments):  # another producer, or the next one
        await eventually(all_of("ETH-USDT-PERP", "0.0004", "0.0004"), timeout_s=30, every_s=0.2)
        await eventually(lambda: exchange.asked["BTCUSDT"] > asked, timeout_s=30)
    assert await has("BTC-USDT-PERP", settled=exchange.times_ms, expected=["0.00038246", "0.0004", "0.0004"])
    assert {rate.symbol for rate in await told(settings)} == {"BTC-USDT-PERP", "ETH-USDT-PERP"}
    assert not exchange.asked["LTCUSDT"]

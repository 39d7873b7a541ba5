"""At the start, told to leave the exchange alone: the feed stays, waits, asks nothing, and hears the signal to stop."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from producers.exchange import TradesRequest
from producers.exchanges.binance import Binance
from producers.feed.rest import LONGEST_BAN_S, RateLimitedError, RestClient
from producers.feed.runner import find_patiently
from producers.feed.selection import Selection
from runtime.settings import Settings
from runtime.telemetry import Meter

BINANCE = Binance(Settings(_env_file=None))
LISTED = '{"symbols": [{"symbol": "BTCUSDT", "baseAsset": "BTC", "quoteAsset": "USDT"}]}'


@asynccontextmanager
async def asking(*answers: tuple[int, dict[str, str]]) -> AsyncIterator[tuple[RestClient, list[str]]]:
    """A client of a server that gives these answers, and then what was asked for; and the paths that were asked."""
    left, asked = list(answers), []

    async def handle(request: web.Request) -> web.Response:
        asked.append(request.path_qs)
        status, headers = left.pop(0) if left else (200, {})
        return web.Response(status=status, headers=headers, text=LISTED)

    app = web.Application()
    app.router.add_get("/{path:.*}", handle)
    async with TestServer(app) as server, aiohttp.ClientSession() as http:
        yield RestClient(http, str(server.make_url("")).rstrip("/"), BINANCE.rest_limits), asked


async def test_banned_at_the_start_it_stays_and_asks_nothing_until_it_is_stopped() -> None:
    stop, meter = asyncio.Event(), Meter("test")
    async with asking((418, {"Retry-After": "3600"})) as (rest, asked):
        finding = asyncio.create_task(find_patiently(rest, BINANCE, Selection(["BTC-USDT"]), meter, stop))
        await asyncio.wait({finding}, timeout=1.0)
        assert not finding.done(), "a process that ended would be started again, and ask again"
        assert len(asked) == 1
        assert 3590 < meter.fields["rest_closed_s"] <= 3600
        began_s = time.monotonic()
        stop.set()
        assert await finding is None
        assert time.monotonic() - began_s < 1.0


async def test_when_the_ban_is_over_it_goes_on() -> None:
    async with asking((418, {"Retry-After": "1"})) as (rest, asked):
        chosen = await find_patiently(rest, BINANCE, Selection(["BTC-USDT"]), Meter("test"), asyncio.Event())
        assert chosen is not None
        assert [(native, each.symbol) for native, each in chosen.items()] == [("BTCUSDT", "BTC-USDT")]
        assert len(asked) == 2


@pytest.mark.parametrize(("told", "most_s"), [("9" * 40, LONGEST_BAN_S), ("", 120.0), ("soon", 120.0)])
async def test_however_a_ban_is_told_the_wait_is_bounded(told: str, most_s: float) -> None:
    async with asking((418, {"Retry-After": told})) as (rest, _):
        with pytest.raises(RateLimitedError):
            await rest.get(BINANCE.trades(TradesRequest("BTCUSDT", "BTC-USDT", 1)))
        assert most_s - 5 < rest.closed_for_s <= most_s

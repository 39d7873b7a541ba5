"""The list of instruments is asked for at a real server: by names, and as a whole where a name is gone."""

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from market.errors import MalformedError
from producers.exchanges.binance import Binance
from producers.feed.instruments import _listed
from producers.feed.rest import RestClient
from producers.simulator.server import serving
from producers.simulator.settings import SimulatorSettings
from runtime.settings import Settings

BINANCE = Binance(Settings(_env_file=None))
SIMULATED = SimulatorSettings(symbols=("SOLUSDT", "LTCUSDT", "XRPETH"), port=0)


async def asked(address: str, *natives: str) -> list[str]:
    async with aiohttp.ClientSession() as http:
        rest = RestClient(http, address, BINANCE.rest_limits)
        return [instrument.native for instrument in await _listed(BINANCE, rest, list(natives))]


async def test_of_names_that_are_there_only_these_are_asked_for() -> None:
    async with serving(SIMULATED) as (_, address):
        assert await asked(address, "LTCUSDT", "SOLUSDT") == ["LTCUSDT", "SOLUSDT"]


async def test_where_a_name_is_gone_the_whole_list_says_so() -> None:
    async with serving(SIMULATED) as (_, address):
        assert sorted(await asked(address, "LTCUSDT", "GONEUSDT")) == ["LTCUSDT", "SOLUSDT", "XRPETH"]


async def test_an_empty_list_delists_nothing() -> None:
    async def nothing(_: web.Request) -> web.Response:
        return web.json_response({"symbols": []})

    app = web.Application()
    app.router.add_get("/api/v3/exchangeInfo", nothing)
    async with TestServer(app) as server:
        with pytest.raises(MalformedError, match="is empty"):
            await asked(str(server.make_url("")).rstrip("/"), "LTCUSDT")


async def test_a_part_that_lacks_a_name_is_not_believed_before_the_whole_list_lacks_it_too() -> None:
    listed = {
        native: {"symbol": native, "baseAsset": native[:3], "quoteAsset": "USDT"} for native in ("LTCUSDT", "XRPUSDT")
    }

    async def answer(request: web.Request) -> web.Response:
        part = ["LTCUSDT"] if "symbols" in request.query else list(listed)
        return web.json_response({"symbols": [listed[native] for native in part]})

    app = web.Application()
    app.router.add_get("/api/v3/exchangeInfo", answer)
    async with TestServer(app) as server:
        assert await asked(str(server.make_url("")).rstrip("/"), "LTCUSDT", "XRPUSDT") == ["LTCUSDT", "XRPUSDT"]

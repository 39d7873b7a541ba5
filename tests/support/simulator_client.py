"""A simulated exchange in this process, and what a test does with it over its sockets."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import aiohttp

from producers.simulator.server import serving
from producers.simulator.settings import SimulatorSettings

SYMBOLS = ("BTCUSDT", "ETHUSDT", "XRPETH")
PAST_US = 1_740_000_000_000_000


class Client:
    """What a test does with a simulator."""

    def __init__(self, session: aiohttp.ClientSession, address: str) -> None:
        self._session, self.address = session, address

    async def get(self, path: str, *, status: int = 200, **params: Any) -> Any:
        async with self._session.get(self.address + path, params=params) as response:
            assert response.status == status, await response.text()
            return await response.json() if "json" in response.content_type else await response.text()

    async def body(self, path: str) -> tuple[int, bytes]:
        async with self._session.get(self.address + path) as response:
            return response.status, await response.read()

    async def headers(self, path: str) -> tuple[int, Any]:
        async with self._session.get(self.address + path) as response:
            return response.status, response.headers

    async def faults(self, *, status: int = 200, **wanted: Any) -> Any:
        async with self._session.post(self.address + "/sim/faults", json=wanted) as response:
            assert response.status == status, await response.text()
            return await response.json()

    def stream(self, path: str, **options: Any) -> AbstractAsyncContextManager[aiohttp.ClientWebSocketResponse]:
        return self._session.ws_connect(self.address + path, max_msg_size=0, **options)

    async def record(self, symbol: str, **params: Any) -> list[list[str]]:
        text = await self.get("/sim/record", symbol=symbol, **params)
        rows = [line.split(",") for line in text.splitlines()]
        assert rows[0] == ["id", "price", "qty", "time_us", "is_buyer_maker"]
        return rows[1:]

    async def exceptions(self, symbol: str, **params: Any) -> list[list[str]]:
        text = await self.get("/sim/exceptions", symbol=symbol, **params)
        rows = [line.split(",") for line in text.splitlines()]
        assert rows[0] == ["id", "price", "qty", "time_us", "is_buyer_maker", "fate"]
        return rows[1:]


@asynccontextmanager
async def simulator(**options: Any) -> AsyncIterator[Client]:
    defaults: dict[str, Any] = {"symbols": SYMBOLS, "speed": 200.0, "start_us": PAST_US, "port": 0}
    async with (
        serving(SimulatorSettings(**(defaults | options))) as (_, address),
        aiohttp.ClientSession() as session,
    ):
        yield Client(session, address)


async def events(socket: aiohttp.ClientWebSocketResponse, enough: Callable[[dict[str, Any]], bool]) -> list[Any]:
    taken = []
    while True:
        event = await asyncio.wait_for(socket.receive_json(), 10)
        taken.append(event)
        if enough(event.get("data", event)):
            return taken


async def closed(socket: aiohttp.ClientWebSocketResponse) -> int | None:
    while (await asyncio.wait_for(socket.receive(), 10)).type not in {
        aiohttp.WSMsgType.CLOSE,
        aiohttp.WSMsgType.CLOSED,
        aiohttp.WSMsgType.ERROR,
    }:
        pass
    return socket.close_code

"""A connection against servers of this machine: it hands over before it ends, and says why it ended."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from eventually import eventually

from producers.exchange import Message, Opening, TradeFrames
from producers.exchanges.binance import Binance
from producers.feed import connection as connections
from producers.feed.connection import Connection
from producers.feed.inbox import Connected, Disconnected, FromConnection, Inbox, LeftOut
from producers.feed.pacing import Pacing
from producers.simulator.exchange import SimulatedExchange
from producers.simulator.faults import Action, Faults
from producers.simulator.server import serving
from producers.simulator.settings import SimulatorSettings
from runtime.errors import UnavailableError
from runtime.settings import Settings

NAMES = {"SOLUSDT": "SOL-USDT", "BTCUSDT": "BTC-USDT"}
CLOCK = '{"stream":"x","data":{"e":"kline","E":1700000000000}}'


class Acknowledging(Binance):
    """An exchange that acknowledges subscriptions: here by frames ``+SYMBOL``, and refuses them by ``-why``."""

    def opening(self, natives: Any) -> Opening:
        return super().opening(natives)._replace(acknowledged=True, frames=("subscribe",))

    def read(self, frame: bytes, symbols: Any, received_us: int) -> Message:
        if frame[:1] == b"+":
            return Message(accepted=(frame[1:].decode(),))
        if frame[:1] == b"-":
            return Message(rejected=frame[1:].decode())
        return super().read(frame, symbols, received_us)


def exchange(address: str, kind: type[Binance] = Binance) -> Binance:
    return kind(Settings(_env_file=None, binance_ws=address.replace("http", "ws", 1)))


@asynccontextmanager
async def reading(of: Binance, seen: list[FromConnection]) -> AsyncIterator[Connection]:
    inbox = Inbox(10_000)
    async with aiohttp.ClientSession() as http:
        connection = Connection(0, http, of, NAMES, Pacing(0.0))
        task = asyncio.create_task(connection.run(inbox))

        async def take() -> None:
            while True:
                seen.extend(
                    item for item in await inbox.take(wait_s=0.1, gather_s=0.0) if isinstance(item, FromConnection)
                )

        taking = asyncio.create_task(take())
        try:
            yield connection
        finally:
            task.cancel()
            taking.cancel()
            await asyncio.gather(task, taking, return_exceptions=True)


@asynccontextmanager
async def server(handle: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_get("/{path:.*}", handle)
    test_server = TestServer(app)
    await test_server.start_server()
    try:
        yield str(test_server.make_url("")).rstrip("/")
    finally:
        await test_server.close()


def saying(*frames: str, wait_s: float = 60.0) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    """A server that sends these frames and then nothing."""

    async def handle(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        for frame in frames:
            await socket.send_str(frame)
        with suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                async for _ in socket:
                    pass
        return socket

    return handle


async def reason_of(of: Binance) -> str:
    seen: list[FromConnection] = []
    async with reading(of, seen):
        await eventually(lambda: _is_over(seen), timeout_s=40, every_s=0.05)
    return next(item.event.reason for item in seen if isinstance(item.event, Disconnected))


async def _is_over(seen: list[FromConnection]) -> bool:
    return any(isinstance(item.event, Disconnected) for item in seen)


async def handed_over(simulated: SimulatorSettings, leave: Callable[[SimulatedExchange], Awaitable[None]]) -> None:
    """Read until three connections were opened one after the other; every trade came, and nothing was interrupted."""
    seen: list[FromConnection] = []
    async with serving(simulated) as (sim, address), reading(exchange(address), seen):
        for count in (1, 2, 3):
            await eventually(lambda count=count: sim.plan.done["connections"] >= count, timeout_s=18)
            before = _messages(seen)
            await eventually(lambda before=before: _grew(seen, before), timeout_s=18)
            await leave(sim)
    assert [type(item.event) for item in seen if not isinstance(item.event, Message | TradeFrames)] == [Connected]
    ids = {number for item in seen for number in ids_of(item.event, "BTCUSDT")}
    assert len(ids) == max(ids) - min(ids) + 1 > 30, (len(ids), min(ids), max(ids))


def ids_of(event: object, native: str) -> list[int]:
    if isinstance(event, TradeFrames):
        return event.trades[native].numbers if native in event.trades else []
    trades = event.trades if isinstance(event, Message) else ()
    return [int(trade.trade_id) for trade in trades if trade.symbol == NAMES[native]]


async def _grew(seen: list[FromConnection], before: int) -> bool:
    return _messages(seen) > before + 100


def _messages(seen: list[FromConnection]) -> int:
    return sum(len(item.event.frames) if isinstance(item.event, TradeFrames) else 1 for item in seen)


async def _by_age(_: SimulatedExchange) -> None:
    """On a slow machine an old connection may still be closing when the next one is as old: nothing is waited for."""


async def _by_shutdown(sim: SimulatedExchange) -> None:
    await eventually(lambda: len(sim.connections) == 1, timeout_s=18)
    sim.do(Action.SHUTDOWN)


async def test_a_connection_is_left_before_its_age_limit_without_a_break(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "LIFE_S", 2.0)
    monkeypatch.setattr(connections, "OVERLAP_S", 0.3)
    await handed_over(SimulatorSettings(symbols=tuple(NAMES), speed=60, port=0), _by_age)


async def test_a_server_that_says_that_it_shuts_down_is_left_without_a_break(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "OVERLAP_S", 0.3)
    faults = Faults(shutdown_grace_s=3.0)
    await handed_over(SimulatorSettings(symbols=tuple(NAMES), speed=60, port=0, faults=faults), _by_shutdown)


async def test_a_subscription_that_is_not_acknowledged_ends_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "ACKNOWLEDGE_S", 0.0)
    async with server(saying("+SOLUSDT", CLOCK, CLOCK)) as address:
        assert await reason_of(exchange(address, Acknowledging)) == (
            "no acknowledgement of 1 subscriptions, such as BTCUSDT"
        )


async def test_a_subscription_that_is_refused_ends_the_connection_and_says_why() -> None:
    async with server(saying("-no such market")) as address:
        assert await reason_of(exchange(address, Acknowledging)) == (
            "the exchange does not take a subscription: no such market"
        )


class Refusing(Acknowledging):
    """Asks for all symbols in one frame, or for each in its own. ``!SYMBOL,…`` refuses these, without a reason."""

    def opening(self, natives: Any) -> Opening:
        return super().opening(natives)._replace(frames=(",".join(natives),), singly=tuple(natives))

    def read(self, frame: bytes, symbols: Any, received_us: int) -> Message:
        if frame[:1] == b"!":
            return Message(rejected="no", untaken=frame[1:].decode().split(","))
        return super().read(frame, symbols, received_us)


async def test_where_a_refusal_names_no_symbol_each_is_asked_for_by_itself_and_the_others_go_on() -> None:
    asked: list[list[str]] = []

    async def handle(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        asked.append([])
        async for message in socket:
            asked[-1].append(message.data)
            await socket.send_str(("!" if "BTCUSDT" in message.data else "+") + message.data)
            await socket.send_str(CLOCK)
        return socket

    seen: list[FromConnection] = []

    async def has_market_time() -> bool:
        left_out = [place for place, item in enumerate(seen) if isinstance(item.event, LeftOut)]
        later = seen[left_out[0] + 1 :] if left_out else []
        return any(isinstance(item.event, Message) and item.event.server_us for item in later)

    async with server(handle) as address, reading(exchange(address, Refusing), seen) as connection:
        await eventually(has_market_time, timeout_s=20, every_s=0.05)
        connection.end("the test")
        await eventually(lambda: _asked_again(asked), timeout_s=20, every_s=0.05)
    assert asked[:3] == [["SOLUSDT,BTCUSDT"], ["SOLUSDT", "BTCUSDT"], ["SOLUSDT"]]
    assert [item.event for item in seen if isinstance(item.event, LeftOut)] == [LeftOut(["BTCUSDT"], "no")]


async def _asked_again(asked: list[list[str]]) -> bool:
    return len(asked) > 2 and bool(asked[2])


async def test_a_connection_all_of_whose_symbols_are_refused_ends_for_good() -> None:
    async with server(saying("!SOLUSDT", "!BTCUSDT")) as address, aiohttp.ClientSession() as http:
        connection = Connection(0, http, exchange(address, Refusing), NAMES, Pacing(0.0))
        await asyncio.wait_for(connection.run(Inbox(100)), 20)


async def test_an_acknowledged_connection_that_is_silent_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "STALL_S", 0.3)
    async with server(saying("+SOLUSDT", "+BTCUSDT")) as address:
        assert await reason_of(exchange(address, Acknowledging)) == "no frame for 0 s"


async def test_a_message_that_is_too_long_ends_the_connection_unread() -> None:
    async with server(saying("x" * (connections.MAX_FRAME_BYTES + 1))) as address:
        assert "closed by the server, code 1009" in await reason_of(exchange(address))


async def _html(_: web.Request) -> web.StreamResponse:
    return web.Response(text="<html>maintenance</html>", content_type="text/html")


async def _unavailable(_: web.Request) -> web.StreamResponse:
    raise web.HTTPServiceUnavailable


async def _redirect(_: web.Request) -> web.StreamResponse:
    raise web.HTTPFound("/stream")


@pytest.mark.parametrize(
    ("handle", "told"),
    [
        (_html, "WSServerHandshakeError"), (_unavailable, "WSServerHandshakeError"), (_redirect, "TooManyRedirects"),
        (saying("<html>"), "MalformedError"), (saying(CLOCK, wait_s=0.0), "closed by the server, code"),
    ],
)  # fmt: skip
async def test_whatever_a_server_answers_the_reason_is_told(handle: Any, told: str) -> None:
    async with server(handle) as address:
        assert told in await reason_of(exchange(address))


@pytest.mark.parametrize("address", ["http://127.0.0.1:1", "http://no-such-host.invalid:80"])
async def test_a_host_that_is_not_there_is_told(address: str) -> None:
    assert "ClientConnector" in await reason_of(exchange(address))


async def test_a_server_without_tls_is_told() -> None:
    async with server(saying(CLOCK)) as address:
        assert "Client" in await reason_of(exchange(address.replace("http", "https", 1)))


async def test_connections_in_vain_end_the_feed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "_LONGEST_PAUSE_S", 0.0)
    monkeypatch.setattr(connections, "_FIRST_PAUSE_S", 0.0)
    async with aiohttp.ClientSession() as http:
        connection = Connection(0, http, exchange("http://127.0.0.1:1"), NAMES, Pacing(0.0))
        with pytest.raises(UnavailableError, match="12 connections in vain"):
            await connection.run(Inbox(100))

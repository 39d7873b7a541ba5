"""The bridge: a server on this machine that speaks the protocol of `producers/exchanges/ccxt.py`, by means of ccxt.

So to the feed an exchange of ccxt is one like any other: connections, reconnects, gaps and klines need nothing new. A
connection of the feed has an instance of ccxt of its own. Whatever ccxt raises, and each socket that it loses, ends the
connection: ccxt would connect again by itself, and nobody would learn that trades are missing. The feed learns it, and
asks for the newest trades.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager

import msgspec
from aiohttp import web

from producers.ccxt_bridge.clock import LAG_S, EstimatedClock
from producers.ccxt_bridge.sockets import WatchedSockets
from producers.ccxt_bridge.venue import KEPT_TRADES, ROWS, CcxtExchange, CcxtVenue, ccxt_venue, market_row, trade_row
from producers.exchanges.ccxt import PREFIX
from runtime.settings import Settings
from runtime.telemetry import logger

SETTLE_S = 15.0
"""So long after ccxt was asked for trades, and connected, its subscriptions work: it does not say when. A clock before
that would claim what the connection may not have carried."""
BEAT_S = 1.0
WAITING_FRAMES = 2_000
"""While the feed reads no more, so many frames wait; then the connection ends."""
_S, _MINUTE_MS = 1_000_000, 60_000
_REASON_BYTES = 120
_TOO_MUCH, _WRONG, _UNAVAILABLE = 429, 400, 503
_STATUSES = {
    "RateLimitExceeded": _TOO_MUCH,
    "DDoSProtection": _TOO_MUCH,
    "BadSymbol": _WRONG,
    "BadRequest": _WRONG,
    "NotSupported": _WRONG,
}
"""By the class of ccxt's error."""


@asynccontextmanager
async def bridged(settings: Settings, exchange_name: str) -> AsyncIterator[Settings]:
    """The settings by which an exchange can be reached: of ``ccxt:NAME`` while a bridge runs. Raises `UsageError`."""
    if not exchange_name.startswith(PREFIX) or settings.ccxt_ws is not None:
        yield settings
        return
    async with serve_bridge(ccxt_venue(exchange_name.removeprefix(PREFIX))) as address:
        reached = {"ccxt_ws": f"ws://{address}", "ccxt_rest": f"http://{address}"}
        yield settings.model_copy(update=reached)


@asynccontextmanager
async def serve_bridge(venue: CcxtVenue, *, settle_s: float = SETTLE_S) -> AsyncIterator[str]:
    """The address of a bridge to `venue`, HOST:PORT, while it runs."""
    bridge = CcxtBridge(venue, settle_s=settle_s)
    runner = web.AppRunner(bridge.app, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        yield f"{host}:{port}"
    finally:
        await runner.cleanup()
        await bridge.close()


class CcxtBridge:
    """Serves one exchange of ccxt."""

    def __init__(self, venue: CcxtVenue, *, settle_s: float = SETTLE_S) -> None:
        self._venue = venue
        self._settle_s = settle_s
        self._exchange = venue.make()  # for requests
        self.app = web.Application()
        self.app.add_routes(
            [
                web.get("/stream", self._stream),
                web.get("/trades", self._answer(self._trades)),
                web.get("/klines", self._answer(self._klines)),
                web.get("/markets", self._answer(self._markets)),
            ]
        )

    async def close(self) -> None:
        """Close what requests opened."""
        await self._exchange.close()

    async def _stream(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        symbols = msgspec.json.decode(await socket.receive_str(), type=list[str])
        exchange = self._venue.make()
        frames: asyncio.Queue[bytes] = asyncio.Queue(WAITING_FRAMES)
        clock, sockets = EstimatedClock(exchange), WatchedSockets(exchange)
        parts: list[Coroutine[None, None, str]] = [
            *(_watch(exchange, symbol, frames) for symbol in symbols),
            clock.follow(), _beat(clock, sockets, frames, self._settle_s), _send(socket, frames),
            _until_closed(socket), sockets.until_lost(),
        ]  # fmt: skip
        tasks = [asyncio.create_task(part) for part in parts]
        try:
            ended, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            reason = _reason(ended.pop())
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await exchange.close()
        logger("produce").info("ccxt's streams ended", reason=reason)
        await socket.close(code=1011, message=reason.encode()[:_REASON_BYTES])
        return socket

    def _answer(
        self, ask: "Callable[[web.Request], Awaitable[Sequence[object]]]"
    ) -> "Callable[[web.Request], Awaitable[web.Response]]":
        """A handler that tells ccxt's errors as HTTP does."""

        async def answer(request: web.Request) -> web.Response:
            try:
                body, status = msgspec.json.encode(await ask(request)), 200
            except self._venue.error as error:
                body, status = _told(error).encode(), _status_of(error)
            return web.Response(body=body, status=status)

        return answer

    async def _trades(self, request: web.Request) -> list[list[object]]:
        symbol = request.query["symbol"]
        return [trade_row(trade) for trade in await self._exchange.fetch_trades(symbol, None, ROWS)]

    async def _klines(self, request: web.Request) -> list[list[object]]:
        query = request.query
        from_ms, until_ms = int(query["from_ms"]), int(query["until_ms"])
        minutes = (until_ms - from_ms) // _MINUTE_MS
        rows = await self._exchange.fetch_ohlcv(query["symbol"], "1m", from_ms, minutes)
        return [list(row) for row in rows if from_ms <= row[0] < until_ms]

    async def _markets(self, _: web.Request) -> list[dict[str, object]]:
        markets = await self._exchange.load_markets()
        return [market_row(market) for market in markets.values() if market.get("spot")]


async def _watch(exchange: CcxtExchange, symbol: str, frames: "asyncio.Queue[bytes]") -> str:
    while True:  # ccxt gives what came since the last call; so nothing may be waited for between two calls
        trades = await exchange.watch_trades(symbol)
        frames.put_nowait(msgspec.json.encode({"trades": [trade_row(trade) for trade in trades]}))
        if len(trades) >= KEPT_TRADES:
            return f"more than {KEPT_TRADES} trades of {symbol} at once: ccxt forgets the older of them"


async def _beat(clock: EstimatedClock, sockets: WatchedSockets, frames: "asyncio.Queue[bytes]", settle_s: float) -> str:
    begun_us = time.time_ns() // 1000
    settled_us = 0
    while True:
        await asyncio.sleep(BEAT_S)
        if settled_us and sockets.connected_us + int(settle_s * _S) > settled_us:
            return "ccxt connected once more"
        # The time that is told is older than now: it too has to lie behind the subscriptions.
        alive_us = sockets.alive_us() - int(LAG_S * _S)
        if sockets.connected_us and not settled_us:
            ready_us = max(begun_us, sockets.connected_us) + int(settle_s * _S)
            settled_us = ready_us if alive_us >= ready_us else 0
        frames.put_nowait(msgspec.json.encode({"clock_us": clock.exchange_us(alive_us)} if settled_us else {}))


async def _send(socket: web.WebSocketResponse, frames: "asyncio.Queue[bytes]") -> str:
    while True:
        await socket.send_bytes(await frames.get())


async def _until_closed(socket: web.WebSocketResponse) -> str:
    async for _ in socket:
        pass
    return "closed by the feed"


def _reason(task: "asyncio.Task[str]") -> str:
    error = task.exception()
    if error is None:
        return task.result()
    return "the feed does not read what comes" if isinstance(error, asyncio.QueueFull) else _told(error)


def _told(error: BaseException) -> str:
    return f"{type(error).__name__} {error}".rstrip()


def _status_of(error: Exception) -> int:
    names = [each.__name__ for each in type(error).__mro__]
    return next((_STATUSES[name] for name in names if name in _STATUSES), _UNAVAILABLE)

"""The server: WebSocket, REST and the simulator's own endpoints on one port."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from producers.simulator.connection import StreamConnection
from producers.simulator.control import Control
from producers.simulator.exchange import SimulatedExchange
from producers.simulator.protocol import ConnectionOpening, WireProtocol
from producers.simulator.protocols.table import protocols_of
from producers.simulator.rest import Rest
from producers.simulator.settings import SimulatorSettings
from runtime.errors import UsageError
from runtime.telemetry import VERSION, logger

_MAX_URL_BYTES = 64 * 1024
"""A combined URL may name 1,024 streams."""
_MAX_REQUEST_BYTES = 64 * 1024
_SHUTDOWN_S = 2.0


@asynccontextmanager
async def serving(settings: SimulatorSettings) -> AsyncIterator[tuple[SimulatedExchange, str]]:
    """Serve for as long as the block runs; gives the exchange and the address ``http://host:port``."""
    exchange = SimulatedExchange(settings)
    app = web.Application(client_max_size=_MAX_REQUEST_BYTES)
    protocols = protocols_of(exchange.venue)
    app.add_routes(Control(exchange, protocols).routes())
    for protocol in protocols:
        app.add_routes([*Rest(exchange, protocol).routes(), *_Streams(exchange, protocol).routes()])
    runner = web.AppRunner(app, access_log=None, max_line_size=_MAX_URL_BYTES, shutdown_timeout=_SHUTDOWN_S)
    await runner.setup()
    try:
        try:
            site = web.TCPSite(runner, settings.host, settings.port)
            await site.start()
        except OSError as error:
            raise UsageError(
                f"the simulator cannot listen on {settings.host}:{settings.port} ({error.strerror}): "
                "choose another port with --port"
            ) from error
        host, port = runner.addresses[0][:2]
        async with asyncio.TaskGroup() as group:
            ticking = group.create_task(exchange.run())
            try:
                yield exchange, f"http://{host}:{port}"
            finally:
                ticking.cancel()
                for connection in tuple(exchange.connections):
                    connection.drop()
    finally:
        await runner.cleanup()


async def simulate(settings: SimulatorSettings, stop: asyncio.Event) -> None:
    """Serve until `stop` is set."""
    log = logger("simulate")
    async with serving(settings) as (exchange, address):
        log.info(
            "simulator listening",
            address=address,
            version=VERSION,
            symbols=len(exchange.archives),
            speed=settings.speed,
            seed=settings.seed,
            start_us=exchange.clock.start_us,
        )
        await stop.wait()
        log.info("simulator stopped", messages_sent=exchange.messages_sent, faults_done=dict(exchange.plan.done))


class _Streams:
    """The WebSockets of one protocol."""

    def __init__(self, exchange: SimulatedExchange, protocol: WireProtocol) -> None:
        self._exchange, self._protocol = exchange, protocol

    def routes(self) -> list[web.RouteDef]:
        return [web.get(path, self._serve) for path in self._protocol.stream_paths]

    async def _serve(self, request: web.Request) -> web.WebSocketResponse:
        exchange, protocol = self._exchange, self._protocol
        if not exchange.takes_connections:
            raise web.HTTPServiceUnavailable
        socket = web.WebSocketResponse(autoping=False, compress=False)
        await socket.prepare(request)
        if request.transport is None:
            return socket
        connection = StreamConnection(
            socket,
            request.transport,
            protocol.connection_limits,
            tape=exchange.tape,
            plan=exchange.plan,
            settings=exchange.settings,
        )
        exchange.join(connection)
        try:
            opening = ConnectionOpening(request.path, {**request.query, **request.match_info})
            await connection.serve(protocol.session(opening, connection))
        finally:
            exchange.leave(connection)
        return socket

"""The interface on a port, for as long as it is wanted."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from granian.constants import Interfaces
from granian.server.embed import Server

from runtime.errors import CandlewickError, UsageError
from runtime.settings import Settings
from runtime.telemetry import logger
from serving.api import build_api
from serving.tiers import Tiers

DEFAULT_PORT = 8080
_CONNECTIONS = 256
"""Served at a time; more wait in the listening queue, which is as long."""
_POLL_S = 0.02


@dataclass(frozen=True, kw_only=True)
class ServeSettings:
    """Where to listen; port 0 is any free one."""

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT


async def serve(settings: Settings, where: ServeSettings, stop: asyncio.Event) -> None:
    """Serve until `stop` is set; requests at work are answered first."""
    log = logger("serve")
    async with serving(settings, where) as (address, ended):
        log.info("serving", address=address)
        ended.add_done_callback(lambda _: stop.set())
        await stop.wait()
        if ended.done():
            raise CandlewickError(
                f"the HTTP server on {address} ended by itself ({ended.exception()}): start candlewick serve again"
            ) from ended.exception()
    log.info("stopped serving")


@asynccontextmanager
async def serving(settings: Settings, where: ServeSettings) -> AsyncIterator[tuple[str, "asyncio.Future[None]"]]:
    """Serve while the block runs; gives the address ``http://host:port``, and a future that is done when it ended."""
    ip, port = _free_place(where)
    tiers = Tiers(settings)
    server = Server(
        build_api(tiers),
        address=ip,
        port=port,
        interface=Interfaces.ASGINL,
        backlog=_CONNECTIONS,
        backpressure=_CONNECTIONS,
        log_enabled=False,
    )
    ended = asyncio.ensure_future(server.serve())
    try:
        await _listening(ip, port, ended)
        yield f"http://{f'[{ip}]' if ':' in ip else ip}:{port}", ended
    finally:
        server.stop()  # type: ignore[no-untyped-call]  # granian's
        await asyncio.wait({ended})
        await tiers.close()


def _free_place(where: ServeSettings) -> tuple[str, int]:
    """The address to bind, seen to be free: the server itself would share a port with one that serves there already."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(
            where.host, where.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        with socket.socket(family, kind) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
            probe.listen()
            ip, port = probe.getsockname()[:2]
            return str(ip), int(port)
    except OSError as error:
        raise UsageError(
            f"cannot serve on {where.host}:{where.port} ({error.strerror}): choose another place with --host and --port"
        ) from error


async def _listening(ip: str, port: int, ended: "asyncio.Future[None]") -> None:
    """Wait until the server takes connections: it binds in threads of its own."""
    while not ended.done():
        with suppress(OSError):
            _, writer = await asyncio.open_connection(ip, port)
            writer.close()
            return
        await asyncio.sleep(_POLL_S)

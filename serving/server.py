"""The interface on a port, until it is told to stop."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
from granian.constants import HTTPModes, Interfaces, SSLProtocols
from granian.http import HTTP1Settings
from granian.server.embed import Server
from starlette.types import ASGIApp

from runtime.errors import CandlewickError, UsageError
from runtime.settings import Settings, variable
from runtime.telemetry import VERSION, logger
from serving.access.build import guarded
from serving.access.limits import limited
from serving.analysis.model import model_server
from serving.analysis.routes import Analyst
from serving.api import build_api
from serving.caches.computed import ComputedAnswers
from serving.caches.shared import SharedAnswers
from serving.held import HeldSpans
from serving.hot_cache import HotCache
from serving.hot_routes import HotRoutes
from serving.metrics import measured
from serving.tiers import Tiers

DEFAULT_PORT = 8080
_CONNECTIONS = 768
"""Open at a time; more wait in the listening queue, which is as long. The usual limit of open files is 1,024."""
_QUIET_MS = 4000
"""A connection that takes longer for the head of its next request is closed, an idle one too.

Otherwise slow or idle connections could take all places. Clients tend to ask every three or every five seconds: with
four seconds neither meets the end of its connection each time.
"""
_POLL_S = 0.02


@dataclass(frozen=True, kw_only=True)
class ServeSettings:
    """Where to listen; port 0 is any free one."""

    host: str = "127.0.0.1"
    port: int = DEFAULT_PORT


async def serve(settings: Settings, where: ServeSettings, stop: asyncio.Event) -> None:
    """Serve until `stop` is set; requests that are being answered are finished.

    Raises `UsageError` where the address cannot be used, and `CandlewickError` where the server ends by itself.
    """
    log = logger("serve")
    async with serving(settings, where) as (address, ended):
        log.info("serving", address=address, version=VERSION)
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
    model = model_server(settings)
    ip, port = _free_place(where)
    tls = _tls(settings)
    pa.set_memory_pool(pa.system_memory_pool())  # Arrow's own keeps for each thread what it once needed
    tiers, cache = Tiers(settings), HotCache()
    changes = tiers.hot.changes(cache.change, cache.change_all)
    cache.told = changes
    held = HeldSpans(tiers)
    api = build_api(tiers, held, Analyst(tiers, held, model, prompt_tokens=settings.analysis_tokens))
    computed = ComputedAnswers(limited(api), SharedAnswers(settings), settings.topics)
    background = [asyncio.create_task(changes.listening()), asyncio.create_task(held.looking())]
    try:
        async with guarded(HotRoutes(computed, tiers.hot, cache), settings, ip) as app:
            server = _server(app, ip, port, tls)
            ended = asyncio.ensure_future(server.serve())
            try:
                await _listening(ip, port, ended)
                yield f"http{'s' if tls else ''}://{f'[{ip}]' if ':' in ip else ip}:{port}", ended
            finally:
                server.stop()  # type: ignore[no-untyped-call]  # granian's
                await asyncio.wait({ended})
    finally:
        for task in background:
            task.cancel()
        await asyncio.wait(background)
        await computed.close()
        await tiers.close()
        if model is not None:
            await model.close()


def _server(app: ASGIApp, ip: str, port: int, tls: "_Tls | None") -> Server:
    return Server(
        measured(app),
        address=ip,
        port=port,
        interface=Interfaces.ASGINL,
        http=HTTPModes.http1,  # no other mode counts that time from the first byte on
        http1_settings=HTTP1Settings(header_read_timeout=_QUIET_MS),
        backlog=_CONNECTIONS,
        backpressure=_CONNECTIONS,
        log_enabled=False,
        ssl_cert=tls and tls.certificate,
        ssl_key=tls and tls.key,
        ssl_protocol_min=SSLProtocols.tls12,
    )


class _Tls(NamedTuple):
    certificate: Path
    key: Path


def _tls(settings: Settings) -> _Tls | None:
    """The files for TLS; None without. Raises `UsageError` where they are not what the server can take."""
    certificate, key = settings.tls_certificate, settings.tls_key
    if certificate is None and key is None:
        return None
    if certificate is None or key is None:
        raise UsageError(f"set both {variable('tls_certificate')} and {variable('tls_key')}, or neither")
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(certificate, key)
    except OSError as error:
        raise UsageError(f"{certificate} and {key} cannot serve TLS: {error.strerror or error}") from error
    return _Tls(certificate, key)


def _free_place(where: ServeSettings) -> tuple[str, int]:
    """The address to bind. Raises `UsageError` where it is not free: the server itself would share the port."""
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

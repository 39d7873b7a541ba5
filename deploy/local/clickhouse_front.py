"""ClickHouse's HTTP interface over the chdb engine, so that clients talk to it as to a server.

It runs one statement at a time. An answer is complete before its first byte goes out, so that a slow reader never
holds the engine and a status code is never wrong. There are no users, no sessions and no external tables.

Run as ``python -m deploy.local.clickhouse_front --port PORT --data FOLDER``; SIGTERM ends it in order.
"""

import argparse
import asyncio
import re
import signal
import sys
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import orjson
from aiohttp import web

from deploy.local import http_body
from deploy.local.clickhouse_engine import DEFAULT_DATABASE, VERSION, Engine, EngineError, QueryRequest
from deploy.local.clickhouse_sql import UNCLASSIFIED, exception_code, http_status
from deploy.local.ports import HOST

MAX_AT_ONCE = 3
"""Requests whose bodies are held at a time; the others wait in their sockets."""
_TOO_LARGE = 229
_TRANSPORT = frozenset({
    "buffer_size", "client_protocol_version", "compress", "database", "decompress", "default_format",
    "enable_http_compression", "http_headers_progress_interval_ms", "http_response_buffer_size", "password", "query",
    "query_id", "quota_key", "role", "send_progress_in_http_headers", "session_check", "session_id",
    "session_timeout", "stacktrace", "user", "wait_end_of_query",
})  # fmt: skip
_NAME = re.compile(r"[A-Za-z_]\w*")


class Front:
    """The HTTP side. The engine lives in one thread of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="engine")
        self._slots = asyncio.Semaphore(MAX_AT_ONCE)

    async def open(self) -> None:
        """Open the data folder."""
        self._engine = await asyncio.get_running_loop().run_in_executor(self._thread, Engine, self._folder)

    async def close(self) -> None:
        """Close it after the statement at work."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._engine.close)

    async def answer(self, request: web.Request) -> web.Response:
        """Answer one statement, or ``Ok.`` to a request without one."""
        headers = {
            "X-ClickHouse-Query-Id": request.query.get("query_id") or str(uuid.uuid4()),
            "X-ClickHouse-Timezone": self._engine.timezone,
            "X-ClickHouse-Server-Display-Name": "candlewick",
        }
        if request.method == "GET" and "query" not in request.query:
            return web.Response(text="Ok.\n", headers=headers)
        async with self._slots:
            try:
                return await self._execute(request, headers)
            except EngineError as error:
                return _exception(str(error), headers)
            except http_body.TooLargeError as error:
                return _exception(f"Code: {_TOO_LARGE}. DB::Exception: {error}. (QUERY_IS_TOO_LARGE)", headers)
            except http_body.BodyError as error:
                return _exception(f"Code: {UNCLASSIFIED}. DB::Exception: {error}.", headers, status=400)

    async def _execute(self, request: web.Request, headers: dict[str, str]) -> web.Response:
        wanted = await _parse(request)
        loop = asyncio.get_running_loop()
        answer = await loop.run_in_executor(self._thread, self._engine.execute, wanted)
        headers["X-ClickHouse-Summary"] = orjson.dumps(answer.summary).decode()
        if answer.format:
            headers["X-ClickHouse-Format"] = answer.format
        data = answer.data
        if data and request.query.get("enable_http_compression") == "1":
            accepted = request.headers.get("Accept-Encoding", "")
            data, encoding = await asyncio.to_thread(http_body.pack, data, accepted)
            if encoding:
                headers["Content-Encoding"] = encoding
        text = (answer.format or "TabSeparated").startswith("Tab")
        return web.Response(
            body=data, headers=headers, content_type="text/plain" if text else "application/octet-stream"
        )


async def _parse(request: web.Request) -> QueryRequest:
    given = dict(request.query)
    body = b""
    if request.content_type == "multipart/form-data":  # long parameters come as form fields
        given |= await _form(request)
    else:
        packed = await http_body.read(request.content.iter_any())
        body = await asyncio.to_thread(http_body.unpack, packed, request.headers.get("Content-Encoding", ""))
    if given.get("compress") == "1" or given.get("decompress") == "1":
        raise http_body.BodyError("the native compression of bodies is not known here: use enable_http_compression")
    parameters = {name.removeprefix("param_"): value for name, value in given.items() if name.startswith("param_")}
    return QueryRequest(
        statement=given.get("query", "").encode(),
        body=body,
        format=given.get("default_format") or request.headers.get("X-ClickHouse-Format") or "TabSeparated",
        database=given.get("database") or request.headers.get("X-ClickHouse-Database") or DEFAULT_DATABASE,
        settings={name: value for name, value in given.items() if _is_setting(name)},
        parameters=parameters,
    )


async def _form(request: web.Request) -> dict[str, str]:
    fields = await request.post()
    if any(not isinstance(value, str) for value in fields.values()):
        raise http_body.BodyError("external tables are not known here")
    return {name: str(value) for name, value in fields.items()}


def _is_setting(name: str) -> bool:
    return name not in _TRANSPORT and not name.startswith("param_") and _NAME.fullmatch(name) is not None


def _exception(message: str, headers: dict[str, str], *, status: int | None = None) -> web.Response:
    code = exception_code(message)
    headers["X-ClickHouse-Exception-Code"] = str(code)
    text = f"{message} (version {VERSION} (chdb))\n"
    return web.Response(status=status or http_status(code), text=text, headers=headers)


async def ping(_request: web.Request) -> web.Response:
    """Say that the server is there."""
    return web.Response(text="Ok.\n")


async def serve(port: int, folder: Path) -> None:
    """Serve until SIGTERM or SIGINT, then close the engine."""
    front = Front(folder)
    await front.open()
    app = web.Application(client_max_size=http_body.MAX_BYTES)
    app.router.add_get("/ping", ping)
    app.router.add_route("*", "/", front.answer)
    runner = web.AppRunner(app, auto_decompress=False, access_log=None, shutdown_timeout=10.0)
    await runner.setup()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    try:
        await web.TCPSite(runner, HOST, port).start()
        await stop.wait()
    finally:
        await runner.cleanup()
        await front.close()


def main() -> int:
    """Run the front."""
    parser = argparse.ArgumentParser(prog="clickhouse_front", description=ping.__doc__)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--data", type=Path, required=True)
    arguments = parser.parse_args()
    try:
        asyncio.run(serve(arguments.port, arguments.data))
    except (OSError, EngineError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

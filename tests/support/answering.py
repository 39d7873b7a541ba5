"""A server whose every answer is the same: what a store's own server would say, where that can't be had."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


@asynccontextmanager
async def answering(status: int, text: str, user: str = "") -> AsyncIterator[str]:
    """Its URL, with the user and password in front of the host."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = text.encode()
        head = f"HTTP/1.1 {status} X\r\nX-ClickHouse-Exception-Code: 1\r\nContent-Length: {len(body)}\r\n"
        writer.write(f"{head}Connection: close\r\n\r\n".encode() + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://{user}127.0.0.1:{server.sockets[0].getsockname()[1]}"

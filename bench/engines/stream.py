"""A WebSocket server with Binance's combined stream, as a process of its own. It says its port in its first line.

``stream.py TRADES SYMBOLS START_MS``: so many frames, as fast as they are read, over the one connection that comes.
``stream.py --pace RATE SYMBOLS``: a steady rate in real time; each connection gets the symbols that it asks for.
"""

import asyncio
import base64
import hashlib
import struct
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress

from frames import Tape, frames

_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3
_TICK_S = 0.002
_CHUNK_FRAMES = 500
_CLOSING = b"\x88\x02\x03\xe8"


def wrapped(text: bytes) -> bytes:
    """A text frame of RFC 6455, without a mask, as servers send it."""
    return (b"\x81" + bytes([len(text)]) if len(text) < 126 else b"\x81\x7e" + struct.pack(">H", len(text))) + text


async def shake_hands(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> list[str]:
    """Open the WebSocket; returns the streams that are asked for."""
    request = await reader.readuntil(b"\r\n\r\n")
    lines = request.split(b"\r\n")
    key = next(line.split(b": ")[1] for line in lines if line.lower().startswith(b"sec-websocket-key"))
    accept = base64.b64encode(hashlib.sha1(key + _MAGIC, usedforsecurity=False).digest())
    writer.write(
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )
    return lines[0].split()[1].decode().partition("streams=")[2].split("/")


async def closed_by(reader: asyncio.StreamReader) -> None:
    """Until the client closes: it says nothing else."""
    with suppress(OSError):
        await reader.read(1)


async def close(writer: asyncio.StreamWriter) -> None:
    """Answer the client's closing."""
    with suppress(OSError):
        writer.write(_CLOSING)
        writer.close()
        await writer.wait_closed()


async def blast(trades: int, symbols: int, start_ms: int) -> None:
    """All that there is, at once."""
    whole = [wrapped(frame) for frame in frames(trades, symbols, start_ms)]
    chunks = [b"".join(whole[first : first + _CHUNK_FRAMES]) for first in range(0, trades, _CHUNK_FRAMES)]
    del whole

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await shake_hands(reader, writer)
        for chunk in chunks:
            writer.write(chunk)
            await writer.drain()
        await closed_by(reader)
        await close(writer)

    await _serve(serve)


async def pace(rate: int, symbols: int) -> None:
    """Trades of this moment."""
    tape = Tape(symbols)
    writers: dict[int, asyncio.StreamWriter] = {}
    number_of = {f"{native.lower()}@trade": number for number, native in enumerate(tape.natives)}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked = {number_of[name] for name in await shake_hands(reader, writer) if name in number_of}
        now_ms = time.time_ns() // 1_000_000
        writer.write(b"".join(wrapped(tape.frame(symbol, now_ms)) for symbol in sorted(asked)))
        writers.update(dict.fromkeys(asked, writer))
        await closed_by(reader)
        for symbol in asked:
            del writers[symbol]
        await close(writer)

    async def flow() -> None:
        began_s, sent = time.monotonic(), 0
        while True:
            await asyncio.sleep(_TICK_S)
            due = int((time.monotonic() - began_s) * rate) - sent
            sent += due
            if len(writers) == symbols:
                now_ms = time.time_ns() // 1_000_000
                for _ in range(due):
                    symbol = tape.any_symbol()
                    writers[symbol].write(wrapped(tape.frame(symbol, now_ms)))

    flowing = asyncio.create_task(flow())
    await _serve(serve)
    flowing.cancel()


async def _serve(serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]) -> None:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    if sys.argv[1] == "--pace":
        asyncio.run(pace(*map(int, sys.argv[2:4])))
    else:
        asyncio.run(blast(*map(int, sys.argv[1:4])))

"""The frames of one socket, gathered for a moment: to read many together costs a fraction of reading each."""

import asyncio
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import aiohttp

if TYPE_CHECKING:
    Socket = aiohttp.ClientWebSocketResponse[Literal[False]]  # frames stay bytes

GATHER_S = 0.005
"""How long more frames are waited for after the first."""
FRAMES_AT_ONCE = 4_000
BYTES_AT_ONCE = 4 << 20
"""While so many wait, the socket is not read."""
_DATA = (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY)


class Frames:
    """`fill` and `take` run side by side, each in a task of its own."""

    def __init__(self) -> None:
        self._frames: list[bytes] = []
        self._received_us: list[int] = []
        self._bytes = 0
        self._came = asyncio.Event()
        self._room = asyncio.Event()
        self._is_over = False

    async def fill(self, socket: "Socket") -> None:
        """Read the socket to its end. While nobody takes, it waits: so TCP makes the server wait."""
        try:
            async for frame in socket:
                if frame.type not in _DATA:
                    return
                self._frames.append(frame.data)
                self._received_us.append(now_us())
                self._bytes += len(frame.data)
                waiting = len(self._frames)
                if waiting == 1:
                    self._came.set()
                if waiting >= FRAMES_AT_ONCE or self._bytes >= BYTES_AT_ONCE:
                    self._room.clear()
                    await self._room.wait()
        finally:
            self._is_over = True
            self._came.set()

    async def take(self) -> tuple[Sequence[bytes], Sequence[int]]:
        """The frames that wait, at least one, and when each came; none: the socket has ended."""
        await self._came.wait()
        if not self._is_over:
            await asyncio.sleep(GATHER_S)
        taken = self._frames, self._received_us
        self._frames, self._received_us, self._bytes = [], [], 0
        self._room.set()
        if not self._is_over:
            self._came.clear()
        return taken


def now_us() -> int:
    """Our own clock, UTC microseconds."""
    return time.time_ns() // 1000

"""Frames of a socket that wait to be read: gathered, bounded, and none lost at its end."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import aiohttp
import pytest
from eventually import eventually

from producers.feed import frames as gathered
from producers.feed.frames import Frames


class Sent(NamedTuple):
    data: bytes
    type: aiohttp.WSMsgType = aiohttp.WSMsgType.TEXT


class Socket:
    """Gives these messages at once, then ends: well, or with an error."""

    def __init__(self, messages: list[Sent], error: Exception | None = None) -> None:
        self.messages, self.error = messages, error
        self.given = 0

    async def __aiter__(self) -> AsyncIterator[Sent]:
        for message in self.messages:
            self.given += 1
            yield message
        if self.error is not None:
            raise self.error


async def taken(frames: Frames) -> list[bytes]:
    whole: list[bytes] = []
    while (part := await frames.take())[0]:
        assert len(part[0]) == len(part[1])
        whole += part[0]
    return whole


@pytest.mark.parametrize(("bound", "most"), [("FRAMES_AT_ONCE", 3), ("BYTES_AT_ONCE", 3)])
async def test_a_socket_is_not_read_while_too_much_waits(
    monkeypatch: pytest.MonkeyPatch, bound: str, most: int
) -> None:
    monkeypatch.setattr(gathered, bound, most)
    sent = [Sent(b"%d" % number) for number in range(8)]
    socket: Any = Socket(sent)
    frames = Frames()
    filling = asyncio.create_task(frames.fill(socket))

    async def is_full() -> bool:
        return bool(socket.given == 3)

    await eventually(is_full, timeout_s=5)
    first = await frames.take()
    assert first[0] == [b"0", b"1", b"2"]
    assert await taken(frames) == [message.data for message in sent[3:]]
    await filling


@pytest.mark.parametrize("error", [None, OSError("broken")])
async def test_what_came_before_the_end_is_given_and_then_nothing(error: Exception | None) -> None:
    sent = [Sent(b"a"), Sent(b"b"), Sent(b"", aiohttp.WSMsgType.CLOSE), Sent(b"c")][: 4 if error is None else 2]
    socket: Any = Socket(sent, error)
    frames = Frames()
    filling = asyncio.create_task(frames.fill(socket))
    assert await taken(frames) == [b"a", b"b"]
    if error is None:
        await filling
    else:
        with pytest.raises(OSError, match="broken"):
            await filling

"""Large answers on their way to their readers: of bounded memory together, and given up where a reader is too slow.

The server takes a whole answer as a copy, however slow the reader is; of an answer in parts it takes a few ahead. So
what is large is sent in parts. Meanwhile nobody holds a place in `Turns`: the work is done.
"""

import asyncio

from starlette.types import Message, Send

from serving.access.keys import RateTier
from serving.access.limits import ANSWER_S
from serving.access.refusal import overloaded

LARGE_BYTES = 256 * 1024
PART_BYTES = 256 * 1024
SLOWEST_BYTES_S = 64 * 1024
"""A reader has `ANSWER_S`, and the time that this takes."""
MOST_BYTES = 128 * 1024 * 1024
"""Of large answers, however much of each is sent already."""
_SHARES = {RateTier.FREE: 0.5, RateTier.PRO: 0.75, RateTier.ENTERPRISE: 1.0}
"""Up to which part of it a tier may begin another: slow readers of one tier leave room for those above it."""
_RETRY_AFTER_S = 5


class OutgoingBytes:
    """Counts them."""

    def __init__(self, *, most_bytes: int = MOST_BYTES) -> None:
        self._most_bytes = most_bytes
        self.size_bytes = 0

    def take(self, tier: RateTier, size_bytes: int) -> None:
        """Begin an answer. Raises `RequestRefusedError` (503) where too much is on its way; one alone may be larger."""
        if self.size_bytes and self.size_bytes + size_bytes > self._most_bytes * _SHARES[tier]:
            raise overloaded("too many large answers are being read: ask for less, or later", _RETRY_AFTER_S)
        self.size_bytes += size_bytes

    def give_back(self, size_bytes: int) -> None:
        """It is sent, or given up."""
        self.size_bytes -= size_bytes


def is_large(message: Message) -> bool:
    """Whether it is all of a large answer's body."""
    return len(message.get("body", b"")) > LARGE_BYTES and not message.get("more_body", False)


async def send_in_parts(send: Send, body: bytes) -> None:
    """Send a whole body. Raises `TimeoutError` where the reader is too slow: the server breaks the connection."""
    async with asyncio.timeout(ANSWER_S + len(body) / SLOWEST_BYTES_S):
        for first in range(0, len(body), PART_BYTES):
            end = first + PART_BYTES
            await send({"type": "http.response.body", "body": body[first:end], "more_body": end < len(body)})

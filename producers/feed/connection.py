"""Reads one WebSocket connection to an exchange into the inbox, and connects again when it ends."""

import asyncio
import random
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Literal

import aiohttp

from market.errors import MalformedError
from producers.capture.recorder import RecordedConnection
from producers.exchange import Exchange, Opening
from producers.feed.inbox import Connected, Disconnected, FromConnection, Inbox
from runtime.backoff import pause_s
from runtime.errors import UnavailableError
from runtime.telemetry import logger

if TYPE_CHECKING:
    _Socket = aiohttp.ClientWebSocketResponse[Literal[False]]  # frames stay bytes

CONNECT_TIMEOUT_S = 10.0
STALL_S = 10.0
"""A connection without a frame for so long counts as dead: server time comes each second."""
ACKNOWLEDGE_S = 10.0
"""A subscription that is not acknowledged for so long will never be."""
LIFE_S = 23.5 * 3600
"""Exchanges end a connection after 24 hours: we end it earlier."""
ATTEMPTS = 12
"""After so many connections in a row without a frame the feed gives up: about three minutes."""
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 20.0
_CLOSE_S = 1.0


class Connection:
    """Reads one connection for as long as it runs."""

    def __init__(
        self,
        number: int,
        http: aiohttp.ClientSession,
        exchange: Exchange,
        symbols: Mapping[str, str],
        record: RecordedConnection | None,
    ) -> None:
        self.number = number
        self._http = http
        self._exchange = exchange
        self._symbols = symbols
        self._record = record
        self._frames = 0

    async def run(self, inbox: Inbox) -> None:
        """Connect and read, again and again. Raises `UnavailableError` after `ATTEMPTS` in a row without a frame."""
        failures = 0
        while True:
            self._frames = 0
            try:
                reason = await self._read(inbox)
            except TimeoutError:
                reason = f"no frame for {STALL_S:.0f} s"
            except (aiohttp.ClientError, OSError, MalformedError) as error:
                reason = f"{type(error).__name__} {error}".rstrip()
            if self._record is not None:
                self._record.ended(reason, time.time_ns() // 1000)
            await inbox.put(FromConnection(self.number, Disconnected(reason)))
            failures = 0 if self._frames else failures + 1
            if failures == ATTEMPTS:
                raise UnavailableError(
                    f"{self._exchange.ws_url}: {ATTEMPTS} connections in vain, the last one: {reason}"
                )
            wait_s = pause_s(failures, first_s=_FIRST_PAUSE_S, longest_s=_LONGEST_PAUSE_S) * random.uniform(0.5, 1.0)
            logger("produce").warning(
                "connection ended", connection=self.number, reason=reason, again_in_s=round(wait_s, 2)
            )
            await asyncio.sleep(wait_s)

    async def _read(self, inbox: Inbox) -> str:
        """Read one connection to its end; returns why it ended."""
        opening = self._exchange.opening(list(self._symbols))
        url = self._exchange.ws_url + opening.path
        closing = aiohttp.ClientWSTimeout(ws_close=_CLOSE_S)
        ends_s = time.monotonic() + LIFE_S * random.uniform(0.95, 1.0)
        async with asyncio.timeout(CONNECT_TIMEOUT_S) as limit:
            async with self._http.ws_connect(url, timeout=closing, decode_text=False) as socket:
                if self._record is not None:
                    self._record.opened(url, time.time_ns() // 1000)
                await inbox.put(FromConnection(self.number, Connected(acknowledged=opening.acknowledged)))
                speaking = asyncio.create_task(self._speak(socket, opening))
                try:
                    return await self._listen(socket, inbox, opening, limit, ends_s)
                finally:
                    speaking.cancel()

    async def _speak(self, socket: "_Socket", opening: Opening) -> None:
        """Send what opens the connection, and then what keeps it alive. Whatever fails here ends the reading too."""
        with suppress(aiohttp.ClientError, OSError):
            for frame in opening.frames:
                await self._send(socket, frame)
                await asyncio.sleep(opening.pause_s)
            keepalive = self._exchange.keepalive
            while keepalive is not None:
                await self._send(socket, keepalive.frame)
                await asyncio.sleep(keepalive.every_s)

    async def _send(self, socket: "_Socket", frame: str) -> None:
        await socket.send_str(frame)
        if self._record is not None:
            self._record.sent(frame.encode(), time.time_ns() // 1000)

    async def _listen(
        self,
        socket: "_Socket",
        inbox: Inbox,
        opening: Opening,
        limit: asyncio.Timeout,
        ends_s: float,
    ) -> str:
        loop = asyncio.get_running_loop()
        missing = set(self._symbols) if opening.acknowledged else set()
        acknowledged_by_s = loop.time() + ACKNOWLEDGE_S + opening.pause_s * len(opening.frames)
        limit.reschedule(loop.time() + STALL_S)
        record = self._record
        async for frame in socket:
            if frame.type not in (aiohttp.WSMsgType.TEXT, aiohttp.WSMsgType.BINARY):
                break
            received_us = time.time_ns() // 1000
            if record is not None:
                record.received(frame.data, received_us)
            message = self._exchange.read(frame.data, self._symbols, received_us)
            self._frames += 1
            if inbox.full:  # while we wait here, nobody reads the socket: so TCP makes the server wait
                limit.reschedule(None)
                await inbox.put(FromConnection(self.number, message))
            else:
                inbox.add(FromConnection(self.number, message))
            now_s = loop.time()
            if message.closing:
                return "the server shuts down"
            if message.rejected is not None:
                return f"the exchange does not take a subscription: {message.rejected}"
            missing.difference_update(message.accepted)
            if missing and now_s > acknowledged_by_s:
                return f"no acknowledgement of {len(missing)} subscriptions, such as {min(missing)}"
            if now_s > ends_s:
                return "24 hours are nearly over"
            limit.reschedule(now_s + STALL_S)
        return f"closed by the server, code {socket.close_code}"


def split(natives: Sequence[str], most: int) -> list[list[str]]:
    """The symbols of each connection, at most `most` in one."""
    return [list(natives[start : start + most]) for start in range(0, len(natives), most)]

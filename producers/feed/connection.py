"""Reads one WebSocket connection to an exchange into the inbox, and connects again when it ends.

A connection that has to end soon (by its age, or because the server says that it will shut down) hands over: the next
one is opened beside it, and the old one is closed a while after the new one carries everything. What both carry comes
twice, which does no harm; nothing is missed in between, so the feed is not told.
"""

import asyncio
import random
from collections.abc import Coroutine, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

import aiohttp

from market.errors import MalformedError
from producers.capture.recorder import RecordedConnection
from producers.exchange import Exchange, Message, Opening, TradeFrames
from producers.feed.frames import Frames, now_us
from producers.feed.inbox import Connected, Disconnected, FromConnection, Inbox, LeftOut
from producers.feed.pacing import Pacing
from producers.feed.reading import read_frames
from producers.feed.subscriptions import SubscriptionPlan
from runtime.backoff import pause_s
from runtime.errors import UnavailableError
from runtime.telemetry import logger

if TYPE_CHECKING:
    from producers.feed.frames import Socket

T = TypeVar("T")
CONNECT_TIMEOUT_S = 10.0
STALL_S = 10.0
"""A connection without a frame for so long counts as dead: server time comes each second."""
LOOK = 0.1
"""A stall is noticed after this share of `STALL_S` more at the latest."""
ACKNOWLEDGE_S = 10.0
"""A subscription that is not acknowledged for so long will never be."""
LIFE_S = 23.5 * 3600
"""Exchanges end a connection after 24 hours: we end it earlier."""
OVERLAP_S = 5.0
"""For so long the old connection is read beside the new one: what is on its way arrives."""
AGAIN_S = 5.0
"""A hand-over that failed is tried again after this time, as long as the old connection lives."""
ATTEMPTS = 12
"""After so many connections in a row without a frame the feed gives up: about three minutes."""
MAX_FRAME_BYTES = 4 << 20
"""No exchange sends more in one message: a longer one ends the connection before it is read."""
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
        pacing: Pacing,
        *,
        record: RecordedConnection | None = None,
    ) -> None:
        self.number = number
        self._http = http
        self._exchange = exchange
        self.subscription_plan = SubscriptionPlan(symbols)
        self._pacing = pacing
        self._record = record
        self._ended: asyncio.Future[str] | None = None

    def end(self, reason: str) -> None:
        """End the connection that is read now, and connect again."""
        if self._ended is not None and not self._ended.done():
            self._ended.set_result(reason)

    async def run(self, inbox: Inbox) -> None:
        """Connect and read, again and again, as long as some symbol is not refused.

        Raises `UnavailableError` after `ATTEMPTS` in a row without a frame.
        """
        failures = silent = 0
        while self.subscription_plan.symbols:
            reader = _Reader(self, inbox, announces=True)
            reason = await self._follow(reader, inbox)
            if self._record is not None:
                self._record.ended(reason, now_us())
            await inbox.put(FromConnection(self.number, Disconnected(reason)))
            # One that carries frames, but not every symbol, is no reason to give up, nor to try again at once.
            failures = 0 if reader.ready.is_set() or reader.asks_otherwise else failures + 1
            silent = 0 if reader.frames else silent + 1
            if silent == ATTEMPTS:
                raise UnavailableError(
                    f"{self._exchange.ws_url}: {ATTEMPTS} connections in vain, the last one: {reason}"
                )
            wait_s = pause_s(failures, first_s=_FIRST_PAUSE_S, longest_s=_LONGEST_PAUSE_S) * random.uniform(0.5, 1.0)
            logger("produce").warning(
                "connection ended", connection=self.number, reason=reason, again_in_s=round(wait_s, 2)
            )
            await asyncio.sleep(wait_s)

    async def _follow(self, reader: "_Reader", inbox: Inbox) -> str:
        """Read a connection and those that take over from it; returns why the last one ended."""
        self._ended = asyncio.get_running_loop().create_future()
        readers = [reader]
        try:
            while True:
                await _first(reader.task, self._ended, reader.leaving.wait())
                if self._ended.done():
                    return self._ended.result()
                if reader.task.done():
                    return reader.reason
                successor = _Reader(self, inbox, announces=False)
                readers = [*(each for each in readers if not each.task.done()), successor]
                await _first(reader.task, successor.task, self._ended, successor.ready.wait())
                if successor.ready.is_set() and not successor.task.done():
                    await _first(successor.task, self._ended, asyncio.sleep(OVERLAP_S))
                    reader.task.cancel()
                    reader = successor
                    if self._record is not None:
                        self._record.ended("handed over to the next connection", now_us())
                    logger("produce").info("connection handed over", connection=self.number)
                else:
                    successor.task.cancel()
                    await _first(reader.task, self._ended, asyncio.sleep(AGAIN_S))
        finally:
            for each in readers:
                each.task.cancel()
            await asyncio.gather(*(each.task for each in readers), return_exceptions=True)

    async def read(self, reader: "_Reader", inbox: Inbox) -> str:
        """Read one socket to its end; returns why it ended."""
        opening = self._exchange.opening(list(self.subscription_plan.symbols))
        opening = opening._replace(frames=self.subscription_plan.frames(opening))
        url = self._exchange.ws_url + opening.path
        closing = aiohttp.ClientWSTimeout(ws_close=_CLOSE_S)
        await self._pacing.turn()
        async with asyncio.timeout(CONNECT_TIMEOUT_S) as limit:
            async with self._http.ws_connect(
                url, timeout=closing, decode_text=False, max_msg_size=MAX_FRAME_BYTES
            ) as socket:
                if self._record is not None:
                    self._record.opened(url, now_us())
                if reader.announces:
                    await inbox.put(FromConnection(self.number, Connected(acknowledged=opening.acknowledged)))
                frames = Frames()
                filling = asyncio.create_task(frames.fill(socket))
                speaking = asyncio.create_task(self._speak(socket, opening))
                try:
                    reason = await self._listen(frames, inbox, opening, limit, reader)
                    if reason is None:
                        await filling  # it may have ended by an error
                        reason = f"closed by the server, code {socket.close_code}"
                    return reason
                finally:
                    speaking.cancel()
                    filling.cancel()
                    await asyncio.wait([filling])

    async def _speak(self, socket: "Socket", opening: Opening) -> None:
        """Send what opens the connection, and then what keeps it alive. Whatever fails here ends the reading too."""
        with suppress(aiohttp.ClientError, OSError):
            for frame in opening.frames:
                await self._send(socket, frame)
                await asyncio.sleep(opening.pause_s)
            keepalive = self._exchange.keepalive
            while keepalive is not None:
                await self._send(socket, keepalive.frame)
                await asyncio.sleep(keepalive.every_s)

    async def _send(self, socket: "Socket", frame: str) -> None:
        await socket.send_str(frame)
        if self._record is not None:
            self._record.sent(frame.encode(), now_us())

    async def _listen(
        self, frames: Frames, inbox: Inbox, opening: Opening, limit: asyncio.Timeout, reader: "_Reader"
    ) -> str | None:
        """Read what comes into the inbox; returns why we end the connection, None: the server did."""
        loop = asyncio.get_running_loop()
        symbols = dict(self.subscription_plan.symbols)  # adapters tell them by their places
        if opening.acknowledged:
            reader.expect(symbols, loop.time() + ACKNOWLEDGE_S + opening.pause_s * len(opening.frames))
        leaves_s = loop.time() + LIFE_S * random.uniform(0.95, 1.0)
        look_s = 0.0
        limit.reschedule(loop.time() + STALL_S)
        while (taken := await frames.take())[0]:
            for message in self._read(*taken, symbols, together=reader.ready.is_set()):
                if inbox.full:  # while we wait here, nobody takes frames: soon the socket is not read any more
                    limit.reschedule(None)
                    look_s = 0.0
                reason = await self._pass_on(message, reader, inbox)
                if reason is not None:
                    return reason
            now_s = loop.time()
            if now_s > leaves_s:
                reader.leaving.set()
            if now_s >= look_s:  # setting a timer costs more than reading a frame
                look_s = now_s + LOOK * STALL_S
                limit.reschedule(look_s + STALL_S)
        return None

    def _read(
        self, frames: Sequence[bytes], received_us: Sequence[int], symbols: Mapping[str, str], *, together: bool
    ) -> Iterator[Message | TradeFrames]:
        if self._record is not None:
            for frame, came_us in zip(frames, received_us, strict=True):
                self._record.received(frame, came_us)
        if together:
            return read_frames(self._exchange, frames, received_us, symbols)
        return (
            self._exchange.read(frame, symbols, came_us) for frame, came_us in zip(frames, received_us, strict=True)
        )

    async def _pass_on(self, message: Message | TradeFrames, reader: "_Reader", inbox: Inbox) -> str | None:
        """Put a message into the inbox; returns why the connection ends with it, None: it goes on."""
        count = len(message.frames) if isinstance(message, TradeFrames) else 1
        reader.frames += count
        await inbox.put(FromConnection(self.number, message), count)
        if isinstance(message, TradeFrames):
            return None
        if message.rejected is not None and await self._ends_with(message, reader, inbox):
            return f"the exchange does not take a subscription: {message.rejected}"
        return reader.note(message, asyncio.get_running_loop().time())

    async def _ends_with(self, message: Message, reader: "_Reader", inbox: Inbox) -> bool:
        """Leave out what a refusal is about; whether the connection ends with it."""
        refusal = self.subscription_plan.refuse(message)
        reader.leave_out(refusal.left_out)
        reader.asks_otherwise = refusal.is_understood
        if refusal.left_out:
            left_out = LeftOut(refusal.left_out, message.rejected or "")
            await inbox.put(FromConnection(self.number, left_out))
        return refusal.ends


class _Reader:
    """One socket that is read: whether it carries everything yet, and whether it has to be left soon."""

    def __init__(self, connection: Connection, inbox: Inbox, *, announces: bool) -> None:
        self.announces = announces
        """Whether the feed is told that there is a connection now."""
        self.frames = 0
        self.asks_otherwise = False
        """It ended because of a refusal, and the next one will ask otherwise."""
        self.ready, self.leaving = asyncio.Event(), asyncio.Event()
        self._missing: set[str] = set()  # what the exchange has yet to acknowledge
        self._acknowledged_by_s = 0.0
        self._plan = connection.subscription_plan
        self.task = asyncio.create_task(connection.read(self, inbox))

    def expect(self, natives: Iterable[str], by_s: float) -> None:
        """The exchange acknowledges each subscription; by this time it has to have done so."""
        self._missing, self._acknowledged_by_s = set(natives), by_s

    def leave_out(self, natives: Iterable[str]) -> None:
        """These are not subscribed to any more."""
        self._missing.difference_update(natives)

    def note(self, message: Message, now_s: float) -> str | None:
        """Note what a message says of the connection itself; returns why it has to end, None: it does not.

        It carries everything once all is acknowledged, and market time comes.
        """
        if not self.ready.is_set():
            self._missing.difference_update(message.accepted)
            if self._missing and now_s > self._acknowledged_by_s:
                return f"no acknowledgement of {len(self._missing)} subscriptions, such as {min(self._missing)}"
            if not self._missing and message.server_us:
                self.ready.set()
                self._plan.taken()
        if message.closing:
            self.leaving.set()
        return None

    @property
    def reason(self) -> str:
        """Why it ended. What nobody foresaw is raised."""
        error = self.task.exception()
        if error is None:
            return self.task.result()
        if isinstance(error, TimeoutError):
            return f"no frame for {STALL_S:.0f} s"
        if isinstance(error, aiohttp.ClientError | OSError | MalformedError):
            return f"{type(error).__name__} {error}".rstrip()
        raise error


async def _first(*awaited: "asyncio.Future[str] | Coroutine[Any, Any, Any]") -> None:
    """Wait until one of them is done; coroutines, which were made for this wait alone, are cancelled then."""
    own = [asyncio.ensure_future(each) for each in awaited if asyncio.iscoroutine(each)]
    given: list[asyncio.Future[Any]] = [each for each in awaited if isinstance(each, asyncio.Future)]
    try:
        await asyncio.wait([*own, *given], return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in own:
            task.cancel()


def split(symbols: Sequence[T], most: int) -> list[Sequence[T]]:
    """The symbols of each connection, at most `most` in one."""
    return [symbols[start : start + most] for start in range(0, len(symbols), most)]

"""One client's WebSocket: its subscriptions, its requests, and what is sent to it, whatever protocol it speaks.

Frames come ready from the tape and are written to the transport once a tick. The transport's buffer is the queue: a
client that lets it grow beyond its limit is dropped, as exchanges do.
"""

import asyncio
from collections import deque
from typing import Final

from aiohttp import WSMessage, WSMsgType, web

from producers.simulator.delivery import Delivery
from producers.simulator.faults import FaultPlan
from producers.simulator.frames import text_frame
from producers.simulator.neglect import Neglect
from producers.simulator.protocol import ConnectionLimits, PolicyError, StreamSession
from producers.simulator.settings import SimulatorSettings
from producers.simulator.tape import Channel, Entry, Tape

MAX_PENDING_ENTRIES = 200_000
POLICY_VIOLATION, GOING_AWAY = 1008, 1001
_MAX_REASON_BYTES = 123
_PING, _CLOSE = 0x89, 0x88
_CLOSE_S = 2.0


class StreamConnection:
    """The server's side of one WebSocket. Times `*_s` are on a monotonic clock."""

    def __init__(
        self,
        socket: web.WebSocketResponse,
        transport: asyncio.Transport,
        limits: ConnectionLimits,
        *,
        tape: Tape,
        plan: FaultPlan,
        settings: SimulatorSettings,
    ) -> None:
        self.pending: list[Entry] = []
        self.sent = 0
        self.names: Final[dict[str, Channel | None]] = {}
        self._socket, self._transport, self._limits = socket, transport, limits
        self._tape = tape
        self._settings, self._plan = settings, plan
        plan.done["connections"] += 1
        self._delivery = Delivery(plan, settings.seed, plan.done["connections"])
        self._neglect = Neglect(plan, settings.seed, plan.done["connections"])
        self._began_s = self._pinged_at_s = asyncio.get_running_loop().time()
        self._unanswered: dict[bytes, float] = {}
        self._closed_at_s: float | None = None
        self._arrivals: deque[float] = deque(maxlen=(limits.messages_per_s or 0) + 1)
        self._session: StreamSession | None = None
        self._has_spoken = False

    async def serve(self, session: StreamSession) -> None:
        """Answer until the client or the server closes."""
        self._session = session
        try:
            for text in session.begin():
                await self._socket.send_str(text)
        except PolicyError as error:
            self.close(POLICY_VIOLATION, str(error))
        async for message in self._socket:
            now_s = asyncio.get_running_loop().time()
            self._arrivals.append(now_s)
            most = self._limits.messages_per_s
            if most is not None and len(self._arrivals) > most and now_s - self._arrivals[0] < 1:
                self.close(POLICY_VIOLATION, "Too many requests")
            elif self._closed_at_s is None:
                await self._take(message, session)

    def take(self, name: str, channel: Channel | None, *, certain: bool = False) -> bool:
        """See `Subscriptions`."""
        if name in self.names:
            return True
        if channel is not None and not certain:
            symbol = channel.archive.instrument.symbol
            if self._neglect.leaves_out(symbol):
                return False
            if self._neglect.silences(symbol):
                channel = None
        self.names[name] = None if channel is None else self._tape.subscribe(self, channel)
        return True

    def leave(self, name: str) -> None:
        """See `Subscriptions`."""
        channel = self.names.pop(name, None)
        if channel is not None:
            self._tape.unsubscribe(self, channel)

    def end(self) -> None:
        """Remove all subscriptions from the tape."""
        self._forget()
        for name in list(self.names):
            self.leave(name)

    def flush(self, now_s: float) -> None:
        """Send what is pending; a closing connection sends nothing more."""
        if self._closed_at_s is not None or self._transport.is_closing():
            self.pending.clear()
            return
        if self._delivery.idle:
            frames = [entry[2] for entry in self.pending]
        else:
            frames = self._delivery.through(self.pending, now_s)
        self.pending.clear()
        if not frames:
            return
        self.sent += len(frames)
        self._write(b"".join(frames))
        self._bound(self._transport.get_write_buffer_size() > self._settings.send_buffer_bytes)

    def stall(self) -> None:
        """Send nothing; drop the connection where too much is pending."""
        self._bound(len(self.pending) > MAX_PENDING_ENTRIES)

    def keep_alive(self, now_s: float, now_ms: int) -> None:
        """Ping; close the connection where the client does not answer, or after its lifetime."""
        settings = self._settings
        if self._closed_at_s is not None:
            if now_s - self._closed_at_s > _CLOSE_S:
                self.drop()
        elif now_s - self._began_s > settings.life_s:
            self.close(GOING_AWAY, "connection has reached its age limit")
        elif not self._has_spoken and now_s - self._began_s > (self._limits.first_message_within_s or settings.life_s):
            self.close(POLICY_VIOLATION, "no subscription came in time")
        elif self._unanswered and now_s - next(iter(self._unanswered.values())) > settings.pong_s:
            self.close(GOING_AWAY, "Pong timeout")
        elif now_s - self._pinged_at_s >= settings.ping_s:
            payload = str(now_ms).encode()
            self._pinged_at_s = self._unanswered[payload] = now_s
            self._write(bytes((_PING, len(payload))) + payload)

    def announce_shutdown(self) -> None:
        """Say that the server is about to shut down, where the exchange says it."""
        notice = None if self._session is None else self._session.shutdown_notice()
        if notice is not None:
            self._write(text_frame(notice))

    def close(self, code: int, reason: str) -> None:
        """Send a close frame; the connection ends with the client's answer, or without it after a while."""
        if self._closed_at_s is None:
            self._closed_at_s = asyncio.get_running_loop().time()
            payload = code.to_bytes(2, "big") + reason.encode()[:_MAX_REASON_BYTES]
            self._write(bytes((_CLOSE, len(payload))) + payload)

    def _write(self, data: bytes) -> None:
        if not self._transport.is_closing():  # uvloop fails on a transport whose client has just gone
            self._transport.write(data)

    def drop(self) -> None:
        """Abort the connection without a close frame."""
        self._forget()
        self._transport.abort()

    def _forget(self) -> None:
        self._delivery.end(channel for channel in self.names.values() if channel is not None)

    def _bound(self, exceeded: bool) -> None:  # noqa: FBT001  # its only argument
        if exceeded:
            self._plan.done["slow_consumers"] += 1
            self.drop()

    async def _take(self, message: WSMessage, session: StreamSession) -> None:
        if message.type is WSMsgType.PING:
            await self._socket.pong(message.data)
        elif message.type is WSMsgType.PONG:
            # Unsolicited pongs are allowed, and prove nothing.
            if bytes(message.data) in self._unanswered:
                self._unanswered.clear()
        elif message.type is WSMsgType.TEXT:
            self._has_spoken = True
            try:
                for text in session.answer(message.data):
                    await self._socket.send_str(text)
            except PolicyError as error:
                self.close(POLICY_VIOLATION, str(error))

"""One client's WebSocket: its subscriptions, its requests, and what is sent to it.

Frames come ready from the tape and are written to the transport once a tick. The transport's buffer is the queue: a
client that lets it grow beyond its limit is dropped, as on Binance.
"""

import asyncio
from collections import deque
from typing import Any

import orjson
from aiohttp import WSMessage, WSMsgType, web

from producers.simulator.delivery import Delivery
from producers.simulator.faults import FaultPlan
from producers.simulator.frames import text_frame
from producers.simulator.payloads import combined, shutdown_event
from producers.simulator.settings import SimulatorSettings
from producers.simulator.tape import Channel, Entry, Form, Tape

MAX_STREAMS = 1_024
MAX_MESSAGES_PER_S = 5
MAX_PENDING_ENTRIES = 200_000
POLICY_VIOLATION, GOING_AWAY = 1008, 1001
_PING, _CLOSE = 0x89, 0x88
_CLOSE_S = 2.0
_METHODS = ("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY")
_MAX_ID = 1 << 63
_MAX_ID_TEXT = 36


class RequestError(Exception):
    """A request that Binance answers with a code and a message."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class StreamConnection:
    """The server's side of one WebSocket. Times `*_s` are on a monotonic clock."""

    def __init__(
        self,
        socket: web.WebSocketResponse,
        transport: asyncio.Transport,
        form: Form,
        *,
        tape: Tape,
        plan: FaultPlan,
        settings: SimulatorSettings,
    ) -> None:
        self.pending: list[Entry] = []
        self.sent = 0
        self._socket, self._transport = socket, transport
        self._tape, self._form = tape, form
        self._settings, self._plan = settings, plan
        plan.done["connections"] += 1
        self._delivery = Delivery(plan, settings.seed, plan.done["connections"])
        self._streams: dict[str, Channel | None] = {}
        self._began_s = self._pinged_at_s = asyncio.get_running_loop().time()
        self._unanswered: dict[bytes, float] = {}
        self._closed_at_s: float | None = None
        self._arrivals: deque[float] = deque(maxlen=MAX_MESSAGES_PER_S + 1)

    async def serve(self) -> None:
        """Answer until the client or the server closes."""
        async for message in self._socket:
            now_s = asyncio.get_running_loop().time()
            self._arrivals.append(now_s)
            if len(self._arrivals) > MAX_MESSAGES_PER_S and now_s - self._arrivals[0] < 1:
                self.close(POLICY_VIOLATION, "Too many requests")
            elif self._closed_at_s is None:
                await self._take(message)

    def subscribe(self, streams: list[str]) -> None:
        """Add streams; `RequestError` beyond 1,024."""
        if len(self._streams.keys() | set(streams)) > MAX_STREAMS:
            raise RequestError(2, f"Invalid request: more than {MAX_STREAMS} streams")
        for stream in streams:
            if stream not in self._streams:
                self._streams[stream] = self._tape.subscribe(self, stream, self._form)

    def leave(self) -> None:
        """Remove all subscriptions from the tape."""
        self._end()
        self._unsubscribe(list(self._streams))

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
        elif self._unanswered and now_s - next(iter(self._unanswered.values())) > settings.pong_s:
            self.close(GOING_AWAY, "Pong timeout")
        elif now_s - self._pinged_at_s >= settings.ping_s:
            payload = str(now_ms).encode()
            self._pinged_at_s = self._unanswered[payload] = now_s
            self._write(bytes((_PING, len(payload))) + payload)

    def announce_shutdown(self, now_ms: int) -> None:
        """Say that the server is about to shut down."""
        event = shutdown_event(now_ms, self._form.unit)
        self._write(text_frame(combined("!serverShutdown", event) if self._form.combined else event))

    def close(self, code: int, reason: str) -> None:
        """Send a close frame; the connection ends with the client's answer, or without it after a while."""
        if self._closed_at_s is None:
            self._closed_at_s = asyncio.get_running_loop().time()
            payload = code.to_bytes(2, "big") + reason.encode()
            self._write(bytes((_CLOSE, len(payload))) + payload)

    def _write(self, data: bytes) -> None:
        if not self._transport.is_closing():  # uvloop fails on a transport whose client has just gone
            self._transport.write(data)

    def drop(self) -> None:
        """Abort the connection without a close frame."""
        self._end()
        self._transport.abort()

    def _end(self) -> None:
        self._delivery.end(channel for channel in self._streams.values() if channel is not None)

    def _bound(self, exceeded: bool) -> None:  # noqa: FBT001  # its only argument
        if exceeded:
            self._plan.done["slow_consumers"] += 1
            self.drop()

    async def _take(self, message: WSMessage) -> None:
        if message.type is WSMsgType.PING:
            await self._socket.pong(message.data)
        elif message.type is WSMsgType.PONG:
            # Unsolicited pongs are allowed, and prove nothing.
            if bytes(message.data) in self._unanswered:
                self._unanswered.clear()
        elif message.type is WSMsgType.TEXT:
            await self._socket.send_str(self._answer(message.data))

    def _answer(self, text: str) -> str:
        request_id = None
        try:
            request = _parsed(text)
            request_id = request.get("id")
            return orjson.dumps({"result": self._result(request), "id": request_id}).decode()
        except RequestError as error:
            answer: dict[str, Any] = {"code": error.code, "msg": str(error)}
            if request_id is not None:
                answer["id"] = request_id
            return orjson.dumps(answer).decode()

    def _result(self, request: dict[str, Any]) -> Any:
        method, params = request["method"], request.get("params", [])
        if method == "LIST_SUBSCRIPTIONS":
            return list(self._streams)
        if not isinstance(params, list):
            raise RequestError(2, "Invalid request: invalid type, expected a sequence")
        if method.endswith("_PROPERTY"):
            return self._property(params, change=method == "SET_PROPERTY")
        if not params or not all(isinstance(stream, str) for stream in params):
            raise RequestError(2, "Invalid request: params must be a sequence of strings")
        if method == "SUBSCRIBE":
            self.subscribe(params)
        else:
            self._unsubscribe(params)
        return None

    def _unsubscribe(self, streams: list[str]) -> None:
        for stream in streams:
            channel = self._streams.pop(stream, None)
            if channel is not None:
                self._tape.unsubscribe(self, channel)

    def _property(self, params: list[Any], *, change: bool) -> bool | None:
        if not params or not isinstance(params[0], str):
            raise RequestError(2, "Invalid request: property name must be a string")
        if params[0] != "combined":
            raise RequestError(0, "Unknown property")
        if not change:
            return self._form.combined
        if len(params) != 2 or not isinstance(params[1], bool):  # noqa: PLR2004  # name and value
            raise RequestError(1, "Invalid value type: expected Boolean")
        streams = list(self._streams)
        self._unsubscribe(streams)
        self._form = Form(self._form.unit, combined=params[1])
        self.subscribe(streams)
        return None


def _parsed(text: str) -> dict[str, Any]:
    try:
        request = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise RequestError(3, f"Invalid JSON: expected value at line {error.lineno} column {error.colno}") from error
    if not isinstance(request, dict) or "method" not in request:
        raise RequestError(2, f"Invalid request: missing field `method` at line 1 column {len(text)}")
    if request["method"] not in _METHODS:
        expected = ", ".join(f"`{method}`" for method in _METHODS)
        raise RequestError(
            2, f"Invalid request: unknown variant `{request['method']}`, expected one of {expected} at line 1 column 28"
        )
    if not _is_request_id(request.get("id", ...)):
        raise RequestError(2, "Invalid request: request ID must be an unsigned integer")
    if request.keys() - {"method", "params", "id"}:
        raise RequestError(2, "Invalid request: too many parameters")
    return request


def _is_request_id(value: Any) -> bool:
    if isinstance(value, str):
        return value.isalnum() and len(value) <= _MAX_ID_TEXT
    return value is None or (isinstance(value, int) and not isinstance(value, bool) and abs(value) < _MAX_ID)

"""How Binance's WebSockets are spoken to, spot and futures: streams by URL or by request, raw or combined.

Source: `web-socket-streams.md` of Binance's spot documentation ("Live Subscribing/Unsubscribing to streams").
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import orjson

from producers.simulator.protocol import ConnectionOpening, PolicyError, Subscriptions
from producers.simulator.protocols.binance_messages import combined, shutdown_event
from producers.simulator.tape import Channel

MAX_STREAMS = 1_024
_METHODS = ("SUBSCRIBE", "UNSUBSCRIBE", "LIST_SUBSCRIPTIONS", "SET_PROPERTY", "GET_PROPERTY")
_MAX_ID = 1 << 63
_MAX_ID_TEXT = 36


class RequestError(Exception):
    """A request that Binance answers with a code and a message."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


class Form(NamedTuple):
    """How a connection wants its messages: times in ms (1) or µs (1,000), and wrapped with the stream's name or not."""

    unit: int
    combined: bool


class BinanceSession:
    """One connection (a `StreamSession`). `channel` makes a stream's channel; None: there is no such stream."""

    def __init__(
        self,
        opening: ConnectionOpening,
        subscriptions: Subscriptions,
        *,
        channel: Callable[[str, Form], Channel | None],
        now_ms: Callable[[], int],
    ) -> None:
        micro = opening.values.get("timeUnit", "").upper() == "MICROSECOND"
        self._form = Form(1_000 if micro else 1, combined=opening.path.rstrip("/").endswith("/stream"))
        self._opening, self._subscriptions = opening, subscriptions
        self._channel, self._now_ms = channel, now_ms

    def begin(self) -> Sequence[str]:
        """See `StreamSession`: the URL may name streams."""
        try:
            self._subscribe([stream for stream in self._opening.values.get("streams", "").split("/") if stream])
        except RequestError as error:
            raise PolicyError(str(error)) from error
        return ()

    def shutdown_notice(self) -> str:
        """See `StreamSession`."""
        event = shutdown_event(self._now_ms(), self._form.unit)
        return combined("!serverShutdown", event) if self._form.combined else event

    def answer(self, text: str) -> Sequence[str]:
        """See `StreamSession`."""
        request_id = None
        try:
            request = _parsed(text)
            request_id = request.get("id")
            return (orjson.dumps({"result": self._result(request), "id": request_id}).decode(),)
        except RequestError as error:
            answer: dict[str, Any] = {"code": error.code, "msg": str(error)}
            if request_id is not None:
                answer["id"] = request_id
            return (orjson.dumps(answer).decode(),)

    def _result(self, request: dict[str, Any]) -> Any:
        method, params = request["method"], request.get("params", [])
        if method == "LIST_SUBSCRIPTIONS":
            return list(self._subscriptions.names)
        if not isinstance(params, list):
            raise RequestError(2, "Invalid request: invalid type, expected a sequence")
        if method.endswith("_PROPERTY"):
            return self._property(params, change=method == "SET_PROPERTY")
        if not params or not all(isinstance(stream, str) for stream in params):
            raise RequestError(2, "Invalid request: params must be a sequence of strings")
        if method == "SUBSCRIBE":
            self._subscribe(params)
        else:
            self._unsubscribe(params)
        return None

    def _subscribe(self, streams: list[str]) -> None:
        if len(self._subscriptions.names.keys() | set(streams)) > MAX_STREAMS:
            raise RequestError(2, f"Invalid request: more than {MAX_STREAMS} streams")
        for stream in streams:
            self._subscriptions.take(stream, self._channel(stream, self._form))

    def _unsubscribe(self, streams: list[str]) -> None:
        for stream in streams:
            self._subscriptions.leave(stream)

    def _property(self, params: list[Any], *, change: bool) -> bool | None:
        if not params or not isinstance(params[0], str):
            raise RequestError(2, "Invalid request: property name must be a string")
        if params[0] != "combined":
            raise RequestError(0, "Unknown property")
        if not change:
            return self._form.combined
        if len(params) != 2 or not isinstance(params[1], bool):  # noqa: PLR2004  # name and value
            raise RequestError(1, "Invalid value type: expected Boolean")
        streams = list(self._subscriptions.names)
        self._unsubscribe(streams)
        self._form = Form(self._form.unit, combined=params[1])
        self._subscribe(streams)
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

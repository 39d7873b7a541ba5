"""What the REST APIs of Binance's spot and futures share: parameters, errors, weights."""

import time
from collections.abc import Iterable, Mapping

import orjson

from market.timeframe import MINUTE_MS
from producers.simulator.archive import Archive
from producers.simulator.klines import INTERVALS_MS, Kline, klines
from producers.simulator.limits import TOO_MANY, LimitVerdict
from producers.simulator.protocol import Reply, ReplyError, RestQuery

DEFAULT_LIMIT, MAX_LIMIT = 500, 1_000
MAX_KLINE_MINUTES = 2_880
"""A request for klines reads at most two days of trades: the rows beyond are left out (ask again from the last)."""
_BAD_REQUEST, _INTERNAL_ERROR = 400, 500
_LEGAL = "^[0-9]{1,20}$"
_MAX_DIGITS = 20


def api_error(code: int, message: str) -> ReplyError:
    """An answer ``{"code": …, "msg": …}``; see `errors.md` of Binance's documentation."""
    return ReplyError(Reply(orjson.dumps({"code": code, "msg": message}), _BAD_REQUEST))


class BinanceQuery:
    """A request's parameters, read the way Binance does."""

    def __init__(self, query: RestQuery, max_limit: int = MAX_LIMIT) -> None:
        self.values, self._max_limit = query.values, max_limit
        self.unit = 1_000 if query.headers.get("X-MBX-TIME-UNIT", "").upper() == "MICROSECOND" else 1

    def number(self, name: str) -> int | None:
        """A whole number, or None where it was not sent."""
        text = self.values.get(name)
        if text is None:
            return None
        if not (text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS):
            raise api_error(-1100, f"Illegal characters found in parameter '{name}'; legal range is '{_LEGAL}'.")
        return int(text)

    def time_ms(self, name: str) -> int | None:
        """A time, which may be sent in microseconds too."""
        value = self.number(name)
        return value // 1_000 if value is not None and value >= 10**14 else value

    def text(self, name: str) -> str:
        """A parameter that has to be there."""
        value = self.values.get(name)
        if not value:
            raise api_error(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")
        return value

    @property
    def limit(self) -> int:
        """How many rows at most."""
        limit = self.number("limit")
        return DEFAULT_LIMIT if limit is None else max(1, min(limit, self._max_limit))


async def asked_klines(archive: Archive, query: BinanceQuery, now_ms: int) -> list[Kline]:
    """The klines of ``interval``, ``startTime``, ``endTime`` and ``limit``."""
    length_ms = INTERVALS_MS.get(query.text("interval"))
    if length_ms is None:
        raise api_error(-1120, "Invalid interval.")
    rows_within = min(query.limit, max(1, MAX_KLINE_MINUTES * MINUTE_MS // length_ms))
    start_ms, end_ms = query.time_ms("startTime"), query.time_ms("endTime")
    last_ms = min(now_ms, now_ms if end_ms is None else end_ms) // length_ms * length_ms
    if start_ms is None:
        first_ms = last_ms - (rows_within - 1) * length_ms
    else:
        first_ms = -(-start_ms // length_ms) * length_ms
        last_ms = min(last_ms, first_ms + (rows_within - 1) * length_ms)
    return await klines(archive, first_ms, last_ms, length_ms, now_ms)


def names_in(text: str) -> list[str]:
    """Symbols as a JSON array."""
    try:
        names = orjson.loads(text)
    except orjson.JSONDecodeError:
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise api_error(-1100, "Illegal characters found in parameter 'symbols'; legal range is '[\"BTCUSDT\",…]'.")
    return names


def weight_headers(verdict: LimitVerdict) -> Mapping[str, str]:
    """The weight that the client's address has used this minute."""
    return {"X-MBX-USED-WEIGHT": str(verdict.used), "X-MBX-USED-WEIGHT-1M": str(verdict.used)}


def too_much_weight(verdict: LimitVerdict, per_minute: int) -> Reply:
    """The answer to a client that asks too much."""
    message = (
        f"Too much request weight used; current limit is {per_minute} request weight per 1 MINUTE. "
        "Please use WebSocket Streams for live updates to avoid polling the API."
        if verdict.status == TOO_MANY
        else f"Way too much request weight used; IP banned until {int(time.time() + verdict.retry_after_s) * 1_000}. "
        "Please use WebSocket Streams for live updates to avoid bans."
    )
    body = orjson.dumps({"code": -1003, "msg": message})
    return Reply(body, verdict.status, {"Retry-After": str(verdict.retry_after_s)})


def internal_error() -> Reply:
    """The answer where the exchange's own database fails."""
    message = "Internal error; unable to process your request. Please try again."
    return Reply(orjson.dumps({"code": -1001, "msg": message}), _INTERNAL_ERROR)


def array_of(rows: Iterable[str]) -> bytes:
    """Rows as a JSON array."""
    return f"[{','.join(rows)}]".encode()

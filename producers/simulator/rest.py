"""Binance's REST market data: `/api/v3/…`, with its weights, limits and errors."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass

import orjson
from aiohttp import web

from market.timeframe import MINUTE_MS
from producers.simulator.archive import Archive, WithheldError
from producers.simulator.exchange import SimulatedExchange
from producers.simulator.klines import INTERVALS_MS, Kline
from producers.simulator.limits import OK, TOO_MANY, WEIGHT_PER_MINUTE, LimitVerdict, WeightMeter
from producers.simulator.pages import Pages
from producers.simulator.payloads import aggregate_row, symbol_info

DEFAULT_LIMIT, MAX_LIMIT = 500, 1_000
MAX_KLINE_MINUTES = 2_880
"""A request for klines reads at most two days of trades: the rows beyond are left out (ask again from the last)."""

_BAD_REQUEST, _INTERNAL_ERROR = 400, 500
_LEGAL = "^[0-9]{1,20}$"
_MAX_DIGITS = 20


class ApiError(Exception):
    """An answer ``{"code": …, "msg": …}``; see `errors.md` of Binance's documentation."""

    def __init__(self, code: int, message: str, status: int = _BAD_REQUEST) -> None:
        super().__init__(message)
        self.code, self.status = code, status


@dataclass(frozen=True)
class Query:
    """A request's parameters, read the way Binance does."""

    values: Mapping[str, str]
    unit: int

    def number(self, name: str) -> int | None:
        """A whole number, or None where it was not sent."""
        text = self.values.get(name)
        if text is None:
            return None
        if not (text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS):
            raise ApiError(-1100, f"Illegal characters found in parameter '{name}'; legal range is '{_LEGAL}'.")
        return int(text)

    def time_ms(self, name: str) -> int | None:
        """A time, which may be sent in microseconds too."""
        value = self.number(name)
        return value // 1_000 if value is not None and value >= 10**14 else value

    def text(self, name: str) -> str:
        """A parameter that has to be there."""
        value = self.values.get(name)
        if not value:
            raise ApiError(-1102, f"Mandatory parameter '{name}' was not sent, was empty/null, or malformed.")
        return value

    @property
    def limit(self) -> int:
        """How many rows at most."""
        limit = self.number("limit")
        return DEFAULT_LIMIT if limit is None else max(1, min(limit, MAX_LIMIT))


Answer = Callable[[Query], Awaitable[bytes]]


class Rest:
    """The REST side of an exchange."""

    def __init__(self, exchange: SimulatedExchange) -> None:
        self._exchange = exchange
        self._meter = WeightMeter()
        self._pages = Pages(exchange.plan, exchange.settings.seed)

    def routes(self) -> list[web.RouteDef]:
        """The endpoints and their weights."""
        endpoints: tuple[tuple[str, int, Answer], ...] = (
            ("ping", 1, self._ping),
            ("time", 1, self._time),
            ("exchangeInfo", 20, self._exchange_info),
            ("trades", 25, self._trades),
            ("historicalTrades", 25, self._historical_trades),
            ("aggTrades", 4, self._aggregates),
            ("klines", 2, self._klines),
        )
        return [web.get(f"/api/v3/{name}", self._handler(weight, answer)) for name, weight, answer in endpoints]

    def _handler(self, weight: int, answer: Answer) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            verdict = self._verdict(request.remote or "", weight)
            headers = {"X-MBX-USED-WEIGHT": str(verdict.used), "X-MBX-USED-WEIGHT-1M": str(verdict.used)}
            if verdict.status != OK:
                headers["Retry-After"] = str(verdict.retry_after_s)
                return _response(_too_much(verdict), verdict.status, headers)
            micro = request.headers.get("X-MBX-TIME-UNIT", "").upper() == "MICROSECOND"
            try:
                return _response(await answer(Query(request.query, 1_000 if micro else 1)), OK, headers)
            except ApiError as error:
                return _response(orjson.dumps({"code": error.code, "msg": str(error)}), error.status, headers)
            except WithheldError:
                message = "Internal error; unable to process your request. Please try again."
                return _response(orjson.dumps({"code": -1001, "msg": message}), _INTERNAL_ERROR, headers)

        return handle

    def _verdict(self, address: str, weight: int) -> LimitVerdict:
        verdict = self._meter.charge(address, weight, time.time())
        limited_s = self._exchange.rest_429_for_s
        if verdict.status == OK and limited_s:
            self._exchange.plan.done["rest_refused"] += 1
            return LimitVerdict(TOO_MANY, verdict.used, int(limited_s) + 1)
        return verdict

    def _archive(self, query: Query) -> Archive:
        archive = self._exchange.archives.get(query.text("symbol"))
        if archive is None:
            raise ApiError(-1121, "Invalid symbol.")
        return archive

    async def _ping(self, _: Query) -> bytes:
        return b"{}"

    async def _time(self, query: Query) -> bytes:
        return orjson.dumps({"serverTime": self._exchange.now_us * query.unit // 1_000})

    async def _exchange_info(self, query: Query) -> bytes:
        archives = self._exchange.archives
        names: Iterable[str] = archives
        if "symbol" in query.values:
            names = [query.values["symbol"]]
        elif "symbols" in query.values:
            names = _names(query.values["symbols"])
        if any(name not in archives for name in names):
            raise ApiError(-1121, "Invalid symbol.")
        weight = {"rateLimitType": "REQUEST_WEIGHT", "interval": "MINUTE", "intervalNum": 1, "limit": WEIGHT_PER_MINUTE}
        return orjson.dumps(
            {
                "timezone": "UTC",
                "serverTime": self._exchange.now_us * query.unit // 1_000,
                "rateLimits": [weight],
                "exchangeFilters": [],
                "symbols": [symbol_info(archives[name].instrument) for name in names],
            }
        )

    async def _trades(self, query: Query) -> bytes:
        archive = self._archive(query)
        return _array(self._pages.newest(archive, query.limit, self._exchange.now_ms, query.unit))

    async def _historical_trades(self, query: Query) -> bytes:
        archive, from_id = self._archive(query), query.number("fromId")
        if from_id is None:
            return await self._trades(query)
        return _array(self._pages.from_id(archive, from_id, query.limit, self._exchange.now_ms, query.unit))

    async def _aggregates(self, query: Query) -> bytes:
        archive, from_id, now_ms = self._archive(query), query.number("fromId"), self._exchange.now_ms
        start_ms, end_ms = query.time_ms("startTime"), query.time_ms("endTime")
        if from_id is not None:
            if start_ms is not None or end_ms is not None:
                raise ApiError(-1128, "Combination of optional parameters invalid.")
            rows = archive.aggregates_from(from_id, query.limit, now_ms)
        elif start_ms is not None:
            rows = archive.aggregates_between(start_ms, now_ms if end_ms is None else min(end_ms, now_ms), query.limit)
        else:
            rows = archive.newest_aggregates(query.limit, now_ms if end_ms is None else min(end_ms, now_ms))
        return _array(aggregate_row(archive.instrument, row, query.unit) for row in rows)

    async def _klines(self, query: Query) -> bytes:
        archive, now_ms = self._archive(query), self._exchange.now_ms
        length_ms = INTERVALS_MS.get(query.text("interval"))
        if length_ms is None:
            raise ApiError(-1120, "Invalid interval.")
        rows_within = min(query.limit, max(1, MAX_KLINE_MINUTES * MINUTE_MS // length_ms))
        start_ms, end_ms = query.time_ms("startTime"), query.time_ms("endTime")
        last_ms = min(now_ms, now_ms if end_ms is None else end_ms) // length_ms * length_ms
        if start_ms is None:
            first_ms = last_ms - (rows_within - 1) * length_ms
        else:
            first_ms = -(-start_ms // length_ms) * length_ms
            last_ms = min(last_ms, first_ms + (rows_within - 1) * length_ms)
        rows: list[bytes] = []
        price = archive.ticks_before(first_ms) if first_ms <= last_ms else None
        for open_ms in range(first_ms, last_ms + 1, length_ms):
            kline = await _kline(archive, open_ms, length_ms, price or 0, now_ms)
            if kline.trades:
                price = kline.close
            if price is not None:
                row = kline.rest_row(archive.instrument)
                row[0], row[6] = open_ms * query.unit, (open_ms + length_ms) * query.unit - 1
                rows.append(orjson.dumps(row))
        return b"[" + b",".join(rows) + b"]"


async def _kline(archive: Archive, open_ms: int, length_ms: int, price_before: int, now_ms: int) -> Kline:
    """A kline as far as it has happened. Other tasks run between minutes: a day may have a million trades."""
    kline = Kline(open_ms, length_ms, price_before)
    end_ms = min(open_ms + length_ms, now_ms + 1)
    for minute_ms in range(open_ms, end_ms, MINUTE_MS):
        kline.add(archive.between(minute_ms, min(minute_ms + MINUTE_MS, end_ms)))
        await asyncio.sleep(0)
    return kline


def _names(text: str) -> list[str]:
    try:
        names = orjson.loads(text)
    except orjson.JSONDecodeError:
        names = None
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise ApiError(-1100, "Illegal characters found in parameter 'symbols'; legal range is '[\"BTCUSDT\",…]'.")
    return names


def _too_much(verdict: LimitVerdict) -> bytes:
    message = (
        f"Too much request weight used; current limit is {WEIGHT_PER_MINUTE} request weight per 1 MINUTE. "
        "Please use WebSocket Streams for live updates to avoid polling the API."
        if verdict.status == TOO_MANY
        else f"Way too much request weight used; IP banned until {int(time.time() + verdict.retry_after_s) * 1_000}. "
        "Please use WebSocket Streams for live updates to avoid bans."
    )
    return orjson.dumps({"code": -1003, "msg": message})


def _array(rows: Iterable[str]) -> bytes:
    return f"[{','.join(rows)}]".encode()


def _response(body: bytes, status: int, headers: Mapping[str, str]) -> web.Response:
    return web.Response(body=body, status=status, headers=headers, content_type="application/json", charset="utf-8")

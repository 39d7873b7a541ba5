"""The paths of TradingView's UDF: ``/udf/config``, ``symbols``, ``search``, ``history``, ``marks`` and ``time``.

What is wrong is told as ``{"s": "error", "errmsg": …}`` with status 200, as TradingView's sample server does: the
library reads the body alone.
"""

import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import APIRouter, Request, Response

from market.fields import MAX_TIME_US
from market.instrument import Instrument
from market.key import MarketKey
from serving.errors import NoTierError, TooMuchError, TooSparseError
from serving.held import HeldSpans
from serving.instrument_lists import AGAIN_S, KEPT_S, InstrumentLists
from serving.lengths import CandleLength
from serving.neighbours import Neighbours
from serving.planner import MAX_CANDLES
from serving.present import PresentCandles, PresentQuestion
from serving.responses import RETRY_AFTER_S
from serving.tiers import Tiers
from serving.udf.bars import history, marks_of, marks_table, no_data
from serving.udf.resolutions import SUPPORTED, length_of
from serving.udf.symbols import TYPES, resolved, search_result, searched, symbol_info
from serving.walk import read_present

_SEARCHED_DEFAULT, _SEARCHED_MOST = 30, 100
_MOST_MARKED = 2_000
"""Candles looked through for marks: the latest of the time that is shown."""
_ALL = {"value": "", "name": "All exchanges", "desc": ""}
_MOST_DIGITS = 15
_TEXT, _SECONDS = {"type": "string"}, {"type": "integer"}
_PARAMETERS: dict[str, dict[str, Any]] = {
    "symbol": _TEXT,
    "resolution": _TEXT,
    "from": _SECONDS,
    "to": _SECONDS,
    "countback": {"type": "integer", "minimum": 1},
    "query": _TEXT,
    "type": _TEXT,
    "exchange": _TEXT,
    "limit": {"type": "integer", "minimum": 1, "maximum": _SEARCHED_MOST},
}


Asked = Callable[[dict[str, str]], Awaitable[Any]]


class UdfError(Exception):
    """A question that cannot be answered."""


class UdfApi:
    """All methods raise `UdfError`, `NoTierError`, `TooMuchError` and `TooSparseError`; parameters are as sent."""

    def __init__(self, tiers: Tiers, held: HeldSpans, lists: InstrumentLists) -> None:
        self._tiers = tiers
        self._held = held
        self._lists = lists

    async def config(self, given: dict[str, str]) -> Any:  # noqa: ARG002  # as the others
        """What this server can do."""
        exchanges = [{"value": name, "name": name, "desc": name} for name in await self._lists.exchanges()]
        return {
            "supports_search": True,
            "supports_group_request": False,
            "supports_marks": True,
            "supports_timescale_marks": False,
            "supports_time": True,
            "supported_resolutions": list(SUPPORTED),
            "exchanges": [_ALL, *exchanges],
            "symbols_types": [{"name": "All types", "value": ""}, *({"name": name, "value": name} for name in TYPES)],
        }

    async def time(self, given: dict[str, str]) -> Any:  # noqa: ARG002  # as the others
        """The server's clock."""
        return int(time.time())

    async def symbols(self, given: dict[str, str]) -> Any:
        """One symbol."""
        return symbol_info(await self._instrument(given))

    async def search(self, given: dict[str, str]) -> Any:
        """Symbols with a text in their names."""
        exchange = given.get("exchange", "")
        names = [exchange] if exchange else await self._lists.exchanges()
        instruments = [instrument for name in names for instrument in await self._lists.of(name)]
        limit = _whole(given, "limit") if "limit" in given else _SEARCHED_DEFAULT
        matches = searched(
            instruments, given.get("query", ""), given.get("type", ""), min(max(limit, 1), _SEARCHED_MOST)
        )
        return [search_result(instrument) for instrument in matches]

    async def history(self, given: dict[str, str]) -> Any:
        """The last bars before ``to``: ``countback`` of them, or those from ``from`` on; at most `MAX_CANDLES`."""
        market, length = (await self._instrument(given)).market, _length(given)
        until_ms = _time_ms(given, "to")
        if "countback" in given:
            from_ms, limit = 0, _whole(given, "countback")
        else:
            from_ms, limit = _time_ms(given, "from"), MAX_CANDLES
        limit = min(max(limit, 1), MAX_CANDLES)
        present = await self._last(market, length, from_ms=from_ms, until_ms=until_ms, limit=limit)
        if present.candles:
            return history([sourced.candle for sourced in present.candles.values()])
        previous_ms = (
            await Neighbours(self._tiers, self._held, market, length).previous_ms(from_ms) if from_ms else None
        )
        return no_data(None if previous_ms is None else length.open_ms(previous_ms))

    async def marks(self, given: dict[str, str]) -> Any:
        """Holes, missing and incomplete candles between ``from`` and ``to``."""
        market, length = (await self._instrument(given)).market, _length(given)
        present = await self._last(
            market, length, from_ms=_time_ms(given, "from"), until_ms=_time_ms(given, "to"), limit=_MOST_MARKED
        )
        return marks_table(marks_of(length, [sourced.candle for sourced in present.candles.values()]))

    async def _last(
        self, market: MarketKey, length: CandleLength, *, from_ms: int, until_ms: int, limit: int
    ) -> PresentCandles:
        question = PresentQuestion(
            market=market, length=length, from_ms=from_ms, until_ms=until_ms, limit=limit, is_last=True
        )
        return await read_present(self._tiers, self._held, question, now_ms=time.time_ns() // 1_000_000)

    async def _instrument(self, given: dict[str, str]) -> Instrument:
        """The instrument of ``EXCHANGE:SYMBOL``, or of a symbol that one exchange alone has."""
        symbol = _text(given, "symbol")
        market = MarketKey.parse(symbol) if ":" in symbol else None
        for kept_s in (KEPT_S, AGAIN_S):
            if market is not None:
                instruments = await self._lists.of(market.exchange, kept_s=kept_s)
            else:
                exchanges = await self._lists.exchanges()
                instruments = [each for name in exchanges for each in await self._lists.of(name, kept_s=kept_s)]
            instrument = resolved(instruments, symbol if market is None else market.symbol)
            if instrument is not None:
                return instrument
        raise UdfError(f"unknown_symbol {symbol}")


def udf_routes(tiers: Tiers, held: HeldSpans, lists: InstrumentLists) -> APIRouter:
    """The routes."""
    api, routes = UdfApi(tiers, held, lists), APIRouter(prefix="/udf")
    asked: dict[str, tuple[Asked, str, tuple[str, ...], tuple[str, ...]]] = {
        "config": (api.config, "what this server can do", (), ()),
        "time": (api.time, "the server's clock", (), ()),
        "symbols": (api.symbols, "one symbol", ("symbol",), ("symbol",)),
        "search": (api.search, "symbols by name", ("query", "type", "exchange", "limit"), ()),
        "history": (
            api.history, "bars", ("symbol", "resolution", "from", "to", "countback"), ("symbol", "resolution", "to"),
        ),
        "marks": (api.marks, "what is incomplete", *(("symbol", "resolution", "from", "to"),) * 2),
    }  # fmt: skip
    for name, (ask, summary, parameters, required) in asked.items():
        described = [
            {"name": each, "in": "query", "required": each in required, "schema": _PARAMETERS[each]}
            for each in parameters
        ]
        routes.get(
            f"/{name}", summary=f"TradingView: {summary}", name=f"/udf/{name}", openapi_extra={"parameters": described}
        )(_route(ask))
    return routes


def _route(ask: Asked) -> Callable[[Request], Awaitable[Response]]:
    """The one place where what goes wrong is told in the protocol's form."""

    async def route(request: Request) -> Response:
        try:
            body = await ask(dict(request.query_params))
        except (UdfError, TooMuchError, TooSparseError) as error:
            return _told(error, HTTPStatus.OK)
        except NoTierError as error:
            return _told(error, HTTPStatus.SERVICE_UNAVAILABLE, {"Retry-After": str(RETRY_AFTER_S)})
        return Response(orjson.dumps(body), HTTPStatus.OK, media_type="application/json")

    return route


def _told(error: Exception, status: HTTPStatus, headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps({"s": "error", "errmsg": str(error)}), status, headers, media_type="application/json")


def _text(given: dict[str, str], name: str) -> str:
    if not given.get(name):
        raise UdfError(f"{name} is missing")
    return given[name]


def _whole(given: dict[str, str], name: str) -> int:
    text = _text(given, name)
    if not (text.isascii() and text.removeprefix("-").isdigit() and len(text) <= _MOST_DIGITS):
        raise UdfError(f"{name} is no whole number")
    return int(text)


def _time_ms(given: dict[str, str], name: str) -> int:
    """A time in seconds, of those that records can have: a chart that is scrolled far asks for others too."""
    return min(max(_whole(given, name) * 1000, 0), MAX_TIME_US // 1000 - 1)


def _length(given: dict[str, str]) -> CandleLength:
    try:
        return length_of(_text(given, "resolution"))
    except ValueError as error:
        raise UdfError(str(error)) from error

"""The paths of Binance's spot API: ``/api/v3/…`` for Binance itself, ``/exchange/NAME/api/v3/…`` for any exchange."""

from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any, NamedTuple

import orjson
from fastapi import APIRouter, Request, Response

from serving.binance.klines import INTERVALS
from serving.binance.parameters import DEFAULT_EXCHANGE, DEFAULT_LIMIT, MAX_LIMIT, SpotApiError, SpotParameters
from serving.binance.spot_api import SpotAnswer, SpotApi
from serving.errors import NoTierError, TooMuchError, TooSparseError
from serving.held import HeldSpans
from serving.instrument_lists import InstrumentLists
from serving.responses import RETRY_AFTER_S
from serving.tiers import Tiers

PREFIXES = ("/api/v3", "/exchange/{exchange}/api/v3")
_TIME_UNIT = "X-MBX-TIME-UNIT"

Asked = Callable[[str, SpotParameters], Awaitable[SpotAnswer]]


class _Path(NamedTuple):
    summary: str
    parameters: tuple[str, ...] = ()
    required: tuple[str, ...] = ()


_NAMES, _PERIOD = ("symbol", "symbols", "symbolStatus"), ("startTime", "endTime", "limit")
_KLINES = ("symbol", "interval", "timeZone", *_PERIOD)
PATHS = {
    "ping": _Path("Binance: whether somebody answers"),
    "time": _Path("Binance: the server's clock"),
    "exchangeInfo": _Path("Binance: the markets", (*_NAMES, "permissions", "showPermissionSets")),
    "klines": _Path("Binance: candles, the open one too", _KLINES, ("symbol", "interval")),
    "uiKlines": _Path("Binance: the same as klines", _KLINES, ("symbol", "interval")),
    "trades": _Path("Binance: the latest trades, oldest first", ("symbol", "limit"), ("symbol",)),
    "historicalTrades": _Path("Binance: trades from an id on", ("symbol", "fromId", "limit"), ("symbol",)),
    "aggTrades": _Path("Binance: aggregates of trades", ("symbol", "fromId", *_PERIOD), ("symbol",)),
    "ticker/24hr": _Path("Binance: rolling days", (*_NAMES, "type")),
    "ticker/price": _Path("Binance: prices of the latest trades", _NAMES),
}
_WHOLE = {"type": "integer", "minimum": 0}
_SCHEMAS: Mapping[str, dict[str, Any]] = {
    "startTime": _WHOLE,
    "endTime": _WHOLE,
    "fromId": _WHOLE,
    "limit": {"type": "integer", "minimum": 1, "maximum": MAX_LIMIT, "default": DEFAULT_LIMIT},
    "interval": {"type": "string", "enum": list(INTERVALS)},
    "type": {"type": "string", "enum": ["FULL", "MINI"]},
    "showPermissionSets": {"type": "boolean"},
}
_TEXT = {"type": "string", "minLength": 1}


def binance_routes(tiers: Tiers, held: HeldSpans, lists: InstrumentLists) -> APIRouter:
    """The routes."""
    api, routes = SpotApi(tiers, held, lists), APIRouter()
    asked: dict[str, Asked] = {
        "ping": api.ping,
        "time": api.time,
        "exchangeInfo": api.exchange_info,
        "klines": api.klines,
        "uiKlines": api.klines,
        "trades": api.trades,
        "historicalTrades": api.historical_trades,
        "aggTrades": api.aggregate_trades,
        "ticker/24hr": api.ticker,
        "ticker/price": api.price,
    }
    for prefix in PREFIXES:
        for name, path in PATHS.items():
            routes.get(
                f"{prefix}/{name}",
                summary=path.summary,
                name=f"{prefix}/{name}",
                openapi_extra={"parameters": _described(path, has_exchange=prefix is PREFIXES[1])},
            )(_route(asked[name], path))
    return routes


def _route(ask: Asked, path: _Path) -> Callable[[Request], Awaitable[Response]]:
    """The one place where what goes wrong is told in Binance's form."""

    async def route(request: Request) -> Response:
        exchange = request.path_params.get("exchange", DEFAULT_EXCHANGE)
        try:
            given = SpotParameters(
                request.query_params.multi_items(), path.parameters, request.headers.get(_TIME_UNIT, "")
            )
            answer = await ask(exchange, given)
        except SpotApiError as error:
            return _told(error)
        except (TooMuchError, TooSparseError) as error:
            return _told(SpotApiError(-1130, f"Data sent for parameter 'limit' is not valid: {error}."))
        except NoTierError as error:
            return _told(SpotApiError(-1001, f"{error}. Please try again.", HTTPStatus.SERVICE_UNAVAILABLE))
        return Response(orjson.dumps(answer.body), HTTPStatus.OK, answer.headers, media_type="application/json")

    return route


def _told(error: SpotApiError) -> Response:
    headers = {"Retry-After": str(RETRY_AFTER_S)} if error.status is HTTPStatus.SERVICE_UNAVAILABLE else None
    return Response(error.body, error.status, headers, media_type="application/json")


def _described(path: _Path, *, has_exchange: bool) -> list[dict[str, Any]]:
    """The parameters for the interface's own description."""
    exchange = {"name": "exchange", "in": "path", "required": True, "schema": _TEXT}
    return ([exchange] if has_exchange else []) + [
        {"name": name, "in": "query", "required": name in path.required, "schema": _SCHEMAS.get(name, _TEXT)}
        for name in path.parameters
    ]

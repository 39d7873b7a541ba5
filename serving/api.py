"""The REST interface over the tiers.

Answers are JSON: candles, trades and tickers in the very form of the topics (decimals are strings, times UTC
milliseconds or, where a name says `_us`, microseconds). Errors are problem+json (RFC 9457).
"""

import asyncio
import re
import time
from http import HTTPStatus
from typing import Annotated, Any

import orjson
from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, field_validator
from starlette.exceptions import HTTPException

from market.fields import MAX_NAME, MAX_TIME_US
from market.timeframe import Timeframe
from runtime.telemetry import logger
from serving.answers import candles_answer, tickers_answer, trades_answer
from serving.planner import MAX_CANDLES, Tier
from serving.reader import NoTierError, find_candles, find_tickers, find_trades
from serving.tiers import Tiers
from serving.trades import MAX_TRADES

MAX_SYMBOLS = 50
_RETRY_AFTER_S = 5
_no_name = re.compile(r"[\x00-\x1f\x7f:|]").search


def _check_name(value: str) -> str:
    """What cannot stand in a record key is in no store."""
    if _no_name(value):
        raise ValueError("must not have a colon, a bar or a control character in it")
    return value


Name = Annotated[str, Field(min_length=1, max_length=MAX_NAME), AfterValidator(_check_name)]
TimeMs = Annotated[int, Field(ge=0, lt=MAX_TIME_US // 1000)]


class _Parameters(BaseModel):
    """Unknown ones are refused: a misspelt limit would otherwise pass for none."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class CandlesQuery(_Parameters):
    """Parameters of ``/v1/candles``."""

    exchange: Name
    symbol: Name
    timeframe: Timeframe = Timeframe.M1
    from_ms: Annotated[TimeMs | None, Field(description="first open time, UTC ms; without: the last ones")] = None
    until_ms: Annotated[
        TimeMs | None, Field(description="first open time not wanted, UTC ms; without: up to the newest")
    ] = None
    limit: Annotated[int, Field(ge=1, le=MAX_CANDLES)] = 500


class TradesQuery(_Parameters):
    """Parameters of ``/v1/trades``."""

    exchange: Name
    symbol: Name
    limit: Annotated[int, Field(ge=1, le=MAX_TRADES)] = 100


class TickersQuery(_Parameters):
    """Parameters of ``/v1/tickers``."""

    exchange: Name
    symbols: Annotated[str, Field(description=f"comma between them, at most {MAX_SYMBOLS}", max_length=8192)]

    @field_validator("symbols")
    @classmethod
    def _bounded(cls, value: str) -> str:
        names = value.split(",")
        if len(names) > MAX_SYMBOLS or not all(0 < len(name) <= MAX_NAME for name in names):
            raise ValueError(f"must name 1 to {MAX_SYMBOLS} symbols with a comma between them")
        return _check_name(value)


def build_api(tiers: Tiers) -> FastAPI:
    """The application; whoever made `tiers` closes them."""
    api = FastAPI(title="Candlewick", openapi_url="/v1/openapi.json", docs_url=None, redoc_url=None)

    @api.get("/v1/candles", summary="Closed candles of a symbol, oldest first")
    async def candles(query: Annotated[CandlesQuery, Query()]) -> Response:
        if query.from_ms is not None and query.until_ms is not None and query.from_ms > query.until_ms:
            return _problem(HTTPStatus.BAD_REQUEST, "from_ms lies after until_ms")
        found = await find_candles(
            tiers,
            query.exchange,
            query.symbol,
            query.timeframe,
            from_ms=query.from_ms,
            until_ms=query.until_ms,
            limit=query.limit,
            now_ms=time.time_ns() // 1_000_000,
        )
        return _json(candles_answer(query.exchange, query.symbol, query.timeframe, found))

    @api.get("/v1/trades", summary="The latest trades of a symbol, newest first")
    async def trades(query: Annotated[TradesQuery, Query()]) -> Response:
        found = await find_trades(tiers, query.exchange, query.symbol, limit=query.limit)
        return _json(trades_answer(query.exchange, query.symbol, found))

    @api.get("/v1/tickers", summary="The newest rolling statistics of symbols")
    async def tickers(query: Annotated[TickersQuery, Query()]) -> Response:
        return _json(
            tickers_answer(query.exchange, await find_tickers(tiers, query.exchange, query.symbols.split(",")))
        )

    @api.get("/v1/health", summary="Which tiers answer; always 200")
    async def health() -> Response:
        reachable = dict(zip(Tier, await asyncio.gather(*map(tiers.reachable, Tier)), strict=True))
        status = "ok" if all(reachable.values()) else "degraded" if any(reachable.values()) else "down"
        return _json(
            {"status": status, "tiers": {tier.value: {"reachable": there} for tier, there in reachable.items()}}
        )

    api.add_exception_handler(RequestValidationError, _on_wrong_parameters)
    api.add_exception_handler(HTTPException, _on_http_error)
    api.add_exception_handler(NoTierError, _on_no_tier)
    api.add_exception_handler(Exception, _on_defect)
    return api


async def _on_wrong_parameters(request: Request, error: Exception) -> Response:  # noqa: ARG001  # Starlette's signature
    assert isinstance(error, RequestValidationError)  # noqa: S101  # registered for this one
    sentences = [
        f"{'.'.join(map(str, one['loc'][1:]))}: {one['msg'].removeprefix('Value error, ')}" for one in error.errors()
    ]
    return _problem(HTTPStatus.BAD_REQUEST, "; ".join(sentences))


async def _on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101  # registered for this one
    status = HTTPStatus(error.status_code)
    return _problem(status, f"{request.method} {request.url.path}: {status.phrase}", headers=error.headers)


async def _on_no_tier(request: Request, error: Exception) -> Response:  # noqa: ARG001  # Starlette's signature
    return _problem(HTTPStatus.SERVICE_UNAVAILABLE, str(error), headers={"Retry-After": str(_RETRY_AFTER_S)})


async def _on_defect(request: Request, error: Exception) -> Response:
    logger("serve").error("a request failed", path=request.url.path, exc_info=error)
    return _problem(HTTPStatus.INTERNAL_SERVER_ERROR, "the server could not answer; its log says why")


def _problem(status: HTTPStatus, detail: str, *, headers: Any = None) -> Response:
    body = {"type": "about:blank", "title": status.phrase, "status": status.value, "detail": detail}
    return Response(orjson.dumps(body), status, headers, media_type="application/problem+json")


def _json(answer: dict[str, Any]) -> Response:
    return Response(orjson.dumps(answer), media_type="application/json")

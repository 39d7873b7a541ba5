"""The REST interface over the tiers.

Answers are JSON: candles, trades and tickers in the very form of the topics (decimals are strings, times UTC
milliseconds or, where a name says `_us`, microseconds). Errors are problem+json (RFC 9457).
"""

import time
from enum import StrEnum
from http import HTTPStatus
from typing import Annotated

from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import AfterValidator, Field, field_validator
from starlette.exceptions import HTTPException

from market.fields import MAX_NAME
from market.key import MarketKey
from market.timeframe import Timeframe
from runtime.telemetry import logger
from serving.analysis.routes import Analyst, analysis_routes
from serving.answers import candles_json, tickers_json, trades_json
from serving.binance.routes import binance_routes
from serving.bounds import DEFAULT_CANDLES, DEFAULT_TRADES, MAX_SYMBOLS
from serving.candles import CandlesQuestion, read_candles
from serving.errors import NoTierError, StreamBrokenError, TooManyRowsError, TooManyStreamsError, TooMuchError
from serving.estimate_routes import estimate_routes
from serving.estimates import estimate_candles
from serving.health import TierHealth
from serving.held import HeldSpans
from serving.instrument_lists import InstrumentLists
from serving.lengths import CandleLength, check_length
from serving.markets import Markets, UnknownMarketError
from serving.media_types import AnswerForm
from serving.parameters import MarketQuery, Name, Parameters, TimeMs, check_name
from serving.planner import MAX_CANDLES, RevisionChoice, SpanMs
from serving.problem import PROBLEM_RESPONSES, problem
from serving.reader import read_tickers, read_trades
from serving.record_routes import Form, asked_form, market_routes, record_routes, require_few_rows, wrong
from serving.responses import json_response, unavailable
from serving.streams import StreamSlots, candle_parts, streamed
from serving.tiers import Tiers
from serving.trades import MAX_TRADES
from serving.udf.routes import udf_routes


class CandlesQuery(MarketQuery):
    """Parameters of ``/v1/candles``."""

    timeframe: Annotated[
        str,
        AfterValidator(check_length),
        Field(description="minutes, hours, days, weeks or months: 7m, 1h, 3d, 1w, 1M", max_length=8),
    ] = Timeframe.M1.value
    from_ms: Annotated[TimeMs | None, Field(description="first open time, UTC ms; without: the last ones")] = None
    until_ms: Annotated[
        TimeMs | None, Field(description="first open time not wanted, UTC ms; without: up to the newest")
    ] = None
    limit: Annotated[int, Field(ge=1, le=MAX_CANDLES)] = DEFAULT_CANDLES
    revision: Annotated[
        RevisionChoice, Field(description="latest: as corrected; first: as told when the minute closed")
    ] = RevisionChoice.LATEST
    format: Form = None

    @property
    def question(self) -> CandlesQuestion:
        """The question to the tiers."""
        return CandlesQuestion(
            market=self.market,
            length=CandleLength.parse(self.timeframe),
            from_ms=self.from_ms,
            until_ms=self.until_ms,
            limit=self.limit,
            revision=self.revision,
        )


class TradesQuery(MarketQuery):
    """Parameters of ``/v1/trades``."""

    limit: Annotated[int, Field(ge=1, le=MAX_TRADES)] = DEFAULT_TRADES


class TickersQuery(Parameters):
    """Parameters of ``/v1/tickers``."""

    exchange: Name
    symbols: Annotated[str, Field(description=f"comma between them, at most {MAX_SYMBOLS}", max_length=8192)]

    @field_validator("symbols")
    @classmethod
    def _bounded(cls, value: str) -> str:
        names = value.split(",")
        if len(names) > MAX_SYMBOLS or not all(0 < len(name) <= MAX_NAME for name in names):
            raise ValueError(f"must name 1 to {MAX_SYMBOLS} symbols with a comma between them")
        return check_name(value)

    @property
    def markets(self) -> list[MarketKey]:
        """The markets asked about."""
        return [MarketKey(self.exchange, symbol) for symbol in self.symbols.split(",")]


class Health(StrEnum):
    """How many of the tiers answer."""

    OK = "ok"
    DEGRADED = "degraded"
    DOWN = "down"


def build_api(tiers: Tiers, held: HeldSpans, analyst: Analyst | None = None) -> FastAPI:
    """The application; the caller closes `tiers`, and keeps `held` up to date. Without `analyst` no model is asked."""
    markets, slots, tier_health = Markets(tiers), StreamSlots(), TierHealth(tiers)
    api = FastAPI(
        title="Candlewick", openapi_url="/v1/openapi.json", docs_url=None, redoc_url=None, responses=PROBLEM_RESPONSES
    )

    @api.get("/v1/candles", summary="Closed candles of a symbol, oldest first")
    async def candles(request: Request, query: Annotated[CandlesQuery, Query()]) -> Response:
        if query.from_ms is not None and query.until_ms is not None and query.from_ms > query.until_ms:
            return problem(HTTPStatus.BAD_REQUEST, "from_ms lies after until_ms")
        form = asked_form(query, query.format, request.headers.get("accept", ""))
        if form is not AnswerForm.JSON:
            return await stream_candles(tiers, held, query.question, form, slots)
        answer = await read_candles(tiers, held, query.question, now_ms=time.time_ns() // 1_000_000)
        if not answer.merged and not answer.away:
            await markets.require_any([query.market])
        return json_response(candles_json(query.market, query.question.length, answer))

    @api.get("/v1/trades", summary="The latest trades of a symbol, newest first")
    async def trades(query: Annotated[TradesQuery, Query()]) -> Response:
        answer = await read_trades(tiers, query.market, limit=query.limit)
        if not answer.trades and not answer.away:
            await markets.require_any([query.market])
        return json_response(trades_json(query.market, answer))

    @api.get("/v1/tickers", summary="The newest rolling statistics of symbols")
    async def tickers(query: Annotated[TickersQuery, Query()]) -> Response:
        answer = await read_tickers(tiers, query.markets)
        if not any(answer.tickers.values()) and not answer.away:
            await markets.require_any(query.markets)
        return json_response(tickers_json(query.exchange, answer))

    @api.get("/v1/health", summary="Which tiers answered some seconds ago; always 200")
    async def health() -> Response:
        reachable = await tier_health.reachable()
        there = reachable.values()
        status = Health.OK if all(there) else Health.DEGRADED if any(there) else Health.DOWN
        return json_response(
            {"status": status, "tiers": {tier.value: {"reachable": answers} for tier, answers in reachable.items()}}
        )

    api.include_router(record_routes(tiers, held, slots))
    api.include_router(market_routes(tiers, held))
    api.include_router(estimate_routes(tiers, held))
    lists = InstrumentLists(tiers, markets)
    api.include_router(binance_routes(tiers, held, lists))
    api.include_router(udf_routes(tiers, held, lists))
    api.include_router(analysis_routes(analyst or Analyst(tiers, held)))
    api.add_exception_handler(RequestValidationError, _on_wrong_parameters)
    api.add_exception_handler(HTTPException, _on_http_error)
    api.add_exception_handler(UnknownMarketError, _on_unknown_market)
    api.add_exception_handler(NoTierError, _on_unavailable)
    api.add_exception_handler(TooMuchError, _on_too_much)
    api.add_exception_handler(TooManyRowsError, _on_too_many_rows)
    api.add_exception_handler(TooManyStreamsError, _on_unavailable)
    api.add_exception_handler(Exception, _on_defect)
    return api


async def stream_candles(
    tiers: Tiers, held: HeldSpans, question: CandlesQuestion, form: AnswerForm, slots: StreamSlots
) -> Response:
    """Candles as a stream. Raises what its first part raises, and `TooManyRowsError`."""
    now_ms = time.time_ns() // 1_000_000
    if question.from_ms is None:
        raise wrong("from_ms", f"has to be given for {form}")
    estimate = await estimate_candles(held, question, form, now_ms=now_ms)
    require_few_rows(estimate.rows, SpanMs(question.from_ms, question.until_ms or now_ms), now_ms)
    return await streamed(candle_parts(tiers, held, question, form, now_ms=now_ms), form, slots)


async def _on_wrong_parameters(request: Request, error: Exception) -> Response:  # noqa: ARG001  # Starlette's signature
    assert isinstance(error, RequestValidationError)  # noqa: S101  # registered for this one
    sentences = [
        f"{'.'.join(map(str, wrong['loc'][1:]))}: {wrong['msg'].removeprefix('Value error, ')}"
        for wrong in error.errors()
    ]
    return problem(HTTPStatus.BAD_REQUEST, "; ".join(sentences))


async def _on_http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101  # registered for this one
    status = HTTPStatus(error.status_code)
    return problem(status, f"{request.method} {request.url.path}: {status.phrase}", headers=error.headers)


async def _on_unknown_market(request: Request, error: Exception) -> Response:  # noqa: ARG001  # Starlette's signature
    assert isinstance(error, UnknownMarketError)  # noqa: S101  # registered for this one
    return problem(HTTPStatus.NOT_FOUND, str(error), nearest=[market._asdict() for market in error.nearest])


async def _on_unavailable(request: Request, error: Exception) -> Response:  # noqa: ARG001  # Starlette's signature
    return unavailable(str(error))


async def _on_too_much(request: Request, error: Exception) -> Response:  # noqa: ARG001  # Starlette's signature
    assert isinstance(error, TooMuchError)  # noqa: S101  # registered for this one
    return problem(HTTPStatus.BAD_REQUEST, str(error), limit=error.limit)


async def _on_too_many_rows(request: Request, error: Exception) -> Response:  # noqa: ARG001  # Starlette's signature
    assert isinstance(error, TooManyRowsError)  # noqa: S101  # registered for this one
    return problem(HTTPStatus.BAD_REQUEST, str(error), until_ms=error.until_ms)


async def _on_defect(request: Request, error: Exception) -> Response:
    if isinstance(error, StreamBrokenError):  # its client sees the connection break
        logger("serve").error("a stream broke off", path=request.url.path, reason=str(error))
    else:
        logger("serve").error("a request failed", path=request.url.path, exc_info=error)
    return problem(HTTPStatus.INTERNAL_SERVER_ERROR, "the server could not answer; its log says why")

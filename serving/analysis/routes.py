"""``POST /v1/analyze``: the statistics of markets, and what a model says of them, whole or as a stream of events.

The exchange stands in the query, where the gate reads it (`serving.access.questions`), so a key's exchanges hold here
as everywhere. The data sets of a key hold in `serving.analysis.read`. Nothing else goes into a prompt.
"""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from http import HTTPStatus
from typing import Annotated, Any

import orjson
from fastapi import APIRouter, Query, Request, Response
from prometheus_client import Counter
from pydantic import AfterValidator, Field
from starlette.responses import StreamingResponse

from market.key import MarketKey
from market.timeframe import Timeframe
from serving.access.callers import Caller
from serving.access.refusal import REDUCED_CAPACITY
from serving.analysis.completion import ModelError, TokenCount, estimated_tokens
from serving.analysis.model import ModelServer
from serving.analysis.prompt import BudgetError, Prompt, build_prompt, statement_json
from serving.analysis.read import AnalysisQuestion, read_markets
from serving.analysis.statement import Statement, statement_of
from serving.held import HeldSpans
from serving.lengths import CandleLength
from serving.markets import Markets
from serving.parameters import Name, Parameters, TimeMs
from serving.problem import problem
from serving.responses import RETRY_AFTER_S, json_response
from serving.tiers import Tiers

MAX_ANALYSED_SYMBOLS, MAX_ANALYSED_CANDLES, DEFAULT_ANALYSED_CANDLES = 10, 1_000, 168
MOST_ANALYSES = 8
"""At a time, of which each waits for the model."""
_WHOLE_S = 50.0
"""An answer that does not stream has to begin within a minute (`serving.access.limits`)."""
_ALIVE_S = 10.0
"""The longest silence of a stream."""

AnalysisEvents = AsyncGenerator[tuple[str, dict[str, Any]]]
"""Name and members of each."""

_tokens = Counter("candlewick_analysis_tokens", "Tokens that models took", ["caller", "kind"])
_answers = Counter("candlewick_analysis_answers", "Analyses that models gave, or failed to give", ["result"])


class AnalysisExchange(Parameters):
    """The query of ``/v1/analyze``."""

    exchange: Name


def _check_distinct(symbols: list[str]) -> list[str]:
    if len(set(symbols)) < len(symbols):
        raise ValueError("each symbol may be named once")
    return symbols


class AnalysisBody(Parameters):
    """The body of ``/v1/analyze``."""

    symbols: Annotated[
        list[Name], Field(min_length=1, max_length=MAX_ANALYSED_SYMBOLS), AfterValidator(_check_distinct)
    ]
    timeframe: Annotated[
        str,
        AfterValidator(lambda value: str(CandleLength.parse(value))),
        Field(description="minutes, hours, days, weeks or months: 7m, 1h, 3d, 1w, 1M", max_length=8),
    ] = Timeframe.H1.value
    from_ms: Annotated[TimeMs | None, Field(description="first open time, UTC ms; without: the last candles")] = None
    until_ms: Annotated[TimeMs | None, Field(description="first open time not wanted; without: up to the newest")] = (
        None
    )
    limit: Annotated[int, Field(description="candles of each symbol", ge=2, le=MAX_ANALYSED_CANDLES)] = (
        DEFAULT_ANALYSED_CANDLES
    )
    language: Annotated[
        str, Field(description="of the answer: English, Deutsch, 日本語", pattern=r"^[^\W\d_][\w -]{1,31}$")
    ] = "English"
    question: Annotated[str | None, Field(description="what you would like to know", max_length=1_000)] = None
    stream: Annotated[bool, Field(description="answer as server-sent events")] = False
    statistics_only: Annotated[bool, Field(description="ask no model")] = False


class Analyst:
    """Answers the questions; `model` None: with statistics alone."""

    def __init__(
        self, tiers: Tiers, held: HeldSpans, model: ModelServer | None = None, *, prompt_tokens: int = 0
    ) -> None:
        self._tiers = tiers
        self._held = held
        self._markets = Markets(tiers)
        self._model = model
        self._prompt_tokens = prompt_tokens
        self._places = asyncio.Semaphore(MOST_ANALYSES)

    async def answer(self, exchange: str, body: AnalysisBody, request: Request) -> Response:
        """The whole answer, or the stream of it."""
        if body.from_ms is not None and body.until_ms is not None and body.from_ms > body.until_ms:
            return problem(HTTPStatus.BAD_REQUEST, "from_ms lies after until_ms")
        caller: Caller = request.scope["caller"]
        statement = await self._statement(exchange, body, caller)
        model = None if body.statistics_only else self._model
        if model is None:
            return _told(body, {"statistics": orjson.Fragment(statement_json(statement)), "analysis": None})
        try:
            prompt = build_prompt(
                statement, language=body.language, question=body.question, budget_tokens=self._prompt_tokens
            )
        except BudgetError as error:
            return problem(HTTPStatus.BAD_REQUEST, str(error))
        if self._places.locked():
            detail = f"{MOST_ANALYSES} analyses are being made: ask again, or with statistics_only"
            return _later(detail, HTTPStatus.SERVICE_UNAVAILABLE, RETRY_AFTER_S)
        events = self._events(statement, prompt, model, caller, request.scope["costs"])
        if not body.stream:
            return await _whole(events)
        return StreamingResponse(_as_lines(events), media_type="text/event-stream")

    async def _statement(self, exchange: str, body: AnalysisBody, caller: Caller) -> Statement:
        question = AnalysisQuestion(
            exchange=exchange,
            symbols=body.symbols,
            length=CandleLength.parse(body.timeframe),
            from_ms=body.from_ms,
            until_ms=body.until_ms,
            limit=body.limit,
        )
        read = await read_markets(self._tiers, self._held, question, caller, now_ms=time.time_ns() // 1_000_000)
        if not any(market.candles or market.away for market in read):
            await self._markets.require_any([MarketKey(exchange, symbol) for symbol in body.symbols])
        return statement_of(exchange, body.timeframe, read)

    async def _events(
        self, statement: Statement, prompt: Prompt, model: ModelServer, caller: Caller, costs: dict[str, int]
    ) -> AnalysisEvents:
        """``statistics``, ``text``s and at the end ``done`` or ``problem``; what it costs is counted in any case."""
        yield "statistics", {"statistics": orjson.Fragment(statement_json(statement))}
        texts: list[str] = []
        finish, tokens = None, None
        result = "broken_off"
        try:
            async with self._places, aclosing(model.answer(prompt.messages)) as pieces:
                async for piece in pieces:
                    finish, tokens = piece.finish or finish, piece.tokens or tokens
                    if piece.text:
                        texts.append(piece.text)
                        yield "text", {"text": piece.text}
            result = "answered"
        except ModelError as error:
            result = "failed"
            yield "problem", _problem_members(error)
            return
        finally:
            if texts or tokens is not None:
                tokens = tokens or estimated_tokens(prompt.messages, "".join(texts))
                _count(tokens, caller, costs)
            _answers.labels(result).inc()
        told = {"model": model.model, "finish": finish, "left_out": prompt.left_out}
        yield "done", told | {"tokens": _tokens_json(tokens or estimated_tokens(prompt.messages, ""))}


def analysis_routes(analyst: Analyst) -> APIRouter:
    """The route."""
    routes = APIRouter()

    @routes.post("/v1/analyze", summary="Statistics of markets, and what a model says of them")
    async def analyze(query: Annotated[AnalysisExchange, Query()], body: AnalysisBody, request: Request) -> Response:
        return await analyst.answer(query.exchange, body, request)

    return routes


async def _whole(events: AnalysisEvents) -> Response:
    """All events as one answer; a problem of the model is the answer's."""
    answer: dict[str, Any] = {}
    texts: list[str] = []
    try:
        async with asyncio.timeout(_WHOLE_S), aclosing(events):
            async for name, told in events:
                if name == "text":
                    texts.append(told["text"])
                elif name == "problem":
                    return _later(told["detail"], HTTPStatus(told["status"]), told.get("retry_after_s"))
                else:
                    answer |= told if name == "statistics" else {"analysis": {"text": "".join(texts), **told}}
    except TimeoutError:
        detail = f"the model took longer than {_WHOLE_S:g} s: ask with stream, or with statistics_only"
        return problem(HTTPStatus.GATEWAY_TIMEOUT, detail)
    return json_response(answer)


def _told(body: AnalysisBody, answer: dict[str, Any]) -> Response:
    """Statistics alone."""
    if not body.stream:
        return json_response(answer)
    statistics = _line("statistics", {"statistics": answer["statistics"]})
    return Response(statistics + _line("done", {"model": None}), media_type="text/event-stream")


async def _as_lines(events: AnalysisEvents) -> AsyncGenerator[bytes]:
    """The events as they come. While the model says nothing, comments keep the connection, and show if it is gone.

    Where a reader is slow at most the whole answer waits, which the model server's bounds hold small.
    """
    lines: asyncio.Queue[bytes | None] = asyncio.Queue()

    async def gather() -> None:
        try:
            async with aclosing(events):
                async for name, told in events:
                    lines.put_nowait(_line(name, told))
        finally:
            lines.put_nowait(None)

    gathering = asyncio.create_task(gather())
    try:
        is_open = True
        while is_open:
            try:
                line = await asyncio.wait_for(lines.get(), _ALIVE_S)
            except TimeoutError:
                line = b": waiting for the model\n\n"
            is_open = line is not None
            if line is not None:
                yield line
        await gathering
    finally:
        gathering.cancel()
        await asyncio.wait({gathering})


def _line(name: str, told: dict[str, Any]) -> bytes:
    """One server-sent event (HTML standard, 9.2)."""
    return b"event: %b\ndata: %b\n\n" % (name.encode(), orjson.dumps(told))


def _problem_members(error: ModelError) -> dict[str, Any]:
    members = {"title": error.status.phrase, "status": error.status.value, "detail": str(error)}
    return members if error.retry_after_s is None else members | {"retry_after_s": error.retry_after_s}


def _later(detail: str, status: HTTPStatus, retry_after_s: float | None) -> Response:
    if retry_after_s is None:
        return problem(status, detail)
    return problem(status, detail, kind=REDUCED_CAPACITY, headers={"Retry-After": f"{retry_after_s:.0f}"})


def _count(tokens: TokenCount, caller: Caller, costs: dict[str, int]) -> None:
    """By key, for metrics and audit log; callers without a key are one."""
    name = caller.name if caller.has_key else "anonymous"
    costs |= {"prompt_tokens": tokens.prompt, "answer_tokens": tokens.answer}
    _tokens.labels(name, "prompt").inc(tokens.prompt)
    _tokens.labels(name, "answer").inc(tokens.answer)


def _tokens_json(tokens: TokenCount) -> dict[str, Any]:
    return {"prompt": tokens.prompt, "answer": tokens.answer, "estimated": tokens.is_estimated}

"""REST over records by time: history of trades, signals, bars, funding, gaps; and instruments, exchanges, coverage.

In JSON they come in pages; `next_cursor` of an answer is the `cursor` of the next question. In other forms they come as
one stream.
"""

import base64
import binascii
import time
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

import orjson
from fastapi import APIRouter, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import Field

from market.bar import BarKind
from market.fields import MAX_TIME_US
from market.key import MarketKey
from market.timeframe import DAY_MS
from serving.answers import records_coverage_json, source_json, span_json
from serving.bounds import DEFAULT_RECORDS, MAX_RECORDS
from serving.errors import NoTierError, TooManyRowsError
from serving.estimates import estimate_records
from serving.held import HeldSpans
from serving.market_coverage import MarketCoverage, read_coverage
from serving.media_types import AnswerForm, accepted_form
from serving.parameters import MarketQuery, Name, Parameters, TimeMs
from serving.planner import SpanMs, Tier
from serving.records import RecordsPage, RecordsQuestion, read_page
from serving.responses import json_response
from serving.streams import MAX_STREAMED_ROWS, StreamSlots, record_parts, streamed
from serving.texts import json_values
from serving.tiers import AwayError, Tiers
from sinks.record_forms import FORMS, Cursor, RecordKind, cursor_of, is_cursor

MAX_DAYS = 366
_OF_PAGES = ("limit", "cursor")

Answer = TypeVar("Answer")
Form = Annotated[
    AnswerForm | None,
    Field(description="json in pages, else one stream; without: the first that the Accept header names, else json"),
]


Threshold = Annotated[str, Field(pattern=r"^[0-9]{1,15}(\.[0-9]{1,18})?$")]


class _Paged(Parameters):
    limit: Annotated[int, Field(ge=1, le=MAX_RECORDS)] = DEFAULT_RECORDS
    cursor: Annotated[str | None, Field(description="`next_cursor` of the page before", max_length=2048)] = None


class PeriodQuery(MarketQuery, _Paged):
    """Records of a market in [from_ms, until_ms), oldest first."""

    from_ms: TimeMs = 0
    until_ms: TimeMs = MAX_TIME_US // 1000 - 1
    format: Form = None

    def question(self, kind: RecordKind) -> RecordsQuestion:
        """The question to the tiers. Raises `RequestValidationError` for a cursor that no answer has given."""
        return RecordsQuestion(
            kind=kind,
            market=self.market,
            span=SpanMs(self.from_ms, self.until_ms),
            after=_read_cursor(kind, self.cursor),
            filters=self.filters,
        )

    @property
    def filters(self) -> dict[str, str]:
        """What the records have to be like besides."""
        return {}


class BarsQuery(PeriodQuery):
    """Parameters of ``/v1/bars``: by the time that they closed."""

    kind: BarKind
    threshold: Threshold

    @property
    def filters(self) -> dict[str, str]:  # noqa: D102
        return {"kind": self.kind.value, "threshold": self.threshold}


class InstrumentsQuery(_Paged):
    """Parameters of ``/v1/instruments``."""

    exchange: Name


class CoverageQuery(MarketQuery):
    """Parameters of ``/v1/coverage``."""

    from_ms: TimeMs
    until_ms: TimeMs


_OF_PERIOD = (
    ("/v1/historical", RecordKind.TRADES, "Trades of any time, oldest first"),
    ("/v1/signals", RecordKind.SIGNALS, "Signals of a market, oldest first"),
    ("/v1/funding", RecordKind.FUNDING, "Funding rates of a perpetual, oldest first"),
    ("/v1/gaps", RecordKind.GAPS, "Gaps of a feed, opened, filled or given up, by when they were told"),
)


def record_routes(tiers: Tiers, held: HeldSpans, slots: StreamSlots) -> APIRouter:
    """The routes."""
    routes = APIRouter()

    async def answer(kind: RecordKind, query: PeriodQuery, accept: str) -> Response:
        form = asked_form(query, query.format, accept)
        question, now_ms = query.question(kind), time.time_ns() // 1_000_000
        if form is AnswerForm.JSON:
            page = await read_page(tiers, held, question, limit=query.limit, now_ms=now_ms)
            return json_response(page_json(question, page))
        estimate = await estimate_records(tiers, held, question, form, now_ms=now_ms)
        require_few_rows(estimate.rows, question.span, now_ms)
        return await streamed(record_parts(tiers, held, question, form, now_ms=now_ms), form, slots)

    def period_route(kind: RecordKind) -> Callable[..., Awaitable[Response]]:
        async def route(request: Request, query: Annotated[PeriodQuery, Query()]) -> Response:
            return await answer(kind, query, request.headers.get("accept", ""))

        return route

    for path, kind, summary in _OF_PERIOD:
        routes.get(path, summary=summary, name=path)(period_route(kind))

    @routes.get("/v1/bars", summary="Live bars of one kind and threshold, oldest first")
    async def bars(request: Request, query: Annotated[BarsQuery, Query()]) -> Response:
        return await answer(RecordKind.BARS, query, request.headers.get("accept", ""))

    return routes


def market_routes(tiers: Tiers, held: HeldSpans) -> APIRouter:
    """The routes of what is not asked by time."""
    routes = APIRouter()

    @routes.get("/v1/instruments", summary="What an exchange trades, by symbol")
    async def instruments(query: Annotated[InstrumentsQuery, Query()]) -> Response:
        return json_response(await _instruments(tiers, query))

    @routes.get("/v1/exchanges", summary="The exchanges that have instruments")
    async def exchanges() -> Response:
        return json_response({"exchanges": await _of_warm(tiers.warm.exchanges()), "source": {"tier": Tier.WARM}})

    @routes.get("/v1/coverage", summary="How many minutes of each day of a market have a candle, and in which tiers")
    async def coverage(query: Annotated[CoverageQuery, Query()]) -> Response:
        span = SpanMs(query.from_ms, query.until_ms)
        if span.until_ms - span.from_ms > MAX_DAYS * DAY_MS:
            raise wrong("until_ms", f"must lie at most {MAX_DAYS} days after from_ms: ask for a shorter time")
        return json_response(coverage_json(query.market, await read_coverage(tiers, held, query.market, span)))

    return routes


def asked_form(query: Parameters, asked: AnswerForm | None, accept: str) -> AnswerForm:
    """The form of an answer. Raises `RequestValidationError` where a stream is asked for in pages."""
    form = asked or accepted_form(accept)
    if form is not AnswerForm.JSON:
        for name in _OF_PAGES:
            if name in query.model_fields_set:
                raise wrong(name, f"is for pages of JSON: {form} is one stream, of all that lies in the time asked for")
    return form


def require_few_rows(rows: int, span: SpanMs, now_ms: int) -> None:
    """Raises `TooManyRowsError` for more than one stream takes."""
    if rows > MAX_STREAMED_ROWS:
        whole_ms = min(span.until_ms, now_ms) - span.from_ms
        raise TooManyRowsError(rows, MAX_STREAMED_ROWS, span.from_ms + whole_ms * MAX_STREAMED_ROWS // rows)


def page_json(question: RecordsQuestion, page: RecordsPage) -> dict[str, Any]:
    """The answer of a page."""
    values = json_values(page.rows, omits_null=FORMS[question.kind].omits_null)
    return {
        **question.market._asdict(),
        question.kind.value: [orjson.Fragment(value) for value in values],
        "source": source_json(page.coverage.ranges, page.away),
        "coverage": records_coverage_json(page.coverage),
        "next_cursor": None if page.cursor is None else _write_cursor(page.cursor),
    }


async def _instruments(tiers: Tiers, query: InstrumentsQuery) -> dict[str, Any]:
    kind = RecordKind.INSTRUMENTS
    after = _read_cursor(kind, query.cursor)
    rows = await _of_warm(tiers.warm.instruments(query.exchange))
    symbols = rows["symbol"].to_pylist()
    begin = 0 if after is None else sum(symbol <= str(after[0]) for symbol in symbols)
    page = rows.select(FORMS[kind].told.names).slice(begin, query.limit)
    is_last = begin + len(page) == len(rows)
    return {
        "exchange": query.exchange,
        kind.value: [orjson.Fragment(value) for value in json_values(page, omits_null=FORMS[kind].omits_null)],
        "source": {"tier": Tier.WARM},
        "next_cursor": None if is_last else _write_cursor(cursor_of(kind, page, len(page) - 1)),
    }


async def _of_warm(answer: Awaitable[Answer]) -> Answer:
    try:
        return await answer
    except AwayError as error:
        raise NoTierError([Tier.WARM]) from error


def coverage_json(market: MarketKey, covered: MarketCoverage) -> dict[str, Any]:
    """The answer of ``/v1/coverage``."""
    return {
        **market._asdict(),
        "days": [
            {
                "date": day.date.isoformat(),
                "minutes_present": day.statuses.total(),
                "statuses": dict(day.statuses),
                "tiers": {tier.value: minutes for tier, minutes in day.tiers.items()},
            }
            for day in covered.days
        ],
        "tiers": {tier.value: [span_json(span) for span in spans] for tier, spans in covered.held.items()},
        "unread": [span_json(span) for span in covered.unread],
        "source": {"away": covered.away},
    }


def _write_cursor(cursor: Cursor) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(cursor)).decode().rstrip("=")


def _read_cursor(kind: RecordKind, text: str | None) -> Cursor | None:
    """Raises `RequestValidationError` for what no answer has given."""
    if text is None:
        return None
    try:
        values = orjson.loads(base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True))
    except (binascii.Error, ValueError):
        values = None
    if not isinstance(values, list) or not is_cursor(kind, values):
        raise wrong("cursor", "must be the next_cursor of an answer to the same question")
    return tuple(values)


def wrong(parameter: str, message: str) -> RequestValidationError:
    """What is said of a parameter that is wrong."""
    return RequestValidationError([{"loc": ("query", parameter), "msg": message, "type": "value_error"}])

"""REST over records that the warm store alone has whole: history of trades, signals, bars, funding, gaps, instruments.

They come in pages; `next_cursor` of an answer is the `cursor` of the next question.
"""

import base64
import binascii
from collections import defaultdict
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Annotated, Any, TypeVar

import orjson
from fastapi import APIRouter, Query, Response
from fastapi.exceptions import RequestValidationError
from pydantic import Field

from market.bar import BarKind
from market.fields import MAX_TIME_US
from market.timeframe import DAY_MS
from serving.bounds import DEFAULT_RECORDS, MAX_RECORDS
from serving.errors import NoTierError
from serving.parameters import MarketQuery, Name, Parameters, TimeMs
from serving.planner import SpanMs, Tier
from serving.tiers import AwayError, Tiers
from sinks.clickhouse.read_records import Cursor, RecordKind, RecordPage, is_cursor

MAX_DAYS = 366

Answer = TypeVar("Answer")


class _Paged(Parameters):
    limit: Annotated[int, Field(ge=1, le=MAX_RECORDS)] = DEFAULT_RECORDS
    cursor: Annotated[str | None, Field(description="`next_cursor` of the page before", max_length=2048)] = None


class PeriodQuery(MarketQuery, _Paged):
    """Records of a market in [from_ms, until_ms), oldest first."""

    from_ms: TimeMs = 0
    until_ms: TimeMs = MAX_TIME_US // 1000 - 1


class BarsQuery(PeriodQuery):
    """Parameters of ``/v1/bars``: by the time that they closed."""

    kind: BarKind
    threshold: Annotated[str, Field(pattern=r"^[0-9]{1,15}(\.[0-9]{1,18})?$")]


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


def record_routes(tiers: Tiers) -> APIRouter:
    """The routes."""
    routes = APIRouter()
    for path, kind, summary in _OF_PERIOD:
        routes.get(path, summary=summary, name=path)(_period_route(tiers, kind))

    @routes.get("/v1/bars", summary="Live bars of one kind and threshold, oldest first")
    async def bars(query: Annotated[BarsQuery, Query()]) -> Response:
        return await _answer(tiers, RecordKind.BARS, query)

    @routes.get("/v1/instruments", summary="What an exchange trades, by symbol")
    async def instruments(query: Annotated[InstrumentsQuery, Query()]) -> Response:
        return await _answer(tiers, RecordKind.INSTRUMENTS, query)

    @routes.get("/v1/exchanges", summary="The exchanges that have instruments")
    async def exchanges() -> Response:
        return _json({"exchanges": await _of_warm(tiers.warm.exchanges()), "source": {"tier": Tier.WARM}})

    @routes.get("/v1/coverage", summary="How many minutes of each day of a market have a candle in the warm store")
    async def coverage(query: Annotated[CoverageQuery, Query()]) -> Response:
        span = SpanMs(query.from_ms, query.until_ms)
        if span.until_ms - span.from_ms > MAX_DAYS * DAY_MS:
            raise _wrong("until_ms", f"must lie at most {MAX_DAYS} days after from_ms: ask for a shorter time")
        days = await _of_warm(tiers.warm.days(query.market, span))
        return _json(query.market._asdict() | {"days": days_json(days), "source": {"tier": Tier.WARM}})

    return routes


def _period_route(tiers: Tiers, kind: RecordKind) -> Callable[..., Awaitable[Response]]:
    async def route(query: Annotated[PeriodQuery, Query()]) -> Response:
        return await _answer(tiers, kind, query)

    return route


async def _answer(tiers: Tiers, kind: RecordKind, query: PeriodQuery | InstrumentsQuery) -> Response:
    parameters = query.model_dump(exclude={"limit", "cursor"})
    after = _read_cursor(kind, query.cursor)
    page = await _of_warm(tiers.warm.records(kind, parameters, after=after, limit=query.limit))
    return _json(page_json(query.model_dump(include={"exchange", "symbol"}), kind.value, page))


async def _of_warm(answer: Awaitable[Answer]) -> Answer:
    try:
        return await answer
    except AwayError as error:
        raise NoTierError([Tier.WARM]) from error


def page_json(about: dict[str, Any], name: str, page: RecordPage) -> dict[str, Any]:
    """The answer of a page."""
    return {
        **about,
        name: [orjson.Fragment(value) for value in page.values],
        "source": {"tier": Tier.WARM},
        "next_cursor": None if page.cursor is None else _write_cursor(page.cursor),
    }


def days_json(days: list[tuple[str, str, int]]) -> list[dict[str, Any]]:
    """Days that have a candle, with how many minutes of each status."""
    statuses: dict[str, dict[str, int]] = defaultdict(dict)
    for date, status, minutes in days:
        statuses[date][status] = minutes
    return [
        {"date": date, "minutes_present": sum(counts.values()), "statuses": counts} for date, counts in statuses.items()
    ]


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
        raise _wrong("cursor", "must be the next_cursor of an answer to the same question")
    return tuple(values)


def _wrong(parameter: str, message: str) -> RequestValidationError:
    return RequestValidationError([{"loc": ("query", parameter), "msg": message, "type": "value_error"}])


def _json(answer: dict[str, Any]) -> Response:
    return Response(orjson.dumps(answer), HTTPStatus.OK, media_type="application/json")

"""REST: what a question would take, before it is asked."""

import time
from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import AfterValidator, Field

from market.bar import BarKind
from market.fields import MAX_TIME_US
from market.timeframe import Timeframe
from serving.answers import span_json
from serving.candles import CandlesQuestion
from serving.estimates import Estimate, estimate_candles, estimate_records
from serving.held import HeldSpans
from serving.lengths import CandleLength, check_length
from serving.media_types import AnswerForm
from serving.parameters import MarketQuery, TimeMs
from serving.planner import SpanMs
from serving.record_routes import Threshold, wrong
from serving.records import RecordsQuestion
from serving.responses import json_response
from serving.streams import MAX_STREAMED_ROWS
from serving.tiers import Tiers
from sinks.record_forms import RecordKind


class Estimated(StrEnum):
    """The questions whose answers can be told beforehand, by the end of their paths."""

    CANDLES = "candles"
    HISTORICAL = "historical"
    SIGNALS = "signals"
    BARS = "bars"
    FUNDING = "funding"
    GAPS = "gaps"


_KINDS: Mapping[Estimated, RecordKind] = {
    Estimated.HISTORICAL: RecordKind.TRADES,
    Estimated.SIGNALS: RecordKind.SIGNALS,
    Estimated.BARS: RecordKind.BARS,
    Estimated.FUNDING: RecordKind.FUNDING,
    Estimated.GAPS: RecordKind.GAPS,
}


class EstimateQuery(MarketQuery):
    """The parameters of the question, and which it is."""

    of: Annotated[Estimated, Field(description="the end of the question's path")]
    from_ms: TimeMs = 0
    until_ms: TimeMs = MAX_TIME_US // 1000 - 1
    format: AnswerForm = AnswerForm.JSON
    timeframe: Annotated[str | None, AfterValidator(check_length), Field(max_length=8)] = None
    kind: BarKind | None = None
    threshold: Threshold | None = None

    @property
    def filters(self) -> dict[str, str]:
        """Kind and threshold of bars. Raises `RequestValidationError` for what the question does not have."""
        if self.timeframe is not None and self.of is not Estimated.CANDLES:
            raise wrong("timeframe", "is for candles")
        if self.of is not Estimated.BARS:
            if self.kind is not None or self.threshold is not None:
                raise wrong("kind", "is for bars, as threshold is")
            return {}
        if self.kind is None or self.threshold is None:
            raise wrong("kind", "has to be given for bars, and threshold")
        return {"kind": self.kind.value, "threshold": self.threshold}


def estimate_routes(tiers: Tiers, held: HeldSpans) -> APIRouter:
    """The route."""
    routes = APIRouter()

    @routes.post(
        "/v1/estimate", summary="How many rows and bytes a question would give at most, and out of which tiers"
    )
    async def estimate(query: Annotated[EstimateQuery, Query()]) -> Response:
        told = await _estimate(tiers, held, query, now_ms=time.time_ns() // 1_000_000)
        return json_response(estimate_json(told))

    return routes


async def _estimate(tiers: Tiers, held: HeldSpans, query: EstimateQuery, *, now_ms: int) -> Estimate:
    filters = query.filters
    if query.of is Estimated.CANDLES:
        length = CandleLength.parse(query.timeframe or Timeframe.M1)
        question = CandlesQuestion(
            market=query.market, length=length, from_ms=query.from_ms, until_ms=query.until_ms, limit=1
        )
        return await estimate_candles(held, question, query.format, now_ms=now_ms)
    span = SpanMs(query.from_ms, query.until_ms)
    records = RecordsQuestion(kind=_KINDS[query.of], market=query.market, span=span, filters=filters)
    return await estimate_records(tiers, held, records, query.format, now_ms=now_ms)


def estimate_json(told: Estimate) -> dict[str, Any]:
    """The answer. `restore` is what has to be brought back from an archive first: there is none yet."""
    return {
        "rows": told.rows,
        "bytes": told.bytes,
        "tiers": [
            {"tier": of.tier, "rows": of.rows, "spans": [span_json(span) for span in of.spans]} for of in told.tiers
        ],
        "restore": {"bytes": 0, "cost": "0"},
        "one_stream": told.rows <= MAX_STREAMED_ROWS,
    }

"""What a question would take, told beforehand: by indexes, parts and files' own figures, without reading the data."""

from collections.abc import Sequence
from dataclasses import dataclass

from market.timeframe import DAY_MS, MINUTE_MS
from serving.candles import CandlesQuestion
from serving.held import HeldSpans
from serving.media_types import AnswerForm
from serving.planner import SpanMs, Tier, common, plan
from serving.record_plan import segments
from serving.records import RecordsQuestion
from serving.tiers import AwayError, MinuteSpan, Tiers
from sinks.record_forms import RecordKind

_BYTES_A_ROW = {
    AnswerForm.JSON: 185,
    AnswerForm.NDJSON: 185,
    AnswerForm.CSV: 85,
    AnswerForm.ARROW: 135,
    AnswerForm.PARQUET: 25,
}
"""Of trades."""
_OF_CANDLES = 2.2
"""How many times as much a candle takes, or another record."""


@dataclass(frozen=True, kw_only=True)
class TierEstimate:
    """At most so many rows; `rows` is None where the tier is away."""

    tier: Tier
    rows: int | None
    spans: list[SpanMs]


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What an answer would have, at most."""

    rows: int
    bytes: int
    tiers: list[TierEstimate]


async def estimate_records(
    tiers: Tiers, held: HeldSpans, question: RecordsQuestion, form: AnswerForm, *, now_ms: int
) -> Estimate:
    """Warm's rows are those of the index's blocks; cold's are those of the files' parts, with other markets in them."""
    span = SpanMs(question.span.from_ms, max(question.span.from_ms, min(question.span.until_ms, now_ms + DAY_MS)))
    parts = (
        segments(span, await held.of_records(question.kind, question.market)) if span.from_ms < span.until_ms else []
    )
    estimates = []
    for tier in (Tier.WARM, Tier.COLD):
        spans = [part.span for part in parts if tier in part.tiers]
        if spans:
            estimates.append(TierEstimate(tier=tier, rows=await _rows(tiers, tier, question, spans), spans=spans))
    rows = sum(estimate.rows or 0 for estimate in estimates)
    weight = 1.0 if question.kind is RecordKind.TRADES else _OF_CANDLES
    return Estimate(rows=rows, bytes=int(rows * _BYTES_A_ROW[form] * weight), tiers=estimates)


async def estimate_candles(held: HeldSpans, question: CandlesQuestion, form: AnswerForm, *, now_ms: int) -> Estimate:
    """As many as there is time for in what the tiers may hold; nothing is asked of them."""
    length = question.length
    span = SpanMs(question.from_ms or 0, min(question.until_ms or now_ms, now_ms))
    estimates = []
    if span.from_ms < span.until_ms:
        for tier, spans in plan([span], await held.of(question.market)).items():
            within = common([span], spans)
            minutes = sum(part.until_ms - part.from_ms for part in within) // MINUTE_MS
            rows = -(-minutes // length.minutes(length.open_ms(span.from_ms)))
            estimates.append(TierEstimate(tier=tier, rows=rows, spans=within))
    rows = sum(estimate.rows or 0 for estimate in estimates)
    return Estimate(rows=rows, bytes=int(rows * _BYTES_A_ROW[form] * _OF_CANDLES), tiers=estimates)


async def _rows(tiers: Tiers, tier: Tier, question: RecordsQuestion, spans: Sequence[SpanMs]) -> int | None:
    try:
        if tier is Tier.COLD:
            return await tiers.cold.estimated_rows(question.kind, question.market, spans)
        minutes = [MinuteSpan(span.from_ms // MINUTE_MS, -(-span.until_ms // MINUTE_MS)) for span in spans]
        parameters = question.market._asdict() | dict(question.filters)
        return sum([await tiers.warm.estimated_rows(question.kind, parameters, part) for part in minutes])
    except AwayError:
        return None

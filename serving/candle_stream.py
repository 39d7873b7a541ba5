"""Candles as a stream: page after page of the planner's answers, as lines or as tables."""

import io
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

import pyarrow as pa
import pyarrow.json as pj

from serving.answers import CandlesAnswer
from serving.candles import CandlesQuestion, read_candles
from serving.encoded import told_value
from serving.held import HeldSpans
from serving.lengths import CandleLength
from serving.planner import MAX_CANDLES, MAX_FOLDED_MINUTES, Coverage, SourcedRange, SpanMs, joined
from serving.tiers import Tiers
from sinks.record_forms import FORMS, RecordKind

_TOLD = FORMS[RecordKind.CANDLES].told
SCHEMA = pa.schema([*_TOLD, pa.field("minutes_covered", pa.int64()), pa.field("minutes_missing", pa.int64())])
"""Candles as tables: the last two columns have values where a candle lacks minutes."""
_AS_TEXT = pa.schema(
    [pa.field(field.name, pa.string() if pa.types.is_decimal(field.type) else field.type) for field in SCHEMA]
)


@dataclass(kw_only=True)
class CandlesSoFar:
    """The coverage of all pages together."""

    coverage: Coverage | None = None
    ranges: list[SourcedRange] = field(default_factory=list)

    def add(self, page: CandlesAnswer) -> None:
        """Count a page."""
        for sourced in page.sources:
            before = self.ranges[-1] if self.ranges else None
            if before is not None and (before.tiers, before.span.until_ms) == (sourced.tiers, sourced.span.from_ms):
                self.ranges.pop()
                sourced = SourcedRange(SpanMs(before.span.from_ms, sourced.span.until_ms), sourced.tiers)  # noqa: PLW2901
            self.ranges.append(sourced)
        self.coverage = page.coverage if self.coverage is None else _both(self.coverage, page.coverage)


async def candle_pages(
    tiers: Tiers, held: HeldSpans, question: CandlesQuestion, *, now_ms: int
) -> AsyncIterator[CandlesAnswer]:
    """The answers to a question from a time on, one after the other; its limit does not count."""
    length = question.length
    limit = min(MAX_CANDLES, max(1, MAX_FOLDED_MINUTES // length.minutes(length.open_ms(0))))
    from_ms = question.from_ms
    while from_ms is not None:
        page = await read_candles(tiers, held, replace(question, from_ms=from_ms, limit=limit), now_ms=now_ms)
        yield page
        from_ms = page.next_from_ms


def candle_lines(page: CandlesAnswer, length: CandleLength) -> bytes:
    """A line a candle, each with its end."""
    return b"".join(told_value(sourced.candle, length) + b"\n" for sourced in page.merged.values())


def candle_table(page: CandlesAnswer, length: CandleLength) -> pa.Table:
    """The candles in `SCHEMA`."""
    if not page.merged:
        return SCHEMA.empty_table()
    read = pj.read_json(
        io.BytesIO(candle_lines(page, length)),
        pj.ReadOptions(use_threads=False),
        pj.ParseOptions(explicit_schema=_AS_TEXT),
    )
    return read.select(SCHEMA.names).cast(SCHEMA)


def _both(first: Coverage, following: Coverage) -> Coverage:
    """Of two pages that follow each other."""
    if not following.expected:
        return first
    statuses = {
        status: first.statuses.get(status, 0) + following.statuses.get(status, 0)
        for status in (*first.statuses, *following.statuses)
    }
    return Coverage(
        SpanMs(first.span.from_ms, following.span.until_ms),
        first.expected + following.expected,
        first.present + following.present,
        joined([*first.missing, *following.missing]),
        statuses,
        max(statuses, key=lambda status: status.rank, default=None),
        first.minutes_expected + following.minutes_expected,
        first.minutes_present + following.minutes_present,
    )

"""Answers as streams: part after part, so that an answer of any length takes the memory of one part.

What fails before the first part is a problem with its status. What fails later breaks the connection, so that no
answer looks whole that is not: a tier that goes away meanwhile, too, because the head of the answer named it as there.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from typing import Any, NamedTuple

from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from market.key import MarketKey
from serving.answers import CandlesAnswer, coverage_json, records_coverage_json, source_json
from serving.candle_stream import SCHEMA, CandlesSoFar, candle_lines, candle_pages, candle_table
from serving.candles import CandlesQuestion
from serving.errors import NoTierError, StreamBrokenError, TooManyStreamsError
from serving.forms import RowWriter, row_writer
from serving.held import HeldSpans
from serving.lengths import CandleLength
from serving.media_types import AWAY_HEADER, MEDIA_TYPES, AnswerForm
from serving.planner import Tier
from serving.records import RecordsQuestion, RecordsReading
from serving.records_coverage import RecordsCoverage
from serving.tiers import Tiers
from sinks.record_forms import FORMS

MAX_STREAMED_ROWS = 50_000_000
"""In one answer, by the estimate."""
MAX_STREAMS = 4
"""At a time; each holds a part of `PART_ROWS`, in several forms."""
PART_ROWS = 10_000
"""With 50,000 the process takes 70 MB more."""
TRIES = 3
"""Of a part, before a tier that does not answer breaks the stream."""


class StreamSlots:
    """How many streams there may be at a time."""

    def __init__(self) -> None:
        self._left = MAX_STREAMS

    def take(self) -> None:
        """Raises `TooManyStreamsError`."""
        if not self._left:
            raise TooManyStreamsError(MAX_STREAMS)
        self._left -= 1

    def give_back(self) -> None:
        """One is over."""
        self._left += 1


class StreamedPart(NamedTuple):
    """A part of an answer, and the tiers that did not answer so far."""

    written: bytes
    away: frozenset[Tier]


Parts = AsyncGenerator[StreamedPart, None]


class StreamedAnswer(StreamingResponse):
    """The parts as they come; however the stream ends, their generator is closed and its place given back."""

    def __init__(self, parts: Parts, first: StreamedPart, form: AnswerForm, slots: StreamSlots) -> None:
        names = ", ".join(tier for tier in Tier if tier in first.away)
        super().__init__(
            _written(parts, first), media_type=MEDIA_TYPES[form], headers={AWAY_HEADER: names} if names else None
        )
        self._parts = parts
        self._slots = slots

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send all parts."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._slots.give_back()
            await self._parts.aclose()


async def streamed(parts: Parts, form: AnswerForm, slots: StreamSlots) -> StreamedAnswer:
    """The answer, when its first part is there. Raises `TooManyStreamsError`, and what the first part raises."""
    slots.take()
    try:
        first = await anext(parts)
    except BaseException:
        slots.give_back()
        raise
    return StreamedAnswer(parts, first, form, slots)


async def _written(parts: Parts, first: StreamedPart) -> AsyncIterator[bytes]:
    yield first.written
    try:
        async for part in parts:
            if part.away != first.away:
                raise StreamBrokenError(part.away - first.away)
            yield part.written
    except NoTierError as error:
        raise StreamBrokenError(error.away) from error


async def record_parts(
    tiers: Tiers, held: HeldSpans, question: RecordsQuestion, form: AnswerForm, *, now_ms: int
) -> Parts:
    """Records in a form; the first part begins with the first records. Raises `NoTierError`."""
    told = FORMS[question.kind]
    reading = RecordsReading(tiers, held, question, now_ms=now_ms, tries=TRIES)
    covered = RecordsCoverage(kind=question.kind, asked=question.span, until_ms=question.span.from_ms)
    writer: RowWriter | None = None
    async for given in reading.slices(PART_ROWS):
        begun = b""
        if writer is None:
            writer = row_writer(form, told.told, _about(question.market, reading.away), omits_null=told.omits_null)
            begun = writer.begin()
        covered.add(given)
        _require_bounded(covered.present)
        written = await asyncio.to_thread(writer.rows, given.rows.select(told.told.names))
        yield StreamedPart(begun + written, frozenset(reading.away))
    if writer is None:  # the span is empty
        writer = row_writer(form, told.told, _about(question.market, reading.away), omits_null=told.omits_null)
        yield StreamedPart(writer.begin(), frozenset(reading.away))
    summary = {
        "rows": covered.present,
        "source": source_json(covered.ranges, _in_order(reading.away)),
        "coverage": records_coverage_json(covered),
    }
    yield StreamedPart(writer.end(summary), frozenset(reading.away))


async def candle_parts(
    tiers: Tiers, held: HeldSpans, question: CandlesQuestion, form: AnswerForm, *, now_ms: int
) -> Parts:
    """Candles in a form, as `record_parts`."""
    so_far = CandlesSoFar()
    about = {**question.market._asdict(), "timeframe": str(question.length)}
    writer: RowWriter | None = None
    away: frozenset[Tier] = frozenset()
    async for page in candle_pages(tiers, held, question, now_ms=now_ms):
        away |= frozenset(page.away)
        begun = b""
        if writer is None:
            writer = row_writer(form, SCHEMA, about | {"away": page.away}, omits_null=False)
            begun = writer.begin()
        so_far.add(page)
        written = await asyncio.to_thread(_write_candles, writer, form, page, question.length)
        yield StreamedPart(begun + written, away)
    assert writer is not None and so_far.coverage is not None  # noqa: PT018, S101  # there is a page at least
    summary = {
        "rows": so_far.coverage.present,
        "source": source_json(so_far.ranges, _in_order(away)),
        "coverage": coverage_json(so_far.coverage),
    }
    yield StreamedPart(writer.end(summary), away)


def _write_candles(writer: RowWriter, form: AnswerForm, page: CandlesAnswer, length: CandleLength) -> bytes:
    """Lines of JSON stand as the tiers gave them."""
    return candle_lines(page, length) if form is AnswerForm.NDJSON else writer.rows(candle_table(page, length))


def _about(market: MarketKey, away: set[Tier]) -> Mapping[str, Any]:
    return {**market._asdict(), "away": _in_order(away)}


def _in_order(away: set[Tier] | frozenset[Tier]) -> list[Tier]:
    return [tier for tier in Tier if tier in away]


def _require_bounded(rows: int) -> None:
    """The estimate was too low: the stream breaks."""
    if rows > 2 * MAX_STREAMED_ROWS:
        raise StreamBrokenError(frozenset())

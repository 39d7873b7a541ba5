"""Questions for records by time, answered: slice after slice of whole minutes, each out of the tiers that hold it.

What a question takes in memory is a slice, however much it asks for. A tier that turns out to be away is stepped over
and named, and what it did not give is asked of the others.
"""

import asyncio
from bisect import bisect_right
from collections.abc import AsyncIterator, Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from market.key import MarketKey
from market.timeframe import DAY_MS, MINUTE_MS, MINUTE_US
from market.value_text import Ints
from serving.errors import NoTierError
from serving.held import HeldSpans
from serving.planner import MAX_MINUTES, SpanMs, Tier
from serving.record_plan import RecordSegment, doubted_minutes, segments, spans_of
from serving.records_coverage import RecordsCoverage, RecordSlice
from serving.tiers import AwayError, MinuteSpan, RecordTable, Tiers
from serving.trades import MAX_TRADES
from sinks.record_forms import (
    COUNTS,
    FORMS,
    PRECEDENCE,
    Cursor,
    RecordKind,
    arrange,
    cursor_after,
    cursor_of,
    cursor_us,
    empty,
    times_us,
    trade_rows,
)

_MOST_MINUTES = MAX_MINUTES
"""In one slice: of so many the candles are counted."""
_MOST_COLD_MINUTES = 7 * 1440
"""In one slice of cold: of so many days the files are listed."""
_DAY_MINUTES = 1440
_PAGE_S = 10.0
"""A page that takes longer is given as far as it is: the next one goes on from there."""
_US_A_MS = 1000

Answer = TypeVar("Answer")


@dataclass(frozen=True, kw_only=True)
class RecordsQuestion:
    """Records of a market in a span, oldest first, behind a cursor."""

    kind: RecordKind
    market: MarketKey
    span: SpanMs
    after: Cursor | None = None
    filters: Mapping[str, str] = field(default_factory=dict)
    """Kind and threshold of bars."""


class RecordsPage(NamedTuple):
    """Records, how complete they are, and where the next page begins; None: this was the last."""

    rows: pa.Table
    coverage: RecordsCoverage
    away: list[Tier]
    cursor: Cursor | None


class RecordsReading:
    """One question on its way. `away` are the tiers that did not answer, so far."""

    def __init__(
        self, tiers: Tiers, held: HeldSpans, question: RecordsQuestion, *, now_ms: int, tries: int = 1
    ) -> None:
        self._tiers = tiers
        self._held = held
        self._question = question
        begin_us = question.span.from_ms * _US_A_MS
        if question.after is not None:
            begin_us = max(begin_us, cursor_us(question.kind, question.after))
        until_ms = min(question.span.until_ms, now_ms + DAY_MS)  # no record is of a later time
        self.minutes = MinuteSpan(begin_us // MINUTE_US, -(-until_ms // MINUTE_MS))
        self._hot = empty(question.kind)
        self._counted = (MinuteSpan(0, 0), COUNTS.empty_table())
        self._tries = tries
        self.away: set[Tier] = set()

    async def slices(self, most: int) -> AsyncIterator[RecordSlice]:
        """Slices in order, of about `most` records or fewer, without a gap between them, up to the end.

        A tier that does not answer is away after so many `tries` of a slice. Raises `NoTierError`.
        """
        self.away |= await self._held.away()
        await self._look_at_hot()
        begin, failures = self.minutes.begin, 0
        while begin < self.minutes.end:
            if {Tier.WARM, Tier.COLD} <= self.away:
                raise NoTierError(self.away)
            segment = await self._segment(begin)
            try:
                given = await self._slice(segment, most)
            except _TierAwayError as error:
                failures += 1
                if failures >= self._tries:
                    self.away.add(error.tier)
                continue
            failures = 0
            begin = given.span.until_ms // MINUTE_MS
            yield given

    async def _segment(self, begin: int) -> RecordSegment:
        """What to ask next."""
        end = min(self.minutes.end, begin + _MOST_MINUTES)
        held = [
            of_tier
            for of_tier in await self._held.of_records(self._question.kind, self._question.market)
            if of_tier.tier not in self.away
        ]
        return segments(SpanMs(begin * MINUTE_MS, end * MINUTE_MS), held)[0]

    async def _slice(self, segment: RecordSegment, most: int) -> RecordSlice:
        kind = self._question.kind
        minutes = MinuteSpan(segment.span.from_ms // MINUTE_MS, segment.span.until_ms // MINUTE_MS)
        asking = [
            self._of_warm(minutes, most) if tier is Tier.WARM else self._of_cold(minutes) for tier in segment.tiers
        ]
        tables = dict(zip(segment.tiers, await asyncio.gather(*asking), strict=True))
        minutes = MinuteSpan(minutes.begin, min([minutes.end, *(table.end for table in tables.values())]))
        counts = COUNTS.empty_table()
        if kind is RecordKind.TRADES:
            counts = await self._counts(segment.tiers, minutes)
            if segment.tiers == (Tier.WARM,) and Tier.COLD not in self.away:
                rows = _until(kind, tables[Tier.WARM].rows, minutes.end)
                more = await self._doubted(doubted_minutes(times_us(kind, rows), counts), minutes)
                if more is not None:
                    tables[Tier.COLD] = more
                    minutes = MinuteSpan(minutes.begin, more.end)
        parts = {tier: _until(kind, table.rows, minutes.end) for tier, table in tables.items()}
        return await asyncio.to_thread(self._arranged, parts, minutes, counts)

    def _arranged(self, parts: Mapping[Tier, pa.Table], minutes: MinuteSpan, counts: pa.Table) -> RecordSlice:
        kind, question = self._question.kind, self._question
        hot = _between(kind, self._hot, minutes.begin * MINUTE_US, minutes.end * MINUTE_US)
        rows = arrange(kind, [hot, *parts.values()])
        tiers = [tier for tier, part in parts.items() if len(part)]
        if len(hot) and 0 in rows[PRECEDENCE].to_numpy():
            tiers.append(Tier.HOT)
        all_times = times_us(kind, rows)
        asked = _between(kind, rows, question.span.from_ms * _US_A_MS, question.span.until_ms * _US_A_MS)
        if question.after is not None:
            places = range(len(asked))
            asked = asked.slice(bisect_right(places, question.after, key=lambda row: cursor_of(kind, asked, row)))
        counts = counts.filter(pc.less(counts["minute"], minutes.end))
        return RecordSlice(
            SpanMs(minutes.begin * MINUTE_MS, minutes.end * MINUTE_MS),
            asked,
            tuple(tier for tier in Tier if tier in tiers),
            counts,
            all_times,
        )

    async def _of_warm(self, minutes: MinuteSpan, most: int) -> RecordTable:
        question = self._question
        parameters = question.market._asdict() | dict(question.filters)
        return await _asked(Tier.WARM, self._tiers.warm.table(question.kind, parameters, minutes, most))

    async def _of_cold(self, minutes: MinuteSpan) -> RecordTable:
        question, cold = self._question, self._tiers.cold
        minutes = MinuteSpan(minutes.begin, min(minutes.end, minutes.begin + _MOST_COLD_MINUTES))
        span = SpanMs(minutes.begin * MINUTE_MS, minutes.end * MINUTE_MS)
        groups = await _asked(Tier.COLD, cold.groups(question.kind, question.market, [span]))
        return await _asked(Tier.COLD, cold.table(question.kind, question.market, question.filters, minutes, groups))

    async def _counts(self, tiers: Sequence[Tier], minutes: MinuteSpan) -> pa.Table:
        """Of the candles that warm has, and cold where it was asked for the minutes."""
        counts = COUNTS.empty_table()
        if Tier.WARM in tiers:
            counts = await self._counts_of_warm(minutes)
        if Tier.COLD in tiers:
            others = await _asked(Tier.COLD, self._tiers.cold.minute_counts(self._question.market, minutes))
            others = others.filter(pc.invert(pc.is_in(others["minute"], counts["minute"].combine_chunks())))
            counts = pa.concat_tables([counts, others]).sort_by("minute")
        return counts

    async def _counts_of_warm(self, minutes: MinuteSpan) -> pa.Table:
        """Of a day at once where the minutes are fewer: those that follow are asked for next."""
        known, counts = self._counted
        if not (known.begin <= minutes.begin and minutes.end <= known.end):
            known = MinuteSpan(minutes.begin, max(minutes.end, min(minutes.begin + _DAY_MINUTES, self.minutes.end)))
            counts = await _asked(Tier.WARM, self._tiers.warm.minute_counts(self._question.market, known))
            self._counted = (known, counts)
        is_of_minutes = pc.and_(
            pc.greater_equal(counts["minute"], minutes.begin), pc.less(counts["minute"], minutes.end)
        )
        return counts.filter(is_of_minutes)

    async def _doubted(self, doubted: Ints, minutes: MinuteSpan) -> RecordTable | None:
        """The records of these minutes that cold has, as many as are read at a time; None where it has none."""
        question, cold = self._question, self._tiers.cold
        held = await self._held.of_records(question.kind, question.market)
        days = [span for of_tier in held if of_tier.tier is Tier.COLD for span in of_tier.spans]
        spans = spans_of(doubted, days)
        if not spans:
            return None
        groups = await _asked(Tier.COLD, cold.groups(question.kind, question.market, spans))
        bounds = [(span.from_ms * _US_A_MS, span.until_ms * _US_A_MS) for span in spans]
        groups = [group for group in groups if any(group.overlaps(*bound) for bound in bounds)]
        if not groups:
            return None
        given = await _asked(Tier.COLD, cold.table(question.kind, question.market, question.filters, minutes, groups))
        is_doubted = np.isin(times_us(question.kind, given.rows) // MINUTE_US, doubted)
        return given._replace(rows=given.rows.filter(pa.array(is_doubted)))

    async def _look_at_hot(self) -> None:
        """The newest trades: what warm does not have yet."""
        if self._question.kind is RecordKind.TRADES and Tier.HOT not in self.away:
            try:
                self._hot = trade_rows(await self._tiers.hot.trades(self._question.market, MAX_TRADES))
            except AwayError:
                self.away.add(Tier.HOT)


class _TierAwayError(Exception):
    """A tier did not answer."""

    def __init__(self, tier: Tier) -> None:
        super().__init__(tier)
        self.tier = tier


async def read_page(
    tiers: Tiers, held: HeldSpans, question: RecordsQuestion, *, limit: int, now_ms: int
) -> RecordsPage:
    """At most `limit` records. Raises `NoTierError`."""
    reading = RecordsReading(tiers, held, question, now_ms=now_ms)
    covered = RecordsCoverage(kind=question.kind, asked=question.span, until_ms=question.span.from_ms)
    parts, kind = [empty(question.kind)], question.kind
    clock = asyncio.get_running_loop().time
    deadline_s, cursor = clock() + _PAGE_S, None
    async for given in reading.slices(limit + 1):
        left = limit - covered.present
        if len(given.rows) > left:
            if left:
                parts.append(given.rows.slice(0, left))
            cursor = cursor_of(kind, parts[-1], len(parts[-1]) - 1)
            if left:
                covered.add(_cut(kind, given, left, cursor))
            break
        covered.add(given)
        if len(given.rows):
            parts.append(given.rows)
        if clock() > deadline_s and given.span.until_ms < reading.minutes.end * MINUTE_MS:
            cursor = cursor_after(kind, given.span.until_ms * _US_A_MS)
            break
    told = FORMS[kind].told.names
    rows = pa.concat_tables([part.select(told) for part in parts])
    return RecordsPage(rows, covered, [tier for tier in Tier if tier in reading.away], cursor)


def _cut(kind: RecordKind, given: RecordSlice, rows: int, cursor: Cursor) -> RecordSlice:
    """The slice up to the record of a cursor, which ends it; of its minute nothing is counted."""
    end_us = cursor_us(kind, cursor)
    minute = end_us // MINUTE_US
    return given._replace(
        span=SpanMs(given.span.from_ms, end_us // _US_A_MS + 1),
        rows=given.rows.slice(0, rows),
        counts=given.counts.filter(pc.less(given.counts["minute"], minute)),
    )


async def _asked(tier: Tier, answer: Awaitable[Answer]) -> Answer:
    try:
        return await answer
    except AwayError as error:
        raise _TierAwayError(tier) from error


def _until(kind: RecordKind, rows: pa.Table, minute: int) -> pa.Table:
    return _between(kind, rows, 0, minute * MINUTE_US)


def _between(kind: RecordKind, rows: pa.Table, from_us: int, until_us: int) -> pa.Table:
    times = times_us(kind, rows)
    is_within = (times >= from_us) & (times < until_us)
    return rows if is_within.all() else rows.filter(pa.array(is_within))

"""What the tiers have of the markets in question, as far as the caller may see it."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import msgspec
from msgspec import Struct

from market.feed import FeedEvent
from market.key import MarketKey
from market.signal import Signal
from serving.access.callers import Caller
from serving.access.keys import ApiDataset
from serving.analysis.figures import CandleFigures
from serving.analysis.statement import ReadMarket, visible_signals
from serving.candles import CandlesQuestion, read_candles
from serving.errors import NoTierError
from serving.held import HeldSpans
from serving.lengths import CandleLength
from serving.planner import SpanMs
from serving.records import RecordsQuestion, read_page
from serving.texts import json_values
from serving.tiers import Tiers
from sinks.record_forms import FORMS, RecordKind

Record = TypeVar("Record", bound=Struct)

MOST_READ = 1_000
"""Signals, and gap events, of a market; they are the first ones of the time in question."""
_DATASETS = {RecordKind.SIGNALS: ApiDataset.SIGNALS, RecordKind.GAPS: ApiDataset.FEEDS}


@dataclass(frozen=True, kw_only=True)
class AnalysisQuestion:
    """Candles of markets of an exchange, as `CandlesQuestion` means them."""

    exchange: str
    symbols: Sequence[str]
    length: CandleLength
    from_ms: int | None
    until_ms: int | None
    limit: int


@dataclass(frozen=True, kw_only=True)
class _Reading:
    """One question on its way."""

    tiers: Tiers
    held: HeldSpans
    question: AnalysisQuestion
    caller: Caller
    now_ms: int

    async def market(self, symbol: str) -> ReadMarket:
        market = MarketKey(self.question.exchange, symbol)
        asked = CandlesQuestion(
            market=market,
            length=self.question.length,
            from_ms=self.question.from_ms,
            until_ms=self.question.until_ms,
            limit=self.question.limit,
        )
        answer = await read_candles(self.tiers, self.held, asked, now_ms=self.now_ms)
        unseen: list[str] = []
        span = answer.coverage.span
        signals = await self._records(RecordKind.SIGNALS, Signal, market, span, unseen)
        gaps = await self._records(RecordKind.GAPS, FeedEvent, market, span, unseen)
        return ReadMarket(
            symbol=symbol,
            candles=[msgspec.json.decode(told.candle.value, type=CandleFigures) for told in answer.merged.values()],
            coverage=answer.coverage,
            away=answer.away,
            signals=None if signals is None else visible_signals(signals, self.caller.exchanges),
            gaps=gaps,
            unseen=unseen,
        )

    async def _records(
        self, kind: RecordKind, record_type: type[Record], market: MarketKey, span: SpanMs, unseen: list[str]
    ) -> list[Record] | None:
        """None where they are not read: `unseen` is told why."""
        if self.caller.datasets is not None and _DATASETS[kind] not in self.caller.datasets:
            unseen.append(f"{kind}: not with this API key")
            return None
        question = RecordsQuestion(kind=kind, market=market, span=span)
        try:
            page = await read_page(self.tiers, self.held, question, limit=MOST_READ, now_ms=self.now_ms)
        except NoTierError as error:
            unseen.append(f"{kind}: {error}")
            return None
        if page.away:
            unseen.append(f"{kind} of what only {', '.join(page.away)} has, for it is away")
        if page.cursor is not None:
            unseen.append(f"{kind} of {market.symbol}: only the first {MOST_READ:,} of the time in question, or fewer")
        values = json_values(page.rows, omits_null=FORMS[kind].omits_null)
        return [msgspec.json.decode(value, type=record_type) for value in values]


async def read_markets(
    tiers: Tiers, held: HeldSpans, question: AnalysisQuestion, caller: Caller, *, now_ms: int
) -> list[ReadMarket]:
    """The markets in the question's order. Raises `NoTierError` and `TooMuchError`."""
    reading = _Reading(tiers=tiers, held=held, question=question, caller=caller, now_ms=now_ms)
    return list(await asyncio.gather(*map(reading.market, question.symbols)))

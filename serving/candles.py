"""Questions for candles, answered: asks what the planner says, and goes on without a tier that is away."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from market.key import MarketKey
from market.timeframe import MINUTE_MS, Timeframe
from serving.answers import CandlesAnswer
from serving.encoded import EncodedCandle, fold_candles
from serving.errors import NoTierError, TooMuchError
from serving.held import HeldSpans
from serving.lengths import MINUTE, CandleLength
from serving.planner import (
    MAX_FOLDED_MINUTES,
    MAX_MINUTES,
    RevisionChoice,
    SourcedCandle,
    SpanMs,
    Tier,
    TierSpans,
    clipped,
    coverage,
    joined,
    merge,
    opens_of,
    plan,
    plan_beyond,
    sources,
    windows_to_fold,
)
from serving.tiers import AwayError, Tiers

Merged = dict[int, SourcedCandle]


@dataclass(frozen=True, kw_only=True)
class CandlesQuestion:
    """Closed candles of a market, as `planner.opens_of` chooses them."""

    market: MarketKey
    length: CandleLength = MINUTE
    from_ms: int | None = None
    until_ms: int | None = None
    limit: int
    revision: RevisionChoice = RevisionChoice.LATEST


@dataclass(kw_only=True)
class _Asking:
    """One question on its way."""

    tiers: Tiers
    held: HeldSpans
    question: CandlesQuestion
    away: set[Tier] = field(default_factory=set)
    has_answer: bool = False
    summed: set[Tier] = field(default_factory=set)
    """The tiers whose minutes are in the windows already."""
    hot_until_ms: int = 0
    """The end of the newest minute that hot has."""

    async def ask(self, tier: Tier, spans: Sequence[SpanMs]) -> list[EncodedCandle]:
        """The 1m candles of a tier; none where it is away."""
        if tier in self.away:
            return []
        try:
            candles = await self.tiers[tier].minutes(self.question.market, spans, self.question.revision)
        except AwayError:
            self.away.add(tier)
            return []
        self.has_answer = True
        return candles


async def read_candles(tiers: Tiers, held: HeldSpans, question: CandlesQuestion, *, now_ms: int) -> CandlesAnswer:
    """Raises `NoTierError`, and `TooMuchError` for more than is put together at a time.

    Without `until_ms` they end with the newest that hot has, else now: a simulated market is behind or ahead.
    """
    length, limit = question.length, question.limit
    asking = _Asking(tiers=tiers, held=held, question=question, away=await held.away())
    newest_ms = await _newest_ms(asking)
    opens = opens_of(
        length,
        from_ms=question.from_ms,
        until_ms=question.until_ms,
        newest_ms=max(now_ms, newest_ms or 0) if question.until_ms is not None or newest_ms is None else newest_ms,
        limit=limit if question.from_ms is None else limit + 1,
    )
    opens, beyond = opens[:limit], opens[limit:]
    if length == MINUTE:
        merged = await _minutes(asking, [SpanMs(opens[0], opens[-1] + MINUTE_MS)]) if opens else {}
    else:
        merged = await _windows(asking, opens)
    merged = {open_ms: merged[open_ms] for open_ms in opens if open_ms in merged}
    if asking.away and not asking.has_answer and Tier.COLD in asking.away:
        raise NoTierError(asking.away)
    return CandlesAnswer(
        merged=merged,
        coverage=coverage(length, opens, merged),
        sources=sources(length, merged),
        away=sorted(asking.away, key=list(Tier).index),
        next_from_ms=beyond[0] if beyond else None,
    )


async def _newest_ms(asking: _Asking) -> int | None:
    """The end of the newest closed minute that hot has."""
    if Tier.HOT in asking.away:
        return None
    try:
        newest = await asking.tiers.hot.newest(asking.question.market, Timeframe.M1)
    except AwayError:
        asking.away.add(Tier.HOT)
        return None
    asking.hot_until_ms = 0 if newest is None else newest.close_time_ms + 1
    return None if newest is None else newest.close_time_ms + 1


async def _minutes(asking: _Asking, wanted: Sequence[SpanMs]) -> Merged:
    """1m candles of these spans, each from the tier that the planner chooses."""
    tiers = await _tiers_in_order(asking)
    answers: list[tuple[Tier, Sequence[EncodedCandle]]] = []
    parts = plan(wanted, tiers)
    _require_few(asking, parts, MAX_FOLDED_MINUTES)
    while parts:
        given = await asyncio.gather(*(asking.ask(tier, spans) for tier, spans in parts.items()))
        answers += zip(parts, given, strict=True)
        present = {candle.open_ms for _, candles in answers for candle in candles}
        parts = plan_beyond(parts, present, tiers)
    return merge(answers, asking.question.revision)


async def _windows(asking: _Asking, opens: Sequence[int]) -> Merged:
    """Candles of any length: hot's own, then warm's sums, then sums of minutes out of all tiers."""
    length = asking.question.length
    merged: Merged = {}
    if asking.question.revision is RevisionChoice.LATEST:
        merged |= await _from_hot(asking, opens)
        merged |= await _from_warm(asking, [open_ms for open_ms in opens if open_ms not in merged])
    lacking = [
        open_ms
        for open_ms in opens
        if open_ms not in merged or merged[open_ms].candle.minutes < length.minutes(open_ms)
    ]
    doubtful = windows_to_fold(length, lacking, await _tiers_in_order(asking), warm_answered=Tier.WARM in asking.summed)
    minutes = await _minutes(asking, _spans_of(length, doubtful)) if doubtful else {}
    sums = fold_candles(asking.question.market, length, [sourced.candle for sourced in minutes.values()])
    tiers_of: dict[int, set[Tier]] = {}
    for open_ms, sourced in minutes.items():
        tiers_of.setdefault(length.open_ms(open_ms), set()).update(sourced.tiers)
    for candle in sums:
        known = merged.get(candle.open_ms)
        if known is None or known.candle.minutes < candle.minutes:
            tiers = tuple(tier for tier in Tier if tier in tiers_of[candle.open_ms])
            merged[candle.open_ms] = SourcedCandle(candle, tiers)
    return merged


async def _from_hot(asking: _Asking, opens: Sequence[int]) -> Merged:
    market, timeframe = asking.question.market, asking.question.length.timeframe
    if timeframe is None or not opens or Tier.HOT in asking.away:
        return {}
    held = await asking.held.of(market, timeframe)
    asked = plan(_spans_of(asking.question.length, opens), held[:1]).get(Tier.HOT)
    if not asked:
        return {}
    try:
        candles = await asking.tiers.hot.candles(market, timeframe, SpanMs(asked[0].from_ms, asked[-1].until_ms))
    except AwayError:
        asking.away.add(Tier.HOT)
        return {}
    asking.has_answer = True
    return {candle.open_ms: SourcedCandle(candle, (Tier.HOT,)) for candle in candles}


async def _from_warm(asking: _Asking, opens: Sequence[int]) -> Merged:
    """Only of the windows that warm may have minutes of."""
    market, length = asking.question.market, asking.question.length
    warm = [held for held in await asking.held.of(market) if held.tier is Tier.WARM]
    parts = plan(_spans_of(length, opens), warm)
    if not parts or Tier.WARM in asking.away:
        return {}
    _require_few(asking, parts, MAX_MINUTES)
    asked = parts[Tier.WARM]
    span = SpanMs(length.open_ms(asked[0].from_ms), length.end_ms(length.open_ms(asked[-1].until_ms - 1)))
    try:
        candles = await asking.tiers.warm.windows(market, length, span)
    except AwayError:
        asking.away.add(Tier.WARM)
        return {}
    asking.has_answer = True
    asking.summed.add(Tier.WARM)
    wanted = set(opens)
    return {candle.open_ms: SourcedCandle(candle, (Tier.WARM,)) for candle in candles if candle.open_ms in wanted}


async def _tiers_in_order(asking: _Asking) -> list[TierSpans]:
    """Nearest first; cold first for first revisions, which it alone keeps for sure."""
    held = [
        clipped(spans, asking.hot_until_ms) if spans.tier is Tier.HOT else spans
        for spans in await asking.held.of(asking.question.market)
        if spans.tier not in asking.away
    ]
    return held[::-1] if asking.question.revision is RevisionChoice.FIRST else held


def _spans_of(length: CandleLength, opens: Sequence[int]) -> list[SpanMs]:
    return joined(SpanMs(open_ms, length.end_ms(open_ms)) for open_ms in opens)


def _require_few(asking: _Asking, parts: dict[Tier, list[SpanMs]], most: int) -> None:
    minutes = sum(span.until_ms - span.from_ms for spans in parts.values() for span in spans) // MINUTE_MS
    if minutes > most:
        raise TooMuchError(minutes, most, asking.question.length)

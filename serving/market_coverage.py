"""Which minutes of a market have candles, day by day, and in which tiers."""

import asyncio
import datetime as dt
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from market.key import MarketKey
from market.timeframe import DAY_MS, MINUTE_MS
from market.value_text import Ints
from serving.errors import NoTierError
from serving.held import HeldSpans
from serving.planner import SpanMs, Tier, common, without
from serving.tiers import AwayError, MinuteSpan, Tiers
from sinks.record_forms import COUNTS

MAX_COLD_DAYS = 31
"""Days of files that are read for one answer: those of which hot and warm lack minutes, the first ones."""
_DAY_MINUTES = 1440
_EPOCH = dt.date(1970, 1, 1)


@dataclass(frozen=True, kw_only=True)
class CoveredDay:
    """A UTC day that has candles: how many minutes in any tier, of which status by the nearest, and in each tier."""

    date: dt.date
    statuses: Counter[str]
    tiers: dict[Tier, int]


@dataclass(kw_only=True)
class MarketCoverage:
    """Days in order. `unread` are those in cold that were too many to be read."""

    days: list[CoveredDay]
    held: dict[Tier, list[SpanMs]]
    """Where each tier may hold candles."""
    unread: list[SpanMs]
    away: list[Tier] = field(default_factory=list)


async def read_coverage(tiers: Tiers, held: HeldSpans, market: MarketKey, span: SpanMs) -> MarketCoverage:
    """Of whole days that begin and end in the span, or with it. Raises `NoTierError`."""
    spans = {tier: common([span], of_tier) for tier, of_tier in await held.of(market)}
    away = set(Tier) - spans.keys()
    counts: dict[Tier, pa.Table] = {}
    near = [tier for tier in (Tier.HOT, Tier.WARM) if spans.get(tier)]
    await _ask(tiers, market, {tier: [span] for tier in near}, counts, away)
    lacking = [day for day in _days_of(spans.get(Tier.COLD, [])) if _lacks(day, list(counts.values()))]
    read, unread = lacking[:MAX_COLD_DAYS], lacking[MAX_COLD_DAYS:]
    if read:
        await _ask(tiers, market, {Tier.COLD: read}, counts, away)
    if away == set(Tier):
        raise NoTierError(away)
    in_order = [tier for tier in Tier if tier in away]
    return MarketCoverage(days=covered_days(counts), held=spans, unread=without(unread, []), away=in_order)


def covered_days(counts: Mapping[Tier, pa.Table]) -> list[CoveredDay]:
    """The days of these minutes; where several tiers have one, the nearest tells its status."""
    days: dict[int, CoveredDay] = {}
    seen: Ints = np.array([], np.int64)
    for tier in Tier:
        if tier not in counts:
            continue
        minutes = counts[tier]["minute"].to_numpy()
        statuses = counts[tier]["status"].to_pylist()
        is_new = np.isin(minutes, seen, invert=True)
        for minute, status, counts_here in zip(minutes.tolist(), statuses, is_new.tolist(), strict=True):
            number = minute // _DAY_MINUTES
            day = days.get(number)
            if day is None:
                date = _EPOCH + dt.timedelta(days=number)
                day = days[number] = CoveredDay(date=date, statuses=Counter(), tiers={})
            day.tiers[tier] = day.tiers.get(tier, 0) + 1
            if counts_here:
                day.statuses[status] += 1
        seen = np.union1d(seen, minutes)
    return [days[number] for number in sorted(days)]


async def _ask(
    tiers: Tiers,
    market: MarketKey,
    asked: Mapping[Tier, Sequence[SpanMs]],
    counts: dict[Tier, pa.Table],
    away: set[Tier],
) -> None:
    async def of(tier: Tier, spans: Sequence[SpanMs]) -> None:
        try:
            counts[tier] = pa.concat_tables([await _counts(tiers, tier, market, span) for span in spans])
        except AwayError:
            away.add(tier)

    await asyncio.gather(*(of(tier, spans) for tier, spans in asked.items()))


async def _counts(tiers: Tiers, tier: Tier, market: MarketKey, span: SpanMs) -> pa.Table:
    minutes = MinuteSpan(-(-span.from_ms // MINUTE_MS), -(-span.until_ms // MINUTE_MS))
    if tier is Tier.WARM:
        return await tiers.warm.minute_counts(market, minutes)
    if tier is Tier.COLD:
        return await tiers.cold.minute_counts(market, minutes)
    candles = await tiers.hot.minutes(market, [span])
    columns = {
        "minute": [candle.open_ms // MINUTE_MS for candle in candles],
        "trades": [0] * len(candles),  # nobody asks
        "status": [candle.status.value for candle in candles],
    }
    return pa.table(columns).cast(COUNTS)


def _days_of(spans: Sequence[SpanMs]) -> list[SpanMs]:
    """The parts of spans, each in one UTC day."""
    return [
        part
        for span in spans
        for day in range(span.from_ms // DAY_MS, -(-span.until_ms // DAY_MS))
        for part in common([span], [SpanMs(day * DAY_MS, (day + 1) * DAY_MS)])
    ]


def _lacks(span: SpanMs, counts: Sequence[pa.Table]) -> bool:
    """Whether these tiers lack minutes of a span."""
    minutes = range(-(-span.from_ms // MINUTE_MS), -(-span.until_ms // MINUTE_MS))
    present = np.unique(np.concatenate([np.array([], np.int64), *(table["minute"].to_numpy() for table in counts)]))
    first, end = np.searchsorted(present, [minutes.start, minutes.stop])
    return int(end - first) < len(minutes)

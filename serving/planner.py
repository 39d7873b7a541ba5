"""Which tiers to ask for candles, and how their answers become one: pure, without I/O and without a clock.

Each part of a span is asked of the nearest tier that may hold it (`TierSpans`, kept in the background); what is not in
its answer is asked of the next tier beyond that may hold it, and so on. For first revisions it is the other way round:
cold keeps every revision, the others only the newest. Windows longer than a minute are taken as they stand from hot,
made in the warm store, and where they lack minutes there, made here of minutes out of all tiers.
"""

from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from market.candle import Status
from market.timeframe import MINUTE_MS
from serving.encoded import EncodedCandle
from serving.lengths import CandleLength

MAX_CANDLES = 10_000
"""In one answer."""
MAX_MINUTES = 1_600_000
"""In the windows of one answer that are made for it: about three years."""
MAX_FOLDED_MINUTES = 31 * 1440
"""Of these, those that are added up here, because no store alone has all minutes of their windows; and 1m candles."""


class Tier(StrEnum):
    """Where data are kept, nearest first."""

    HOT = "hot"
    WARM = "warm"
    COLD = "cold"


class RevisionChoice(StrEnum):
    """Which of a candle's revisions counts."""

    LATEST = "latest"
    FIRST = "first"
    """What was told when the minute closed, before any correction."""


class SpanMs(NamedTuple):
    """[from_ms, until_ms), UTC milliseconds."""

    from_ms: int
    until_ms: int


class TierSpans(NamedTuple):
    """Where a tier may hold candles of a market; outside it holds none."""

    tier: Tier
    spans: Sequence[SpanMs]


Parts = Mapping[Tier, Sequence[SpanMs]]
"""What to ask of each tier."""


class SourcedCandle(NamedTuple):
    """A candle and the tiers it was made of."""

    candle: EncodedCandle
    tiers: tuple[Tier, ...]


class SourcedRange(NamedTuple):
    """Candles that follow each other and come out of the same tiers."""

    span: SpanMs
    tiers: tuple[Tier, ...]


class Coverage(NamedTuple):
    """Which candles of a span are there. `worst` and `statuses` are of those that are there."""

    span: SpanMs
    expected: int
    present: int
    missing: list[SpanMs]
    statuses: dict[Status, int]
    worst: Status | None
    minutes_expected: int
    minutes_present: int


def opens_of(
    length: CandleLength, *, from_ms: int | None, until_ms: int | None, newest_ms: int, limit: int
) -> list[int]:
    """Open times of the candles asked for, at most `limit`: the first ones from `from_ms` on, else the last ones.

    They open in [from_ms, until_ms) and end at or before `newest_ms`, the time up to which there can be closed candles.
    """
    end = length.open_ms(newest_ms)
    if until_ms is not None:
        end = min(end, _ceil(length, until_ms))
    opens: list[int] = []
    if from_ms is None:
        while len(opens) < limit and end > 0 and (end := length.open_ms(end - 1)) >= 0:
            opens.append(end)
        return opens[::-1]
    start = _ceil(length, from_ms)
    while start < end and len(opens) < limit:
        opens.append(start)
        start = length.end_ms(start)
    return opens


def plan(missing: Sequence[SpanMs], tiers: Sequence[TierSpans]) -> dict[Tier, list[SpanMs]]:
    """What to ask of each tier for these spans: each part of the first tier in order that may hold it."""
    parts: dict[Tier, list[SpanMs]] = {}
    rest = list(missing)
    for tier, spans in tiers:
        held = common(rest, spans)
        if held:
            parts[tier] = held
            rest = without(rest, spans)
    return parts


def plan_beyond(parts: Parts, present: Container[int], tiers: Sequence[TierSpans]) -> dict[Tier, list[SpanMs]]:
    """What to ask next, when `parts` were answered and these minutes are there: the tiers beyond each, in order."""
    order = [tier for tier, _ in tiers]
    beyond: dict[Tier, list[SpanMs]] = {}
    for tier, spans in parts.items():
        missing = [absent for span in spans for absent in missing_spans(span, present)]
        for other, asked in plan(missing, tiers[order.index(tier) + 1 :]).items():
            beyond[other] = joined([*beyond.get(other, ()), *asked])
    return beyond


def windows_to_fold(
    length: CandleLength, lacking: Sequence[int], tiers: Sequence[TierSpans], *, warm_answered: bool
) -> list[int]:
    """Of windows that lack minutes in warm, those of which another tier may have more; if warm is away, all.

    Where they are too many, warm is believed in what lies wholly where it holds candles: the tiers have the same there,
    unless a store has lost some.
    """
    if not warm_answered:
        return list(lacking)
    others = [held for held in tiers if held.tier is not Tier.WARM]
    more = [open_ms for open_ms in lacking if plan([SpanMs(open_ms, length.end_ms(open_ms))], others)]
    if sum(map(length.minutes, more)) <= MAX_FOLDED_MINUTES:
        return more
    warm = [held for held in tiers if held.tier is Tier.WARM]
    return [open_ms for open_ms in more if _left([SpanMs(open_ms, length.end_ms(open_ms))], warm)]


def _left(spans: Sequence[SpanMs], tiers: Sequence[TierSpans]) -> list[SpanMs]:
    """What none of the tiers may hold."""
    left = list(spans)
    for _, held in tiers:
        left = without(left, held)
    return left


def clipped(held: TierSpans, until_ms: int) -> TierSpans:
    """What lies before a time."""
    return TierSpans(held.tier, [SpanMs(first, min(end, until_ms)) for first, end in held.spans if first < until_ms])


def joined(spans: Iterable[SpanMs]) -> list[SpanMs]:
    """The same times, in order, as few spans as there can be."""
    whole: list[SpanMs] = []
    for span in sorted(spans):
        if whole and span.from_ms <= whole[-1].until_ms:
            before = whole.pop()
            whole.append(SpanMs(before.from_ms, max(before.until_ms, span.until_ms)))
        else:
            whole.append(span)
    return whole


def common(spans: Iterable[SpanMs], others: Sequence[SpanMs]) -> list[SpanMs]:
    """What lies in one of both, in order."""
    return joined(both for span in spans for other in others if (both := _both(span, other)).from_ms < both.until_ms)


def without(spans: Iterable[SpanMs], others: Sequence[SpanMs]) -> list[SpanMs]:
    """What is left of spans outside of others, in order."""
    return joined(left for span in spans for left in _without(span, others))


def missing_spans(span: SpanMs, present: Container[int]) -> list[SpanMs]:
    """The minutes of a span that are not there, as spans."""
    minutes = range(span.from_ms, span.until_ms, MINUTE_MS)
    return joined(SpanMs(open_ms, open_ms + MINUTE_MS) for open_ms in minutes if open_ms not in present)


def merge(
    answers: Sequence[tuple[Tier, Sequence[EncodedCandle]]], revision: RevisionChoice = RevisionChoice.LATEST
) -> dict[int, SourcedCandle]:
    """Open time → candle, in order: of the greatest (or least) revision; of equal ones the one answered first."""
    best: dict[int, SourcedCandle] = {}
    for tier, candles in answers:
        for candle in candles:
            known = best.get(candle.open_ms)
            if known is None or (
                candle.revision < known.candle.revision
                if revision is RevisionChoice.FIRST
                else candle.revision > known.candle.revision
            ):
                best[candle.open_ms] = SourcedCandle(candle, (tier,))
    return dict(sorted(best.items()))


def coverage(length: CandleLength, opens: Sequence[int], merged: Mapping[int, SourcedCandle]) -> Coverage:
    """Which of the candles asked for are there; without `opens` the span is empty."""
    span = SpanMs(opens[0], length.end_ms(opens[-1])) if opens else SpanMs(0, 0)
    missing = joined(SpanMs(open_ms, length.end_ms(open_ms)) for open_ms in opens if open_ms not in merged)
    statuses = Counter(sourced.candle.status for sourced in merged.values())
    return Coverage(
        span,
        len(opens),
        len(merged),
        missing,
        dict(statuses),
        max(statuses, key=lambda status: status.rank, default=None),
        (span.until_ms - span.from_ms) // MINUTE_MS,
        sum(sourced.candle.minutes for sourced in merged.values()),
    )


def sources(length: CandleLength, merged: Mapping[int, SourcedCandle]) -> list[SourcedRange]:
    """Which tiers the candles come from, range by range, in order."""
    ranges: list[SourcedRange] = []
    for open_ms, sourced in merged.items():
        start_ms = open_ms
        if ranges and ranges[-1].span.until_ms == open_ms and ranges[-1].tiers == sourced.tiers:
            start_ms = ranges.pop().span.from_ms
        ranges.append(SourcedRange(SpanMs(start_ms, length.end_ms(open_ms)), sourced.tiers))
    return ranges


def _both(span: SpanMs, other: SpanMs) -> SpanMs:
    return SpanMs(max(span.from_ms, other.from_ms), min(span.until_ms, other.until_ms))


def _without(span: SpanMs, others: Sequence[SpanMs]) -> list[SpanMs]:
    """What is left of a span outside of others."""
    left = [span]
    for other in others:
        left = [
            part
            for whole in left
            for part in (
                SpanMs(whole.from_ms, min(whole.until_ms, other.from_ms)),
                SpanMs(max(whole.from_ms, other.until_ms), whole.until_ms),
            )
            if part.from_ms < part.until_ms
        ]
    return left


def _ceil(length: CandleLength, time_ms: int) -> int:
    """The first open time at or after `time_ms`."""
    opened = length.open_ms(time_ms)
    return opened if opened == time_ms else length.end_ms(opened)

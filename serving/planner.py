"""Which tiers to ask for candles, and how their answers become one: pure, without I/O and without a clock.

Hot and warm are asked first, both for the whole span: either may lag, or have a repair that the other does not have
yet; the highest revision decides. Cold is asked for what is still missing then, because a read there opens files. Only
1m candles are in every tier; longer ones are in hot alone.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple, TypeVar

from market.candle import Candle, Status
from market.timeframe import Timeframe

MAX_CANDLES = 1500
"""In one answer; so a question to cold spans three days at most."""


class Tier(StrEnum):
    """Where data are kept, nearest first."""

    HOT = "hot"
    WARM = "warm"
    COLD = "cold"


class SpanMs(NamedTuple):
    """[from_ms, until_ms), UTC milliseconds."""

    from_ms: int
    until_ms: int


Mark = TypeVar("Mark")

Answers = Mapping[Tier, Sequence[Candle] | None]
"""The answer of each tier that was asked; None where it is away."""


class SourcedCandle(NamedTuple):
    """A candle and the tier it was taken from."""

    candle: Candle
    tier: Tier


class SourcedRange(NamedTuple):
    """Candles that follow each other and come out of one tier."""

    span: SpanMs
    tier: Tier


class Coverage(NamedTuple):
    """Which candles of a span are there. `worst` and `statuses` are of those that are there."""

    span: SpanMs
    expected: int
    present: int
    missing: list[SpanMs]
    statuses: dict[Status, int]
    worst: Status | None


def opens_of(
    timeframe: Timeframe, *, from_ms: int | None, until_ms: int | None, newest_ms: int, limit: int
) -> list[int]:
    """Open times of the candles asked for, at most `limit`: the first ones from `from_ms` on, else the last ones.

    They open in [from_ms, until_ms) and end at or before `newest_ms`, the time up to which there can be closed candles.
    """
    end = timeframe.open_ms(newest_ms)
    if until_ms is not None:
        end = min(end, _ceil(timeframe, until_ms))
    opens: list[int] = []
    if from_ms is None:
        while len(opens) < limit and end > 0 and (end := timeframe.open_ms(end - 1)) >= 0:
            opens.append(end)
        return opens[::-1]
    start = _ceil(timeframe, from_ms)
    while start < end and len(opens) < limit:
        opens.append(start)
        start = timeframe.end_ms(start)
    return opens


def questions(timeframe: Timeframe, opens: Sequence[int], answers: Answers) -> dict[Tier, SpanMs]:
    """The tiers to ask next, and for which span; empty when no tier can add anything."""
    if not opens:
        return {}
    whole = SpanMs(opens[0], timeframe.end_ms(opens[-1]))
    if timeframe is not Timeframe.M1:
        return {} if Tier.HOT in answers else {Tier.HOT: whole}
    near = {tier: whole for tier in (Tier.HOT, Tier.WARM) if tier not in answers}
    if near or Tier.COLD in answers:
        return near
    missing = coverage(timeframe, opens, merge(opens, answers)).missing
    return {Tier.COLD: SpanMs(missing[0].from_ms, missing[-1].until_ms)} if missing else {}


def merge(opens: Iterable[int], answers: Answers) -> dict[int, SourcedCandle]:
    """Open time → candle, in order: the one of the highest revision; of equal ones the one from the nearest tier."""
    best: dict[int, SourcedCandle] = {}
    for tier in Tier:
        for candle in answers.get(tier) or ():
            known = best.get(candle.open_time_ms)
            if known is None or candle.revision > known.candle.revision:
                best[candle.open_time_ms] = SourcedCandle(candle, tier)
    return {open_ms: best[open_ms] for open_ms in opens if open_ms in best}


def coverage(timeframe: Timeframe, opens: Sequence[int], merged: Mapping[int, SourcedCandle]) -> Coverage:
    """Which of the candles asked for are there; without `opens` the span is empty."""
    span = SpanMs(opens[0], timeframe.end_ms(opens[-1])) if opens else SpanMs(0, 0)
    present = [(open_ms, open_ms in merged) for open_ms in opens]
    missing = [missing_span for missing_span, is_there in _spans(timeframe, present) if not is_there]
    statuses = Counter(sourced.candle.status for sourced in merged.values())
    worst = max(statuses, key=lambda status: status.rank, default=None)
    return Coverage(span, len(opens), len(merged), missing, dict(statuses), worst)


def sources(timeframe: Timeframe, merged: Mapping[int, SourcedCandle]) -> list[SourcedRange]:
    """Which tier the candles come from, range by range, in order."""
    tiers = [(open_ms, sourced.tier) for open_ms, sourced in merged.items()]
    return [SourcedRange(span, tier) for span, tier in _spans(timeframe, tiers)]


def _spans(timeframe: Timeframe, marked: Iterable[tuple[int, Mark]]) -> list[tuple[SpanMs, Mark]]:
    """Open times with a mark each, in order → the spans of neighbours with the same mark."""
    spans: list[tuple[SpanMs, Mark]] = []
    for open_ms, mark in marked:
        span = SpanMs(open_ms, timeframe.end_ms(open_ms))
        if spans and spans[-1][0].until_ms == open_ms and spans[-1][1] == mark:
            before, _ = spans.pop()
            span = SpanMs(before.from_ms, span.until_ms)
        spans.append((span, mark))
    return spans


def _ceil(timeframe: Timeframe, time_ms: int) -> int:
    """The first open time at or after `time_ms`."""
    opened = timeframe.open_ms(time_ms)
    return opened if opened == time_ms else timeframe.end_ms(opened)

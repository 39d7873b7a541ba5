"""Which tiers to ask for records by time, and whether what they gave is all: pure, without I/O and without a clock.

A span is cut into segments. Warm is asked in each: it holds all that it was not told to let go. Cold is asked where it
has files and warm holds nothing, and for trades also in the minutes of which warm's own candle counts more trades than
warm has. Where warm is away, cold alone is asked.
"""

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from market.timeframe import DAY_MS, MINUTE_MS, MINUTE_US
from market.value_text import Ints
from serving.planner import SpanMs, Tier, TierSpans, common, joined, without

MOST_DOUBTED_DAYS = 31
"""In one table; where there are more, warm is believed."""


class RecordSegment(NamedTuple):
    """A part of a span, and the tiers to ask for it."""

    span: SpanMs
    tiers: tuple[Tier, ...]


class MinuteCount(NamedTuple):
    """Of how many minutes there are candles, by status, and of which minutes there are fewer trades than theirs."""

    statuses: Counter[str]
    lacking: list[SpanMs]


def segments(span: SpanMs, held: Sequence[TierSpans]) -> list[RecordSegment]:
    """The parts of a span, in order, without a gap. A tier that is not in `held` is away; a part may be no tier's."""
    spans = {tier: list(of_tier) for tier, of_tier in held}
    cold = common([span], spans.get(Tier.COLD, []))
    warm = spans.get(Tier.WARM)
    if warm is None:
        near: list[SpanMs] = []
    else:
        cold = without(cold, warm)
        near = without(common([span], warm or [span]), cold)  # without records, it may get its first at any time
    both = () if warm is None else (Tier.WARM,)
    return sorted(
        [RecordSegment(part, (*both, Tier.COLD)) for part in cold]
        + [RecordSegment(part, (Tier.WARM,)) for part in near]
        + [RecordSegment(part, ()) for part in without([span], [*cold, *near])]
    )


def doubted_minutes(times_us: Ints, counts: pa.Table) -> Ints:
    """Minutes of which there are fewer trades than their candle has, or no candle between others. In order."""
    minutes = counts["minute"].to_numpy()
    if not len(minutes):
        return minutes  # type: ignore[no-any-return]
    between = np.setdiff1d(np.arange(minutes[0], minutes[-1]), minutes, assume_unique=True)
    return np.union1d(_lacking(times_us, counts), between)


def spans_of(minutes: Ints, cold: Sequence[SpanMs]) -> list[SpanMs]:
    """The minutes as spans, those that cold may hold; none where these are of too many days."""
    starts = np.flatnonzero(np.diff(minutes, prepend=-2) > 1)
    ends = np.append(starts, len(minutes))[1:] - 1
    spans = [
        SpanMs(int(minutes[start]) * MINUTE_MS, (int(minutes[end]) + 1) * MINUTE_MS)
        for start, end in zip(starts, ends, strict=True)
    ]
    asked = common(spans, cold)
    days = {day for part in asked for day in range(part.from_ms // DAY_MS, (part.until_ms - 1) // DAY_MS + 1)}
    return asked if len(days) <= MOST_DOUBTED_DAYS else []


def count_minutes(times_us: Ints, counts: pa.Table) -> MinuteCount:
    """How complete trades are, by the candles of their minutes."""
    lacking = _lacking(times_us, counts)
    spans = joined(SpanMs(minute * MINUTE_MS, (minute + 1) * MINUTE_MS) for minute in lacking.tolist())
    return MinuteCount(Counter(counts["status"].to_pylist()), spans)


def _lacking(times_us: Ints, counts: pa.Table) -> Ints:
    minutes, trades = counts["minute"].to_numpy(), counts["trades"].to_numpy()
    present, numbers = np.unique(times_us // MINUTE_US, return_counts=True)
    places = np.searchsorted(present, minutes)
    places[places == len(present)] = 0
    held = np.where(present[places] == minutes, numbers[places], 0) if len(present) else np.zeros_like(minutes)
    return minutes[held < trades]  # type: ignore[no-any-return]

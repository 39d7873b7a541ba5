"""What was given of records by time, counted slice by slice: from where, how much, and how complete. Pure."""

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

import pyarrow as pa

from market.timeframe import MINUTE_MS
from market.value_text import Ints
from serving.planner import SourcedRange, SpanMs, Tier, joined
from serving.record_plan import count_minutes
from sinks.record_forms import RecordKind

MAX_TOLD = 1_000
"""Spans; how many minutes there are is told in any case."""


class RecordSlice(NamedTuple):
    """The next records of a question, in order: all of some whole minutes."""

    span: SpanMs
    rows: pa.Table
    tiers: tuple[Tier, ...]
    """Those that the records come from."""
    counts: pa.Table
    """`sinks.record_forms.COUNTS` of the candles of these minutes, where trades were asked for."""
    times_us: Ints
    """Of all records of these minutes, also those that were not asked for."""


@dataclass(kw_only=True)
class RecordsCoverage:
    """What was given: up to where, how much, and how complete by the candles of the minutes."""

    kind: RecordKind
    asked: SpanMs
    until_ms: int
    present: int = 0
    ranges: list[SourcedRange] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    lacking: list[SpanMs] = field(default_factory=list)
    """The first `MAX_TOLD` spans of the minutes that lack trades."""
    lacking_minutes: int = 0

    def add(self, given: RecordSlice) -> None:
        """Count a slice."""
        self.present += len(given.rows)
        if given.tiers:
            before = self.ranges[-1] if self.ranges else None
            start_ms = given.span.from_ms
            if before is not None and before.tiers == given.tiers and before.span.until_ms == start_ms:
                start_ms = self.ranges.pop().span.from_ms
            self.ranges.append(SourcedRange(SpanMs(start_ms, given.span.until_ms), given.tiers))
        counted = count_minutes(given.times_us, given.counts)
        self.statuses += counted.statuses
        self.lacking_minutes += sum((span.until_ms - span.from_ms) // MINUTE_MS for span in counted.lacking)
        if len(self.lacking) < MAX_TOLD:
            self.lacking = joined([*self.lacking, *counted.lacking])[:MAX_TOLD]
        self.until_ms = min(given.span.until_ms, self.asked.until_ms)

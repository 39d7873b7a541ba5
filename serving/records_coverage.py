"""What was given of records by time, counted slice by slice: from where, how much, and how complete. Pure."""

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

import pyarrow as pa

from market.columns import Ints
from serving.planner import SourcedRange, SpanMs, Tier, joined
from serving.record_plan import count_minutes
from sinks.record_forms import RecordKind


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
    until_ms: int = 0
    present: int = 0
    ranges: list[SourcedRange] = field(default_factory=list)
    statuses: Counter[str] = field(default_factory=Counter)
    lacking: list[SpanMs] = field(default_factory=list)

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
        self.lacking = joined([*self.lacking, *counted.lacking])
        self.until_ms = min(given.span.until_ms, self.asked.until_ms)

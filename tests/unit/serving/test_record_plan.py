"""Which tiers are asked for records, and how it is seen that trades are missing."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from market.timeframe import DAY_MS, MINUTE_MS, MINUTE_US
from serving.planner import SpanMs, Tier, TierSpans, joined
from serving.record_plan import MOST_DOUBTED_DAYS, count_minutes, doubted_minutes, segments, spans_of
from sinks.record_forms import COUNTS

MINUTES = 24
held_minutes = st.sets(st.integers(0, MINUTES - 1))


def spans(minutes: set[int]) -> list[SpanMs]:
    return joined(SpanMs(minute * MINUTE_MS, (minute + 1) * MINUTE_MS) for minute in minutes)


def counts(trades: dict[int, int], status: str = "complete") -> pa.Table:
    rows = [{"minute": minute, "trades": count, "status": status} for minute, count in sorted(trades.items())]
    return pa.Table.from_pylist(rows, schema=COUNTS)


def times(trades: dict[int, int]) -> np.ndarray:
    return np.array(
        [minute * MINUTE_US + n for minute, count in sorted(trades.items()) for n in range(count)], np.int64
    )


@given(held_minutes, held_minutes, st.sets(st.sampled_from([Tier.WARM, Tier.COLD])), st.integers(0, 20))
def test_a_span_is_parted_without_gaps_and_each_minute_is_asked_of_a_tier_that_has_it(
    warm: set[int], cold: set[int], away: set[Tier], begin: int
) -> None:
    held = [TierSpans(tier, spans(of)) for tier, of in ((Tier.WARM, warm), (Tier.COLD, cold)) if tier not in away]
    span = SpanMs(begin * MINUTE_MS, MINUTES * MINUTE_MS)
    parts = segments(span, held)
    assert parts[0].span.from_ms == span.from_ms
    assert parts[-1].span.until_ms == span.until_ms
    assert all(part.span.until_ms == following.span.from_ms for part, following in pairwise(parts))
    for part in parts:
        assert not away & set(part.tiers)
        for minute in range(part.span.from_ms // MINUTE_MS, part.span.until_ms // MINUTE_MS):
            if Tier.WARM in away:
                assert part.tiers == ((Tier.COLD,) if minute in cold and Tier.COLD not in away else ())
            elif minute in warm or not (warm or minute in cold):
                assert part.tiers == (Tier.WARM,)
            elif minute in cold and Tier.COLD not in away:
                assert part.tiers == (Tier.WARM, Tier.COLD)


counted = st.dictionaries(st.integers(0, 12), st.integers(0, 3))


@given(counted, counted)
def test_minutes_are_doubted_that_have_fewer_trades_than_their_candle_or_lie_between_candles_without_one(
    present: dict[int, int], told: dict[int, int]
) -> None:
    doubted = set(doubted_minutes(times(present), counts(told)).tolist())
    lacking = {minute for minute, count in told.items() if present.get(minute, 0) < count}
    between = set(range(min(told), max(told) + 1)) - told.keys() if told else set()
    assert doubted == lacking | between
    counted_minutes = count_minutes(times(present), counts(told, "hole"))
    assert counted_minutes.statuses == Counter({"hole": len(told)} if told else {})
    assert counted_minutes.lacking == spans(lacking)


@given(held_minutes, held_minutes)
def test_of_doubted_minutes_those_are_asked_that_cold_may_have(doubted: set[int], cold: set[int]) -> None:
    assert spans_of(np.array(sorted(doubted), np.int64), spans(cold)) == spans(doubted & cold)


def test_too_many_doubted_days_are_not_asked() -> None:
    day = DAY_MS // MINUTE_MS
    for days in (MOST_DOUBTED_DAYS, MOST_DOUBTED_DAYS + 1):
        minutes = np.arange(days) * day
        asked = spans_of(minutes, [SpanMs(0, days * DAY_MS)])
        assert len(asked) == (days if days == MOST_DOUBTED_DAYS else 0)

"""The planner: whom it asks, what wins, and what it says is missing."""

from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.candle import Status
from market.timeframe import MINUTE_MS
from serving.encoded import EncodedCandle
from serving.lengths import MINUTE, CandleLength
from serving.planner import (
    MAX_CANDLES,
    RevisionChoice,
    SpanMs,
    Tier,
    TierSpans,
    coverage,
    joined,
    merge,
    opens_of,
    plan,
    plan_beyond,
    sources,
)

T0 = 1_610_064_000_000  # 2021-01-08 00:00 UTC
MINUTES = 20
lengths = st.sampled_from(["1m", "7m", "90m", "1h", "3d", "1w", "2w", "1M", "5M"]).map(CandleLength.parse)
minutes_held = st.sets(st.integers(0, MINUTES - 1))
tiers_held = st.fixed_dictionaries(dict.fromkeys(Tier, minutes_held))


def open_ms(minute: int) -> int:
    return T0 + minute * MINUTE_MS


def span(first: int, end: int) -> SpanMs:
    return SpanMs(open_ms(first), open_ms(end))


def candle(minute: int, revision: int = 1, status: Status = Status.COMPLETE) -> EncodedCandle:
    return EncodedCandle(open_ms(minute), revision, status, 1, b"")


def known(held: set[int], widened: int) -> list[SpanMs]:
    """What is known of a tier that holds these minutes: at least these, in spans that may be wider."""
    return joined(span(minute - widened, minute + 1 + widened) for minute in held)


candles = st.builds(candle, st.integers(0, 8), st.integers(0, 3), st.sampled_from(list(Status)[:4]))
answers_of_tiers = st.lists(
    st.tuples(st.sampled_from(Tier), st.lists(candles, max_size=9, unique_by=lambda given: given.open_ms)), max_size=4
)


@given(tiers_held, st.lists(st.integers(0, 3), min_size=3, max_size=3), st.sets(st.sampled_from(Tier)))
def test_every_minute_that_a_tier_has_is_answered_once_and_none_is_asked_of_two_tiers_at_once(
    held: dict[Tier, set[int]], widened: list[int], away: set[Tier]
) -> None:
    tiers = [TierSpans(tier, known(held[tier], by)) for tier, by in zip(Tier, widened, strict=True)]
    whole = span(0, MINUTES)
    answers: list[tuple[Tier, list[EncodedCandle]]] = []
    parts, rounds = plan([whole], tiers), 0
    while parts:
        rounds += 1
        asked = [minute for spans in parts.values() for one_span in spans for minute in _minutes_of(one_span)]
        if rounds == 1:
            assert len(asked) == len(set(asked))
        for tier, spans in parts.items():
            assert set().union(*(_minutes_of(part) for part in spans)) <= set().union(
                *(_minutes_of(part) for part in dict(tiers)[tier])
            )
            there = {minute for part in spans for minute in _minutes_of(part)} & held[tier]
            answers.append((tier, [] if tier in away else [candle(minute) for minute in sorted(there)]))
        parts = plan_beyond(parts, {given.open_ms for _, given_by in answers for given in given_by}, tiers)
    assert rounds <= len(Tier)
    merged = merge(answers)
    expected = set().union(*(held[tier] for tier in Tier if tier not in away))
    assert list(merged) == [open_ms(minute) for minute in sorted(expected)]
    for minute in expected:
        nearest = next(tier for tier in Tier if tier not in away and minute in held[tier])
        assert merged[open_ms(minute)].tiers == (nearest,)


def _minutes_of(part: SpanMs) -> set[int]:
    return {(time_ms - T0) // MINUTE_MS for time_ms in range(part.from_ms, part.until_ms, MINUTE_MS)}


def test_the_newest_are_asked_of_hot_alone_and_the_oldest_of_cold_alone() -> None:
    tiers = [
        TierSpans(Tier.HOT, [span(15, 1000)]),
        TierSpans(Tier.WARM, [span(8, 1000)]),
        TierSpans(Tier.COLD, [span(0, 12)]),
    ]
    assert plan([span(16, 20)], tiers) == {Tier.HOT: [span(16, 20)]}
    assert plan([span(0, 5)], tiers) == {Tier.COLD: [span(0, 5)]}
    assert plan([span(2, 18)], tiers) == {
        Tier.HOT: [span(15, 18)],
        Tier.WARM: [span(8, 15)],
        Tier.COLD: [span(2, 8)],
    }
    assert plan([span(-9, 0)], tiers) == {}


@given(answers_of_tiers, st.sampled_from(RevisionChoice))
def test_the_revision_that_was_asked_for_counts(
    answers: list[tuple[Tier, list[EncodedCandle]]], revision: RevisionChoice
) -> None:
    merged = merge(answers, revision)
    assert list(merged) == sorted({given.open_ms for _, given_by in answers for given in given_by})
    choose = max if revision is RevisionChoice.LATEST else min
    for time_ms, sourced in merged.items():
        copies = [(given, tier) for tier, given_by in answers for given in given_by if given.open_ms == time_ms]
        best = choose(given.revision for given, _ in copies)
        assert sourced.candle.revision == best
        assert sourced.tiers == (next(tier for given, tier in copies if given.revision == best),)


@given(answers_of_tiers)
def test_present_and_missing_part_the_span_and_the_worst_status_is_told(
    answers: list[tuple[Tier, list[EncodedCandle]]],
) -> None:
    opens = [open_ms(minute) for minute in range(9)]
    merged = merge(answers)
    held = coverage(MINUTE, opens, merged)
    missing = [time_ms for time_ms in opens for part in held.missing if part.from_ms <= time_ms < part.until_ms]
    assert sorted([*missing, *merged]) == opens
    assert (held.expected, held.present, sum(held.statuses.values())) == (9, len(merged), len(merged))
    assert (held.minutes_expected, held.minutes_present) == (9, len(merged))
    assert all(before.until_ms < after.from_ms for before, after in pairwise(held.missing))
    order = ["complete", "connected", "kline", "hole", "open"]
    statuses = [order.index(sourced.candle.status.value) for sourced in merged.values()]
    assert held.worst == (order[max(statuses)] if statuses else None)
    told = {
        time_ms: sourced.tiers
        for sourced in sources(MINUTE, merged)
        for time_ms in range(sourced.span.from_ms, sourced.span.until_ms, MINUTE_MS)
    }
    assert told == {time_ms: sourced.tiers for time_ms, sourced in merged.items()}


def test_a_range_ends_where_a_candle_misses_or_another_tier_begins() -> None:
    merged = merge([(Tier.HOT, [candle(0), candle(1), candle(3)]), (Tier.COLD, [candle(4)])])
    assert [(sourced.span.from_ms - T0, sourced.tiers) for sourced in sources(MINUTE, merged)] == [
        (0, (Tier.HOT,)),
        (3 * MINUTE_MS, (Tier.HOT,)),
        (4 * MINUTE_MS, (Tier.COLD,)),
    ]


@pytest.mark.parametrize(
    ("from_ms", "until_ms", "limit", "minutes"),
    [
        (T0, T0 + 3 * MINUTE_MS, 10, [0, 1, 2]),
        (T0 + 1, T0 + 2 * MINUTE_MS + 1, 10, [1, 2]),
        (T0, None, 2, [0, 1]),
        (None, T0 + 3 * MINUTE_MS, 2, [1, 2]),
        (None, None, 2, [3, 4]),
        (T0 + 4 * MINUTE_MS, None, 10, [4]),
        (T0, T0, 10, []),
        (T0 + 90 * MINUTE_MS, None, 10, []),
    ],
)
def test_the_first_from_a_time_on_else_the_last_and_none_that_is_not_over(
    from_ms: int | None, until_ms: int | None, limit: int, minutes: Sequence[int]
) -> None:
    newest_ms = T0 + 5 * MINUTE_MS + 59_999
    opens = opens_of(MINUTE, from_ms=from_ms, until_ms=until_ms, newest_ms=newest_ms, limit=limit)
    assert [(at - T0) // MINUTE_MS for at in opens] == minutes


def test_months_and_weeks_open_where_the_calendar_says() -> None:
    newest_ms = int(datetime(2021, 3, 15, tzinfo=UTC).timestamp()) * 1000
    months = opens_of(CandleLength.parse("1M"), from_ms=None, until_ms=None, newest_ms=newest_ms, limit=2)
    assert [datetime.fromtimestamp(at / 1000, UTC).isoformat()[:10] for at in months] == ["2021-01-01", "2021-02-01"]
    weeks = opens_of(CandleLength.parse("1w"), from_ms=None, until_ms=None, newest_ms=newest_ms, limit=1)
    assert [datetime.fromtimestamp(at / 1000, UTC).isoformat()[:10] for at in weeks] == ["2021-03-08"]


@given(
    lengths,
    st.none() | st.integers(0, 2 * T0),
    st.none() | st.integers(0, 2 * T0),
    st.integers(0, 2 * T0),
    st.integers(1, 40),
)
def test_open_times_are_whole_neighbours_inside_what_was_asked(
    length: CandleLength, from_ms: int | None, until_ms: int | None, newest_ms: int, limit: int
) -> None:
    opens = opens_of(length, from_ms=from_ms, until_ms=until_ms, newest_ms=newest_ms, limit=limit)
    assert len(opens) <= limit <= MAX_CANDLES
    assert all(length.open_ms(at) == at for at in opens)
    assert all(length.end_ms(one) == following for one, following in pairwise(opens))
    assert all((from_ms or 0) <= at for at in opens)
    assert all(until_ms is None or at < until_ms for at in opens)
    assert all(length.end_ms(at) <= newest_ms for at in opens)

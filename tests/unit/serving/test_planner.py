"""The planner: whom it asks, what wins, and what it says is missing."""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.candle import Candle, Status
from market.timeframe import Timeframe
from serving.planner import MAX_CANDLES, Answers, SpanMs, Tier, coverage, merge, opens_of, questions, sources

MINUTE = 60_000
T0 = 1_610_064_000_000  # 2021-01-08 00:00 UTC
OPENS = [T0 + minute * MINUTE for minute in range(6)]
M1 = Timeframe.M1


def candle(minute: int, revision: int = 1, status: Status = Status.COMPLETE) -> Candle:
    one = Decimal(1)
    return Candle(
        exchange="binance", symbol="BTC-USDT", timeframe="1m",
        open_time_ms=T0 + minute * MINUTE, close_time_ms=T0 + (minute + 1) * MINUTE - 1,
        open=one, high=one, low=one, close=one, volume=one, quote_volume=one, trades=1,
        taker_buy_volume=one, taker_buy_quote_volume=one, revision=revision, status=status,
    )  # fmt: skip


candles = st.builds(candle, st.integers(-2, 8), st.integers(0, 3), st.sampled_from(Status))
tier_answers = st.none() | st.lists(candles, max_size=12, unique_by=lambda one: one.open_time_ms)
all_answers = st.dictionaries(st.sampled_from(Tier), tier_answers)


def test_hot_and_warm_are_asked_first_for_all_of_it() -> None:
    whole = SpanMs(T0, T0 + 6 * MINUTE)
    assert questions(M1, OPENS, {}) == {Tier.HOT: whole, Tier.WARM: whole}


@pytest.mark.parametrize(
    ("hot", "warm", "asked"),
    [
        ([0, 1, 2], [3, 4, 5], None),
        ([0, 1, 2, 3, 4, 5], None, None),
        ([5], [4], (0, 4)),
        ([0, 5], [2], (1, 5)),
        (None, None, (0, 6)),
        ([], [], (0, 6)),
    ],
)
def test_cold_is_asked_for_what_then_misses(
    hot: list[int] | None, warm: list[int] | None, asked: tuple[int, int] | None
) -> None:
    def of(minutes: list[int] | None) -> list[Candle] | None:
        return None if minutes is None else [candle(minute) for minute in minutes]

    expected = {Tier.COLD: SpanMs(T0 + asked[0] * MINUTE, T0 + asked[1] * MINUTE)} if asked else {}
    assert questions(M1, OPENS, {Tier.HOT: of(hot), Tier.WARM: of(warm)}) == expected


def test_longer_candles_are_asked_of_hot_alone() -> None:
    opens = [T0, T0 + 60 * MINUTE]
    assert questions(Timeframe.H1, opens, {}) == {Tier.HOT: SpanMs(T0, T0 + 120 * MINUTE)}
    assert questions(Timeframe.H1, opens, {Tier.HOT: []}) == {}


@given(st.lists(st.tuples(st.sampled_from(Tier), tier_answers)))
def test_asking_ends_with_each_tier_asked_once_at_most(given_answers: list[tuple[Tier, list[Candle] | None]]) -> None:
    given_by_tier, answers = dict(given_answers), {}
    for _ in range(len(Tier) + 1):
        asked = questions(M1, OPENS, answers)
        assert not set(asked) & set(answers)
        answers |= {tier: given_by_tier.get(tier) for tier in asked}
    assert not asked


@given(all_answers)
def test_the_highest_revision_wins_and_of_equal_ones_the_nearest_tier(answers: Answers) -> None:
    merged = merge(OPENS, answers)
    for at in OPENS:
        held = [(one.revision, tier) for tier in Tier for one in answers.get(tier) or () if one.open_time_ms == at]
        if not held:
            assert at not in merged
            continue
        best = max(revision for revision, _ in held)
        assert merged[at].candle.revision == best
        assert merged[at].tier is next(tier for revision, tier in held if revision == best)
    assert list(merged) == sorted(merged)


@given(all_answers)
def test_present_and_missing_part_the_span_and_the_worst_status_is_told(answers: Answers) -> None:
    merged = merge(OPENS, answers)
    held = coverage(M1, OPENS, merged)
    missing = [at for at in OPENS for span in held.missing if span.from_ms <= at < span.until_ms]
    assert sorted([*missing, *merged]) == OPENS
    assert (held.expected, held.present, sum(held.statuses.values())) == (6, len(merged), len(merged))
    assert all(before.until_ms < after.from_ms for before, after in pairwise(held.missing))
    order = ["complete", "connected", "kline", "hole", "open"]
    statuses = [order.index(one.candle.status.value) for one in merged.values()]
    assert held.worst == (order[max(statuses)] if statuses else None)


@given(all_answers)
def test_sources_are_stretches_of_one_tier_over_exactly_what_is_present(answers: Answers) -> None:
    merged = merge(OPENS, answers)
    told = {
        open_ms: sourced.tier
        for sourced in sources(M1, merged)
        for open_ms in range(sourced.span.from_ms, sourced.span.until_ms, MINUTE)
    }
    assert told == {at: one.tier for at, one in merged.items()}


def test_a_stretch_ends_where_a_candle_misses_or_another_tier_begins() -> None:
    merged = merge(OPENS, {Tier.HOT: [candle(0), candle(1), candle(3)], Tier.COLD: [candle(4)]})
    assert [(sourced.span.from_ms - T0, sourced.tier) for sourced in sources(M1, merged)] == [
        (0, Tier.HOT),
        (3 * MINUTE, Tier.HOT),
        (4 * MINUTE, Tier.COLD),
    ]


@pytest.mark.parametrize(
    ("from_ms", "until_ms", "limit", "minutes"),
    [
        (T0, T0 + 3 * MINUTE, 10, [0, 1, 2]),
        (T0 + 1, T0 + 2 * MINUTE + 1, 10, [1, 2]),
        (T0, None, 2, [0, 1]),
        (None, T0 + 3 * MINUTE, 2, [1, 2]),
        (None, None, 2, [3, 4]),
        (T0 + 4 * MINUTE, None, 10, [4]),
        (T0, T0, 10, []),
        (T0 + 90 * MINUTE, None, 10, []),
    ],
)
def test_the_first_from_a_time_on_else_the_last_and_none_that_is_not_over(
    from_ms: int | None, until_ms: int | None, limit: int, minutes: Sequence[int]
) -> None:
    newest_ms = T0 + 5 * MINUTE + 59_999
    opens = opens_of(M1, from_ms=from_ms, until_ms=until_ms, newest_ms=newest_ms, limit=limit)
    assert [(at - T0) // MINUTE for at in opens] == minutes


def test_months_and_weeks_open_where_the_calendar_says() -> None:
    newest_ms = int(datetime(2021, 3, 15, tzinfo=UTC).timestamp()) * 1000
    months = opens_of(Timeframe.MO1, from_ms=None, until_ms=None, newest_ms=newest_ms, limit=2)
    assert [datetime.fromtimestamp(at / 1000, UTC).isoformat()[:10] for at in months] == ["2021-01-01", "2021-02-01"]
    weeks = opens_of(Timeframe.W1, from_ms=None, until_ms=None, newest_ms=newest_ms, limit=1)
    assert [datetime.fromtimestamp(at / 1000, UTC).isoformat()[:10] for at in weeks] == ["2021-03-08"]


@given(
    st.sampled_from(Timeframe),
    st.none() | st.integers(0, 2 * T0),
    st.none() | st.integers(0, 2 * T0),
    st.integers(0, 2 * T0),
    st.integers(1, 40),
)
def test_open_times_are_whole_neighbours_inside_what_was_asked(
    timeframe: Timeframe, from_ms: int | None, until_ms: int | None, newest_ms: int, limit: int
) -> None:
    opens = opens_of(timeframe, from_ms=from_ms, until_ms=until_ms, newest_ms=newest_ms, limit=limit)
    assert len(opens) <= limit <= MAX_CANDLES
    assert all(timeframe.open_ms(at) == at for at in opens)
    assert all(timeframe.end_ms(one) == following for one, following in pairwise(opens))
    assert all((from_ms or 0) <= at for at in opens)
    assert all(until_ms is None or at < until_ms for at in opens)
    assert all(timeframe.end_ms(at) <= newest_ms for at in opens)

"""Events of a feed as gaps and holes, each counted once."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from candlewick.gap_rate.incidents import GapEnd, MarketIncidents, take_new
from market.feed import FeedEvent, FeedEventKind
from market.ids import IdRanges

T0_US = 1_610_064_000_000_000
OPENED, FILLED, HOLE = FeedEventKind.GAP_OPENED, FeedEventKind.GAP_FILLED, FeedEventKind.HOLE


def event(kind: FeedEventKind, first: int | str | None = None, last: int | str | None = None, **more: Any) -> FeedEvent:
    ids = {name: None if number is None else str(number) for name, number in (("first_id", first), ("last_id", last))}
    return FeedEvent(exchange="binance", symbol="BTC-USDT", event=kind, at_ms=T0_US // 1000, **ids, **more)


def told(*events: FeedEvent) -> MarketIncidents:
    market = MarketIncidents()
    for each in events:
        market.take(each)
    return market


def gaps(market: MarketIncidents) -> list[tuple[int, GapEnd, int]]:
    """Ids, how it ended, ids lost."""
    return [(len(gap.ids), gap.end, gap.lost) for gap in market.gaps]


def test_a_gap_is_open_until_it_is_filled_or_given_up() -> None:
    opened = event(OPENED, 10, 19)
    assert gaps(told(opened)) == [(10, GapEnd.OPEN, 0)]
    assert gaps(told(opened, event(FILLED, 10, 19))) == [(10, GapEnd.FILLED, 0)]
    assert gaps(told(opened, event(HOLE, 10, 19))) == [(10, GapEnd.HOLE, 10)]


def test_a_gap_that_is_given_up_in_part_ended_in_a_hole() -> None:
    market = told(event(OPENED, 10, 19), event(HOLE, 12, 13), event(FILLED, 10, 19))
    assert gaps(market) == [(10, GapEnd.HOLE, 2)]
    assert [list(hole.ids) for hole in market.holes] == [[(12, 13)]]


def test_gaps_side_by_side_are_two() -> None:
    assert [size for size, _, _ in gaps(told(event(OPENED, 10, 19), event(OPENED, 20, 29)))] == [10, 10]


def test_a_gap_that_is_told_again_counts_once() -> None:
    opened, filled = event(OPENED, 10, 19), event(FILLED, 10, 19)
    assert gaps(told(opened, opened, filled, opened, filled)) == [(10, GapEnd.FILLED, 0)]
    # A producer that starts again asks for all behind its newest marker, in which this gap is.
    assert gaps(told(opened, event(OPENED, 5, 40), event(FILLED, 5, 40))) == [(36, GapEnd.FILLED, 0)]
    # It is missing again, and nothing more was told.
    assert gaps(told(opened, filled, event(OPENED, 15, 19))) == [(10, GapEnd.OPEN, 0)]


def test_a_hole_that_is_told_again_counts_once_and_its_new_ids_are_another() -> None:
    market = told(event(HOLE, 10, 19), event(HOLE, 10, 19), event(HOLE, 15, 24))
    assert [list(hole.ids) for hole in market.holes] == [[(10, 19)], [(20, 24)]]


def test_the_same_ids_behind_a_reset_are_others() -> None:
    reset = event(FeedEventKind.RESET, 1, None, from_us=T0_US, until_us=T0_US + 5, reason="ids fell")
    market = told(event(OPENED, 10, 19), reset, reset, event(OPENED, 10, 19), event(HOLE, 10, 19))
    assert gaps(market) == [(10, GapEnd.RESET, 0), (10, GapEnd.HOLE, 10)]
    assert market.resets_us == [T0_US]
    assert [(hole.from_us, hole.until_us, len(hole.ids)) for hole in market.holes] == [
        (T0_US, T0_US + 5, 0),
        (T0_US // 1000 * 1000, T0_US // 1000 * 1000, 10),
    ]


@pytest.mark.parametrize("number", [None, "8c1a-uuid", "007"])
def test_ranges_without_numbers_are_told_apart_by_time(number: str | None) -> None:
    def at(kind: FeedEventKind, from_s: int, until_s: int) -> FeedEvent:
        times = {"from_us": T0_US + from_s * 1_000_000, "until_us": T0_US + until_s * 1_000_000}
        return event(kind, number, number, **times)

    market = told(at(OPENED, 0, 5), at(OPENED, 0, 5), at(OPENED, 9, 12), at(FILLED, 0, 5), at(HOLE, 9, 12))
    assert gaps(market) == [(0, GapEnd.FILLED, 0), (0, GapEnd.HOLE, 0)]
    assert [(hole.from_us, len(hole.ids)) for hole in market.holes] == [(T0_US + 9_000_000, 0)]


def test_what_a_run_tells_is_no_loss_of_the_feed() -> None:
    market = told(event(HOLE, 10, 19, run="r1"), event(FeedEventKind.RUN_BEGUN, run="r1"))
    assert (market.gaps, market.holes) == ([], [])


def test_disconnects_and_claims_taken_back_are_counted() -> None:
    back = event(FeedEventKind.TAKEN_BACK, from_us=T0_US, until_us=T0_US + 7, reason="late")
    lost = event(FeedEventKind.DISCONNECTED, reason="closed")
    market = told(back, back, lost, lost, event(FeedEventKind.CONNECTED))
    assert (market.taken_back_us, market.disconnects_us) == ([T0_US], [T0_US, T0_US])


ids = st.tuples(st.integers(0, 40), st.integers(0, 6)).map(lambda pair: (pair[0], sum(pair)))
events = st.lists(st.tuples(st.sampled_from([OPENED, FILLED, HOLE]), ids), max_size=12)


@given(events)
def test_every_id_is_missing_once_and_lost_once(happened: list[tuple[FeedEventKind, tuple[int, int]]]) -> None:
    market = told(*(event(kind, *span) for kind, span in happened))
    for kind, ranges in ((OPENED, [gap.ids for gap in market.gaps]), (HOLE, [hole.ids for hole in market.holes])):
        each = {number for name, (first, last) in happened if name is kind for number in range(first, last + 1)}
        assert sum(len(part) for part in ranges) == len(each)
        assert all(number in each for part in ranges for first, last in part for number in (first, last))
    assert all(gap.lost <= len(gap.ids) for gap in market.gaps)


@given(events)
def test_events_told_twice_change_nothing(happened: list[tuple[FeedEventKind, tuple[int, int]]]) -> None:
    as_told = [event(kind, *span) for kind, span in happened]
    once, twice = told(*as_told), told(*(each for each in as_told for _ in range(2)))
    assert gaps(once) == gaps(twice)
    assert [list(hole.ids) for hole in once.holes] == [list(hole.ids) for hole in twice.holes]


@given(st.lists(ids, max_size=8))
def test_new_parts_are_what_was_not_in(ranges: list[tuple[int, int]]) -> None:
    taken, known = IdRanges(), set[int]()
    for first, last in ranges:
        parts = {number for begin, end in take_new(taken, first, last) for number in range(begin, end + 1)}
        wanted = set(range(first, last + 1))
        assert parts == wanted - known
        known |= wanted
        assert {number for begin, end in taken for number in range(begin, end + 1)} == known

"""Ids as ranges, held against plain sets."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.ids import IdRanges, SeenIds
from market.trade import numeric_id

few = st.integers(0, 40)


@given(st.lists(few))
def test_ranges_are_the_set_of_what_was_added(numbers: list[int]) -> None:
    ranges, model = IdRanges(), set()
    for number in numbers:
        assert ranges.add(number) == (number not in model)
        model.add(number)
        pairs = list(ranges)
        assert {at for first, last in pairs for at in range(first, last + 1)} == model
        assert all(after - last > 1 for (_, last), (after, _) in pairwise(pairs))
    assert {number for number in range(-1, 42) if number in ranges} == model
    assert bool(ranges) == bool(model)
    if model:
        assert (ranges.least, ranges.greatest) == (min(model), max(model))
        absent = {at for first, last in ranges.missing() for at in range(first, last + 1)}
        assert absent == set(range(min(model), max(model))) - model
        assert all(first <= last for first, last in ranges.missing())


@given(st.sets(few), st.randoms(use_true_random=False))
def test_the_order_of_adding_leaves_no_trace(numbers: set[int], shuffler) -> None:  # noqa: ANN001  # hypothesis' own type
    shuffled = sorted(numbers)
    shuffler.shuffle(shuffled)
    one, other = IdRanges(), IdRanges()
    for number in sorted(numbers):
        one.add(number)
    for number in shuffled:
        other.add(number)
    assert one == other
    assert IdRanges(one) == one


def test_contiguous_ids_take_one_range() -> None:
    ranges = IdRanges()
    for number in range(10**6, 10**6 + 5000):
        ranges.add(number)
    assert list(ranges) == [(10**6, 10**6 + 4999)]
    assert ranges.missing() == []


def test_an_empty_set_misses_nothing_and_has_no_ends() -> None:
    assert IdRanges().missing() == []
    with pytest.raises(IndexError):
        _ = IdRanges().least


@pytest.mark.parametrize("pairs", [[(2, 1)], [(1, 3), (2, 4)], [(1, 3), (4, 5)], [(5, 6), (1, 2)]], ids=repr)
def test_ranges_that_overlap_touch_or_go_back_are_refused(pairs: list[tuple[int, int]]) -> None:
    with pytest.raises(ValueError, match="do not come after"):
        IdRanges(pairs)


@given(st.lists(st.one_of(few.map(str), st.sampled_from(["007", "x", "-1", "9" * 30]))))
def test_ids_of_any_form_are_seen_once(ids: list[str]) -> None:
    seen, model = SeenIds(), set()
    for trade_id in ids:
        assert seen.add(trade_id, numeric_id(trade_id)) == (trade_id not in model)
        model.add(trade_id)

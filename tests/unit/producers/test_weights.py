"""Weights: never more than allowed in any minute."""

from hypothesis import given
from hypothesis import strategies as st

from producers.feed.weights import Weights


@given(st.lists(st.tuples(st.integers(0, 30), st.sampled_from([2, 20, 25])), max_size=80))
def test_no_sixty_seconds_ever_hold_more_than_nine_tenths_of_the_limit(asked: list[tuple[int, int]]) -> None:
    weights, now_s = Weights(100), 0.0
    spent: list[tuple[float, int]] = []
    for pause_s, weight in asked:
        now_s += pause_s
        while (wait_s := weights.wait_s(weight, now_s)) > 0:
            now_s += wait_s
        weights.spend(weight, now_s)
        spent.append((now_s, weight))
        assert sum(one for at_s, one in spent if at_s > now_s - 60) <= 90


def test_what_the_exchange_counted_beyond_our_own_is_waited_for_until_its_minute_is_over() -> None:
    weights = Weights(6_000)
    weights.correct(5_390, 0.0, 0.0)
    assert weights.wait_s(10, 1.0) <= 0
    assert weights.wait_s(11, 1.0) == 59.0
    late = Weights(6_000)
    late.spend(25, 10.0)
    late.correct(5_400, 20.0, 50.0)  # as after a restart
    assert late.wait_s(1, 20.0) == 12.0, "and two seconds, in which the clocks may differ"
    assert late.wait_s(1, 32.0) <= 0


def test_there_is_room_for_as_many_requests_as_need_not_wait() -> None:
    weights = Weights(100)
    assert weights.room_for(25, 0.0) == 3, "nine tenths are ours"
    weights.spend(25, 0.0)
    assert weights.room_for(25, 1.0) == 2
    weights.correct(200, 2.0, 30.0)
    assert weights.room_for(25, 2.0) == 0
    assert weights.room_for(25, 61.0) == 3

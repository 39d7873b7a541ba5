"""The pause before the next try."""

from runtime.backoff import pause_s


def test_each_pause_is_twice_as_long_as_the_one_before_up_to_the_longest() -> None:
    assert [pause_s(failures, first_s=0.1, longest_s=1.5) for failures in range(6)] == [0.1, 0.2, 0.4, 0.8, 1.5, 1.5]


def test_it_never_ends() -> None:
    assert pause_s(10**9) == 10.0

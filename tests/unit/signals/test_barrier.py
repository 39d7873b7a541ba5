"""When a minute is over."""

from many_markets import candle

from market.candle import Candle
from market.codec import decode_candle
from processors.signals.barrier import MAX_SPAN, Barrier

FIRST = 28_000_000


def made(minute: int, revision: int = 1) -> Candle:
    return decode_candle(candle("x:A-B", minute, 1, 1, revision))


def over(barrier: Barrier, minute: int, markets: str, log_ms: int = 0) -> None:
    for market in markets:
        assert barrier.put(minute, market, made(minute), log_ms)
    barrier.end(minute)


def test_it_waits_for_the_markets_of_the_minute_before_and_for_no_others() -> None:
    barrier = Barrier(1000)
    over(barrier, FIRST, "ab")
    barrier.put(FIRST + 1, "a", made(FIRST + 1), 10)
    barrier.put(FIRST + 1, "c", made(FIRST + 1), 20)
    assert barrier.complete() is None
    barrier.put(FIRST + 1, "b", made(FIRST + 1), 30)
    assert barrier.complete() == FIRST + 1
    assert list(barrier.end(FIRST + 1)) == ["a", "b", "c"]
    assert barrier.complete() is None


def test_a_market_that_came_late_for_the_minute_before_is_waited_for() -> None:
    barrier = Barrier(1000)
    over(barrier, FIRST, "a")
    assert not barrier.put(FIRST, "b", made(FIRST), 5)
    barrier.put(FIRST + 1, "a", made(FIRST + 1), 10)
    assert barrier.complete() is None


def test_it_waits_no_longer_than_it_should() -> None:
    barrier = Barrier(1000)
    over(barrier, FIRST, "ab")
    barrier.put(FIRST + 1, "a", made(FIRST + 1), 10)
    assert barrier.overdue(1009) is None
    assert barrier.overdue(1010) == FIRST + 1


def test_minutes_are_over_in_order_and_a_missing_one_is_not_waited_for() -> None:
    barrier = Barrier(1000)
    over(barrier, FIRST, "ab")
    for market in "ab":
        barrier.put(FIRST + 3, market, made(FIRST + 3), 10)
    assert barrier.complete() == FIRST + 3  # nobody has the two between
    barrier.put(FIRST + 2, "a", made(FIRST + 2), 20)
    assert barrier.complete() is None
    assert barrier.overdue(1015) is None
    assert barrier.overdue(1020) == FIRST + 2


def test_after_a_day_nobody_is_waited_for() -> None:
    barrier = Barrier(1000)
    over(barrier, FIRST, "ab")
    barrier.put(FIRST + 1441, "a", made(FIRST + 1441), 10)
    assert barrier.complete() == FIRST + 1441


def test_too_many_minutes_do_not_wait() -> None:
    barrier = Barrier(10**9)
    over(barrier, FIRST, "ab")
    for number in range(1, MAX_SPAN + 1):
        barrier.put(FIRST + number, "a", made(FIRST + number), 0)
        assert barrier.complete() is None
    barrier.put(FIRST + MAX_SPAN + 1, "a", made(FIRST + MAX_SPAN + 1), 0)
    assert barrier.complete() == FIRST + 1


def test_of_two_candles_of_a_minute_the_greater_revision_counts() -> None:
    barrier = Barrier(0)
    for revision in (2, 3, 1):
        barrier.put(FIRST, "a", made(FIRST, revision), 0)
    assert barrier.end(FIRST)["a"].revision == 3

"""The ledger against a set of ids."""

from hypothesis import given
from hypothesis import strategies as st

from producers.feed.ledger import OPEN_US, Ledger, Novelty

SECOND_US = 1_000_000
numbers = st.integers(1, 40)


def missing(ledger: Ledger) -> set[int]:
    return {number for gap in ledger.gaps for number in range(gap.first, gap.last + 1)}


@given(st.lists(numbers, max_size=60))
def test_missing_is_what_lies_below_the_greatest_and_was_not_seen(arrived: list[int]) -> None:
    ledger, seen = Ledger(0, 0), {0}
    for number in arrived:
        novelty = ledger.add(number, number * SECOND_US, 0.0)
        assert novelty is (Novelty.SEEN if number in seen else Novelty.NEW)
        seen.add(number)
        assert missing(ledger) == set(range(max(seen))) - seen
        for gap in ledger.gaps:
            assert {gap.first - 1, gap.last + 1} <= seen
            assert (gap.from_us, gap.until_us) == ((gap.first - 1) * SECOND_US, (gap.last + 1) * SECOND_US)


@given(st.lists(numbers, max_size=30), st.lists(st.tuples(numbers, st.integers(0, 10)), max_size=5))
def test_what_the_exchange_does_not_have_is_not_missing(arrived: list[int], jumps: list[tuple[int, int]]) -> None:
    ledger, known = Ledger(0, 0), {0}
    for number in arrived:
        ledger.add(number, number * SECOND_US, 0.0)
        known.add(number)
    for first, length in jumps:
        last = first + length
        if first <= ledger.head + 1:  # a page begins at what is missing or follows
            ledger.give_up(first, last, 0.0)
            known |= set(range(first, last + 1))
            assert missing(ledger) == set(range(max(known))) - known


def test_only_gaps_that_were_asked_for_and_did_not_move_are_given_up() -> None:
    ledger = Ledger(10, 0)
    ledger.add(13, SECOND_US, 100.0)  # 11 and 12
    ledger.add(20, SECOND_US, 100.0)  # 14 … 19
    assert ledger.give_up_overdue(100.0, 0) == []
    for gap in ledger.gaps:
        gap.asked = 1
    ledger.add(15, SECOND_US, 150.0)  # one of the second gap came: it moves
    [lost] = ledger.give_up_overdue(100.0, 0)
    assert (lost.first, lost.last) == (11, 12)
    assert missing(ledger) == {14, 16, 17, 18, 19}


def test_a_lower_id_at_a_later_time_is_a_reset_and_an_old_one_is_not() -> None:
    ledger = Ledger(1_000, 5 * SECOND_US)
    assert ledger.add(1, 5 * SECOND_US, 0.0) is Novelty.SEEN
    assert ledger.add(1, 6 * SECOND_US, 0.0) is Novelty.LOWER, "one alone may be an old trade told again"
    assert ledger.add(2, 7 * SECOND_US, 0.0) is Novelty.RESET


def test_what_cannot_be_read_is_missing_up_to_the_next_trade_that_can() -> None:
    ledger = Ledger(10, SECOND_US)
    ledger.miss(12, 2 * SECOND_US, 0.0)
    ledger.miss(13, 2 * SECOND_US, 0.0)
    assert [gap.until_us for gap in ledger.gaps] == [OPEN_US, OPEN_US]
    ledger.add(15, 90 * SECOND_US, 0.0)
    assert [(gap.first, gap.last, gap.from_us, gap.until_us) for gap in ledger.gaps] == [
        (11, 12, SECOND_US, 90 * SECOND_US),
        (13, 13, SECOND_US, 90 * SECOND_US),
        (14, 14, SECOND_US, 90 * SECOND_US),
    ]


def test_what_nothing_bounds_is_not_given_up() -> None:
    ledger = Ledger(10, SECOND_US)
    ledger.miss(11, 2 * SECOND_US, 0.0)
    ledger.gaps[0].asked = 1
    assert ledger.give_up_overdue(100.0, 2 * SECOND_US) == [], "the market time that was known when it was noticed"
    [lost] = ledger.give_up_overdue(100.0, 80 * SECOND_US)
    assert (lost.from_us, lost.until_us) == (SECOND_US, 80 * SECOND_US)


def test_whether_ids_begin_anew_is_undecided_until_another_trade_tells() -> None:
    ledger = Ledger(1_000, 5 * SECOND_US)
    ledger.add(1, 6 * SECOND_US, 100.0)
    assert ledger.undecided_s == 100.0
    ledger.add(900, 3 * SECOND_US, 101.0)  # an old trade says nothing
    assert ledger.undecided_s == 100.0
    ledger.add(1_001, 7 * SECOND_US, 102.0)
    assert ledger.undecided_s is None


def test_a_trade_of_before_the_reset_that_comes_late_does_not_move_the_ids() -> None:
    ledger = Ledger(501, 60 * SECOND_US, former_head=1_000)
    assert ledger.add(990, 55 * SECOND_US, 0.0) is Novelty.FORMER
    assert (ledger.head, ledger.gaps) == (501, [])
    assert ledger.add(990, 70 * SECOND_US, 0.0) is Novelty.NEW, "a jump"


def test_a_trade_of_before_the_reset_fills_no_gap_of_the_new_ids() -> None:
    ledger = Ledger(2, 60 * SECOND_US, former_head=1_000)
    ledger.add(6, 61 * SECOND_US, 0.0)
    assert ledger.add(4, 55 * SECOND_US, 0.0) is Novelty.FORMER
    assert missing(ledger) == {3, 4, 5}


def test_what_is_missing_may_be_as_early_as_any_trade_behind_it() -> None:
    ledger = Ledger(0, 0)
    for number, second in ((2, 20), (4, 30), (9, 40)):
        ledger.add(number, second * SECOND_US, 0.0)
    ledger.add(10, 25 * SECOND_US, 0.0)  # times are not in the order of ids
    assert [gap.from_us // SECOND_US for gap in ledger.gaps] == [0, 20, 25]
    ledger.add(7, 10 * SECOND_US, 0.0)
    assert [(gap.first, gap.from_us // SECOND_US) for gap in ledger.gaps] == [(1, 0), (3, 10), (5, 10), (8, 10)]


@given(
    steps=st.lists(st.tuples(st.integers(-3, 3), st.integers(-2, 3)), max_size=60),
    former_head=st.sampled_from([-1, 5, 20]),
)
def test_the_short_way_leaves_a_ledger_as_the_long_one_does(steps: list[tuple[int, int]], former_head: int) -> None:
    short, long = (Ledger(10, 10, former_head=former_head) for _ in range(2))
    for now_s, (ids_on, time_on) in enumerate(steps):
        number, time_us = max(0, long.head + ids_on), max(0, long.latest_us + time_on)
        novelty = long.add(number, time_us, now_s)
        assert (Novelty.NEW if short.add_next(number, time_us) else short.add(number, time_us, now_s)) is novelty
        assert [getattr(short, name) for name in Ledger.__slots__] == [getattr(long, name) for name in Ledger.__slots__]


@given(st.lists(st.tuples(st.integers(1, 6), st.integers(0, 3)), min_size=1, max_size=6), st.booleans())
def test_many_ids_are_noted_as_one_after_the_other_or_not_at_all(trades: list[tuple[int, int]], has_gap: bool) -> None:  # noqa: FBT001  # drawn
    ledgers = [Ledger(0, SECOND_US) for _ in range(2)]
    for ledger in ledgers:
        if has_gap:
            ledger.add(9, 9 * SECOND_US, 0.0)
    numbered, times_us = [number for number, _ in trades], [seconds * SECOND_US for _, seconds in trades]
    are_next = all(ledgers[0].add_next(number, time_us) for number, time_us in zip(numbered, times_us, strict=True))
    before = [getattr(ledgers[1], name) for name in Ledger.__slots__]
    assert ledgers[1].add_following(numbered, times_us) == are_next
    after = [getattr(ledgers[1], name) for name in Ledger.__slots__]
    assert after == ([getattr(ledgers[0], name) for name in Ledger.__slots__] if are_next else before)

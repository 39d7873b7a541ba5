"""Sets of ids as ranges, held against plain sets."""

from collections.abc import Iterable
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from producers.simulator.ids import IdRange, IdSet

spans = st.tuples(st.integers(0, 60), st.integers(0, 9)).map(lambda span: (span[0], span[0] + span[1]))


@settings(deadline=None, database=None)
@given(st.lists(st.tuples(st.booleans(), spans), max_size=30), spans)
def test_a_set_of_ranges_is_a_set(changes: list[tuple[bool, tuple[int, int]]], part: tuple[int, int]) -> None:
    ids, plain = IdSet(), set[int]()
    for puts_in, (first, last) in changes:
        if puts_in:
            ids.add(first, last)
            plain |= set(range(first, last + 1))
        else:
            ids.discard(first, last)
            plain -= set(range(first, last + 1))
    ranges = list(ids)
    assert {number for one in ranges for number in range(one.first, one.last + 1)} == plain
    assert all(earlier.last + 1 < later.first for earlier, later in pairwise(ranges))
    assert [number in ids for number in range(75)] == [number in plain for number in range(75)]
    asked = set(range(part[0], part[1] + 1))
    assert flat(ids.within(*part)) == sorted(asked & plain)
    assert flat(ids.missing(*part)) == sorted(asked - plain)
    assert bool(ids) == bool(plain)


def flat(ranges: Iterable[IdRange]) -> list[int]:
    return [number for one in ranges for number in range(one.first, one.last + 1)]


def test_contiguous_ids_are_one_range() -> None:
    ids = IdSet()
    for number in range(5, 5_000):
        ids.add(number, number)
    assert list(ids) == [IdRange(5, 4_999)]

"""Partitions read in any order and by any batches are one log, in one order."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from many_markets import Stored

from processors.signals.merge import END_MS, LogMerge

steps_ms = st.lists(st.integers(0, 3), max_size=12)


def stored(offset: int, timestamp: int) -> Stored:
    return Stored(offset, timestamp, b"k", b"v")


def records_of(steps: list[int]) -> list[Stored]:
    times = [sum(steps[: n + 1]) for n in range(len(steps))]
    return [stored(offset, time) for offset, time in enumerate(times)]


@given(st.lists(steps_ms, min_size=1, max_size=4), st.randoms())
def test_the_order_is_append_time_partition_offset_however_records_are_read(
    steps: list[list[int]], at: random.Random
) -> None:
    log = {partition: records_of(of_one) for partition, of_one in enumerate(steps)}
    merge, taken, read = LogMerge(log), [], dict.fromkeys(log, 0)
    while any(read[p] < len(log[p]) for p in log):
        p = at.choice([*log])
        count = at.randint(0, 3)
        merge.add(p, log[p][read[p] : read[p] + count])
        read[p] += count
        taken += merge.ready()
        if read[p] >= len(log[p]):
            merge.know(p, END_MS)
    for p in log:
        merge.know(p, END_MS)
    taken += merge.ready()
    assert [(t.log_ms, t.partition, t.record.offset) for t in taken] == sorted(
        (record.timestamp, p, record.offset) for p, records in log.items() for record in records
    )
    assert merge.too_late == 0


def test_a_record_waits_until_no_other_partition_can_have_an_earlier_one() -> None:
    merge = LogMerge([0, 1])
    merge.add(0, [stored(0, 100), stored(1, 200)])
    assert list(merge.ready()) == []
    merge.know(1, 99)
    assert list(merge.ready()) == []  # that partition may yet get a record of time 100
    merge.know(1, 101)
    assert [placed.record.timestamp for placed in merge.ready()] == [100]
    assert merge.known_ms == 101
    merge.know(1, 1000)
    assert [placed.record.timestamp for placed in merge.ready()] == [200]
    assert merge.known_ms == 200  # more of partition 0 may have that time
    merge.know(0, 900)
    assert merge.known_ms == 900


def test_what_comes_after_its_place_is_handed_on_at_once_and_counted() -> None:
    merge = LogMerge([0, 1])
    merge.add(0, [stored(0, 500)])
    merge.know(0, 600)
    merge.know(1, 501)
    assert len(list(merge.ready())) == 1
    merge.add(1, [stored(0, 400)])
    assert [placed.record.timestamp for placed in merge.ready()] == [400]
    assert merge.too_late == 1


@pytest.mark.parametrize("waiting", [0, 2])
def test_it_says_how_many_wait(waiting: int) -> None:
    merge = LogMerge([0, 1])
    merge.add(0, [stored(n, n) for n in range(waiting)])
    assert merge.waiting(0) == waiting

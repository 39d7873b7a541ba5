from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from runtime.kafka import TopicPartition
from sinks.partition import Partition
from sinks.rolling_policy import RollingPolicy

TP = TopicPartition("t", 0)


@dataclass
class OfLog:
    offset: int
    timestamp: int
    value: bytes | None = b"v"
    headers: tuple[tuple[str, bytes], ...] = ()
    key: bytes | None = None


def roll_up(
    log: list[OfLog], polls: list[int], rule: RollingPolicy
) -> tuple[list[tuple[int, int, int, list[int]]], Partition]:
    """Batches as (first, last, next, offsets), read in polls of these sizes."""
    partition = Partition(TP, position=log[0].offset if log else 0, committed=None, end=0)
    rest = list(log)
    while rest:
        size = polls.pop() if polls else len(rest)
        partition.take(rest[:size], rule)
        rest = rest[size:]
    batches = [
        (batch.first, batch.last, batch.next, [record.offset for record in batch.records]) for batch in partition.whole
    ]
    return batches, partition


def trades(offsets: range, timestamp: int = 0) -> list[OfLog]:
    return [OfLog(offset, timestamp) for offset in offsets]


def test_a_batch_ends_after_n_records() -> None:
    batches, partition = roll_up(trades(range(7)), [], RollingPolicy(records=3))
    assert batches == [(0, 2, 3, [0, 1, 2]), (3, 5, 6, [3, 4, 5])]
    assert (partition.open_records, partition.committable(7)) == (1, 6)


def test_the_first_record_of_another_slot_ends_a_batch_even_a_marker() -> None:
    log = [*trades(range(2), 899_999), OfLog(2, 900_000, None), OfLog(3, 900_001), OfLog(4, 1_800_000)]
    batches, _ = roll_up(log, [], RollingPolicy(records=100))
    assert batches == [(0, 1, 2, [0, 1]), (3, 3, 4, [3])]


def test_a_cut_ends_a_batch_and_markers_do_not() -> None:
    roll = (("roll", b"1"),)
    log = [OfLog(0, 0), OfLog(1, 0, None), OfLog(2, 0), OfLog(3, 0, None, roll), OfLog(4, 0, None, roll), OfLog(5, 0)]
    batches, partition = roll_up(log, [], RollingPolicy(records=100))
    assert batches == [(0, 2, 4, [0, 2])]
    assert partition.committable(6) == 5


def test_what_is_not_in_a_file_is_not_committable() -> None:
    _, partition = roll_up(
        [OfLog(8, 0, None), *trades(range(9, 12)), OfLog(12, 0, None)], [], RollingPolicy(records=100)
    )
    assert partition.committable(13) == 9


@given(
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from("vvvvmc"), st.integers(0, 400_000)), max_size=60),
    st.lists(st.integers(1, 20), max_size=30),
    st.integers(1, 9),
)
def test_polls_and_restarts_change_no_cut(steps: list[tuple[int, str, int]], polls: list[int], records: int) -> None:
    log, offset, timestamp = [], 0, 0
    for skipped, kind, passed in steps:
        offset += 1 + skipped  # transactions leave gaps
        timestamp += passed
        headers = (("roll", b"1"),) if kind == "c" else ()
        log.append(OfLog(offset, timestamp, b"v" if kind == "v" else None, headers))
    rule = RollingPolicy(records=records)
    whole, partition = roll_up(log, [], rule)
    assert roll_up(log, list(polls), rule)[0] == whole
    for batch in whole:  # a restart reads on from what was committed
        later = [record for record in log if record.offset >= batch[2]]
        assert roll_up(later, list(polls), rule)[0] == whole[whole.index(batch) + 1 :]
    left = partition.committable(offset + 1)
    assert roll_up([record for record in log if record.offset >= left], [], rule)[0] == []

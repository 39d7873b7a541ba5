"""Where a partition's batches end, record by record: by what the log says alone, so that a replay cuts alike."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from market.codec import ROLL_HEADER, header
from market.records import Record
from sinks.store import Batch

FILE_RECORDS = 50_000
"""About 6 MB of columns in memory; every assigned partition may hold as much."""
SLOT_MS = 15 * 60_000


class RollingPolicy(NamedTuple):
    """A batch ends after `records` records, at the first record in another slot of the log clock, or at a `roll`."""

    records: int = FILE_RECORDS
    slot_ms: int = SLOT_MS


USUAL_ROLLING_POLICY = RollingPolicy()


class FilePart(NamedTuple):
    """Consecutive records with a value, and whether the batch they belong to ends behind them."""

    records: list[Record]
    ends: bool
    next: int


def file_parts(batch: Batch, records: Iterable[Record], rule: RollingPolicy) -> Iterator[FilePart]:
    """Part `records`, which stand behind `batch` in the log. Only records with a value count and open a batch.

    So what lies between two batches (markers, cuts) belongs to neither, and committing past it changes no later cut.
    """
    count, slot = batch.records, batch.slot
    part: list[Record] = []
    position = batch.next
    for record in records:
        at = record.timestamp // rule.slot_ms
        if count and at != slot:
            yield FilePart(part, ends=True, next=position)
            part, count = [], 0
        position = record.offset + 1
        if record.value is not None:
            if not count:
                slot = at
            part.append(record)
            count += 1
        if count and (count >= rule.records or is_roll(record)):
            yield FilePart(part, ends=True, next=position)
            part, count = [], 0
    yield FilePart(part, ends=False, next=position)


def is_roll(record: Record) -> bool:
    """Whether the record asks for the open files of its partition to be ended."""
    return record.value is None and header(record.headers, ROLL_HEADER) is not None

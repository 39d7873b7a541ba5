"""After which record a partition's files end: the log alone decides, so that a replay makes the same files."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from market.codec import ROLL_HEADER, header
from market.records import Record
from sinks.store import Batch

FILE_RECORDS = 50_000
"""About 6 MB of columns in memory, which every assigned partition may hold."""
SLOT_MS = 15 * 60_000


class RollingPolicy(NamedTuple):
    """A batch ends after `records` records, at the first record in another slot of the log clock, or at a `roll`."""

    records: int = FILE_RECORDS
    slot_ms: int = SLOT_MS


USUAL_ROLLING_POLICY = RollingPolicy()


class FilePart(NamedTuple):
    """Consecutive records with a value that go into one file, and whether the file ends after them."""

    records: list[Record]
    ends: bool
    next: int


def file_parts(batch: Batch, records: Iterable[Record], policy: RollingPolicy) -> Iterator[FilePart]:
    """Divide `records`, which follow `batch` in the log. Only records with a value count and can open a batch.

    So markers and rolls between two batches belong to neither, and committing past them changes no later file.
    """
    count, slot = batch.records, batch.slot
    of_file: list[Record] = []
    position = batch.next
    for record in records:
        record_slot = record.timestamp // policy.slot_ms
        if count and record_slot != slot:
            yield FilePart(of_file, ends=True, next=position)
            of_file, count = [], 0
        position = record.offset + 1
        if record.value is not None:
            if not count:
                slot = record_slot
            of_file.append(record)
            count += 1
        if count and (count >= policy.records or is_roll(record)):
            yield FilePart(of_file, ends=True, next=position)
            of_file, count = [], 0
    yield FilePart(of_file, ends=False, next=position)


def is_roll(record: Record) -> bool:
    """Whether the record asks to end the open files of its partition."""
    return record.value is None and header(record.headers, ROLL_HEADER) is not None

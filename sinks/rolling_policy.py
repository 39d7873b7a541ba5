"""After which record a partition's files end: the log alone decides, so that a replay makes the same files."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from market.codec import ROLL_HEADER, header
from market.records import BareRecord
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

    records: list[BareRecord]
    ends: bool
    next: int


def file_parts(batch: Batch, records: Sequence[BareRecord], policy: RollingPolicy) -> Iterator[FilePart]:
    """Divide `records`, which follow `batch` in the log. Only records with a value count and can open a batch.

    So markers and rolls between two batches belong to neither, and committing past them changes no later file.
    """
    count, slot, position = batch.count, batch.slot, batch.next
    for part in _of_one_slot(records, policy.slot_ms):
        part_slot = part[0].timestamp // policy.slot_ms
        if count and part_slot != slot:
            yield FilePart([], ends=True, next=position)
            count = 0
        slot = part_slot
        left = [record for record in part if record.value is not None]
        while count + len(left) >= policy.records:
            of_file, left = left[: policy.records - count], left[policy.records - count :]
            yield FilePart(of_file, ends=True, next=of_file[-1].offset + 1)
            count = 0
        count += len(left)
        position = part[-1].offset + 1
        ends = bool(count) and is_roll(part[-1])
        yield FilePart(left, ends=ends, next=position)
        if ends:
            count = 0


def _of_one_slot(records: Sequence[BareRecord], slot_ms: int) -> Iterator[Sequence[BareRecord]]:
    """Records of one slot, up to a `roll` if there is one. Nearly always that is all of them."""
    ends = {place for place, record in enumerate(records, 1) if record.value is None and is_roll(record)}
    slots = [record.timestamp // slot_ms for record in records]
    if slots.count(slots[0]) != len(slots):
        ends |= {place for place in range(1, len(slots)) if slots[place] != slots[place - 1]}
    first = 0
    for end in sorted(ends | {len(records)}):
        yield records[first:end]
        first = end


def is_roll(record: BareRecord) -> bool:
    """Whether the record asks to end the open files of its partition."""
    return record.value is None and header(record.headers, ROLL_HEADER) is not None

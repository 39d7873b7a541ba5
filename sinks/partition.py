"""One assigned partition: what was read of it and is not committed yet."""

from collections.abc import Sequence

from market.records import BareRecord
from runtime.kafka import TopicPartition
from sinks.encoded import RejectedRecord
from sinks.rolling_policy import RollingPolicy, file_parts
from sinks.store import Batch, Store


class Partition:
    """The batches of one partition that are not written yet; `committed` never goes back."""

    def __init__(self, tp: TopicPartition, *, position: int, committed: int | None, end: int) -> None:
        self.tp = tp
        self.position = position
        """The next offset to read."""
        self.committed = -1 if committed is None else committed
        self.end = end
        """The log's end when the partition was assigned: ``--once`` goes up to here."""
        self.roll_asked = False
        self.whole: list[Batch] = []
        self.waits = False
        """The store could not take `whole`: until it does, nothing more is read."""
        self.rejected: dict[int, str] = {}
        """By offset: why the store rejected a record when it was written. It is refused when it is read again."""
        self._open = self._new()

    @property
    def open_records(self) -> int:
        """Records with a value in the batch that has not ended."""
        return self._open.count

    @property
    def size_bytes(self) -> int:
        """Bytes of the values in the batch that has not ended."""
        return self._open.size_bytes

    def take(self, records: Sequence[BareRecord], policy: RollingPolicy | None) -> None:
        """Add records that were read to batches; with a `policy`, they end where it says."""
        if policy is None:
            self._add([record for record in records if record.value is not None])
            self._open.next = self.position = records[-1].offset + 1
            return
        for of_file, ends, position in file_parts(self._open, records, policy):
            self._add(of_file, policy.slot_ms)
            self._open.next = self.position = position
            if ends:
                self.end_batch()

    def end_batch(self) -> None:
        """End the open batch, if it holds anything."""
        if self._open.next > self._open.first or self._open.count:
            self.whole.append(self._open)
            self._open = self._new()

    def encode(self, store: Store) -> list[RejectedRecord]:
        """Encode the whole batches; returns the records that cannot be encoded, or that the store rejected before."""
        refused: list[RejectedRecord] = []
        for batch in self.whole:
            if batch.is_encoded:
                continue
            records, batch.records, batch.is_encoded = batch.records, [], True
            if self.rejected:
                refused += [
                    RejectedRecord(record, ValueError(self.rejected[record.offset]))
                    for record in records
                    if record.offset in self.rejected
                ]
                records = [record for record in records if record.offset not in self.rejected]
            if records:
                batch.chunk, batch.rows, malformed = store.encode(self.tp, records)
                refused += malformed
        return refused

    def rewind(self) -> int:
        """Drop all batches that are not written; returns the offset to read from again."""
        self.position = self.whole[0].first if self.whole else self._open.first
        self.whole.clear()
        self.waits = False
        self._open = self._new()
        return self.position

    def committable(self, position: int) -> int:
        """The offset that may be committed once all whole batches are written; `position` is the reader's."""
        return self._open.first if self._open.count else max(position, self.position)

    def _add(self, records: list[BareRecord], slot_ms: int = 1) -> None:
        if not records:
            return
        batch = self._open
        if not batch.count:
            batch.first, batch.slot = records[0].offset, records[0].timestamp // slot_ms
        batch.last = records[-1].offset
        batch.count += len(records)
        batch.size_bytes += sum(len(record.value or b"") for record in records)
        batch.records += records

    def _new(self) -> Batch:
        return Batch(tp=self.tp, first=self.position, next=self.position)

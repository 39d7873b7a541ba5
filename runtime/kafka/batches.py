"""Reading by whole batches: the records as aiokafka's C code unpacks them, without a Python object for each.

`getmany` builds a `ConsumerRecord` for every record, which costs more than all its other work. A consumer with
`WHOLE_BATCHES` as its key deserializer gets lists of bare records instead, one list a batch. All other consumers work
as before. `tests/integration/kafka/test_batches.py` compares the two ways, so that a new aiokafka can't break this
unseen.
"""

from collections.abc import Iterator
from itertools import chain
from typing import Any

from aiokafka.consumer import fetcher
from aiokafka.errors import CorruptRecordException
from aiokafka.structs import TopicPartition

from market.records import BareRecord


def WHOLE_BATCHES(key: bytes) -> bytes:  # noqa: N802  # a marker, that has to be callable
    """Give this as `key_deserializer`: then `getmany` returns batches, and its `max_records` counts batches."""
    return key


class _PartitionRecords(fetcher.PartitionRecords):  # type: ignore[misc]  # aiokafka ships no types
    next_fetch_offset: int

    def _unpack_records(self) -> Iterator[Any]:
        if self._key_deserializer is WHOLE_BATCHES:
            return self._unpack_batches()
        return super()._unpack_records()  # type: ignore[no-any-return]

    def _unpack_batches(self) -> Iterator[list[BareRecord]]:
        while self._records.has_next():
            batch = self._records.next_batch()
            if self._check_crcs and not batch.validate_crc():
                raise CorruptRecordException(f"a batch of {self._tp.topic}/{self._tp.partition} has a wrong checksum")
            behind, begin = batch.next_offset, self.next_fetch_offset
            self.next_fetch_offset = behind  # even if nothing of the batch is left to read
            if self._is_aborted(batch) or batch.is_control_batch:
                continue
            records: list[BareRecord] = list(batch)
            if records and records[0].offset < begin:  # reading begins in the middle of the batch
                records = [record for record in records if record.offset >= begin]
            if records:
                yield records

    def _is_aborted(self, batch: Any) -> bool:
        """Whether a reader of committed records skips this batch; notes which producers aborted."""
        if self._isolation_level != fetcher.READ_COMMITTED or batch.producer_id is None:
            return False
        self._consume_aborted_up_to(batch.base_offset)
        if batch.is_control_batch and self._contains_abort_marker(batch):
            self._aborted_producers.discard(batch.producer_id)
        return batch.is_transactional and batch.producer_id in self._aborted_producers


fetcher.PartitionRecords = _PartitionRecords


def flattened(batches: dict[TopicPartition, list[list[BareRecord]]]) -> dict[TopicPartition, list[BareRecord]]:
    """The batches of each partition as one list of records."""
    return {tp: list(chain.from_iterable(of_partition)) for tp, of_partition in batches.items()}

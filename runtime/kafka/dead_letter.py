"""A refused record, as it is published again."""

from collections.abc import Sequence

from aiokafka import TopicPartition

from market.codec import dead_letter_headers
from market.records import BareRecord
from runtime.kafka.publisher import Outgoing


def dead_letter(
    tp: TopicPartition, record: BareRecord, error: Exception, more: Sequence[tuple[str, bytes]] = ()
) -> Outgoing:
    """The record for `<topic>.dlq`, in the partition that it was read from; `more` are headers behind the others."""
    topic, partition = tp
    headers = dead_letter_headers(error, topic=topic, partition=partition, offset=record.offset, headers=record.headers)
    return Outgoing(record.key or b"", record.value, [*headers, *more], partition)

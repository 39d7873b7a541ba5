"""The only Kafka client code: reading, publishing, transactions, topics."""

from aiokafka import TopicPartition

from runtime.kafka.consumer import Changes, OutOfRangeError, Subscription, move_group
from runtime.kafka.dead_letter import dead_letter
from runtime.kafka.decoded import decoded
from runtime.kafka.follow import follow
from runtime.kafka.log import (
    all_open_transactions,
    ends,
    offsets_at,
    open_transactions,
    read_batches_to_end,
    read_to_end,
    stable_ends,
)
from runtime.kafka.offset_metadata import Committed, OffsetMetadata
from runtime.kafka.open_transactions import HELD_BACK_S, HeldBackError, OpenTransaction
from runtime.kafka.publisher import KeyedValues, Outgoing, Publisher
from runtime.kafka.transaction import FencedError, TransactionalPublisher

__all__ = [
    "HELD_BACK_S",
    "Changes",
    "Committed",
    "FencedError",
    "HeldBackError",
    "KeyedValues",
    "OffsetMetadata",
    "OpenTransaction",
    "OutOfRangeError",
    "Outgoing",
    "Publisher",
    "Subscription",
    "TopicPartition",
    "TransactionalPublisher",
    "all_open_transactions",
    "dead_letter",
    "decoded",
    "ends",
    "follow",
    "move_group",
    "offsets_at",
    "open_transactions",
    "read_batches_to_end",
    "read_to_end",
    "stable_ends",
]

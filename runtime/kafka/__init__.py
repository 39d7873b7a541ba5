"""The only Kafka client code: reading, publishing, transactions, topics."""

from runtime.kafka.consumer import Changes, Subscription, ends, move_group, offsets_at, read_to_end
from runtime.kafka.decoded import decoded
from runtime.kafka.follow import follow
from runtime.kafka.publisher import Outgoing, Publisher
from runtime.kafka.records import Record, TopicPartition
from runtime.kafka.transaction import FencedError, TransactionalPublisher

__all__ = [
    "Changes",
    "FencedError",
    "Outgoing",
    "Publisher",
    "Record",
    "Subscription",
    "TopicPartition",
    "TransactionalPublisher",
    "decoded",
    "ends",
    "follow",
    "move_group",
    "offsets_at",
    "read_to_end",
]

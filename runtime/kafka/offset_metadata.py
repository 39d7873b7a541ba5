"""What a group's committed offset belongs to: ids that the offset carries as metadata.

An offset is a number. It means something only in the topic that it was read from and, for a sink, only together with
what the store then held. A topic that is deleted and made anew has the same name and other records; a table that is
dropped and made anew is empty. With the number alone, records that nobody has read would be skipped. So a committed
offset carries the topic's id (`runtime.kafka.topic_id`) and, for a sink, the store's id. At a start they are compared.

`Subscription.commit` writes this metadata, and `runtime.kafka.admin.committed_offsets` reads it. With a plain aiokafka
consumer, write it by ``commit({tp: (offset, OffsetMetadata(topic_id=…).encode())})``. An offset without metadata (of an
earlier version, or set by another tool) is taken as it is.
"""

from typing import NamedTuple, Self

import orjson


class OffsetMetadata(NamedTuple):
    """The id of the topic that was read, and of the store that was written to; None: not said."""

    topic_id: str | None = None
    store_id: str | None = None

    def encode(self) -> str:
        """As text; Kafka takes some 4,000 bytes."""
        return orjson.dumps({name: value for name, value in self._asdict().items() if value is not None}).decode()

    @classmethod
    def decode(cls, text: str | None) -> Self:
        """The ids in an offset's metadata; None for what another program wrote there."""
        try:
            fields = orjson.loads(text or "{}")
        except orjson.JSONDecodeError:
            return cls()
        if not isinstance(fields, dict):
            return cls()
        said = {name: fields.get(name) for name in cls._fields}
        return cls(**{name: value for name, value in said.items() if isinstance(value, str)})

    def is_of_another_topic(self, topic_id: str | None) -> bool:
        """Whether the offset was read from an earlier topic of this name."""
        return None not in (self.topic_id, topic_id) and self.topic_id != topic_id

    def is_of_another_store(self, store_id: str | None) -> bool:
        """Whether the offset belongs to another store, or to this store before it was emptied (`store_id` None)."""
        return self.store_id is not None and self.store_id != store_id


class Committed(NamedTuple):
    """A group's committed offset: the next offset to read, and its metadata."""

    offset: int
    metadata: OffsetMetadata = OffsetMetadata()

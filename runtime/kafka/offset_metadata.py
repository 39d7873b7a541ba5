"""What a group's committed offset speaks of, carried as its metadata.

An offset is a number. It means something only in the topic that it was read from and, for a sink, only together with
what the store held then. A topic that is deleted and made anew has the same name and other records; a table that is
dropped and made anew is empty. The number alone would skip records that nobody has read. So a committed offset carries
the topic's id (`runtime.kafka.topic_id`) and, of a sink, the store's own. At a start they are compared.

`Subscription.commit` writes it, and `runtime.kafka.admin.committed_offsets` reads it. A consumer of aiokafka's own
writes it by ``commit({tp: (offset, OffsetMetadata(topic_id=…).encode())})``. An offset without it (of an earlier
version, or set by another tool) is taken as it is.
"""

from typing import NamedTuple, Self

import orjson


class OffsetMetadata(NamedTuple):
    """The ids of what was read and of what was written to; None: not said."""

    topic_id: str | None = None
    store_id: str | None = None

    def encode(self) -> str:
        """As text; Kafka takes some 4,000 bytes."""
        return orjson.dumps({name: value for name, value in self._asdict().items() if value is not None}).decode()

    @classmethod
    def decode(cls, text: str | None) -> Self:
        """Out of an offset's metadata; what another program wrote there counts as nothing said."""
        try:
            fields = orjson.loads(text or "{}")
        except orjson.JSONDecodeError:
            return cls()
        if not isinstance(fields, dict):
            return cls()
        said = {name: fields.get(name) for name in cls._fields}
        return cls(**{name: value for name, value in said.items() if isinstance(value, str)})

    def is_of_another_topic(self, topic_id: str | None) -> bool:
        """Whether the offset was read from a topic of this name that is no more."""
        return None not in (self.topic_id, topic_id) and self.topic_id != topic_id

    def is_of_another_store(self, store_id: str | None) -> bool:
        """Whether the offset speaks of another store than this one, or of this one before it was emptied (None)."""
        return self.store_id is not None and self.store_id != store_id


class Committed(NamedTuple):
    """A group's committed offset: the next to read, and what it speaks of."""

    offset: int
    metadata: OffsetMetadata = OffsetMetadata()

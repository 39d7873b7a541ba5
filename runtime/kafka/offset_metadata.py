"""What a group's committed offset speaks of, carried as its metadata.

An offset is a number: it means something only in the topic that it was read from, and where a store was written to,
only together with what that store held. A topic that is deleted and made anew has the same name and other records, and
a table that is dropped and made anew is empty: the number alone would skip what neither has seen. So who commits says
the topic's id (`runtime.kafka.topic_id`) and, where there is one, the store's own. Who goes on from an offset compares.

Any consumer may use it: `Subscription.commit` takes it, `runtime.kafka.admin.committed_offsets` reads it, and with a
consumer of aiokafka's own ``commit({tp: (offset, OffsetMetadata(topic_id=…).encode())})`` writes it. An offset without
it (of an earlier version, or set by another tool) was meant by whoever set it: it is taken as it is.
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
        """Out of an offset's metadata; whatever another program wrote there says nothing."""
        try:
            found = orjson.loads(text or "{}")
        except orjson.JSONDecodeError:
            return cls()
        if not isinstance(found, dict):
            return cls()
        said = {name: found.get(name) for name in cls._fields}
        return cls(**{name: value for name, value in said.items() if isinstance(value, str)})

    def is_of_another_topic(self, topic_id: str | None) -> bool:
        """Whether the offset was read from a topic of this name that is no more."""
        return None not in (self.topic_id, topic_id) and self.topic_id != topic_id

    def is_of_another_store(self, store_id: str | None) -> bool:
        """Whether what the offset says is written went to a store that is no more, or was emptied (None)."""
        return self.store_id is not None and self.store_id != store_id


class Committed(NamedTuple):
    """A group's committed offset: the next to read, and what it speaks of."""

    offset: int
    metadata: OffsetMetadata = OffsetMetadata()

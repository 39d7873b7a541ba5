"""What a group's offsets speak of: the topics read, by Kafka's ids, and the store written to, by its own."""

from collections.abc import Mapping
from typing import NamedTuple

from runtime.kafka import OffsetMetadata


class Identities(NamedTuple):
    """As they are at one moment, by topic."""

    topics: Mapping[str, str | None]
    """Ids of the topics that are there; None where brokers can't say."""
    stores: Mapping[str, str | None]
    """The id of the place that a topic's records are written to; None: it holds nothing, or has none."""

    def metadata(self, topic: str) -> OffsetMetadata:
        """What an offset committed now speaks of."""
        return OffsetMetadata(self.topics.get(topic), self.stores.get(topic))

    def with_learnt(self, now: "Identities") -> "Identities":
        """These, and the ids that places have got since; none that changed."""
        return self._replace(
            stores={topic: now.stores.get(topic) if at is None else at for topic, at in self.stores.items()}
        )

    def replaced(self, now: "Identities") -> list[str]:
        """The topics that were made anew since, or whose records' place was; those that are missing now are not."""
        return [
            topic
            for topic in self.topics
            if topic in now.topics
            and (
                self.metadata(topic).is_of_another_topic(now.topics[topic])
                or self.metadata(topic).is_of_another_store(now.stores.get(topic))
            )
        ]

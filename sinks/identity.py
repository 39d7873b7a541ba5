"""What a group's offsets are about: the topics read (by Kafka's ids) and the store written to (by its own ids)."""

from collections.abc import Mapping
from typing import NamedTuple

from runtime.kafka import OffsetMetadata


class Identities(NamedTuple):
    """The ids of one moment, by topic."""

    topics: Mapping[str, str | None]
    """Ids of the topics that exist; None where brokers cannot say."""
    stores: Mapping[str, str | None]
    """The id of the table or store that a topic's records are written to; None: it is empty, or has no id."""

    def metadata(self, topic: str) -> OffsetMetadata:
        """What goes with an offset that is committed now."""
        return OffsetMetadata(self.topics.get(topic), self.stores.get(topic))

    def with_learnt(self, now: "Identities") -> "Identities":
        """These ids, with the store ids that were None and are known now; an id that changed stays as it was."""
        return self._replace(
            stores={topic: now.stores.get(topic) if known is None else known for topic, known in self.stores.items()}
        )

    def replaced(self, now: "Identities") -> list[str]:
        """The topics that were made anew since, or whose store was. A topic that is missing now does not count."""
        return [
            topic
            for topic in self.topics
            if topic in now.topics
            and (
                self.metadata(topic).is_of_another_topic(now.topics[topic])
                or self.metadata(topic).is_of_another_store(now.stores.get(topic))
            )
        ]

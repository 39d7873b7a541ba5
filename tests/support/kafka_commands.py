"""What people do to a cluster with Kafka's own commands, and what all of it holds afterwards."""

import time
from typing import NamedTuple

from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    OffsetSpec,
)
from eventually import eventually

from runtime.kafka.admin import apply_topics
from runtime.settings import Settings, kafka_address


class Holdings(NamedTuple):
    """What the topics and groups of a prefix hold: equal where nothing was written, aborted or committed."""

    ends: dict[tuple[str, int], int]
    """By topic and partition, control records included."""
    groups: dict[str, dict[tuple[str, int], int]]


def admin(settings: Settings) -> AdminClient:
    """A client whose futures end with it: hold it while they are waited for."""
    return AdminClient({"bootstrap.servers": kafka_address(settings)})


def holdings(settings: Settings) -> Holdings:
    """All topics' ends and all groups' offsets of a prefix; of a topic just made, once it has a leader."""
    give_up_s = time.monotonic() + 15
    while True:
        try:
            return _holdings(admin(settings), settings)  # a client that asked too soon goes on asking the wrong broker
        except KafkaException:
            if time.monotonic() > give_up_s:
                raise


def _holdings(client: AdminClient, settings: Settings) -> Holdings:
    topics = {
        name: topic for name, topic in client.list_topics(timeout=10).topics.items() if name.startswith(settings.prefix)
    }
    asked = {TopicPartition(name, at): OffsetSpec.latest() for name, topic in topics.items() for at in topic.partitions}
    found = client.list_offsets(asked, request_timeout=10)
    ends = {(tp.topic, tp.partition): future.result(10).offset for tp, future in found.items()}
    names = [one.group_id for one in client.list_consumer_groups().result(10).valid]
    groups = {}
    for name in names:
        if name.startswith(settings.prefix):
            (offsets,) = client.list_consumer_group_offsets([ConsumerGroupTopicPartitions(name)]).values()
            if of_group := {(tp.topic, tp.partition): tp.offset for tp in offsets.result(10).topic_partitions}:
                groups[name] = of_group  # one without offsets is no more than a name
    return Holdings(ends, groups)


async def delete_topic(settings: Settings, topic: str) -> None:
    """As ``kafka-topics --delete``; done when brokers say so."""
    client = admin(settings)
    client.delete_topics([topic])[topic].result(10)
    await eventually(lambda: topic not in client.list_topics(timeout=10).topics)


def delete_all_topics(settings: Settings) -> None:
    """Those of a prefix. Partitions cost the broker files and memory: those of one test do not outlive it."""
    client = admin(settings)
    own = [name for name in client.list_topics(timeout=10).topics if name.startswith(settings.prefix)]
    for future in client.delete_topics(own).values() if own else ():
        future.result(30)


async def make_anew(settings: Settings, topic: str) -> None:
    """Delete a topic and create it again as it has to be, as after a mistake or in another cluster."""
    await delete_topic(settings, topic)
    assert await apply_topics(settings) == []
    await led(settings, topic, settings.partitions)


async def set_config(settings: Settings, topic: str, name: str, value: str) -> None:
    """As ``kafka-configs --alter --add-config``; done when brokers say so."""
    client = admin(settings)
    entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
    changed = ConfigResource(ConfigResource.Type.TOPIC, topic, incremental_configs=[entry])
    for future in client.incremental_alter_configs([changed]).values():
        future.result(10)

    def is_applied() -> bool:
        (described,) = client.describe_configs([ConfigResource(ConfigResource.Type.TOPIC, topic)]).values()
        return described.result(10)[name].value == value

    await eventually(is_applied)


async def add_partitions(settings: Settings, topic: str, count: int) -> None:
    """As ``kafka-topics --alter --partitions``."""
    client = admin(settings)
    client.create_partitions([NewPartitions(topic, count)])[topic].result(10)
    await led(settings, topic, count)


async def led(settings: Settings, topic: str, count: int) -> None:
    """Wait until a broker answers for each of a topic's partitions."""
    asked = {TopicPartition(topic, at): OffsetSpec.latest() for at in range(count)}

    def are_led() -> bool:
        fresh = admin(settings)  # one that asked too soon goes on asking the wrong broker
        try:
            return all(future.result(10) for future in fresh.list_offsets(asked, request_timeout=10).values())
        except KafkaException:
            return False

    await eventually(are_led)

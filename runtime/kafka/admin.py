"""Topics made and checked, and groups' offsets read and moved."""

import asyncio
import time
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

import stamina
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import (
    GroupCoordinatorNotAvailableError,
    TopicAlreadyExistsError,
    UnknownTopicOrPartitionError,
    for_code,
)

from market.topics import Topics, TopicSpec
from runtime.errors import CandlewickError, UnavailableError
from runtime.kafka.connection import connection, kafka_errors
from runtime.kafka.offset_metadata import Committed, OffsetMetadata
from runtime.kafka.topic_id import asked_topic_ids
from runtime.settings import Settings

STRICT_CONFIG = ("cleanup.policy", "message.timestamp.type")
"""Settings that must be right for replays to be right; the engine stops if one of them differs."""
VISIBLE_TIMEOUT_S = 10.0
COORDINATOR_TIMEOUT_S = 30.0


class TopicDifference(NamedTuple):
    """A topic that is not as it has to be."""

    topic: str
    what: str
    """``missing``, ``partitions``, or the name of a Kafka setting."""
    wanted: str
    actual: str | None


@asynccontextmanager
async def _admin(settings: Settings, doing: str) -> AsyncIterator[Any]:
    with kafka_errors(settings, doing):
        client: Any = AIOKafkaAdminClient(**connection(settings))
        await client.start()
        try:
            yield client
        finally:
            await client.close()


async def diff_topics(settings: Settings, specs: Iterable[TopicSpec] | None = None) -> list[TopicDifference]:
    """What differs between the topics as they have to be (default: all) and the cluster's topics."""
    specs = list(settings.topics.specs() if specs is None else specs)
    async with _admin(settings, "comparing topics") as client:
        names = set(await client.list_topics())
        there = [spec for spec in specs if spec.name in names]
        counts = await _partition_counts(client, [spec.name for spec in there])
        configs = await _configs(client, [spec.name for spec in there])
    differences = [TopicDifference(spec.name, "missing", "", None) for spec in specs if spec.name not in names]
    for spec in there:
        if counts[spec.name] != spec.partitions:
            actual = str(counts[spec.name])
            differences.append(TopicDifference(spec.name, "partitions", str(spec.partitions), actual))
        for name, wanted in spec.config.items():
            if (value := configs[spec.name].get(name)) != wanted:
                differences.append(TopicDifference(spec.name, name, wanted, value))
    return differences


async def apply_topics(settings: Settings, specs: Iterable[TopicSpec] | None = None) -> list[TopicDifference]:
    """Create the missing topics (default: of all). A topic that is there with other settings is left to a person.

    Returns what differed before. `CandlewickError` if Kafka refuses to create a topic.
    """
    specs = list(settings.topics.specs() if specs is None else specs)
    differences = await diff_topics(settings, specs)
    missing = {difference.topic for difference in differences if difference.what == "missing"}
    if missing:
        async with _admin(settings, "creating topics") as client:
            new = [_new_topic(spec, settings.replication) for spec in specs if spec.name in missing]
            response = await client.create_topics(new)
            for topic, code, *message in response.topic_errors:
                if code and for_code(code) is not TopicAlreadyExistsError:
                    raise CandlewickError(f"Kafka would not create {topic}: {for_code(code).__name__} {message}")
        differences = await _once_visible(settings, specs)
    return differences


async def _once_visible(settings: Settings, specs: list[TopicSpec]) -> list[TopicDifference]:
    """What differs, once all topics are visible: brokers learn of a new topic a moment after it was made."""
    deadline_s = time.monotonic() + VISIBLE_TIMEOUT_S
    while True:
        differences = await diff_topics(settings, specs)
        if all(difference.what != "missing" for difference in differences):
            return differences
        if time.monotonic() > deadline_s:
            raise UnavailableError("Kafka made the topics but does not show them: look at its log, then try again")
        await asyncio.sleep(0.1)


async def require_topics(settings: Settings, names: set[str], topics: Topics | None = None) -> None:
    """Check that these topics are there with the right partition count, clean-up policy and timestamp type.

    `topics`: where the names come from; default: the settings. `CandlewickError` says what is wrong, and the way on.
    """
    specs = [spec for spec in (topics or settings.topics).specs() if spec.name in names]
    for difference in await diff_topics(settings, specs):
        if difference.what in ("missing", "partitions", *STRICT_CONFIG):
            if difference.what == "missing":
                raise CandlewickError(f"the topic {difference.topic} is missing: run candlewick topics apply")
            way_on = "set it back with kafka-configs" if difference.what in STRICT_CONFIG else "make it anew"
            raise CandlewickError(
                f"the topic {difference.topic} has {difference.what} = {difference.actual}, it must be "
                f"{difference.wanted}: results would differ on a replay; {way_on}, or point "
                "CANDLEWICK_PREFIX or CANDLEWICK_PARTITIONS at the right ones"
            )


async def topic_id(settings: Settings, topic: str) -> str | None:
    """Kafka's id of `topic`, which tells it from another topic of the same name; None if brokers can't say.

    Raises `UnknownTopicOrPartitionError` as a `CandlewickError` if there is no such topic.
    """
    async with _admin(settings, f"asking for the id of {topic}") as client:
        ids = await asked_topic_ids(client._client, [topic])  # noqa: SLF001
        if topic not in ids:
            raise UnknownTopicOrPartitionError(topic)
    return ids[topic]


async def topic_ids(settings: Settings, topics: Collection[str]) -> dict[str, str | None]:
    """Kafka's ids of several topics; a topic that is not there is left out."""
    async with _admin(settings, "asking for the ids of topics") as client:
        return await asked_topic_ids(client._client, topics)  # noqa: SLF001


async def group_offsets(settings: Settings, group: str) -> dict[tuple[str, int], int]:
    """The committed offsets of a group, by (topic, partition)."""
    return {place: committed.offset for place, committed in (await committed_offsets(settings, group)).items()}


async def committed_offsets(settings: Settings, group: str) -> dict[tuple[str, int], Committed]:
    """The committed offsets of a group with what they speak of, by (topic, partition)."""
    async with _admin(settings, f"reading the offsets of {group}") as client:
        # A new cluster makes its offsets topic when it is first asked for: that takes a moment.
        missing = GroupCoordinatorNotAvailableError
        async for attempt in stamina.retry_context(on=missing, attempts=None, timeout=COORDINATOR_TIMEOUT_S):
            with attempt:
                listed = await client.list_consumer_group_offsets(group)
    return {
        (tp.topic, tp.partition): Committed(committed.offset, OffsetMetadata.decode(committed.metadata))
        for tp, committed in listed.items()
        if committed.offset >= 0
    }


def _new_topic(spec: TopicSpec, replication: int) -> NewTopic:
    return NewTopic(spec.name, spec.partitions, replication, topic_configs=dict(spec.config))


async def _partition_counts(client: Any, names: list[str]) -> dict[str, int]:
    described = await client.describe_topics(names) if names else []
    return {topic["topic"]: len(topic["partitions"]) for topic in described}


async def _configs(client: Any, names: list[str]) -> Mapping[str, dict[str, str]]:
    if not names:
        return {}
    responses = await client.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name) for name in names])
    return {
        resource[3]: {entry[0]: entry[1] for entry in resource[4]}
        for response in responses
        for resource in response.resources
    }

"""The id that Kafka gives a topic when it is made: only the id tells a topic from another of the same name.

aiokafka asks for metadata in a version without ids, so the request of KIP-516 stands here in its wire form.
"""

from collections.abc import Collection
from io import BytesIO
from typing import Any
from uuid import UUID

from aiokafka.errors import UnknownTopicOrPartitionError, for_code
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    AbstractType,
    Boolean,
    CompactArray,
    CompactString,
    Int16,
    Int32,
    Schema,
    TaggedFields,
)

_NO_ID = UUID(int=0)


class _Uuid(AbstractType):  # type: ignore[misc]  # aiokafka ships no types
    @classmethod
    def encode(cls, value: UUID) -> bytes:
        return value.bytes

    @classmethod
    def decode(cls, data: BytesIO) -> UUID:
        return UUID(bytes=data.read(16))


_PARTITION = (
    ("error_code", Int16),
    ("partition", Int32),
    ("leader", Int32),
    ("leader_epoch", Int32),
    ("replicas", CompactArray(Int32)),
    ("isr", CompactArray(Int32)),
    ("offline_replicas", CompactArray(Int32)),
    ("tags", TaggedFields),
)
_TOPIC = (
    ("error_code", Int16),
    ("topic", CompactString("utf-8")),
    ("topic_id", _Uuid),
    ("is_internal", Boolean),
    ("partitions", CompactArray(*_PARTITION)),
    ("authorized_operations", Int32),
    ("tags", TaggedFields),
)
_BROKER = (
    ("node_id", Int32),
    ("host", CompactString("utf-8")),
    ("port", Int32),
    ("rack", CompactString("utf-8")),
    ("tags", TaggedFields),
)


class _MetadataResponse(Response):  # type: ignore[misc]
    API_KEY = 3
    API_VERSION = 10
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("brokers", CompactArray(*_BROKER)),
        ("cluster_id", CompactString("utf-8")),
        ("controller_id", Int32),
        ("topics", CompactArray(*_TOPIC)),
        ("authorized_operations", Int32),
        ("tags", TaggedFields),
    )


class _MetadataStruct(RequestStruct):  # type: ignore[misc]
    API_KEY = 3
    API_VERSION = 10
    RESPONSE_TYPE = _MetadataResponse
    FLEXIBLE_VERSION = True
    SCHEMA = Schema(
        ("topics", CompactArray(("topic_id", _Uuid), ("topic", CompactString("utf-8")), ("tags", TaggedFields))),
        ("allow_auto_topic_creation", Boolean),
        ("include_cluster_authorized_operations", Boolean),
        ("include_topic_authorized_operations", Boolean),
        ("tags", TaggedFields),
    )


class _MetadataRequest(Request[_MetadataStruct]):  # type: ignore[misc]
    API_KEY = 3

    def __init__(self, topics: Collection[str]) -> None:
        self._topics = topics

    def build(self, request_struct_class: type[_MetadataStruct]) -> _MetadataStruct:
        asked: list[tuple[UUID, str, dict[int, bytes]]] = [(_NO_ID, topic, {}) for topic in self._topics]
        return request_struct_class(asked, False, False, False, {})  # noqa: FBT003


async def asked_topic_ids(client: Any, topics: Collection[str]) -> dict[str, str | None]:
    """The ids of those `topics` that are there, asked with aiokafka's low-level `client`.

    None if brokers are older than Kafka 2.8: these know no ids.
    """
    try:
        response = await client.send(client.get_random_node(), _MetadataRequest(topics))
    except NotImplementedError:  # aiokafka's word for: no version that both sides speak
        return dict.fromkeys(topics)
    ids: dict[str, str | None] = {}
    for error_code, topic, topic_id, *_ in response.topics:
        if not error_code:
            ids[topic] = None if topic_id == _NO_ID else str(topic_id)
        elif for_code(error_code) is not UnknownTopicOrPartitionError:
            raise for_code(error_code)(topic)
    return ids

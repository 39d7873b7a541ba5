"""Transactions that are open in a topic: which of them hold back committed readers.

A reader of committed records gets nothing from the first record of an open transaction on, whoever opened it. Kafka
ends a transaction only after a time-out that its producer chose. The requests that say who opened it (KIP-664:
DescribeProducers, ListTransactions, DescribeTransactions) stand here in their wire form, because aiokafka has none of
them.
"""

from collections.abc import Collection, Iterable
from operator import attrgetter
from typing import Any, NamedTuple

from aiokafka import TopicPartition
from aiokafka.errors import NotLeaderForPartitionError, for_code
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import CompactArray, CompactString, Int16, Int32, Int64, Schema, TaggedFields

from market.utc import time_of_day
from runtime.errors import UnavailableError

HELD_BACK_S = 25.0
"""By then a transaction of ours is over, even of a killed process: its time-out takes 10 s, then the broker scans."""
_TEXT = CompactString("utf-8")
_TAGS = ("tags", TaggedFields)
_PRODUCER = (
    ("producer_id", Int64),
    ("producer_epoch", Int32),
    ("last_sequence", Int32),
    ("last_timestamp", Int64),
    ("coordinator_epoch", Int32),
    ("current_txn_start_offset", Int64),
    _TAGS,
)
_PRODUCERS_OF = (
    ("partition", Int32),
    ("error_code", Int16),
    ("error_message", _TEXT),
    ("active_producers", CompactArray(*_PRODUCER)),
    _TAGS,
)
_LISTED = (("transactional_id", _TEXT), ("producer_id", Int64), ("state", _TEXT), _TAGS)
_DESCRIBED = (
    ("error_code", Int16),
    ("transactional_id", _TEXT),
    ("state", _TEXT),
    ("timeout_ms", Int32),
    ("start_ms", Int64),
    ("producer_id", Int64),
    ("producer_epoch", Int16),
    ("topics", CompactArray(("topic", _TEXT), ("partitions", CompactArray(Int32)), _TAGS)),
    _TAGS,
)


class OpenTransaction(NamedTuple):
    """A transaction that holds back a partition; None where Kafka did not say."""

    tp: TopicPartition
    first_offset: int
    """The offset of its first record: readers of committed records get nothing from here on."""
    producer_id: int
    transactional_id: str | None = None
    since_ms: int | None = None
    timeout_ms: int | None = None

    def __str__(self) -> str:
        """One sentence that says whose transaction it is, and the way on."""
        name = f" of {self.transactional_id!r}" if self.transactional_id is not None else ""
        since = "" if self.since_ms is None else f" since {time_of_day(self.since_ms * 1000)}Z"
        ends = "" if self.timeout_ms is None else f" (Kafka ends it {self.timeout_ms / 1000:.0f} s after it began)"
        topic, partition = self.tp
        return (
            f"the transaction{name} (producer {self.producer_id}) is open in {topic}/{partition}{since}, and "
            f"nothing from offset {self.first_offset} on can be read before it ends: end that producer and wait{ends}, "
            f"or abort it: kafka-transactions.sh --bootstrap-server … abort --topic {topic} --partition {partition} "
            f"--start-offset {self.first_offset}"
        )


class HeldBackError(UnavailableError):
    """Readers of committed records get no further: another program's transaction is open."""

    def __init__(self, transactions: Iterable[OpenTransaction]) -> None:
        super().__init__("; ".join(map(str, transactions)))


class _Producers(Response):  # type: ignore[misc]  # aiokafka ships no types
    API_KEY = 61
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("topics", CompactArray(("topic", _TEXT), ("partitions", CompactArray(*_PRODUCERS_OF)), _TAGS)),
        _TAGS,
    )


class _DescribeProducersStruct(RequestStruct):  # type: ignore[misc]
    API_KEY = 61
    API_VERSION = 0
    RESPONSE_TYPE = _Producers
    FLEXIBLE_VERSION = True
    SCHEMA = Schema(("topics", CompactArray(("topic", _TEXT), ("partitions", CompactArray(Int32)), _TAGS)), _TAGS)


class _Transactions(Response):  # type: ignore[misc]
    API_KEY = 66
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        ("error_code", Int16),
        ("unknown_state_filters", CompactArray(_TEXT)),
        ("transactions", CompactArray(*_LISTED)),
        _TAGS,
    )


class _ListTransactionsStruct(RequestStruct):  # type: ignore[misc]
    API_KEY = 66
    API_VERSION = 0
    RESPONSE_TYPE = _Transactions
    FLEXIBLE_VERSION = True
    SCHEMA = Schema(("state_filters", CompactArray(_TEXT)), ("producer_id_filters", CompactArray(Int64)), _TAGS)


class _TransactionStates(Response):  # type: ignore[misc]
    API_KEY = 65
    API_VERSION = 0
    SCHEMA = Schema(("throttle_time_ms", Int32), ("transactions", CompactArray(*_DESCRIBED)), _TAGS)


class _DescribeTransactionsStruct(RequestStruct):  # type: ignore[misc]
    API_KEY = 65
    API_VERSION = 0
    RESPONSE_TYPE = _TransactionStates
    FLEXIBLE_VERSION = True
    SCHEMA = Schema(("transactional_ids", CompactArray(_TEXT)), _TAGS)


class _DescribeProducers(Request[_DescribeProducersStruct]):  # type: ignore[misc]
    API_KEY = 61

    def __init__(self, tps: Collection[TopicPartition]) -> None:
        topics = {tp.topic for tp in tps}
        self._asked: list[tuple[str, list[int], dict[int, bytes]]] = [
            (topic, [tp.partition for tp in tps if tp.topic == topic], {}) for topic in sorted(topics)
        ]

    def build(self, request_struct_class: type[_DescribeProducersStruct]) -> _DescribeProducersStruct:
        return request_struct_class(self._asked, {})


class _ListTransactions(Request[_ListTransactionsStruct]):  # type: ignore[misc]
    API_KEY = 66

    def __init__(self, producer_ids: Collection[int]) -> None:
        self._producer_ids = list(producer_ids)

    def build(self, request_struct_class: type[_ListTransactionsStruct]) -> _ListTransactionsStruct:
        return request_struct_class([], self._producer_ids, {})


class _DescribeTransactions(Request[_DescribeTransactionsStruct]):  # type: ignore[misc]
    API_KEY = 65

    def __init__(self, transactional_ids: Collection[str]) -> None:
        self._transactional_ids = list(transactional_ids)

    def build(self, request_struct_class: type[_DescribeTransactionsStruct]) -> _DescribeTransactionsStruct:
        return request_struct_class(self._transactional_ids, {})


async def asked_open_transactions(client: Any, tps: Collection[TopicPartition]) -> list[OpenTransaction]:
    """The open transaction that holds back each of `tps`, if any, asked with aiokafka's low-level `client`.

    Brokers before Kafka 3.0 can't say: then the list is empty.
    """
    by_leader: dict[int, list[TopicPartition]] = {}
    for tp in tps:
        leader = client.cluster.leader_for_partition(tp)
        if leader is not None and leader >= 0:
            by_leader.setdefault(leader, []).append(tp)
    try:
        transactions = [first for node, led in by_leader.items() for first in await _first_open(client, node, led)]
        states = await _states(client, {of.producer_id for of in transactions}) if transactions else {}
    except NotImplementedError:  # aiokafka's word for: no version that both sides speak
        return []
    return [transaction._replace(**states.get(transaction.producer_id, {})) for transaction in transactions]


async def _first_open(client: Any, node: int, tps: list[TopicPartition]) -> list[OpenTransaction]:
    response = await client.send(node, _DescribeProducers(tps))
    first_open: list[OpenTransaction] = []
    for topic, partitions, _ in response.topics:
        for partition, error_code, _, producers, _ in partitions:
            if for_code(error_code) is NotLeaderForPartitionError:
                continue  # another broker leads the partition now: the next question goes there
            if error_code:
                raise for_code(error_code)(f"{topic}/{partition}")
            tp = TopicPartition(topic, partition)
            all_open = [OpenTransaction(tp, start, producer) for producer, *_, start, _ in producers if start >= 0]
            first_open += sorted(all_open, key=attrgetter("first_offset"))[:1]
    return first_open


async def _states(client: Any, producer_ids: set[int]) -> dict[int, dict[str, Any]]:
    """By producer, what coordinators say of its transaction; each broker knows only the ones that it coordinates."""
    states: dict[int, dict[str, Any]] = {}
    for broker in client.cluster.brokers():
        listed = await client.send(broker.nodeId, _ListTransactions(producer_ids))
        names = [name for name, producer_id, *_ in listed.transactions if producer_id in producer_ids]
        if not names:
            continue
        described = await client.send(broker.nodeId, _DescribeTransactions(names))
        for error_code, name, _, timeout_ms, start_ms, producer_id, *_ in described.transactions:
            if not error_code:
                since_ms = start_ms if start_ms > 0 else None
                states[producer_id] = {"transactional_id": name, "since_ms": since_ms, "timeout_ms": timeout_ms}
    return states

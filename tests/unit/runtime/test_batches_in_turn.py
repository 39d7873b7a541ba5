"""How records become batches, and in which order they are handed to the client."""

import asyncio
from typing import Any

from runtime.kafka import Outgoing
from runtime.kafka.publisher import sent_in_batches

ROOM = 2


class _Batch:
    """As aiokafka's BatchBuilder: it takes `ROOM` records, or one that is larger than a batch."""

    def __init__(self) -> None:
        self.records: list[tuple[bytes, bytes | None]] = []
        self.is_closed = False

    def append(self, *, key: bytes, value: bytes | None, timestamp: int | None, headers: Any) -> bool | None:
        assert timestamp is None
        assert isinstance(headers, list)
        if len(self.records) >= ROOM or (self.records and value == b"large"):
            return None
        self.records += [(key, value)] * (ROOM if value == b"large" else 1)
        return True

    def close(self) -> None:
        self.is_closed = True


class _Producer:
    def __init__(self) -> None:
        self.sent: list[tuple[int, list[bytes]]] = []

    def create_batch(self) -> _Batch:
        return _Batch()

    async def send_batch(self, batch: _Batch, topic: str, *, partition: int) -> "asyncio.Future[str]":
        assert topic == "t"
        assert batch.is_closed
        self.sent.append((partition, [key for key, _ in batch.records]))
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        future.set_result(f"{partition}")
        return future


async def sent(records: list[Outgoing]) -> list[tuple[int, list[bytes]]]:
    producer = _Producer()
    futures = [future async for future in sent_in_batches(producer, "t", records)]
    assert [int(await future) for future in futures] == [partition for partition, _ in producer.sent]
    return producer.sent


async def test_partitions_take_turns_and_each_keeps_its_order() -> None:
    partitions = [0, 0, 1, 0, 0, 0, 2, 1, 1]
    records = [Outgoing(b"%d" % number, b"v", partition=partition) for number, partition in enumerate(partitions)]
    assert await sent(records) == [
        (0, [b"0", b"1"]), (1, [b"2", b"7"]), (2, [b"6"]),
        (0, [b"3", b"4"]), (1, [b"8"]),
        (0, [b"5"]),
    ]  # fmt: skip


async def test_a_record_that_is_larger_than_a_batch_goes_alone_and_in_its_place() -> None:
    records = [Outgoing(b"%d" % number, value, partition=0) for number, value in enumerate([b"v", b"large", b"v"])]
    assert await sent(records) == [(0, [b"0"]), (0, [b"1", b"1"]), (0, [b"2"])]


async def test_nothing_sends_nothing() -> None:
    assert await sent([]) == []

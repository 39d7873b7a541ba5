"""The candle engine on a real Kafka, as tests use it: fill the input, run it, read what it wrote."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from confluent_kafka import ConsumerGroupTopicPartitions, TopicPartition
from confluent_kafka.admin import AdminClient
from eventually import eventually
from market_log import Log

from market.codec import encode_candle, header
from market.partition import partition_of
from market.records import Record
from processors.candles.config import CandlesConfig
from processors.candles.core import Core, Rules
from processors.candles.worker import run_candles
from runtime.kafka import Outgoing, Publisher, ends, read_to_end
from runtime.kafka.admin import group_offsets
from runtime.settings import Settings, kafka_address

CONFIG = {"once": True}


async def fill(settings: Settings, log: Log) -> None:
    """Publish a made-up log; records without a key go to partition 0."""
    async with Publisher(settings) as publisher:
        futures = [
            await publisher.send(
                settings.topics.trades,
                Outgoing(
                    record.key or b"",
                    record.value,
                    record.headers,
                    partition_of(record.key, settings.partitions) if record.key else 0,
                ),
            )
            for record in log.records
        ]
        await publisher.await_acknowledgements(futures)


async def fill_in_batches(settings: Settings, log: Log, size: int = 25) -> None:
    """The records in many small batches, so that there is something to interrupt."""
    async with Publisher(settings) as publisher:
        for begin in range(0, len(log.records), size):
            sent = [
                await publisher.send(settings.topics.trades, Outgoing(record.key or b"", record.value, record.headers))
                for record in log.records[begin : begin + size]
            ]
            await publisher.await_acknowledgements(sent)


async def one_pass(settings: Settings, **config: Any) -> None:
    """The engine with ``--once``."""
    await asyncio.wait_for(run_candles(settings, CandlesConfig(once=True, **config), asyncio.Event()), 60)


@asynccontextmanager
async def engine(settings: Settings) -> AsyncIterator[asyncio.Task[None]]:
    """A running engine, stopped at the block's end where it is not over by then."""
    stop = asyncio.Event()
    task = asyncio.create_task(run_candles(settings, CandlesConfig(), stop))
    try:
        yield task
    finally:
        stop.set()
        await asyncio.wait([task], timeout=30)


async def caught_up(settings: Settings, *, timeout_s: float = 60) -> None:
    """Wait until the group's offsets are the log's ends."""
    total = sum(end.next for end in (await ends(settings, settings.topics.trades)).values())

    async def is_done() -> bool:
        return sum((await group_offsets(settings, settings.topics.group("candles"))).values()) == total

    await eventually(is_done, timeout_s=timeout_s, every_s=0.2)


async def read_all(settings: Settings, topic: str) -> list[Record]:
    """Every committed record, partition by partition in offset order."""
    return [record async for records in read_to_end(settings, topic) for record in records]


async def candles_in(settings: Settings) -> list[str]:
    """The candle topic: run and value bytes of every committed record."""
    return [_line(record.value, header(record.headers, "run")) for record in await _sorted(settings)]


async def expected_candles(settings: Settings) -> list[str]:
    """What one uninterrupted pass of the pure core makes of the input as it stands in Kafka."""
    lines: list[str] = []
    for partition in range(settings.partitions):
        records = [
            record
            async for some in read_to_end(settings, settings.topics.trades, partitions=[partition])
            for record in some
        ]
        core = Core(partition=partition, partitions=settings.partitions, position=0, rules=Rules(), awaits_floor=False)
        for candle, run in core.process(records).candles:
            lines.append(_line(encode_candle(candle), None if run is None else run.encode()))
    return lines


class Place(NamedTuple):
    """Where a record stands."""

    topic: str
    partition: int
    offset: int


def source_of(dead_letter: Record) -> Place:
    """Where a dead letter came from, by its headers."""
    headers = {name: value.decode() for name, value in dead_letter.headers}
    return Place(
        headers["__streams.errors.topic"],
        int(headers["__streams.errors.partition"]),
        int(headers["__streams.errors.offset"]),
    )


def move_group(settings: Settings, group: str, offsets: dict[int, int]) -> None:
    """As any Kafka tool moves a group that has no members."""
    parts = [TopicPartition(settings.topics.trades, partition, offset) for partition, offset in offsets.items()]
    admin = _admin(settings)  # its futures end with it
    for future in admin.alter_consumer_group_offsets([ConsumerGroupTopicPartitions(group, parts)]).values():
        future.result(10)


def delete_group(settings: Settings, group: str) -> None:
    """As the broker does when a group's offsets expire."""
    admin = _admin(settings)
    for future in admin.delete_consumer_groups([group]).values():
        future.result(10)


def delete_records(settings: Settings, topic: str, before: dict[int, int]) -> None:
    """As retention does."""
    parts = [TopicPartition(topic, partition, offset) for partition, offset in before.items()]
    admin = _admin(settings)
    for future in admin.delete_records(parts).values():
        future.result(10)


class Process:
    """The engine as a process of its own, from a script that may do something to itself."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process

    @classmethod
    async def start(cls, environment: dict[str, str], *arguments: str) -> "Process":
        """``candlewick candles`` with these flags."""
        command = [sys.executable, "-m", "candlewick", "candles", "--instance-id", "one", *arguments]
        return cls(await asyncio.create_subprocess_exec(*command, env=environment, stderr=asyncio.subprocess.DEVNULL))

    async def kill(self) -> None:
        """End it at once."""
        if self._process.returncode is None:
            os.kill(self._process.pid, signal.SIGKILL)
        await self._process.wait()

    async def wait(self) -> int:
        """Its exit code."""
        return await asyncio.wait_for(self._process.wait(), 60)


def _admin(settings: Settings) -> AdminClient:
    return AdminClient({"bootstrap.servers": kafka_address(settings)})


async def _sorted(settings: Settings) -> list[Record]:
    records = await read_all(settings, settings.topics.candles())
    return sorted(records, key=lambda record: (record.partition, record.offset))


def _line(value: bytes | None, run: bytes | None) -> str:
    return f"{run!r} {value!r}"

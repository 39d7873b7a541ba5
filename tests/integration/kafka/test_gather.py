"""A subscription whose broker gathers records: while they keep coming they come together, and the first at once."""

import asyncio
import time

import pytest

from runtime.kafka import Outgoing, Publisher, Subscription, TopicPartition
from runtime.settings import Settings

GATHER_S = 4.0


@pytest.mark.usefixtures("topics")
async def test_the_first_record_comes_at_once_and_those_that_follow_come_together(settings: Settings) -> None:
    topic = settings.topics.trades
    subscription = Subscription(
        settings, group=f"{settings.prefix}gather", topics=[topic], bare=True, gather_s=GATHER_S
    )
    async with Publisher(settings) as publisher, subscription, asyncio.timeout(60):
        tps = await joined(subscription)
        assert await next_values(subscription, tps, wait_s=1.0) == []

        began_s = time.monotonic()
        await publish(publisher, topic, b"first", partition=0)
        assert await next_values(subscription, tps, wait_s=10 * GATHER_S) == [b"first"]
        assert time.monotonic() - began_s < GATHER_S

        for number, value in enumerate((b"second", b"third", b"fourth")):
            await publish(publisher, topic, value, partition=number % 2)
        assert sorted(await next_values(subscription, tps, wait_s=10 * GATHER_S)) == [b"fourth", b"second", b"third"]


async def joined(subscription: Subscription) -> list[TopicPartition]:
    """The partitions, each read from its beginning."""
    while not subscription.assignment():
        await subscription.pause_for(0.05)
    subscription.changes()
    for tp in subscription.assignment():
        subscription.seek(tp, 0)
    return list(subscription.assignment())


async def publish(publisher: Publisher, topic: str, value: bytes, *, partition: int) -> None:
    await publisher.await_acknowledgements([await publisher.send(topic, Outgoing(b"k", value, partition=partition))])


async def next_values(subscription: Subscription, tps: list[TopicPartition], *, wait_s: float) -> list[bytes | None]:
    """What the next poll brings that brings anything."""
    deadline_s = time.monotonic() + wait_s
    while time.monotonic() < deadline_s:
        polled = await subscription.poll_batches(tps, timeout_s=0.1, max_batches=100)
        if values := [record.value for records in polled.values() for record in records]:
            return values
    return []

"""Reading by whole batches against aiokafka's own reading, record by record."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pytest

from market.records import BareRecord
from runtime.kafka import Outgoing, Publisher, Subscription, TopicPartition, TransactionalPublisher
from runtime.settings import Settings


class GivenUpError(Exception):
    """Ends a transaction without a commit."""


@pytest.mark.usefixtures("topics")
async def test_both_ways_of_reading_give_the_same_records_from_any_offset(settings: Settings) -> None:
    tp = TopicPartition(settings.topics.trades, 0)
    async with Publisher(settings) as publisher:
        await publisher.await_acknowledgements(
            await publisher.send_batches(tp.topic, made("plain", 700), settings.partitions)
        )
        await in_transaction(settings, tp, made("kept", 5), commit=True)
        await in_transaction(settings, tp, made("dropped", 300), commit=False)
        await publisher.await_acknowledgements([await publisher.send(tp.topic, record) for record in made("single", 3)])
        await in_transaction(settings, tp, made("dropped too", 2), commit=False)
        await in_transaction(settings, tp, made("kept too", 400), commit=True)
    for start in (0, 1, 699, 700, 703, 706, 900, 1010):
        one_by_one = await read(settings, tp, start, bare=False)
        by_batch = await read(settings, tp, start, bare=True)
        assert by_batch == one_by_one
        assert {value for *_, value, _ in by_batch} <= {b"plain", b"kept", b"single", b"kept too"}
    assert len(await read(settings, tp, 0, bare=True)) == 700 + 5 + 3 + 400


def made(name: str, count: int) -> list[Outgoing]:
    headers = [("n", b"1"), ("m", None)]
    return [
        Outgoing(b"k%d" % number, name.encode(), headers if number % 3 else (), partition=0)  # type: ignore[arg-type]
        for number in range(count)
    ]


async def in_transaction(settings: Settings, tp: TopicPartition, records: list[Outgoing], *, commit: bool) -> None:
    async with TransactionalPublisher(settings, f"{settings.prefix}batches") as publisher:
        with suppress(GivenUpError):
            async with publisher.transaction() as transaction:
                await transaction.send(tp.topic, records)
                await transaction.await_acknowledgements()
                go_on(commit)
    async with TransactionalPublisher(settings, f"{settings.prefix}batches"):
        pass  # taking it over ends what was left open


def go_on(wanted: bool) -> None:  # noqa: FBT001
    if not wanted:
        raise GivenUpError


async def read(settings: Settings, tp: TopicPartition, start: int, *, bare: bool) -> list[tuple[Any, ...]]:
    """All that a committed reader sees from `start` on."""
    group = f"{settings.prefix}{bare}{start}"
    found: list[tuple[Any, ...]] = []
    async with Subscription(settings, group=group, topics=[tp.topic], bare=bare) as subscription, asyncio.timeout(60):
        while tp not in subscription.assignment():
            await subscription.pause_for(0.05)
        subscription.changes()
        subscription.seek(tp, start)
        end = await subscription.end(tp)
        while await subscription.position(tp) < end:
            if bare:
                batches = await subscription.poll_batches([tp], timeout_s=0.2, max_batches=2)
                records: Sequence[BareRecord] = batches.get(tp, [])
            else:
                records = (await subscription.poll([tp], timeout_s=0.2, max_records=100)).get(tp, [])
            found += [(one.offset, one.timestamp, one.key, one.value, tuple(one.headers)) for one in records]
    return found

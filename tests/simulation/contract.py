"""What the simulated cluster and the real Kafka have in common: scripts that see the same of both."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from runtime.errors import UnavailableError
from runtime.kafka import (
    FencedError,
    Outgoing,
    Publisher,
    Subscription,
    TopicPartition,
    TransactionalPublisher,
    ends,
    read_to_end,
)
from runtime.settings import Settings

Script = Callable[[Settings], Awaitable[None]]


async def transactions(settings: Settings) -> None:
    """Records of a fenced producer are never seen, and their offset never counts; committed ones are, in order."""
    trades, group = settings.topics.trades, settings.topics.group("candles")
    tp = TopicPartition(trades, 0)
    async with Subscription(settings, group=group, topics=[trades], bare=True) as member:
        await held_by(member, settings.partitions)
        member.changes()
        member.seek(tp, 0)
        zombie = await TransactionalPublisher(settings, f"{settings.prefix}owner").__aenter__()
        with pytest.raises(FencedError):
            await taken_over_meanwhile(settings, zombie, member, tp)
        owner = await TransactionalPublisher(settings, f"{settings.prefix}owner").__aenter__()
        await zombie.discard()
        assert await values(member, tp) == ["behind it"]
        assert await member.committed(tp) is None
        for offset in (1, 2):
            async with owner.transaction() as transaction:
                await transaction.send(trades, [record(f"owner {offset}")])
                await transaction.commit_offset(group, trades, 0, offset)  # nobody asks whether it is a member
            assert await values(member, tp) == [f"owner {offset}"]
            assert await member.committed(tp) == offset
        async with TransactionalPublisher(settings, owner.transactional_id) as successor:
            await successor.confirm(group, tp)
        assert await member.committed(tp) == offset
        with pytest.raises(FencedError):
            await owner.confirm(group, tp)
        await owner.discard()
        assert await values(member, tp) == []
        # The zombie's record and its abort, one behind it, two commits with their ends.
        assert [await member.position(tp), (await ends(settings, trades, [0]))[0].next] == [7, 7]
    assert await read(settings, trades, committed=True) == [(1, "behind it"), (3, "owner 1"), (5, "owner 2")]
    assert (0, "zombie") in await read(settings, trades, committed=False)


async def membership(settings: Settings) -> None:
    """A second member makes both begin anew; to read on without a committed offset is no failure then."""
    trades, group, count = settings.topics.trades, settings.topics.group("candles"), settings.partitions
    async with Subscription(settings, group=group, topics=[trades], bare=True) as first:
        everything = await held_by(first, count)
        assert first.changes() == (frozenset(), everything, True)
        for tp in everything:
            first.seek(tp, 0)
        async with Subscription(settings, group=group, topics=[trades], bare=True) as second:
            while not (changes := first.changes()).rebalanced:
                assert await first.poll_batches(everything, timeout_s=0.1, max_batches=1) == {}
            theirs = await held_by(second, count // 2)
            assert changes.revoked == everything
            assert changes.assigned | theirs == everything
            assert len(changes.assigned) + len(theirs) == count
            with pytest.raises(UnavailableError, match="NoOffset"):
                await polled_for_good(second, theirs)
        await held_by(first, count)


async def static_membership(settings: Settings) -> None:
    """The same instance comes back to what it held, and the other hears nothing of it."""
    trades, group, count = settings.topics.trades, settings.topics.group("candles"), settings.partitions
    async with Subscription(settings, group=group, topics=[trades], instance_id="a") as one:
        await held_by(one, count)
        async with Subscription(settings, group=group, topics=[trades], instance_id="b") as other:
            held = await held_by(other, count // 2)
            await held_by(one, count // 2)
            one.changes()
        async with Subscription(settings, group=group, topics=[trades], instance_id="b") as again:
            assert await held_by(again, count // 2) == held
            assert not one.changes().rebalanced


async def taken_over_meanwhile(
    settings: Settings, zombie: TransactionalPublisher, member: Subscription, tp: TopicPartition
) -> None:
    async with zombie.transaction() as transaction:
        await transaction.send(tp.topic, [record("zombie")])
        await transaction.await_acknowledgements()
        await transaction.commit_offset(member.group, tp.topic, tp.partition, 7)
        await say(settings, "behind it")
        assert await values(member, tp) == []  # hidden for as long as the transaction is open
        async with TransactionalPublisher(settings, zombie.transactional_id):
            pass


async def polled_for_good(member: Subscription, tps: frozenset[TopicPartition]) -> None:
    while True:
        await member.poll_batches(tps, timeout_s=0.1, max_batches=1)
        member.changes()


def record(value: str) -> Outgoing:
    return Outgoing(b"key", value.encode(), (), 0)


async def say(settings: Settings, value: str) -> None:
    async with Publisher(settings) as publisher:
        await publisher.await_acknowledgements(
            await publisher.send_batches(settings.topics.trades, [record(value)], settings.partitions)
        )


async def held_by(member: Subscription, count: int) -> frozenset[TopicPartition]:
    """What a member holds, once it is so much."""
    async with asyncio.timeout(30):
        while len(member.assignment()) != count:  # noqa: ASYNC110  # aiokafka tells nobody
            await asyncio.sleep(0.05)
    return member.assignment()


async def values(member: Subscription, tp: TopicPartition) -> list[str]:
    """Records that come in a while: a commit is acknowledged a moment before its records are seen."""
    found: list[str] = []
    with suppress(TimeoutError):
        async with asyncio.timeout(1.0):
            while not found:
                polled = await member.poll_batches([tp], timeout_s=0.1, max_batches=1)
                found = [(one.value or b"").decode() for one in polled.get(tp, [])]
    return found


async def read(settings: Settings, topic: str, *, committed: bool) -> list[tuple[int, str]]:
    return [
        (one.offset, (one.value or b"").decode())
        async for records in read_to_end(settings, topic, partitions=[0], committed=committed)
        for one in records
    ]


SCRIPTS: list[Script] = [transactions, membership, static_membership]

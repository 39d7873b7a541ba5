"""Members of a group: with and without partitions, static, and leaving over broken connections."""

import asyncio
from contextlib import AsyncExitStack

import pytest
from eventually import eventually

from runtime.errors import UnavailableError
from runtime.kafka import Subscription, consumer
from runtime.kafka.admin import apply_topics
from runtime.settings import Settings

POLL_INTERVAL_MS = 3_000


async def test_a_member_without_partitions_stays_one_and_takes_over(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(consumer, "MAX_POLL_INTERVAL_MS", POLL_INTERVAL_MS)
    alone = settings.model_copy(update={"partitions": 1})
    assert await apply_topics(alone) == []
    async with AsyncExitStack() as exits:
        members = list(await asyncio.gather(*(exits.enter_async_context(member(alone)) for _ in range(2))))

        async def is_dealt_out() -> bool:
            await asyncio.gather(*(one.poll([], timeout_s=0.1, max_records=1) for one in members))
            return sum(len(one.assignment()) for one in members) == 1

        await eventually(is_dealt_out)
        for _ in range(POLL_INTERVAL_MS // 80):  # together longer than a member may ask for nothing
            assert await is_dealt_out()
        owner, standby = sorted(members, key=lambda one: len(one.assignment()), reverse=True)
        await owner.__aexit__(None, None, None)
        members.remove(owner)
        await eventually(is_dealt_out)
        assert standby.assignment()


@pytest.mark.usefixtures("topics")
async def test_connections_that_break_while_a_member_leaves_are_no_cancellation(settings: Settings) -> None:
    async with member(settings) as leaving:
        await eventually(leaving.assignment)
        for tp in leaving.assignment():
            leaving.seek(tp, 0)
        before = set(asyncio.all_tasks())
        for connection in list(leaving._consumer._client._conns.values()):
            connection.close()
        await eventually(lambda: leaving._consumer._fetcher._pending_tasks)
    assert not {task for task in asyncio.all_tasks() & before if "Fetcher" in repr(task) and not task.done()}


@pytest.mark.usefixtures("topics")
async def test_where_a_partition_is_read_is_not_waited_for_before_it_is_sought(settings: Settings) -> None:
    async with member(settings) as first:
        await eventually(lambda: len(first.changes().assigned) == settings.partitions)
        for tp in first.assignment():
            first.seek(tp, 7)
        async with member(settings) as second:
            await eventually(second.assignment)
            left = await eventually(lambda: len(first.assignment()) < settings.partitions and first.assignment())
            positions = await asyncio.wait_for(asyncio.gather(*map(first.position, left)), 30)
    assert set(positions) == {0}


@pytest.mark.usefixtures("topics")
async def test_a_client_that_gives_up_by_itself_is_told_as_an_outage(settings: Settings) -> None:
    async with member(settings) as broken:
        await eventually(broken.assignment)
        broken._consumer._coordinator._coordination_task.cancel()
        with pytest.raises(UnavailableError, match="gave up by itself while waiting as"):
            await eventually(lambda: broken.poll([], timeout_s=0.1, max_records=1))


def member(settings: Settings) -> Subscription:
    return Subscription(settings, group=settings.topics.group("members"), topics=[settings.topics.trades])

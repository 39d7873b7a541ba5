"""The inbox: full, it makes the connection wait, and drops nothing."""

import asyncio

from producers.feed.inbox import Connected, FromConnection, Inbox


async def test_a_full_inbox_makes_the_sender_wait_and_drops_nothing() -> None:
    inbox = Inbox(2)
    sent = [FromConnection(number, Connected()) for number in range(7)]

    async def put_all() -> None:
        for item in sent:
            await inbox.put(item)

    putting = asyncio.create_task(put_all())
    taken = []
    while len(taken) < len(sent):
        batch = await inbox.take(wait_s=1.0, gather_s=0.0)
        assert 0 < len(batch) <= 2
        taken += batch
    await putting
    assert taken == sent


async def test_a_take_of_nothing_ends() -> None:
    assert await Inbox(2).take(wait_s=0.01, gather_s=0.0) == []

"""The inbox: full, it makes the connection wait, and drops nothing."""

import asyncio

import pytest

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


@pytest.mark.parametrize("turns", range(6))
async def test_a_take_that_is_cancelled_as_an_item_comes_ends(turns: int) -> None:
    inbox = Inbox(2)
    taking = asyncio.create_task(inbox.take(wait_s=5.0, gather_s=5.0))
    for _ in range(3):
        await asyncio.sleep(0)
    inbox.add(FromConnection(0, Connected()))
    for _ in range(turns):  # of the event loop
        await asyncio.sleep(0)
    taking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(asyncio.shield(taking), 2.0)
    assert len(inbox) == 1

"""Whose turn it is when there are more requests than places."""

import asyncio

import pytest
from eventually import eventually

from serving.access.keys import RateTier
from serving.access.refusal import RequestRefusedError
from serving.access.turns import Turns

FREE, PRO, ENTERPRISE = RateTier


async def test_higher_tiers_come_first_and_each_in_order() -> None:
    turns, came = Turns(at_work=1), list[str]()

    async def ask(tier: RateTier, name: str) -> None:
        await turns.enter(tier)
        came.append(name)
        turns.leave()

    assert turns.enter_now()
    asked = [
        asyncio.create_task(ask(tier, f"{tier} {number}")) for number in (1, 2) for tier in (FREE, PRO, ENTERPRISE)
    ]
    await eventually(lambda: turns.waiting == 6)
    turns.leave()
    await asyncio.gather(*asked)
    assert came == [f"{tier} {number}" for tier in ("enterprise", "pro", "free") for number in (1, 2)]
    assert turns.enter_now()


async def test_where_too_many_wait_the_last_of_the_lowest_tier_makes_room() -> None:
    turns = Turns(at_work=1, most_waiting=2)
    assert turns.enter_now()
    first, last = (asyncio.create_task(turns.enter(FREE)) for _ in range(2))
    await eventually(lambda: turns.waiting == 2)
    with pytest.raises(RequestRefusedError, match="too many"):
        await turns.enter(FREE)
    high = asyncio.create_task(turns.enter(ENTERPRISE))
    with pytest.raises(RequestRefusedError, match="too many") as refused:
        await last
    assert (refused.value.status, refused.value.headers["Retry-After"]) == (503, "2")
    turns.leave()
    await high
    turns.leave()
    await first
    assert (turns.waiting, turns.enter_now()) == (0, False)


async def test_who_waits_too_long_or_goes_away_takes_no_place() -> None:
    turns = Turns(at_work=1, patience_s=0.05)
    assert turns.enter_now()
    gone = asyncio.create_task(turns.enter(PRO))
    await eventually(lambda: turns.waiting == 1)
    gone.cancel()
    with pytest.raises(RequestRefusedError, match="no place within"):
        await turns.enter(FREE)
    assert turns.waiting == 0
    late = asyncio.create_task(turns.enter(PRO))
    await eventually(lambda: turns.waiting == 1)
    turns.leave()  # the place is given…
    late.cancel()  # …to one that goes away at the same moment
    with pytest.raises(asyncio.CancelledError):
        await late
    assert turns.enter_now()

"""Weight a minute, counted in a real Redis: held against a count of its own, by several counters."""

import asyncio
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from eventually import eventually
from pydantic import SecretStr
from redis_servers import one_redis

from runtime.settings import Settings
from serving.access import allowances as counted
from serving.access.allowances import Allowances, UncountedError
from sinks.redis.allowance import UnusedWeight, take_allowance
from sinks.redis.keys import allowance_key

WINDOW_S = 1.0
"""Instead of a minute."""


@asynccontextmanager
async def counters(settings: Settings, number: int) -> AsyncIterator[list[Allowances]]:
    opened = [Allowances(settings) for _ in range(number)]
    try:
        yield opened
    finally:
        for allowances in opened:
            await allowances.close()


async def ask(allowances: Allowances, weight: int, limit: int, caller: str = "key:a") -> Any:
    return allowances.take_now(caller, weight) or await allowances.take(caller, weight, limit)


def most_within(window_s: float, granted: list[tuple[float, int]]) -> int:
    """The independent count: the most weight that was granted within any window."""
    times = sorted(granted)
    return max(sum(weight for moment, weight in times if 0 <= moment - begin_s < window_s) for begin_s, _ in times)


@pytest.mark.parametrize("limit", [20, 600])
async def test_no_window_has_more_than_the_allowance_in_it_and_nearly_all_of_it_is_granted(
    settings: Settings, limit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counted, "WINDOW_S", WINDOW_S + counted.LEASE_S)
    granted: list[tuple[float, int]] = []
    async with counters(settings, 3) as three:
        until_s = time.monotonic() + 4 * WINDOW_S

        async def client(seed: int) -> None:
            chance = random.Random(seed)
            while time.monotonic() < until_s:
                weight = chance.randint(1, 5)
                if (await ask(chance.choice(three), weight, limit)).is_granted:
                    granted.append((time.monotonic(), weight))
                await asyncio.sleep(chance.random() * 0.01)

        await asyncio.gather(*map(client, range(20)))
    assert most_within(WINDOW_S, granted) <= limit
    full = 4 * limit * WINDOW_S / (WINDOW_S + counted.LEASE_S)
    assert sum(weight for _, weight in granted) > 0.7 * full


async def test_who_asks_seldom_gets_all_of_the_allowance_and_is_told_how_long_to_wait(settings: Settings) -> None:
    async with counters(settings, 2) as (here, there):
        left = [(await ask(here if number % 2 else there, 1, 10)).left for number in range(10)]
        refused = await ask(here, 1, 10)
        again = await ask(here, 1, 10)
        other = await ask(here, 1, 10, caller="key:b")
    assert left == list(range(9, -1, -1))
    assert (refused.is_granted, again.is_granted, other.is_granted) == (False, False, True)
    assert 59 < again.wait_s <= refused.wait_s <= counted.WINDOW_S


async def test_what_a_lease_has_left_is_given_back_and_refusals_ask_nobody(settings: Settings) -> None:
    async with counters(settings, 1) as (allowances,):
        for _ in range(20):
            assert (await ask(allowances, 1, 1_000)).is_granted
        client = allowances._client
        key = allowance_key(settings.prefix, "key:a")
        assert sum(map(int, await client.hvals(key))) > 20  # it took more than it has used

        await asyncio.sleep(2 * counted.LEASE_S)  # what is measured is time
        await ask(allowances, 1, 1_000)
        assert sum(map(int, await client.hvals(key))) == 21
        assert not (await ask(allowances, 990, 1_000)).is_granted
        await client.delete(key)  # were Redis asked, it would grant
        assert not (await ask(allowances, 990, 1_000)).is_granted


async def test_the_script_alone_counts_as_a_plain_log_does(settings: Settings) -> None:
    """Random takes, rests and windows, held against a list in Python on the server's own times."""
    chance = random.Random(7)
    async with counters(settings, 1) as (allowances,):
        client, log, last = allowances._client, {}, UnusedWeight()
        for _ in range(400):
            least = chance.randint(1, 9)
            most = least + chance.randint(0, 9)
            window_s = 0.05
            grant = await take_allowance(
                client, settings.prefix, "key:script",
                limit=50, window_s=window_s, least=least, most=most, rest=last,
            )  # fmt: skip
            if last.weight:
                log[last.taken_us] -= last.weight
            last = UnusedWeight()
            if grant.weight:
                now_us = int(grant.taken_us)
                free = 50 - sum(weight for taken, weight in log.items() if int(taken) > now_us - window_s * 1e6)
                assert grant.weight == min(most, free)
                assert grant.left == free - grant.weight
                log[grant.taken_us] = grant.weight
                if chance.random() < 0.5:
                    last = UnusedWeight(chance.randint(1, grant.weight), grant.taken_us)
            else:
                assert 0 < grant.wait_s <= window_s
            await asyncio.sleep(chance.random() * 0.004)


async def test_while_redis_is_away_it_says_so_at_once_and_counts_again_behind_it(
    settings: Settings, tmp_path: Path
) -> None:
    with one_redis(tmp_path) as nodes:
        own = settings.model_copy(update={"redis": SecretStr(nodes.url)})
        async with counters(own, 1) as (allowances,):
            assert (await ask(allowances, 1, 10)).left == 9
            nodes.servers[0].kill()
            with pytest.raises(UncountedError):
                await ask(allowances, 1, 10)
            began_s = time.monotonic()
            for _ in range(100):
                with pytest.raises(UncountedError):
                    await ask(allowances, 1, 10)
            assert time.monotonic() - began_s < 0.2
            nodes.servers[0].start()

            async def counts() -> bool:
                try:
                    return bool((await ask(allowances, 1, 10)).left == 8)  # the log of before is still there
                except UncountedError:
                    return False

            await eventually(counts)

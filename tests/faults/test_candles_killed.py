"""Killed at any step of a takeover or a transaction, again and again: the same candles, each once."""

import asyncio
import os
import random
from collections import Counter
from pathlib import Path

import pytest
from candle_engine import candles_in, caught_up, engine, expected_candles, fill, one_pass, read_all, source_of
from eventually import eventually
from kill_points import came_to_its_point
from killed_candles import STEPS
from market_log import Log, make_log

from market.topics import Topics
from runtime.settings import Settings

SCRIPT = Path(__file__).parent / "killed_candles.py"
KILLS = int(os.environ.get("KILLS", "200"))


async def killed_at(
    environment: dict[str, str], step: str, occurrence: int, *, within_s: float, name: str = "one"
) -> bool:
    """Whether the engine came to the step; if not, it was killed after a while."""
    return await came_to_its_point(environment, SCRIPT, [step, str(occurrence), name], within_s=within_s)


@pytest.mark.timeout(1800)
async def test_killed_at_every_step_in_a_loop(settings: Settings, topics: Topics, environment: dict[str, str]) -> None:
    rng = random.Random(11)
    log, _ = make_log(11, minutes=600)
    parts = KILLS + 1
    size = -(-len(log.records) // parts)
    came = Counter[str]()
    steps = [list(STEPS)[n % len(STEPS)] for n in range(KILLS)]
    rng.shuffle(steps)
    for n, step in enumerate(steps):
        await fill(settings, Log(records=log.records[n * size : (n + 1) * size]))
        came[step] += await killed_at(environment, step, rng.choice((1, 1, 2, 3)), within_s=rng.uniform(3, 6))
    await fill(settings, Log(records=log.records[KILLS * size :]))
    await one_pass(settings)
    assert came.total() > KILLS / 2  # the rest is killed where it happens to be
    await assert_each_once(settings, topics)


@pytest.mark.timeout(1800)
async def test_three_workers_killed_at_every_step_take_over_from_one_another(
    settings: Settings, topics: Topics, environment: dict[str, str]
) -> None:
    rng = random.Random(12)
    log, _ = make_log(12, minutes=600)
    each = -(-KILLS // 6)
    killed = 0
    came = Counter[str]()
    steps = [list(STEPS)[n % len(STEPS)] for n in range(3 * each)]
    rng.shuffle(steps)

    async def worker(name: str) -> None:
        nonlocal killed
        for _ in range(each):
            step = steps.pop()
            within_s = rng.uniform(8, 20)  # a member that died is waited for by the others
            came[step] += await killed_at(environment, step, rng.choice((1, 1, 2)), within_s=within_s, name=name)
            killed += 1

    async def feed() -> None:
        size = -(-len(log.records) // (3 * each))
        for n in range(3 * each):
            await fill(settings, Log(records=log.records[n * size : (n + 1) * size]))
            await eventually(lambda n=n: killed > n or killed == 3 * each, timeout_s=120)

    await asyncio.gather(feed(), *map(worker, ("one", "two", "three")))
    async with engine(settings):
        await caught_up(settings, timeout_s=90)
    assert came.total() > each, came
    await assert_each_once(settings, topics)


async def assert_each_once(settings: Settings, topics: Topics) -> None:
    assert sorted(await candles_in(settings)) == sorted(await expected_candles(settings))
    dead = [source_of(record) for record in await read_all(settings, topics.dead_letters(topics.trades))]
    assert len(dead) == len(set(dead))

"""Members that come, go, are killed or frozen past their session, again and again, while trades are written.

Whatever a frozen member held when it wakes up, another has taken over: it must not be able to write a thing.
"""

import asyncio
import os
import random
import signal
from pathlib import Path

import pytest
from candle_engine import fill, one_pass
from eventually import eventually
from market_log import Log
from members import PATIENCE_S, Member
from two_versions import assert_exactly_once, log_of_both

from market.topics import Topics
from runtime.kafka.admin import group_offsets
from runtime.kafka.consumer import SESSION_TIMEOUT_MS
from runtime.settings import Settings

EVENTS = int(os.environ.get("EVENTS", "100"))
MEMBERS = 3
FROZEN_S = SESSION_TIMEOUT_MS / 1000 + 3


@pytest.mark.timeout(2400)
async def test_a_storm_of_rebalances_and_frozen_members_loses_and_repeats_nothing(
    settings: Settings, topics: Topics, environment: dict[str, str], tmp_path: Path
) -> None:
    rng = random.Random(6)
    log, truths = log_of_both(6, minutes=600)
    size = -(-len(log.records) // (EVENTS + 1))
    members = [Member(environment, tmp_path / f"member-{n}") for n in range(MEMBERS)]
    thaws: list[asyncio.Task[None]] = []
    counts = dict.fromkeys(("start", "leave", "kill", "freeze"), 0)

    async def thaw_later(member: Member) -> None:
        await asyncio.sleep(FROZEN_S)  # the fault itself: as long as a session and longer
        member.thaw()

    try:
        for n in range(EVENTS):
            await fill(settings, Log(records=log.records[n * size : (n + 1) * size]))
            member = rng.choice(members)
            if not member.is_running:
                await member.start()
                counts["start"] += 1
            elif not any(one.is_frozen for one in members) and rng.random() < 0.2:
                member.freeze()
                thaws.append(asyncio.create_task(thaw_later(member)))
                counts["freeze"] += 1
            elif not member.is_frozen:
                by = rng.choice((signal.SIGTERM, signal.SIGKILL))
                code = await member.end(by)
                assert code in ((0, -signal.SIGTERM) if by == signal.SIGTERM else (-signal.SIGKILL,))
                counts["leave" if by == signal.SIGTERM else "kill"] += 1
            await asyncio.sleep(rng.uniform(0.2, 4.0))  # how far they come until the next blow
        await fill(settings, Log(records=log.records[EVENTS * size :]))
        await asyncio.gather(*thaws)
        if not members[0].is_running:
            await members[0].start()

        async def is_done() -> bool:
            committed = await group_offsets(settings, topics.group("candles"))
            return sum(committed.values()) >= len(log.records)

        await eventually(is_done, timeout_s=2 * PATIENCE_S, every_s=0.5)
        assert {await member.end(signal.SIGTERM) for member in members if member.is_running} <= {0, -signal.SIGTERM}
    finally:
        for thaw in thaws:
            thaw.cancel()
        for member in members:
            await member.end(signal.SIGKILL)
    await one_pass(settings)
    assert all(counts.values()), counts
    await assert_exactly_once(settings, truths)

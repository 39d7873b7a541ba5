"""Signals over 50 seeded kills and 20 rebalances: what one reading of the log tells, and nothing else."""

import asyncio
import random
from pathlib import Path

import pytest
from signal_processes import RULES_TOML, START, SignalProcesses, by_key, expected, feed, made_markets, told

from runtime.settings import Settings

pytestmark = [pytest.mark.long, pytest.mark.timeout(1500), pytest.mark.usefixtures("topics")]


async def test_fifty_kills_and_twenty_rebalances(
    settings: Settings, environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "rules.toml").write_text(RULES_TOML)
    processes, at = SignalProcesses(environment, tmp_path / "rules.toml"), random.Random(11)
    markets, _ = made_markets()
    minute = START
    kills = ["kill"] * 50 + ["join"] * 20
    at.shuffle(kills)
    running = processes.start("--instance-id", "signals-0")
    for what in kills:
        count = at.randint(1, 6)
        await feed(settings, markets, range(minute, minute + count))
        minute += count
        await asyncio.sleep(at.choice((0.0, 0.3, 2.0, 4.0)))  # anywhere from its start to its commits
        if what == "kill":
            processes.kill(running)
            running = processes.start("--instance-id", "signals-0")
        else:  # a second member comes and is killed, or goes
            other = processes.start("--instance-id", "signals-1")
            await asyncio.sleep(at.choice((2.0, 5.0)))
            processes.kill(other)
    processes.kill(running)
    await feed(settings, markets, range(minute, minute + 5))
    assert processes.start("--once", "--instance-id", "signals-0").wait(120) == 0
    assert by_key(await told(settings)) == by_key(await expected(settings))

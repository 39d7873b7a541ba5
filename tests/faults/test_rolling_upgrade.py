"""Two versions of the record format side by side, swapped in mid-stream: the same candles, each once."""

import asyncio
import os
import random
import signal
import sys
from functools import partial
from pathlib import Path

import pytest
from candle_engine import fill, read_all
from eventually import eventually
from market_log import Log
from next_version import is_grown
from two_versions import assert_exactly_once, log_of_both

from market.topics import Topics
from runtime.kafka.admin import group_offsets
from runtime.settings import Settings

NEXT = Path(__file__).parent / "next_candles.py"
COMMANDS = {"today": ["-m", "candlewick", "candles"], "next": [str(NEXT)]}
SWAPS = int(os.environ.get("SWAPS", "40"))
PATIENCE_S = 90.0


class Worker:
    """One place of the deployment; whatever version is in it keeps its name in the group."""

    def __init__(self, place: str, version: str, environment: dict[str, str], log: Path) -> None:
        self.place = place
        self.version = version
        self._environment = environment
        self._log = log
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        command = [sys.executable, *COMMANDS[self.version], "--instance-id", self.place]
        with self._log.open("wb") as log:
            self._process = await asyncio.create_subprocess_exec(*command, env=self._environment, stderr=log)

    async def end(self, by: signal.Signals) -> int | None:
        """Its exit code; None where it was not started."""
        if self._process is None:
            return None
        if by == signal.SIGTERM:  # heard only once it is at work; killed it may be at any time
            await eventually(lambda: b'"assigned"' in self._log.read_bytes(), timeout_s=PATIENCE_S)
        if self._process.returncode is None:
            self._process.send_signal(by)
        return await asyncio.wait_for(self._process.wait(), PATIENCE_S)

    async def swap(self, by: signal.Signals) -> int | None:
        """End it, and start the other version in its place; the exit code of the one that ended."""
        code = await self.end(by)
        self.version = "today" if self.version == "next" else "next"
        await self.start()
        return code


@pytest.mark.timeout(1200)
async def test_two_versions_swapped_in_mid_stream_lose_and_repeat_nothing(
    settings: Settings, topics: Topics, environment: dict[str, str], tmp_path: Path
) -> None:
    rng = random.Random(17)
    log, truths = log_of_both(17, minutes=600)
    size = -(-len(log.records) // (SWAPS + 1))
    parts = [log.records[at : at + size] for at in range(0, len(log.records), size)]
    places = {"candles-0": "today", "candles-1": "next"}
    workers = [Worker(place, version, environment, tmp_path / place) for place, version in places.items()]
    published = 0

    async def committed(goal: int) -> bool:
        return sum((await group_offsets(settings, topics.group("candles"))).values()) >= goal

    try:
        for worker in workers:
            await worker.start()
        for n, part in enumerate(parts):
            await fill(settings, Log(records=part))
            published += len(part)
            if n < SWAPS:
                # Somewhere between the first new record and the last: what is left is the next version's.
                goal = published - rng.randrange(len(part))
                await eventually(partial(committed, goal), timeout_s=PATIENCE_S, every_s=0.2)
                by = signal.SIGTERM if rng.random() < 0.5 else signal.SIGKILL
                code = await workers[n % 2].swap(by)
                assert code == (0 if by == signal.SIGTERM else -signal.SIGKILL)
        await eventually(partial(committed, published), timeout_s=PATIENCE_S, every_s=0.2)
        assert [await worker.end(signal.SIGTERM) for worker in workers] == [0, 0]
    finally:
        for worker in workers:
            await worker.end(signal.SIGKILL)
    await assert_exactly_once(settings, truths)
    for topic in (topics.candles(), topics.state):
        values = [record.value for record in await read_all(settings, topic) if record.value]
        by_next = sum(map(is_grown, values))
        assert len(values) * 0.1 < by_next < len(values) * 0.9, f"{topic}: {by_next} of {len(values)} by the next"

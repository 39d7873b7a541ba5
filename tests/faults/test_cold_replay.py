"""A replay into an empty cold store makes the same files again, whoever reads the log and in what portions."""

import asyncio
import os
import signal
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from cold_member import FILE_RECORDS
from eventually import eventually
from log import T0_US, candle, publish, record, rewind, trade
from records import EVENT, FUNDING, INSTRUMENT

from market.topics import Topics
from runtime.kafka import Outgoing
from runtime.settings import Settings
from sinks.parquet.store import ParquetStore
from sinks.rolling_policy import RollingPolicy
from sinks.runner import SinkConfig, run_sink

MEMBER = Path(__file__).with_name("cold_member.py")
ROOT = Path(__file__).parents[2]
DAY_US = 86_400_000_000
SYMBOLS = [f"S{number}-USDT" for number in range(17)]
Files = dict[str, bytes]


def trades_of(part: int) -> list[Outgoing]:
    """Trades of many markets on two days, live and of a run, some told twice, with markers and poison between them."""
    made = []
    for number in range(part * 1500, (part + 1) * 1500):
        symbol = SYMBOLS[number * number % len(SYMBOLS)]
        day_us = DAY_US * (number % 700 > 600)
        told = trade(number, symbol=symbol, time_us=T0_US + day_us + number * 7919 % 60_000_000)
        made.append(record(told, run="r1" if number % 11 == 0 else None))
        if number % 50 == 0:
            made += [made[-1], record(None, symbol=symbol), record(b"no trade", symbol=symbol)]
    return made


async def written_at_first(settings: Settings, topics: Topics) -> Files:
    """What one member writes, which comes back three times while the log grows."""
    for part in range(3):
        await publish(settings, topics.trades, trades_of(part))
        candles = [candle(minute, 100 * part + minute, symbol=SYMBOLS[minute % 5]) for minute in range(90)]
        await publish(settings, topics.candles(), [record(told) for told in candles])
        await publish(settings, topics.feeds, [record(EVENT)])
        await publish(settings, topics.funding, [record(FUNDING)])
        await publish(settings, topics.instruments, [record(INSTRUMENT | {"tick": f"0.{part + 1}"})])
        config = SinkConfig(once=True, rolling_policy=RollingPolicy(records=FILE_RECORDS))
        await run_sink(settings, ParquetStore(settings), config, asyncio.Event())
    return contents(settings)


def contents(settings: Settings) -> Files:
    """Path → bytes of each file of the cold store."""
    folder = Path((settings.cold or "").removeprefix("file://"))
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*.parquet")}


@dataclass(frozen=True)
class Replay:
    """Who reads the log again, and in what portions."""

    members: int
    polled_batches: int
    fetched_bytes: int


@asynccontextmanager
async def members(replay: Replay, environment: dict[str, str]) -> AsyncIterator[list[Process]]:
    """So many processes of the sink; those that still run are told to stop, and do so without an error."""
    surroundings = environment | {"PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])}
    command = [sys.executable, str(MEMBER), str(replay.polled_batches), str(replay.fetched_bytes)]
    processes = [await asyncio.create_subprocess_exec(*command, env=surroundings) for _ in range(replay.members)]
    try:
        yield processes
        for process in processes:
            if process.returncode is None:
                process.send_signal(signal.SIGTERM)
        ends = [await asyncio.wait_for(process.wait(), 60) for process in processes]
        assert set(ends) <= {0, -signal.SIGKILL}
    finally:
        for process in processes:
            if process.returncode is None:
                process.kill()
                await process.wait()


async def replayed(replay: Replay, settings: Settings, environment: dict[str, str], wanted: Files) -> Files:
    """The files that come to be in an empty cold store; of several members one is killed on the way."""
    await rewind(settings, "sink.parquet", ParquetStore(settings).topics)
    surroundings = environment | {"CANDLEWICK_COLD": settings.cold or ""}
    async with members(replay, surroundings) as processes:
        if replay.members > 1:
            await eventually(lambda: len(contents(settings)) > 10, timeout_s=60, every_s=0.01)
            processes[0].kill()
            await processes[0].wait()
            assert len(contents(settings)) < len(wanted), "it was killed too late"
        await eventually(lambda: contents(settings).keys() >= wanted.keys(), timeout_s=90)
    return contents(settings)


@pytest.mark.timeout(400)
async def test_replays_by_other_members_in_other_portions_make_the_same_files(
    settings: Settings, topics: Topics, environment: dict[str, str], tmp_path: Path
) -> None:
    first = await written_at_first(settings, topics)
    assert len(first) > 120
    assert len({name.split("/")[0] for name in first}) == 5
    for replay in (Replay(1, 1, 3_000), Replay(2, 3, 200_000), Replay(3, 1000, 1 << 20)):
        folder = tmp_path / f"by-{replay.members}"
        folder.mkdir()
        again = settings.model_copy(update={"cold": folder.as_uri()})
        assert await replayed(replay, again, environment, first) == first, replay

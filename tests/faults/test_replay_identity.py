"""A replay gives the same bytes: whatever the batches, the workers, the assignment, and the place it begins at."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import pairwise

import orjson
import pytest
from candle_engine import expected_candles, fill, move_group, one_pass, read_all
from eventually import eventually
from market_log import MINUTE, Log, make_log
from past_log import fill_past, minutes_ago
from ranges import Lines, candles

from market.codec import decode_marker, decode_trade
from market.records import Record
from market.topics import Topics
from processors.candles.config import CandlesConfig
from processors.candles.worker import run_candles
from processors.engine import worker
from runtime.kafka.admin import group_offsets
from runtime.settings import Settings

AHEAD_MS = 120_000


@asynccontextmanager
async def engine(settings: Settings) -> AsyncIterator[None]:
    stop = asyncio.Event()
    task = asyncio.create_task(run_candles(settings, CandlesConfig(), stop))
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(task, 30)


async def replayed_by(settings: Settings, workers: int, ends: dict[tuple[str, int], int]) -> None:
    """From offset 0 to the end by so many engines at once."""
    group = settings.topics.group("candles")

    async def is_at_end() -> bool:
        return ends.items() <= (await group_offsets(settings, group)).items()

    async with AsyncExitStack() as engines:
        for _ in range(workers):
            await engines.enter_async_context(engine(settings))
        await eventually(is_at_end, timeout_s=60)


@pytest.mark.timeout(300)
async def test_replays_with_other_batches_workers_and_assignments(
    settings: Settings, topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, _ = make_log(51, minutes=120)
    for begin, end in pairwise((0, 7, 8, 300, 1000, len(log.records))):  # each a batch of its own at least
        await fill(settings, Log(records=log.records[begin:end]))
    await one_pass(settings)
    first = await candles(settings, topics.candles())
    assert len(first) == len(await expected_candles(settings)) > 300
    ends = await group_offsets(settings, topics.group("candles"))
    for passes, (workers, batches) in enumerate(((1, 1), (3, 2), (2, 1000)), start=2):
        monkeypatch.setattr(worker, "POLL_BATCHES", batches)
        move_group(settings, topics.group("candles"), dict.fromkeys(range(settings.partitions), 0))
        await replayed_by(settings, workers, ends)
        assert await candles(settings, topics.candles()) == sorted(first * passes)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("share", [0.2, 0.55, 0.8])
async def test_replays_from_mid_log_give_every_minute_that_they_may(
    settings: Settings, topics: Topics, monkeypatch: pytest.MonkeyPatch, share: float
) -> None:
    log, _ = make_log(52, minutes=150, start_us=minutes_ago(400))
    await fill_past(settings, log)
    await one_pass(settings)
    first = await candles(settings, topics.candles())
    ends = await group_offsets(settings, topics.group("candles"))
    at = {partition: int(end * share) for (_, partition), end in ends.items()}
    monkeypatch.setattr(worker, "POLL_BATCHES", 1)
    move_group(settings, topics.group("candles"), at)
    await one_pass(settings)
    both = await candles(settings, topics.candles())
    again = list(both)
    for line in first:
        again.remove(line)
    # A run that was interrupted and published again, read from between, has the revisions of its repetition.
    assert [line for line in again if line not in first and not line[1]] == []
    assert {_without_revision(line) for line in again} <= {_without_revision(line) for line in first}
    owed = owed_from(first, await read_all(settings, topics.trades), at)
    assert len(owed) > 10
    assert [line for line in owed if line not in again] == []


def owed_from(lines: Lines, records: list[Record], at: dict[int, int]) -> Lines:
    """The live candles that a replay from these offsets owes: of keys with a marker and a trade before them."""
    floor_us, begin_us, from_us = dict[int, int](), dict[bytes, int](), dict[bytes, int]()
    for record in records:
        partition, key = record.partition, record.key or b""
        if record.offset < at[partition]:
            continue
        floor_us.setdefault(partition, _minute(record.timestamp * 1000 + AHEAD_MS * 1000))
        if record.value is None:
            marker = decode_marker(record.headers)
            if marker is not None and marker.run is None:
                begin_us.setdefault(key, max(floor_us[partition], _minute(marker.published_until_us)))
        elif not record.headers and len(record.value) > 60 and key in begin_us:
            time_us = decode_trade(record.value).time_us
            if time_us >= begin_us[key]:
                from_us[key] = min(from_us.get(key, time_us), time_us)
    return [
        line for line in lines
        if not line[1] and orjson.loads(line[3])["open_time_ms"] * 1000 + MINUTE > from_us.get(line[2], 2**62)
    ]  # fmt: skip


def _without_revision(line: tuple[int, bytes, bytes, bytes]) -> tuple[bytes, bytes, bytes]:
    return line[1], line[2], orjson.dumps(orjson.loads(line[3]) | {"revision": 0})


def _minute(time_us: int) -> int:
    return -(-time_us // MINUTE) * MINUTE

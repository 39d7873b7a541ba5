"""The candle engine on the real Kafka: takeover, fencing, restarts, moved groups."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from candle_engine import (
    Place,
    candles_in,
    expected_candles,
    fill,
    move_group,
    one_pass,
    read_all,
    source_of,
)
from eventually import eventually
from market_log import Log, make_log

from market.topics import Topics
from processors.candles.config import CandlesConfig
from processors.candles.worker import CandleEngine, run_candles
from processors.engine.assigned_partition import AssignedPartition
from runtime.kafka import FencedError, Subscription
from runtime.kafka.admin import group_offsets
from runtime.settings import Settings


@asynccontextmanager
async def running(settings: Settings, **config: object) -> AsyncIterator[asyncio.Event]:
    stop = asyncio.Event()
    task = asyncio.create_task(run_candles(settings, CandlesConfig(**config), stop))  # type: ignore[arg-type]
    try:
        yield stop
    finally:
        stop.set()
        await asyncio.wait_for(task, 20)


async def test_one_pass_gives_each_candle_once_and_a_true_lag(settings: Settings, topics: Topics) -> None:
    log, _ = make_log(1)
    await fill(settings, log)
    await one_pass(settings)
    assert sorted(await candles_in(settings)) == sorted(await expected_candles(settings))
    ends = await group_offsets(settings, topics.group("candles"))
    assert sum(ends.values()) == len(log.records)
    await one_pass(settings)
    assert len(await candles_in(settings)) == len(await expected_candles(settings))


@pytest.mark.usefixtures("topics")
async def test_restarts_at_any_record_give_the_same_output(settings: Settings) -> None:
    log, _ = make_log(2)
    third = len(log.records) // 3
    for part in (log.records[:third], log.records[third : 2 * third], log.records[2 * third :]):
        await fill(settings, Log(records=part))
        await one_pass(settings)
    assert sorted(await candles_in(settings)) == sorted(await expected_candles(settings))


async def test_a_second_worker_takes_partitions_over_and_nothing_is_emitted_twice(
    settings: Settings, topics: Topics
) -> None:
    log, _ = make_log(3)
    half = len(log.records) // 2
    async with running(settings):
        await fill(settings, Log(records=log.records[:half]))
        async with running(settings):
            await fill(settings, Log(records=log.records[half:]))
            await _caught_up(settings, topics)
    assert sorted(await candles_in(settings)) == sorted(await expected_candles(settings))


async def test_a_fenced_owner_writes_nothing(settings: Settings, topics: Topics) -> None:
    log, _ = make_log(4)
    await fill(settings, log)
    async with Subscription(settings, group=topics.group("candles"), topics=[topics.trades]) as subscription:
        await eventually(subscription.assignment)
        tp = max(subscription.assignment(), key=lambda tp: tp.partition)
        zombie = await AssignedPartition(
            settings, subscription, tp, CandleEngine(settings, CandlesConfig())
        ).take_over()
        records = (await subscription.poll([tp], timeout_s=5, max_records=10_000))[tp]
        zombie.process(records)
        owner = await AssignedPartition(settings, subscription, tp, CandleEngine(settings, CandlesConfig())).take_over()
        try:
            with pytest.raises(FencedError):
                await zombie.commit()
            owner.process(records)
            written = await owner.commit()
        finally:
            await zombie.release()
            await owner.release()
    assert len(written.candles) == len(await candles_in(settings)) > 0


async def test_a_group_moved_into_old_records_begins_no_live_series_that_it_has_not_read_whole(
    settings: Settings, topics: Topics
) -> None:
    log, _ = make_log(5, runs=False)
    await fill(settings, log)
    await one_pass(settings)
    first = await candles_in(settings)
    ends = await group_offsets(settings, topics.group("candles"))
    move_group(settings, topics.group("candles"), {partition: end // 5 for (_, partition), end in ends.items()})
    await one_pass(settings)
    # All was appended just now: what lies before, in market time, is years older than the floor.
    assert await candles_in(settings) == first
    assert await group_offsets(settings, topics.group("candles")) == ends


async def test_a_group_moved_to_the_start_replays_everything(settings: Settings, topics: Topics) -> None:
    log, _ = make_log(6)
    await fill(settings, log)
    await one_pass(settings)
    first = await candles_in(settings)
    move_group(settings, topics.group("candles"), dict.fromkeys(range(4), 0))
    await one_pass(settings)
    assert sorted(await candles_in(settings)) == sorted(first + first)


async def test_poison_goes_to_the_dead_letters_once_with_where_it_came_from(settings: Settings, topics: Topics) -> None:
    log = Log()
    for value in (b"", b"{", b"\xff\xfe", b'{"exchange":"x","symbol":"y","trade_id":"1","price":"NaN"}'):
        log.append("sim:AAA-USD", value)
    log.append(None, b"{}")
    await fill(settings, log)
    await one_pass(settings)
    await one_pass(settings)
    dead = await read_all(settings, topics.dead_letters(topics.trades))
    poison = await read_all(settings, topics.trades)
    assert sorted(map(source_of, dead)) == sorted(Place(r.topic, r.partition, r.offset) for r in poison)
    assert sorted(record.value or b"" for record in dead) == sorted(record.value or b"" for record in poison)


async def _caught_up(settings: Settings, topics: Topics) -> None:
    total = len(await read_all(settings, topics.trades))

    async def done() -> bool:
        return sum((await group_offsets(settings, topics.group("candles"))).values()) == total

    await eventually(done, timeout_s=30)

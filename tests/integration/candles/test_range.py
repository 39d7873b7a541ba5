"""``candlewick candles --from --until --into``: a range recomputed beside the live topics."""

import asyncio

import orjson
import pytest
from candle_engine import one_pass, read_all
from market_log import MINUTE, Log, make_log
from past_log import fill_past, minutes_ago, tell_progress

from candlewick.recompute import Asked, Recomputed, recompute
from market.codec import header
from market.topics import Topics
from processors.candles.owned import Config
from processors.candles.range_plan import utc
from runtime.errors import UsageError
from runtime.kafka.admin import group_offsets
from runtime.settings import Settings

Lines = list[tuple[int, bytes | None, bytes | None, bytes | None]]


async def recomputed(
    settings: Settings, from_us: int, until_us: int, into: str = "fix", lead_s: float = 300
) -> Recomputed:
    asked = Asked(into=into, from_=utc(from_us), until=utc(until_us), lead_s=lead_s)
    return await asyncio.wait_for(recompute(settings, Config(), asked, asyncio.Event()), 60)


async def candles(settings: Settings, topic: str, from_us: int, until_us: int) -> Lines:
    """Partition, run, key and value of every candle of the range."""
    return sorted(
        (record.partition, header(record.headers, "run"), record.key, record.value)
        for record in await read_all(settings, topic)
        if from_us <= orjson.loads(record.value or b"")["open_time_ms"] * 1000 < until_us
    )


async def test_a_range_in_mid_log_gives_the_same_bytes_without_reading_all_of_it(
    settings: Settings, topics: Topics
) -> None:
    start_us = minutes_ago(200)
    log, _ = make_log(31, minutes=150, runs=False, start_us=start_us)
    await fill_past(settings, log)
    await tell_progress(settings, log)
    await one_pass(settings)
    from_us, until_us = start_us + 60 * MINUTE, start_us + 80 * MINUTE
    done = await recomputed(settings, from_us, until_us, lead_s=1200)
    beside = topics.beside("fix")
    live = await candles(settings, topics.candles(), from_us, until_us)
    again = await candles(settings, beside.candles(), 0, 2**62)
    print(done, len(live), len(again), len(log.records))
    assert again == live
    assert len(live) > 30
    assert done.is_final
    assert done.records < len(log.records) * 2 // 3

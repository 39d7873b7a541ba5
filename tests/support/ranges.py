"""Recomputations of a range, as tests ask for them, and the candles they are held against."""

import asyncio
from datetime import UTC, datetime, timedelta

import orjson
from candle_engine import read_all

from candlewick.recompute.recompute import Recomputed, RecomputeOptions, recompute
from market.codec import header
from processors.candles.config import CandlesConfig
from processors.candles.core import Rules
from runtime.kafka import Outgoing, Publisher
from runtime.settings import Settings

Lines = list[tuple[int, bytes, bytes, bytes]]


async def recomputed(
    settings: Settings,
    from_us: int,
    until_us: int,
    *,
    into: str = "fix",
    lead_s: float = 1200,
    stop: asyncio.Event | None = None,
    rules: Rules | None = None,
) -> Recomputed:
    asked = RecomputeOptions(into=into, from_=_moment(from_us), until=_moment(until_us), lead=timedelta(seconds=lead_s))
    return await asyncio.wait_for(
        recompute(settings, CandlesConfig(rules=rules or Rules()), asked, stop or asyncio.Event()), 60
    )


def _moment(time_us: int) -> datetime:
    return datetime.fromtimestamp(time_us // 1_000_000, UTC)


async def candles(settings: Settings, topic: str, from_us: int = 0, until_us: int = 2**62) -> Lines:
    """Partition, run, key and value of every candle of the range."""
    return sorted(
        (record.partition, header(record.headers, "run") or b"", record.key or b"", record.value or b"")
        for record in await read_all(settings, topic)
        if from_us <= orjson.loads(record.value or b"")["open_time_ms"] * 1000 < until_us
    )


async def publish(settings: Settings, topic: str, partition: int, key: bytes | None, value: bytes | None) -> None:
    """One record, as it is."""
    async with Publisher(settings) as publisher:
        await publisher.await_acknowledgements(
            [await publisher.send(topic, Outgoing(key or b"", value, (), partition))]
        )

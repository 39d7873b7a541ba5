"""The rolling processor: where it may start, and one membership in the group after the other until it is done."""

import asyncio

from processors.rolling.roll import TIMEFRAMES
from processors.rolling.worker import GROUP, Config, Worker
from runtime.errors import CandlewickError, UnavailableError
from runtime.kafka import Publisher, ends, move_group
from runtime.kafka.admin import group_offsets, require_topics
from runtime.lifecycle import rejoining
from runtime.settings import Settings
from runtime.telemetry import Meter


async def run_rolling(settings: Settings, config: Config, stop: asyncio.Event) -> None:
    """Roll candles until `stop` (or, with ``once``, to the 1m topic's end as it stands).

    A broker that is away makes it let everything go and join anew; a wrong set-up ends it.
    """
    topics = settings.topics
    outputs = {topics.candles(timeframe) for timeframe in TIMEFRAMES} | {topics.tickers}
    await require_topics(settings, outputs | {topics.candles(), topics.live, topics.dead_letters(topics.candles())})
    await _check_start(settings, config)
    meter = Meter(GROUP)

    async def membership() -> None:
        async with Publisher(settings) as publisher:
            await Worker(settings, config, meter, publisher).run(stop)

    async with meter.reporting():
        await rejoining(membership, stop, stage=GROUP, bearable=() if config.once else (UnavailableError,))


async def _check_start(settings: Settings, config: Config) -> None:
    """Refuse to jump over candles that were deleted unread; `from_start` moves the group to the beginning."""
    topic, group = settings.topics.candles(), settings.topics.group(GROUP)
    bounds = await ends(settings, topic)
    if config.from_start:
        await move_group(settings, group, topic, {partition: first for partition, (first, _) in bounds.items()})
        return
    committed = await group_offsets(settings, group)
    for partition, (first, end) in bounds.items():
        offset = committed.get((topic, partition), first)
        if offset > end:
            raise CandlewickError(
                f"{topic}/{partition}: the offset {offset} of {group} is beyond the log's end {end}: the topic was "
                "made anew; say --from-start"
            )
        if offset < first and not config.accept_cut:
            raise CandlewickError(
                f"{topic}/{partition}: offset {offset} of {group} is no longer in the log, it begins at {first}: "
                "say --accept-cut to go on from there; windows that hold deleted candles will not come out"
            )

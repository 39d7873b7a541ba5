"""The signals processor: checks where it may start, then joins the group, and again after a failure that can pass."""

import asyncio

from processors.rolling.source import checked_source
from processors.signals.worker import GROUP, SignalsConfig, SignalWorker
from runtime.errors import UnavailableError
from runtime.kafka import Publisher, ends, move_group
from runtime.kafka.admin import require_topics
from runtime.lifecycle import rejoining
from runtime.settings import Settings
from runtime.telemetry import Meter


async def run_signals(settings: Settings, config: SignalsConfig, stop: asyncio.Event) -> None:
    """Tell signals until `stop` (or, with ``once``, up to the 1m topic's present end).

    While a broker is away, it leaves the group and joins anew. Raises `CandlewickError` where a person has to act.
    """
    topics = settings.topics
    await require_topics(settings, {topics.candles(), topics.signals, topics.dead_letters(topics.candles())})
    if config.from_start:
        bounds = await ends(settings, topics.candles())
        beginning = {partition: first for partition, (first, _) in bounds.items()}
        await move_group(settings, topics.group(GROUP), topics.candles(), beginning)
    meter = Meter(GROUP)

    async def membership() -> None:
        source = await checked_source(
            settings, group=GROUP, once=config.once, accept_truncation=config.accept_truncation
        )
        async with Publisher(settings) as publisher:
            await SignalWorker(settings, config, meter, publisher, source).run(stop)

    async with meter.reporting():
        await rejoining(membership, stop, stage=GROUP, bearable=() if config.once else (UnavailableError,))

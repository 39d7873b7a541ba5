"""The signals processor, as it is started."""

import asyncio

from processors.candle_source import CandleSource, run_on_candles
from processors.signals.worker import GROUP, SignalsConfig, SignalWorker
from runtime.kafka import Publisher
from runtime.settings import Settings
from runtime.telemetry import Meter


async def run_signals(settings: Settings, config: SignalsConfig, stop: asyncio.Event) -> None:
    """Tell signals until `stop` (or, with ``once``, up to the 1m topic's present end)."""
    topics = settings.topics

    async def work(meter: Meter, publisher: Publisher, source: CandleSource) -> None:
        await SignalWorker(settings, config, meter, publisher, source).run(stop)

    needs = {topics.signals, topics.dead_letters(topics.candles())}
    await run_on_candles(settings, config, stop, group=GROUP, needs=needs, work=work)

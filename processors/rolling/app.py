"""The rolling processor, as it is started."""

import asyncio

from processors.candle_source import CandleSource, run_on_candles
from processors.config import ProcessorConfig
from processors.rolling.steps import TIMEFRAMES
from processors.rolling.worker import GROUP, Worker
from runtime.kafka import Publisher
from runtime.settings import Settings
from runtime.telemetry import Meter


async def run_rolling(settings: Settings, config: ProcessorConfig, stop: asyncio.Event) -> None:
    """Make longer candles and tickers until `stop` (or, with ``once``, up to the 1m topic's present end)."""
    topics = settings.topics
    outputs = {topics.candles(timeframe) for timeframe in TIMEFRAMES} | {topics.tickers}
    refused = {topics.dead_letters(topics.candles()), topics.dead_letters(topics.live)}

    async def work(meter: Meter, publisher: Publisher, source: CandleSource) -> None:
        await Worker(settings, config, meter, publisher, source).run(stop)

    await run_on_candles(settings, config, stop, group=GROUP, needs=outputs | refused | {topics.live}, work=work)

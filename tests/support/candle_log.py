"""The candles that stand in Kafka, and when each was appended first."""

from market.candle import Candle
from market.codec import decode_candle
from runtime.kafka import read_to_end
from runtime.settings import Settings

CandlePlace = tuple[str, int]
"""Symbol, and the minute's open time in microseconds."""


async def newest_candles(settings: Settings) -> dict[CandlePlace, Candle]:
    """The newest revision of each."""
    newest = {}
    async for records in read_to_end(settings, settings.topics.candles()):
        for record in records:
            candle = decode_candle(record.value)
            newest[candle.symbol, candle.open_time_ms * 1000] = candle
    return newest


async def first_seen(settings: Settings) -> dict[CandlePlace, int]:
    """When the first revision of each was appended, microseconds."""
    times_us: dict[CandlePlace, int] = {}
    async for records in read_to_end(settings, settings.topics.candles()):
        for record in records:
            candle = decode_candle(record.value)
            times_us.setdefault((candle.symbol, candle.open_time_ms * 1000), record.timestamp * 1000)
    return times_us

"""Keeps the board up to date: what the log says, the lag of each stage, and market time."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

from candlewick.health.lag import stage_lags
from candlewick.pipeline.view.board import Board, Tone
from candlewick.pipeline.view.show import Show
from market.codec import decode_candle, decode_feed_event, decode_progress, decode_ticker, run_of
from market.errors import MalformedError
from market.records import Record
from runtime.errors import CandlewickError, UnavailableError
from runtime.kafka import follow
from runtime.settings import Settings

_MEASURE_S = 2.0
_AGAIN_S = 5.0

MarketTime = Callable[[], Awaitable[int]]
"""Market time now, UTC microseconds."""


async def watch(settings: Settings, show: Show, *, live: bool) -> None:
    """Follow the log until cancelled; with `live` the open candles and tickers too (a few records a symbol a second).

    The view changes nothing in the run: where Kafka cannot be read the board says so, and it is tried again.
    """
    topics = settings.topics
    followed = [topics.candles(), topics.feeds, topics.progress, *([topics.live, topics.tickers] if live else [])]
    while True:
        try:
            async for records in follow(settings, followed):
                for record in records:
                    if record.value is not None:
                        _take(settings, show.board, record, record.value)
        except UnavailableError as error:
            show.board.say(time.time(), f"the view cannot read the log: {error}", Tone.WARNING)
        await asyncio.sleep(_AGAIN_S)


async def measure(
    settings: Settings, show: Show, *, stages: Sequence[str], market_time: MarketTime, speed: float
) -> None:
    """Measure until cancelled how far each stage is behind, and say who does not keep up, and who has caught up."""
    board = show.board
    while True:
        try:
            lags, market_us = await asyncio.gather(stage_lags(settings, stages), market_time())
        except CandlewickError:  # Kafka or the exchange is away: nothing is known
            board.forget_lags()
        else:
            now_s = time.time()
            for news in (*board.take_lags(now_s, lags), *board.take_market_time(now_s, market_us, speed)):
                show.say(news.text, news.tone)
        await asyncio.sleep(_MEASURE_S)


def _take(settings: Settings, board: Board, record: Record, value: bytes) -> None:
    topics = settings.topics
    try:
        if record.topic == topics.live:
            board.take_live(decode_candle(value))
        elif record.topic == topics.tickers:
            board.take_ticker(decode_ticker(value))
        elif record.topic == topics.feeds:
            board.take_feed_event(decode_feed_event(value))
        elif record.topic == topics.progress:
            progress = decode_progress(value)
            if progress.run is None:
                board.take_marker(progress.key, progress.complete_until_us)
        elif run_of(record.headers) is None:
            board.take_closed(record.timestamp / 1000, decode_candle(value))
    except MalformedError as error:
        board.say(record.timestamp / 1000, f"{record.topic}: {error}", Tone.BAD)

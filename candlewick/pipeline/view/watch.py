"""Keeps the board up to date from the log: candles, tickers, feed events."""

import time

from candlewick.pipeline.view.board import Board, Tone
from market.codec import decode_candle, decode_feed_event, decode_ticker, run_of
from market.errors import MalformedError
from market.records import Record
from runtime.errors import UnavailableError
from runtime.kafka import follow
from runtime.settings import Settings


async def watch(settings: Settings, board: Board, *, live: bool) -> None:
    """Follow the log until cancelled; with `live` the open candles and tickers too (a few records a symbol a second).

    What is watched changes nothing: when Kafka cannot be read the board says so and the run goes on.
    """
    topics = settings.topics
    followed = [topics.candles(), topics.feeds, *([topics.live, topics.tickers] if live else [])]
    try:
        async for records in follow(settings, followed):
            for record in records:
                if record.value is not None:
                    _take(settings, board, record, record.value)
    except UnavailableError as error:
        board.say(time.time(), f"the view has stopped: {error}", Tone.BAD)


def _take(settings: Settings, board: Board, record: Record, value: bytes) -> None:
    topics = settings.topics
    try:
        if record.topic == topics.live:
            board.take_live(decode_candle(value))
        elif record.topic == topics.tickers:
            board.take_ticker(decode_ticker(value))
        elif record.topic == topics.feeds:
            board.take_feed_event(decode_feed_event(value))
        elif run_of(record.headers) is None:
            board.take_closed(record.timestamp / 1000, decode_candle(value))
    except MalformedError as error:
        board.say(record.timestamp / 1000, f"{record.topic}: {error}", Tone.BAD)

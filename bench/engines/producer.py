"""Candlewick's producer, as ``candlewick produce binance`` runs its sessions, with a stop-watch around it.

``producer.py frames TRADES SYMBOLS START_MS``: the frames are in memory, and stand in for the socket.
``producer.py socket TRADES SYMBOLS START_MS``: they come from where ``CANDLEWICK_BINANCE_WS`` says.
``producer.py paced SECONDS SYMBOLS``: latencies in real time, into ``latency.json``.
Time begins with the first connection, and ends with the last trade's acknowledgement.
"""

import asyncio
import json
import statistics
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import aiohttp
from frames import frames, natives
from result import Result

from market.encoded_trades import EncodedTrades
from market.instrument import Instrument
from producers.exchange import Opening
from producers.exchanges.binance import Binance
from producers.feed.outbox import Outbox
from producers.feed.rest import RestClient
from producers.feed.session import Session
from runtime.lifecycle import run
from runtime.settings import Settings, load_settings
from runtime.telemetry import Meter, configure_logs

_LOOK_S = 0.01
_YIELD_FRAMES = 1_000
"""A socket gives about so many at once."""
_WARM_S = 5.0


def instruments(symbols: int) -> dict[str, Instrument]:
    """What is fed, by native name."""
    pairs = [(native, native[:-4], native[-4:]) for native in natives(symbols)]
    return {
        native: Instrument(exchange="binance", symbol=f"{coin}-{quote}", native=native, base=coin, quote=quote)
        for native, coin, quote in pairs
    }


class TimedBinance(Binance):
    """Says when the first connection is about to be made."""

    def __init__(self, settings: Settings, result: Result) -> None:
        super().__init__(settings)
        self._result = result

    def opening(self, natives: Sequence[str]) -> Opening:
        """As it is; it is asked for right before connecting."""
        self._result.begin()
        return super().opening(natives)


class TimedSession(Session):
    """Notes how long each trade took from the exchange's clock to its acknowledgement."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.latencies_us: list[int] = []
        self._warm_us = time.time_ns() // 1000 + int(_WARM_S * 1_000_000)

    def _measure(self, outbox: Outbox, newest_ms: int | None) -> None:
        now_us = time.time_ns() // 1000
        if now_us > self._warm_us:
            for _, traded in outbox.trades:
                times_us = traded.times_us if isinstance(traded, EncodedTrades) else (traded.time_us,)
                self.latencies_us.extend(now_us - time_us for time_us in times_us)
        super()._measure(outbox, newest_ms)


class MemoryFrame(NamedTuple):
    """As much of aiohttp's message as is read."""

    data: bytes
    type: aiohttp.WSMsgType = aiohttp.WSMsgType.TEXT


class MemorySocket:
    """What a connection reads, without a socket."""

    close_code = 1000

    def __init__(self, messages: Sequence[MemoryFrame]) -> None:
        self._messages = messages

    async def __aiter__(self) -> AsyncIterator[MemoryFrame]:
        for number, message in enumerate(self._messages):
            if number % _YIELD_FRAMES == 0:
                await asyncio.sleep(0)
            yield message
        await asyncio.Event().wait()

    async def send_str(self, _: str) -> None:
        """Binance is told nothing."""


class MemoryHttp:
    """Connects to memory."""

    def __init__(self, messages: Sequence[MemoryFrame]) -> None:
        self._messages = messages

    @asynccontextmanager
    async def ws_connect(self, *_: Any, **__: Any) -> AsyncIterator[MemorySocket]:
        """A connection that begins with the first frame."""
        yield MemorySocket(self._messages)


async def produce(trades: int, symbols: int, messages: Sequence[MemoryFrame] | None, stop: asyncio.Event) -> None:
    """All of them, until they are acknowledged."""
    settings, result, meter = load_settings(), Result(trades), Meter("produce")
    exchange = TimedBinance(settings, result)
    async with aiohttp.ClientSession() as http:
        rest = RestClient(http, exchange.rest_url, exchange.rest_limits)
        session = Session(settings, exchange, http if messages is None else MemoryHttp(messages), rest, meter)  # type: ignore[arg-type]
        running = asyncio.create_task(session.run(instruments(symbols), stop))
        while meter.records < trades and not running.done():  # noqa: ASYNC110  # a meter has no place for an event
            await asyncio.sleep(_LOOK_S)
        if not running.done():
            result.count(meter.records)
            result.tell()
        stop.set()
        await running


async def pace(seconds: float, symbols: int, latencies_us: list[int], stop: asyncio.Event) -> None:
    """For so long, after a while to get warm; `latencies_us` is filled."""
    settings, meter = load_settings(), Meter("produce")
    exchange = Binance(settings)
    async with aiohttp.ClientSession() as http:
        rest = RestClient(http, exchange.rest_url, exchange.rest_limits)
        session = TimedSession(settings, exchange, http, rest, meter)
        session.latencies_us = latencies_us
        running = asyncio.create_task(session.run(instruments(symbols), stop))
        result = Result(1)
        result.begin()
        await asyncio.wait([running], timeout=_WARM_S + seconds)
        result.count(meter.records)
        result.tell()
        stop.set()
        await running


if __name__ == "__main__":
    configure_logs(load_settings())
    how, *numbers = sys.argv[1], *map(int, sys.argv[2:])
    if how == "paced":
        seconds, symbols = numbers
        latencies_us: list[int] = []
        run(lambda stop: pace(seconds, symbols, latencies_us, stop))
        cuts = statistics.quantiles(latencies_us, n=100)
        Path("latency.json").write_text(json.dumps({"p50_ms": cuts[49] / 1000, "p99_ms": cuts[98] / 1000}))
    else:
        trades, symbols, start_ms = numbers
        messages = list(map(MemoryFrame, frames(trades, symbols, start_ms))) if how == "frames" else None
        run(lambda stop: produce(trades, symbols, messages, stop))

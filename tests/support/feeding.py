"""Feeds of the simulated exchange's symbols, and how far they are."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from producers.feed.progress import read_progress
from producers.feed.runner import run_feed
from producers.feed.selection import Selection
from runtime.settings import Settings

SYMBOLS = {"SOLUSDT": "SOL-USDT", "LTCUSDT": "LTC-USDT", "XRPETH": "XRP-ETH", "LTCBTC": "LTC-BTC"}
"""Two busy ones (4 and 1.5 trades a second of market time) and two quiet ones (a trade in several minutes)."""
SPEED = 240.0
"""Market seconds in a second."""
START_US = 1_700_000_010_000_000
"""Ten seconds into a minute."""

Exchange = Callable[..., AbstractAsyncContextManager[Settings]]


@asynccontextmanager
async def feeding(settings: Settings) -> AsyncIterator[None]:
    """A feed of all symbols for as long as the block runs; it drains at the end."""
    stop = asyncio.Event()
    task = asyncio.create_task(run_feed(settings, "binance", Selection(tuple(SYMBOLS)), stop))
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(task, 30)


async def marked_until_us(settings: Settings) -> int:
    """The time up to which every symbol's minutes are marked; 0 where one has not begun."""
    keys = [f"binance:{symbol}".encode() for symbol in SYMBOLS.values()]
    newest = (await read_progress(settings, keys, time.time_ns() // 1000)).resumptions
    if len(newest) < len(SYMBOLS):
        return 0
    return min(resumption.marker.complete_until_us for resumption in newest.values())

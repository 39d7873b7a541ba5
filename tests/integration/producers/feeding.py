"""A simulated exchange in this process, and feeds on it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from producers.feed import run_feed
from producers.simulator.instruments import default_symbols
from runtime.settings import Settings

SYMBOLS = (*default_symbols(3), *default_symbols(40)[-2:])
"""Three busy ones and two quiet ones."""
SPEED = 600.0
"""Market seconds in a second."""
START_US = 1_700_000_010_000_000
"""Ten seconds into a minute."""

Exchange = Callable[..., AbstractAsyncContextManager[Settings]]


@asynccontextmanager
async def feeding(settings: Settings) -> AsyncIterator[None]:
    """A feed of all symbols for as long as the block runs; it drains at the end."""
    stop = asyncio.Event()
    task = asyncio.create_task(run_feed(settings, "binance", SYMBOLS, stop))
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(task, 20)

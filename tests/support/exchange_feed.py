"""A feed of any exchange that the simulator speaks."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from producers.feed.runner import run_feed
from producers.feed.selection import Selection
from runtime.settings import Settings

START_US = 1_700_000_010_000_000
"""Ten seconds into a minute."""


def hosted(settings: Settings, name: str, address: str) -> Settings:
    """Settings that lead to the simulator; the products of an exchange share its hosts."""
    field = name.replace("-", "_")
    field = field if f"{field}_ws" in Settings.model_fields else field.partition("_")[0]
    hosts = {f"{field}_ws": address.replace("http", "ws"), f"{field}_rest": address, "fill_timeout_s": 60.0}
    return settings.model_copy(update=hosts)


@asynccontextmanager
async def feeding_of(settings: Settings, name: str, symbols: tuple[str, ...]) -> AsyncIterator[None]:
    """A feed of these symbols for as long as the block runs; it drains at the end."""
    stop = asyncio.Event()
    task = asyncio.create_task(run_feed(settings, name, Selection(symbols), stop))
    try:
        yield
    finally:
        stop.set()
        await asyncio.wait_for(task, 30)

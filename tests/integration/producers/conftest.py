"""A simulated exchange in this process."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from feeding import SPEED, START_US, SYMBOLS, Exchange

from market.topics import Topics
from producers.simulator.faults import Faults
from producers.simulator.server import serving
from producers.simulator.settings import SimulatorSettings
from runtime.settings import Settings


@pytest.fixture
def exchange(settings: Settings, topics: Topics) -> Exchange:  # noqa: ARG001  # they have to be there
    """A simulator; gives the settings that lead to it. Its address is their `binance_rest`."""

    @asynccontextmanager
    async def open_exchange(
        *, speed: float = SPEED, start_us: int = START_US, **faults: float
    ) -> AsyncIterator[Settings]:
        simulated = SimulatorSettings(
            symbols=tuple(SYMBOLS), speed=speed, start_us=start_us, port=0, faults=Faults(**faults)
        )
        async with serving(simulated) as (_, address):
            hosts = {"binance_rest": address, "binance_ws": address.replace("http", "ws"), "fill_timeout_s": 60.0}
            yield settings.model_copy(update=hosts)

    return open_exchange

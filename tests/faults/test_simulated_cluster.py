"""The real Kafka keeps to the contract of the simulated cluster: what tests/simulation shows is worth so much."""

import asyncio

import pytest
from contract import SCRIPTS, Script

from runtime.settings import Settings


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.__name__)
@pytest.mark.usefixtures("topics")
async def test_the_real_kafka_is_as_the_simulated_one(script: Script, settings: Settings) -> None:
    await asyncio.wait_for(script(settings), 60)

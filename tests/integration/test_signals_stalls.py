"""A reader of all markets that is stuck ends the process; what it left is told as if nothing had been."""

import asyncio
from contextlib import suppress

import pytest
from signal_processes import RULES, START, by_key, expected, feed, made_markets, told

from market.topics import Topics
from processors.signals.app import run_signals
from processors.signals.worker import SignalsConfig
from processors.stuck import StuckError
from runtime.kafka import Outgoing, TransactionalPublisher
from runtime.settings import Settings

HIDDEN = 1
"""The partition that is held back; records of all others are read, and wait."""


async def test_a_partition_held_back_ends_the_process_and_is_named_and_comes_later(
    settings: Settings, topics: Topics
) -> None:
    markets, _ = made_markets()
    await feed(settings, markets, range(START, START + 65))
    hasty = settings.model_copy(update={"stall_timeout_s": 2.0})
    async with TransactionalPublisher(settings, f"{settings.prefix}elsewhere") as another:
        with suppress(HeldLongEnoughError):
            async with another.transaction() as transaction:
                await transaction.send(topics.candles(), [Outgoing(b"x:Y", None, (), HIDDEN)])
                await transaction.await_acknowledgements()
                await feed(settings, markets, range(START + 65, START + 70))
                with pytest.raises(StuckError, match=rf"/{HIDDEN} has stood at offset \d+ for 2 s or more"):
                    await asyncio.wait_for(run_signals(hasty, SignalsConfig(rules=RULES), asyncio.Event()), 30)
                raise HeldLongEnoughError
    before = by_key(await told(settings))
    await run_signals(settings, SignalsConfig(rules=RULES, once=True), asyncio.Event())
    right = by_key(await expected(settings))
    assert by_key(await told(settings)) == right
    assert before
    assert before != right


class HeldLongEnoughError(Exception):
    """Ends a transaction without a commit."""

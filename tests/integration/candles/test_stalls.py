"""A reader that is stuck ends the process; what it left is taken up as if nothing had been."""

import asyncio
from contextlib import suppress

import pytest
from candle_engine import candles_in, caught_up, expected_candles, fill, one_pass
from market_log import make_log

from market.topics import Topics
from processors.candles.config import CandlesConfig
from processors.candles.worker import run_candles
from processors.stuck import StuckError
from runtime.kafka import Outgoing, TransactionalPublisher
from runtime.settings import Settings


async def test_records_hidden_by_an_open_transaction_end_the_process_and_come_later(
    settings: Settings, topics: Topics
) -> None:
    log, _ = make_log(6)
    hasty = settings.model_copy(update={"stall_timeout_s": 2.0})
    cut = Outgoing(b"x:Y", None)
    async with TransactionalPublisher(settings, f"{settings.prefix}elsewhere") as another:
        with suppress(GivenUpError):
            async with another.transaction() as transaction:
                await transaction.send(topics.trades, [cut._replace(partition=n) for n in range(settings.partitions)])
                await transaction.await_acknowledgements()
                await fill(settings, log)
                await stuck(hasty)
    async with TransactionalPublisher(settings, f"{settings.prefix}elsewhere"):
        pass  # taking it over ends the transaction
    await one_pass(settings)
    assert sorted(await candles_in(settings)) == sorted(await expected_candles(settings))


@pytest.mark.usefixtures("topics")
async def test_an_engine_with_nothing_to_read_is_not_stuck(settings: Settings) -> None:
    log, _ = make_log(6)
    await fill(settings, log)
    stop = asyncio.Event()
    hasty = settings.model_copy(update={"stall_timeout_s": 2.0})
    engine = asyncio.create_task(run_candles(hasty, CandlesConfig(), stop))
    await caught_up(settings)
    done, _ = await asyncio.wait([engine], timeout=4.0)
    assert not done
    stop.set()
    await asyncio.wait_for(engine, 20)
    assert sorted(await candles_in(settings)) == sorted(await expected_candles(settings))


async def stuck(settings: Settings) -> None:
    with pytest.raises(StuckError, match=r"has stood at offset 0 for 2 s or more with \d+ records unread"):
        await asyncio.wait_for(run_candles(settings, CandlesConfig(), asyncio.Event()), 30)
    raise GivenUpError


class GivenUpError(Exception):
    """Ends a transaction without a commit."""

"""A transaction that a stranger left open: who waits for it says whose it is, and who only looks does not wait."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson
import pytest
from aiokafka import AIOKafkaProducer
from holdings import TARGETS
from log import publish, record, trade

from candlewick.health import trouble
from candlewick.health.lag import stage_lags
from market.topics import Topics
from runtime.kafka import HeldBackError, all_open_transactions, ends, log, open_transactions, read_to_end, stable_ends
from runtime.settings import Settings, kafka_address
from sinks import runner
from sinks.runner import run_sink

NAME = "stranger-7"
WHO = rf"'{NAME}'.*offset 1 .*300 s.*kafka-transactions\.sh .* abort --topic \S+ --partition 0 --start-offset 1"

SYMBOL = "SOL-USDT"
"""Its key belongs in partition 0 of 4."""


@asynccontextmanager
async def left_open(settings: Settings, topic: str) -> AsyncIterator[None]:
    """One record, then a transaction with two more, then one: only the first can be read."""
    stranger = AIOKafkaProducer(
        bootstrap_servers=kafka_address(settings), transactional_id=NAME, transaction_timeout_ms=300_000
    )
    await publish(settings, topic, [record(trade(1, symbol=SYMBOL))])
    await stranger.start()
    try:
        await stranger.begin_transaction()
        for number in (2, 3):
            await stranger.send_and_wait(
                topic, orjson.dumps(trade(number, symbol=SYMBOL)), f"binance:{SYMBOL}".encode(), partition=0
            )
        await publish(settings, topic, [record(trade(4, symbol=SYMBOL))])
        yield
        await stranger.abort_transaction()
    finally:
        await stranger.stop()


async def offsets_read(settings: Settings, topic: str, *, wait: bool) -> list[int]:
    return [one.offset async for records in read_to_end(settings, topic, wait=wait) for one in records]


async def test_a_reader_names_who_holds_it_back_and_a_looker_does_not_wait(
    settings: Settings, topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log, "HELD_BACK_S", 1.0)
    async with left_open(settings, topics.trades):
        [held] = await open_transactions(settings, topics.trades, range(settings.partitions))
        assert await all_open_transactions(settings, [topics.feeds, topics.trades]) == [held]
        assert (held.tp.partition, held.first_offset, held.transactional_id) == (0, 1, NAME)
        assert await offsets_read(settings, topics.trades, wait=False) == [0]
        with pytest.raises(HeldBackError, match=WHO):
            await offsets_read(settings, topics.trades, wait=True)
    assert await offsets_read(settings, topics.trades, wait=True) == [0, 3]


@pytest.mark.usefixtures("longer_candles")
async def test_what_is_hidden_is_behind_and_status_says_by_whom(
    settings: Settings, topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with left_open(settings, topics.trades):
        async with asyncio.timeout(10):
            assert (await stage_lags(settings, ["sink.parquet"]))["sink.parquet"] == 4
            assert await trouble.held_back(settings) == [], "young ones come and go"
            monkeypatch.setattr(trouble, "HELD_BACK_S", 0.0)
            [told] = await trouble.held_back(settings)
        assert NAME in told
        assert (await ends(settings, topics.trades))[0].next == 4
        assert (await stable_ends(settings, topics.trades))[0] == 1


async def test_a_drain_that_is_held_back_ends_with_the_name(
    settings: Settings, topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "HELD_BACK_S", 1.0)
    target = TARGETS["clickhouse"]
    async with left_open(settings, topics.trades):
        async with asyncio.timeout(30):
            with pytest.raises(HeldBackError, match=WHO):
                await run_sink(settings, target.store(settings), target.config(), asyncio.Event())
    await run_sink(settings, target.store(settings), target.config(), asyncio.Event())
    assert {number for *_, number in (await target.held(settings)).trades} == {"1", "4"}

"""What people do to the topics while the engine runs: it stops at the next rebalance, or when it can't read on."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from candle_engine import candles_in, caught_up, engine, expected_candles, fill, read_all
from eventually import eventually
from kafka_commands import Holdings, add_partitions, delete_topic, holdings, make_anew, set_config
from market_log import KEYS, Log, make_log

from market.codec import encode_trade
from market.topics import Topics
from runtime.errors import CandlewickError
from runtime.kafka import Subscription
from runtime.settings import Settings


async def add_two_partitions(settings: Settings) -> None:
    await add_partitions(settings, settings.topics.trades, 6)


async def take_create_time(settings: Settings) -> None:
    await set_config(settings, settings.topics.trades, "message.timestamp.type", "CreateTime")


async def compact_the_trades(settings: Settings) -> None:
    await set_config(settings, settings.topics.trades, "cleanup.policy", "compact")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (add_two_partitions, "has partitions = 6, it must be 4"),
        (take_create_time, "message.timestamp.type = CreateTime"),
        (compact_the_trades, "cleanup.policy = compact"),
    ],
)
async def test_a_topic_that_changed_stops_it_at_the_next_rebalance(
    settings: Settings, topics: Topics, change: Callable[[Settings], Awaitable[None]], match: str
) -> None:
    log, _ = make_log(61)
    await fill(settings, log)
    async with engine(settings) as running:
        await caught_up(settings)
        await change(settings)
        before = _but_live(settings)
        async with Subscription(settings, group=topics.group("candles"), topics=[topics.trades]) as other:
            await eventually(other.assignment, timeout_s=30)
            await asyncio.wait([running], timeout=30)
        assert isinstance(error := running.exception(), CandlewickError)
        assert match in str(error)
        assert _but_live(settings) == before
    assert sorted(await candles_in(settings)) == sorted(await expected_candles(settings))


@pytest.mark.usefixtures("topics")
async def test_a_topic_that_is_deleted_stops_it(settings: Settings) -> None:
    log, _ = make_log(62)
    await fill(settings, log)
    async with engine(settings) as running:
        await caught_up(settings)
        before = await candles_in(settings)
        await delete_topic(settings, settings.topics.trades)
        await asyncio.wait([running], timeout=60)
        assert running.done()
        assert isinstance(error := running.exception(), CandlewickError)
        assert "missing" in str(error)
        assert await candles_in(settings) == before


@pytest.mark.usefixtures("topics")
async def test_a_topic_that_is_made_anew_stops_it(settings: Settings) -> None:
    log, _ = make_log(63)
    await fill(settings, log)
    async with engine(settings) as running:
        await caught_up(settings)
        before = await candles_in(settings)
        await make_anew(settings, settings.topics.trades)
        await fill(settings, Log(records=log.records[: len(log.records) // 4]))
        await asyncio.wait([running], timeout=60)
        assert running.done()
        assert isinstance(error := running.exception(), CandlewickError)
        assert any(word in str(error) for word in ("made anew", "missing"))
        assert await candles_in(settings) == before


@pytest.mark.parametrize("topic", ["candles", "late", "dead letters", "state"])
async def test_a_topic_that_refuses_a_send_makes_it_wait_and_then_go_on(
    settings: Settings, topics: Topics, topic: str
) -> None:
    log, truths = make_log(42)
    for key in KEYS:
        for trade in truths[key][:3]:
            log.trade(trade)  # behind the final boundary
        log.append(key, b"{")
    names = {"candles": topics.candles(), "late": topics.late, "dead letters": topics.dead_letters(topics.trades)}
    refusing = names.get(topic, topics.state)
    await set_config(settings, refusing, "max.message.bytes", "90")
    await fill(settings, log)
    async with engine(settings) as running:
        await eventually(lambda: _written(settings, topics.state if topic != "state" else topics.candles()))
        assert holdings(settings).groups == {}
        await set_config(settings, refusing, "max.message.bytes", "1048588")
        await caught_up(settings)
        assert not running.done()
    assert sorted(await candles_in(settings)) == sorted(await expected_candles(settings))
    late = [record.value for record in await read_all(settings, topics.late)]
    assert sorted(late) == sorted(encode_trade(trade) for key in KEYS for trade in truths[key][:3])


def _written(settings: Settings, topic: str) -> int:
    """Records of a topic, committed, aborted and marks of their end."""
    return sum(end for (name, _), end in holdings(settings).ends.items() if name == topic)


def _but_live(settings: Settings) -> Holdings:
    """Live candles go out beside the transactions."""
    held = holdings(settings)
    return held._replace(ends={at: end for at, end in held.ends.items() if at[0] != settings.topics.live})

"""Topics and stores made anew, between two runs of a sink and under a running one: told, and nothing skipped."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import clickhouse_connect
import pytest
from eventually import eventually
from holdings import TARGETS, Target, expected
from kafka_commands import make_anew
from log import commit, dead_letters, publish, record, trade

from candlewick.health.trouble import stale_offsets
from candlewick.replay import Place, apply_moves, plan_moves
from market.topics import Topics
from runtime.errors import CandlewickError
from runtime.kafka import consumer
from runtime.kafka.admin import committed_offsets, topic_id
from runtime.settings import Settings, clickhouse_address
from sinks import runner
from sinks.runner import run_sink
from sinks.start import SinkStartError

pytestmark = pytest.mark.usefixtures("longer_candles")

OLD = [trade(number) for number in range(30)]
NEW = [trade(number) for number in range(1000, 1300)]


async def drain(target: Target, settings: Settings) -> None:
    await run_sink(settings, target.store(settings), target.config(file_records=50), asyncio.Event())


async def replay(settings: Settings, target: Target, to: Place) -> None:
    stage = f"sink.{target.name}"
    await apply_moves(settings, stage, await plan_moves(settings, stage, to))


async def sent(settings: Settings, trades: list[dict[str, Any]]) -> None:
    await publish(settings, settings.topics.trades, [record(one) for one in trades])


async def held_trades(target: Target, settings: Settings) -> dict[Any, Any]:
    return dict((await target.held(settings)).trades)


async def holds_all(target: Target, settings: Settings, trades: list[dict[str, Any]]) -> bool:
    try:
        return expected(trades, []).trades.items() <= (await held_trades(target, settings)).items()
    except Exception:  # noqa: BLE001  # its tables are not there yet
        return False


async def offsets_name_a_store(settings: Settings) -> bool:
    offsets = await committed_offsets(settings, settings.topics.group("sink.clickhouse"))
    return any(at.metadata.store_id for (topic, _), at in offsets.items() if topic == settings.topics.trades)


@asynccontextmanager
async def running(target: Target, settings: Settings) -> AsyncIterator[asyncio.Task[None]]:
    stop = asyncio.Event()
    config = target.config(once=False, file_records=10)
    task = asyncio.create_task(run_sink(settings, target.store(settings), config, stop))
    try:
        yield task
    finally:
        stop.set()
        await asyncio.wait([task])


async def test_what_an_offset_speaks_of_stands_beside_it(
    target: Target, sink_settings: Settings, topics: Topics
) -> None:
    await sent(sink_settings, OLD)
    await drain(target, sink_settings)
    offsets = await committed_offsets(sink_settings, topics.group(f"sink.{target.name}"))
    said = {at.metadata for (topic, _), at in offsets.items() if topic == topics.trades}
    assert {one.topic_id for one in said} == {await topic_id(sink_settings, topics.trades)}
    ids = await target.store(sink_settings).identities()
    assert {one.store_id for one in said} == {ids.get(topics.trades)}
    assert target.name == "redis" or ids[topics.trades]


async def test_a_topic_made_anew_between_two_runs_is_read_from_its_beginning(
    target: Target, sink_settings: Settings, topics: Topics
) -> None:
    await sent(sink_settings, OLD)
    await drain(target, sink_settings)
    await make_anew(sink_settings, topics.trades)
    await sent(sink_settings, NEW)
    await drain(target, sink_settings)
    assert await holds_all(target, sink_settings, NEW)


@pytest.mark.parametrize("name", ["redis", "clickhouse", "parquet"])
async def test_an_offset_of_the_topic_before_is_not_gone_on_from(settings: Settings, topics: Topics, name: str) -> None:
    target = TARGETS[name]
    await sent(settings, OLD)
    await drain(target, settings)
    group = topics.group(f"sink.{name}")
    before = await committed_offsets(settings, group)
    await make_anew(settings, topics.trades)
    await sent(settings, NEW)
    await commit(settings, group, before)  # as one does that still ran when Kafka forgot them with their topic
    [told] = await stale_offsets(settings)
    assert f"{topics.trades} was made anew" in told
    if name != "redis":
        with pytest.raises(SinkStartError, match="made anew"):
            await drain(target, settings)
        await replay(settings, target, Place.EARLIEST)
    await drain(target, settings)
    assert await holds_all(target, settings, NEW)
    assert await stale_offsets(settings) == []


@pytest.mark.parametrize(("name", "count"), [("redis", 300), ("redis", 5), ("clickhouse", 300), ("parquet", 300)])
async def test_a_topic_made_anew_under_a_running_sink_is_noticed_whatever_it_holds_by_then(
    settings: Settings, topics: Topics, monkeypatch: pytest.MonkeyPatch, name: str, count: int
) -> None:
    """More than was read of the one before, or less."""
    new = NEW[:count]
    target = TARGETS[name]
    monkeypatch.setattr(runner, "LOOK_INTERVAL_S", 0.2)
    monkeypatch.setattr(runner, "COMMIT_INTERVAL_S", 0.1)
    monkeypatch.setattr(consumer, "METADATA_MAX_AGE_MS", 2_000)
    await sent(settings, OLD)
    async with running(target, settings) as task:
        await eventually(lambda: holds_all(target, settings, OLD))
        await make_anew(settings, topics.trades)
        await sent(settings, new)  # before anybody looks

        async def is_told_or_held() -> bool:
            return task.done() or await holds_all(target, settings, new)

        await eventually(is_told_or_held, timeout_s=40)
    if (error := task.exception()) is not None:
        assert "made anew" in str(error)
        await replay(settings, target, Place.EARLIEST)
    await drain(target, settings)
    assert await holds_all(target, settings, new)


async def test_dead_letters_are_told_again_for_a_topic_made_anew_and_strangers_letters_say_nothing(
    settings: Settings, topics: Topics
) -> None:
    target = TARGETS["redis"]
    strangers = [
        [("candlewick.group", topics.group(f"sink.{target.name}").encode()), ("__streams.errors.offset", b"nine")],
        [("candlewick.group", b"\xff"), ("__streams.errors.offset", b"\xff\xfe")],
        [("candlewick.group", topics.group(f"sink.{target.name}").encode())],
        [],
    ]
    letters = [record(b"mine")._replace(headers=headers) for headers in strangers]
    await publish(settings, topics.dead_letters(topics.trades), letters)
    for number in range(2):
        if number:
            await make_anew(settings, topics.trades)
        await publish(settings, topics.trades, [record(b"first poison"), record(trade(1))])
        for _ in range(2):
            await drain(target, settings)
            await replay(settings, target, Place.EARLIEST)
        told = [one for one in await dead_letters(settings, topics.trades) if one.value == b"first poison"]
        assert len(told) == number + 1


async def query(settings: Settings, statement: str) -> None:
    client = await clickhouse_connect.get_async_client(
        dsn=clickhouse_address(settings), database=settings.clickhouse_database
    )
    await client.command(statement)
    await client.close()


def empty_cold(settings: Settings) -> None:
    folder = Path(urlsplit(settings.cold or "").path)
    shutil.rmtree(folder)
    folder.mkdir()


async def emptied(target: Target, settings: Settings, how: str) -> None:
    if target.name == "clickhouse":
        await query(settings, f"{how} TABLE trades")
    else:
        empty_cold(settings)


@pytest.mark.parametrize(("name", "how"), [("clickhouse", "DROP"), ("clickhouse", "TRUNCATE"), ("parquet", "")])
async def test_a_store_that_holds_less_than_its_offsets_claim_is_refused_and_filled_again(
    settings: Settings, topics: Topics, name: str, how: str
) -> None:
    target = TARGETS[name]
    await sent(settings, OLD)
    await drain(target, settings)
    assert await stale_offsets(settings) == []
    await emptied(target, settings, how)
    [told] = [sentence for sentence in await stale_offsets(settings) if topics.trades in sentence]
    assert f"candlewick replay sink.{name} --to earliest" in told
    await sent(settings, NEW)
    with pytest.raises(SinkStartError, match="--to earliest --execute"):
        await drain(target, settings)
    await replay(settings, target, Place.EARLIEST)
    await drain(target, settings)
    assert await held_trades(target, settings) == expected([*OLD, *NEW], []).trades
    assert await stale_offsets(settings) == []


@pytest.mark.usefixtures("topics")
async def test_a_store_replaced_knowingly_is_taken_as_it_is(settings: Settings) -> None:
    target = TARGETS["clickhouse"]
    await sent(settings, OLD)
    await drain(target, settings)
    await query(settings, "TRUNCATE TABLE trades")
    await replay(settings, target, Place.CURRENT)
    await sent(settings, NEW)
    await drain(target, settings)
    assert await held_trades(target, settings) == expected(NEW, []).trades


@pytest.mark.usefixtures("topics")
async def test_a_table_made_anew_under_a_running_sink_stops_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "LOOK_INTERVAL_S", 0.2)
    target = TARGETS["clickhouse"]
    await sent(settings, OLD)
    async with running(target, settings) as task:
        await eventually(lambda: offsets_name_a_store(settings))
        await query(settings, "DROP TABLE trades")
        other = target.store(settings)
        await other.open()
        await other.close()
        await eventually(task.done)
    assert isinstance(task.exception(), CandlewickError)


async def test_a_topic_that_is_gone_is_no_end_of_the_log(
    settings: Settings, topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "LOOK_INTERVAL_S", 0.0)
    target = TARGETS["clickhouse"]
    store = target.store(settings)
    missing = {topic: None for topic in store.topics if topic != topics.trades}
    monkeypatch.setattr(runner.Subscription, "topic_ids", lambda _: asyncio.sleep(0, missing))
    with pytest.raises(CandlewickError, match="candlewick topics apply"):
        await run_sink(settings, store, target.config(), asyncio.Event())

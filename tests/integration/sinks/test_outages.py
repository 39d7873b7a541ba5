"""Stores that go away, lose what they had, or refuse; and partitions that change hands."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import clickhouse_connect
import obstore
import pytest
from eventually import eventually
from holdings import TARGETS, Target, expected
from log import dead_letters, publish, record, trade
from obstore.store import from_url
from prometheus_client import REGISTRY
from pydantic import SecretStr
from redis_servers import one_redis

from deploy.local.ports import any_free_port
from market.topics import Topics
from runtime.errors import CandlewickError, UnavailableError
from runtime.kafka.admin import group_offsets
from runtime.settings import Settings, clickhouse_address
from sinks.parquet.connect import NameRefusedError, cold_errors
from sinks.runner import run_sink


@asynccontextmanager
async def running(target: Target, settings: Settings, *, instance_id: str | None = None) -> AsyncIterator[None]:
    stop = asyncio.Event()
    config = target.config(once=False, instance_id=instance_id)
    task = asyncio.create_task(run_sink(settings, target.store(settings), config, stop))
    try:
        yield
    finally:
        stop.set()
        await task


async def holds(target: Target, settings: Settings, trades: list[dict[str, Any]]) -> bool:
    try:
        held = await target.held(settings)
    except Exception:  # noqa: BLE001  # away, or its tables not there yet
        return False
    return bool(held.trades == expected(trades, []).trades)


@pytest.mark.usefixtures("longer_candles")
async def test_redis_killed_and_emptied_is_filled_again(settings: Settings, topics: Topics, tmp_path: Path) -> None:
    target = TARGETS["redis"]
    trades = [trade(number) for number in range(30)]
    with one_redis(tmp_path) as nodes:
        own = settings.model_copy(update={"redis": SecretStr(nodes.url)})
        [server] = nodes.servers
        async with running(target, own):
            await publish(own, topics.trades, [record(one) for one in trades[:10]])
            await eventually(lambda: holds(target, own, trades[:10]))
            size = server.log_bytes()
            await publish(own, topics.trades, [record(one) for one in trades[10:20]])
            await eventually(lambda: holds(target, own, trades[:20]))
            await asyncio.to_thread(nodes.cut_power, server, since_bytes=size)  # the last second is lost
            await publish(own, topics.trades, [record(one) for one in trades[20:25]])
            await eventually(lambda: holds(target, own, trades[:25]))
            await asyncio.to_thread(nodes.cut_power, server, since_bytes=0)
            await publish(own, topics.trades, [record(one) for one in trades[25:]])
            await eventually(lambda: holds(target, own, trades))


class Door:
    """A way to a server that can be shut."""

    def __init__(self, url: str) -> None:
        self._to = urlsplit(url)
        self.port = any_free_port()
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._pass, "127.0.0.1", self.port)

    async def shut(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in self._open:
            writer.transport.abort()
        self._open.clear()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(self._to.hostname, self._to.port)
        self._open |= {writer, back}

        async def copy(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
            with suppress(OSError):
                while data := await source.read(65536):
                    sink.write(data)
                    await sink.drain()
            sink.close()

        await asyncio.gather(copy(reader, back), copy(there, writer))


def metric(name: str) -> float:
    return REGISTRY.get_sample_value(name, {"stage": "sink.clickhouse"}) or 0.0


async def test_clickhouse_away_at_first_and_later_only_delays(settings: Settings, topics: Topics) -> None:
    target = TARGETS["clickhouse"]
    door = Door(clickhouse_address(settings))
    behind = settings.model_copy(update={"clickhouse": SecretStr(f"http://127.0.0.1:{door.port}")})
    trades = [trade(number) for number in range(30)]
    await publish(settings, topics.trades, [record(one) for one in trades[:10]])
    stop = asyncio.Event()
    task = asyncio.create_task(run_sink(behind, target.store(behind), target.config(once=False), stop))
    await door.open()
    await eventually(lambda: holds(target, settings, trades[:10]))
    await eventually(lambda: group_offsets(settings, topics.group("sink.clickhouse")))
    await door.shut()
    await publish(settings, topics.trades, [record(one) for one in trades[10:]])
    await eventually(lambda: metric("candlewick_records_total") + metric("candlewick_unread_records") >= len(trades))
    await door.open()
    await eventually(lambda: holds(target, settings, trades))
    stop.set()
    await task
    await door.shut()


async def test_a_stop_while_the_store_is_away_leaves_at_once_and_commits_nothing(
    settings: Settings, topics: Topics
) -> None:
    nowhere = settings.model_copy(update={"clickhouse": SecretStr(f"http://127.0.0.1:{any_free_port()}")})
    await publish(settings, topics.trades, [record(trade(1))])
    async with asyncio.timeout(10), running(TARGETS["clickhouse"], nowhere):
        await asyncio.sleep(0.5)  # no condition to wait for: it is to do nothing
    assert await group_offsets(settings, topics.group("sink.clickhouse")) == {}


async def test_partitions_change_hands_while_records_come(settings: Settings, topics: Topics) -> None:
    target = TARGETS["clickhouse"]
    trades = [trade(number, symbol=f"S{number % 20}") for number in range(60)]
    async with running(target, settings):
        await publish(settings, topics.trades, [record(one) for one in trades[:20]])
        await eventually(lambda: holds(target, settings, trades[:20]))
        async with running(target, settings):
            await publish(settings, topics.trades, [record(one) for one in trades[20:40]])
            await eventually(lambda: holds(target, settings, trades[:40]))
        await publish(settings, topics.trades, [record(one) for one in trades[40:]])
        await eventually(lambda: holds(target, settings, trades))


async def test_rows_that_clickhouse_itself_rejects_are_dead_letters(settings: Settings, topics: Topics) -> None:
    target = TARGETS["clickhouse"]
    await run_sink(settings, target.store(settings), target.config(), asyncio.Event())
    client = await clickhouse_connect.get_async_client(
        dsn=clickhouse_address(settings), database=settings.clickhouse_database
    )
    await client.command("ALTER TABLE trades ADD CONSTRAINT small CHECK qty < 1000000")
    await client.close()
    trades = [trade(number, qty="1" if number < 30 else "12345678901") for number in (1, 30, 2, 3, 31, 4)]
    placed = await publish(settings, topics.trades, [record(one) for one in trades])
    await run_sink(settings, target.store(settings), target.config(), asyncio.Event())
    assert await holds(target, settings, [trades[index] for index in (0, 2, 3, 5)])
    letters = await dead_letters(settings, topics.trades)
    told = [int(dict(one.headers)["__streams.errors.offset"]) for one in letters]
    assert told == [placed[1][1], placed[4][1]]


async def test_a_file_with_other_rows_under_a_taken_name_stops_the_sink(settings: Settings, topics: Topics) -> None:
    target = TARGETS["parquet"]
    [(partition, offset)] = await publish(settings, topics.trades, [record(trade(1))])
    folder = Path(urlsplit(settings.cold).path) / "trades/exchange=binance/date=2023-11-14"
    folder.mkdir(parents=True)
    (folder / f"{topics.trades}-{partition}-{offset}-{offset}.parquet").write_bytes(b"something else")
    with pytest.raises(CandlewickError, match="move it away"):
        await run_sink(settings, target.store(settings), target.config(), asyncio.Event())
    offsets = await group_offsets(settings, topics.group("sink.parquet"))
    assert offsets.get((topics.trades, partition), 0) == 0


async def test_a_name_that_no_file_can_have_is_a_dead_letter_and_no_outage(settings: Settings, topics: Topics) -> None:
    target = TARGETS["parquet"]
    long = trade(2, exchange="\u5e01" * 128)
    fine = [trade(1), trade(3)]
    await publish(settings, topics.trades, [record(one) for one in (fine[0], long, fine[1])])
    async with asyncio.timeout(30):
        await run_sink(settings, target.store(settings), target.config(), asyncio.Event())
    assert await holds(target, settings, fine)
    [letter] = await dead_letters(settings, topics.trades)
    assert b'"trade_id": "2"' in letter.value


def test_only_what_can_pass_by_itself_is_called_away(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    url = tmp_path.as_uri()
    for path, wanted in (("a" * 300, NameRefusedError), ("b" * 5_000, NameRefusedError), ("file/x", CandlewickError)):
        with pytest.raises(wanted) as told, cold_errors(url):
            obstore.put(from_url(url), path, b"x", mode="create")
        assert not isinstance(told.value, UnavailableError)

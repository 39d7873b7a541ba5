"""The hot store alone, on one Redis and on a cluster of three primaries; the log is a list."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from eventually import eventually
from log import trade
from redis_servers import RedisNodes, one_redis, redis_cluster

from market.key import MarketKey
from market.partition import partition_of
from runtime.errors import UnavailableError
from runtime.kafka import TopicPartition
from runtime.settings import Settings, load_settings
from sinks.redis import read, store
from sinks.redis.connect import connect
from sinks.redis.store import RedisStore
from sinks.store import Batch, MovedError

IDS = {"md.trades.v1": "T", "md.candles.1m.v1": "C"}
SYMBOLS = [f"S{number}-USDT" for number in range(12)]
PARTITIONS = 2


@pytest.fixture(scope="module", params=["one", "cluster"])
def nodes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisNodes]:
    of_kind = one_redis if request.param == "one" else redis_cluster
    with of_kind(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture
def hot(nodes: RedisNodes) -> Settings:
    nodes.empty()
    return load_settings(redis=nodes.url, partitions=PARTITIONS, kafka="none:1")


@dataclass
class Logged:
    offset: int
    key: bytes
    value: bytes | None
    timestamp: int = 0
    headers: list[tuple[str, bytes]] = field(default_factory=list)


class Log:
    """The records of both topics, and a sink that reads them as the runner does."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.records: dict[TopicPartition, list[Logged]] = {
            TopicPartition(topic, partition): [] for topic in IDS for partition in range(PARTITIONS)
        }

    def add(self, topic: str, *values: dict[str, Any], run: str | None = None) -> None:
        for value in values:
            key = f"{value['exchange']}:{value['symbol']}".encode()
            tp = TopicPartition(topic, partition_of(key, PARTITIONS))
            headers = [("run", run.encode())] if run else []
            record = Logged(len(self.records[tp]), key, json.dumps(value).encode(), 0, headers)
            self.records[tp].append(record)


class Sink:
    """A sink's process: where it is in each partition, and its store."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.store = RedisStore(log.settings)
        self.positions: dict[TopicPartition, int] = {}

    async def start(self, *, at: int | None = None) -> None:
        """Take over all partitions; `at`: the group was moved there."""
        if self.store._client is None:
            await self.store.open()
        held = await self.store.positions(self.log.records, IDS)
        assert held is not None
        self.positions = {tp: held.get(tp, 0) if at is None else at for tp in self.log.records}

    def batches(self, most: int = 1000) -> list[Batch]:
        batches = []
        for tp, first in self.positions.items():
            records = self.log.records[tp][first : first + most]
            if records:
                chunk, rows, _ = self.store.encode(tp, records)
                end = first + len(records)
                batches.append(Batch(tp=tp, first=first, next=end, count=len(records), chunk=chunk, rows=rows))
        return batches

    async def step(self, most: int = 1000) -> bool:
        """Write the next records; False if there are none."""
        if not (batches := self.batches(most)):
            return False
        await self.store.write(batches)
        self.positions |= {batch.tp: batch.next for batch in batches}
        return True

    async def drain(self, most: int = 1000) -> int:
        """Write to the end of the log as the runner does; returns how often reading began again."""
        again = 0
        while True:
            try:
                if not await self.step(most):
                    return again
            except MovedError:
                again += 1
                await eventually(self._started)
            except UnavailableError:
                await asyncio.sleep(0.02)  # as the runner, which pauses

    async def _started(self) -> bool:
        try:
            await self.start()
        except UnavailableError:
            return False
        return True


@pytest.fixture
def log(hot: Settings) -> Log:
    return Log(hot)


@pytest.fixture
async def sink(log: Log) -> AsyncIterator[Sink]:
    sink = Sink(log)
    yield sink
    await sink.store.close()


async def held(settings: Settings) -> dict[str, list[str]]:
    """Symbol → the ids of its trades, the newest first."""
    client = connect(settings.redis.get_secret_value())
    try:
        markets = [MarketKey("binance", symbol) for symbol in SYMBOLS]
        return {
            market.symbol: [one.trade_id for one in await read.read_trades(client, "", market, limit=1000)]
            for market in markets
        }
    finally:
        await client.aclose()


def trades(first: int, count: int, **fields: Any) -> list[dict[str, Any]]:
    return [trade(number, symbol=SYMBOLS[number % len(SYMBOLS)], **fields) for number in range(first, first + count)]


def wanted(count: int) -> dict[str, list[str]]:
    return {
        symbol: [str(number) for number in reversed(range(count)) if number % len(SYMBOLS) == place]
        for place, symbol in enumerate(SYMBOLS)
    }


async def test_what_is_written_stands_there_once_however_it_is_batched(log: Log, sink: Sink) -> None:
    log.add("md.trades.v1", *trades(0, 300))
    await sink.start()
    await sink.drain(most=7)
    assert await held(log.settings) == wanted(300)
    other = Sink(log)
    await other.start()
    assert not await other.step(), "it goes on from the end"
    await other.start(at=0)
    await other.drain(most=50)
    assert await held(log.settings) == wanted(300)
    await other.store.close()


async def write_first_part(log: Log, sink: Sink) -> None:
    log.add("md.trades.v1", *trades(0, 120))
    await sink.start()
    await sink.drain()


async def test_what_one_node_lost_is_found_at_the_next_start(nodes: RedisNodes, log: Log, sink: Sink) -> None:
    await write_first_part(log, sink)
    sizes = [server.log_bytes() for server in nodes.servers]
    log.add("md.trades.v1", *trades(120, 120))
    await sink.drain()
    for server, size in zip(nodes.servers, sizes, strict=True):
        nodes.cut_power(server, since_bytes=size)
        other = Sink(log)
        await other.start()
        await other.drain()
        assert await held(log.settings) == wanted(240)
        await other.store.close()


async def test_after_an_outage_losses_are_found_of_markets_without_new_trades_too(
    nodes: RedisNodes, log: Log, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    await write_first_part(log, sink)
    monkeypatch.setattr(store, "LOOK_INTERVAL_S", 0.0)
    for server in nodes.servers:
        nodes.cut_power(server, since_bytes=0)
        log.add("md.trades.v1", trade(10_000, symbol="OTHER"))
        assert await sink.drain() == 1
        assert await held(log.settings) == wanted(120)


async def test_a_sink_killed_before_it_moved_the_position_is_gone_on_from(log: Log, sink: Sink) -> None:
    await write_first_part(log, sink)
    log.add("md.trades.v1", *trades(120, 120))
    batches = sink.batches(40)
    calls = [call for batch in batches for call in sink.store._calls(batch)]
    await sink.store._script.call(sink.store._opened, calls[:-3])
    other = Sink(log)
    await other.start()
    await other.drain(most=30)
    assert await held(log.settings) == wanted(240)
    await other.store.close()


async def test_a_paused_owner_that_wakes_up_changes_nothing(log: Log, sink: Sink) -> None:
    await write_first_part(log, sink)
    log.add("md.trades.v1", *trades(0, 12, price="1"), run="a")
    paused = sink.batches()
    other = Sink(log)
    await other.start()
    await other.drain()
    log.add("md.trades.v1", *trades(0, 12, price="2"), run="b")
    await other.drain()
    with pytest.raises(MovedError):
        await sink.store.write(paused)
    client = connect(log.settings.redis.get_secret_value())
    for symbol in SYMBOLS:
        newest_last = await read.read_trades(client, "", MarketKey("binance", symbol), limit=1000)
        assert newest_last[-1].price == 2
    await client.aclose()
    await other.store.close()


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_is_killed_all_is_held_afterwards(nodes: RedisNodes, log: Log, sink: Sink, seed: int) -> None:
    rng = random.Random(seed)
    count = 0
    sinks = [sink]
    await sink.start()
    for _ in range(25):
        new = rng.randrange(30)
        log.add("md.trades.v1", *trades(count, new))
        count += new
        what = rng.random()
        if what < 0.4:
            await sinks[-1].drain(rng.choice([3, 10, 100]))
        elif what < 0.6:
            await sinks[-1].drain(rng.choice([3, 10, 100]))
            server = rng.choice(nodes.servers)
            size = server.log_bytes()
            log.add("md.trades.v1", *trades(count, 20))
            count += 20
            await sinks[-1].drain(rng.choice([3, 10, 100]))
            nodes.cut_power(server, since_bytes=size)
        elif what < 0.8:  # another process takes over; the one before may wake up at any time
            sinks.append(Sink(log))
            await sinks[-1].start()
        else:
            with suppress(MovedError, UnavailableError):
                await rng.choice(sinks).step(rng.choice([1, 5, 50]))
    last = Sink(log)
    await last.start()
    await last.drain()
    assert await held(log.settings) == wanted(count)
    for one in [*sinks, last]:
        await one.store.close()

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
from log import T0_US, candle, trade
from records import FUNDING, INSTRUMENT, SIGNAL
from redis.asyncio.cluster import ClusterPubSub
from redis_servers import RedisNodes, one_redis, redis_cluster

from market.codec import decode_trade, encode_trade
from market.key import MarketKey
from market.partition import partition_of
from runtime.errors import CandlewickError, UnavailableError
from runtime.kafka import TopicPartition
from runtime.settings import Settings, load_settings
from sinks.redis import keys, read, store
from sinks.redis.connect import HotClient, ask_servers, connect
from sinks.redis.store import RedisStore
from sinks.redis.trades import trade_member
from sinks.store import Batch, MovedError

IDS = {
    "md.trades.v1": "T",
    "md.candles.1m.v1": "C",
    "md.funding.v1": "F",
    "md.instruments.v1": "I",
    "md.signals.v1": "S",
}
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
    """The records of a few topics, and a sink that reads them as the runner does."""

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


async def test_a_market_that_lost_unnoticed_is_written_again_at_its_next_record(
    nodes: RedisNodes, log: Log, sink: Sink
) -> None:
    await write_first_part(log, sink)
    market = f"binance:{SYMBOLS[0]}"
    client = connect(nodes.url)
    await client.delete(*(of("", market) for of in (keys.written_key, keys.trades_key, keys.trades_data_key)))
    await client.aclose()
    log.add("md.trades.v1", *trades(120, 12))
    assert await sink.drain() == 1
    assert await held(log.settings) == wanted(132)


async def test_a_sink_killed_before_it_moved_the_position_is_gone_on_from(
    log: Log, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sinks.redis.calls.CALL_ITEMS", 1)
    await write_first_part(log, sink)
    log.add("md.trades.v1", *trades(120, 120))
    batches = sink.batches(40)
    calls = sink.store._calls(batches)
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


@pytest.mark.parametrize("seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(1, 50))])
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


def on_all(nodes: RedisNodes, *words: str) -> None:
    for server in nodes.servers:
        with server.client() as client:
            client.execute_command(*words)


async def test_a_redis_whose_memory_is_full_is_waited_for_and_nothing_is_lost(
    nodes: RedisNodes, log: Log, sink: Sink
) -> None:
    await write_first_part(log, sink)
    log.add("md.trades.v1", *trades(120, 120))
    on_all(nodes, "CONFIG", "SET", "maxmemory", "100kb")
    try:
        with pytest.raises(UnavailableError, match="maxmemory"):
            await sink.step()
    finally:
        on_all(nodes, "CONFIG", "SET", "maxmemory", "256mb")
    await sink.drain()
    assert await held(log.settings) == wanted(240)


async def test_a_key_that_is_not_ours_stops_the_sink_with_a_clear_word_and_nothing_is_lost(
    nodes: RedisNodes, log: Log, sink: Sink
) -> None:
    await write_first_part(log, sink)
    client = connect(nodes.url)
    key = keys.trades_key("", f"binance:{SYMBOLS[0]}")
    await client.delete(key, keys.trades_data_key("", f"binance:{SYMBOLS[0]}"))
    await client.set(key, "mine")
    log.add("md.trades.v1", *trades(120, 120))
    with pytest.raises(CandlewickError, match="is another program writing these keys") as told:
        await sink.drain()
    assert not isinstance(told.value, UnavailableError)
    await client.delete(key)
    await client.aclose()
    other = Sink(log)
    await other.start(at=0)  # as `candlewick replay` does
    await other.drain(most=7)
    assert await held(log.settings) == wanted(240)
    await other.store.close()


async def test_a_wrong_password_and_the_wrong_kind_of_address_are_told(nodes: RedisNodes) -> None:
    is_one = len(nodes.servers) == 1
    wrong = nodes.url.replace("redis://", "redis+cluster://") if is_one else nodes.url.replace("+cluster", "")
    words = {
        nodes.url.replace("://", "://:wrong@"): "refuses the user or password",
        wrong: "say redis://" if is_one else r"say redis\+cluster://",
    }
    for url, said in words.items():
        store = RedisStore(load_settings(redis=url, kafka="none:1"))
        with pytest.raises(CandlewickError, match=said) as told:
            await begin(store)
        assert not isinstance(told.value, UnavailableError)
        await store.close()


async def begin(store: RedisStore) -> None:
    await store.open()
    await store.positions([TopicPartition("md.trades.v1", 0)], IDS)


@dataclass
class SubscribedChannel:
    pubsub: Any
    next_message: Any
    messages: list[Any] = field(default_factory=list)

    async def has_told(self, count: int) -> bool:
        if message := await self.next_message(ignore_subscribe_messages=True, timeout=0.1):
            self.messages.append(json.loads(message["data"]))
        return len(self.messages) == count


async def subscribed(client: HotClient, name: str) -> SubscribedChannel:
    pubsub = client.pubsub()
    is_sharded = (await ask_servers(client)).publish == "SPUBLISH"
    await (pubsub.ssubscribe if is_sharded else pubsub.subscribe)(name)
    of_cluster = is_sharded and isinstance(pubsub, ClusterPubSub)
    return SubscribedChannel(pubsub, pubsub.get_sharded_message if of_cluster else pubsub.get_message)


async def test_subscribers_are_told_what_changed_in_one_message_and_how_much_they_missed(
    nodes: RedisNodes, log: Log, sink: Sink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sinks.redis.trades.TRADES_KEPT", 3)
    client = connect(nodes.url)
    channel = await subscribed(client, keys.trades_key("", "binance:A-B"))
    await sink.start()
    first, second = [trade(number, symbol="A-B") for number in range(2)], trade(9, symbol="A-B")
    log.add("md.trades.v1", *first, first[0])
    await sink.drain()
    await sink.start(at=0)
    await sink.drain()
    log.add("md.trades.v1", *(trade(number, symbol="A-B") for number in range(3, 9)), second)
    await sink.drain()
    await eventually(lambda: channel.has_told(2))
    assert [(message["skipped"], [one["trade_id"] for one in message["records"]]) for message in channel.messages] == [
        (0, ["0", "1"]), (4, ["7", "8", "9"]),
    ]  # fmt: skip
    await channel.pubsub.aclose()
    await client.aclose()


async def test_the_latest_trades_are_read_at_once_as_they_stand_in_the_topic(
    nodes: RedisNodes, log: Log, sink: Sink
) -> None:
    await sink.start()
    told = [trade(number, symbol="A-B", time_us=T0_US) for number in range(9, 12)]
    log.add("md.trades.v1", *told)
    await sink.drain()
    client, market = connect(nodes.url), MarketKey("binance", "A-B")
    newest_first = [encode_trade(decode_trade(json.dumps(one).encode())) for one in reversed(told)]
    assert await read.read_trade_values(client, "", market, limit=100) == newest_first
    await client.script_flush()  # as after a restart
    assert await read.read_trade_values(client, "", market, limit=2) == newest_first[:2]
    assert await read.read_trade_values(client, "", MarketKey("binance", "X-Y"), limit=2) == []
    await client.hdel(keys.trades_data_key("", str(market)), trade_member(10))
    assert await read.read_trade_values(client, "", market, limit=100) == [newest_first[0], newest_first[2]]
    await client.aclose()


async def test_candles_funding_and_instruments_of_a_market_are_held_and_replaced_by_newer_ones_only(
    log: Log, sink: Sink
) -> None:
    await sink.start()
    log.add("md.candles.1m.v1", candle(0, 5), candle(1, 7))
    rate = FUNDING | {"symbol": "A-B-PERP"}
    log.add("md.funding.v1", rate | {"time_ms": 5}, rate | {"kind": "expected", "time_ms": 9})
    log.add("md.instruments.v1", INSTRUMENT, INSTRUMENT | {"symbol": "A-B"})
    await sink.drain()
    log.add("md.candles.1m.v1", candle(0, 4), candle(1, 8))
    log.add("md.funding.v1", rate | {"time_ms": 4})
    log.add("md.instruments.v1", INSTRUMENT | {"status": "halted"})
    await sink.drain()
    client = connect(log.settings.redis.get_secret_value())
    market = MarketKey("binance", "BTC-USDT")
    minutes = await read.read_candle_values(client, "", market, from_ms=0, until_ms=10**15)
    assert [json.loads(one)["revision"] for one in minutes] == [5, 8]
    rates = await client.hgetall("cw:funding:{binance:A-B-PERP}")
    assert {kind: json.loads(value)["time_ms"] for kind, value in rates.items()} == {b"settled": 5, b"expected": 9}
    listed = await client.hgetall("cw:instruments:{binance}")
    assert {symbol: json.loads(value)["status"] for symbol, value in listed.items()} == {
        b"BTC-USDT": "halted", b"A-B": "trading",
    }  # fmt: skip
    async for key in client.scan_iter():
        assert await client.ttl(key) > 0, f"{key!r} has no TTL"
    await client.aclose()


async def test_recent_signals_are_held_once_each_and_replaced_by_a_greater_revision_only(log: Log, sink: Sink) -> None:
    topic, own = "md.signals.v1", SIGNAL | {"kind": "stale", "other": None}
    await sink.start()
    log.add(topic, SIGNAL | {"revision": 5}, own, SIGNAL | {"other": "okx:BTC-USDT"}, SIGNAL | {"window_minutes": 60})
    await sink.drain()
    log.add(topic, own, SIGNAL | {"revision": 5, "severity": "critical"})
    await sink.drain()
    log.add(topic, SIGNAL | {"revision": 4})
    await sink.drain()
    client = connect(log.settings.redis.get_secret_value())

    async def held() -> list[tuple[Any, ...]]:
        values = map(json.loads, await client.zrange("cw:signals:{binance:BTC-USDT}", 0, -1))
        names = ("time_ms", "kind", "other", "window_minutes", "revision", "severity")
        return sorted((tuple(value[name] for name in names) for value in values), key=str)

    both, warning = "kraken:BTC-USDT", "warning"
    at_first = [
        (60_000, "spread", both, 1, 5, "critical"), (60_000, "spread", both, 60, 2, warning),
        (60_000, "spread", "okx:BTC-USDT", 1, 2, warning), (60_000, "stale", None, 1, 2, warning),
    ]  # fmt: skip
    assert await held() == at_first
    log.add(topic, *(own | {"time_ms": 120_000 + minute * 60_000} for minute in (*range(98), 5)), own | {"time_ms": 59})
    await sink.drain()
    assert len(await held()) == keys.SIGNALS_KEPT
    assert [time_ms for time_ms, *_ in await held()].count(60_000) == 2, "the oldest left"
    before = await held()
    await sink.start(at=0)
    await sink.drain()
    assert await held() == before, "the group was moved back"

    channel, newest = await subscribed(client, "cw:signals:{binance:BTC-USDT}"), own | {"time_ms": 10**12}
    for told in (own | {"time_ms": 58}, newest):
        log.add(topic, told)
        await sink.drain()
    await eventually(lambda: channel.has_told(1))
    assert channel.messages == [{"skipped": 0, "records": [newest]}], "what is older than all is no news"
    await channel.pubsub.aclose()
    await client.aclose()

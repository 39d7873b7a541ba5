"""The rolling processor on a real Kafka: what it publishes, over kills, aborted transactions and two workers."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping

import orjson
import pytest
from eventually import eventually
from rolled import MINUTE, START, Minute, minute, newest, rolled, ticker

from market.partition import partition_of
from market.timeframe import Timeframe
from market.topics import Topics
from processors.rolling.core import HistoryNeededError
from processors.rolling.restore import restore
from processors.rolling.roll import TIMEFRAMES
from runtime.kafka import Outgoing, Publisher, TransactionalPublisher, ends, read_to_end
from runtime.kafka.admin import group_offsets
from runtime.settings import Settings

SYMBOLS = ("BTC-USDT", "ETH-USDT", "XRP-USDT", "SOL-USDT", "ADA-USDT", "DOT-USDT")
PARTITIONS = 3  # odd: of two topics with an even count, dealing partitions out in turn keeps a symbol's together
LAST = START + 250 * MINUTE  # over an hour's and four hours' end, with some minutes before and after


def key_of(symbol: str) -> bytes:
    return f"binance:{symbol}".encode()


def minutes_of(symbol: str, first: int, count: int, *, seed: int = 1) -> list[Minute]:
    """Minutes `first`… of a symbol; every seventh comes with a correction of one before it, of the same revision."""
    at = random.Random(f"{symbol} {first} {seed}")
    records = []
    for number in range(first, first + count):
        revision = 10_000 + 10 * number
        if number % 7 == 0 and number > first + 5:
            open_ms = LAST + (number - 5) * MINUTE
            records.append(Minute(0, 0, key_of(symbol), minute(at, open_ms, revision, symbol)))
        records.append(Minute(0, 0, key_of(symbol), minute(at, LAST + number * MINUTE, revision, symbol)))
    return records


async def feed(settings: Settings, records: Mapping[str, list[Minute]], *, run: bytes | None = None) -> None:
    """Append candles as the candle engine does: one transaction of each partition."""
    for partition in range(settings.partitions):
        here = [one for some in records.values() for one in some if partition_of(one.key, PARTITIONS) == partition]
        if here:
            headers = (("run", run),) if run else ()
            outgoing = [Outgoing(one.key, one.value, headers, partition) for one in here]
            publisher = TransactionalPublisher(settings, f"{settings.prefix}feed-{partition}")
            async with publisher, publisher.transaction() as transaction:
                await transaction.send(settings.topics.candles(), outgoing)


async def published(settings: Settings, topic: str) -> list[Minute]:
    return [
        Minute(
            record.offset, record.timestamp, record.key, record.value, tuple(record.headers), topic, record.partition
        )
        async for records in read_to_end(settings, topic)
        for record in records
    ]


async def last_candles(settings: Settings) -> dict[bytes, dict[tuple[str, int], dict[str, object]]]:
    """Key → what the longer candles' topics say last of each window; runs left out."""
    found: dict[bytes, dict[tuple[str, int], dict[str, object]]] = {}
    for timeframe in TIMEFRAMES:
        for record in await published(settings, settings.topics.candles(timeframe)):
            assert record.partition == partition_of(record.key, PARTITIONS)
            if not record.headers:
                found.setdefault(record.key, {})[timeframe.value, record.fields["open_time_ms"]] = record.fields
    return found


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"partitions": PARTITIONS})


class Workers:
    """Processes of ``candlewick rolling``."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment
        self.running: list[subprocess.Popen[bytes]] = []

    def start(self, *flags: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "candlewick", "rolling", *flags]
        self.running.append(subprocess.Popen(command, env=self.environment))
        return self.running[-1]

    def stop(self) -> None:
        running = [process for process in self.running if process.poll() is None]
        for process in running:
            process.send_signal(signal.SIGTERM)
        assert [process.wait(30) for process in running] == [0 for _ in running]


@pytest.fixture
def workers(environment: dict[str, str]) -> Iterator[Workers]:
    workers = Workers(environment)
    yield workers
    workers.stop()


async def test_equals_an_independent_computation_over_kills_aborts_and_poison(
    settings: Settings, topics: Topics, workers: Workers
) -> None:
    fed = {symbol: minutes_of(symbol, 0, 120) for symbol in SYMBOLS[:3]}
    await feed(settings, fed)
    await feed(settings, {"run": minutes_of("BTC-USDT", -300, 50, seed=2)}, run=b"r1")
    home = partition_of(key_of("BTC-USDT"), PARTITIONS)
    async with Publisher(settings) as publisher:
        poison = Outgoing(key_of("BTC-USDT"), b"{", (("from", b"test"),), home)
        await publisher.settle([await publisher.send(topics.candles(), poison)])

    killed = workers.start("--instance-id", "rolling-0")
    await eventually(lambda: _has_records(settings, topics.tickers))
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    workers.running.clear()
    more = {symbol: minutes_of(symbol, 120, 30) for symbol in SYMBOLS[:3]}
    await feed(settings, more)
    await _abort(settings, minutes_of("BTC-USDT", 150, 1)[0], home)
    assert workers.start("--once", "--instance-id", "rolling-0").wait(60) == 0

    expected = {key_of(symbol): rolled(newest(fed[symbol] + more[symbol])) for symbol in fed}
    assert await last_candles(settings) == expected
    await _check_tickers(settings, {symbol: fed[symbol] + more[symbol] for symbol in fed})
    letters = await published(settings, topics.dead_letters(topics.candles()))  # at least once, as all else
    assert {(one.key, one.value, one.partition) for one in letters} == {(key_of("BTC-USDT"), b"{", home)}
    assert {"from", "__streams.errors.message"} <= {name for name, _ in letters[0].headers}
    runs = [one for one in await published(settings, topics.candles(Timeframe.M30)) if one.headers]
    assert [(one.key, dict(one.headers)) for one in runs] == [(key_of("BTC-USDT"), {"run": b"r1"})]
    bounds = await ends(settings, topics.candles())
    offsets = await group_offsets(settings, topics.group("rolling"))
    assert {p: end for p, (_, end) in bounds.items() if end} == {p: at for (_, p), at in offsets.items() if at}


async def test_two_workers_keep_a_symbols_live_and_closed_candles_together(
    settings: Settings, topics: Topics, workers: Workers
) -> None:
    fed = {symbol: minutes_of(symbol, 0, 10) for symbol in SYMBOLS}
    await feed(settings, fed)
    workers.start()
    await eventually(lambda: _ticker_keys(settings, len(SYMBOLS)))
    workers.start()
    at = random.Random(9)
    live = {s: minute(at, LAST + 10 * MINUTE, 50_000, s, status="open") for s in SYMBOLS}

    async def refreshed() -> bool:
        # The group may be rebalancing: what is live is said again each second until all have been seen.
        async with Publisher(settings) as publisher:
            records = [Outgoing(key_of(symbol), value) for symbol, value in live.items()]
            await publisher.settle([await publisher.send(topics.live, record) for record in records])
        seen = {one.key for one in await published(settings, topics.tickers) if one.fields["live"]}
        return seen == {key_of(symbol) for symbol in SYMBOLS}

    await eventually(lambda: _members(settings, 2), timeout_s=30)
    await eventually(refreshed, timeout_s=30, every_s=1)
    shown = {one.key: one.fields for one in await published(settings, topics.tickers)}
    for symbol in SYMBOLS:
        wanted = ticker(newest(fed[symbol]), LAST + 10 * MINUTE, orjson.loads(live[symbol]))
        assert shown[key_of(symbol)] == wanted
    more = {symbol: minutes_of(symbol, 10, 50) for symbol in SYMBOLS}
    await feed(settings, more)

    async def equal() -> bool:
        expected = {key_of(symbol): rolled(newest(fed[symbol] + more[symbol])) for symbol in SYMBOLS}
        assert await last_candles(settings) == expected
        return True

    await eventually(equal, timeout_s=30, every_s=0.5)
    assert workers.start("--once", "--from-start").wait(30) == 1, "the group has members"
    assert [worker.poll() for worker in workers.running[:2]] == [None, None]
    workers.stop()
    assert workers.start("--once", "--from-start").wait(60) == 0
    await equal()
    await _check_tickers(settings, {symbol: fed[symbol] + more[symbol] for symbol in SYMBOLS})


async def test_a_state_is_read_back_as_far_as_a_record_needs_and_no_further_than_its_offset(
    settings: Settings, topics: Topics
) -> None:
    early, late = minutes_of("BTC-USDT", 0, 40), minutes_of("BTC-USDT", 40, 80)
    home = partition_of(key_of("BTC-USDT"), PARTITIONS)
    await feed(settings, {"early": early})
    between_ms = 1 + max(record.timestamp for record in await published(settings, topics.candles()))
    await eventually(lambda: time.time_ns() // 1_000_000 > between_ms)
    await feed(settings, {"late": late})
    log = await published(settings, topics.candles())
    at = next(number for number, record in enumerate(log) if record.timestamp >= between_ms) + 2
    stops = {home: log[at].offset}

    shallow = (await restore(settings, stops, between_ms))[home]
    with pytest.raises(HistoryNeededError) as needed:
        shallow.take(log[at])
    deep = (await restore(settings, stops, needed.value.since_ms))[home]
    outputs = [output for record in log[at:] for output in deep.take(record)] + deep.settle()
    expected = rolled(newest(log))
    for output in outputs:
        fields = orjson.loads(output.value)
        if output.timeframe and fields["revision"] == expected[output.timeframe, fields["open_time_ms"]]["revision"]:
            assert fields == expected[output.timeframe, fields["open_time_ms"]]
    assert {output.timeframe for output in outputs} >= {"3m", "5m", "15m", "30m", "1h", None}


async def _abort(settings: Settings, record: Minute, partition: int) -> None:
    name = f"{settings.prefix}abort"
    outgoing = Outgoing(record.key, record.value, (), partition)
    with contextlib.suppress(ZeroDivisionError):
        publisher = TransactionalPublisher(settings, name)
        async with publisher, publisher.transaction() as transaction:
            await transaction.send(settings.topics.candles(), [outgoing])
            await transaction.settle()
            raise ZeroDivisionError
    async with TransactionalPublisher(settings, name):
        pass  # whoever takes the id over ends what was left open


async def _check_tickers(settings: Settings, fed: Mapping[str, list[Minute]]) -> None:
    found: dict[bytes, dict[int, set[bytes]]] = {}
    for record in await published(settings, settings.topics.tickers):
        if record.fields["live"]:
            continue
        found.setdefault(record.key, {}).setdefault(record.fields["time_ms"], set()).add(record.value)
    for symbol, records in fed.items():
        by_time = found[key_of(symbol)]
        assert all(len(values) == 1 for values in by_time.values()), "a minute's ticker has one form"
        assert sorted(by_time) == sorted({one.fields["open_time_ms"] + MINUTE for one in records})
        last = max(by_time)
        assert orjson.loads(next(iter(by_time[last]))) == ticker(newest(records), last - MINUTE)


async def _has_records(settings: Settings, topic: str) -> bool:
    return any(end > first for first, end in (await ends(settings, topic)).values())


async def _ticker_keys(settings: Settings, count: int) -> bool:
    return len({one.key for one in await published(settings, settings.topics.tickers)}) == count


async def _members(settings: Settings, count: int) -> bool:
    from aiokafka.admin import AIOKafkaAdminClient  # noqa: PLC0415

    from runtime.settings import kafka_address  # noqa: PLC0415

    client = AIOKafkaAdminClient(bootstrap_servers=kafka_address(settings))
    await client.start()
    try:
        (described,) = await client.describe_consumer_groups([settings.topics.group("rolling")])
        members = described.groups[0][5]
    finally:
        await client.close()
    return len(members) == count and described.groups[0][2] == "Stable"

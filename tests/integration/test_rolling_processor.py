"""The rolling processor on a real Kafka: what it publishes, over kills, aborted transactions and two workers."""

import asyncio
import contextlib
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from typing import Any

import orjson
import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.admin import AIOKafkaAdminClient
from eventually import eventually
from rolled import MINUTE, START, Minute, minute, newest, rolled, ticker
from rolling_processor import (
    LAST,
    PARTITIONS,
    SYMBOLS,
    Workers,
    check_tickers,
    feed,
    is_read_to_its_end,
    key_of,
    last_candles,
    members,
    minutes_of,
    published,
)

from market.partition import partition_of
from market.topics import Topics
from processors.rolling.core import Output
from processors.rolling.restore import CandleLog, read_back, restore
from runtime.kafka import (
    Committed,
    Outgoing,
    Publisher,
    TopicPartition,
    TransactionalPublisher,
    ends,
)
from runtime.kafka.admin import apply_topics, committed_offsets, group_offsets
from runtime.settings import Settings, kafka_address

pytestmark = pytest.mark.usefixtures("longer_candles")


@pytest.fixture
def settings(settings: Settings) -> Settings:
    return settings.model_copy(update={"partitions": PARTITIONS})


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
    run = minutes_of("BTC-USDT", -300, 50, seed=2)
    await feed(settings, {"run": run}, run=b"r1")
    home = partition_of(key_of("BTC-USDT"), PARTITIONS)
    async with Publisher(settings) as publisher:
        poison = Outgoing(key_of("BTC-USDT"), b"{", (("from", b"test"),), home)
        await publisher.await_acknowledgements([await publisher.send(topics.candles(), poison)])

    killed = workers.start("--instance-id", "rolling-0")
    await eventually(lambda: _has_records(settings, topics.tickers), timeout_s=60)
    os.kill(killed.pid, signal.SIGKILL)
    killed.wait()
    workers.running.clear()
    more = {symbol: minutes_of(symbol, 120, 30) for symbol in SYMBOLS[:3]}
    await feed(settings, more)
    await _abort(settings, minutes_of("BTC-USDT", 150, 1)[0], home)
    assert workers.start("--once", "--instance-id", "rolling-0").wait(90) == 0

    expected = {key_of(symbol): rolled(newest(fed[symbol] + more[symbol])) for symbol in fed}
    expected[key_of("BTC-USDT")] |= rolled(newest(run))
    assert await last_candles(settings) == expected
    await check_tickers(settings, {symbol: fed[symbol] + more[symbol] for symbol in fed}, {"BTC-USDT": run})
    letters = await published(settings, topics.dead_letters(topics.candles()))  # at least once, as all else
    assert {(one.key, one.value, one.partition) for one in letters} == {(key_of("BTC-USDT"), b"{", home)}
    assert {"from", "__streams.errors.message"} <= {name for name, _ in letters[0].headers}
    await is_read_to_its_end(settings)


@pytest.mark.long
@pytest.mark.timeout(300)  # several processes, one after the other
async def test_two_workers_keep_a_symbols_live_and_closed_candles_together(
    settings: Settings, topics: Topics, workers: Workers
) -> None:
    fed = {symbol: minutes_of(symbol, 0, 10) for symbol in SYMBOLS}
    await feed(settings, fed)
    workers.start()
    await eventually(lambda: _ticker_keys(settings, len(SYMBOLS)), timeout_s=60)
    workers.start()
    at = random.Random(9)
    live = {s: minute(at, LAST + 10 * MINUTE, 50_000, s, status="open") for s in SYMBOLS}

    async def refreshed() -> bool:
        # The group may be rebalancing: what is live is said again each second until all have been seen.
        async with Publisher(settings) as publisher:
            records = [Outgoing(key_of(symbol), value) for symbol, value in live.items()]
            await publisher.await_acknowledgements([await publisher.send(topics.live, record) for record in records])
        seen = {one.key for one in await published(settings, topics.tickers) if one.fields["live"]}
        return seen == {key_of(symbol) for symbol in SYMBOLS}

    await eventually(lambda: members(settings, 2), timeout_s=60)
    await eventually(refreshed, timeout_s=60, every_s=1)
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
    assert workers.start("--once", "--from-start").wait(90) == 0
    await equal()
    await check_tickers(settings, {symbol: fed[symbol] + more[symbol] for symbol in SYMBOLS})


@pytest.mark.timeout(300)  # several processes, one after the other
async def test_a_mended_day_reaches_every_longer_candle_and_once_ends_behind_a_cut(
    settings: Settings, topics: Topics, workers: Workers
) -> None:
    """The kind of ``truncated-day``: a day with holes and 4 trades, then the same day whole, with 1,000."""
    at = random.Random(4)
    key = key_of("BTC-USDT")

    def made(number: int, revision: int, trades: int, status: str) -> Minute:
        fields = {"trades": trades, "status": status}
        return Minute(0, 0, key, minute(at, START + number * MINUTE, revision, **fields))

    short = [made(n, 10 + n, int(n < 4), "complete" if n < 3 else "hole") for n in range(1440)]
    mended = [made(n, 5000 + n, 1 if n >= 440 else 0, "complete") for n in range(1440)]
    await feed(settings, {"run": short}, run=b"short")
    await _append(settings, b"", None, (("roll", b""),))
    assert workers.start("--once").wait(90) == 0
    await feed(settings, {"run": mended}, run=b"mended")
    await _append(settings, b"", None, (("roll", b""),))
    assert workers.start("--once").wait(90) == 0
    found = (await last_candles(settings))[key]
    assert found == rolled(newest([*short, *mended]))
    day = found["1d", START]
    assert (day["trades"], day["status"]) == (1000, "complete")
    assert await published(settings, topics.tickers) == []
    await is_read_to_its_end(settings)


@pytest.mark.timeout(300)  # several processes, one after the other
async def test_a_malformed_record_at_the_end_is_told_once_and_once_ends(
    settings: Settings, topics: Topics, workers: Workers
) -> None:
    await feed(settings, {"BTC-USDT": minutes_of("BTC-USDT", 0, 10)})
    await _append(settings, key_of("BTC-USDT"), b"{", ())
    async with Publisher(settings) as publisher:
        await publisher.await_acknowledgements([await publisher.send(topics.live, Outgoing(key_of("BTC-USDT"), b"{"))])
    for _ in range(2):
        assert workers.start("--once").wait(90) == 0
    await is_read_to_its_end(settings)
    assert len(await published(settings, topics.dead_letters(topics.candles()))) == 1
    for number in (10, 11):
        running = workers.start()
        await feed(settings, {"BTC-USDT": minutes_of("BTC-USDT", number, 1)})
        await eventually(lambda: _ticker_of(settings, LAST + (number + 1) * MINUTE), timeout_s=60)  # noqa: B023
        await eventually(lambda: _has_offset(settings, topics.live))
        running.send_signal(signal.SIGTERM)
        assert running.wait(90) == 0
    assert len(await published(settings, topics.dead_letters(topics.candles()))) == 1
    assert len(await published(settings, topics.dead_letters(topics.live))) == 1


async def test_a_topic_made_anew_between_runs_is_told_and_read_after_a_replay(
    settings: Settings, topics: Topics, workers: Workers
) -> None:
    old, new = minutes_of("BTC-USDT", 0, 40), minutes_of("BTC-USDT", 100, 60)
    await feed(settings, {"BTC-USDT": old})
    assert workers.start("--once").wait(90) == 0
    kept = await committed_offsets(settings, topics.group("rolling"))
    await _make_anew(settings, topics.candles())
    await feed(settings, {"BTC-USDT": new})
    # Kafka forgets the offsets with the topic; a member that was just leaving would have put its own back.
    await _commit_again(settings, {at: found for at, found in kept.items() if at[0] == topics.candles()})
    refused = workers.start("--once", stderr=subprocess.PIPE)
    _, told = refused.communicate(timeout=60)
    assert refused.returncode == 1
    assert b"made anew" in told
    assert b"candlewick replay rolling --to earliest --execute" in told
    assert workers.start("--once", "--from-start").wait(90) == 0
    assert (await last_candles(settings))[key_of("BTC-USDT")] == rolled(newest(old)) | rolled(newest(new))
    workers.running.remove(refused)


@pytest.mark.long
async def test_a_topic_made_anew_while_it_is_read_stops_the_processor(
    settings: Settings, topics: Topics, workers: Workers
) -> None:
    await feed(settings, {symbol: minutes_of(symbol, 0, 10) for symbol in SYMBOLS})
    running = workers.start(stderr=subprocess.PIPE)
    workers.running.remove(running)
    await eventually(lambda: _has_records(settings, topics.tickers), timeout_s=60)
    await _make_anew(settings, topics.candles())
    await feed(settings, {symbol: minutes_of(symbol, 20, 90) for symbol in SYMBOLS})
    _, told = await asyncio.to_thread(running.communicate, timeout=60)
    assert running.returncode == 1
    assert b"made anew" in told


@pytest.mark.long
@pytest.mark.timeout(300)  # several processes, one after the other
async def test_a_strangers_open_transaction_counts_as_lag_and_is_named(
    settings: Settings, topics: Topics, workers: Workers
) -> None:
    fed = minutes_of("BTC-USDT", 0, 10)
    home = partition_of(key_of("BTC-USDT"), PARTITIONS)
    stranger = TransactionalPublisher(settings, f"{settings.prefix}stranger")
    await feed(settings, {"BTC-USDT": fed})
    stranger._producer._txn_manager.transaction_timeout_ms = 120_000  # longer than any of ours
    async with stranger:
        await stranger._producer.begin_transaction()
        await stranger._producer.send_and_wait(topics.candles(), b"x", partition=home)
        await feed(settings, {"BTC-USDT": minutes_of("BTC-USDT", 10, 5)})
        held_back = workers.start("--once", stderr=subprocess.PIPE)
        workers.running.remove(held_back)
        _, told = await asyncio.to_thread(held_back.communicate, timeout=90)
        await stranger._producer.abort_transaction()
    assert held_back.returncode == 1
    assert f"{settings.prefix}stranger".encode() in told
    assert b" abort --topic" in told
    lags = [orjson.loads(line)["unread"] for line in told.splitlines() if b'"progress"' in line]
    assert lags[-1] > 0
    assert workers.start("--once").wait(90) == 0
    expected = rolled(newest([*fed, *minutes_of("BTC-USDT", 10, 5)]))
    assert (await last_candles(settings))[key_of("BTC-USDT")] == expected


async def test_history_is_read_back_from_the_log_as_far_as_a_minute_needs_it(
    settings: Settings, topics: Topics
) -> None:
    """A minute of a year that nothing is known of: the partition is looked through once, its day is read back."""
    day = [Minute(0, 0, key_of("BTC-USDT"), minute(random.Random(1), START + n * MINUTE, 10 + n)) for n in range(60)]
    home = partition_of(key_of("BTC-USDT"), PARTITIONS)
    await feed(settings, {"run": day}, run=b"r1")
    await feed(settings, {"live": minutes_of("BTC-USDT", 3000, 30)})
    repair = minute(random.Random(2), START + 30 * MINUTE, 9000)
    await feed(settings, {"repair": [Minute(0, 0, key_of("BTC-USDT"), repair)]}, run=b"r2")
    log = [one for one in await published(settings, topics.candles()) if one.partition == home]
    now_ms = time.time_ns() // 1_000_000
    core = (await restore(CandleLog(settings, None), PARTITIONS, {home: log[-1].offset}, now_ms))[home]
    await read_back(CandleLog(settings, None), {home: (core, log[-1:])})
    outputs = core.take(log[-1]) + core.flush()
    expected = rolled(newest(log))
    found = {(fields["timeframe"], fields["open_time_ms"]): fields for fields in map(_fields, outputs)}
    assert found == {window: fields for window, fields in expected.items() if window in found}
    assert {timeframe for timeframe, _ in found} == {"3m", "5m", "15m", "30m", "1h"}


def _fields(output: Output) -> dict[str, Any]:
    return orjson.loads(output.value)


async def _append(settings: Settings, key: bytes, value: bytes | None, headers: tuple[tuple[str, bytes], ...]) -> None:
    """A record at the end of the partition of BTC-USDT, as somebody else writes it."""
    home = partition_of(key_of("BTC-USDT"), PARTITIONS)
    async with Publisher(settings) as publisher:
        record = Outgoing(key, value, headers, home)
        await publisher.await_acknowledgements([await publisher.send(settings.topics.candles(), record)])


async def _has_offset(settings: Settings, topic: str) -> bool:
    return any(name == topic for name, _ in await group_offsets(settings, settings.topics.group("rolling")))


async def _make_anew(settings: Settings, topic: str) -> None:
    client = AIOKafkaAdminClient(bootstrap_servers=kafka_address(settings))
    await client.start()
    try:
        await client.delete_topics([topic])
        await eventually(lambda: _is_gone(client, topic))
    finally:
        await client.close()
    assert await apply_topics(settings) == []


async def _is_gone(client: Any, topic: str) -> bool:
    return topic not in await client.list_topics()


async def _commit_again(settings: Settings, offsets: Mapping[tuple[str, int], Committed]) -> None:
    """Commit offsets as a member does that has not noticed that the topic is another."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=kafka_address(settings), group_id=settings.topics.group("rolling"), enable_auto_commit=False
    )
    await consumer.start()
    try:
        said = {TopicPartition(*at): (found.offset, found.metadata.encode()) for at, found in offsets.items()}
        consumer.assign(list(said))
        await consumer.commit(said)
    finally:
        await consumer.stop()


async def _abort(settings: Settings, record: Minute, partition: int) -> None:
    name = f"{settings.prefix}abort"
    outgoing = Outgoing(record.key, record.value, (), partition)
    with contextlib.suppress(ZeroDivisionError):
        publisher = TransactionalPublisher(settings, name)
        async with publisher, publisher.transaction() as transaction:
            await transaction.send(settings.topics.candles(), [outgoing])
            await transaction.await_acknowledgements()
            raise ZeroDivisionError
    async with TransactionalPublisher(settings, name):
        pass  # whoever takes the id over ends what was left open


async def _has_records(settings: Settings, topic: str) -> bool:
    return any(end > first for first, end in (await ends(settings, topic)).values())


async def _ticker_of(settings: Settings, time_ms: int) -> bool:
    return any(one.fields["time_ms"] == time_ms for one in await published(settings, settings.topics.tickers))


async def _ticker_keys(settings: Settings, count: int) -> bool:
    return len({one.key for one in await published(settings, settings.topics.tickers)}) == count

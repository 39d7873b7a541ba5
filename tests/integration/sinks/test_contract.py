"""What every sink promises, whatever its store."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import pytest
from eventually import eventually
from holdings import Held, Target, expected
from log import DIGITS_31, candle, dead_letters, publish, record, rewind, trade
from written import Written

from market.partition import partition_of
from market.records import BareRecord
from market.topics import Topics
from runtime.errors import UnavailableError
from runtime.kafka import TopicPartition
from runtime.kafka.admin import group_offsets
from runtime.settings import Settings
from sinks import patience, runner
from sinks.encoded import Encoded
from sinks.partition import Partition
from sinks.runner import run_sink
from sinks.store import Batch, MovedError, Pace, PaceLimit, Store

LATE_REVISIONS = [(0, 5), (1, 6), (0, 3), (1, 9), (0, 8), (2, 10), (1, 7)]


async def drain(target: Target, settings: Settings, **config: Any) -> None:
    await run_sink(settings, target.store(settings), target.config(**config), asyncio.Event())


def assert_same(held: Held, wanted: Held) -> None:
    assert held.trades == wanted.trades
    assert held.candles == wanted.candles
    if held.places is not None:
        assert len(set(held.places)) == len(held.places), "a record is in two files"


async def test_keys_are_held_once_however_often_records_come(
    target: Target, sink_settings: Settings, topics: Topics
) -> None:
    trades = [trade(number, symbol=symbol) for number in range(20) for symbol in ("BTC-USDT", "ETH-USDT")]
    trades.append(trade(99, price=DIGITS_31, qty="0.1"))
    candles = [candle(minute, revision) for minute, revision in LATE_REVISIONS]
    await publish(sink_settings, topics.trades, [record(one) for one in [*trades, *trades[5:9]]])
    await publish(sink_settings, topics.candles(), [record(one) for one in candles])
    await drain(target, sink_settings)
    wanted = expected(trades, candles)
    assert_same(await target.held(sink_settings), wanted)

    await rewind(sink_settings, f"sink.{target.name}", [topics.trades, topics.candles()])
    more = [trade(number) for number in (19, 100, 101)]
    await publish(sink_settings, topics.trades, [record(one) for one in more])
    await drain(target, sink_settings)
    held = await target.held(sink_settings)
    assert_same(held, expected(trades + more, candles))
    if held.places is not None:
        assert len(held.places) == len(trades) + 4 + len(candles) + len(more)


WIDE_NAME, WIDE_SYMBOL, WIDE_ID = "币" * 26, "L" * 128, "ä" * 64
TRADES_AT_A_LIMIT: list[dict[str, Any]] = [
    {"price": "0.000000000000000001", "qty": "999999999999999"},
    {"price": "999999999999999", "qty": "0.01"},
    {"price": "9999999999999", "qty": "1"},
    {"price": "0.0000000001", "qty": "0.000000000001"},
    {"time_us": 9_007_199_253_999_999},
    {"time_us": 0, "received_us": 0},
    {"exchange": WIDE_NAME},
    {"symbol": WIDE_SYMBOL},
    {"symbol": "币安人生-USDT"},
    {"trade_id": WIDE_ID, "seq": 2**63 - 1},
]
TRADES_BEYOND: list[dict[str, Any]] = [
    {"price": "0.0000000000000000001"},
    {"price": "1000000000000000", "qty": "0.001"},
    {"qty": "1000000000000000", "price": "0.001"},
    {"price": "10000000000000", "qty": "1"},
    {"price": "0.00000000001", "qty": "0.000000000001"},
    {"price": "0"},
    {"qty": "0"},
    {"time_us": 9_007_199_254_000_000},
    {"exchange": WIDE_NAME + "币"},
    {"symbol": WIDE_SYMBOL + "L"},
    {"symbol": "A\tB"},
    {"trade_id": WIDE_ID + "x"},
    {"seq": 2**63},
]
CANDLES_AT_A_LIMIT: list[dict[str, Any]] = [
    {"low": "0.000000000000000001", "high": "999999999999999"},
    {"volume": "9" * 20 + "." + "9" * 18},
    {"quote_volume": "9" * 16 + "." + "9" * 22},
    {"quote_volume": "0." + "0" * 21 + "1"},
    {"taker_buy_volume": "9" * 20, "taker_buy_quote_volume": "9" * 16},
    {"revision": 2**53 - 1, "trades": 2**53 - 1},
    {"exchange": WIDE_NAME},
    {"symbol": WIDE_SYMBOL},
    {"first_trade_id": WIDE_ID, "last_trade_id": None},
]
CANDLES_BEYOND: list[dict[str, Any]] = [
    {"high": "1000000000000000"},
    {"low": "3"},
    {"volume": "1" + "0" * 40},
    {"volume": "1" + "0" * 20},
    {"quote_volume": "1" + "0" * 16},
    {"quote_volume": "0." + "0" * 22 + "1"},
    {"revision": 2**53},
    {"timeframe": "99x"},
    {"timeframe": "5m"},
    {"close_time_ms": 7},
    {"exchange": WIDE_NAME + "币"},
    {"last_trade_id": WIDE_ID + "x"},
]


async def test_what_lies_at_a_limit_is_held_exactly_and_one_step_beyond_is_refused_by_all_alike(
    target: Target, sink_settings: Settings, topics: Topics
) -> None:
    trades = [trade(number) | fields for number, fields in enumerate(TRADES_AT_A_LIMIT)]
    candles = [candle(minute, 7) | fields for minute, fields in enumerate(CANDLES_AT_A_LIMIT)]
    fine = {
        topics.trades: [record(one) for one in trades],
        topics.candles(): [record(one) for one in candles],
    }
    beyond = {
        topics.trades: [record(trade(500 + number) | fields) for number, fields in enumerate(TRADES_BEYOND)],
        topics.candles(): [record(candle(500 + minute, 7) | fields) for minute, fields in enumerate(CANDLES_BEYOND)],
    }
    stray = {topics.trades: trade(900), topics.candles(): candle(900, 7)}
    right = partition_of(record(stray[topics.trades]).key, sink_settings.partitions)
    for topic, value in stray.items():
        beyond[topic].append(record(value)._replace(key=b"binance:ETH-USDT"))
        beyond[topic].append(record(value)._replace(partition=(right + 1) % sink_settings.partitions))
    refused = {}
    for topic, records in beyond.items():
        placed = await publish(sink_settings, topic, [*fine[topic], *records])
        refused[topic] = sorted(placed[len(fine[topic]) :])
    await drain(target, sink_settings)
    assert_same(await target.held(sink_settings), expected(trades, candles))
    for topic, places in refused.items():
        letters = [dict(one.headers) for one in await dead_letters(sink_settings, topic)]
        names = [f"__streams.errors.{name}" for name in ("partition", "offset")]
        assert sorted(tuple(int(letter[name]) for name in names) for letter in letters) == places


class AnswersLost:
    """A store whose every write is applied, and at first reported as a failure."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.lost = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def write(self, batches: Sequence[Batch]) -> None:
        await self._store.write(batches)
        if self.lost < 2:
            self.lost += 1
            for batch in batches:
                batch.is_written = False
            raise UnavailableError("the answer is lost", retry_after_s=0.0)


class NeverAnswers:
    """A store that takes nothing."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self.asked = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def write(self, batches: Sequence[Batch]) -> None:
        assert batches
        self.asked.set()
        raise UnavailableError("nobody there")


class TakesNothingOf:
    """A store that is away for one partition, as when one of its servers is, until it is `mended`."""

    def __init__(self, store: Any, partition: int) -> None:
        self._store = store
        self._partition = partition
        self.pace = store.pace and Pace(PaceLimit(50, 1 << 20, 0.1), behind=PaceLimit(50, 1 << 20, 0.1))
        self.mended = asyncio.Event()
        self.held = 0
        """Records that wait for it."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def encode(self, tp: TopicPartition, records: Sequence[BareRecord]) -> Encoded:
        if tp.partition == self._partition and not self.mended.is_set():
            self.held += len(records)
        return self._store.encode(tp, records)  # type: ignore[no-any-return]

    async def write(self, batches: Sequence[Batch]) -> None:
        can = [batch for batch in batches if batch.tp.partition != self._partition or self.mended.is_set()]
        if can:
            await self._store.write(can)
        for batch in can:
            batch.is_written = True
        if len(can) < len(batches):
            raise UnavailableError("one of its servers is away", retry_after_s=0.1)


async def test_only_the_partitions_that_the_store_cannot_take_now_wait_and_memory_stays_bounded(
    target: Target, sink_settings: Settings, topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "POLL_BATCHES", 1)
    monkeypatch.setattr(patience, "LONGEST_PAUSE_S", 0.5)
    symbols = {partition_of(f"binance:S{n}".encode(), sink_settings.partitions): f"S{n}" for n in range(99)}
    away, here = symbols[0], symbols[1]
    first = [trade(number, symbol=away) for number in range(400)]
    others = [trade(number, symbol=here) for number in range(300)]
    for begin in range(0, len(first), 50):
        await publish(sink_settings, topics.trades, [record(one) for one in first[begin : begin + 50]])
    store, stop = TakesNothingOf(target.store(sink_settings), 0), asyncio.Event()
    running = asyncio.create_task(run_sink(sink_settings, store, target.config(once=False, file_records=50), stop))
    try:
        for part in (others[:100], others[100:200], others[200:]):
            await publish(sink_settings, topics.trades, [record(one) for one in part])
            await eventually(lambda part=part: _holds(target, sink_settings, part))
        offsets = await group_offsets(sink_settings, topics.group(f"sink.{target.name}"))
        assert offsets.get((topics.trades, 0), 0) == 0
        assert store.held <= 100, "what cannot be written was read on"
        store.mended.set()
        await eventually(lambda: _holds(target, sink_settings, first))
    finally:
        stop.set()
        await running
    assert_same(await target.held(sink_settings), expected(first + others, []))


async def _holds(target: Target, settings: Settings, trades: list[dict[str, Any]]) -> bool:
    try:
        held = await target.held(settings)
    except Exception:  # noqa: BLE001  # the tables may not be there yet
        return False
    return bool(expected(trades, []).trades.items() <= held.trades.items())


async def test_nothing_is_committed_before_it_is_acknowledged_and_lost_answers_count_once(
    target: Target, sink_settings: Settings, topics: Topics
) -> None:
    trades = [trade(number) for number in range(30)]
    candles = [candle(minute, 7 + minute) for minute in range(3)]
    await publish(sink_settings, topics.trades, [record(one) for one in trades])
    await publish(sink_settings, topics.candles(), [record(one) for one in candles])
    silent, stop = NeverAnswers(target.store(sink_settings)), asyncio.Event()
    running = asyncio.create_task(run_sink(sink_settings, silent, target.config(once=False), stop))
    await asyncio.wait_for(silent.asked.wait(), 60)
    stop.set()
    await running
    offsets = await group_offsets(sink_settings, topics.group(f"sink.{target.name}"))
    assert not any(offsets.values())

    store = AnswersLost(target.store(sink_settings))
    await run_sink(sink_settings, store, target.config(), asyncio.Event())
    assert store.lost == 2
    held = await target.held(sink_settings)
    assert_same(held, expected(trades, candles))
    assert held.rows in (None, 33), "the insert's token was not recognised"


async def test_an_old_owner_that_wakes_up_after_its_successor_wrote_changes_nothing(
    target: Target, sink_settings: Settings, topics: Topics
) -> None:
    trades, candles = [trade(number) for number in range(20)], [candle(0, 5), candle(0, 9)]
    first = {topics.trades: trades[:10], topics.candles(): candles[:1]}
    later = {topics.trades: trades[10:], topics.candles(): candles[1:]}
    old, successor = target.store(sink_settings), target.store(sink_settings)
    partition = partition_of(record(trades[0]).key, sink_settings.partitions)
    held_back = [await batch_of(old, TopicPartition(topic, partition), first[topic], 0) for topic in first]
    for topic, values in first.items():
        tp = TopicPartition(topic, partition)
        batches = [await batch_of(successor, tp, values, 0)]
        batches.append(await batch_of(successor, tp, later[topic], len(values), batches[0].next))
        for batch in batches:
            await successor.write([batch])
    for batch in held_back:
        with suppress(MovedError):  # a store that holds its own positions notices
            await old.write([batch])
    await old.close()
    await successor.close()
    assert_same(await target.held(sink_settings), expected(trades, candles))


async def batch_of(
    store: Store, tp: TopicPartition, values: Sequence[dict[str, Any]], first: int, position: int | None = None
) -> Batch:
    """A batch of these records, encoded by a store; without a `position` the store begins with it."""
    outgoing = [record(value) for value in values]
    if position is None:
        await store.open()
        await store.positions([tp], {})
    records = [Written(first + place, one.value or b"", one.key) for place, one in enumerate(outgoing)]
    end = first + len(records)
    batch = Batch(tp=tp, first=first, last=end - 1, next=end, count=len(records))
    batch.chunk, batch.rows, refused = store.encode(tp, records)
    assert not refused
    return batch


async def test_poison_is_told_once_and_the_rest_arrives(
    target: Target, sink_settings: Settings, topics: Topics
) -> None:
    poison = {
        "first": b"\xff\xfe not JSON",
        "nan": record(trade(1, price="NaN")).value,
        "schema": b'{"exchange":"binance"}',
        "huge": b'{"exchange":"' + b"x" * 900_000 + b'"}',
        "number": record(trade(2, qty=0.1)).value,
        "tall": record(trade(3, price="1.1234567890123456789")).value,
        "last": b"[" * 10_000,
    }
    good = [trade(number) for number in range(10, 16)]
    records = [record(poison["first"])]
    for bad, fine in zip(["nan", "schema", "huge", "number", "tall"], good, strict=False):
        records += [record(fine), record(poison[bad])]
    records += [record(good[5]), record(poison["last"])]
    placed = await publish(sink_settings, topics.trades, records)
    refused = [
        (str(offset), one.value)
        for one, (_, offset) in zip(records, placed, strict=True)
        if one.value in poison.values()
    ]
    for _ in range(2):
        await drain(target, sink_settings, file_records=4)
        letters = await dead_letters(sink_settings, topics.trades)
        told = [(dict(one.headers)["__streams.errors.offset"].decode(), one.value) for one in letters if one.value]
        assert sorted(told) == sorted(refused)
        assert all(dict(one.headers)["__streams.errors.topic"] == topics.trades.encode() for one in letters)
        assert_same(await target.held(sink_settings), expected(good, []))
        await rewind(sink_settings, f"sink.{target.name}", [topics.trades])


async def test_a_killed_sink_loses_and_doubles_nothing(
    target: Target, sink_settings: Settings, topics: Topics, environment: dict[str, str]
) -> None:
    trades = [trade(number, symbol=f"S{number % 50}") for number in range(6_000)]
    await publish(sink_settings, topics.trades, [record(one) for one in trades])
    more = ["--file-records", "500"] if target.name == "parquet" else []
    command = [sys.executable, "-m", "candlewick", "sink", target.name, "--instance-id", "one", *more]
    environment = os.environ | environment | {"CANDLEWICK_COLD": sink_settings.cold or ""}
    if sink_settings.redis:
        environment["CANDLEWICK_REDIS"] = sink_settings.redis.get_secret_value()
    if sink_settings.postgres:
        environment["CANDLEWICK_POSTGRES"] = sink_settings.postgres.get_secret_value()
    process = await asyncio.to_thread(subprocess.Popen, command, env=environment, stderr=subprocess.PIPE)
    try:
        assert process.stderr is not None
        await asyncio.to_thread(_until, process.stderr, b'"assigned"')
        await eventually(lambda: _holds_any(target, sink_settings))
    finally:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    await drain(target, sink_settings, file_records=500, instance_id="one")
    assert_same(await target.held(sink_settings), expected(trades, []))


def _until(lines: Any, word: bytes) -> None:
    for line in lines:
        if word in line:
            return


async def _holds_any(target: Target, settings: Settings) -> bool:
    try:
        return bool((await target.held(settings)).trades)
    except Exception:  # noqa: BLE001  # the tables may not be there yet
        return False


async def test_being_told_to_stop_writes_what_was_read(
    target: Target, sink_settings: Settings, topics: Topics, monkeypatch: pytest.MonkeyPatch
) -> None:
    trades = [trade(number) for number in range(12)]
    await publish(sink_settings, topics.trades, [record(one) for one in trades])
    stop = asyncio.Event()
    taken = asyncio.Event()
    take = Partition.take

    def noticed(*arguments: Any) -> None:
        take(*arguments)
        taken.set()

    monkeypatch.setattr(Partition, "take", noticed)
    store = target.store(sink_settings)
    running = asyncio.create_task(run_sink(sink_settings, store, target.config(once=False, file_records=500), stop))
    await asyncio.wait_for(taken.wait(), 60)
    stop.set()
    await running
    assert_same(await target.held(sink_settings), expected(trades, []))
    offsets = await group_offsets(sink_settings, topics.group(f"sink.{target.name}"))
    assert max(offset for (topic, _), offset in offsets.items() if topic == topics.trades) >= 12

"""The signals processor on a real Kafka: the same signals over kills, restarts, two processes and bad records."""

import asyncio
import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from eventually import eventually
from many_markets import DAY_MS, MINUTE_MS, PARTITIONS, MarketsLog, QuietMarkets, Stored, candle

from market.codec import decode_signal, encode_signal, header
from market.errors import MalformedError
from market.partition import partition_of
from market.signal import Signal, SignalState
from market.topics import Topics
from processors.signals.core import SignalCore
from processors.signals.rules import SignalRules, rules_of
from runtime.kafka import Outgoing, Publisher, TransactionalPublisher, read_to_end
from runtime.kafka.admin import committed_offsets, topic_id
from runtime.settings import Settings

MARKETS = [f"{exchange}:{base}-USDT" for exchange in ("binance", "kraken", "okx") for base in ("BTC", "ETH")]
START = 1_700_006_400_000 // DAY_MS * 1440 + 700
RULES_TOML = """
[correlation]
pairs = [["binance:BTC-USDT", "kraken:BTC-USDT"]]
windows_minutes = [60]
[correlation_matrix]
window_minutes = 60
[volume_zscore]
min_minutes = 60
[return_zscore]
min_minutes = 60
"""
RULES: SignalRules = rules_of({
    "correlation": {"pairs": [["binance:BTC-USDT", "kraken:BTC-USDT"]], "windows_minutes": [60]},
    "correlation_matrix": {"window_minutes": 60}, "volume_zscore": {"min_minutes": 60},
    "return_zscore": {"min_minutes": 60},
})  # fmt: skip


class SignalProcesses:
    """Processes of ``candlewick signals``."""

    def __init__(self, environment: dict[str, str], rules: Path) -> None:
        self._environment = environment
        self._rules = rules
        self.running: list[subprocess.Popen[bytes]] = []

    def start(self, *flags: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "candlewick", "signals", "--rules", str(self._rules), *flags]
        self.running.append(subprocess.Popen(command, env=self._environment))
        return self.running[-1]

    def kill(self, process: subprocess.Popen[bytes]) -> None:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        self.running.remove(process)

    def stop(self) -> None:
        running = [process for process in self.running if process.poll() is None]
        for process in running:
            process.send_signal(signal.SIGTERM)
        assert [process.wait(30) for process in running] == [0 for _ in running]


@pytest.fixture
def processes(environment: dict[str, str], tmp_path: Path) -> Iterator[SignalProcesses]:
    (tmp_path / "rules.toml").write_text(RULES_TOML)
    started = SignalProcesses(environment, tmp_path / "rules.toml")
    yield started
    started.stop()


def made_markets() -> tuple[QuietMarkets, random.Random]:
    at, markets = random.Random(7), QuietMarkets(MARKETS)
    for number in range(60, 400):
        if at.random() < 0.3:
            what = at.choice([{"close": 1.012}, {"volume": 40}, {"trades": 0}, {"absent": True}])
            markets.odd[at.choice(MARKETS), START + number] = what
    return markets, at


async def feed(settings: Settings, markets: QuietMarkets, minutes: Sequence[int], *more: Outgoing) -> None:
    """Append candles of these minutes as the engine does: one transaction of each partition."""
    log = MarketsLog()
    markets.write(log, minutes)
    for partition, records in log.partitions.items():
        outgoing = [Outgoing(record.key, record.value, record.headers, partition) for record in records]
        publisher = TransactionalPublisher(settings, f"{settings.prefix}feed-{partition}")
        async with publisher, publisher.transaction() as transaction:
            await transaction.send(settings.topics.candles(), outgoing)
    async with Publisher(settings) as publisher_of_one:
        await publisher_of_one.await_acknowledgements(
            [await publisher_of_one.send(settings.topics.candles(), one) for one in more]
        )


async def records_of(settings: Settings, topic: str) -> list[Stored]:
    return [
        Stored(record.offset, record.timestamp, record.key or b"", record.value, tuple(record.headers))
        async for records in read_to_end(settings, topic)
        for record in records
    ]


async def expected(settings: Settings) -> list[bytes]:
    """What one reading of the log as it stands tells, in its order."""
    placed: list[tuple[int, int, int, Stored]] = []
    async for records in read_to_end(settings, settings.topics.candles()):
        for r in records:
            stored = Stored(r.offset, r.timestamp, r.key or b"", r.value, tuple(r.headers))
            placed.append((r.timestamp, r.partition, r.offset, stored))
    core, told = SignalCore(RULES, PARTITIONS), list[Signal]()
    for log_ms, partition, _, record in sorted(placed):
        told += core.pass_time(log_ms)
        try:
            told += core.take(record, partition, log_ms)
        except MalformedError:
            continue
    return [encode_signal(one) for one in told]


async def told(settings: Settings) -> list[bytes]:
    records = await records_of(settings, settings.topics.signals)
    assert all(record.key.decode() == decode_signal(record.value or b"").key for record in records)
    return [record.value or b"" for record in records]


def by_key(values: Sequence[bytes]) -> dict[str, list[bytes]]:
    """The order that Kafka keeps, without what was told again."""
    keyed: dict[str, list[bytes]] = {}
    for value in dict.fromkeys(values):
        keyed.setdefault(decode_signal(value).key, []).append(value)
    return keyed


async def test_it_tells_over_kills_and_restarts_what_one_reading_tells(
    settings: Settings, topics: Topics, processes: SignalProcesses
) -> None:
    markets, at = made_markets()
    await feed(settings, markets, range(START, START + 100))
    running = processes.start("--instance-id", "signals-0")
    await eventually(lambda: has_records(settings, topics.signals), timeout_s=60)
    for number in range(100, 160, 12):
        await feed(settings, markets, range(START + number, START + number + 12))
        if at.random() < 0.8:
            await asyncio.sleep(at.random())  # a kill may come anywhere
            processes.kill(running)
            running = processes.start("--instance-id", "signals-0")
    processes.kill(running)
    poison = Outgoing(MARKETS[0].encode(), b"{", (("from", b"test"),), partition_of(MARKETS[0].encode(), PARTITIONS))
    ahead_ms = 4_000_000_000_000 // MINUTE_MS
    ahead = Outgoing(MARKETS[0].encode(), candle(MARKETS[0], ahead_ms, 1, 1, 1), (), poison.partition)
    await feed(settings, markets, range(START + 160, START + 170), poison, ahead)
    assert processes.start("--once", "--instance-id", "signals-0").wait(90) == 0
    values, right = await told(settings), await expected(settings)
    assert processes.start("--once", "--instance-id", "signals-0").wait(90) == 0
    assert len(await told(settings)) == len(values), "there was nothing new"
    assert by_key(values) == by_key(right)
    kinds = {(decode_signal(value).kind, decode_signal(value).state) for value in right}
    assert {("volume_zscore", SignalState.BEGIN), ("spread", SignalState.END)} <= kinds
    letters = await records_of(settings, topics.dead_letters(topics.candles()))
    assert {letter.value for letter in letters} == {poison.value, ahead.value}
    assert {header(letter.headers, "candlewick.group") for letter in letters} == {b"signals"}
    committed = await committed_offsets(settings, topics.group("signals"))
    assert {offset.metadata.topic_id for offset in committed.values()} == {await topic_id(settings, topics.candles())}


async def test_a_replay_tells_the_same_bytes(settings: Settings, topics: Topics, processes: SignalProcesses) -> None:
    markets, _ = made_markets()
    await feed(settings, markets, range(START, START + 120))
    assert processes.start("--once").wait(90) == 0
    first = await told(settings)
    assert by_key(first) == by_key(await expected(settings))
    assert processes.start("--once", "--from-start").wait(90) == 0
    again = (await records_of(settings, topics.signals))[len(first) :]
    assert by_key([record.value or b"" for record in again]) == by_key(first)


@pytest.mark.long
@pytest.mark.usefixtures("topics")
async def test_a_second_process_waits_and_takes_over(settings: Settings, processes: SignalProcesses) -> None:
    markets, _ = made_markets()
    await feed(settings, markets, range(START, START + 70))
    first = START + 70
    for number in range(2):
        for name in range(2 - number):
            processes.start("--instance-id", f"signals-{number}-{name}")
        await feed(settings, markets, range(first, first + 10))
        await eventually(lambda end=first + 7: tells(settings, end), timeout_s=60)
        processes.kill(processes.running[0])
        first += 10
        await feed(settings, markets, range(first, first + 10))
        await eventually(lambda end=first + 4: tells(settings, end), timeout_s=60)
        first += 10
    processes.stop()
    values, right = by_key(await told(settings)), by_key(await expected(settings))
    assert {key: of_key[: len(values.get(key, []))] for key, of_key in right.items()} == values


async def has_records(settings: Settings, topic: str) -> bool:
    return bool(await records_of(settings, topic))


async def tells(settings: Settings, minute: int) -> bool:
    """Whether the correlations of the next round time at or after this minute are told."""
    return any(decode_signal(value).time_ms // MINUTE_MS >= minute for value in await told(settings))

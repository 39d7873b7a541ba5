"""Processes of ``candlewick signals`` on a real Kafka, what they are fed, and what they must tell."""

import os
import random
import signal
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path

from many_markets import DAY_MS, MINUTE_MS, PARTITIONS, MarketsLog, QuietMarkets, Stored

from market.codec import decode_signal, encode_signal
from market.errors import MalformedError
from market.signal import Signal
from processors.signals.core import SignalCore
from processors.signals.rules import rules_of
from runtime.kafka import Outgoing, Publisher, TransactionalPublisher, read_to_end
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
RULES = rules_of(tomllib.loads(RULES_TOML))


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


def made_markets() -> tuple[QuietMarkets, random.Random]:
    at, markets = random.Random(7), QuietMarkets(MARKETS)
    for number in range(60, 400):
        if at.random() < 0.3:
            what = at.choice([{"close": 1.012}, {"volume": 40}, {"trades": 0}, {"absent": True}])
            markets.odd[at.choice(MARKETS), START + number] = what
    return markets, at


async def feed(settings: Settings, markets: QuietMarkets, minutes: Sequence[int], *more: Outgoing) -> None:
    """Append candles minute by minute; the last minute's as the engine does, in a transaction of each partition."""
    topic = settings.topics.candles()
    async with Publisher(settings) as publisher:
        for minute in minutes[:-1]:
            records = [record for of_partition in by_partition(markets, minute).values() for record in of_partition]
            await publisher.await_acknowledgements(await publisher.send_batches(topic, records, PARTITIONS))
    for partition, records in by_partition(markets, minutes[-1]).items():
        transactional = TransactionalPublisher(settings, f"{settings.prefix}feed-{partition}")
        async with transactional, transactional.transaction() as transaction:
            await transaction.send(topic, records)
    async with Publisher(settings) as publisher:
        await publisher.await_acknowledgements([await publisher.send(topic, record) for record in more])


def by_partition(markets: QuietMarkets, minute: int) -> dict[int, list[Outgoing]]:
    """Partition → the records of a minute, where it has any."""
    log = MarketsLog()
    markets.write(log, [minute])
    return {
        partition: [Outgoing(record.key, record.value, record.headers, partition) for record in records]
        for partition, records in log.partitions.items()
        if records
    }


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


def by_key(values: Sequence[bytes], *, once: bool = True) -> dict[str, list[bytes]]:
    """In the order that Kafka keeps; with `once` without what was told again."""
    keyed: dict[str, list[bytes]] = {}
    for value in dict.fromkeys(values) if once else values:
        keyed.setdefault(decode_signal(value).key, []).append(value)
    return keyed


async def has_records(settings: Settings, topic: str) -> bool:
    return bool(await records_of(settings, topic))


async def tells(settings: Settings, minute: int) -> bool:
    """Whether the correlations of the next round time at or after this minute are told."""
    return any(decode_signal(value).time_ms // MINUTE_MS >= minute for value in await told(settings))

"""``candlewick rolling`` as processes on a real Kafka: feeding it, and holding what it published against `rolled`."""

import random
import signal
import subprocess
import sys
from collections.abc import Mapping

import orjson
from aiokafka.admin import AIOKafkaAdminClient
from rolled import MINUTE, START, Minute, minute, newest, ticker

from market.partition import partition_of
from processors.rolling.steps import TIMEFRAMES
from runtime.kafka import Outgoing, TransactionalPublisher, ends, read_to_end
from runtime.kafka.admin import group_offsets
from runtime.settings import Settings, kafka_address

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
    """Key → what the longer candles' topics say last of each window."""
    found: dict[bytes, dict[tuple[str, int], dict[str, object]]] = {}
    for timeframe in TIMEFRAMES:
        for record in await published(settings, settings.topics.candles(timeframe)):
            assert record.partition == partition_of(record.key, PARTITIONS)
            assert [name for name, _ in record.headers] == ["position"]
            found.setdefault(record.key, {})[timeframe.value, record.fields["open_time_ms"]] = record.fields
    return found


class Workers:
    """Processes of ``candlewick rolling``."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment
        self.running: list[subprocess.Popen[bytes]] = []

    def start(self, *flags: str, stderr: int | None = None) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "candlewick", "rolling", *flags]
        self.running.append(subprocess.Popen(command, env=self.environment, stderr=stderr))
        return self.running[-1]

    def stop(self) -> None:
        running = [process for process in self.running if process.poll() is None]
        for process in running:
            process.send_signal(signal.SIGTERM)
        assert [process.wait(30) for process in running] == [0 for _ in running]


async def check_tickers(
    settings: Settings, fed: Mapping[str, list[Minute]], runs: Mapping[str, list[Minute]] | None = None
) -> None:
    """One ticker for each live minute; the minutes of `runs` are in them and make none of their own."""
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
        held = newest([*records, *(runs or {}).get(symbol, [])])
        assert orjson.loads(next(iter(by_time[last]))) == ticker(held, last - MINUTE)


async def members(settings: Settings, count: int) -> bool:
    client = AIOKafkaAdminClient(bootstrap_servers=kafka_address(settings))
    await client.start()
    try:
        (described,) = await client.describe_consumer_groups([settings.topics.group("rolling")])
        members = described.groups[0][5]
    finally:
        await client.close()
    return len(members) == count and described.groups[0][2] == "Stable"


async def is_read_to_its_end(settings: Settings) -> None:
    bounds = await ends(settings, settings.topics.candles())
    offsets = await group_offsets(settings, settings.topics.group("rolling"))
    read = {partition: at for (topic, partition), at in offsets.items() if topic == settings.topics.candles()}
    assert {p: end for p, (_, end) in bounds.items() if end} == {p: at for p, at in read.items() if at}

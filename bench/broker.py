"""Servers of the benchmark's own on free ports, and topics filled with what the generator makes."""

import asyncio
import signal
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path

from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import KafkaException, NewTopic
from trades import PARTITIONS, Candles, Market, endings

from deploy.local import stack
from deploy.local.plan import Extra
from runtime.kafka import Outgoing, Publisher
from runtime.kafka.admin import apply_topics
from runtime.settings import Settings, kafka_address, load_settings

_CHUNK = 20_000


@dataclass(frozen=True, kw_only=True)
class Log:
    """A filled input topic with all topics beside it."""

    settings: Settings
    market: Market
    candles: Candles
    trades: int
    """Records with a value."""
    records: int


@contextmanager
def broker(*stores: str) -> Iterator[Settings]:
    """A running Kafka in a temporary folder; of the other stores of the stack, these. SIGTERM stops it too."""
    with servers("kafka", *stores) as settings:
        yield settings


@contextmanager
def servers(*names: str) -> Iterator[Settings]:
    """These servers of the stack, in a temporary folder on free ports. SIGTERM stops them too."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with tempfile.TemporaryDirectory(prefix="candlewick-bench-") as folder:
        settings = load_settings(
            home=Path(folder),
            kafka_port=0,
            redis_port=0,
            clickhouse_port=0,
            postgres_port=0,
            kafka=None if "kafka" in names else "not.started:9092",
            redis=None if "redis" in names else "redis://not.started",
            clickhouse=None if "clickhouse" in names else "http://not.started",
            partitions=PARTITIONS,
            log_level="error",
        )
        try:
            stack.up(settings, extras=[Extra.POSTGRES] if Extra.POSTGRES in names else [])
            yield settings
        finally:
            stack.down(settings)


def filled(settings: Settings, prefix: str, market: Market) -> Log:
    """Topics under `prefix`, the input filled with what `market` says."""
    settings = settings.model_copy(update={"prefix": prefix})
    candles: Candles = {}
    counts = asyncio.run(_fill(settings, chain(market.records(candles), endings(market))))
    return Log(settings=settings, market=market, candles=candles, trades=counts[0], records=counts[1])


async def _fill(settings: Settings, records: Iterable[Outgoing]) -> tuple[int, int]:
    await apply_topics(settings)
    return await publish(settings, records)


async def publish(settings: Settings, records: Iterable[Outgoing]) -> tuple[int, int]:
    """Put records into the input topic; returns how many are trades, and how many all of them are."""
    trades = count = 0
    left = iter(records)
    async with Publisher(settings) as publisher:
        while chunk := list(islice(left, _CHUNK)):
            await publisher.await_acknowledgements(
                await publisher.send_batches(settings.topics.trades, chunk, PARTITIONS)
            )
            count += len(chunk)
            trades += sum(record.value is not None for record in chunk)
    return trades, count


def make_topic(settings: Settings, name: str) -> None:
    """An output topic for a peer; it keeps all: peers stamp candles with market time, long behind any retention."""
    admin = _admin(settings)  # held until it is answered
    keep = {"retention.ms": "-1"}
    admin.create_topics([NewTopic(name, PARTITIONS, 1, config=keep)])[name].result(30)


def forget_topics(settings: Settings, beginning: str) -> None:
    """Drop the topics that begin so: a peer's output and whatever it keeps beside it."""
    admin = _admin(settings)
    names = [name for name in admin.list_topics(timeout=30).topics if name.startswith(beginning)]
    for future in admin.delete_topics(names).values() if names else ():
        future.result(30)


def forget_candles(settings: Settings) -> None:
    """Drop what Candlewick's engine wrote and its group, so that the next run starts over the same input."""
    topics = settings.topics
    forget_outputs(
        settings, [topics.candles(), topics.state, topics.late, topics.dead_letters(topics.trades)], "candles"
    )


def forget_outputs(settings: Settings, written: Sequence[str], group: str) -> None:
    """Make these topics anew and drop the group that wrote them."""
    admin = _admin(settings)  # held until it is answered
    for future in admin.delete_topics(list(written)).values():
        future.result(30)
    forget_group(settings, group)
    deadline_s = time.monotonic() + 30
    while True:  # the broker deletes in the background, and refuses to make a topic that is still going
        try:
            asyncio.run(apply_topics(settings))
        except Exception:
            if time.monotonic() > deadline_s:
                raise
            time.sleep(0.5)
        else:
            return


def forget_group(settings: Settings, name: str) -> None:
    """Drop a group of ours, so that its next run begins at the log's beginning; also one that never was."""
    group, admin = settings.topics.group(name), _admin(settings)  # held until it is answered
    with suppress(KafkaException):
        admin.delete_consumer_groups([group])[group].result(30)


def _admin(settings: Settings) -> AdminClient:
    return AdminClient({"bootstrap.servers": kafka_address(settings), "log_level": 0})

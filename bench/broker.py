"""A Kafka of the benchmark's own on a free port, and topics filled with what the generator makes."""

import asyncio
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic
from trades import PARTITIONS, Candles, Market

from deploy.local import stack
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
def broker() -> Iterator[Settings]:
    """A running Kafka in a temporary folder; the other stores of the stack are not started."""
    with tempfile.TemporaryDirectory(prefix="candlewick-bench-") as folder:
        settings = load_settings(
            home=Path(folder),
            kafka_port=0,
            redis="redis://not.started",
            clickhouse="http://not.started",
            partitions=PARTITIONS,
            log_level="error",
        )
        try:
            stack.up(settings)
            yield settings
        finally:
            stack.down(settings)


def filled(settings: Settings, prefix: str, market: Market) -> Log:
    """Topics under `prefix`, the input filled with what `market` says."""
    return asyncio.run(_fill(settings.model_copy(update={"prefix": prefix}), market))


async def _fill(settings: Settings, market: Market) -> Log:
    await apply_topics(settings)
    candles: Candles = {}
    trades = records = 0
    async with Publisher(settings) as publisher:
        chunk: list[Outgoing] = []
        for record in market.records(candles):
            chunk.append(record)
            if len(chunk) == _CHUNK:
                await publisher.settle(await publisher.send_batches(settings.topics.trades, chunk, PARTITIONS))
                chunk = []
            records += 1
            trades += record.value is not None
        await publisher.settle(await publisher.send_batches(settings.topics.trades, chunk, PARTITIONS))
    return Log(settings=settings, market=market, candles=candles, trades=trades, records=records)


def make_topic(settings: Settings, name: str) -> None:
    """An output topic for a peer."""
    admin = _admin(settings)  # held until it is answered
    admin.create_topics([NewTopic(name, PARTITIONS, 1)])[name].result(30)


def forget_topics(settings: Settings, beginning: str) -> None:
    """Drop the topics that begin so: a peer's output and whatever it keeps beside it."""
    admin = _admin(settings)
    names = [name for name in admin.list_topics(timeout=30).topics if name.startswith(beginning)]
    for future in admin.delete_topics(names).values() if names else ():
        future.result(30)


def forget_candles(settings: Settings) -> None:
    """Drop what Candlewick's engine wrote and its group, so that the next run starts over the same input."""
    topics, admin = settings.topics, _admin(settings)
    written: Sequence[str] = [topics.candles(), topics.state, topics.late, topics.dead_letters(topics.trades)]
    for future in admin.delete_topics(list(written)).values():
        future.result(30)
    for future in admin.delete_consumer_groups([topics.group("candles")]).values():
        future.result(30)
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


def _admin(settings: Settings) -> AdminClient:
    return AdminClient({"bootstrap.servers": kafka_address(settings), "log_level": 0})

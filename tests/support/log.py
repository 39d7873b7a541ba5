"""Records as the topics hold them, written by plain JSON, and what any store must hold of them."""

import json
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.structs import TopicPartition

from runtime.kafka import Committed, Outgoing, Publisher, read_to_end
from runtime.settings import Settings, kafka_address

T0_US = 1_700_000_000_000_000  # 2023-11-14T22:13:20Z
DIGITS_31 = "9876543210987.123456789012345678"
"""As wide as a price may be, where `qty` is small."""


def trade(number: int, *, symbol: str = "BTC-USDT", **fields: Any) -> dict[str, Any]:
    return {
        "exchange": "binance",
        "symbol": symbol,
        "trade_id": str(number),
        "price": f"{27000 + number}.5",
        "qty": "0.001",
        "side": "buy" if number % 2 else "sell",
        "time_us": T0_US + number * 1000,
        "received_us": T0_US + number * 1000 + 5,
        "source": "ws",
    } | fields


def candle(minute: int, revision: int, *, symbol: str = "BTC-USDT", **fields: Any) -> dict[str, Any]:
    open_ms = 1_700_000_040_000 + minute * 60_000
    return {
        "exchange": "binance",
        "symbol": symbol,
        "timeframe": "1m",
        "open_time_ms": open_ms,
        "close_time_ms": open_ms + 59_999,
        "open": "1",
        "high": "3.25",
        "low": "0.5",
        "close": f"{1 + revision % 9 / 8:g}",
        "volume": "7.000000000000000001",
        "quote_volume": "12.5",
        "trades": 9,
        "taker_buy_volume": "4",
        "taker_buy_quote_volume": "5.5",
        "first_trade_id": "1",
        "last_trade_id": "9",
        "revision": revision,
        "status": "complete",
    } | fields


def record(value: dict[str, Any] | bytes | None, *, run: str | None = None, symbol: str = "BTC-USDT") -> Outgoing:
    """As a producer sends it; the partition is that of the key."""
    key = f"binance:{symbol}"
    if isinstance(value, dict):
        key = f"{value['exchange']}:{value['symbol']}"
        value = json.dumps(value).encode()
    headers = [] if run is None else [("run", run.encode())]
    return Outgoing(key.encode(), value, headers)


async def publish(settings: Settings, topic: str, records: list[Outgoing]) -> list[tuple[int, int]]:
    """Publish in order; returns (partition, offset) of each."""
    async with Publisher(settings) as publisher:
        placed = await publisher.await_acknowledgements([await publisher.send(topic, one) for one in records])
    return [(metadata.partition, metadata.offset) for metadata in placed]


async def rewind(settings: Settings, group: str, topics: list[str] | tuple[str, ...]) -> None:
    """Move a group that nobody is in to offset 0."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=kafka_address(settings), group_id=settings.topics.group(group), enable_auto_commit=False
    )
    tps = [TopicPartition(topic, partition) for topic in topics for partition in range(settings.partitions)]
    await consumer.start()
    try:
        consumer.assign(tps)
        await consumer.commit(dict.fromkeys(tps, 0))
    finally:
        await consumer.stop()


async def commit(settings: Settings, group: str, offsets: dict[tuple[str, int], Committed]) -> None:
    """Commit these for a group that nobody is in, byte for byte."""
    consumer = AIOKafkaConsumer(bootstrap_servers=kafka_address(settings), group_id=group, enable_auto_commit=False)
    await consumer.start()
    try:
        consumer.assign([TopicPartition(*place) for place in offsets])
        await consumer.commit(
            {TopicPartition(*place): (at.offset, at.metadata.encode()) for place, at in offsets.items()}
        )
    finally:
        await consumer.stop()


async def dead_letters(settings: Settings, topic: str) -> list[Any]:
    """What stands in the dead-letter topic of `topic`."""
    return [one async for records in read_to_end(settings, f"{topic}.dlq") for one in records]

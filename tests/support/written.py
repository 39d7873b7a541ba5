"""Records written into the real stores by the sinks' own stores, without Kafka in between."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from market.candle import Candle, Status
from market.codec import encode_candle, encode_ticker, encode_trade
from market.partition import partition_of
from market.ticker import Ticker, Window
from market.trade import Side, Trade
from runtime.kafka import TopicPartition
from sinks.store import Batch, Store

MINUTE = 60_000
T0 = 1_610_064_000_000  # 2021-01-08 00:00 UTC
EXCHANGE, SYMBOL = "binance", "BTC-USDT"
PARTITIONS = 4
"""As `stack` in conftest has them."""


@dataclass(frozen=True)
class Written:
    """A record as the sinks see it."""

    offset: int
    value: bytes
    key: bytes
    timestamp: int = T0
    headers: Sequence[tuple[str, bytes]] = ()


async def write(store: Store, topic: str, values: Sequence[bytes], *, first: int = 0) -> None:
    """As one batch of each partition, with offsets from `first` on."""
    await write_records(store, topic, [_record(first + place, value) for place, value in enumerate(values)])


def _record(offset: int, value: bytes) -> Written:
    fields = json.loads(value)
    return Written(offset, value, f"{fields['exchange']}:{fields['symbol']}".encode())


async def write_records(store: Store, topic: str, records: Sequence[Written]) -> None:
    """As one batch of each partition; the store is opened for it, as a sink that starts would."""
    placed: dict[int, list[Written]] = {}
    for record in records:
        placed.setdefault(partition_of(record.key, PARTITIONS), []).append(record)
    await store.open()
    try:
        await store.positions([TopicPartition(topic, partition) for partition in placed], {})
        for partition, of_partition in placed.items():
            tp, end = TopicPartition(topic, partition), of_partition[-1].offset
            encoded = store.encode(tp, of_partition)
            assert not encoded.refused
            batch = Batch(tp=tp, first=of_partition[0].offset, last=end, next=end + 1, count=len(of_partition))
            batch.chunk, batch.rows = encoded.chunk, encoded.rows
            await store.write([batch])
    finally:
        await store.close()


def candle(minute: int, *, revision: int = 7, close: str = "27000.1", status: Status = Status.COMPLETE) -> bytes:
    """A minute of 2021-01-08; its exact decimals have more digits than a float."""
    return encode_candle(
        Candle(
            exchange=EXCHANGE, symbol=SYMBOL, timeframe="1m",
            open_time_ms=T0 + minute * MINUTE, close_time_ms=T0 + (minute + 1) * MINUTE - 1,
            open=Decimal(27000), high=Decimal(28000), low=Decimal("26999.5"), close=Decimal(close),
            volume=Decimal("0.123456789012345678"), quote_volume=Decimal("3333.333333333333333331"), trades=2,
            taker_buy_volume=Decimal("0.1"), taker_buy_quote_volume=Decimal("2700.01"),
            first_trade_id="1", last_trade_id="2", revision=revision, status=status,
        )
    )  # fmt: skip


def trade(number: int) -> bytes:
    """A trade a millisecond."""
    return encode_trade(
        Trade(
            exchange=EXCHANGE, symbol=SYMBOL, trade_id=str(number), price=Decimal("27000.1"), qty=Decimal("0.001"),
            side=Side.SELL, time_us=T0 * 1000 + number * 1000, received_us=T0 * 1000 + number * 1000 + 5,
        )
    )  # fmt: skip


def ticker(symbol: str, minute: int) -> bytes:
    """Both windows up to the minute's end."""
    window = Window(
        minutes=60, open=Decimal(1), high=Decimal(3), low=Decimal("0.5"), close=Decimal(2), change=Decimal(-1),
        change_percent=Decimal("-1.25"), vwap=Decimal("1.333333333333333333"), volume=Decimal(5),
        quote_volume=Decimal("6.5"), taker_buy_volume=Decimal(2), trades=9, status=Status.HOLE,
        since_ms=T0, missing=3, taker_buy_share=Decimal("0.4"), realised_volatility=Decimal("0.000000000001"),
    )  # fmt: skip
    return encode_ticker(
        Ticker(
            exchange=EXCHANGE, symbol=symbol, time_ms=T0 + (minute + 1) * MINUTE, last=Decimal(2), live=False,
            revision=minute, windows={"1h": window, "24h": window},
        )
    )  # fmt: skip

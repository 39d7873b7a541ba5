"""Bytewax: its tumbling windows by event time, without recovery.

``bytewax_candles.py KAFKA INPUT OUTPUT TRADES RECORDS``
"""

import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import bytewax.operators as op
import orjson
from bytewax.connectors.kafka import KafkaSink, KafkaSinkMessage, KafkaSource
from bytewax.dataflow import Dataflow
from bytewax.operators.windowing import EventClock, TumblingWindower, fold_window
from bytewax.testing import run_main
from candle import Candle, encoded
from result import Result

kafka, source, output, trades = sys.argv[1:5]
result = Result(int(trades))
MINUTE = timedelta(minutes=1)
ALIGNED = datetime(2023, 1, 1, tzinfo=UTC)
NOW = datetime.now(UTC)


def parse(message: Any) -> tuple[str, dict[str, Any]] | None:
    """A trade by its key; None for a marker."""
    if message.value is None:
        return None
    result.count()
    return message.key.decode(), orjson.loads(message.value)


def event_time(trade: dict[str, Any]) -> datetime:
    """When the exchange says it was."""
    return datetime.fromtimestamp(trade["time_us"] / 1e6, UTC)


def add(candle: list[Candle], trade: dict[str, Any]) -> list[Candle]:
    """Fold; the list is empty before the first trade, whose price a candle needs."""
    price, qty = Decimal(trade["price"]), Decimal(trade["qty"])
    if not candle:
        candle.append(Candle(price))
    candle[0].add(price, qty, trade["side"])
    return candle


def message(keyed: tuple[str, tuple[int, list[Candle]]]) -> KafkaSinkMessage:
    """A closed window as a record; windows are numbered from the alignment on."""
    key, (window, (candle,)) = keyed
    open_time_ms = int(ALIGNED.timestamp() * 1000) + window * 60_000
    return KafkaSinkMessage(key.encode(), encoded(candle, key, open_time_ms))


clock = EventClock(
    ts_getter=event_time,
    wait_for_system_duration=timedelta(0),
    now_getter=lambda: NOW,  # the log alone moves the watermark
    to_system_utc=lambda _: None,
)
flow = Dataflow("candles")
records = op.input(
    "trades",
    flow,
    KafkaSource(
        [kafka], [source], tail=False, batch_size=10_000, add_config={"max.partition.fetch.bytes": str(4 << 20)}
    ),
)
windows = fold_window(
    "minutes",
    op.filter_map("parse", records, parse),
    clock,
    TumblingWindower(length=MINUTE, align_to=ALIGNED),
    list,
    add,
    lambda one, other: one + other,
    ordered=False,
)
op.output("candles", op.map("encode", windows.down, message), KafkaSink([kafka], output))
run_main(flow)
result.tell()

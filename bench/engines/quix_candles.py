"""Quix Streams: tumbling windows, exactly once, state with changelog.

``quix_candles.py KAFKA INPUT OUTPUT TRADES RECORDS``
"""

import sys
from decimal import Decimal
from typing import Any

import orjson
from quixstreams import Application
from result import Result

kafka, source, output, trades = sys.argv[1:5]
result = Result(int(trades))


def begin(trade: dict[str, Any]) -> list[Any]:
    """The first trade of a window; the state store holds JSON, so decimals are kept as strings."""
    count()
    price, qty = trade["price"], trade["qty"]
    quote, buy = str(Decimal(price) * Decimal(qty)), trade["side"] == "buy"
    return [price, price, price, price, qty, quote, 1, qty if buy else "0", quote if buy else "0"]


def add(candle: list[Any], trade: dict[str, Any]) -> list[Any]:
    """A further trade."""
    count()
    price, qty = Decimal(trade["price"]), Decimal(trade["qty"])
    quote = price * qty
    if price > Decimal(candle[1]):
        candle[1] = trade["price"]
    elif price < Decimal(candle[2]):
        candle[2] = trade["price"]
    candle[3] = trade["price"]
    candle[4] = str(Decimal(candle[4]) + qty)
    candle[5] = str(Decimal(candle[5]) + quote)
    candle[6] += 1
    if trade["side"] == "buy":
        candle[7] = str(Decimal(candle[7]) + qty)
        candle[8] = str(Decimal(candle[8]) + quote)
    return candle


def count() -> None:
    """Stop after the last trade: it is in the log behind all others."""
    result.count()
    if result.trades == int(trades):
        app.stop()


NAMES = ("open", "high", "low", "close", "volume", "quote_volume", "trades", "taker_buy_volume")


def encode(window: dict[str, Any], key: str, timestamp: int, headers: Any) -> bytes:  # noqa: ARG001
    """A closed window as JSON."""
    exchange, symbol = key.split(":")
    candle = dict(zip((*NAMES, "taker_buy_quote_volume"), window["value"], strict=True))
    return orjson.dumps({"exchange": exchange, "symbol": symbol, "open_time_ms": window["start"], **candle})


app = Application(
    kafka,
    consumer_group=output,
    auto_offset_reset="earliest",
    commit_interval=1.0,
    state_dir="quix",
    processing_guarantee="exactly-once",
    use_changelog_topics=True,
    loglevel="WARNING",
    consumer_extra_config={
        "max.partition.fetch.bytes": 4 << 20,
        "queued.min.messages": 100_000,
        "fetch.wait.max.ms": 100,
    },
)
trades_in = app.topic(
    source,
    key_deserializer="str",
    value_deserializer="json",
    timestamp_extractor=lambda trade, *_: trade["time_us"] // 1000 if trade else 0,
)
candles_out = app.topic(output, key_serializer="str", value_serializer="bytes")
stream = app.dataframe(trades_in).filter(lambda trade: trade is not None)  # markers have no value
stream = stream.tumbling_window(60_000, grace_ms=1000, name="candle").reduce(reducer=add, initializer=begin)
stream.final(closing_strategy="partition").apply(encode, metadata=True).to_topic(candles_out)
app.run()
result.tell()

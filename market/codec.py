"""Bytes to models and back: the record formats of the topics.

Decimals are strings in canonical plain form. Unknown fields are passed over; missing optional ones have the model's
default. Whatever is wrong with the bytes, decoding raises `MalformedError` and nothing else.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, TypeVar

import msgspec
import orjson

from market.candle import Candle
from market.decimals import parse_decimal, plain
from market.errors import MalformedError
from market.feed import FeedEvent, Progress
from market.ticker import Ticker
from market.timeframe import MINUTE_US
from market.trade import Marker, Proof, Side, Source, Trade

Headers = Sequence[tuple[str, bytes]]

RUN_HEADER = "run"
CUT_HEADER = "cut"
_MARKER_HEADERS = frozenset({"complete_until_us", "published_until_us", "proof"})
_MAX_US = 1 << 62

T = TypeVar("T")


class _TradeJson(msgspec.Struct, gc=False):
    """A trade as it stands in JSON: decimals are strings, never numbers."""

    exchange: str
    symbol: str
    trade_id: str
    price: str
    qty: str
    side: Side
    time_us: int
    received_us: int = 0
    source: Source = Source.WS


_trade_json = msgspec.json.Decoder(_TradeJson)


def encode_trade(trade: Trade) -> bytes:
    """A value of `md.trades.v1`."""
    return orjson.dumps(
        {
            "exchange": trade.exchange,
            "symbol": trade.symbol,
            "trade_id": trade.trade_id,
            "price": plain(trade.price),
            "qty": plain(trade.qty),
            "side": trade.side.value,
            "time_us": trade.time_us,
            "received_us": trade.received_us,
            "source": trade.source.value,
        }
    )


def decode_trade(value: bytes) -> Trade:
    """A trade out of a value of `md.trades.v1`."""
    try:
        wire = _trade_json.decode(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedError(f"not a trade: {error}") from error
    if not (wire.exchange and wire.symbol and wire.trade_id):
        raise MalformedError("not a trade: exchange, symbol or trade_id is empty")
    if not 0 <= wire.time_us < _MAX_US or not 0 <= wire.received_us < _MAX_US:
        raise MalformedError("not a trade: a time is out of range")
    return Trade(
        exchange=wire.exchange,
        symbol=wire.symbol,
        trade_id=wire.trade_id,
        price=parse_decimal(wire.price),
        qty=parse_decimal(wire.qty),
        side=wire.side,
        time_us=wire.time_us,
        received_us=wire.received_us,
        source=wire.source,
    )


def encode_marker(marker: Marker) -> list[tuple[str, bytes]]:
    """The headers of a marker; its record has no value."""
    headers = [
        ("complete_until_us", b"%d" % marker.complete_until_us),
        ("published_until_us", b"%d" % marker.published_until_us),
        ("proof", marker.proof.value.encode()),
    ]
    if marker.last_trade_id is not None:
        headers.append(("last_trade_id", marker.last_trade_id.encode()))
    if marker.last_price is not None:
        headers.append(("last_price", plain(marker.last_price).encode()))
    if marker.run is not None:
        headers.append((RUN_HEADER, marker.run.encode()))
    if marker.end:
        headers.append(("end", b"1"))
    if marker.kline is not None:
        headers.append(("kline", marker.kline))
    return headers


def decode_marker(headers: Headers) -> Marker | None:
    """The marker in a record's headers; None where there is none (a `cut`, or another's record without value)."""
    by_name = dict(headers)
    if _MARKER_HEADERS.isdisjoint(by_name):
        return None
    try:
        complete_until_us = _time_us(by_name["complete_until_us"])
        published_until_us = _time_us(by_name["published_until_us"])
        proof = Proof(by_name["proof"].decode())
        last_price = by_name.get("last_price")
        marker = Marker(
            complete_until_us=complete_until_us,
            published_until_us=published_until_us,
            proof=proof,
            last_trade_id=_text(by_name.get("last_trade_id")),
            last_price=None if last_price is None else parse_decimal(last_price.decode()),
            run=_text(by_name.get(RUN_HEADER)),
            end="end" in by_name,
            kline=by_name.get("kline"),
        )
    except KeyError as error:
        raise MalformedError(f"not a marker: header {error} is missing") from error
    except MalformedError:
        raise
    except (ValueError, AttributeError) as error:
        raise MalformedError(f"not a marker: {error}") from error
    if complete_until_us % MINUTE_US:
        raise MalformedError(f"not a marker: complete_until_us {complete_until_us} is not a whole minute")
    if proof is Proof.KLINE and not marker.kline:
        raise MalformedError("not a marker: proof kline without the header kline")
    return marker


def header(headers: Headers, name: str) -> bytes | None:
    """The value of the last header of that name, or None."""
    for at in range(len(headers) - 1, -1, -1):
        if headers[at][0] == name:
            return headers[at][1]
    return None


def run_of(headers: Headers) -> str | None:
    """The run a trade or candle belongs to; None for live."""
    return _text(header(headers, RUN_HEADER)) if headers else None


def encode_candle(candle: Candle) -> bytes:
    """A value of `md.candles.*.v1`."""
    return _encode(candle)


def decode_candle(value: bytes) -> Candle:
    """A candle out of a value of `md.candles.*.v1`."""
    return _decode(value, Candle)


def encode_ticker(ticker: Ticker) -> bytes:
    """A value of `md.tickers.v1`."""
    return _encode(ticker)


def decode_ticker(value: bytes) -> Ticker:
    """A ticker out of a value of `md.tickers.v1`."""
    return _decode(value, Ticker)


def encode_feed_event(event: FeedEvent) -> bytes:
    """A value of `md.feeds.v1`."""
    return _encode(event)


def decode_feed_event(value: bytes) -> FeedEvent:
    """An event out of a value of `md.feeds.v1`."""
    return _decode(value, FeedEvent)


def encode_progress(progress: Progress) -> bytes:
    """A value of `md.progress.v1`."""
    return _encode(progress)


def decode_progress(value: bytes) -> Progress:
    """Progress out of a value of `md.progress.v1`."""
    return _decode(value, Progress)


def progress_key(key: str, run: str | None) -> bytes:
    """The record key in `md.progress.v1`: the market key, and for a run its id behind a bar."""
    return (key if run is None else f"{key}|{run}").encode()


def dead_letter_headers(
    error: Exception, *, topic: str, partition: int, offset: int, headers: Headers = ()
) -> list[tuple[str, bytes]]:
    """The headers of a dead letter: the record's own, and where and why it was refused, as Kafka Streams names them."""
    return [
        *headers,
        ("__streams.errors.exception", type(error).__name__.encode()),
        ("__streams.errors.message", str(error).encode()),
        ("__streams.errors.topic", topic.encode()),
        ("__streams.errors.partition", b"%d" % partition),
        ("__streams.errors.offset", b"%d" % offset),
    ]


def _encode(model: msgspec.Struct) -> bytes:
    return orjson.dumps(msgspec.to_builtins(model, builtin_types=(Decimal,)), default=_encode_decimal)


def _encode_decimal(value: Any) -> str:
    if isinstance(value, Decimal):
        return plain(value)
    raise TypeError(f"no JSON form for {type(value).__name__}")


def _decode(value: bytes, model: type[T]) -> T:
    try:
        return msgspec.convert(orjson.loads(value), model)
    except (orjson.JSONDecodeError, msgspec.MsgspecError, ArithmeticError, TypeError) as error:
        raise MalformedError(f"not a {model.__name__.lower()}: {error}") from error


def _time_us(value: bytes) -> int:
    number = int(value)
    if not 0 <= number < _MAX_US:
        raise MalformedError(f"not a marker: time {number} is out of range")
    return number


def _text(value: bytes | None) -> str | None:
    if value is None:
        return None
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise MalformedError(f"a header is not UTF-8: {error}") from error

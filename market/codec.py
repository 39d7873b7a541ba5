"""Bytes to models and back: the record formats of the topics.

Decimals are strings in canonical plain form. Unknown fields are passed over; missing optional ones have the model's
default. Decoding alone decides what a record may hold: for bytes that are wrong, or beyond `market.limits`, it
raises `MalformedError`, and no other error. Encoding does not check again. `docs/formats.md` describes each record with
an example.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, TypeVar

import msgspec
import orjson
from msgspec import UNSET, UnsetType, structs

from market.bar import Bar
from market.candle import Candle
from market.decimals import parse_decimal, parse_sum, plain
from market.errors import MalformedError
from market.feed import FeedEvent, Progress
from market.fields import MAX_TIME_US, Name, TimeUs, Whole
from market.funding import FundingRate
from market.given_candle import GivenCandle
from market.instrument import Instrument
from market.limits import (
    check_amounts_of_candle,
    check_bar,
    check_candle,
    check_funding_rate,
    check_instrument,
    check_key,
    check_name,
    check_price,
    check_signal,
    check_ticker,
    parse_amounts,
)
from market.signal import Signal
from market.texts import CandleTexts, encode_texts
from market.ticker import Ticker, Window
from market.timeframe import MINUTE_US
from market.trade import Marker, Proof, Side, Source, Trade

Headers = Sequence[tuple[str, bytes]]

RUN_HEADER = "run"
ROLL_HEADER = "roll"
GROUP_HEADER = "candlewick.group"
"""Of a dead letter: which group refused the record; another may well have taken it."""
_PROOFS: dict[bytes | None, Proof] = {proof.value.encode(): proof for proof in Proof}
_MARKER_HEADERS = frozenset({"complete_until_us", "published_until_us", "proof"})
_MAX_MESSAGE = 1000
_MAX_TIME_DIGITS = 40  # leading zeros are allowed

# msgspec would take "NaN", "1e9" and JSON numbers for a Decimal: these fields are read as texts first.
_DECIMALS: dict[type, list[str]] = {
    model: [field.name for field in structs.fields(model) if field.type in (Decimal, Decimal | None)]
    for model in (Candle, GivenCandle, Bar, Ticker, Window, Instrument, FundingRate)
}
_SIGNED = frozenset({"change", "change_percent", "rate"})

T = TypeVar("T")


class _TradeJson(msgspec.Struct, gc=False):
    """A trade as it stands in JSON: decimals are strings, never numbers."""

    exchange: Name
    symbol: Name
    trade_id: Name
    price: str
    qty: str
    side: Side
    time_us: TimeUs
    received_us: TimeUs = 0
    source: Source = Source.WS
    seq: Whole | UnsetType | None = None


_trade_from_json = msgspec.json.Decoder(_TradeJson).decode


def encode_trade(trade: Trade) -> bytes:
    """A value of `md.trades.v1`."""
    return encode_texts(
        _TradeJson(
            trade.exchange,
            trade.symbol,
            trade.trade_id,
            plain(trade.price),
            plain(trade.qty),
            trade.side,
            trade.time_us,
            trade.received_us,
            trade.source,
            UNSET if trade.seq is None else trade.seq,
        )
    )


def decode_trade(value: bytes) -> Trade:
    """A trade out of a value of `md.trades.v1`."""
    try:
        wire = _trade_from_json(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise MalformedError(f"not a trade: {error}") from error
    check_key(wire.exchange, wire.symbol)
    check_name(wire.trade_id, "trade_id")
    price, qty = parse_amounts(wire.price, wire.qty)
    return Trade(
        exchange=wire.exchange,
        symbol=wire.symbol,
        trade_id=wire.trade_id,
        price=price,
        qty=qty,
        side=wire.side,
        time_us=wire.time_us,
        received_us=wire.received_us,
        source=wire.source,
        seq=None if wire.seq is UNSET else wire.seq,
    )


def usual_form(value: bytes) -> bytes:
    """The trade as `encode_trade` would write it, for `market.columns`; empty if the value is no trade.

    For values with other spaces, or with their fields in another order. `received_us` and `seq` are not kept: no candle
    needs them if ids are numbers, and `market.columns` reads only such ids.
    """
    try:
        wire = _trade_from_json(value)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return b""
    wire.received_us = wire.time_us
    wire.seq = UNSET
    return encode_texts(wire)


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
        headers.append(("kline", encode_given_candle(marker.kline)))
    if marker.claim is not None:
        headers.append(("claim", marker.claim.value.encode()))
    if marker.takes_back:
        headers.append(("takes_back", b"1"))
    return headers


def decode_marker(headers: Headers) -> Marker | None:
    """The marker in a record's headers; None if there is none (a `roll`, or another program's record without value).

    `MalformedError` if the marker is wrong.
    """
    by_name = dict(headers)
    if _MARKER_HEADERS.isdisjoint(by_name):
        return None
    try:
        marker = Marker(
            complete_until_us=_time_us(by_name["complete_until_us"]),
            published_until_us=_time_us(by_name["published_until_us"]),
            proof=_proof(by_name["proof"]),
            last_trade_id=_name(by_name, "last_trade_id"),
            last_price=_price(by_name["last_price"]) if "last_price" in by_name else None,
            run=_name(by_name, RUN_HEADER),
            end="end" in by_name,
            kline=decode_given_candle(_bytes(by_name["kline"])) if "kline" in by_name else None,
            claim=_proof(by_name["claim"]) if "claim" in by_name else None,
            takes_back="takes_back" in by_name,
        )
    except KeyError as error:
        raise MalformedError(f"not a marker: header {error} is missing") from error
    except MalformedError:
        raise
    except ValueError as error:
        raise MalformedError(f"not a marker: {error}") from error
    if marker.complete_until_us % MINUTE_US:
        raise MalformedError(f"not a marker: complete_until_us {marker.complete_until_us} is not a whole minute")
    if marker.claim is Proof.BEGIN:
        raise MalformedError("not a marker: claim begin says nothing of a minute")
    if marker.proof is Proof.KLINE and marker.kline is None:
        raise MalformedError("not a marker: proof kline without the header kline")
    if marker.kline is not None and marker.kline.open_time_ms * 1000 + MINUTE_US != marker.complete_until_us:
        raise MalformedError(
            f"not a marker: the kline opens at {marker.kline.open_time_ms} ms, that is not the minute "
            f"that ends at {marker.complete_until_us} us"
        )
    return marker


def header(headers: Headers, name: str) -> bytes | None:
    """The value of the last header of that name, or None."""
    for header_name, value in reversed(headers):
        if header_name == name:
            return value
    return None


def run_of(headers: Headers) -> str | None:
    """The run a trade or candle belongs to; None for live."""
    return _name(dict(headers), RUN_HEADER) if headers else None


def encode_candle(candle: Candle) -> bytes:
    """A value of `md.candles.*.v1`."""
    return encode_texts(
        CandleTexts(
            candle.exchange,
            candle.symbol,
            candle.timeframe,
            candle.open_time_ms,
            candle.close_time_ms,
            plain(candle.open),
            plain(candle.high),
            plain(candle.low),
            plain(candle.close),
            plain(candle.volume),
            plain(candle.quote_volume),
            candle.trades,
            plain(candle.taker_buy_volume),
            plain(candle.taker_buy_quote_volume),
            candle.first_trade_id,
            candle.last_trade_id,
            candle.revision,
            candle.status,
        )
    )


def decode_candle(value: bytes) -> Candle:
    """A candle out of a value of `md.candles.*.v1`."""
    candle = _decode(value, Candle, "candle")
    check_candle(candle)
    return candle


def encode_given_candle(given: GivenCandle) -> bytes:
    """The header `kline` of a marker; what the exchange does not tell is left out."""
    return _encode(given)


def decode_given_candle(value: bytes) -> GivenCandle:
    """The exchange's own candle out of the header `kline`."""
    given = _decode(value, GivenCandle, "kline")
    check_amounts_of_candle(given)
    return given


def encode_bar(bar: Bar) -> bytes:
    """A value of `md.bars.v1`."""
    return _encode(bar)


def decode_bar(value: bytes) -> Bar:
    """A bar out of a value of `md.bars.v1`."""
    bar = _decode(value, Bar, "bar")
    check_bar(bar)
    return bar


def encode_ticker(ticker: Ticker) -> bytes:
    """A value of `md.tickers.v1`."""
    return _encode(ticker)


def decode_ticker(value: bytes) -> Ticker:
    """A ticker out of a value of `md.tickers.v1`."""
    ticker = _decode(value, Ticker, "ticker")
    check_ticker(ticker)
    return ticker


def encode_signal(signal: Signal) -> bytes:
    """A value of `md.signals.v1`."""
    return _encode(signal)


def decode_signal(value: bytes) -> Signal:
    """A signal out of a value of `md.signals.v1`."""
    signal = _decode(value, Signal, "signal")
    check_signal(signal)
    return signal


def encode_feed_event(event: FeedEvent) -> bytes:
    """A value of `md.feeds.v1`."""
    return _encode(event)


def decode_feed_event(value: bytes) -> FeedEvent:
    """An event out of a value of `md.feeds.v1`."""
    event = _decode(value, FeedEvent, "feed event")
    check_key(event.exchange, event.symbol)
    for name in ("first_id", "last_id", "run"):
        if (text := getattr(event, name)) is not None:
            check_name(text, name)
    return event


def encode_instrument(instrument: Instrument) -> bytes:
    """A value of `md.instruments.v1`."""
    return _encode(instrument)


def decode_instrument(value: bytes) -> Instrument:
    """An instrument out of a value of `md.instruments.v1`."""
    instrument = _decode(value, Instrument, "instrument")
    check_instrument(instrument)
    return instrument


def encode_funding_rate(funding: FundingRate) -> bytes:
    """A value of `md.funding.v1`."""
    return _encode(funding)


def decode_funding_rate(value: bytes) -> FundingRate:
    """A funding rate out of a value of `md.funding.v1`."""
    funding = _decode(value, FundingRate, "funding rate")
    check_funding_rate(funding)
    return funding


def encode_progress(progress: Progress) -> bytes:
    """A value of `md.progress.v1`."""
    return _encode(progress)


def decode_progress(value: bytes) -> Progress:
    """Progress out of a value of `md.progress.v1`."""
    progress = _decode(value, Progress, "progress")
    if progress.run is not None:
        check_name(progress.run, "run")
    if progress.reset_id is not None:
        check_name(progress.reset_id, "reset_id")
    return progress


def progress_key(key: str, run: str | None) -> bytes:
    """The record key in `md.progress.v1`: the market key; for a run, followed by a bar and the run's id."""
    return (key if run is None else f"{key}|{run}").encode()


def dead_letter_headers(
    error: Exception, *, topic: str, partition: int, offset: int, headers: Headers = ()
) -> list[tuple[str, bytes]]:
    """The headers of a dead letter: the record's own, then where and why it was refused, by Kafka Streams' names."""
    return [
        *headers,
        ("__streams.errors.exception", type(error).__name__.encode()),
        ("__streams.errors.message", str(error)[:_MAX_MESSAGE].encode(errors="backslashreplace")),
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


def _decode(value: bytes, model: type[T], what: str) -> T:
    try:
        fields = orjson.loads(value)
        if isinstance(fields, dict):
            _check_decimals(fields, model, what)
        record = msgspec.convert(fields, model)
    except (orjson.JSONDecodeError, msgspec.MsgspecError, RecursionError) as error:
        raise MalformedError(f"not a {what}: {error}") from error
    return record


def _check_decimals(fields: dict[str, Any], model: type, what: str) -> None:
    for name in _DECIMALS.get(model, ()):
        text = fields.get(name)
        if isinstance(text, str):
            parse_sum(text, signed=name in _SIGNED)
        elif text is not None:
            raise MalformedError(f"not a {what}: {name} is not a decimal in a string")
    values = fields.get("values") if model is Signal else None
    for name, text in values.items() if isinstance(values, dict) else ():
        if not isinstance(text, str):
            raise MalformedError(f"not a {what}: {name} is not a decimal in a string")
        parse_sum(text, signed=True)
    windows = fields.get("windows") if model is Ticker else None
    for window in windows.values() if isinstance(windows, dict) else ():
        if isinstance(window, dict):
            _check_decimals(window, Window, what)


def _time_us(value: bytes | None) -> int:
    if value is None or not value.isdigit() or len(value) > _MAX_TIME_DIGITS or int(value) >= MAX_TIME_US:
        raise MalformedError(f"not a marker: {value[:100] if value else value!r} is no time in microseconds")
    return int(value)


def _proof(value: bytes | None) -> Proof:
    proof = _PROOFS.get(value)
    return Proof(_text(value)) if proof is None else proof  # the error says what is wrong


def _name(headers: dict[str, bytes], name: str) -> str | None:
    """The text of a header that names something; None if there is no such header."""
    if name not in headers:
        return None
    text = _text(headers[name])
    check_name(text, f"header {name}")
    return text


def _price(value: bytes | None) -> Decimal:
    price = parse_decimal(_text(value))
    check_price(price, "header last_price")
    return price


def _text(value: bytes | None) -> str:
    try:
        return _bytes(value).decode()
    except UnicodeDecodeError as error:
        raise MalformedError(f"a header is not UTF-8: {error}") from error


def _bytes(value: bytes | None) -> bytes:
    if value is None:  # Kafka has headers without a value
        raise MalformedError("a header has no value")
    return value

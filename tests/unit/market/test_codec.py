"""Records: round trips, canonical bytes, and one kind of error for whatever is wrong."""

import json
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from market_strategies import (
    candles,
    feed_events,
    funding_rates,
    given_candles,
    instruments,
    markers,
    progresses,
    signals,
    tickers,
    trades,
)
from msgspec import structs
from records import CANDLE, EVENT, FUNDING, INSTRUMENT, KLINE, MARKER, PROGRESS, SIGNAL, TICKER, TRADE, WINDOW

from market.codec import (
    dead_letter_headers,
    decode_candle,
    decode_feed_event,
    decode_funding_rate,
    decode_given_candle,
    decode_instrument,
    decode_marker,
    decode_progress,
    decode_signal,
    decode_ticker,
    decode_trade,
    encode_candle,
    encode_feed_event,
    encode_funding_rate,
    encode_given_candle,
    encode_instrument,
    encode_marker,
    encode_progress,
    encode_signal,
    encode_ticker,
    encode_trade,
    header,
    progress_key,
    run_of,
)
from market.errors import MalformedError
from market.fields import MAX_TIME_US
from market.funding import FundingKind
from market.instrument import InstrumentStatus
from market.key import MarketKey
from market.timeframe import Timeframe
from market.trade import Marker, Proof, Side, Source, Trade

DECODERS = [decode_trade, decode_candle, decode_ticker, decode_feed_event, decode_progress, decode_given_candle,
            decode_instrument, decode_funding_rate, decode_signal]  # fmt: skip

RECORDS = [(TRADE, decode_trade), (CANDLE, decode_candle), (TICKER, decode_ticker), (EVENT, decode_feed_event),
           (PROGRESS, decode_progress), (KLINE, decode_given_candle), (INSTRUMENT, decode_instrument),
           (FUNDING, decode_funding_rate), (SIGNAL, decode_signal)]  # fmt: skip
RECORD_NAMES = ["trade", "candle", "ticker", "event", "progress", "kline", "instrument", "funding", "signal"]

UNTOLD = ("quote_volume", "trades", "taker_buy_volume", "taker_buy_quote_volume")
"""What an exchange's kline may lack."""

Decoder = Callable[[bytes], Any]
records = pytest.mark.parametrize(("fields", "decode"), RECORDS, ids=RECORD_NAMES)


@given(trades)
def test_a_trade_comes_back_and_its_bytes_are_what_orjson_writes(trade: Trade) -> None:
    value = encode_trade(trade)
    assert decode_trade(value) == trade
    assert value == orjson.dumps(orjson.loads(value))
    assert list(orjson.loads(value)) == [*TRADE, *(["seq"] if trade.seq is not None else [])]


@pytest.mark.parametrize(
    ("models", "encode", "decode"),
    [
        (candles, encode_candle, decode_candle),
        (tickers, encode_ticker, decode_ticker),
        (feed_events, encode_feed_event, decode_feed_event),
        (progresses, encode_progress, decode_progress),
        (given_candles, encode_given_candle, decode_given_candle),
        (instruments, encode_instrument, decode_instrument),
        (funding_rates, encode_funding_rate, decode_funding_rate),
        (signals, encode_signal, decode_signal),
    ],
    ids=RECORD_NAMES[1:],
)
@given(data=st.data())
def test_every_record_comes_back(models: Any, encode: Any, decode: Decoder, data: st.DataObject) -> None:
    model = data.draw(models)
    value = encode(model)
    assert decode(value) == model
    assert encode(decode(value)) == value


@given(markers)
def test_a_marker_comes_back(marker: Marker) -> None:
    assert decode_marker(encode_marker(marker)) == marker


@records
def test_unknown_fields_are_passed_over(fields: dict[str, Any], decode: Decoder) -> None:
    more = {"new": {"deep": [1.5, "NaN"]}, **fields, "more": None}
    assert decode(orjson.dumps(more)) == decode(orjson.dumps(fields))


@pytest.mark.parametrize(
    ("fields", "decode", "defaults"),
    [
        (TRADE, decode_trade, {"received_us": 0, "source": Source.WS, "seq": None}),
        (CANDLE, decode_candle, {"first_trade_id": None, "last_trade_id": None}),
        (EVENT, decode_feed_event, {"first_id": None, "last_id": None, "from_us": None, "until_us": None, "run": None}),
        (PROGRESS, decode_progress, {"run": None, "finished": False}),
        (KLINE, decode_given_candle, dict.fromkeys(UNTOLD)),
        (
            INSTRUMENT,
            decode_instrument,
            {"status": InstrumentStatus.TRADING, "tick": None, "lot": None, "contract": None, "since_ms": None},
        ),
        (FUNDING, decode_funding_rate, {"kind": FundingKind.SETTLED, "next_time_ms": None, "mark_price": None}),
        (SIGNAL, decode_signal, {"other": None}),
    ],
    ids=["trade", "candle", "event", "progress", "kline", "instrument", "funding", "signal"],
)
def test_missing_optional_fields_have_their_default_and_no_other_may_be_missing(
    fields: dict[str, Any], decode: Decoder, defaults: dict[str, Any]
) -> None:
    required = {name: value for name, value in fields.items() if name not in defaults}
    record = decode(orjson.dumps(required))
    assert {name: getattr(record, name) for name in defaults} == defaults
    for name in required:
        with pytest.raises(MalformedError):
            decode(orjson.dumps({other: required[other] for other in required if other != name}))


BAD_DECIMALS = [
    *["NaN", "sNaN", "Infinity", "-Infinity", "inf", "1e5", "1E-5", "1e999999", "-1", "+1", "1_000", "0x1", "1,5"],
    *["", " 1", "1 ", "1\n", ".", "1.", ".5", "1.2.3", "\u0663", "\uff11", "1" * 41_000],
    *[1, 1.5, 0, True, [], {}],
]
DECIMAL_FIELDS = [
    *((INSTRUMENT, decode_instrument, name) for name in ("tick", "lot", "contract")),
    (FUNDING, decode_funding_rate, "mark_price"),
    *((TRADE, decode_trade, name) for name in ("price", "qty")),
    *((CANDLE, decode_candle, name) for name, value in CANDLE.items() if value == "1"),
    (TICKER, decode_ticker, "last"),
    *((KLINE, decode_given_candle, name) for name, value in KLINE.items() if value == "1"),
]


@pytest.mark.parametrize("bad", BAD_DECIMALS, ids=lambda bad: repr(bad)[:12])
def test_a_decimal_is_a_plain_text_and_nothing_else(bad: object) -> None:
    for fields, decode, name in DECIMAL_FIELDS:
        with pytest.raises(MalformedError):
            decode(orjson.dumps({**fields, name: bad}))
    for name in (name for name, value in WINDOW.items() if isinstance(value, str) and name != "status"):
        if bad == "-1" and name in {"change", "change_percent"}:
            continue
        with pytest.raises(MalformedError):
            decode_ticker(orjson.dumps({**TICKER, "windows": {"1h": {**WINDOW, name: bad}}}))
    if isinstance(bad, str):
        with pytest.raises(MalformedError):
            decode_marker(list({**MARKER, "last_price": bad.encode()}.items()))


def test_a_null_decimal_is_malformed_where_it_is_not_optional() -> None:
    for fields, decode, name in DECIMAL_FIELDS:
        if (fields is KLINE and name in UNTOLD) or fields in (INSTRUMENT, FUNDING):
            assert getattr(decode(orjson.dumps({**fields, name: None})), name) is None
            continue
        with pytest.raises(MalformedError):
            decode(orjson.dumps({**fields, name: None}))
    assert (
        decode_ticker(orjson.dumps({**TICKER, "windows": {"1h": {**WINDOW, "vwap": None}}})).windows["1h"].vwap is None
    )


def test_a_time_that_an_exchange_need_not_tell_may_be_null() -> None:
    assert decode_instrument(orjson.dumps({**INSTRUMENT, "since_ms": None})).since_ms is None
    assert decode_funding_rate(orjson.dumps({**FUNDING, "next_time_ms": None})).next_time_ms is None


@pytest.mark.parametrize("bad", [*(bad for bad in BAD_DECIMALS if bad != "-1"), "-", "--1", "-NaN", "0.-1"])
def test_a_funding_rate_is_a_plain_decimal_with_a_sign_at_most(bad: object) -> None:
    assert decode_funding_rate(orjson.dumps({**FUNDING, "rate": "-1"})).rate == -1
    assert decode_funding_rate(orjson.dumps({**FUNDING, "rate": "0.00010000"})).rate == Decimal("0.0001")
    with pytest.raises(MalformedError):
        decode_funding_rate(orjson.dumps({**FUNDING, "rate": bad}))


def test_changes_of_a_ticker_may_fall() -> None:
    window = decode_ticker(orjson.dumps(TICKER)).windows["1h"]
    assert (window.change, window.change_percent) == (Decimal(-1), Decimal("-0.5"))


NUMBERS = [
    (fields, decode, name)
    for fields, decode in RECORDS
    for name, value in fields.items()
    if type(value) is int and name not in ("since_ms", "next_time_ms") and not (fields is KLINE and name in UNTOLD)
]


@pytest.mark.parametrize(
    "bad", [-1, 1 << 63, 1 << 64, 10**400, 1.0, 1e300, "1", True, None, [1]], ids=lambda bad: repr(bad)[:9]
)
def test_a_whole_number_is_not_negative_fits_64_bits_and_is_no_float(bad: object) -> None:
    for fields, decode, name in NUMBERS:
        with pytest.raises(MalformedError):
            decode(json.dumps({**fields, name: bad}).encode())


def test_no_time_is_accepted_that_a_float_cannot_hold_exactly() -> None:
    assert MAX_TIME_US <= 1 << 53 < MAX_TIME_US + 1_000_000
    assert decode_trade(orjson.dumps({**TRADE, "time_us": MAX_TIME_US - 1})).time_us == MAX_TIME_US - 1
    with pytest.raises(MalformedError):
        decode_trade(orjson.dumps({**TRADE, "time_us": MAX_TIME_US}))
    open_ms = Timeframe.M1.open_ms(MAX_TIME_US // 1000) + 60_000
    with pytest.raises(MalformedError):
        decode_candle(orjson.dumps({**CANDLE, "open_time_ms": open_ms, "close_time_ms": open_ms + 59_999}))
    with pytest.raises(MalformedError):
        decode_marker(list({**MARKER, "published_until_us": b"%d" % MAX_TIME_US}.items()))


@records
@pytest.mark.parametrize("bad", ["", "x" * 129, 1, None, b"\xff", b"\\ud800", b"\\ud800\\u0041", b"\\udc00"], ids=ascii)
def test_names_are_short_texts(fields: dict[str, Any], decode: Decoder, bad: object) -> None:
    for name in ("exchange", "symbol", "trade_id", "timeframe", "native", "base", "quote"):
        if name in fields:
            value = orjson.dumps({**fields, name: "?" if isinstance(bad, bytes) else bad})
            with pytest.raises(MalformedError):
                decode(value.replace(b"?", bad) if isinstance(bad, bytes) else value)


@pytest.mark.parametrize(("fields", "decode"), RECORDS[:4], ids=RECORD_NAMES[:4])
@pytest.mark.parametrize(("name", "bad"), [("exchange", "a:b"), ("exchange", "a|b"), ("symbol", "A|B")])
def test_no_two_markets_share_a_key(fields: dict[str, Any], decode: Decoder, name: str, bad: str) -> None:
    with pytest.raises(MalformedError):
        decode(orjson.dumps({**fields, name: bad}))


def test_a_symbol_may_hold_a_colon() -> None:
    trade = decode_trade(orjson.dumps({**TRADE, "symbol": "A:B"}))
    assert MarketKey.parse(trade.key) == ("binance", "A:B")


@records
def test_of_two_fields_with_one_name_the_last_counts(fields: dict[str, Any], decode: Decoder) -> None:
    *_, name = (name for name, value in fields.items() if type(value) is int)
    value = orjson.dumps(fields)
    twice = value[:-1] + b',"%s":7}' % name.encode()
    assert getattr(decode(twice), name) == 7


@pytest.mark.parametrize("decode", DECODERS)
@given(st.binary(max_size=200))
@example(b"")
@example(b"null")
@example(b"[]")
@example(b"7")
@example(b'"x"')
@example(b"\xef\xbb\xbf{}")
@example(b"[" * 100_000)
@example(b'{"a":' * 100_000)
@example(b'{"x":' + b"[" * 2000 + b"]" * 2000 + b"}")
@example(b"{}" * 2)
@example(b"\x00" * 10)
@example(b"NaN")
def test_random_bytes_are_malformed(decode: Decoder, value: bytes) -> None:
    with pytest.raises(MalformedError):
        decode(value)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@records
@given(data=st.data())
def test_a_record_with_any_field_replaced_is_read_or_malformed(
    fields: dict[str, Any], decode: Decoder, data: st.DataObject
) -> None:
    name = data.draw(st.sampled_from(sorted(fields)))
    value = json.dumps({**fields, name: data.draw(json_values)}).encode()
    try:
        record = decode(value)
    except MalformedError:
        return
    assert set(msgspec.to_builtins(record)) <= {*fields, *type(record).__struct_fields__}


@records
@given(data=st.data())
def test_a_record_with_any_bytes_damaged_is_read_or_malformed(
    fields: dict[str, Any], decode: Decoder, data: st.DataObject
) -> None:
    value = bytearray(orjson.dumps(fields))
    for at in data.draw(st.lists(st.integers(0, len(value) - 1), min_size=1, max_size=3)):
        value[at] = data.draw(st.integers(0, 255))
    for damaged in (bytes(value), bytes(value)[: data.draw(st.integers(0, len(value)))]):
        with suppress(MalformedError):
            decode(damaged)


header_names = st.sampled_from(sorted(MARKER)) | st.text(max_size=5)
header_values = st.none() | st.binary(max_size=30) | st.sampled_from(sorted(MARKER.values()))


@given(st.lists(st.tuples(header_names, header_values), max_size=12))
def test_any_headers_are_a_marker_none_or_malformed(headers: list[Any]) -> None:
    for read in (decode_marker, run_of):
        try:
            found = read(headers)
        except MalformedError:
            continue
        assert found is None or isinstance(found, Marker | str)


@given(st.sampled_from(sorted(MARKER)), header_values)
def test_a_marker_with_any_header_replaced_is_read_or_malformed(name: str, value: Any) -> None:
    with suppress(MalformedError):
        assert isinstance(decode_marker(list({**MARKER, name: value}.items())), Marker)


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("complete_until_us", b"60000001"),
        ("complete_until_us", b""),
        ("complete_until_us", b"+60000000"),
        ("complete_until_us", b"-60000000"),
        ("complete_until_us", b"60_000_000"),
        ("complete_until_us", b" 60000000"),
        ("complete_until_us", "\uff16".encode() + b"0000000"),
        ("complete_until_us", b"6e7"),
        ("complete_until_us", b"6" * 5000),
        ("complete_until_us", b"\xff"),
        ("published_until_us", b"1.5"),
        ("proof", b"IDS"),
        ("proof", b"\xff"),
        ("last_trade_id", b""),
        ("last_trade_id", b"1" * 129),
        ("last_trade_id", b"\xff"),
        ("run", b""),
        ("run", b"\xff"),
    ],
)
def test_a_marker_with_a_bad_header_is_malformed(name: str, bad: bytes) -> None:
    with pytest.raises(MalformedError):
        decode_marker(list({**MARKER, name: bad}.items()))


@pytest.mark.parametrize("name", sorted(set(MARKER) - {"end"}))
def test_no_header_of_a_marker_goes_without_a_value(name: str) -> None:
    headers: Any = list({**MARKER, "proof": b"kline", name: None}.items())
    with pytest.raises(MalformedError):
        decode_marker(headers)


@pytest.mark.parametrize("missing", ["complete_until_us", "published_until_us", "proof"])
def test_a_marker_has_its_three_headers(missing: str) -> None:
    with pytest.raises(MalformedError, match=missing):
        decode_marker([(name, value) for name, value in MARKER.items() if name != missing])


def test_a_kline_marker_carries_the_kline_of_its_own_minute() -> None:
    headers = {**MARKER, "proof": b"kline"}
    marker = decode_marker(list(headers.items()))
    assert marker is not None
    assert marker.kline == decode_given_candle(orjson.dumps(KLINE))
    for bad in (b"[]", b"", orjson.dumps({**KLINE, "open_time_ms": 60_000}), orjson.dumps({**KLINE, "low": "2"})):
        with pytest.raises(MalformedError):
            decode_marker(list({**headers, "kline": bad}.items()))
    del headers["kline"]
    with pytest.raises(MalformedError, match="without the header kline"):
        decode_marker(list(headers.items()))


@pytest.mark.parametrize("headers", [[], [("roll", b"1")], [("run", b"r1")], [("traceparent", b"\xff")]], ids=repr)
def test_a_record_without_marker_headers_is_no_marker(headers: list[tuple[str, bytes]]) -> None:
    assert decode_marker(headers) is None


def test_the_last_header_of_a_name_counts() -> None:
    headers = [("run", b"a"), ("x", b"1"), ("run", b"b")]
    assert header(headers, "run") == b"b"
    assert header(headers, "y") is None
    assert run_of(headers) == "b"
    assert run_of([]) is None
    assert run_of([("x", b"1")]) is None


@pytest.mark.parametrize("bad", [b"", b"\xff", None, b"x" * 129])
def test_a_run_has_a_name(bad: Any) -> None:
    with pytest.raises(MalformedError):
        run_of([("run", bad)])


def test_the_wire_form_of_a_trade_and_a_marker() -> None:
    trade = Trade(
        exchange="binance",
        symbol="BTC-USDT",
        trade_id="1234567",
        price=Decimal("27000.10000000"),
        qty=Decimal("1E-3"),
        side=Side.BUY,
        time_us=1_610_064_000_278_000,
    )
    assert encode_trade(trade) == (
        b'{"exchange":"binance","symbol":"BTC-USDT","trade_id":"1234567","price":"27000.1","qty":"0.001","side":"buy",'
        b'"time_us":1610064000278000,"received_us":0,"source":"ws"}'
    )
    assert encode_trade(structs.replace(trade, seq=7)) == encode_trade(trade)[:-1] + b',"seq":7}'
    marker = Marker(complete_until_us=60_000_000, published_until_us=61_000_000, proof=Proof.BEGIN)
    assert encode_marker(marker) == [
        ("complete_until_us", b"60000000"),
        ("published_until_us", b"61000000"),
        ("proof", b"begin"),
    ]


def test_the_key_of_progress_tells_runs_apart() -> None:
    assert progress_key("binance:BTC-USDT", None) == b"binance:BTC-USDT"
    assert progress_key("binance:BTC-USDT", "r1") == b"binance:BTC-USDT|r1"


def test_a_dead_letter_says_where_and_why_and_keeps_the_headers_of_the_record() -> None:
    error = MalformedError("bad \ud800 " + "x" * 5000)
    headers = dead_letter_headers(error, topic="md.trades.v1", partition=3, offset=42, headers=[("run", b"r1")])
    by_name = dict(headers)
    assert by_name["run"] == b"r1"
    assert by_name["__streams.errors.exception"] == b"MalformedError"
    assert by_name["__streams.errors.message"].startswith(b"bad \\ud800 xxx")
    assert len(by_name["__streams.errors.message"]) < 1100
    assert by_name["__streams.errors.topic"] == b"md.trades.v1"
    assert (by_name["__streams.errors.partition"], by_name["__streams.errors.offset"]) == (b"3", b"42")

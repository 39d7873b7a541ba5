"""The limits of a record: what lies at each edge is read, and one step beyond it is refused."""

from collections.abc import Callable
from decimal import Decimal
from typing import Any

import orjson
import pytest
from hypothesis import given
from market_strategies import trades
from msgspec import structs
from records import CANDLE, FUNDING, INSTRUMENT, KLINE, MARKER, SIGNAL, TICKER, TRADE, WINDOW

from market.codec import (
    decode_candle,
    decode_funding_rate,
    decode_given_candle,
    decode_instrument,
    decode_marker,
    decode_signal,
    decode_ticker,
    decode_trade,
    encode_trade,
    run_of,
)
from market.decimals import parse_decimal
from market.errors import MalformedError
from market.limits import check_amounts, check_trade, parse_amounts
from market.trade import Trade

WIDE = {"open": "1", "high": "9" * 15, "low": "0." + "0" * 17 + "1", "close": "1"}
DAY = {"timeframe": "1d", "open_time_ms": 0, "close_time_ms": 86_399_999}

# a trade, a candle or a ticker: fields that are within the limits, and beyond them; the words of the refusal
TRADES = [
    ({"price": "0.000000000000000001"}, {"price": "0"}, "price is 0: it has to be greater than 0"),
    ({"qty": "0.000000000000000001"}, {"qty": "0.00"}, "qty is 0: it has to be greater than 0"),
    (
        {"price": "0.000000000000000001" + "0" * 20},
        {"price": "0.0000000000000000001"},
        "price 0.0000000000000000001 is not below 10^15 with at most 18 digits after the point",
    ),
    ({"price": "9" * 15, "qty": "0.01"}, {"price": "1" + "0" * 15, "qty": "0.001"}, "price 1000000000000000 is not"),
    ({"qty": "9" * 15, "price": "0.01"}, {"qty": "1" + "0" * 15, "price": "0.001"}, "qty 1000000000000000 is not"),
    ({"price": "9" * 13, "qty": "1"}, {"price": "1" + "0" * 13, "qty": "1"}, "price * qty 10000000000000 is not"),
    (
        {"price": "0.00000000001", "qty": "0.00000000001"},
        {"price": "0.00000000001", "qty": "0.000000000001"},
        "with at most 22 digits after the point",
    ),
    ({"time_us": 9_007_199_253_999_999}, {"time_us": 9_007_199_254_000_000}, "time_us"),
    ({"seq": 0}, {"seq": -1}, "seq"),
    ({"seq": (1 << 63) - 1}, {"seq": 1 << 63}, ""),
    ({"seq": None}, {"seq": "1"}, "seq"),
    ({"trade_id": "x" * 128}, {"trade_id": "x" * 129}, "trade_id"),
    ({"trade_id": "ä" * 64}, {"trade_id": "ä" * 64 + "x"}, "trade_id 'ää"),
    ({"trade_id": "a b"}, {"trade_id": "a\nb"}, "trade_id 'a\\nb' holds a control character"),
    ({"symbol": "币安人生-USDT"}, {"symbol": "币\x85安"}, "symbol '币\\x85安' holds a control character"),
    ({"exchange": "币" * 26}, {"exchange": "币" * 27}, "has 243 bytes percent-encoded, more than 240"),
    ({"symbol": "L" * 128}, {"symbol": "L" * 127 + "ä"}, "has 129 bytes, not 1 to 128"),
]
CANDLES = [
    (WIDE, WIDE | {"low": "2"}, "open 1 and close 1 are not from low 2 to high 999999999999999"),
    ({"high": "1"}, {"high": "0.5"}, "are not from low 1 to high 0.5"),
    ({"high": "2", "close": "2"}, {"high": "2", "close": "3"}, "close 3"),
    ({"open": "1"}, {"open": "0"}, "open is 0"),
    ({"volume": "0"}, {"volume": "-1"}, ""),
    ({"volume": "9" * 20 + "." + "9" * 18}, {"volume": "1" + "0" * 20}, "volume 100000000000000000000 is not below"),
    ({"taker_buy_volume": "9" * 20}, {"taker_buy_volume": "0." + "1" * 19}, "taker_buy_volume"),
    ({"quote_volume": "9" * 16 + "." + "9" * 22}, {"quote_volume": "1" + "0" * 16}, "quote_volume"),
    ({"taker_buy_quote_volume": "9" * 16}, {"taker_buy_quote_volume": "0." + "1" * 23}, "at most 22 digits"),
    ({"revision": (1 << 53) - 1}, {"revision": 1 << 53}, "revision"),
    ({"trades": (1 << 53) - 1}, {"trades": 1 << 53}, "trades"),
    (DAY, DAY | {"timeframe": "99x"}, "Invalid enum value '99x' - at `$.timeframe`"),
    (DAY, DAY | {"open_time_ms": 60_000}, "open_time_ms 60000 and close_time_ms 86399999 are not of a 1d candle"),
    ({"close_time_ms": 59_999}, {"close_time_ms": 60_000}, "are not of a 1m candle"),
    ({"first_trade_id": None}, {"first_trade_id": "a\x00"}, "first_trade_id 'a\\x00' holds a control character"),
]
INSTRUMENTS = [
    ({"tick": "0.000000000000000001"}, {"tick": "0"}, "tick is 0: it has to be greater than 0"),
    ({"lot": "9" * 15}, {"lot": "1" + "0" * 15}, "lot 1000000000000000 is not below"),
    ({"contract": "1"}, {"contract": "0"}, "contract is 0: it has to be greater than 0"),
    ({"native": "x" * 128}, {"native": "a\x00"}, "native 'a\\x00' holds a control character"),
    ({"quote": "\u5e01"}, {"base": "\u5e01" * 43}, "base"),
    ({"status": "delisted"}, {"status": "gone"}, "Invalid enum value 'gone'"),
]
FUNDINGS = [
    ({"rate": "-" + "9" * 15 + "." + "9" * 18}, {"rate": "-1" + "0" * 15}, "rate -1000000000000000 is not below"),
    ({"rate": "0"}, {"rate": "0." + "1" * 19}, "at most 18 digits"),
    ({"mark_price": "1"}, {"mark_price": "0"}, "mark_price is 0: it has to be greater than 0"),
    ({"kind": "expected"}, {"kind": "guessed"}, "Invalid enum value 'guessed'"),
]
SIGNALS = [
    (
        {"values": {"a": "-" + "9" * 20 + "." + "9" * 18}},
        {"values": {"a": "1" + "0" * 20}},
        "a 1000",
    ),
    ({"values": {"a": "0"}}, {"values": {"a": "0." + "1" * 19}}, "at most 18 digits"),
    ({"values": {}}, {"values": {"a": 1}}, "a is not a decimal in a string"),
    ({"values": {"x" * 515: "1"}}, {"values": {"x" * 516: "1"}}, "has 516 characters, not 1 to 515"),
    ({"other": None}, {"other": "kraken"}, "symbol '' has 0 bytes"),
    ({"kind": "of tomorrow"}, {"kind": "a\x00"}, "kind 'a\\x00' holds a control character"),
    ({"state": "info"}, {"state": "middle"}, "Invalid enum value 'middle'"),
]
WINDOWS = [
    ({"change": "-" + "9" * 15}, {"change": "-1" + "0" * 15}, "change -1000000000000000 is not"),
    ({"change_percent": "9" * 36 + ".9999"}, {"change_percent": "0.00001"}, "at most 4 digits"),
    ({"vwap": "9" * 20}, {"vwap": "1" + "0" * 20}, "vwap"),
    ({"vwap": None}, {"vwap": "0.0000000000000000001"}, "vwap"),
    ({"high": "1"}, {"high": "0.1"}, "are not from low 1 to high 0.1"),
    ({"minutes": (1 << 53) - 1}, {"minutes": 1 << 53}, "minutes"),
]


def ticker_of(window: dict[str, Any]) -> bytes:
    return orjson.dumps({**TICKER, "windows": {"1h": {**WINDOW, **window}}})


CASES: list[Any] = [
    *((decode_trade, orjson.dumps(TRADE | fine), orjson.dumps(TRADE | wrong), words) for fine, wrong, words in TRADES),
    *((decode_candle, orjson.dumps(CANDLE | fine), orjson.dumps(CANDLE | wrong), words)
      for fine, wrong, words in CANDLES),
    *((decode_instrument, orjson.dumps(INSTRUMENT | fine), orjson.dumps(INSTRUMENT | wrong), words)
      for fine, wrong, words in INSTRUMENTS),
    *((decode_funding_rate, orjson.dumps(FUNDING | fine), orjson.dumps(FUNDING | wrong), words)
      for fine, wrong, words in FUNDINGS),
    *((decode_signal, orjson.dumps(SIGNAL | fine), orjson.dumps(SIGNAL | wrong), words)
      for fine, wrong, words in SIGNALS),
    *((decode_ticker, ticker_of(fine), ticker_of(wrong), words) for fine, wrong, words in WINDOWS),
]  # fmt: skip


@pytest.mark.parametrize(("decode", "fine", "wrong", "words"), CASES)
def test_what_lies_at_the_limit_is_read_and_what_lies_beyond_is_refused_in_words(
    decode: Callable[[bytes], Any], fine: bytes, wrong: bytes, words: str
) -> None:
    decode(fine)
    with pytest.raises(MalformedError) as refused:
        decode(wrong)
    assert words in str(refused.value)


def amounts_or_error(price: str, qty: str, read: Callable[[str, str], tuple[Decimal, Decimal]]) -> Any:
    try:
        return read(price, qty)
    except MalformedError as error:
        return str(error)


def long_way(price: str, qty: str) -> tuple[Decimal, Decimal]:
    amounts = parse_decimal(price), parse_decimal(qty)
    check_amounts(*amounts)
    return amounts


def test_the_short_way_for_amounts_takes_and_refuses_what_the_long_way_does() -> None:
    texts = [f"{'9' * whole}.{'9' * places}".rstrip(".") for whole in (1, 6, 7, 8, 13, 14) for places in range(13)]
    texts += [f"0.{'0' * places}1" for places in range(23)]
    texts += ["0", "0.00000000", "00.10", "1.", ".1", "", " 1", "1 ", "+1", "-1", "1e5", "NaN", "Infinity", "1_0", "１"]  # noqa: RUF001
    outcomes = [amounts_or_error(price, qty, parse_amounts) for price in texts for qty in texts]
    assert outcomes == [amounts_or_error(price, qty, long_way) for price in texts for qty in texts]
    assert sum(isinstance(outcome, str) for outcome in outcomes) > 1000
    assert sum(isinstance(outcome, tuple) for outcome in outcomes) > 1000


@given(trades)
def test_an_adapter_s_trade_is_held_to_what_decoding_takes(trade: Trade) -> None:
    check_trade(trade)
    assert decode_trade(encode_trade(trade)) == trade


@pytest.mark.parametrize(
    "wrong",
    [
        *({name: Decimal(value)} for name in ("price", "qty")
          for value in ("0", "-1", "NaN", "sNaN", "Infinity", "1e15", "1e-19", "1e999999", "1e-999999")),
        {"price": Decimal("1e7"), "qty": Decimal("1e6")},
        {"time_us": -1}, {"time_us": 1 << 63}, {"received_us": 1 << 63}, {"seq": -1}, {"seq": 1 << 63},
        {"exchange": ""}, {"exchange": "a:b"}, {"symbol": "a|b"}, {"trade_id": "\ud800"}, {"symbol": "x" * 129},
    ],
    ids=repr,
)  # fmt: skip
def test_a_trade_beyond_a_limit_is_no_trade_however_it_was_made(wrong: dict[str, Any]) -> None:
    trade = decode_trade(orjson.dumps(TRADE))
    check_trade(trade)
    with pytest.raises(MalformedError):
        check_trade(structs.replace(trade, **wrong))


@pytest.mark.parametrize("price", [b"0", b"0.000", b"1" + b"0" * 15, b"0.0000000000000000001"])
def test_a_marker_s_price_is_one_that_a_candle_can_have(price: bytes) -> None:
    with pytest.raises(MalformedError, match="header last_price"):
        decode_marker(list({**MARKER, "last_price": price}.items()))


def test_a_run_and_an_id_in_headers_are_names() -> None:
    with pytest.raises(MalformedError, match="header run 'ää"):
        run_of([("run", ("ä" * 65).encode())])
    with pytest.raises(MalformedError, match="header last_trade_id"):
        decode_marker(list({**MARKER, "last_trade_id": b"a\x7f"}.items()))


@pytest.mark.parametrize(
    ("name", "bad"),
    [
        ("open", "0"), ("high", "0.5"), ("low", "9"), ("volume", "1" + "0" * 20), ("quote_volume", "0." + "1" * 23),
        ("trades", 1 << 53),
    ],
)  # fmt: skip
def test_a_kline_stands_in_only_where_a_candle_could_hold_it(name: str, bad: object) -> None:
    assert decode_given_candle(orjson.dumps(KLINE)).low == 1
    with pytest.raises(MalformedError):
        decode_given_candle(orjson.dumps({**KLINE, name: bad}))

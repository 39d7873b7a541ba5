"""Trades read as columns: what `decode_trade` says of each value is the truth."""

import json
from collections.abc import Sequence
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from market_strategies import MINUTE_OPEN_US, trades, usual_amounts

from market.codec import decode_trade, encode_trade, usual_form
from market.columns import TradeColumns, TradeReader
from market.errors import MalformedError
from market.trade import Side, Source, Trade

SYMBOLS = [("binance", "BTC-USDT"), ("x", "1000SATS-USDT"), ("coinbase", "A-B"), ("ökx", "ÄÖ-USD"), ("okx", "L" * 128)]

many = settings(deadline=None, max_examples=150)


def usual_trades(symbols: Sequence[tuple[str, str]] = SYMBOLS) -> st.SearchStrategy[Trade]:
    return st.builds(
        lambda symbol, amounts, **fields: Trade(exchange=symbol[0], symbol=symbol[1], **amounts, **fields),
        st.sampled_from(symbols),
        usual_amounts(),
        trade_id=st.integers(0, 10**16 - 1).map(str),
        side=st.sampled_from(Side),
        time_us=st.integers(10**15, 9 * 10**15 - 1),
        received_us=st.integers(10**15, 9 * 10**15 - 1),
        source=st.sampled_from(Source),
    )


def read(values: list[bytes], symbols: list[tuple[str, str]]) -> TradeColumns:
    """The values, each under the key of the symbol at its place."""
    reader, numbers = TradeReader(), {}
    for symbol in SYMBOLS + symbols:
        if symbol not in numbers:
            numbers[symbol] = reader.add(*symbol)
    return reader.read(values, np.array([numbers[symbol] for symbol in symbols], np.int64))


def row(columns: TradeColumns, place: int) -> tuple[object, ...]:
    values = [column[place].item() for column in columns]
    _, ids, prices, price_digits, qtys, qty_digits, buys, times_us, received_us, source, _ = values
    price, qty = Decimal(prices).scaleb(-price_digits), Decimal(qtys).scaleb(-qty_digits)
    side = Side.BUY if buys else Side.SELL
    return (str(ids), price, qty, side, times_us, received_us, list(Source)[source])


def figures(trade: Trade) -> tuple[object, ...]:
    return (trade.trade_id, trade.price, trade.qty, trade.side, trade.time_us, trade.received_us, trade.source)


@many
@given(st.lists(usual_trades(), min_size=1, max_size=20))
def test_every_trade_as_the_codec_writes_it_is_read(wanted: list[Trade]) -> None:
    columns = read([encode_trade(trade) for trade in wanted], [(trade.exchange, trade.symbol) for trade in wanted])
    for place, trade in enumerate(wanted):
        assert columns.valid[place] or not trade.exchange.isascii()
        assert not columns.valid[place] or row(columns, place) == figures(trade)


@pytest.mark.parametrize(
    ("told", "written"),
    [
        (b'"price":"27000.1"', b'"price":"27000.10"'),
        (b'"qty":"1"', b'"qty":"1.0"'),
        (b'"qty":"1"', b'"qty":"10"'),
        (b',"source":"ws"', b""),
        (b"", b""),
    ],
)
def test_canonical_is_what_the_codec_would_write(told: bytes, written: bytes) -> None:
    value = (
        b'{"exchange":"binance","symbol":"BTC-USDT","trade_id":"7","price":"27000.1","qty":"1","side":"buy",'
        b'"time_us":1700000000000000,"received_us":1700000000000001,"source":"ws"}'
    ).replace(told, written)
    columns = read([value], [SYMBOLS[0]])
    assert columns.valid[0]
    assert columns.canonical[0] == (encode_trade(decode_trade(value)) == value)


@many
@given(st.lists(trades, min_size=1, max_size=20))
def test_what_is_read_of_any_trade_is_what_the_codec_reads(wanted: list[Trade]) -> None:
    columns = read([encode_trade(trade) for trade in wanted], [(trade.exchange, trade.symbol) for trade in wanted])
    for place, trade in enumerate(wanted):
        assert not columns.valid[place] or row(columns, place) == figures(trade)


@settings(deadline=None, max_examples=600)
@given(usual_trades(), st.data())
def test_a_value_that_the_codec_refuses_is_not_read(trade: Trade, data: st.DataObject) -> None:
    value = bytearray(encode_trade(trade))
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(value) - 1))
        some = data.draw(
            st.sampled_from([b"", b"0", b"9", b".", b'"', b"-", b"e", b",", b" ", b"\x80", b"\x00", b"\xff"])
        )
        value[at : at + data.draw(st.integers(0, 2))] = some
    good = encode_trade(trade)
    symbol = (trade.exchange, trade.symbol)
    columns = read([good, bytes(value), good], [symbol] * 3)
    try:
        wanted = decode_trade(bytes(value))
    except MalformedError:
        assert not columns.valid[1]
    else:
        assert not columns.valid[1] or (
            row(columns, 1) == figures(wanted) and (wanted.exchange, wanted.symbol) == symbol
        )
    assert (columns.valid[0] and columns.valid[2]) or not value.isascii()  # those make neighbours go one by one


@pytest.mark.parametrize("price", ["0", "0.00", "1", "000", "9" * 12, "9" * 13, "0.0000000001", "1." + "1" * 15])
@pytest.mark.parametrize("qty", ["0", "0.00", "0.1", "9", "10", "9" * 15, "0.000000000001", "0." + "1" * 15])
def test_what_is_beyond_a_limit_goes_one_by_one(price: str, qty: str) -> None:
    value = b'{"exchange":"x","symbol":"A-B","trade_id":"1","price":"%b","qty":"%b","side":"buy",'
    value %= price.encode(), qty.encode()
    value += b'"time_us":%d,"received_us":%d,"source":"ws"}' % (MINUTE_OPEN_US, MINUTE_OPEN_US)
    columns = read([value], [("x", "A-B")])
    try:
        wanted = decode_trade(value)
    except MalformedError:
        assert not columns.valid[0]
    else:
        assert not columns.valid[0] or row(columns, 0) == figures(wanted)


@pytest.mark.parametrize("seq", [{}, {"seq": None}, {"seq": 7}])
def test_another_publisher_s_form_is_read_once_it_is_rewritten(seq: dict[str, object]) -> None:
    fields = {"symbol": "A-B", "exchange": "x", "trade_id": "1", "price": "1.5", "qty": "2", "side": "buy"}
    value = json.dumps(fields | {"time_us": MINUTE_OPEN_US} | seq).encode()
    columns = read([value, usual_form(value)], [("x", "A-B")] * 2)
    assert columns.valid.tolist() == [False, True]
    assert row(columns, 1) == figures(decode_trade(usual_form(value)))
    assert figures(decode_trade(usual_form(value)))[:5] == figures(decode_trade(value))[:5]


@pytest.mark.parametrize("times", [(10**15 - 1, MINUTE_OPEN_US), (MINUTE_OPEN_US, 10**15 - 1), (10**15, 10**15)])
def test_a_time_that_begins_with_a_zero_is_not_read(times: tuple[int, int]) -> None:
    value = b'{"exchange":"x","symbol":"A-B","trade_id":"1","price":"1","qty":"1","side":"buy",'
    value += b'"time_us":%016d,"received_us":%016d,"source":"ws"}' % times
    assert read([value], [("x", "A-B")]).valid[0] == (min(times) >= 10**15)


def test_a_trade_under_another_symbols_key_is_not_read() -> None:
    value = b'{"exchange":"x","symbol":"A-B","trade_id":"1","price":"1","qty":"1","side":"buy",'
    value += b'"time_us":%d,"received_us":%d,"source":"ws"}' % (MINUTE_OPEN_US, MINUTE_OPEN_US)
    assert read([value], [("x", "A-B")]).valid[0]
    assert not read([value], [("x", "A-BC")]).valid[0]
    assert not read([value], [("x", "A")]).valid[0]


@pytest.mark.parametrize("name", ['A\\"B', "A\\\\B", "A\\/B", "A\\u0042"])
def test_a_name_that_json_writes_in_another_way_is_not_mistaken_for_it(name: str) -> None:
    value = b'{"exchange":"x","symbol":"%b","trade_id":"1","price":"1","qty":"1","side":"buy",' % name.encode()
    value += b'"time_us":%d,"received_us":%d,"source":"ws"}' % (MINUTE_OPEN_US, MINUTE_OPEN_US)
    assert decode_trade(value).symbol != name
    assert not read([value], [("x", name)]).valid[0]


def test_values_far_too_short_and_long_are_not_read() -> None:
    values = [b"", b"{", b"[]", b'"' * 5000, b"1" * 100_000]
    assert not read(values, [("x", "A-B")] * len(values)).valid.any()

"""Candles read as columns: what `decode_candle` says of each value is the truth."""

from collections.abc import Sequence
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from market_strategies import candles

from market.candle import Candle, Status
from market.candle_columns import NO_ID, CandleColumns, CandleReader
from market.codec import decode_candle, encode_candle
from market.errors import MalformedError
from market.timeframe import MINUTE_MS, Timeframe

MARKETS = [("binance", "BTC-USDT"), ("x", "1000SATS-USDT"), ("okx", "L" * 128)]
OPEN_MS = 1_700_000_040_000
many = settings(deadline=None, max_examples=150)


def amounts(most: int, places: int) -> st.SearchStrategy[Decimal]:
    """Whole parts to `most`, and so many places at most."""
    fractions = st.builds(
        lambda number, places: Decimal(number % 10**places).scaleb(-places),
        st.integers(0, 10**places),
        st.integers(0, places),
    )
    return st.builds(Decimal.__add__, st.integers(0, most).map(Decimal), fractions)


@st.composite
def usual_candles(draw: st.DrawFn) -> Candle:
    low, *between, high = sorted(draw(st.lists(amounts(10**9, 8), min_size=4, max_size=4)))
    low, high = low + 1, high + 1
    opened, close = (price + 1 for price in between)
    exchange, symbol = draw(st.sampled_from(MARKETS))
    ids = draw(st.none() | st.integers(0, 10**16 - 1))
    open_ms = OPEN_MS + MINUTE_MS * draw(st.integers(0, 10**7))
    volume, quote = amounts(10**9, 8), amounts(10**6, 11)
    return Candle(
        exchange=exchange, symbol=symbol, timeframe=Timeframe.M1,
        open_time_ms=open_ms, close_time_ms=open_ms + MINUTE_MS - 1,
        open=opened, high=high, low=low, close=close,
        volume=draw(volume), quote_volume=draw(quote),
        trades=draw(st.integers(0, 10**6)), taker_buy_volume=draw(volume), taker_buy_quote_volume=draw(quote),
        first_trade_id=None if ids is None else str(ids), last_trade_id=None if ids is None else str(ids),
        revision=draw(st.integers(0, 10**15 - 1)), status=draw(st.sampled_from(Status)),
    )  # fmt: skip


def read(values: Sequence[bytes], markets: Sequence[tuple[str, str]]) -> CandleColumns:
    """The values, each under the key of the market at its place."""
    reader, numbers = CandleReader(Timeframe.M1), {}
    for market in (*MARKETS, *markets):
        if market not in numbers:
            numbers[market] = reader.add(*market)
    return reader.read(values, np.array([numbers[market] for market in markets], np.int64))


def row(columns: CandleColumns, place: int, market: tuple[str, str]) -> Candle:
    """The candle that the columns say."""
    price, volume, quote = columns.places[:, place].tolist()
    numbers = columns.numbers[:, place].tolist()
    scales = (price, price, price, price, volume, quote, volume, quote)
    texts = [Decimal(number).scaleb(-places) for number, places in zip(numbers, scales, strict=False)]
    trades, revision, rank, *ids = numbers[8:]
    open_ms = columns.open_ms[place].item()
    opened, high, low, close, *sums = texts
    return Candle(
        exchange=market[0], symbol=market[1], timeframe=Timeframe.M1,
        open_time_ms=open_ms, close_time_ms=open_ms + MINUTE_MS - 1,
        open=opened, high=high, low=low, close=close,
        volume=sums[0], quote_volume=sums[1], trades=trades, taker_buy_volume=sums[2], taker_buy_quote_volume=sums[3],
        first_trade_id=None if ids[0] == NO_ID else str(ids[0]), last_trade_id=None if ids[1] == NO_ID else str(ids[1]),
        revision=revision, status=list(Status)[rank],
    )  # fmt: skip


@many
@given(st.lists(usual_candles(), min_size=1, max_size=20))
def test_every_usual_candle_as_the_codec_writes_it_is_read(wanted: list[Candle]) -> None:
    markets = [(candle.exchange, candle.symbol) for candle in wanted]
    columns = read([encode_candle(candle) for candle in wanted], markets)
    assert columns.valid.all()
    assert [row(columns, place, market) for place, market in enumerate(markets)] == wanted


@many
@given(st.lists(candles, min_size=1, max_size=20))
def test_what_is_read_of_any_candle_is_what_the_codec_reads(wanted: list[Candle]) -> None:
    markets = [(candle.exchange, candle.symbol) for candle in wanted]
    columns = read([encode_candle(candle) for candle in wanted], markets)
    for place, candle in enumerate(wanted):
        assert not columns.valid[place] or row(columns, place, markets[place]) == candle


@settings(deadline=None, max_examples=600)
@given(usual_candles(), st.data())
def test_a_value_that_the_codec_refuses_is_not_read(candle: Candle, data: st.DataObject) -> None:
    good = encode_candle(candle)
    value = bytearray(good)
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(value) - 1))
        some = data.draw(
            st.sampled_from([b"", b"0", b"9", b".", b'"', b"-", b"e", b",", b" ", b"null", b"\x80", b"\x00", b"\xff"])
        )
        value[place : place + data.draw(st.integers(0, 2))] = some
    market = (candle.exchange, candle.symbol)
    columns = read([good, bytes(value), good], [market] * 3)
    try:
        wanted = decode_candle(bytes(value))
    except MalformedError:
        assert not columns.valid[1]
    else:
        assert not columns.valid[1] or row(columns, 1, market) == wanted
    assert (columns.valid[0] and columns.valid[2]) or not value.isascii()  # those make neighbours go one by one


@pytest.mark.parametrize(
    ("told", "other"),
    [
        (b'"low":"1"', b'"low":"3"'),
        (b'"high":"4"', b'"high":"2"'),
        (b'"low":"1"', b'"low":"0"'),
        (b'"close_time_ms":1700000099999', b'"close_time_ms":1700000159999'),
        (b'"open_time_ms":1700000040000', b'"open_time_ms":1700000040001'),
        (b'"timeframe":"1m"', b'"timeframe":"1h"'),
        (b'"volume":"7"', b'"volume":"-7"'),
        (b'"volume":"7"', b'"volume":"1000000000000000000.1"'),
        (b'"trades":5', b'"trades":05'),
        (b'"trades":5', b'"trades":9007199254740993'),
        (b'"revision":9', b'"revision":null'),
        (b'"first_trade_id":"1"', b'"first_trade_id":"01"'),
        (b'"first_trade_id":"1"', b'"first_trade_id":""'),
        (b'"status":"complete"}', b'"status":"complete"} '),
        (b'"status":"complete"', b'"status":"comolete"'),
        (b'"symbol":"BTC-USDT"', b'"symbol":"ETH-USDT"'),
    ],
)
def test_a_candle_that_is_not_usual_is_left_to_the_codec(told: bytes, other: bytes) -> None:
    value = (
        b'{"exchange":"binance","symbol":"BTC-USDT","timeframe":"1m","open_time_ms":1700000040000,'
        b'"close_time_ms":1700000099999,"open":"2","high":"4","low":"1","close":"3.50","volume":"7","quote_volume":"9",'
        b'"trades":5,"taker_buy_volume":"1","taker_buy_quote_volume":"2","first_trade_id":"1","last_trade_id":"5",'
        b'"revision":9,"status":"complete"}'
    )
    columns = read([value, value.replace(told, other)], [MARKETS[0]] * 2)
    assert columns.valid.tolist() == [True, False]
    assert row(columns, 0, MARKETS[0]) == decode_candle(value)

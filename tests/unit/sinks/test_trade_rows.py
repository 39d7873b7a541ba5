"""Batches of trades as Arrow tables: what `decode_rows` says of each record is the truth."""

import json
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from market_strategies import MINUTE_OPEN_US, trades, usual_amounts

from market.codec import decode_trade, encode_trade
from market.partition import partition_of
from market.trade import Side, Source, Trade, numeric_id
from sinks import trade_rows
from sinks.columns import decimal_column
from sinks.encoded import Encoded
from sinks.rows import Row, decode_rows, precedence
from sinks.trade_rows import TRADE_ROWS, TradeRows

PARTITIONS = 2
MARKETS = [("binance", "BTC-USDT"), ("okx", "BTC-USDT"), ("x", "1000SATS-USDT"), ("okx", "L" * 128), ("x", 'A"B\\')]
TIMES = st.integers(10**15, 9 * 10**15 - 1)
GARBAGE = [b"", b"{", b"null", b"\xff", b'"' * 5000, b"1" * 100_000, b'{"exchange":"x"}']
HEADERS = [
    [("run", b"r1")], [("run", b"r2")], [("run", b"r1"), ("trace", b"7")], [("trace", b"7")],
    [("run", b"\xff")], [("run", b"")], [("run", None)], [("run", b"a\nb")], [("run", b"r1"), ("run", b"r3")],
]  # fmt: skip


@dataclass(frozen=True)
class LoggedTrade:
    """A record as the sinks read it."""

    key: bytes | None
    value: bytes
    headers: Any = ()
    offset: int = 0
    timestamp: int = 0


usual_trades = st.builds(
    lambda market, amounts, **fields: Trade(exchange=market[0], symbol=market[1], **amounts, **fields),
    st.sampled_from(MARKETS),
    usual_amounts(),
    trade_id=st.integers(0, 10**16 - 1).map(str),
    side=st.sampled_from(Side),
    time_us=TIMES,
    received_us=TIMES,
    source=st.sampled_from(Source),
)


def made(symbol: str) -> Trade:
    """A usual trade."""
    return Trade(
        exchange="x", symbol=symbol, trade_id="7", price=Decimal("1.5"), qty=Decimal(2), side=Side.BUY,
        time_us=MINUTE_OPEN_US, received_us=MINUTE_OPEN_US + 1,
    )  # fmt: skip


def logged(trade: Trade) -> LoggedTrade:
    """The record of a trade."""
    return LoggedTrade(trade.key.encode(), encode_trade(trade))


@st.composite
def mutated(draw: st.DrawFn, trade: Trade) -> bytes:
    """The trade's value with some bytes replaced: often malformed, sometimes another trade."""
    value = bytearray(encode_trade(trade))
    for _ in range(draw(st.integers(1, 3))):
        begin = draw(st.integers(0, len(value) - 1))
        some = draw(st.sampled_from([b"", b"0", b"9", b".", b'"', b"-", b"e", b" ", b"\\", b"\x00", b"\xff"]))
        value[begin : begin + draw(st.integers(0, 2))] = some
    return bytes(value)


@st.composite
def records(draw: st.DrawFn) -> LoggedTrade:
    """Mostly usual trades; and all that else may stand in a topic."""
    trade = draw(usual_trades)
    record = logged(trade)
    kind = draw(st.integers(0, 12))
    if kind == 0:
        record = logged(draw(trades))
    elif kind == 1:
        record = replace(record, value=draw(mutated(trade)))
    elif kind == 2:
        record = replace(record, value=draw(st.sampled_from(GARBAGE)))
    elif kind == 3:
        others = [None, b"", b"x", b"\xff", b"x:A-B", b'x:A"B\\', b'x:A\\"B\\\\', b"a|b:c", b"okx:BTC-USDT"]
        record = replace(record, key=draw(st.sampled_from(others)))
    elif kind in {4, 5}:
        record = replace(record, headers=draw(st.sampled_from(HEADERS)))
    elif kind == 6:
        fields = json.loads(record.value) | draw(st.sampled_from([{"seq": 7}, {"seq": None}, {"more": "x" * 3000}]))
        record = replace(record, value=json.dumps(fields).encode())
    return record


def wanted_row(row: Row) -> dict[str, Any]:
    trade, record = row.model, row.record
    return {
        **{name: getattr(trade, name) for name in ("exchange", "symbol", "trade_id", "price", "qty", "seq")},
        "number": numeric_id(trade.trade_id), "side": trade.side.value, "source": trade.source.value,
        "time": trade.time_us, "received": trade.received_us, "run": row.run, "partition": row.partition,
        "offset": record.offset, "precedence": precedence(row.run, record.offset),
    }  # fmt: skip


def read_rows(encoded: Encoded) -> list[dict[str, Any]]:
    """The rows of a table with its times as numbers."""
    assert encoded.chunk.schema.equals(TRADE_ROWS)
    assert encoded.chunk.num_rows == encoded.rows
    encoded.chunk.validate(full=True)
    plain = encoded.chunk
    for name in ("time", "received"):
        plain = plain.set_column(plain.column_names.index(name), name, plain[name].cast(pa.int64()))
    return plain.to_pylist()


def check(reader: TradeRows, partition: int, batch: list[LoggedTrade]) -> None:
    encoded = reader.read(partition, batch)
    rows, refused = decode_rows(partition, batch, decode_trade, PARTITIONS)
    assert read_rows(encoded) == [wanted_row(row) for row in rows]
    assert [(id(each.record), type(each.error), str(each.error)) for each in encoded.refused] == [
        (id(each.record), type(each.error), str(each.error)) for each in refused
    ]


batches = st.lists(st.tuples(st.sampled_from(MARKETS), st.lists(records(), max_size=12)), min_size=1, max_size=4)
"""Each in the partition of one of the markets: there the others are misplaced."""


@settings(deadline=None, max_examples=300)
@given(batches, st.integers(0, 2**62))
def test_a_batch_s_rows_and_refusals_are_those_of_decode_rows(
    wanted: list[tuple[tuple[str, str], list[LoggedTrade]]], first: int
) -> None:
    reader = TradeRows(PARTITIONS)
    for market, batch in wanted:
        partition = partition_of(":".join(market).encode(), PARTITIONS)
        check(reader, partition, [replace(record, offset=first + number) for number, record in enumerate(batch)])


def test_usual_trades_are_read_without_decoding_each(monkeypatch: pytest.MonkeyPatch) -> None:
    live = logged(made("A-B"))
    of_run = replace(live, headers=[("run", b"r")])
    reader = TradeRows(PARTITIONS)
    monkeypatch.setattr(trade_rows, "decode_rows", None)
    partition = partition_of(live.key or b"", PARTITIONS)
    assert [row["run"] for row in read_rows(reader.read(partition, [live, of_run, live]))] == [None, "r", None]


def test_a_batch_is_read_in_parts_as_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = [logged(made(f"S{number % 4}")) for number in range(10)]
    wanted[4] = replace(wanted[4], value=b"{")
    wanted[6] = replace(wanted[6], headers=[("run", b"r")])
    monkeypatch.setattr(trade_rows, "AT_ONCE", 3)
    check(TradeRows(PARTITIONS), 1, wanted)


def test_more_markets_than_are_remembered_are_read_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trade_rows, "_MOST_KEYS", 3)
    reader = TradeRows(PARTITIONS)
    wanted = [logged(made(f"S{number}")) for number in range(10)]
    for batch in (wanted[:2], wanted[1:3], wanted[2:5], wanted, wanted[:1]):
        check(reader, 1, batch)


@given(st.lists(st.tuples(st.integers(0, 10**16), st.integers(0, 18)), max_size=20))
def test_a_decimal_of_integers_is_exact(wanted: list[tuple[int, int]]) -> None:
    units, digits = (np.array([pair[place] for pair in wanted], np.int64) for place in (0, 1))
    column = decimal_column(units, digits)
    column.validate(full=True)
    assert column.to_pylist() == [Decimal(unit).scaleb(-places) for unit, places in wanted]

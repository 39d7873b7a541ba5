"""Copies of records, and which of them counts; the order of records, and places in it."""

from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.candle import trade_order
from market.trade import Side, Trade
from sinks.record_forms import (
    FORMS,
    PRECEDENCE,
    RecordKind,
    arrange,
    cursor_after,
    cursor_of,
    empty,
    is_cursor,
    times_us,
    trade_rows,
)

MINUTE_US = 60_000_000
ids = st.sampled_from(["0", "7", "10", "9", "007", "1" * 19, "a", "-3"])
copies = st.builds(
    lambda trade_id, time_us, seq, price: Trade(
        exchange="x", symbol="A-B", trade_id=trade_id, price=Decimal(price), qty=Decimal(1), side=Side.BUY,
        time_us=time_us, received_us=0, seq=seq,
    ),
    ids, st.integers(0, 3 * MINUTE_US), st.none() | st.integers(0, 3), st.integers(1, 9),
)  # fmt: skip


def table(copies_of: list[tuple[Trade, int]]) -> pa.Table:
    rows = trade_rows([trade for trade, _ in copies_of])
    told = pa.array([precedence for _, precedence in copies_of], pa.uint64())
    return rows.set_column(rows.schema.get_field_index(PRECEDENCE), PRECEDENCE, told)


@given(st.lists(st.tuples(copies, st.integers(0, 2**64 - 1)), max_size=30, unique_by=lambda copy: copy[1]))
def test_of_the_copies_of_a_trade_in_a_minute_the_greatest_precedence_counts_and_trades_are_in_their_order(
    given_copies: list[tuple[Trade, int]],
) -> None:
    best: dict[tuple[int, str], tuple[int, Trade]] = {}
    for trade, precedence in given_copies:
        key = (trade.time_us // MINUTE_US, trade.trade_id)
        best[key] = max(best.get(key, (-1, trade)), (precedence, trade), key=lambda copy: copy[0])
    wanted = sorted((trade for _, trade in best.values()), key=trade_order)
    rows = arrange(RecordKind.TRADES, [table(given_copies[::2]), table(given_copies[1::2])])
    assert rows["trade_id"].to_pylist() == [trade.trade_id for trade in wanted]
    assert rows["price"].to_pylist() == [trade.price for trade in wanted]
    assert times_us(RecordKind.TRADES, rows).tolist() == [trade.time_us for trade in wanted]
    cursors = [cursor_of(RecordKind.TRADES, rows, row) for row in range(len(rows))]
    assert cursors == sorted(set(cursors))
    assert all(is_cursor(RecordKind.TRADES, cursor) for cursor in cursors)
    behind = cursor_after(RecordKind.TRADES, MINUTE_US)
    assert is_cursor(RecordKind.TRADES, behind)
    assert [cursor > behind for cursor in cursors] == [trade.time_us >= MINUTE_US for trade in wanted]


@pytest.mark.parametrize("kind", [kind for kind in RecordKind if kind is not RecordKind.INSTRUMENTS])
def test_a_place_before_a_time_is_before_the_first_record_of_it_and_behind_all_others(kind: RecordKind) -> None:
    form = FORMS[kind]
    numbers = {field.name for field in form.schema if pa.types.is_integer(field.type)}
    texts = {field.name for field in form.schema if pa.types.is_string(field.type)}
    rows = pa.Table.from_pylist(
        [dict.fromkeys(numbers, time) | dict.fromkeys(texts, str(time)) | {form.time: time} for time in (6, 7)],
        schema=form.schema,
    )
    rows = arrange(kind, [empty(kind), rows])
    place = cursor_after(kind, 7 * form.unit_us)
    assert is_cursor(kind, place)
    assert cursor_of(kind, rows, 0) <= place < cursor_of(kind, rows, 1)


def test_the_first_or_the_last_revision_of_a_candle() -> None:
    form = FORMS[RecordKind.CANDLES]
    rows = pa.Table.from_pylist(
        [{"open_time_ms": 0, "revision": revision, PRECEDENCE: revision} for revision in (5, 3, 9)], schema=form.schema
    )
    assert arrange(RecordKind.CANDLES, [rows])["revision"].to_pylist() == [9]
    assert arrange(RecordKind.CANDLES, [rows], is_first=True)["revision"].to_pylist() == [3]


@pytest.mark.parametrize("values", [[], [1], ["1", 0, 0, ""], [1, 0, 0, 0], [True, 0, 0, ""], [1 << 60, 0, 0, ""]])
def test_what_is_no_place_of_a_trade(values: list[Any]) -> None:
    assert not is_cursor(RecordKind.TRADES, values)

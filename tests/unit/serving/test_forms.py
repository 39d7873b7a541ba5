"""The texts and files that tables of records become."""

import csv
import io
import json
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from market.decimals import EXACT, plain
from serving.forms import BEGIN, END, row_writer
from serving.media_types import AnswerForm, accepted_form
from serving.texts import decimal_texts, json_lines
from sinks.columns import PRICE, QUOTE
from sinks.record_forms import AMOUNTS

SCHEMA = pa.schema(
    [("name", pa.string()), ("price", PRICE), ("paid", QUOTE), ("time_us", pa.int64()), ("values", AMOUNTS)]
)
MOST = 10**38 - 1
prices = (st.integers(-MOST, MOST) | st.integers(-(10**13), 10**13)).map(
    lambda units: Decimal(units).scaleb(-18, EXACT)
)
amounts_paid = st.integers(0, MOST).map(lambda units: Decimal(units).scaleb(-22, EXACT))
rows_of = st.lists(
    st.fixed_dictionaries(
        {
            "name": st.none() | st.text(st.characters(exclude_categories=["Cs"]), max_size=5),
            "price": st.none() | prices | st.sampled_from([Decimal(0), Decimal("1e-18"), Decimal("-1e-7")]),
            "paid": st.none() | amounts_paid,
            "time_us": st.none() | st.integers(-(2**63), 2**63 - 1),
            "values": st.dictionaries(st.text('ab"\\', max_size=3), prices, max_size=3).map(
                lambda of: list(of.items())
            ),
        }
    ),
    max_size=6,
)


def told(row: dict[str, Any]) -> dict[str, Any]:
    """As JSON has it."""
    texts = {name: None if row[name] is None else plain(row[name]) for name in ("price", "paid")}
    return row | texts | {"values": {name: plain(amount) for name, amount in row["values"]}}


@given(st.lists(prices | st.none(), min_size=1))
def test_decimals_are_plain_and_exact(amounts: list[Decimal | None]) -> None:
    texts = decimal_texts(pa.chunked_array([pa.array(amounts, PRICE)])).to_pylist()
    assert texts == [None if amount is None else plain(amount) for amount in amounts]


@given(rows_of)
def test_lines_of_json_hold_every_value(rows: list[dict[str, Any]]) -> None:
    table = pa.Table.from_pylist(rows, schema=SCHEMA)
    assert [json.loads(line) for line in json_lines(table, omits_null=False).split(b"\n")[:-1]] == list(map(told, rows))
    without = [{name: value for name, value in told(row).items() if value is not None} for row in rows]
    assert [json.loads(line) for line in json_lines(table, omits_null=True).split(b"\n")[:-1]] == without


@given(rows_of)
def test_lines_of_csv_hold_every_value(rows: list[dict[str, Any]]) -> None:
    table = pa.Table.from_pylist(rows, schema=SCHEMA)
    writer = row_writer(AnswerForm.CSV, SCHEMA, {}, omits_null=False)
    text = (writer.begin() + writer.rows(table.slice(0, 2)) + writer.rows(table.slice(2)) + writer.end({})).decode()
    read = list(csv.reader(io.StringIO(text, newline="")))
    assert read[0] == SCHEMA.names
    for cells, row in zip(read[1:], map(told, rows), strict=True):
        values = row | {"values": json.dumps(row["values"], separators=(",", ":"), ensure_ascii=False)}
        assert cells == ["" if values[name] is None else str(values[name]) for name in SCHEMA.names]


@given(rows_of)
def test_arrow_and_parquet_give_the_same_table_back_and_say_how_they_begin_and_end(rows: list[dict[str, Any]]) -> None:
    table = pa.Table.from_pylist(rows, schema=SCHEMA)
    for form in (AnswerForm.ARROW, AnswerForm.PARQUET):
        writer = row_writer(form, SCHEMA, {"away": ["hot"]}, omits_null=False)
        written = (
            writer.begin() + writer.rows(table.slice(0, 2)) + writer.rows(table.slice(2)) + writer.end({"rows": 1})
        )
        if form is AnswerForm.PARQUET:
            read, last = pq.read_table(pa.BufferReader(written)), pq.read_metadata(pa.BufferReader(written)).metadata
        else:
            batches = list(pa.ipc.open_stream(written).iter_batches_with_custom_metadata())
            read, last = pa.ipc.open_stream(written).read_all(), batches[-1].custom_metadata
        assert read.to_pylist() == table.to_pylist()
        assert json.loads(read.schema.metadata[BEGIN]) == {"away": ["hot"]}
        assert json.loads(last[END]) == {"rows": 1}


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", AnswerForm.JSON),
        ("*/*", AnswerForm.JSON),
        ("text/html, text/csv;q=0.9", AnswerForm.CSV),
        ("Application/VND.apache.arrow.stream", AnswerForm.ARROW),
        ("application/json, text/csv", AnswerForm.JSON),
    ],
)
def test_the_first_form_that_is_accepted(accept: str, form: AnswerForm) -> None:
    assert accepted_form(accept) is form

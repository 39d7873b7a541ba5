"""The cold store's files: where they lie, what is in them, and by what two of them are the same."""

import datetime as dt
from decimal import Decimal
from typing import Any

import obstore
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cold_rows import BEFORE, NAME, TRADE, files, read_day, record, trades_before
from hypothesis import given, settings
from hypothesis import strategies as st
from market_log import LogRecord
from market_strategies import trades
from obstore.store import MemoryStore
from records import BAR, CANDLE, EVENT, FUNDING, INSTRUMENT, SIGNAL

from market.codec import decode_trade, encode_trade
from market.key import MarketKey
from market.trade import Trade
from sinks.parquet.files import holds, parquet_bytes, rows_hash, split, stored_hash
from sinks.parquet.schema import BARS, CANDLES, FEEDS, INSTRUMENTS, SIGNALS, TRADES, Dataset
from sinks.parquet.schema import FUNDING as FUNDING_RATES
from sinks.record_forms import RecordKind

MADE = [
    (TRADES, TRADE), (CANDLES, CANDLE), (FUNDING_RATES, FUNDING), (FEEDS, EVENT), (INSTRUMENTS, INSTRUMENT),
    (SIGNALS, SIGNAL), (BARS, BAR),
]  # fmt: skip


def test_files_are_split_by_exchange_and_day_and_named_after_the_batch() -> None:
    rows = [
        TRADE,
        TRADE | {"time_us": 1_700_006_399_999_999},
        TRADE | {"time_us": 1_700_006_400_000_000},
        TRADE | {"exchange": "a/../b"},
    ]
    made = files(TRADES, [record(row, 10 + place) for place, row in enumerate(rows)])
    assert {file.path: file.rows["offset"].to_pylist() for file in made} == {
        "trades/exchange=binance/date=2023-11-14/p.md.trades.v1-0-10-13.parquet": [10, 11],
        "trades/exchange=binance/date=2023-11-15/p.md.trades.v1-0-10-13.parquet": [12],
        "trades/exchange=a%2F..%2Fb/date=2023-11-14/p.md.trades.v1-0-10-13.parquet": [13],
    }


@settings(deadline=None, max_examples=60)
@given(st.lists(trades, min_size=1, max_size=30))
def test_a_file_s_rows_are_the_batch_s_by_symbol_time_and_offset(wanted: list[Trade]) -> None:
    records = [LogRecord("t", 0, place, 0, t.key.encode(), encode_trade(t), ()) for place, t in enumerate(wanted)]
    rows = [
        row
        for file in files(TRADES, records)
        for row in pq.read_table(pa.BufferReader(parquet_bytes(TRADES, file.rows))).to_pylist()
    ]
    by_symbol = sorted(
        enumerate(wanted), key=lambda each: (each[1].exchange, _day(each[1]), each[1].symbol, each[1].time_us, each[0])
    )
    assert sorted(rows, key=lambda row: (row["exchange"], row["time"].date())) == [
        {
            **{name: getattr(trade, name) for name in ("exchange", "symbol", "trade_id", "price", "qty", "seq")},
            "side": trade.side.value, "source": trade.source.value, "time": _time(trade.time_us),
            "received": _time(trade.received_us), "run": None, "partition": 0, "offset": offset,
        }
        for offset, trade in by_symbol
    ]  # fmt: skip


def _time(time_us: int) -> dt.datetime:
    return dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=time_us)


def _day(trade: Trade) -> dt.date:
    return _time(trade.time_us).date()


def test_the_hash_is_of_the_rows_alone() -> None:
    records = [record(TRADE | {"trade_id": str(number)}, number) for number in range(10)]
    [whole] = files(TRADES, records)
    halves = [files(TRADES, part)[0].rows for part in (records[:3], records[3:])]
    parts = pa.concat_tables(halves)
    assert rows_hash(parts) == rows_hash(whole.rows) == stored_hash(parquet_bytes(TRADES, whole.rows))
    assert parquet_bytes(TRADES, parts) == parquet_bytes(TRADES, whole.rows)
    for name, value in (("price", "27000.2"), ("symbol", "BTC-USDU"), ("time_us", 1), ("side", "sell")):
        [other] = files(TRADES, [*records[:9], record(TRADE | {"trade_id": "9", name: value}, 9)][9:])
        assert rows_hash(pa.concat_tables([whole.rows.slice(0, 9), other.rows])) != rows_hash(whole.rows)
    assert stored_hash(b"PAR1 broken") is None


def test_a_batch_gives_the_same_file_whatever_was_read_before_it() -> None:
    batch = [record(TRADE | {"symbol": symbol}, place) for place, symbol in enumerate(["Z-USDT", "A-USDT"])]
    read = TRADES.reading(1)
    read(0, [record(TRADE | {"symbol": f"S{number}"}) for number in range(30)])
    [later] = split(TRADES, NAME, read(0, batch).chunk.select(TRADES.schema.names))
    [first] = files(TRADES, batch)
    assert parquet_bytes(TRADES, later.rows) == parquet_bytes(TRADES, first.rows)


def test_a_file_of_an_earlier_version_holds_the_rows_of_its_batch() -> None:
    before = BEFORE.read_bytes()
    [file] = files(TRADES, trades_before())
    assert holds(TRADES, before, file.rows)
    assert not holds(TRADES, before, file.rows.slice(1))
    now = pq.read_table(pa.BufferReader(parquet_bytes(TRADES, file.rows)))
    then = pq.read_table(pa.BufferReader(before))
    assert then.schema.equals(now.schema, check_metadata=True)
    assert then["offset"].to_pylist() == sorted(now["offset"].to_pylist())
    assert now.sort_by("offset").equals(then)


async def test_files_of_an_earlier_version_and_of_this_one_are_read_together() -> None:
    store = MemoryStore()
    later = [record(TRADE | {"trade_id": "later", "received_us": 0}, 900)]
    [before], [now] = files(TRADES, trades_before()), files(TRADES, later)
    await obstore.put_async(store, before.path, BEFORE.read_bytes())
    await obstore.put_async(store, now.path.replace(str(NAME), "later"), parquet_bytes(TRADES, now.rows))
    rows = await read_day(store, RecordKind.TRADES, MarketKey("binance", "BTC-USDT"), dt.date(2023, 11, 14))
    read = [Trade(**{name: row[name] for name in Trade.__struct_fields__}) for row in rows]
    told = [decode_trade(record.value or b"") for record in [*trades_before(), *later]]
    of_day = [trade for trade in told if trade.symbol == "BTC-USDT" and _day(trade) == dt.date(2023, 11, 14)]
    assert sorted(read, key=lambda trade: trade.trade_id) == sorted(of_day, key=lambda trade: trade.trade_id)
    assert len(read) > 3


def test_the_hash_does_not_see_what_stands_behind_a_null() -> None:
    def hidden(number: int) -> pa.Table:
        behind = pa.array([number], pa.int64()).buffers()[1]
        return pa.table({"seq": pa.Array.from_buffers(pa.int64(), 1, [pa.py_buffer(b"\0"), behind])})

    assert hidden(5)["seq"].null_count == 1
    assert rows_hash(hidden(5)) == rows_hash(hidden(6)) != rows_hash(pa.table({"seq": [5]}))


def test_of_a_compacted_topic_a_file_may_hold_what_the_log_lost_and_nothing_else() -> None:
    listed = [record(INSTRUMENT | {"tick": f"0.0{number}"}, number) for number in range(1, 5)]
    [whole], [left] = files(INSTRUMENTS, listed), files(INSTRUMENTS, listed[2:])
    [other] = files(INSTRUMENTS, [listed[2], record(INSTRUMENT | {"tick": "5"}, 4)])
    content = parquet_bytes(INSTRUMENTS, whole.rows)
    assert holds(INSTRUMENTS, content, whole.rows)
    assert holds(INSTRUMENTS, content, left.rows)
    assert not holds(INSTRUMENTS, content, other.rows)
    assert not holds(INSTRUMENTS, parquet_bytes(INSTRUMENTS, left.rows), whole.rows)
    assert not holds(INSTRUMENTS, b"PAR1 broken", left.rows)


NULLABLE = {
    "trades": ["run", "seq"],
    "candles": ["first_trade_id", "last_trade_id", "run"],
    "funding": ["next_time", "mark_price", "run"],
    "feeds": ["first_id", "last_id", "from_time", "until_time", "run", "reason"],
    "instruments": ["tick", "lot", "since"],
    "signals": ["other"],
    "bars": ["run"],
}


@pytest.mark.parametrize(("dataset", "fields"), MADE, ids=[dataset.name for dataset, _ in MADE])
def test_cold_columns_are_what_an_iceberg_table_takes(dataset: Dataset, fields: dict[str, Any]) -> None:
    [file] = files(dataset, [record(fields)])
    parquet = pq.ParquetFile(pa.BufferReader(parquet_bytes(dataset, file.rows)))
    schema = parquet.schema_arrow
    assert [int(field.metadata[b"PARQUET:field_id"]) for field in schema] == list(range(1, len(schema) + 1))
    assert [field.name for field in schema if field.nullable] == NULLABLE[dataset.name]
    assert not [field.name for field in schema if pa.types.is_dictionary(field.type)]
    assert schema.field(dataset.time).type == pa.timestamp("us", tz="UTC")
    group = parquet.metadata.row_group(0)
    columns = [group.column(place) for place in range(group.num_columns)]
    assert all(column.statistics is not None for column in columns)
    assert all(column.has_column_index and column.has_offset_index for column in columns)
    order = [schema.names[column.column_index] for column in group.sorting_columns]
    assert order == ["symbol", dataset.time, "offset"]


def test_funding_rates_events_and_instruments_are_held_as_they_were_told() -> None:
    [funding] = files(FUNDING_RATES, [record(FUNDING, 3)])
    [event] = files(FEEDS, [record(EVENT | {"event": "hole", "from_us": 5, "until_us": 6, "run": "r"}, 4)])
    [instrument] = files(INSTRUMENTS, [record(INSTRUMENT, 5)])
    [rate], [told], [listed] = (file.rows.to_pylist() for file in (funding, event, instrument))
    assert (rate["rate"], rate["mark_price"], rate["time"]) == (Decimal("-0.0001"), Decimal("27000.1"), _time(1000))
    assert (rate["kind"], rate["next_time"], rate["offset"]) == ("settled", _time(2000), 3)
    assert (told["event"], told["at"], told["from_time"], told["until_time"]) == (
        "hole", _time(1000), _time(5), _time(6),
    )  # fmt: skip
    assert (told["first_id"], told["last_id"], told["run"]) == ("1", None, "r")
    assert (listed["native"], listed["tick"], listed["since"]) == ("BTCUSDT", Decimal("0.01"), _time(1000))
    assert (listed["logged"], listed["offset"]) == (_time(1_700_000_000_000_000), 5)
    assert instrument.path.startswith("instruments/exchange=binance/date=2023-11-14/")


def test_a_signal_is_held_with_its_numbers_and_the_hash_is_of_them_too() -> None:
    numbers = {"spread_bps": "-1.5", "a|b": "99999999999999999999.999999999999999999"}
    told = [SIGNAL | {"values": values} for values in (numbers, {}, {"close": "1"})]
    [file] = files(SIGNALS, [record(signal, place) for place, signal in enumerate(told)])
    content = parquet_bytes(SIGNALS, file.rows)
    back = pq.read_table(pa.BufferReader(content))
    assert [dict(row["values"]) for row in back.to_pylist()] == [
        {name: Decimal(value) for name, value in signal["values"].items()} for signal in told
    ]
    within = back.schema.field("values").type
    assert [
        int(part.metadata[b"PARQUET:field_id"]) for part in (within.key_field, within.item_field)
    ] == [13, 14]  # fmt: skip
    assert holds(SIGNALS, content, file.rows)
    halves = pa.concat_tables([file.rows.slice(0, 2), file.rows.slice(2)])
    assert rows_hash(halves) == rows_hash(back.select(file.rows.schema.names)) == stored_hash(content)
    assert rows_hash(file.rows.slice(1)) == rows_hash(files(SIGNALS, [record(told[1], 1), record(told[2], 2)])[0].rows)
    for other in ({"close": "1.1"}, {"last": "1"}, {}):
        [changed] = files(
            SIGNALS, [*(record(told[place], place) for place in (0, 1)), record(SIGNAL | {"values": other}, 2)]
        )
        assert not holds(SIGNALS, content, changed.rows), other
    moved = [SIGNAL | {"values": values} for values in (numbers, {"close": "1"}, {})]
    [other_rows] = files(SIGNALS, [record(signal, place) for place, signal in enumerate(moved)])
    assert not holds(SIGNALS, content, other_rows.rows), "of the same numbers, but in other rows"

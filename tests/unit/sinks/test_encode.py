"""Exactness and order, before any store is asked."""

import json
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from market.candle import id_order
from runtime.kafka import TopicPartition
from sinks.clickhouse import encode as clickhouse
from sinks.parquet import schema as parquet
from sinks.parquet.files import parquet_bytes, rows_hash, split, stored_hash
from sinks.redis import encode as redis

TRADE = {
    "exchange": "binance", "symbol": "BTC-USDT", "trade_id": "7", "price": "27000.1", "qty": "0.5", "side": "buy",
    "time_us": 1_699_999_999_999_999, "received_us": 1_700_000_000_000_001, "source": "rest",
}  # fmt: skip
CANDLE = {
    "exchange": "binance", "symbol": "BTC-USDT", "timeframe": "1m", "open_time_ms": 60_000, "close_time_ms": 119_999,
    "open": "1", "high": "2", "low": "1", "close": "2", "volume": "3", "quote_volume": "4", "trades": 2,
    "taker_buy_volume": "1", "taker_buy_quote_volume": "2", "first_trade_id": None, "last_trade_id": None,
    "revision": 5, "status": "complete",
}  # fmt: skip


def record(fields: dict[str, Any], offset: int = 0, headers: tuple[tuple[str, bytes], ...] = ()) -> Any:
    return SimpleNamespace(topic="t", partition=3, offset=offset, value=json.dumps(fields).encode(), headers=headers)


def test_a_trade_s_columns_are_its_fields() -> None:
    encoded = clickhouse.encode(clickhouse.TRADES, [record(TRADE, 9, (("run", b"r1"),))])
    [row] = encoded.chunk.to_pylist()
    assert row["price"] == Decimal("27000.1")
    assert (row["time"].microsecond, row["time"].second, row["received"].microsecond) == (999_999, 19, 1)
    assert [row[name] for name in ("trade_id", "side", "source", "run", "partition", "offset")] == [
        "7", "buy", "rest", "r1", 3, 9,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("price", "fits"),
    [
        ("12345678901234567890.123456789012345678", True),
        ("0.000000000000000001", True),
        ("1.0000000000000000000000000", True),
        ("123456789012345678901", False),
        ("0.0000000000000000001", False),
    ],
)
@pytest.mark.parametrize("encode", [clickhouse.encode, parquet.encode])
def test_a_price_is_held_exactly_or_refused(encode: Any, price: str, *, fits: bool) -> None:
    into = clickhouse.TRADES if encode is clickhouse.encode else parquet.TRADES
    encoded = encode(into, [record(TRADE, 1), record(TRADE | {"price": price}, 2), record(TRADE, 3)])
    assert encoded.rows == 2 + fits
    if fits:
        assert encoded.chunk["price"][1].as_py() == Decimal(price)
    else:
        [refused] = encoded.refused
        assert refused.record.offset == 2
        assert f"price {price} does not fit 20 digits before the point and 18 behind" in str(refused.error)


def test_products_have_36_decimals_in_the_warm_store_and_are_refused_by_the_cold() -> None:
    fine = "1.123456789012345678901234567890123456"
    warm = clickhouse.encode(clickhouse.CANDLES, [record(CANDLE | {"quote_volume": fine})])
    assert warm.chunk["quote_volume"][0].as_py() == Decimal(fine)
    assert parquet.encode(parquet.CANDLES, [record(CANDLE | {"quote_volume": fine})]).rows == 0


def test_a_ticker_with_a_window_that_does_not_fit_is_refused_as_a_whole() -> None:
    window = {
        "minutes": 60, "open": "1", "high": "2", "low": "1", "close": "2", "change": "-1", "change_percent": "-50.1234",
        "vwap": None, "volume": "1", "quote_volume": "2", "taker_buy_volume": "1", "trades": 3, "status": "hole",
    }  # fmt: skip
    ticker = {
        "exchange": "binance", "symbol": "X", "time_ms": 60_000, "last": "2", "live": False, "revision": 1,
        "windows": {"1h": window, "24h": window},
    }  # fmt: skip
    tall = ticker | {"windows": {"1h": window, "24h": window | {"high": "0.1234567890123456789"}}}
    encoded = clickhouse.encode(clickhouse.TICKERS, [record(ticker, 1), record(tall, 2)])
    assert [(row["window"], row["offset"], row["change"]) for row in encoded.chunk.to_pylist()] == [
        ("1h", 1, Decimal(-1)),
        ("24h", 1, Decimal(-1)),
    ]
    assert [refused.record.offset for refused in encoded.refused] == [2]


def test_hot_members_sort_as_trade_ids_do() -> None:
    ids = ["9", "10", "99", "100", "abc", "007", "0", "1" * 18, "1" * 19]
    assert sorted(ids, key=redis.trade_member) == sorted(ids, key=id_order)


def test_trades_of_a_run_do_not_enter_the_hot_store() -> None:
    encoded = redis.encode(redis.TRADES, "p.", [record(TRADE, 1, (("run", b"r"),)), record(TRADE, 2)])
    assert (encoded.rows, encoded.refused) == (1, [])


def test_what_the_hot_store_cannot_compare_exactly_is_refused() -> None:
    encoded = redis.encode(redis.CANDLES, "", [record(CANDLE | {"revision": 2**53 + 1})])
    assert (encoded.rows, len(encoded.refused)) == (0, 1)


def test_files_are_split_by_exchange_and_day_and_named_after_the_batch() -> None:
    rows = [
        TRADE,
        TRADE | {"time_us": 1_700_006_399_999_999},
        TRADE | {"time_us": 1_700_006_400_000_000},
        TRADE | {"exchange": "a/../b"},
    ]
    encoded = parquet.encode(parquet.TRADES, [record(row, 10 + place) for place, row in enumerate(rows)])
    files = split(parquet.TRADES, TopicPartition("p.md.trades.v1", 3), 10, 13, encoded.chunk)
    assert {file.path: file.rows["offset"].to_pylist() for file in files} == {
        "trades/exchange=binance/date=2023-11-14/p.md.trades.v1-3-10-13.parquet": [10, 11],
        "trades/exchange=binance/date=2023-11-15/p.md.trades.v1-3-10-13.parquet": [12],
        "trades/exchange=a%2F..%2Fb/date=2023-11-14/p.md.trades.v1-3-10-13.parquet": [13],
    }


def test_the_hash_is_of_the_rows_alone() -> None:
    records = [record(TRADE | {"trade_id": str(number)}, number) for number in range(10)]
    whole = parquet.encode(parquet.TRADES, records).chunk
    parts = pa.concat_tables([parquet.encode(parquet.TRADES, part).chunk for part in (records[:3], records[3:])])
    assert rows_hash(parts) == rows_hash(whole) == stored_hash(parquet_bytes(parquet.TRADES, whole))
    assert parquet_bytes(parquet.TRADES, parts) == parquet_bytes(parquet.TRADES, whole)
    for name, value in (("price", "27000.2"), ("symbol", "BTC-USDU"), ("time_us", 1), ("side", "sell")):
        other = parquet.encode(parquet.TRADES, [*records[:9], record(TRADE | {"trade_id": "9", name: value}, 9)])
        assert rows_hash(other.chunk) != rows_hash(whole)
    assert stored_hash(b"PAR1 broken") is None


def test_cold_columns_are_what_an_iceberg_table_takes() -> None:
    content = parquet_bytes(parquet.CANDLES, parquet.encode(parquet.CANDLES, [record(CANDLE)]).chunk)
    file = pq.ParquetFile(pa.BufferReader(content))
    schema = file.schema_arrow
    assert [int(field.metadata[b"PARQUET:field_id"]) for field in schema] == list(range(1, len(schema) + 1))
    assert [field.name for field in schema if field.nullable] == ["first_trade_id", "last_trade_id", "run"]
    assert not [field.name for field in schema if pa.types.is_dictionary(field.type)]
    assert schema.field("quote_volume").type == pa.decimal128(38, 18)
    assert schema.field("open_time").type == pa.timestamp("us", tz="UTC")
    group = file.metadata.row_group(0)
    assert all(group.column(place).statistics is not None for place in range(group.num_columns))

"""Exactness and order, before any store is asked."""

import datetime as dt
import json
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from records import TICKER, WINDOW

from market.candle import Fold, id_order
from market.codec import decode_trade
from sinks.clickhouse import encode as clickhouse
from sinks.encoded import Encoded
from sinks.parquet import schema as parquet
from sinks.redis import encode as redis
from sinks.rows import precedence

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


PARTITIONS = 12
PARTITION = 3


def cold_encode(into: parquet.Dataset, partition: int, records: list[Any], partitions: int) -> Encoded:
    return into.reading(partitions)(partition, records)


def record(fields: dict[str, Any], offset: int = 0, headers: tuple[tuple[str, bytes], ...] = (), **place: Any) -> Any:
    key = {"key": f"{fields['exchange']}:{fields['symbol']}".encode()} | place
    return SimpleNamespace(offset=offset, value=json.dumps(fields).encode(), headers=headers, **key)


def test_a_trade_s_columns_are_its_fields() -> None:
    encoded = clickhouse.encode(clickhouse.TRADES, PARTITION, [record(TRADE, 9, (("run", b"r1"),))], PARTITIONS)
    [row] = encoded.chunk.to_pylist()
    assert row["price"] == Decimal("27000.1")
    assert (row["time"].microsecond, row["time"].second, row["received"].microsecond) == (999_999, 19, 1)
    assert [row[name] for name in ("trade_id", "side", "source", "run", "partition", "offset")] == [
        "7", "buy", "rest", "r1", 3, 9,
    ]  # fmt: skip


WIDEST = {"price": "0.000000000000000001", "qty": "999999999999999", "time_us": 9_007_199_253_999_999, "seq": 2**63 - 1}
WIDEST_CANDLE = {
    "high": "999999999999999", "low": "0.000000000000000001", "volume": "9" * 20 + "." + "9" * 18,
    "quote_volume": "9" * 16 + "." + "9" * 22, "taker_buy_quote_volume": "0." + "0" * 21 + "1", "revision": 2**53 - 1,
}  # fmt: skip


@pytest.mark.parametrize(
    ("encode", "trades", "candles"),
    [
        (clickhouse.encode, clickhouse.TRADES, clickhouse.CANDLES),
        (cold_encode, parquet.TRADES, parquet.CANDLES),
    ],
)
def test_what_lies_at_the_limits_is_held_exactly(encode: Any, trades: Any, candles: Any) -> None:
    for into, fields, widest in ((trades, TRADE, WIDEST), (candles, CANDLE, WIDEST_CANDLE)):
        encoded = encode(into, PARTITION, [record(fields | widest), record(fields)], PARTITIONS)
        assert (encoded.rows, encoded.refused) == (2, [])
        row = encoded.chunk.to_pylist()[0]
        for name, value in widest.items():
            found = row["time"] if name == "time_us" else row[name]
            assert found == (dt.datetime(2255, 6, 5, 23, 47, 33, 999_999, dt.UTC) if name == "time_us" else
                             Decimal(value) if isinstance(value, str) else value)  # fmt: skip


def test_a_ticker_with_a_window_beyond_a_limit_is_refused_as_a_whole() -> None:
    ticker = TICKER | {"windows": {"1h": WINDOW, "24h": WINDOW}}
    tall = ticker | {"windows": {"1h": WINDOW, "24h": WINDOW | {"high": "1.1234567890123456789"}}}
    encoded = clickhouse.encode(clickhouse.TICKERS, PARTITION, [record(ticker, 1), record(tall, 2)], PARTITIONS)
    assert [(row["window"], row["offset"], row["change"]) for row in encoded.chunk.to_pylist()] == [
        ("1h", 1, Decimal(-1)),
        ("24h", 1, Decimal(-1)),
    ]
    assert [refused.record.offset for refused in encoded.refused] == [2]


ENCODERS = [
    lambda partition, records: clickhouse.encode(clickhouse.TRADES, partition, records, PARTITIONS),
    lambda partition, records: cold_encode(parquet.TRADES, partition, records, PARTITIONS),
    lambda partition, records: redis.encode(redis.TRADES, "", partition, records, PARTITIONS),
]


@pytest.mark.parametrize("encode", ENCODERS, ids=["clickhouse", "parquet", "redis"])
def test_a_record_under_another_key_or_in_another_partition_is_refused(encode: Any) -> None:
    stray = [record(TRADE, 1, key=b"binance:ETH-USDT"), record(TRADE, 2, key=None)]
    encoded = encode(PARTITION, [*stray, record(TRADE, 3)])
    assert encoded.rows == 1
    assert [(refused.record.offset, str(refused.error)) for refused in encoded.refused] == [
        (1, "key b'binance:ETH-USDT' over a record of 'binance:BTC-USDT'"),
        (2, "key None over a record of 'binance:BTC-USDT'"),
    ]
    encoded = encode(4, [record(TRADE, 4)])
    assert encoded.rows == 0
    assert [str(refused.error) for refused in encoded.refused] == [
        f"key 'binance:BTC-USDT' belongs in partition {PARTITION}, not 4"
    ]


def test_of_copies_a_run_s_goes_before_live_ones_the_later_run_before_the_earlier_and_live_the_first() -> None:
    last = 2**63 - 1
    ranked = [(None, last), (None, 9), (None, 0), ("a", 0), ("b", 9), ("a", 10), ("a", last)]
    places = [precedence(run, offset) for run, offset in ranked]
    assert places == sorted(set(places))
    assert (places[0], places[-1]) == (0, 2**64 - 1)


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 9)), min_size=1, max_size=12))
def test_of_live_copies_that_counts_which_the_candle_took(told: list[tuple[int, int]]) -> None:
    fold = Fold()
    kept: dict[int, tuple[int, int]] = {}
    for offset, (number, price) in enumerate(told):
        value = TRADE | {"trade_id": str(number), "price": str(price), "qty": "1"}
        fold.add(decode_trade(json.dumps(value).encode()))
        kept[number] = max(kept.get(number, (-1, 0)), (precedence(None, offset), price))
    assert fold.quote_volume == sum(price for _, price in kept.values())


def test_hot_members_sort_as_trade_ids_do() -> None:
    ids = ["9", "10", "99", "100", "abc", "007", "0", "1" * 18, "1" * 19]
    assert sorted(ids, key=redis.trade_member) == sorted(ids, key=id_order)


def test_trades_of_a_run_only_take_the_place_of_what_the_hot_store_holds() -> None:
    encoded = redis.encode(
        redis.TRADES, "p.", PARTITION, [record(TRADE, 1, (("run", b"r"),)), record(TRADE, 2)], PARTITIONS
    )
    assert [write.arguments[0] for write in encoded.chunk] == ["XX", "NX"]

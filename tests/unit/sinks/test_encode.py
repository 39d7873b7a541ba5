"""Exactness and order, before any store is asked."""

import datetime as dt
import json
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from records import BAR, SIGNAL, TICKER, WINDOW

from market.candle import Fold
from market.codec import decode_trade
from market.partition import partition_of
from sinks.clickhouse import encode as clickhouse
from sinks.encoded import Encoded
from sinks.parquet import schema as parquet
from sinks.redis.trades import HotTrades
from sinks.rows import precedence
from sinks.trade_rows import TradeRows

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


def warm_trades(partition: int, records: list[Any]) -> Encoded:
    return clickhouse.encode_trades(TradeRows(PARTITIONS).read(partition, records))


def warm(into: Any, partition: int, records: list[Any], partitions: int) -> Encoded:
    """As the warm store encodes a topic; `into` is None for trades."""
    return clickhouse.encode(into, partition, records, partitions) if into else warm_trades(partition, records)


def test_a_trade_s_columns_are_its_fields() -> None:
    [row] = warm_trades(PARTITION, [record(TRADE, 9, (("run", b"r1"),))]).chunk.to_pylist()
    assert row["price"] == Decimal("27000.1")
    assert (row["time"].microsecond, row["time"].second, row["received"].microsecond) == (999_999, 19, 1)
    assert [row[name] for name in ("id_number", "id_text", "side", "source", "run", "partition", "offset")] == [
        7, "", "buy", "rest", "r1", 3, 9,
    ]  # fmt: skip


@pytest.mark.parametrize("others", [[], ["f7496ecb", "007", "1" * 19]])
def test_the_warm_store_keeps_ids_as_numbers_or_as_texts_and_never_as_both(others: list[str]) -> None:
    ids = ["0", "9", "1" * 18, *others]
    runs: list[tuple[tuple[str, bytes], ...]] = [(), (("run", b"r"),)]
    told = [record(TRADE | {"trade_id": one}, offset, runs[offset % 2]) for offset, one in enumerate(ids)]
    rows = warm_trades(PARTITION, told).chunk.to_pylist()
    assert [(row["id_number"], row["id_text"]) for row in rows] == [
        (int(one), "") if one not in others else (-1, one) for one in ids
    ]
    assert [row["run"] for row in rows] == ["r" if offset % 2 else "" for offset in range(len(ids))]


def test_a_settled_funding_rate_counts_before_expected_ones_and_else_the_last_in_the_log() -> None:
    rate = {"exchange": "binance-usdm", "symbol": "BTC-USDT-PERP", "time_ms": 1_704_067_200_000, "rate": "-0.0000236"}
    told = [record(rate | {"kind": kind}, offset) for kind, offset in (("expected", 8), ("settled", 2), ("settled", 5))]
    partition = partition_of(b"binance-usdm:BTC-USDT-PERP", PARTITIONS)
    rows = clickhouse.encode(clickhouse.FUNDING, partition, told, PARTITIONS).chunk.to_pylist()
    ranked = sorted(rows, key=lambda row: row["precedence"])
    assert [(row["kind"], row["offset"]) for row in ranked] == [("expected", 8), ("settled", 2), ("settled", 5)]
    assert (rows[0]["rate"], rows[0]["mark_price"]) == (Decimal("-0.0000236"), None)


def test_an_instrument_that_tells_little_is_held_too() -> None:
    told = {"exchange": "binance", "symbol": "BTC-USDT", "native": "BTCUSDT", "base": "BTC", "quote": "USDT"}
    [row] = clickhouse.encode(clickhouse.INSTRUMENTS, PARTITION, [record(told, 4)], PARTITIONS).chunk.to_pylist()
    assert (row["status"], row["tick"], row["contract"], row["offset"]) == ("trading", None, None, 4)


def test_a_signal_has_its_numbers_as_they_were_told_and_no_other_market_is_an_empty_text() -> None:
    told = SIGNAL | {"values": {"spread_bps": "-" + "9" * 20 + "." + "9" * 18, "a|b": "0"}}
    both = [record(told, 4), record(told | {"other": None}, 5)]
    first, second = clickhouse.encode(clickhouse.SIGNALS, PARTITION, both, PARTITIONS).chunk.to_pylist()
    assert first["values"] == [("spread_bps", Decimal(told["values"]["spread_bps"])), ("a|b", Decimal(0))]
    assert (first["other"], second["other"], first["revision"]) == ("kraken:BTC-USDT", "", 2)


WIDEST_BAR = {
    "kind": "volume", "threshold": "999999999999999", "number": 2**53 - 1, "late_trades": 2**53 - 1,
    "remainder": "0." + "9" * 22, "volume": "9" * 20 + "." + "9" * 18, "quote_volume": "9" * 16 + "." + "9" * 22,
}  # fmt: skip


@pytest.mark.parametrize(
    ("encode", "into"),
    [
        (clickhouse.encode, clickhouse.BARS),
        (cold_encode, parquet.BARS),
    ],
)
def test_a_bar_at_the_limits_is_held_exactly_with_its_microseconds(encode: Any, into: Any) -> None:
    times = {"series_begin_us": 1_610_064_000_000_000, "open_time_us": 1_610_064_000_000_001,
             "close_time_us": 9_007_199_253_999_999}  # fmt: skip
    [row] = encode(into, PARTITION, [record(BAR | WIDEST_BAR | times)], PARTITIONS).chunk.to_pylist()
    for name, value in WIDEST_BAR.items():
        assert row[name] == (Decimal(value) if name != "kind" and isinstance(value, str) else value)
    assert (row["series_begin"].second, row["open_time"].microsecond) == (0, 1)
    assert row["close_time"] == dt.datetime(2255, 6, 5, 23, 47, 33, 999_999, dt.UTC)


WIDEST = {"price": "0.000000000000000001", "qty": "999999999999999", "time_us": 9_007_199_253_999_999, "seq": 2**63 - 1}
WIDEST_CANDLE = {
    "high": "999999999999999", "low": "0.000000000000000001", "volume": "9" * 20 + "." + "9" * 18,
    "quote_volume": "9" * 16 + "." + "9" * 22, "taker_buy_quote_volume": "0." + "0" * 21 + "1", "revision": 2**53 - 1,
}  # fmt: skip


@pytest.mark.parametrize(
    ("encode", "trades", "candles"),
    [
        (warm, None, clickhouse.CANDLES),
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
    warm_trades,
    lambda partition, records: cold_encode(parquet.TRADES, partition, records, PARTITIONS),
    HotTrades("", PARTITIONS).encode,
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


def test_tables_of_any_trades_go_into_one_insert() -> None:
    rows = TradeRows(1)
    kinds = [record(TRADE), record(TRADE | {"trade_id": "a-b"}), record(TRADE, 0, (("run", b"r"),))]
    chunks = [clickhouse.encode_trades(rows.read(0, [each])).chunk for each in kinds]
    together = pa.concat_tables(chunks)
    assert together["id_number"].to_pylist() == [7, -1, 7]
    assert together["id_text"].to_pylist() == ["", "a-b", ""]
    assert together["run"].to_pylist() == ["", "", "r"]

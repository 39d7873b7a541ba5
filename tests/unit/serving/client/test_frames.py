"""Answers as data frames: nothing is rounded, and columns have their types without rows too."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec
import pandas as pd
import polars as pl
import pytest
from msgspec import Struct
from written import T0, candle, ticker, trade

from candlewick.client import ApiCandle, ApiError
from market.bar import Bar
from market.codec import decode_ticker, decode_trade
from market.feed import FeedEvent
from market.funding import FundingRate
from market.instrument import Instrument
from market.signal import Severity, Signal, SignalState
from market.ticker import Ticker
from market.trade import Trade
from serving.client.frames import Framed

CANDLE = msgspec.json.decode(candle(0), type=ApiCandle)
EVERY_TYPE = (ApiCandle, Trade, Ticker, Signal, Bar, FundingRate, FeedEvent, Instrument)


@dataclass
class Rows(Framed):
    record_type: type[Struct]
    records: list[Any]

    def __iter__(self) -> Iterator[Any]:
        return iter(self.records)


def test_amounts_are_exact_and_times_are_utc() -> None:
    extreme = msgspec.structs.replace(
        CANDLE, volume=Decimal("99999999999999999999.123456789012345678"), low=Decimal("0.000000000000000001"),
        quote_volume=Decimal("9999999999999999.1234567890123456789012"), minutes_missing=3,
    )  # fmt: skip
    rows = Rows(ApiCandle, [CANDLE, extreme])
    for frame in (rows.to_polars(), rows.to_pandas()):
        for name in ("volume", "low", "quote_volume", "close"):
            assert list(frame[name]) == [getattr(row, name) for row in rows], name
        assert [moment.timestamp() for moment in frame["open_time"]] == [T0 / 1000, T0 / 1000]
        assert list(frame["status"]) == ["complete", "complete"]
    assert rows.to_polars().schema["open_time"] == pl.Datetime("ms", "UTC")
    assert rows.to_polars()["minutes_missing"].to_list() == [None, 3]
    assert rows.to_pandas()["minutes_missing"].isna().tolist() == [True, False]
    assert str(rows.to_pandas()["open_time"].dtype) == "datetime64[ms, UTC]"


def test_what_polars_would_round_is_refused() -> None:
    rows = Rows(ApiCandle, [msgspec.structs.replace(CANDLE, close=Decimal("0.1234567890123456789"))])
    with pytest.raises(ApiError, match=r"close .* to_pandas"):
        rows.to_polars()
    assert rows.to_pandas()["close"][0] == Decimal("0.1234567890123456789")


def test_microseconds_stay_microseconds() -> None:
    rows = Rows(Trade, [decode_trade(trade(1))])
    expected = datetime(2021, 1, 8, 0, 0, 0, 1000, tzinfo=UTC)
    assert rows.to_polars()["time"].to_list() == [expected]
    assert rows.to_pandas()["time"].tolist() == [pd.Timestamp(expected)]


def test_what_lies_inside_a_record_has_columns_of_its_own() -> None:
    told = decode_ticker(ticker("BTC-USDT", 1))
    with_less = msgspec.structs.replace(told, windows={"1h": told.windows["1h"]})
    rows = Rows(Ticker, [with_less, told])
    for frame in (rows.to_polars(), rows.to_pandas()):
        assert list(frame["windows.1h.vwap"]) == [Decimal("1.333333333333333333")] * 2
        assert [pd.isna(value) for value in frame["windows.24h.close"]] == [True, False]
    signal = Signal(
        exchange="binance", symbol="BTC-USDT", kind="spread", state=SignalState.INFO, severity=Severity.WARNING,
        time_ms=T0, revision=1, window_minutes=5, values={"mean": Decimal("-0.5")},
    )  # fmt: skip
    assert Rows(Signal, [signal]).to_polars()["values.mean"].to_list() == [Decimal("-0.5")]


@pytest.mark.parametrize("record_type", EVERY_TYPE)
def test_without_rows_the_columns_have_the_same_types(record_type: type[Struct]) -> None:
    empty = Rows(record_type, [])
    assert empty.to_polars().shape[0] == len(empty.to_pandas()) == 0
    assert list(empty.to_polars().columns) == list(empty.to_pandas().columns)
    if record_type is ApiCandle:
        full = Rows(ApiCandle, [CANDLE])
        assert empty.to_polars().schema == full.to_polars().schema
        assert empty.to_pandas().dtypes.equals(full.to_pandas().dtypes)

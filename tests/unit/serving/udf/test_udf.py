"""TradingView's names, symbols, bars and marks."""

from decimal import Decimal
from typing import Any

import pytest

from market.candle import Candle, Status
from market.codec import encode_candle
from market.instrument import Instrument
from market.timeframe import HOUR_MS, MINUTE_MS
from serving.encoded import EncodedCandle
from serving.lengths import MINUTE, CandleLength
from serving.udf.bars import MOST_MARKS, history, marks_of, marks_table, no_data
from serving.udf.resolutions import SUPPORTED, length_of
from serving.udf.symbols import resolved, search_result, searched, symbol_info


@pytest.mark.parametrize(
    ("resolution", "length"),
    [("1", "1m"), ("60", "1h"), ("7", "7m"), ("D", "1d"), ("1D", "1d"), ("d", "1d"), ("3D", "3d"), ("W", "1w"),
     ("1W", "1w"), ("M", "1M"), ("12M", "12M"), ("1440", "1d")],
)  # fmt: skip
def test_resolutions_are_minutes_or_have_a_unit(resolution: str, length: str) -> None:
    assert str(length_of(resolution)) == length


@pytest.mark.parametrize("resolution", ["", "0", "1S", "S", "1H", "1T", "-1", "1.5", "13M", "x", "٣"])
def test_other_resolutions_are_refused(resolution: str) -> None:
    with pytest.raises(ValueError, match=r"resolution|year"):
        length_of(resolution)


def test_every_resolution_that_is_offered_is_one() -> None:
    assert len({str(length_of(resolution)) for resolution in SUPPORTED}) == len(SUPPORTED)


def instrument(symbol: str, exchange: str = "binance", **more: Any) -> Instrument:
    base, quote = symbol.split("-")[:2]
    return Instrument(exchange=exchange, symbol=symbol, native=base + quote, base=base, quote=quote, **more)


@pytest.mark.parametrize(
    ("tick", "minmov", "pricescale"),
    [("0.01", 1, 100), ("0.05", 5, 100), ("0.25", 25, 100), ("1", 1, 1), ("10", 10, 1), ("0.00000001", 1, 10**8),
     (None, 1, 10**8), ("0.000000000000000001", 1, 10**18)],
)  # fmt: skip
def test_minmov_by_pricescale_is_the_tick(tick: str | None, minmov: int, pricescale: int) -> None:
    info = symbol_info(instrument("BTC-USDT", tick=None if tick is None else Decimal(tick)))
    assert (info["minmov"], info["pricescale"]) == (minmov, pricescale)
    assert isinstance(info["minmov"], int)


def test_a_symbol_is_traded_at_all_times_and_known_by_exchange_and_symbol() -> None:
    info = symbol_info(instrument("BTC-USDT", lot=Decimal("0.001")))
    assert (info["ticker"], info["name"], info["exchange"]) == ("binance:BTC-USDT", "BTC-USDT", "binance")
    assert (info["session"], info["timezone"], info["type"], info["volume_precision"]) == (
        "24x7", "Etc/UTC", "crypto", 3,
    )  # fmt: skip
    assert symbol_info(instrument("BTC-USDT-PERP"))["type"] == "futures"
    assert search_result(instrument("BTC-USDT")) == {
        "symbol": "BTC-USDT", "full_name": "binance:BTC-USDT", "description": "BTC / USDT, binance",
        "exchange": "binance", "ticker": "binance:BTC-USDT", "type": "crypto",
    }  # fmt: skip


def test_symbols_are_searched_whatever_case_and_punctuation() -> None:
    listed = [instrument(symbol) for symbol in ("WBTC-USDT", "BTC-USDT", "BTC-USDT-PERP", "ETH-BTC")]

    def names(text: str, kind: str = "", limit: int = 30) -> list[str]:
        return [each.symbol for each in searched(listed, text, kind, limit)]

    assert names("BTC") == ["BTC-USDT", "BTC-USDT-PERP", "WBTC-USDT", "ETH-BTC"]
    assert names("btcusdt") == ["BTC-USDT", "BTC-USDT-PERP", "WBTC-USDT"]
    assert names("BINANCE:ETH") == ["ETH-BTC"]
    assert names("", "futures") == ["BTC-USDT-PERP"]
    assert names("BTC", limit=1) == ["BTC-USDT"]
    assert names("DOGE") == []


def test_a_symbol_is_resolved_exactly_or_where_one_alone_is_like_it() -> None:
    listed = [instrument("BTC-USDT"), instrument("BTCUSDT-X"), instrument("BTC-USDTX")]
    assert resolved(listed, "BTC-USDT") is listed[0]
    assert resolved(listed, "btcusdt") is listed[0]
    assert resolved(listed, "BTCUSDTX") is None
    assert resolved(listed, "ETH-USDT") is None


def minute(number: int, close: str = "1.5") -> EncodedCandle:
    own = encode_candle(
        Candle(
            exchange="binance", symbol="BTC-USDT", timeframe="1m", open_time_ms=number * MINUTE_MS,
            close_time_ms=(number + 1) * MINUTE_MS - 1, open=Decimal(1), high=Decimal(2), low=Decimal("0.5"),
            close=Decimal(close), volume=Decimal(10), quote_volume=Decimal(1), trades=1, taker_buy_volume=Decimal(1),
            taker_buy_quote_volume=Decimal(1), revision=1, status=Status.COMPLETE,
        )
    )  # fmt: skip
    return EncodedCandle(number * MINUTE_MS, 1, Status.COMPLETE, 1, own)


def test_bars_are_columns_of_numbers_and_seconds() -> None:
    assert history([minute(1), minute(2, "1.25")]) == {
        "s": "ok", "t": [60, 120], "o": [1.0, 1.0], "h": [2.0, 2.0], "l": [0.5, 0.5], "c": [1.5, 1.25],
        "v": [10.0, 10.0],
    }  # fmt: skip
    assert no_data(None) == {"s": "no_data"}
    assert no_data(120_000) == {"s": "no_data", "nextTime": 120}


def candle(open_ms: int, status: Status = Status.COMPLETE, minutes: int = 60) -> EncodedCandle:
    return EncodedCandle(open_ms, 1, status, minutes, b"")


def test_holes_incomplete_and_missing_candles_are_marked_and_nothing_else() -> None:
    hours = [
        candle(0), candle(HOUR_MS, Status.HOLE, 5), candle(2 * HOUR_MS, minutes=58), candle(3 * HOUR_MS, Status.KLINE),
        candle(4 * HOUR_MS, Status.CONNECTED), candle(7 * HOUR_MS), candle(8 * HOUR_MS, Status.OPEN, 2),
    ]  # fmt: skip
    marks = marks_of(CandleLength.parse("1h"), hours)
    assert [(mark.time_ms // HOUR_MS, mark.label) for mark in marks] == [(1, "H"), (2, "I"), (3, "K"), (5, "M")]
    assert marks[1].text == "incomplete: 2 of its minutes are missing"
    assert marks[3].text == "2 candles are missing"
    table = marks_table(marks)
    assert (table["id"][0], table["time"][0], table["label"][0]) == (f"{HOUR_MS}H", 3600, "H")
    assert {len(column) for column in table.values()} == {4}
    assert set(table) == {"id", "time", "color", "text", "label", "labelFontColor", "minSize"}


def test_the_latest_marks_are_kept() -> None:
    holes = [candle(number * MINUTE_MS, Status.HOLE, 1) for number in range(MOST_MARKS + 3)]
    marks = marks_of(MINUTE, holes)
    assert (len(marks), marks[0].time_ms, marks[-1].time_ms) == (
        MOST_MARKS, 3 * MINUTE_MS, (MOST_MARKS + 2) * MINUTE_MS,
    )  # fmt: skip

"""What the simulator sends, held against what Binance sends: every field, its order, its type."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from producers.simulator.archive import aggregates
from producers.simulator.history import Match
from producers.simulator.instruments import SimulatedInstrument, fixed
from producers.simulator.klines import Kline
from producers.simulator.protocols.binance_messages import (
    aggregate_event,
    aggregate_row,
    combined,
    kline_event,
    kline_row,
    shutdown_event,
    symbol_info,
    trade_event,
    trade_row,
)
from producers.simulator.record import record_row
from producers.simulator.recording import read_recording
from runtime.errors import UsageError

DATA = Path(__file__).parents[2] / "data"
BNBBTC = SimulatedInstrument(symbol="BNBBTC", base="BNB", quote="BTC", price_decimals=3, qty_decimals=0)
SOLD, BOUGHT = True, False  # what the taker did: Binance's m says whether the buyer was the maker
DOCUMENTED = {event["e"]: event for event in json.loads((DATA / "binance_spot_ws_events.json").read_text())}


def shape(value: Any) -> Any:
    """Names in their order, and types."""
    if isinstance(value, dict):
        return [(name, shape(one)) for name, one in value.items()]
    if isinstance(value, list):
        return [shape(one) for one in value]
    return type(value).__name__


def test_a_trade_event_is_binances_field_by_field() -> None:
    event = json.loads(trade_event(BNBBTC, Match(12345, 1, 100, 1672515782135, SOLD, 7), 1672515782136, 1))
    assert shape(event) == shape(DOCUMENTED["trade"])
    assert event == DOCUMENTED["trade"] | {"T": 1672515782135, "p": "0.00100000", "q": "100.00000000"}
    recorded = json.loads((DATA / "binance_futures_ws_trade.json").read_text())
    assert event.keys() - {"M"} == recorded.keys()


def test_an_aggregate_event_is_binances_field_by_field() -> None:
    fills = [
        Match(trade_id, 1, lots, 1672515782135, SOLD, 12345)
        for trade_id, lots in enumerate([50, 10, 10, 10, 10, 10], start=100)
    ]
    event = json.loads(aggregate_event(BNBBTC, aggregates(fills)[0], 1672515782136, 1))
    assert shape(event) == shape(DOCUMENTED["aggTrade"])
    assert event == DOCUMENTED["aggTrade"] | {"T": 1672515782135, "p": "0.00100000", "q": "100.00000000"}
    recorded = json.loads((DATA / "binance_futures_ws_aggtrade.json").read_text())
    assert event.keys() - {"M"} == recorded.keys() - {"st"}


def test_a_kline_event_is_binances_field_by_field() -> None:
    kline = Kline(1672515781000, 1_000, 1)
    kline.add([Match(100, 1, 300, 1672515781001, SOLD, 1), Match(101, 2, 500, 1672515781002, BOUGHT, 2)])
    event = json.loads(kline_event(BNBBTC, kline, "1s", 1672515782000, 1))
    assert shape(event) == shape(DOCUMENTED["kline"])
    assert event["E"] == 1672515782000
    assert event["k"] == {
        "t": 1672515781000, "T": 1672515781999, "s": "BNBBTC", "i": "1s", "f": 100, "L": 101,
        "o": "0.00100000", "c": "0.00200000", "h": "0.00200000", "l": "0.00100000", "v": "800.00000000", "n": 2,
        "x": True, "q": "1.30000000", "V": "500.00000000", "Q": "1.00000000", "B": "0",
    }  # fmt: skip


def test_the_shutdown_event_is_binances_raw_and_combined() -> None:
    raw = shutdown_event(1770123456789, 1)
    assert json.loads(raw) == DOCUMENTED["serverShutdown"]
    assert json.loads(combined("!serverShutdown", raw)) == {"stream": "!serverShutdown", "data": json.loads(raw)}


def test_a_rest_trade_is_binances_recorded_row() -> None:
    recorded = json.loads((DATA / "binance_rest_trades.json").read_text())[0]
    market = SimulatedInstrument(symbol="X", base="X", quote="Y", price_decimals=6, qty_decimals=0)
    row = json.loads(trade_row(market, Match(28457, 4000001, 12, 1499865549590, SOLD, 1), 1))
    assert list(row) == list(recorded)
    assert row == recorded | {"quoteQty": "48.00001200"}


def test_a_rest_aggregate_is_binances_documented_row() -> None:
    market = SimulatedInstrument(symbol="X", base="X", quote="Y", price_decimals=8, qty_decimals=8)
    row = aggregate_row(market, aggregates([Match(27781, 1633102, 470443515, 1498793709153, SOLD, 26129)])[0], 1)
    assert row == (
        '{"a":26129,"p":"0.01633102","q":"4.70443515","f":27781,"l":27781,"T":1498793709153,"m":true,"M":true}'
    )


def test_a_rest_kline_has_the_shape_of_the_recorded_one() -> None:
    recorded = json.loads((DATA / "binance_rest_klines.json").read_text())[0]
    kline = Kline(recorded[0], 604_800_000, 1)
    kline.add([Match(1, 1634790, 1, recorded[0], BOUGHT, 1)])
    row = kline_row(SimulatedInstrument(symbol="X", base="X", quote="Y", price_decimals=8, qty_decimals=0), kline, 1)
    assert shape(row) == shape(recorded)
    assert (row[0], row[1], row[6]) == (recorded[0], "0.01634790", 1499644799999)


def test_recorded_trades_come_out_as_they_went_in() -> None:
    path = DATA / "BTCUSDT-trades-2021-01-08-head.csv"
    history = read_recording(path, "BTCUSDT")
    minute = history.minute_of(0)
    assert minute is not None
    sent = [json.loads(trade_row(history.instrument, match, 1)) for match in history.minute(minute)]
    with path.open() as file:
        for row, cells in zip(sent, csv.reader(file), strict=True):
            assert [str(row["id"]), row["price"], row["qty"], str(row["time"]), str(row["isBuyerMaker"])] == [
                cells[0], cells[1], cells[2], cells[4], cells[5]]  # fmt: skip
            assert abs(float(row["quoteQty"]) - float(cells[3])) < 1e-6


def test_a_recording_with_a_broken_line_is_refused_by_its_number(tmp_path: Path) -> None:
    lines = (DATA / "BTCUSDT-trades-2021-01-08-head.csv").read_text().splitlines()
    broken = tmp_path / "broken.csv"
    broken.write_text("\n".join([*lines[:3], "553287562,x,1,1,1610064000400,True,True"]))
    with pytest.raises(UsageError, match="line 4 is not a trade"):
        read_recording(broken, "BTCUSDT")


def test_microseconds_where_they_are_asked_for() -> None:
    event = json.loads(trade_event(BNBBTC, Match(1, 1, 1, 1672515782135, BOUGHT, 1), 1672515782136, 1_000))
    assert (event["E"], event["T"], event["m"]) == (1672515782136000, 1672515782135000, False)
    assert record_row(BNBBTC, Match(1, 1, 1, 1672515782135, BOUGHT, 1)) == (
        "1,0.00100000,1.00000000,1672515782135000,false"
    )


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [(142600, 8, "0.00142600"), (54, 0, "54.00000000"), (5, 2, "0.05000000"), (6725001, 2, "67250.01000000")],
)
def test_decimals_stand_with_trailing_zeros(value: int, decimals: int, text: str) -> None:
    assert fixed(value, decimals) == text


def test_an_instrument_says_its_assets_tick_and_lot() -> None:
    info = symbol_info(
        SimulatedInstrument(symbol="BTCUSDT", base="BTC", quote="USDT", price_decimals=2, qty_decimals=5)
    )
    assert (info["baseAsset"], info["quoteAsset"], info["status"]) == ("BTC", "USDT", "TRADING")
    filters = {one["filterType"]: one for one in info["filters"]}
    assert filters["PRICE_FILTER"]["tickSize"] == "0.01000000"
    assert filters["LOT_SIZE"]["stepSize"] == "0.00001000"

"""What the simulator sends, held against recorded and documented payloads: every field that is there, and its type."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from producers.simulator.aggregated import AggregatedMatch
from producers.simulator.history import Match
from producers.simulator.instruments import SimulatedInstrument
from producers.simulator.klines import Kline
from producers.simulator.protocols import binance_usdm, bybit, coinbase, kraken, okx

DATA = Path(__file__).parents[2] / "data"
MARKET = SimulatedInstrument(symbol="BTCUSDT", base="BTC", quote="USDT", price_decimals=1, qty_decimals=4)
SOLD = Match(74, 429_501, 25, 1_740_000_000_123, buyer_is_maker=True, aggregate_id=9)
AGGREGATE = AggregatedMatch(9, 429_501, 25, 1_740_000_000_123, True, 9, 74, 76)  # noqa: FBT003  # the taker sold
KLINE = Kline(1_740_000_000_000, 60_000, 429_501)
KLINE.add([SOLD])


def shape(value: Any) -> Any:
    """Names without order, and types; of a list its first row."""
    if isinstance(value, dict):
        return {name: shape(each) for name, each in value.items()}
    if isinstance(value, list):
        return [shape(each) for each in value[:1] if isinstance(each, dict)] or [type(each).__name__ for each in value]
    return type(value).__name__


def data(name: str) -> Any:
    return json.loads((DATA / name).read_text())


def captured(kind: str) -> Any:
    lines = (DATA / "coinbase_ws_capture.txt").read_text().splitlines()
    return json.loads(next(line.split(": ", 1)[1] for line in lines if f'"type":"{kind}"' in line))


def lacking(ours: Any, real: Any, *but: str) -> Any:
    """The names of the real payload that ours lacks, and those whose type differs."""
    return {name: each for name, each in shape(real).items() if name not in but and shape(ours).get(name) != each}


@pytest.mark.parametrize("kind", ["match", "last_match"])
def test_a_match_of_coinbase_is_the_captured_one(kind: str) -> None:
    ours = json.loads(coinbase.match_message(MARKET, SOLD, kind))
    assert list(ours) == list(captured(kind))
    assert shape(ours) == shape(captured(kind))
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", ours["maker_order_id"])
    assert (ours["side"], ours["price"], ours["size"]) == ("buy", "42950.1", "0.00250000")
    assert ours["time"] == "2025-02-19T21:20:00.123000Z"


def test_trades_of_kraken_are_the_documented_and_the_recorded_ones() -> None:
    ours = json.loads(kraken.trade_message(MARKET, [SOLD, SOLD]))
    assert not lacking(ours, data("kraken_ws_trade_update.json"))
    assert list(ours["data"][0]) == list(data("kraken_ws_trade_update.json")["data"][0])
    assert '"price":42950.1,"qty":0.0025,' in kraken.trade_message(MARKET, [SOLD])
    row = json.loads(kraken.trade_row(MARKET, SOLD))
    recorded = next(iter(data("kraken_rest_trades.json")["result"].values()))[0]
    assert shape(row) == shape(recorded)
    assert row == ["42950.1", "0.0025", 1_740_000_000.123, "s", "m", "", 74]


def test_trades_and_candles_of_okx_are_the_recorded_ones() -> None:
    row = json.loads(okx.trade_row(MARKET, "BTC-USDT", SOLD))
    assert not lacking(row, data("okx_rest_trades.json")["data"][0])
    live = json.loads(okx.pushed("trades-all", "BTC-USDT", okx.trade_row(MARKET, "BTC-USDT", SOLD)))
    real = data("okx_ws_trades.json")
    assert not lacking(live["data"][0], real["data"][0], "count")  # that of the channel `trades`
    assert shape(live["arg"]) == shape(real["arg"])
    candle = json.loads(okx.candle_row(MARKET, "BTC-USDT", KLINE, KLINE.open_ms))
    assert shape(candle) == shape(data("okx_rest_candles.json")["data"][0])
    assert (row["px"], row["sz"], row["side"], row["ts"]) == ("42950.1", "0.0025", "sell", "1740000000123")


def test_trades_and_klines_of_bybit_are_the_recorded_ones() -> None:
    ours = json.loads(bybit.trade_message(MARKET, [SOLD], 1_740_000_000_124))
    assert not lacking(ours, data("bybit_ws_public_trade.json"), "data")
    assert not lacking(ours["data"][0], data("bybit_ws_public_trade.json")["data"][0])
    row = json.loads(bybit.trade_row(MARKET, SOLD))
    assert not lacking(row, data("bybit_rest_recent_trade.json")["result"]["list"][0])
    assert row["execId"] == ours["data"][0]["i"]
    assert shape(bybit.kline_row(MARKET, KLINE)) == shape(data("bybit_rest_klines.json")["result"]["list"][0])


def test_an_aggregate_of_usd_m_is_the_captured_one() -> None:
    event = json.loads(binance_usdm.aggregate_event(MARKET, AGGREGATE, 1_740_000_000_124))
    assert not lacking(event, data("binance_futures_ws_aggtrade.json"), "st")
    lines = (DATA / "binance_futures_capture.ws").read_text().splitlines()
    frame = json.loads(next(line.split(": ", 1)[1] for line in lines if '"e":"aggTrade"' in line))
    assert not lacking(event, frame["data"])
    assert (event["a"], event["f"], event["l"], event["p"], event["q"]) == (9, 74, 76, "42950.1", "0.0025")
    kline = binance_usdm.kline_row(MARKET, KLINE)
    assert shape(kline) == shape(data("binance_rest_klines.json")[0])

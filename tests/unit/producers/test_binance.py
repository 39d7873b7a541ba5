"""Binance's protocol, held against recorded messages and the examples of its documentation."""

import json
from decimal import Decimal
from pathlib import Path

import pytest

from market.errors import MalformedError
from market.fields import MAX_TIME_US
from market.instrument import InstrumentStatus
from market.trade import Side, Source, Trade
from producers.exchange import Message, RefusedTrade, TradesRequest
from producers.exchanges.binance import Binance
from runtime.settings import Settings

DATA = Path(__file__).parents[2] / "data"
RECEIVED_US = 1_672_515_782_140_000
BINANCE = Binance(Settings(_env_file=None))

# "Trade Streams" in Binance's WebSocket documentation.
DOCUMENTED = {
    "e": "trade", "E": 1672515782136, "s": "BNBBTC", "t": 12345, "p": "0.001", "q": "100", "T": 1672515782135,
    "m": True, "M": True,
}  # fmt: skip


def frame(**changes: object) -> str:
    return json.dumps({"stream": "bnbbtc@trade", "data": DOCUMENTED | changes})


def read(text: str) -> Message:
    return BINANCE.read(text.encode(errors="surrogatepass"), {"BNBBTC": "BNB-BTC", "BTCUSDT": "BTC-USDT"}, RECEIVED_US)


def read_page(body: bytes) -> list[Trade | RefusedTrade]:
    return list(BINANCE.read_trades(body, TradesRequest("BNBBTC", "BNB-BTC", 1000, 1), RECEIVED_US).rows)


def test_a_documented_trade_whose_buyer_was_the_maker_is_a_taker_sell() -> None:
    assert read(frame()) == Message(
        1672515782136_000,
        (
            Trade(
                exchange="binance",
                symbol="BNB-BTC",
                trade_id="12345",
                price=Decimal("0.001"),
                qty=Decimal(100),
                side=Side.SELL,
                time_us=1672515782135_000,
                received_us=RECEIVED_US,
                source=Source.WS,
            ),
        ),
    )


def test_a_trade_whose_seller_was_the_maker_is_a_taker_buy() -> None:
    [trade] = read(frame(m=False)).trades
    assert trade.side is Side.BUY


def test_a_recorded_message_is_read() -> None:
    recorded = json.loads((DATA / "binance_futures_ws_trade.json").read_bytes())
    recorded |= {"E": 1672515782136, "T": 1672515782135}  # those of the recording are of 1970
    message = read(json.dumps({"stream": "btcusdt@trade", "data": recorded}))
    [trade] = message.trades
    assert (trade.symbol, trade.trade_id) == ("BTC-USDT", "5933014")
    assert (trade.price, trade.qty) == (Decimal("0.001"), Decimal(100))
    assert (trade.side, trade.time_us) == (Side.SELL, 1672515782135_000)
    assert message.server_us == 1672515782136_000


def test_a_recorded_page_is_read() -> None:
    [trade] = read_page((DATA / "binance_rest_trades.json").read_bytes())
    assert trade == Trade(
        exchange="binance",
        symbol="BNB-BTC",
        trade_id="28457",
        price=Decimal("4.00000100"),
        qty=Decimal("12.00000000"),
        side=Side.SELL,  # isBuyerMaker is true
        time_us=1499865549590_000,
        received_us=RECEIVED_US,
        source=Source.REST,
    )


def test_the_documented_events_give_a_trade_server_times_and_a_shutdown() -> None:
    events = json.loads((DATA / "binance_spot_ws_events.json").read_bytes())
    read_events = {event["e"]: read(json.dumps({"stream": "", "data": event})) for event in events}
    assert read_events["trade"].trades
    assert not read_events["aggTrade"].trades, "another id space"
    assert read_events["kline"] == Message(1672515782136_000)
    assert read_events["serverShutdown"].closing


def test_the_kline_carries_the_servers_time_and_no_trade() -> None:
    kline = {"e": "kline", "E": 1672515782136, "s": "BNBBTC", "k": {"t": 1672515780000, "i": "1s", "x": False}}
    assert read(json.dumps({"stream": "bnbbtc@kline_1s", "data": kline})) == Message(1672515782136_000)


@pytest.mark.parametrize(
    "event",
    [
        {"e": "serverShutdown", "E": 1672515782136},
        {"stream": "", "data": {"e": "serverShutdown", "E": 1672515782136}},
    ],
    ids=["bare", "wrapped"],
)
def test_a_shutdown_is_told(event: dict) -> None:
    assert read(json.dumps(event)).closing


@pytest.mark.parametrize("text", ["", "[]", "{", "\ud800", "5", '{"data": 5}', '{"e": 5}'])
def test_what_is_not_a_frame_is_malformed(text: str) -> None:
    with pytest.raises(MalformedError):
        read(text)


@pytest.mark.parametrize(
    ("changes", "number"),
    [
        ({"t": "x"}, None), ({"t": -1}, None), ({"t": None}, None), ({"t": 10**18}, None), ({"t": 10**30}, None),
        ({"t": True}, None), ({"p": "1e5"}, 12345), ({"p": 1.5}, 12345), ({"p": "0"}, 12345), ({"p": "0.000"}, 12345),
        ({"q": "-1"}, 12345), ({"q": "0.0"}, 12345), ({"q": "NaN"}, 12345), ({"T": 0}, 12345), ({"T": -1}, 12345),
        ({"T": 1_230_767_999_999}, 12345), ({"T": 2**63 - 1}, 12345), ({"T": 2**63 // 1000}, 12345),
        ({"T": MAX_TIME_US // 1000}, 12345), ({"m": "yes"}, 12345),
    ],
)  # fmt: skip
def test_a_frame_whose_trade_cannot_be_one_is_refused_and_names_its_id_where_it_can(
    changes: dict, number: int | None
) -> None:
    message = read(frame(**changes))
    assert not message.trades
    [refused] = message.refused
    assert (refused.symbol, refused.number) == ("BNB-BTC", number)
    assert refused.raw == frame(**changes).encode()


def test_the_first_and_the_last_time_that_can_be_are_taken() -> None:
    for time_ms in (1_230_768_000_000, MAX_TIME_US // 1000 - 1):
        [trade] = read(frame(T=time_ms)).trades
        assert trade.time_us == time_ms * 1000


def test_a_trade_that_nobody_asked_for_is_refused_without_a_symbol() -> None:
    [refused] = read(frame(s="ELSEUSDT")).refused
    assert refused.symbol is None


def test_one_row_that_is_no_trade_does_not_spoil_its_page() -> None:
    [row] = json.loads((DATA / "binance_rest_trades.json").read_bytes())
    rows = [
        row,
        row | {"id": 28458, "price": "x"},
        row | {"id": "?"},
        7,
        row | {"id": 28459, "qty": 0},
        row | {"id": 28460},
    ]
    read_rows = read_page(json.dumps(rows).encode())
    assert [row.trade_id if isinstance(row, Trade) else row.number for row in read_rows] == [
        "28457", 28458, None, None, 28459, "28460",
    ]  # fmt: skip
    zero = read_page(json.dumps([row | {"price": "0.00"}]).encode())
    assert [(one.number, one.symbol) for one in zero if isinstance(one, RefusedTrade)] == [(28457, "BNB-BTC")]


@pytest.mark.parametrize("body", [b"", b"{}", b"[", b'{"code": -1001}', b"\xff"])
def test_what_is_no_page_at_all_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedError):
        read_page(body)


def test_what_is_asked_over_rest() -> None:
    request = TradesRequest("BTCUSDT", "BTC-USDT", 500, 17)
    assert BINANCE.trades(request).path == "/api/v3/historicalTrades?symbol=BTCUSDT&limit=500&fromId=17"
    newest = request._replace(known=None, limit=1)
    assert BINANCE.trades(newest).path == "/api/v3/trades?symbol=BTCUSDT&limit=1"
    assert BINANCE.opening(["BTCUSDT", "ETHUSDT"]).path == (
        "/stream?streams=btcusdt@trade/ethusdt@trade/btcusdt@kline_1s"
    )
    klines = "/api/v3/klines?symbol=BTCUSDT&interval=1m&startTime=60000&endTime=119999&limit=1000"
    assert BINANCE.klines("BTCUSDT", 60_000, 120_000).path == klines


def test_instruments_are_named_by_base_and_quote() -> None:
    filters = [
        {"filterType": "PRICE_FILTER", "tickSize": "0.01000000"},
        {"filterType": "LOT_SIZE", "stepSize": "0.00001000"},
        {"filterType": "ICEBERG_PARTS", "limit": 10},
    ]
    listed = [
        {"symbol": "BTCUSDT", "baseAsset": "BTC", "quoteAsset": "USDT", "status": "TRADING", "filters": filters},
        {"symbol": "BNBBTC", "baseAsset": "BNB", "quoteAsset": "BTC", "status": "BREAK"},
    ]
    bitcoin, bnb = BINANCE.read_instruments(json.dumps({"symbols": listed}).encode())
    assert (bitcoin.native, bitcoin.symbol, bitcoin.tick, bitcoin.lot) == (
        "BTCUSDT", "BTC-USDT", Decimal("0.01"), Decimal("0.00001"),
    )  # fmt: skip
    assert (bnb.symbol, bnb.status, bnb.tick) == ("BNB-BTC", InstrumentStatus.HALTED, None)
    assert BINANCE.native("btc-usdt") == "BTCUSDT"


def test_a_recorded_kline_is_read() -> None:
    [candle] = BINANCE.read_klines((DATA / "binance_rest_klines.json").read_bytes())
    assert (candle.open_time_ms, candle.trades) == (1499040000000, 308)
    assert (candle.open, candle.high, candle.low, candle.close) == tuple(
        map(Decimal, ("0.01634790", "0.80000000", "0.01575800", "0.01577100"))
    )
    assert (candle.volume, candle.quote_volume) == (Decimal("148976.11427815"), Decimal("2434.19055334"))
    assert (candle.taker_buy_volume, candle.taker_buy_quote_volume) == (
        Decimal("1756.87402397"), Decimal("28.46694368"),
    )  # fmt: skip


def test_a_frame_that_is_nested_too_deep_is_malformed() -> None:
    with pytest.raises(MalformedError):
        read('{"data":' * 100_000)

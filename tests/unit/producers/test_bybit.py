"""Bybit's protocol, held against recorded messages and the examples of its documentation."""

import json
from decimal import Decimal
from pathlib import Path

import pytest

from market.candle import id_order
from market.errors import MalformedError
from market.fields import MAX_WHOLE
from market.instrument import InstrumentStatus
from market.trade import Side, Source, Trade
from producers.exchange import Message, RefusedTrade, TradesRequest
from producers.exchanges.bybit import SPOT, Bybit, bybit_perpetuals
from runtime.settings import Settings

DATA = Path(__file__).parents[2] / "data"
RECEIVED_US = 1_672_304_486_900_000
SETTINGS = Settings(_env_file=None)
BYBIT = Bybit(SETTINGS)
LINEAR = bybit_perpetuals(SETTINGS)
SYMBOLS = {"BTCUSDT": "BTC-USDT", "ETHUSDT": "ETH-USDT"}

# "Trade" in Bybit's WebSocket documentation.
DOCUMENTED = {
    "T": 1672304486865, "s": "BTCUSDT", "S": "Buy", "v": "0.001", "p": "16578.50", "L": "PlusTick",
    "i": "20f43950-d8dd-5b31-9112-a178eb6023af", "BT": False, "seq": 1783284617,
}  # fmt: skip
# "Get Recent Public Trades" in its REST documentation.
DOCUMENTED_ROW = {
    "execId": "2100000000007764263", "symbol": "BTCUSDT", "price": "16618.49", "size": "0.00012", "side": "Buy",
    "time": "1672052955758", "isBlockTrade": False, "isRPITrade": True, "seq": "123456",
}  # fmt: skip


def frame(*changes: dict, **envelope: object) -> bytes:
    rows = [DOCUMENTED | change for change in changes or ({},)]
    whole = {"topic": "publicTrade.BTCUSDT", "type": "snapshot", "ts": 1672304486868, "data": rows} | envelope
    return json.dumps(whole).encode()


def read(text: bytes) -> Message:
    return BYBIT.read(text, SYMBOLS, RECEIVED_US)


def answer(rows: list, **envelope: object) -> bytes:
    return json.dumps({"retCode": 0, "retMsg": "OK", "result": {"category": "spot", "list": rows}} | envelope).encode()


def read_page(body: bytes) -> list[Trade | RefusedTrade]:
    page = BYBIT.read_trades(body, TradesRequest("BTCUSDT", "BTC-USDT", 60), RECEIVED_US)
    assert page.is_whole, "it is always the newest"
    return list(page.rows)


def test_a_documented_frame_is_read() -> None:
    message = read(frame())
    assert message == Message(
        1672304486868_000,
        [
            Trade(
                exchange="bybit",
                symbol="BTC-USDT",
                trade_id="20f43950-d8dd-5b31-9112-a178eb6023af",
                price=Decimal("16578.50"),
                qty=Decimal("0.001"),
                side=Side.BUY,
                time_us=1672304486865_000,
                received_us=RECEIVED_US,
                source=Source.WS,
                seq=1783284617 * 1024,
            )
        ],
    )


def test_a_recorded_frame_without_seq_is_read() -> None:
    recorded = json.loads((DATA / "bybit_ws_public_trade.json").read_bytes()) | {"topic": "publicTrade.BTCUSDT"}
    message = read(json.dumps(recorded).encode())
    [trade] = message.trades
    assert (trade.trade_id, trade.seq) == ("9dc75fca-4bdd-4773-9f78-6f5d7ab2a110", 0)
    assert (trade.price, trade.qty, trade.side) == (Decimal("27451.00"), Decimal("0.010"), Side.BUY)
    assert (trade.time_us, message.server_us) == (1709891679000_000, 1709891679005_000)


def test_a_recorded_page_is_read() -> None:
    [trade] = read_page((DATA / "bybit_rest_recent_trade.json").read_bytes())
    assert trade == Trade(
        exchange="bybit",
        symbol="BTC-USDT",
        trade_id="a905d5c3-1ed0-4f37-83e4-9c73a2fe2f01",
        price=Decimal("27450.50"),
        qty=Decimal("0.005"),
        side=Side.BUY,
        time_us=1709891679000_000,
        received_us=RECEIVED_US,
        source=Source.REST,
        seq=0,
    )


def test_the_trades_of_one_order_are_ordered_by_their_place_and_others_by_seq() -> None:
    trades = read(
        frame({"i": "c"}, {"i": "b"}, {"i": "a"}, {"i": "d", "seq": 1783284618}, {"i": "e", "S": "Sell"})
    ).trades
    assert [trade.seq and divmod(trade.seq, 1024) for trade in trades] == [
        (1783284617, 0), (1783284617, 1), (1783284617, 2), (1783284618, 0), (1783284617, 0),
    ]  # fmt: skip
    assert trades[-1].side is Side.SELL
    first = sorted(trades[:4], key=lambda trade: id_order(trade.trade_id, trade.seq))
    assert [trade.trade_id for trade in first] == ["c", "b", "a", "d"]


def test_places_stay_below_those_of_the_next_seq() -> None:
    trades = read(frame(*({"i": str(place)} for place in range(1030)))).trades
    assert max(trade.seq or 0 for trade in trades) < (1783284617 + 1) * 1024
    [greatest] = read(frame({"seq": MAX_WHOLE // 1024 - 1})).trades
    assert (greatest.seq or 0) <= MAX_WHOLE


def test_a_page_is_turned_round_and_ordered_as_the_stream_is() -> None:
    newest_first = [{"execId": "3", "seq": "124"}, {"execId": "2"}, {"execId": "1"}]
    rows = read_page(answer([DOCUMENTED_ROW | change for change in newest_first]))
    assert [(row.trade_id, divmod(row.seq or 0, 1024)) for row in rows if isinstance(row, Trade)] == [
        ("1", (123456, 0)), ("2", (123456, 1)), ("3", (124, 0)),
    ]  # fmt: skip


def test_block_trades_and_trades_against_retail_orders_are_trades() -> None:
    assert len(read(frame({"BT": True}, {"RPI": True, "i": "x"})).trades) == 2
    assert isinstance(read_page(answer([DOCUMENTED_ROW | {"isBlockTrade": True}]))[0], Trade)


def refused(why: str, req_id: str) -> str:
    return json.dumps({"success": False, "ret_msg": why, "conn_id": "2324d924", "req_id": req_id, "op": "subscribe"})


# "Connect" and "Orderbook" in the WebSocket documentation; a rejection as people reported it.
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"success":true,"ret_msg":"subscribe","conn_id":"2324d924","req_id":"0-9","op":"subscribe"}',
         Message(accepted=["BTCUSDT", "ETHUSDT"])),
        ('{"success":true,"ret_msg":"","conn_id":"3cd84cb1","req_id":"1-1","op":"subscribe"}',
         Message(accepted=["ETHUSDT"])),
        ('{"success":true,"ret_msg":"","conn_id":"3cd84cb1","req_id":"clock","op":"subscribe"}', Message()),
        ('{"success":true,"ret_msg":"","conn_id":"3cd84cb1","req_id":"","op":"subscribe"}', Message()),
        ('{"success":false,"ret_msg":"error:handler not found,topic:publicTrade.XY","req_id":"0-9","op":"subscribe"}',
         Message(rejected="error:handler not found,topic:publicTrade.XY", untaken=["BTCUSDT", "ETHUSDT"])),
        (refused("error:handler not found,topic:publicTrade.ETHUSDT", "0-9"),
         Message(rejected="error:handler not found,topic:publicTrade.ETHUSDT", untaken=["BTCUSDT", "ETHUSDT"],
                 culprit="ETHUSDT")),
        (refused("error:handler not found,topic:orderbook.1.BTCUSDT", "clock"),
         Message(rejected="error:handler not found,topic:orderbook.1.BTCUSDT", untaken=["BTCUSDT"], culprit="BTCUSDT")),
        (refused("error:already subscribed,topic:publicTrade.ETHUSDT", "0-9"),
         Message(rejected="error:already subscribed,topic:publicTrade.ETHUSDT", untaken=["BTCUSDT", "ETHUSDT"])),
        ('{"success":false,"ret_msg":"Params Error","req_id":"","op":"subscribe"}', Message(rejected="Params Error")),
        ('{"success":true,"ret_msg":"pong","conn_id":"0970e817","op":"ping"}', Message()),
        ('{"topic":"orderbook.1.BTCUSDT","ts":1672304484978,"type":"snapshot","data":{"s":"BTCUSDT","b":[],"a":[]}}',
         Message(1672304484978_000)),
        ('{"topic":"orderbook.1.BTCUSDT","ts":"1772694601512","type":"snapshot","data":{}}',
         Message(1772694601512_000)),
    ],
)  # fmt: skip
def test_answers_and_the_clock_are_read(text: str, message: Message) -> None:
    assert read(text.encode()) == message


@pytest.mark.parametrize("text", [b"", b"[]", b"{", b"5", b"<html></html>", b'{"topic": 5}', b'{"ts": "x"}', b"\xff"])
def test_what_is_not_a_frame_is_malformed(text: bytes) -> None:
    with pytest.raises(MalformedError):
        read(text)


@pytest.mark.parametrize(
    "changes",
    [
        {"p": "0"}, {"p": "1e5"}, {"p": 1.5}, {"v": "-1"}, {"v": "NaN"}, {"S": "Both"}, {"T": 0}, {"T": "x"},
        {"T": 2**63}, {"i": ""}, {"i": 5}, {"i": "x" * 500}, {"seq": -1}, {"seq": 2**62}, {"seq": "1"},
        {"s": "ELSEUSDT"}, {"s": None},
    ],
)  # fmt: skip
def test_one_row_that_is_no_trade_does_not_spoil_its_frame(changes: dict) -> None:
    message = read(frame({}, changes, {"i": "behind"}))
    assert [trade.trade_id for trade in message.trades] == [DOCUMENTED["i"], "behind"]
    assert message.server_us == 1672304486868_000
    [refused] = message.refused
    assert (refused.symbol, refused.number) == ("BTC-USDT", None)
    assert json.loads(refused.raw) == DOCUMENTED | changes


def test_a_frame_whose_data_is_no_list_is_refused_as_a_whole() -> None:
    message = read(frame(data={"x": 1}))
    [refused] = message.refused
    assert (refused.raw, refused.symbol) == (frame(data={"x": 1}), "BTC-USDT")
    [stranger] = read(frame(data=5, topic="publicTrade.ELSEUSDT")).refused
    assert stranger.symbol is None


def test_one_row_that_is_no_trade_does_not_spoil_its_page() -> None:
    wrong = [{"price": "x"}, {"size": "0"}, {"time": "0"}, {"time": ""}, {"symbol": "ETHUSDT"}, {"seq": "-1"}]
    rows = read_page(answer([*(DOCUMENTED_ROW | change for change in wrong), 7, DOCUMENTED_ROW]))
    assert isinstance(rows[0], Trade)
    assert all(isinstance(row, RefusedTrade) and row.symbol == "BTC-USDT" for row in rows[1:])
    assert len(rows) == len(wrong) + 2
    [trade] = read_page(answer([DOCUMENTED_ROW | {"seq": ""}]))
    assert isinstance(trade, Trade)


@pytest.mark.parametrize("body", [b"", b"{}", b"[", b'{"retCode":10001,"retMsg":"no"}', b'{"retCode":0}', b"\xff"])
def test_what_is_no_answer_at_all_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedError):
        read_page(body)
    with pytest.raises(MalformedError):
        BYBIT.read_klines(body)


def test_a_connection_asks_for_ten_topics_of_spot_at_once() -> None:
    natives = [f"S{number}USDT" for number in range(21)]
    opening = BYBIT.opening(natives)
    frames = [json.loads(sent) for sent in opening.frames]
    assert (opening.path, opening.acknowledged) == ("/v5/public/spot", True)
    assert [(sent["req_id"], len(sent["args"])) for sent in frames] == [
        ("0-9", 10), ("10-19", 10), ("20-29", 1), ("clock", 1),
    ]  # fmt: skip
    assert frames[-1]["args"] == ["orderbook.1.S0USDT"]
    taken: list[str] = []
    for sent in frames:
        acknowledgement = {"success": True, "op": "subscribe", "req_id": sent["req_id"]}
        accepted = BYBIT.read(json.dumps(acknowledgement).encode(), dict.fromkeys(natives, ""), 0).accepted
        assert [f"publicTrade.{native}" for native in accepted] == (sent["args"] if accepted else [])
        taken += accepted
    assert taken == natives
    singly = [json.loads(sent) for sent in opening.singly]
    assert [(sent["req_id"], sent["args"]) for sent in singly] == [
        *((f"{place}-{place}", [f"publicTrade.{native}"]) for place, native in enumerate(natives)),
        ("clock", ["orderbook.1.S0USDT"]),
    ]
    assert LINEAR.opening(natives).path == "/v5/public/linear"
    assert [len(json.loads(sent)["args"]) for sent in LINEAR.opening(natives).frames] == [21, 1]


def test_what_is_asked_over_rest() -> None:
    request = TradesRequest("BTCUSDT", "BTC-USDT", 60)
    assert BYBIT.trades(request).path == "/v5/market/recent-trade?category=spot&symbol=BTCUSDT&limit=60"
    assert (BYBIT.page_trades, LINEAR.page_trades) == (60, 1000)
    klines = "/v5/market/kline?category=linear&symbol=BTCUSDT&interval=1&start=60000&end=119999&limit=1000"
    assert LINEAR.klines("BTCUSDT", 60_000, 120_000).path == klines
    listing = "/v5/market/instruments-info?category=spot&limit=1000"
    assert BYBIT.instruments(["BTCUSDT"]).path == f"{listing}&symbol=BTCUSDT"
    assert BYBIT.instruments(["BTCUSDT", "ETHUSDT"]).path == listing


# "Get Instruments Info" in the documentation, shortened.
PERPETUAL = {
    "symbol": "BTCUSDT", "contractType": "LinearPerpetual", "status": "Trading", "baseCoin": "BTC",
    "quoteCoin": "USDT", "launchTime": "1585526400000", "priceFilter": {"tickSize": "0.10"},
    "lotSizeFilter": {"maxOrderQty": "1190.000", "qtyStep": "0.001"}, "preListingInfo": None,
}  # fmt: skip
SPOT_PAIR = {
    "symbol": "BTCUSDT", "baseCoin": "BTC", "quoteCoin": "USDT", "status": "Trading", "marginTrading": "both",
    "lotSizeFilter": {"basePrecision": "0.000001", "quotePrecision": "0.00000001"}, "priceFilter": {"tickSize": "0.01"},
}  # fmt: skip


def test_spot_is_named_by_base_and_quote() -> None:
    bitcoin, gone = BYBIT.read_instruments(answer([SPOT_PAIR, SPOT_PAIR | {"status": "PreLaunch"}]))
    assert (bitcoin.exchange, bitcoin.symbol, bitcoin.native) == ("bybit", "BTC-USDT", "BTCUSDT")
    assert (bitcoin.tick, bitcoin.lot, bitcoin.since_ms) == (Decimal("0.01"), Decimal("0.000001"), None)
    assert gone.status is InstrumentStatus.HALTED
    assert BYBIT.native("btc-usdt") == "BTCUSDT"


def test_perpetuals_are_named_so_and_dated_futures_are_left_out() -> None:
    usdc = {"symbol": "BTCPERP", "quoteCoin": "USDC", "status": "Closed"}
    dated = {"symbol": "BTC-26DEC25", "contractType": "LinearFutures", "quoteCoin": "USDC"}
    listed = LINEAR.read_instruments(answer([PERPETUAL, PERPETUAL | usdc, PERPETUAL | dated]))
    assert [(each.exchange, each.symbol, each.native) for each in listed] == [
        ("bybit", "BTC-USDT-PERP", "BTCUSDT"), ("bybit", "BTC-USDC-PERP", "BTCPERP"),
    ]  # fmt: skip
    assert [each.status for each in listed] == [InstrumentStatus.TRADING, InstrumentStatus.DELISTED]
    assert (listed[0].tick, listed[0].lot, listed[0].since_ms) == (Decimal("0.10"), Decimal("0.001"), 1585526400000)
    for each in listed:
        assert LINEAR.native(each.symbol.lower()) == LINEAR.native(each.native) == each.native


def test_a_symbol_that_does_not_exist_gives_no_instruments() -> None:
    assert BYBIT.read_instruments(b'{"retCode":10001,"retMsg":"params error: symbol invalid","result":{}}') == []
    with pytest.raises(MalformedError, match="retCode 10016"):
        BYBIT.read_instruments(b'{"retCode":10016,"retMsg":"Server error.","result":{}}')


def test_recorded_klines_are_read_the_older_first() -> None:
    [candle] = LINEAR.read_klines((DATA / "bybit_rest_klines.json").read_bytes())
    assert (candle.open_time_ms, candle.trades) == (1709891679000, None)
    assert (candle.open, candle.high, candle.low, candle.close) == tuple(map(Decimal, (27450, 27460, 27440, 27455)))
    assert (candle.volume, candle.quote_volume) == (Decimal("123.45"), Decimal(3390000))
    row = ["1670608800000", "17071", "17073", "17027", "17055.5", "268611", "15.74462667"]
    older = ["1670605200000", *row[1:]]
    assert [each.open_time_ms for each in LINEAR.read_klines(answer([row, older]))] == [1670605200000, 1670608800000]


def test_too_many_requests_are_known_by_status_and_by_code() -> None:
    assert BYBIT.rest_limits.too_much[403] == 600
    refusal = b'{"retCode":10006,"retMsg":"Too many visits!","result":{},"retExtInfo":{},"time":1672053054358}'
    assert any(words in refusal for words in BYBIT.rest_limits.too_much_words)
    assert not BYBIT.ids_prove
    assert SPOT.topics_per_request == 10

"""Coinbase Exchange's protocol, held against a recorded feed and the examples of its documentation."""

import json
from collections import defaultdict
from decimal import Decimal
from pathlib import Path

import pytest

from market.errors import MalformedError
from market.instrument import InstrumentStatus
from market.trade import Side, Source, Trade
from producers.exchange import Message, RefusedTrade, RestRequest, TradesPage, TradesRequest
from producers.exchanges.coinbase import Coinbase
from producers.feed.page import read_page as proofs_of
from runtime.settings import Settings

CAPTURE = Path(__file__).parents[2] / "data" / "coinbase_ws_capture.txt"
RECEIVED_US = 1_415_348_367_100_000
TRADED_US = 1_415_348_367_028_459
COINBASE = Coinbase(Settings(_env_file=None))
PRODUCTS = {"BTC-USD": "BTC-USD", "ETH-EUR": "ETH-EUR"}

# "Match" and "Heartbeat Channel" in Coinbase's "WebSocket Channels".
MATCH = {
    "type": "match", "trade_id": 10, "sequence": 50, "maker_order_id": "ac928c66-ca53-498f-9c13-a110027a60e8",
    "taker_order_id": "132fb6ae-456b-4654-b4e0-d681ac05cea1", "time": "2014-11-07T08:19:27.028459Z",
    "product_id": "BTC-USD", "size": "5.23512", "price": "400.23", "side": "sell",
}  # fmt: skip
HEARTBEAT = {
    "type": "heartbeat", "sequence": 90, "last_trade_id": 20, "product_id": "BTC-USD",
    "time": "2014-11-07T08:19:28.464459Z",
}  # fmt: skip
# "Get product trades" in its REST documentation.
ROWS = [
    {"time": "2014-11-07T22:19:28.578544Z", "trade_id": 74, "price": "10.00000000", "size": "0.01000000",
     "side": "buy"},
    {"time": "2014-11-07T01:08:43.642366Z", "trade_id": 73, "price": "100.00000000", "size": "0.01000000",
     "side": "sell"},
]  # fmt: skip


def read(text: str) -> Message:
    return COINBASE.read(text.encode(errors="surrogatepass"), PRODUCTS, RECEIVED_US)


def match(**changes: object) -> str:
    return json.dumps(MATCH | changes)


def read_page(rows: object, known: int | None = 1, limit: int = 1000) -> TradesPage:
    request = TradesRequest("BTC-USD", "BTC-USD", limit, known)
    return COINBASE.read_trades(json.dumps(rows).encode(), request, RECEIVED_US)


def page_of(ids: range, known: int, limit: int) -> TradesPage:
    """The page with these ids, which the exchange gives in the reverse order."""
    return read_page([ROWS[0] | {"trade_id": number} for number in reversed(ids)], known, limit)


def numbers(page: TradesPage) -> list[int | None]:
    return [int(row.trade_id) if isinstance(row, Trade) else row.number for row in page.rows]


def test_a_documented_match_whose_maker_sold_is_a_taker_buy() -> None:
    assert read(match()) == Message(
        TRADED_US,
        (
            Trade(
                exchange="coinbase",
                symbol="BTC-USD",
                trade_id="10",
                price=Decimal("400.23"),
                qty=Decimal("5.23512"),
                side=Side.BUY,
                time_us=TRADED_US,
                received_us=RECEIVED_US,
                source=Source.WS,
            ),
        ),
    )


def test_a_match_whose_maker_bought_is_a_taker_sell() -> None:
    [trade] = read(match(side="buy")).trades
    assert trade.side is Side.SELL


def test_the_heartbeat_carries_the_servers_time_and_no_trade() -> None:
    assert read(json.dumps(HEARTBEAT)) == Message(1_415_348_368_464_459)


def test_the_trade_of_before_the_subscription_is_left_out() -> None:
    assert read(match(type="last_match")) == Message()


def test_an_acknowledgement_names_the_products_whose_trades_will_come() -> None:
    channels = [
        {"name": "heartbeat", "product_ids": ["ETH-USD"]},
        {"name": "matches", "product_ids": ["BTC-USD", "ETH-EUR"], "account_ids": None},
        {"name": "status", "product_ids": None},
    ]
    assert read(json.dumps({"type": "subscriptions", "channels": channels})) == Message(accepted=("BTC-USD", "ETH-EUR"))


def test_an_acknowledgement_of_nothing_takes_nothing() -> None:
    channels = [{"name": "matches", "product_ids": None}]
    assert read(json.dumps({"type": "subscriptions", "channels": channels})) == Message()


def test_an_error_refuses_the_subscription_and_says_why() -> None:
    error = {"type": "error", "message": "Failed to subscribe", "reason": "GIBBERISH-USD is not a valid product"}
    assert read(json.dumps(error)) == Message(rejected="Failed to subscribe GIBBERISH-USD is not a valid product")
    assert read('{"type": "error", "message": "ErrSlowConsume"}') == Message(rejected="ErrSlowConsume")


def test_a_product_that_there_is_not_is_the_reason_why_none_is_taken() -> None:
    error = {"type": "error", "message": "Failed to subscribe", "reason": "OLD-USD is not a valid product"}
    message = COINBASE.read(json.dumps(error).encode(), {"BTC-USD": "BTC-USD", "OLD-USD": "OLD-USD"}, RECEIVED_US)
    assert (message.untaken, message.culprit) == (("BTC-USD", "OLD-USD"), "OLD-USD")


def test_a_recorded_feed_is_read() -> None:
    lines = [line.partition(": ")[2] for line in CAPTURE.read_text().splitlines() if not line.startswith("wss://")]
    asked_for = {json.loads(line)["product_id"] for line in lines if '"last_match"' in line}
    assert len(asked_for) == 10
    names = {product: product for product in asked_for}
    messages = [COINBASE.read(line.encode(), names, RECEIVED_US) for line in lines]
    trades: dict[str, list[Trade]] = defaultdict(list)
    for message in messages:
        for trade in message.trades:
            trades[trade.symbol].append(trade)
            assert message.server_us == trade.time_us
    assert {symbol: len(of_symbol) for symbol, of_symbol in trades.items()} == {
        "SKL-USD": 52, "DASH-BTC": 15, "SKL-BTC": 8, "BAND-BTC": 8, "NMR-EUR": 8, "BAND-GBP": 4, "SKL-GBP": 1,
        "NU-GBP": 1,
    }  # fmt: skip
    for of_symbol in trades.values():
        ids = [int(trade.trade_id) for trade in of_symbol]
        assert ids == list(range(ids[0], ids[0] + len(ids)))
        assert [trade.time_us for trade in of_symbol] == sorted(trade.time_us for trade in of_symbol)
    assert {native for message in messages for native in message.accepted} == asked_for
    assert not [message for message in messages if message.refused or message.rejected]
    others = [json.loads(line)["type"] for line, message in zip(lines, messages, strict=True) if message == Message()]
    assert {kind: others.count(kind) for kind in others} == {
        "l2update": 40, "ticker": 40, "last_match": 10, "subscriptions": 2, "snapshot": 1,
    }  # fmt: skip


def test_the_first_recorded_trade_is_the_one_that_was_sent() -> None:
    line = next(line for line in CAPTURE.read_text().splitlines() if '"type":"match"' in line)
    sent = json.loads(line.partition(": ")[2])
    [trade] = COINBASE.read(json.dumps(sent).encode(), {"SKL-BTC": "SKL-BTC"}, RECEIVED_US).trades
    assert (trade.symbol, trade.trade_id, trade.side) == ("SKL-BTC", "280232", Side.BUY)  # the maker sold
    assert (trade.price, trade.qty, trade.time_us) == (Decimal("0.00001305"), Decimal(985), 1_618_677_817_089_723)


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "{", "\ud800", "5", "{}", '{"type": 5}', '{"type": null, "trade_id": 1}', "<html></html>",
        '{"type": "heartbeat"}', '{"type": "heartbeat", "time": 5}', '{"type": "heartbeat", "time": "now"}',
        '{"type": "heartbeat", "time": "2014-11-07T08:19:28"}', '{"type": "subscriptions", "channels": {}}',
        '{"type": "subscriptions", "channels": [{"name": "matches", "product_ids": [5]}]}',
        '{"type": "error", "message": {}}', "[" * 100_000, '{"type":' * 100_000,
    ],
)  # fmt: skip
def test_what_is_not_a_frame_is_malformed(text: str) -> None:
    with pytest.raises(MalformedError):
        read(text)


@pytest.mark.parametrize(
    ("changes", "number"),
    [
        ({"trade_id": "x"}, None), ({"trade_id": -1}, None), ({"trade_id": None}, None), ({"trade_id": 10**18}, None),
        ({"trade_id": 10**30}, None), ({"trade_id": True}, None), ({"trade_id": 1.5}, None),
        ({"price": "1e5"}, 10), ({"price": 1.5}, 10), ({"price": "0"}, 10), ({"price": "-1"}, 10),
        ({"price": None}, 10), ({"size": "NaN"}, 10), ({"size": "0.000"}, 10), ({"size": ""}, 10),
        ({"side": "SELL"}, 10), ({"side": "none"}, 10), ({"side": 1}, 10), ({"time": "yesterday"}, 10),
        ({"time": 5}, 10), ({"time": "2014-11-07T08:19:27.028459"}, 10), ({"time": "2008-12-31T23:59:59.999999Z"}, 10),
        ({"time": "9999-12-31T23:59:59Z"}, 10),
    ],
)  # fmt: skip
def test_a_match_that_cannot_be_a_trade_is_refused_and_names_its_id_where_it_can(
    changes: dict, number: int | None
) -> None:
    message = read(match(**changes))
    assert not message.trades
    [refused] = message.refused
    assert (refused.symbol, refused.number) == ("BTC-USD", number)
    assert refused.raw == match(**changes).encode()
    assert not message.server_us, "a wrong message proves no time"


@pytest.mark.parametrize("product", ["DOGE-USD", 5, None, ["BTC-USD"]])
def test_a_trade_that_nobody_asked_for_is_refused_without_a_symbol(product: object) -> None:
    [refused] = read(match(product_id=product)).refused
    assert refused.symbol is None


def test_a_frame_of_another_channel_is_passed_over_whatever_it_holds() -> None:
    assert read('{"type": "received", "price": null, "time": 5}') == Message()


def test_a_documented_page_is_read_the_older_trade_first() -> None:
    older, newer = read_page(ROWS).rows
    assert newer == Trade(
        exchange="coinbase",
        symbol="BTC-USD",
        trade_id="74",
        price=Decimal("10.00000000"),
        qty=Decimal("0.01000000"),
        side=Side.SELL,  # the maker bought
        time_us=1_415_398_768_578_544,
        received_us=RECEIVED_US,
        source=Source.REST,
    )
    assert isinstance(older, Trade)
    assert (older.trade_id, older.side) == ("73", Side.BUY)


def test_stream_and_rest_tell_the_same_of_a_trade() -> None:
    [live] = read(match()).trades
    [row] = read_page([{name: MATCH[name] for name in ("time", "trade_id", "price", "size", "side")}]).rows
    assert isinstance(row, Trade)
    assert (row.price, row.qty, row.side, row.time_us) == (live.price, live.qty, live.side, live.time_us)


@pytest.mark.parametrize("fraction", ["", ".5", ".57", ".578", ".578544", ".578544123"])
def test_a_time_may_have_any_number_of_digits(fraction: str) -> None:
    [row] = read_page([ROWS[0] | {"time": f"2014-11-07T22:19:28{fraction}Z"}]).rows
    assert isinstance(row, Trade)
    assert row.time_us == 1_415_398_768_000_000 + int(fraction[1:7].ljust(6, "0"))


@pytest.mark.parametrize(
    ("ids", "is_whole"),
    [
        (range(100, 110), False),  # all that were asked for: there may be more
        (range(100, 109), True),  # the last of them does not exist yet
        (range(99, 109), True),  # then the page begins with one of before, and is as long
        (range(100, 101), True),
        (range(90, 100), True),  # the known one is not there either
        (range(0), True),
    ],
)
def test_a_page_is_whole_where_the_last_id_that_was_asked_for_does_not_exist_yet(ids: range, *, is_whole: bool) -> None:
    page = page_of(ids, known=100, limit=10)
    assert page.is_whole is is_whole
    assert numbers(page) == list(ids)


def test_a_page_proves_a_jump_of_ids() -> None:
    page = read_page([ROWS[0] | {"trade_id": number} for number in (109, 108, 103, 102, 101, 100)], 100, 10)
    assert numbers(page) == [100, 101, 102, 103, 108, 109]
    assert not page.is_whole
    assert proofs_of(100, page).absent == [(104, 107)]


def test_a_row_without_an_id_may_be_the_last_one_that_was_asked_for() -> None:
    page = read_page([ROWS[0] | {"trade_id": "?"}, ROWS[0] | {"trade_id": 100}], 100, 10)
    assert numbers(page) == [100, None]
    assert not page.is_whole


def test_the_newest_trades_are_whole() -> None:
    assert read_page(ROWS[:1], None, 1).is_whole


def test_one_row_that_is_no_trade_does_not_spoil_its_page() -> None:
    rows = [
        ROWS[0] | {"trade_id": 78}, ROWS[0] | {"trade_id": 77, "size": 0}, 7, ROWS[0] | {"trade_id": "?"}, [],
        ROWS[0] | {"trade_id": 75, "price": "x"}, ROWS[0],
    ]  # fmt: skip
    page = read_page(rows)
    assert numbers(page) == [74, 75, None, None, None, 77, 78]
    assert {row.symbol for row in page.rows if isinstance(row, RefusedTrade)} == {"BTC-USD"}


@pytest.mark.parametrize("body", [b"", b"{}", b"[", b'{"message": "NotFound"}', b"\xff", b"[" * 100_000])
def test_what_is_no_answer_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedError):
        COINBASE.read_trades(body, TradesRequest("BTC-USD", "BTC-USD", 1000, 1), RECEIVED_US)
    with pytest.raises(MalformedError):
        COINBASE.read_klines(body)
    with pytest.raises(MalformedError):
        COINBASE.read_instruments(body)


def test_what_is_asked_over_rest() -> None:
    request = TradesRequest("BTC-USD", "BTC-USD", 500, 17)
    assert COINBASE.trades(request) == RestRequest("/products/BTC-USD/trades?limit=500&after=517")
    assert COINBASE.trades(request._replace(known=None, limit=1)).path == "/products/BTC-USD/trades?limit=1"
    assert COINBASE.klines("BTC-USD", 1_415_398_740_000, 1_415_398_860_000).path == (
        "/products/BTC-USD/candles?granularity=60&start=2014-11-07T22:19:00.000Z&end=2014-11-07T22:20:59.999Z"
    )
    assert COINBASE.instruments(["BTC-USD"]).path == "/products"


def test_a_connection_asks_for_all_trades_and_one_heartbeat() -> None:
    opening = COINBASE.opening(["BTC-USD", "ETH-EUR"])
    assert [json.loads(sent) for sent in opening.frames] == [
        {
            "type": "subscribe",
            "channels": [
                {"name": "matches", "product_ids": ["BTC-USD", "ETH-EUR"]},
                {"name": "heartbeat", "product_ids": ["BTC-USD"]},
            ],
        }
    ]
    assert opening.acknowledged


# "Get all known trading pairs" in its REST documentation, without the fields that say nothing here.
LISTED = {
    "id": "BTC-USD", "base_currency": "BTC", "quote_currency": "USD", "quote_increment": "0.01000000",
    "base_increment": "0.00000001", "display_name": "BTC-USD", "min_market_funds": "10", "margin_enabled": False,
    "post_only": False, "limit_only": False, "cancel_only": False, "status": "online", "status_message": "",
    "trading_disabled": False, "fx_stablecoin": False, "max_slippage_percentage": "0.02000000", "auction_mode": False,
}  # fmt: skip


def test_instruments_have_one_name() -> None:
    [bitcoin] = COINBASE.read_instruments(json.dumps([LISTED]).encode())
    assert (bitcoin.native, bitcoin.symbol, bitcoin.base, bitcoin.quote) == ("BTC-USD", "BTC-USD", "BTC", "USD")
    assert (bitcoin.tick, bitcoin.lot) == (Decimal("0.01"), Decimal("0.00000001"))
    assert COINBASE.native("btc-usd") == "BTC-USD"


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({}, InstrumentStatus.TRADING),
        ({"trading_disabled": True}, InstrumentStatus.HALTED),
        ({"status": "offline"}, InstrumentStatus.HALTED),
        ({"status": "delisted", "trading_disabled": True}, InstrumentStatus.DELISTED),
    ],
)
def test_an_instrument_says_whether_it_is_traded(changes: dict, status: InstrumentStatus) -> None:
    [instrument] = COINBASE.read_instruments(json.dumps([LISTED | changes]).encode())
    assert instrument.status is status


def test_candles_are_read_exactly_the_older_first() -> None:
    # As coinbase/coinbase-pro-node issue 204 shows them: volumes are sums of floats.
    body = b"[[1515264780,994.5,994.6,994.55,994.50,14.697630010000001],[1515264720,7.89e-06,8e-6,7.9e-06,8E-06,1e3]]"
    older, newer = COINBASE.read_klines(body)
    assert (newer.open_time_ms, newer.open, newer.high, newer.low, newer.close) == (
        1515264780_000, Decimal("994.55"), Decimal("994.6"), Decimal("994.5"), Decimal("994.5"),
    )  # fmt: skip
    assert newer.volume == Decimal("14.697630010000001")
    assert (older.open_time_ms, older.low, older.high, older.volume) == (
        1515264720_000, Decimal("0.00000789"), Decimal("0.000008"), Decimal(1000),
    )  # fmt: skip
    assert (older.trades, older.quote_volume) == (None, None)


def test_the_noise_of_a_small_volume_is_no_reason_to_refuse_it() -> None:
    [candle] = COINBASE.read_klines(b"[[1515264780,1,1,1,1,1.0000000000000002e-05]]")
    assert candle.volume == Decimal("0.00001")


@pytest.mark.parametrize(
    "row",
    [
        "[1515264780,1,1,1,1]", "[1515264780,1,1,1,1,1,1]", '["1515264780",1,1,1,1,1]', '[1515264780,"1",1,1,1,1]',
        "[1515264780,2,1,1,1,1]", "[1515264780,0,1,1,1,1]", "[1515264780,1,1,1,1,-1]", "[1515264780,1,1,1,1,1e999]",
        "[1515264780,1,1,1,1,1e9999]", "[1515264780,1,1,1,1,null]", "5",
    ],
)  # fmt: skip
def test_a_candle_that_cannot_be_one_is_malformed(row: str) -> None:
    with pytest.raises(MalformedError):
        COINBASE.read_klines(f"[{row}]".encode())

"""Bitstamp's protocol, held against messages that clients recorded and the examples of its documentation."""

import json
import random
import re
from decimal import Decimal

import pytest

from market.candle import trade_order
from market.errors import MalformedError
from market.instrument import InstrumentStatus
from market.key import MarketKey
from market.trade import Side, Source, Trade
from producers.exchange import Message, RefusedTrade, RestRequest, TradesPage, TradesRequest
from producers.exchanges.bitstamp import Bitstamp
from producers.feed.outbox import Outbox
from producers.feed.text_symbol import TextSymbolFeed
from runtime.settings import Settings

RECEIVED_US = 1_717_255_024_500_000
BITSTAMP = Bitstamp(Settings(_env_file=None))
PAIRS = {"btcusd": "BTC-USD", "ethusd": "ETH-USD"}
REQUEST = TradesRequest("btcusd", "BTC-USD", 1000)

# Recorded by clients of the stream: see `docs/exchanges.md`.
TRADE = (
    '{"id": 342188568, "amount": 0.00054, "amount_str": "0.00054000", "price": 67703, "price_str": "67703",'
    ' "type": 0, "timestamp": "1717255024", "microtimestamp": "1717255024403000",'
    ' "buy_order_id": 1754808523759616, "sell_order_id": 1754808285728768}'
)
CHANGE = (
    '{"data": {"timestamp": "1791403680", "microtimestamp": "1791403680093950",'
    ' "bids": [["83463.08", "0.55048175"]], "asks": [["83473.08", "0.00000000"]]},'
    ' "channel": "diff_order_book_btcusd", "event": "data"}'
)
# "Transactions" of the HTTP API, as ccxt quotes it.
ROWS = (
    '{"date": "1551814435", "tid": "83581898", "price": "0.03532850", "type": "1", "amount": "0.85945907"},'
    ' {"date": "1551814434", "tid": "83581896", "price": "0.03532851", "type": "0", "amount": "11.34130961"}'
)


def read(text: str) -> Message:
    return BITSTAMP.read(text.encode(errors="surrogatepass"), PAIRS, RECEIVED_US)


def frame(trade: str = TRADE, channel: str = "live_trades_btcusd", event: str = "trade") -> str:
    return f'{{"data": {trade}, "channel": "{channel}", "event": "{event}"}}'


def changed(name: str, text: str) -> str:
    """The recorded trade, with this JSON text in place of one field's."""
    before, colon, behind = TRADE.partition(f'"{name}": ')
    assert colon
    return before + colon + text + behind[re.search("[,}]", behind).start() :]  # type: ignore[union-attr]  # it is there


def read_page(rows: str) -> TradesPage:
    return BITSTAMP.read_trades(f"[{rows}]".encode(), REQUEST, RECEIVED_US)


def test_a_recorded_trade_is_read() -> None:
    message = read(frame())
    assert message.trades == [
        Trade(
            exchange="bitstamp",
            symbol="BTC-USD",
            trade_id="342188568",
            price=Decimal(67703),
            qty=Decimal("0.00054000"),
            side=Side.BUY,
            time_us=1_717_255_024_000_000,
            received_us=RECEIVED_US,
            source=Source.WS,
        )
    ]
    assert (message.server_us, message.refused) == (0, [])
    [sold] = read(frame(changed("type", "1"))).trades
    assert sold.side is Side.SELL


def test_amounts_are_the_texts_and_not_the_numbers_beside_them() -> None:
    # Recorded in 2019: the numbers are floats with noise.
    trade = (
        '{"microtimestamp": "1555135143665724", "amount": 0.0015847299999999999, "buy_order_id": 3126671009,'
        ' "sell_order_id": 3126671156, "amount_str": "0.00158473", "price_str": "5112.85", "timestamp": "1555135143",'
        ' "price": 5112.8500000000004, "type": 1, "id": 85658352}'
    )
    [read_trade] = read(frame(trade)).trades
    assert (read_trade.price, read_trade.qty) == (Decimal("5112.85"), Decimal("0.00158473"))


def test_stream_and_page_tell_the_same_time_of_a_trade() -> None:
    [live] = read(frame()).trades
    [row] = read_page(
        '{"date": "1717255024", "tid": "342188568", "price": "67703", "type": "0", "amount": "0.00054"}'
    ).rows
    assert isinstance(row, Trade)
    assert (row.time_us, row.side, row.price, row.qty) == (live.time_us, live.side, live.price, live.qty)


def test_trades_of_one_second_are_in_the_order_of_their_ids() -> None:
    [first] = read(frame(changed("id", "99"))).trades
    [second] = read(frame(changed("id", "100"))).trades
    assert first.time_us == second.time_us
    assert trade_order(first) < trade_order(second)


def test_a_change_of_the_order_book_tells_the_second() -> None:
    assert read(CHANGE) == Message(1_791_403_680_000_000)
    other = CHANGE.replace("btcusd", "ethusd")
    assert read(other) == Message()


@pytest.mark.parametrize("time", ["null", '"x"', '""', "1.5", "[]", "-1"])
def test_a_change_without_its_time_is_malformed(time: str) -> None:
    with pytest.raises(MalformedError):
        read(CHANGE.replace('"1791403680093950"', time))


def test_an_acknowledgement_names_its_pair() -> None:
    assert read(frame("{}", event="bts:subscription_succeeded")) == Message(accepted=("btcusd",))
    assert read(frame("{}", "diff_order_book_btcusd", "bts:subscription_succeeded")) == Message()


def test_a_refusal_says_why() -> None:
    refused = '{"event":"bts:error","channel":"","data":{"code":null,"message":"Bad subscription string."}}'
    assert "Bad subscription string." in str(read(refused).rejected)


def test_a_wish_to_reconnect_is_a_hand_over() -> None:
    assert read('{"event":"bts:request_reconnect","channel":"","data":""}') == Message(closing=True)


@pytest.mark.parametrize(
    "text",
    [
        '{"event":"bts:heartbeat","channel":"","data":{"status":"success"}}',
        '{"event":"order_created","channel":"live_orders_btcusd","data":{"id":1}}',
        '{"event":"bts:unsubscription_succeeded","channel":"live_trades_btcusd"}',
    ],
)
def test_what_was_not_asked_for_says_nothing(text: str) -> None:
    assert read(text) == Message()


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "{", "\ud800", "5", "{}", '{"event": 5}', '{"event": "trade", "channel": 5}', "<html></html>",
        "[" * 100_000, '{"event":' * 100_000,
    ],
)  # fmt: skip
def test_what_is_not_a_frame_is_malformed(text: str) -> None:
    with pytest.raises(MalformedError):
        read(text)


@pytest.mark.parametrize(
    ("name", "value", "number"),
    [
        ("id", '"x"', None), ("id", "-1", None), ("id", "null", None), ("id", "1.5", None),
        ("id", str(10**18), None), ("id", str(10**30), None), ("id", "true", None),
        ("price_str", '"0"', 342188568), ("price_str", '"-1"', 342188568), ("price_str", '"1e999"', 342188568),
        ("price_str", '"NaN"', 342188568), ("price_str", "67703", 342188568), ("price_str", "null", 342188568),
        ("amount_str", '"0.00"', 342188568), ("amount_str", '""', 342188568), ("amount_str", "{}", 342188568),
        ("type", "2", 342188568), ("type", '"buy"', 342188568), ("type", "null", 342188568),
        ("microtimestamp", '"x"', 342188568), ("microtimestamp", '"-5"', 342188568),
        ("microtimestamp", '"1230767999999999"', 342188568), ("microtimestamp", '"99999999999999999"', 342188568),
    ],
)  # fmt: skip
def test_a_trade_that_cannot_be_one_is_refused_and_names_its_id_where_it_can(
    name: str, value: str, number: int | None
) -> None:
    wrong = changed(name, value)
    message = read(frame(wrong))
    [refused] = message.refused
    assert (message.trades, refused.symbol, refused.number) == ([], "BTC-USD", number)
    assert refused.raw == wrong.encode()


@pytest.mark.parametrize("trade", ["null", "5", "[]", '"x"', "{}"])
def test_what_stands_in_place_of_a_trade_is_refused(trade: str) -> None:
    [refused] = read(frame(trade)).refused
    assert (refused.symbol, refused.number) == ("BTC-USD", None)


def test_a_trade_that_nobody_asked_for_is_refused_without_a_symbol() -> None:
    [refused] = read(frame(channel="live_trades_ltcusd")).refused
    assert (refused.symbol, refused.number) == (None, 342188568)


def test_the_documented_page_is_turned_around() -> None:
    page = read_page(ROWS)
    first, last = page.rows
    assert first == Trade(
        exchange="bitstamp",
        symbol="BTC-USD",
        trade_id="83581896",
        price=Decimal("0.03532851"),
        qty=Decimal("11.34130961"),
        side=Side.BUY,
        time_us=1_551_814_434_000_000,
        received_us=RECEIVED_US,
        source=Source.REST,
    )
    assert isinstance(last, Trade)
    assert (last.trade_id, last.side) == ("83581898", Side.SELL)
    assert page.is_whole


def test_one_row_that_is_no_trade_does_not_spoil_its_page() -> None:
    wrong = ROWS.replace('"1551814435"', '"now"')
    refused, kept = sorted(read_page(wrong).rows, key=lambda row: isinstance(row, Trade))
    assert isinstance(refused, RefusedTrade)
    assert (refused.symbol, refused.number) == ("BTC-USD", 83581898)
    assert isinstance(kept, Trade)


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"\xff", b"[" * 100_000, b'{"code": "400.002"}', b"<html></html>", b"null"]
)
def test_what_is_no_answer_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedError):
        BITSTAMP.read_trades(body, REQUEST, RECEIVED_US)
    with pytest.raises(MalformedError):
        BITSTAMP.read_klines(body)
    with pytest.raises(MalformedError):
        BITSTAMP.read_instruments(body)


def test_an_answer_that_wants_no_requests_for_a_while_is_known() -> None:
    body = b'{"response_code": "400.002", "response_explanation": "Request rejected due to exceeded rate limit."}'
    assert any(words in body for words in BITSTAMP.rest_limits.too_much_words)


def test_what_is_asked_over_rest() -> None:
    assert BITSTAMP.trades(REQUEST) == RestRequest("/api/v2/transactions/btcusd/?time=hour")
    assert BITSTAMP.klines("btcusd", 1_593_961_440_000, 1_593_961_560_000).path == (
        "/api/v2/ohlc/btcusd/?step=60&limit=2&end=1593961500&exclude_current_candle=true"
    )
    assert BITSTAMP.instruments(["btcusd"]).path == "/api/v2/markets/"


def test_a_connection_asks_for_the_clock_and_all_trades() -> None:
    opening = BITSTAMP.opening(["btcusd", "ethusd"])
    assert [json.loads(sent) for sent in opening.frames] == [
        {"event": "bts:subscribe", "data": {"channel": "diff_order_book_btcusd"}},
        {"event": "bts:subscribe", "data": {"channel": "live_trades_btcusd"}},
        {"event": "bts:subscribe", "data": {"channel": "live_trades_ethusd"}},
    ]
    assert (opening.path, opening.acknowledged) == ("/", True)
    assert BITSTAMP.keepalive is not None
    assert json.loads(BITSTAMP.keepalive.frame) == {"event": "bts:heartbeat"}
    assert not BITSTAMP.ids_prove


# "Markets" of the HTTP API, as ccxt quotes it.
MARKET = {
    "name": "BTC/USD", "market_symbol": "btcusd", "base_currency": "BTC", "base_decimals": 8,
    "counter_currency": "USD", "counter_decimals": 0, "minimum_order_value": "10", "trading": "Enabled",
    "instant_order_counter_decimals": 2, "instant_and_market_orders": "Enabled",
    "description": "Bitcoin / U.S. dollar", "market_type": "SPOT",
}  # fmt: skip


def test_the_markets_are_read_without_perpetuals() -> None:
    halted = MARKET | {"market_symbol": "ethusd", "base_currency": "ETH", "trading": "Disabled"}
    perpetual = MARKET | {"market_symbol": "btcusd-perp", "market_type": "PERPETUAL"}
    bitcoin, ether = BITSTAMP.read_instruments(json.dumps([MARKET, halted, perpetual]).encode())
    assert (bitcoin.exchange, bitcoin.symbol, bitcoin.native) == ("bitstamp", "BTC-USD", "btcusd")
    assert (bitcoin.base, bitcoin.quote, bitcoin.status) == ("BTC", "USD", InstrumentStatus.TRADING)
    assert (bitcoin.tick, bitcoin.lot) == (1, Decimal("0.00000001"))
    assert (ether.symbol, ether.status) == ("ETH-USD", InstrumentStatus.HALTED)


@pytest.mark.parametrize("symbol", ["BTC-USD", "btc-usd", "btcusd", "BTCUSD"])
def test_a_symbol_may_be_ours_or_native(symbol: str) -> None:
    assert BITSTAMP.native(symbol) == "btcusd"


def test_the_documented_candles_are_read() -> None:
    candle = {
        "high": "9064.77", "timestamp": "1593961440", "volume": "18.49436608", "low": "9040.87", "close": "9064.77",
        "open": "9040.87",
    }  # fmt: skip
    quiet = dict.fromkeys(("high", "low", "open", "close"), "9064.77") | {"timestamp": "1593961500", "volume": "0"}
    first, second = BITSTAMP.read_klines(json.dumps({"data": {"pair": "BTC/USD", "ohlc": [candle, quiet]}}).encode())
    assert (first.open_time_ms, first.open, first.close) == (1_593_961_440_000, Decimal("9040.87"), Decimal("9064.77"))
    assert (first.high, first.low, first.volume) == (Decimal("9064.77"), Decimal("9040.87"), Decimal("18.49436608"))
    assert (second.open_time_ms, second.volume) == (1_593_961_500_000, 0)


@pytest.mark.parametrize("seed", range(3))
def test_outages_are_filled_although_times_are_whole_seconds(seed: int) -> None:
    """Some minutes with outages of 4 s, as the feed of a symbol lives through them; REST lags by 0.2 s."""
    chance, begin_us = random.Random(seed), 1_717_255_020_000_000
    feed = TextSymbolFeed(MarketKey("bitstamp", "BTC-USD"), native="btcusd", partition=0, page_trades=1000)
    happened = [(1, begin_us - 5_000_000)]
    published: set[str] = set()

    def clock(time_us: int) -> int:
        return read(CHANGE.replace("1791403680093950", str(time_us))).server_us

    def serve(time_us: int, outbox: Outbox) -> None:
        request = feed.next_request(outbox.now_s)
        if request is not None:
            rows = [
                json.dumps({"date": str(us // 1_000_000), "tid": str(number), "price": "1", "type": "0", "amount": "1"})
                for number, us in reversed(happened)
                if us <= time_us - 200_000
            ]
            feed.page(request, read_page(",".join(rows)), clock(time_us), outbox)

    last_us = is_up = 0
    for step in range(1, 1_850):
        time_us = begin_us + step * 100_000
        outbox = Outbox(step / 10, time_us // 1000)
        if step == 1 or step % 300 == 296:
            feed.connected(clock(time_us), outbox)
            is_up = True
        if chance.random() < 0.4:
            happened.append((step, time_us - chance.randrange(50_000)))
            if is_up:
                trade = changed("id", str(step)).replace("1717255024403000", str(happened[-1][1]))
                feed.live(read(frame(trade)).trades[0], outbox)
        if step % 300 == 257:
            feed.disconnected("a break", last_us, outbox)
            is_up = False
        last_us = clock(time_us) if is_up else last_us
        serve(time_us, outbox)
        feed.emit_due(last_us, 1200.0, outbox)
        published |= {trade.trade_id for _, trade in outbox.trades}
    assert feed.begin is not None
    due = {str(number) for number, us in happened if us >= feed.begin.complete_until_us}
    assert len(due) > 300
    assert due <= published

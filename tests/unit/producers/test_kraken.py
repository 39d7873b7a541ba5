"""Kraken's protocol, held against recorded messages and the examples of its documentation."""

import json
import re
from decimal import Decimal
from pathlib import Path

import pytest

from market.errors import MalformedError
from market.instrument import InstrumentStatus
from market.trade import Side, Source, Trade
from producers.exchange import Message, RefusedTrade, RestRequest, TradesPage, TradesRequest
from producers.exchanges.kraken import Kraken
from producers.feed.page import read_page as proofs_of
from runtime.settings import Settings

DATA = Path(__file__).parents[2] / "data"
RECEIVED_US = 1_696_613_755_500_000
KRAKEN = Kraken(Settings(_env_file=None))
PAIRS = {"BTC/USD": "BTC-USD", "DOGE/BTC": "DOGE-BTC"}
REQUEST = TradesRequest("BTC/USD", "BTC-USD", 3, 61044952, known_us=1_688_669_597_827_000)

# "Trades" in Kraken's documentation of its WebSocket API v2.
TRADE = (
    '{"symbol": "BTC/USD", "side": "buy", "price": 105944.20, "qty": 0.00027625, "ord_type": "limit",'
    ' "trade_id": 10218208, "timestamp": "2023-10-06T17:35:55.440295Z"}'
)
# "Get Recent Trades" in its REST documentation.
ROWS = """
    ["30243.40000", "0.34507674", 1688669597.8277369, "b", "m", "", 61044952],
    ["30243.30000", "0.00376960", 1688669598.2804112, "s", "l", "", 61044953],
    ["30243.30000", "0.01235716", 1688669602.698379, "s", "m", "", 61044956]
"""


def read(text: str) -> Message:
    return KRAKEN.read(text.encode(errors="surrogatepass"), PAIRS, RECEIVED_US)


def update(*trades: str, kind: str = "update") -> str:
    return f'{{"channel": "trade", "type": "{kind}", "data": [{", ".join(trades)}]}}'


def changed(name: str, text: str) -> str:
    """The documented trade, with this JSON text in place of one field's."""
    before, colon, behind = TRADE.partition(f'"{name}": ')
    assert colon
    return before + colon + text + behind[re.search("[,}]", behind).start() :]  # type: ignore[union-attr]  # it is there


def answer(rows: str, pair: str = "XXBTZUSD") -> bytes:
    return f'{{"error": [], "result": {{"{pair}": [{rows}], "last": "1688671969993150842"}}}}'.encode()


def read_page(rows: str, request: TradesRequest = REQUEST) -> TradesPage:
    return KRAKEN.read_trades(answer(rows), request, RECEIVED_US)


def numbers(page: TradesPage) -> list[int | None]:
    return [int(row.trade_id) if isinstance(row, Trade) else row.number for row in page.rows]


def test_a_recorded_frame_of_several_trades_is_read() -> None:
    message = read((DATA / "kraken_ws_trade_update.json").read_text())
    bought, sold = message.trades
    assert bought == Trade(
        exchange="kraken",
        symbol="BTC-USD",
        trade_id="10218208",
        price=Decimal("105944.20"),
        qty=Decimal("0.00027625"),
        side=Side.BUY,
        time_us=1_696_613_755_440_000,
        received_us=RECEIVED_US,
        source=Source.WS,
    )
    assert (sold.trade_id, sold.side, sold.price, sold.qty) == (
        "10218209", Side.SELL, Decimal("105910.50"), Decimal("0.00012460"),
    )  # fmt: skip
    assert (message.server_us, message.refused) == (0, [])


@pytest.mark.parametrize(
    ("number", "value"),
    [
        ("0.100000000000000005", "0.100000000000000005"),  # more digits than a float holds
        ("12345678.123456789012", "12345678.123456789012"),
        ("5e-8", "0.00000005"),
        ("1.50E+3", "1500"),
        ("40", "40"),
    ],
)
def test_a_number_is_taken_by_its_own_digits(number: str, value: str) -> None:
    [trade] = read(update(changed("qty", number))).trades
    assert trade.qty == Decimal(value)


def test_trades_of_before_the_connection_are_left_out() -> None:
    assert read(update(TRADE, kind="snapshot")) == Message()


def test_the_pong_carries_the_servers_time() -> None:
    # As the tests of the crate kraken-async-rs have it.
    pong = (
        '{"method":"pong","req_id":1,"time_in":"2024-05-20T11:08:49.272922Z","time_out":"2024-05-20T11:08:49.272940Z"}'
    )
    assert read(pong) == Message(1_716_203_329_272_940)
    assert KRAKEN.keepalive is not None
    assert json.loads(KRAKEN.keepalive.frame) == {"method": "ping"}


def test_an_acknowledgement_names_its_symbol() -> None:
    taken = (
        '{"method":"subscribe","req_id":0,"result":{"channel":"trade","snapshot":false,"symbol":"BTC/USD"},'
        '"success":true,"time_in":"2024-05-19T19:11:23.034030Z","time_out":"2024-05-19T19:11:23.034073Z"}'
    )
    assert read(taken) == Message(accepted=("BTC/USD",))
    assert read(taken.replace('"trade"', '"ticker"')) == Message()


def test_a_refused_subscription_says_why() -> None:
    refused = (
        '{"error":"Currency pair not supported","method":"subscribe","success":false,"symbol":"FOO/USD",'
        '"time_in":"2024-05-19T19:11:23.034030Z","time_out":"2024-05-19T19:11:23.034073Z"}'
    )
    assert read(refused) == Message(rejected="Currency pair not supported FOO/USD", untaken=("FOO/USD",))
    assert read('{"error": "Exceeded msg rate", "success": false}') == Message(rejected="Exceeded msg rate")


@pytest.mark.parametrize(
    "text",
    [
        '{"channel":"heartbeat"}',
        '{"channel":"status","type":"update","data":[{"api_version":"v2","connection_id":1,"system":"online"}]}',
        '{"channel":"ticker","type":"update","data":[{"symbol":"BTC/USD","last":1.5}]}',
        '{"method":"unsubscribe","success":true,"result":{"channel":"trade","symbol":"BTC/USD"}}',
    ],
)
def test_what_was_not_asked_for_says_nothing(text: str) -> None:
    assert read(text) == Message()


@pytest.mark.parametrize(
    "text",
    [
        "", "[]", "{", "\ud800", "5", "{}", '{"channel": 5}', '{"data": 5}', '{"channel": "trade", "data": 5}',
        '{"channel": "trade", "type": "update", "data": {}}', '{"method": "pong"}', '{"method": "pong", "time_out": 5}',
        '{"method": "pong", "time_out": "2024-05-20T11:08:49"}', '{"method": "subscribe", "result": 5}',
        '{"method": "subscribe", "success": "no"}', "<html></html>", "[" * 100_000, '{"channel":' * 100_000,
    ],
)  # fmt: skip
def test_what_is_not_a_frame_is_malformed(text: str) -> None:
    with pytest.raises(MalformedError):
        read(text)


@pytest.mark.parametrize(
    ("name", "value", "number"),
    [
        ("trade_id", '"x"', None), ("trade_id", "-1", None), ("trade_id", "null", None), ("trade_id", "1.5", None),
        ("trade_id", str(10**18), None), ("trade_id", str(10**30), None), ("trade_id", "true", None),
        ("price", "0", 10218208), ("price", "0.00", 10218208), ("price", "-1", 10218208), ("price", "1e30", 10218208),
        ("price", "1e999", 10218208), ("price", "1e9999", 10218208), ("price", "null", 10218208),
        ("price", '"105944.20"', 10218208), ("price", "[1]", 10218208), ("qty", "0e5", 10218208),
        ("qty", "1e-40", 10218208), ("qty", "{}", 10218208), ("qty", "false", 10218208),
        ("side", '"b"', 10218208), ("side", "1", 10218208), ("timestamp", "5", 10218208),
        ("timestamp", '"2023-10-06T17:35:55.440295"', 10218208), ("timestamp", '"now"', 10218208),
        ("timestamp", '"2008-12-31T23:59:59.999999Z"', 10218208), ("timestamp", '"9999-12-31T00:00:00Z"', 10218208),
    ],
)  # fmt: skip
def test_one_trade_that_cannot_be_one_is_refused_and_names_its_id_where_it_can(
    name: str, value: str, number: int | None
) -> None:
    wrong = changed(name, value)
    message = read(update(TRADE, wrong, changed("trade_id", "10218209")))
    assert [trade.trade_id for trade in message.trades] == ["10218208", "10218209"]
    [refused] = message.refused
    assert (refused.symbol, refused.number) == ("BTC-USD", number)
    assert refused.raw == wrong.encode()


@pytest.mark.parametrize("symbol", ['"ETH/USD"', "5", "null", "[]"])
def test_a_trade_that_nobody_asked_for_is_refused_without_a_symbol(symbol: str) -> None:
    [refused] = read(update(changed("symbol", symbol))).refused
    assert refused.symbol is None


@pytest.mark.parametrize("item", ["5", "null", "[]", '"x"', "[" * 50_000 + "]" * 50_000])
def test_what_stands_in_place_of_a_trade_does_not_spoil_its_frame(item: str) -> None:
    try:
        message = read(update(TRADE, item))
    except MalformedError:  # nested so deep that the frame cannot be read
        assert len(item) > 100
        return
    assert len(message.trades) == 1
    assert [(refused.symbol, refused.number) for refused in message.refused] == [(None, None)]


def test_the_documented_page_is_read_and_proves_its_jump_of_ids() -> None:
    page = read_page(ROWS)
    assert page.rows[0] == Trade(
        exchange="kraken",
        symbol="BTC-USD",
        trade_id="61044952",
        price=Decimal("30243.40000"),
        qty=Decimal("0.34507674"),
        side=Side.BUY,
        time_us=1_688_669_597_827_000,
        received_us=RECEIVED_US,
        source=Source.REST,
    )
    assert numbers(page) == [61044952, 61044953, 61044956]
    assert page.is_whole
    proofs = proofs_of(61044952, page)
    assert (proofs.begins, proofs.absent) == (True, [(61044954, 61044955)])


def test_a_recorded_page_is_read() -> None:
    body = (DATA / "kraken_rest_trades.json").read_bytes()
    page = KRAKEN.read_trades(body, REQUEST, RECEIVED_US)
    trades = [row for row in page.rows if isinstance(row, Trade)]
    assert numbers(page) == list(range(10218208, 10218208 + 1000))
    assert [trade.time_us for trade in trades] == sorted(trade.time_us for trade in trades)
    assert (trades[0].time_us, trades[-1].time_us) == (1_762_795_433_971_000, 1_762_820_035_982_000)
    assert not page.is_whole, "it is full: there may be more"


@pytest.mark.parametrize(
    ("nanoseconds", "on_the_stream"),
    [
        ("1762795433.971744499", "2025-11-10T17:23:53.971744Z"),
        ("1762795433.971000950", "2025-11-10T17:23:53.971000Z"),  # as a float .971001
        ("1762795433.971744900", "2025-11-10T17:23:53.971744Z"),  # as a float .971745
        ("1762795434.000000000", "2025-11-10T17:23:54Z"),
    ],
)
def test_stream_and_rest_tell_the_same_time_of_a_trade(nanoseconds: str, on_the_stream: str) -> None:
    [live] = read(update(changed("timestamp", f'"{on_the_stream}"'))).trades
    [row] = read_page(f'["1", "1", {json.dumps(float(nanoseconds))}, "b", "m", "", 1]').rows
    assert isinstance(row, Trade)
    assert row.time_us == live.time_us


@pytest.mark.parametrize(("rows", "is_whole"), [(0, True), (3, True), (999, True), (1000, False)])
def test_a_page_is_whole_where_it_is_not_full(rows: int, *, is_whole: bool) -> None:
    text = ", ".join(f'["1", "1", 1688669597.8, "b", "m", "", {number}]' for number in range(rows))
    assert read_page(text).is_whole is is_whole


def test_the_newest_trades_are_whole_however_many_they_are() -> None:
    text = ", ".join(f'["1", "1", 1688669597.8, "b", "m", "", {number}]' for number in range(1000))
    assert read_page(text, REQUEST._replace(known=None, limit=1000)).is_whole


def test_trades_of_the_known_ones_millisecond_may_stand_before_it() -> None:
    page = read_page(", ".join(f'["1", "1", 1688669597.827, "b", "m", "", {61044950 + more}]' for more in range(5)))
    proofs = proofs_of(61044952, page)
    assert (proofs.begins, proofs.first, proofs.is_whole) == (True, 61044952, True)


def test_one_row_that_is_no_trade_does_not_spoil_its_page() -> None:
    rows = [
        '["1", "1", 1688669597.8, "b", "m", "", 1]', '["x", "1", 1688669597.8, "b", "m", "", 2]',
        '["1", "1", "1688669597.8", "b", "m", "", 3]', '["1", "1", 1688669597.8, "x", "m", "", 4]',
        '["1", "1", 1688669597.8, "b", "m", "", "?"]', '["1", "1", 1688669597.8, "b", "m", ""]', "7", "{}",
        '["1", 1, 1688669597.8, "b", "m", "", 5]', '["1", "1", -1, "b", "m", "", 6]',
        '["1", "1", 1e300, "b", "m", "", 7]', '["1", "1", 5, "b", "m", "", 8]',
        '["0", "1", 1688669597.8, "b", "", "", 9]',
        '["1", "1", 1688669597, "s", null, {}, 10]',
    ]  # fmt: skip
    page = read_page(", ".join(rows))
    assert numbers(page) == [1, 2, 3, 4, None, None, None, None, 5, 6, 7, 8, 9, 10]
    assert [row.trade_id for row in page.rows if isinstance(row, Trade)] == ["1", "10"]
    assert {row.symbol for row in page.rows if isinstance(row, RefusedTrade)} == {"BTC-USD"}


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{}", b"[]", b"\xff", b"[" * 100_000, b'{"error": ["EQuery:Unknown asset pair"]}',
        b'{"error": ["EGeneral:Internal error"], "result": {"XXBTZUSD": []}}', b'{"error": "E", "result": {}}',
        b'{"error": [], "result": {"XXBTZUSD": 5}}', b'{"error": [], "result": 5}',
    ],
)  # fmt: skip
def test_what_is_no_answer_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedError):
        KRAKEN.read_trades(body, REQUEST, RECEIVED_US)
    with pytest.raises(MalformedError):
        KRAKEN.read_klines(body)
    with pytest.raises(MalformedError):
        KRAKEN.read_instruments(body)


@pytest.mark.parametrize("pairs", ['"last": "1"', '"XXBTZUSD": [], "XETHZUSD": [], "last": "1"'])
def test_an_answer_about_no_pair_or_two_is_malformed(pairs: str) -> None:
    body = f'{{"error": [], "result": {{{pairs}}}}}'.encode()
    with pytest.raises(MalformedError):
        KRAKEN.read_trades(body, REQUEST, RECEIVED_US)


@pytest.mark.parametrize("words", ["EAPI:Rate limit exceeded", "EGeneral:Too many requests", "EService:Throttled: 17"])
def test_an_answer_that_wants_no_requests_for_a_while_is_known(words: str) -> None:
    body = json.dumps({"error": [words]}).encode()
    assert any(text in body for text in KRAKEN.rest_limits.too_much_words)
    assert not any(text in answer(ROWS) for text in KRAKEN.rest_limits.too_much_words)


def test_what_is_asked_over_rest() -> None:
    # All of the known trade's millisecond: what is asked for lies behind the time that is given.
    assert KRAKEN.trades(REQUEST) == RestRequest("/0/public/Trades?pair=XBTUSD&since=1688669597826999999&count=1000")
    newest = REQUEST._replace(native="DOGE/BTC", known=None, limit=1)
    assert KRAKEN.trades(newest).path == "/0/public/Trades?pair=XDGXBT&count=1"
    assert KRAKEN.klines("BTC/USD", 1_688_671_200_000, 1_688_671_260_000).path == (
        "/0/public/OHLC?pair=XBTUSD&interval=1&since=1688671199"
    )
    assert KRAKEN.instruments(["BTC/USD"]).path == "/0/public/AssetPairs"


def test_a_connection_asks_for_all_trades_without_those_of_before() -> None:
    opening = KRAKEN.opening(["BTC/USD", "DOGE/BTC"])
    assert opening.path == "/v2"
    assert [json.loads(sent) for sent in opening.frames] == [
        {
            "method": "subscribe",
            "params": {"channel": "trade", "symbol": ["BTC/USD", "DOGE/BTC"], "snapshot": False},
        }
    ]
    assert opening.acknowledged


# "Get Tradable Asset Pairs" in its REST documentation, without fees and margins.
PAIR = {
    "altname": "XBTUSD", "wsname": "XBT/USD", "aclass_base": "currency", "base": "XXBT", "aclass_quote": "currency",
    "quote": "ZUSD", "lot": "unit", "cost_decimals": 5, "pair_decimals": 1, "lot_decimals": 8, "lot_multiplier": 1,
    "ordermin": "0.00005", "costmin": "0.5", "tick_size": "0.1", "status": "online",
}  # fmt: skip


def test_instruments_are_named_as_streams_and_we_name_them() -> None:
    pairs = {
        "XXBTZUSD": PAIR,
        "XDGUSD": PAIR | {"wsname": "XDG/USD", "altname": "XDGUSD", "lot_decimals": 0},
        "XETHXXBT": {"wsname": "ETH/XBT", "status": "cancel_only"},
        "XXBTZUSD.d": {"altname": "XBTUSD.d"},
    }
    bitcoin, doge, ether = KRAKEN.read_instruments(json.dumps({"error": [], "result": pairs}).encode())
    assert (bitcoin.native, bitcoin.symbol, bitcoin.base, bitcoin.quote) == ("BTC/USD", "BTC-USD", "BTC", "USD")
    assert (bitcoin.tick, bitcoin.lot) == (Decimal("0.1"), Decimal("0.00000001"))
    assert (doge.native, doge.symbol, doge.lot) == ("DOGE/USD", "DOGE-USD", Decimal(1))
    assert (ether.native, ether.symbol, ether.tick, ether.lot) == ("ETH/BTC", "ETH-BTC", None, None)
    assert KRAKEN.native("btc-usd") == KRAKEN.native("btc/usd") == "BTC/USD"


@pytest.mark.parametrize(
    ("told", "status"),
    [
        ("online", InstrumentStatus.TRADING), ("limit_only", InstrumentStatus.TRADING),
        ("reduce_only", InstrumentStatus.TRADING), ("cancel_only", InstrumentStatus.HALTED),
        ("post_only", InstrumentStatus.HALTED), ("delisted", InstrumentStatus.DELISTED),
    ],
)  # fmt: skip
def test_an_instrument_says_whether_it_is_traded(told: str, status: InstrumentStatus) -> None:
    body = json.dumps({"error": [], "result": {"XXBTZUSD": PAIR | {"status": told}}}).encode()
    [instrument] = KRAKEN.read_instruments(body)
    assert instrument.status is status


def test_candles_are_read_but_for_the_minute_that_is_not_over() -> None:
    # "Get OHLC Data" in its REST documentation.
    rows = """
        [1688671200, "30306.1", "30306.2", "30305.7", "30305.7", "30306.1", "3.39243896", 23],
        [1688671260, "30304.5", "30304.5", "30300.0", "30300.0", "30300.0", "4.42996871", 18],
        [1688671320, "30300.3", "30300.4", "30291.4", "30291.4", "30294.7", "2.13024789", 25]
    """
    candles = KRAKEN.read_klines(answer(rows))
    assert [candle.open_time_ms for candle in candles] == [1688671200_000, 1688671260_000]
    first = candles[0]
    assert (first.open, first.high, first.low, first.close) == tuple(
        map(Decimal, ("30306.1", "30306.2", "30305.7", "30305.7"))
    )
    assert (first.volume, first.trades, first.quote_volume) == (Decimal("3.39243896"), 23, None)


def test_a_minute_without_trades_is_a_flat_candle() -> None:
    quiet = '[1688671200, "1.5", "1.5", "1.5", "1.5", "0.0", "0.00000000", 0]'
    [candle] = KRAKEN.read_klines(answer(f"{quiet}, {quiet}"))
    assert (candle.volume, candle.trades, candle.close) == (Decimal(0), 0, Decimal("1.5"))


@pytest.mark.parametrize(
    "row",
    [
        '[1688671200, "2", "1", "1", "1", "1", "1", 1]', '[1688671200, "0", "0", "0", "0", "0", "0", 0]',
        '[1688671200, "1", "1", "1", "1", "1", "-1", 1]', "[1688671200, 1, 1, 1, 1, 1, 1, 1]", "[1688671200]", "5",
    ],
)  # fmt: skip
def test_a_candle_that_cannot_be_one_is_malformed(row: str) -> None:
    with pytest.raises(MalformedError):
        KRAKEN.read_klines(answer(f"{row}, {row}"))

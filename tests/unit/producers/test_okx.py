"""OKX's protocol, held against recorded answers and the examples of its documentation."""

import json
from decimal import Decimal
from pathlib import Path

import pytest

from market.errors import MalformedError
from market.instrument import InstrumentStatus
from market.trade import Side, Source, Trade
from producers.exchange import Message, RefusedTrade, TradesPage, TradesRequest
from producers.exchanges import EXCHANGES
from producers.exchanges.okx import Okx, okx_swaps
from producers.feed.page import read_page
from runtime.errors import UsageError
from runtime.settings import Settings

DATA = Path(__file__).parents[2] / "data"
RECEIVED_US = 1_747_087_164_000_000
OKX = Okx(Settings(_env_file=None))
SWAPS = okx_swaps(Settings(_env_file=None))
# "Get instruments".
SWAP = {
    "instType": "SWAP", "instId": "BTC-USDT-SWAP", "instFamily": "BTC-USDT", "uly": "BTC-USDT", "baseCcy": "",
    "quoteCcy": "", "settleCcy": "USDT", "ctVal": "0.01", "ctMult": "1", "ctValCcy": "BTC", "ctType": "linear",
    "lotSz": "0.01", "minSz": "0.01", "tickSz": "0.1", "listTime": "1606468572000", "state": "live", "expTime": "",
}  # fmt: skip
REQUEST = TradesRequest("BTC-USDT", "BTC-USDT", 100, 734864332)

# "WS / All trades channel" in OKX's documentation.
DOCUMENTED = {
    "instId": "BTC-USDT", "tradeId": "130639474", "px": "42219.9", "sz": "0.12060306", "side": "buy", "source": "0",
    "ts": "1630048897897",
}  # fmt: skip
ACKNOWLEDGED = {
    "id": "1512", "event": "subscribe", "arg": {"channel": "trades-all", "instId": "BTC-USDT"}, "connId": "a4d3ae55",
}  # fmt: skip
FAILED = {"id": "1512", "event": "error", "code": "60012", "msg": "Invalid request: {}", "connId": "a4d3ae55"}
# "Notification".
NOTICE = {
    "event": "notice", "code": "64008", "connId": "a4d3ae55",
    "msg": "The connection will soon be closed for a service upgrade. Please reconnect.",
}  # fmt: skip
# "WS / Candlesticks channel".
CANDLE = [
    "1597026383000", "8533.02", "8553.74", "8527.17", "8548.26", "45247", "529.5858061", "5529.5858061", "0",
]  # fmt: skip
# "GET / Trades history".
ROWS = [
    {
        "instId": "BTC-USDT", "side": "sell", "sz": "0.00001", "source": "0", "px": "29963.2", "tradeId": "242720720",
        "ts": "1654161646974",
    },
    {
        "instId": "BTC-USDT", "side": "sell", "sz": "0.00001", "source": "0", "px": "29964.1", "tradeId": "242720719",
        "ts": "1654161641568",
    },
]  # fmt: skip


def frame(*rows: object, channel: str = "trades-all", native: str = "BTC-USDT") -> str:
    return json.dumps({"arg": {"channel": channel, "instId": native}, "data": rows})


def read(text: str) -> Message:
    return OKX.read(text.encode(errors="surrogatepass"), {"BTC-USDT": "BTC-USDT"}, RECEIVED_US)


def answer(*rows: object) -> bytes:
    return json.dumps({"code": "0", "msg": "", "data": rows}).encode()


def page_of(body: bytes, request: TradesRequest = REQUEST) -> TradesPage:
    return OKX.read_trades(body, request, RECEIVED_US)


def row(number: int) -> dict[str, str]:
    return DOCUMENTED | {"tradeId": str(number)}


def numbers(page: TradesPage) -> list[int | None]:
    return [int(each.trade_id) if isinstance(each, Trade) else each.number for each in page.rows]


def test_a_documented_trade_is_read() -> None:
    message = read(frame(DOCUMENTED))
    [trade] = message.trades
    assert trade == Trade(
        exchange="okx",
        symbol="BTC-USDT",
        trade_id="130639474",
        price=Decimal("42219.9"),
        qty=Decimal("0.12060306"),
        side=Side.BUY,  # the taker's
        time_us=1630048897897_000,
        received_us=RECEIVED_US,
        source=Source.WS,
    )
    assert (message.server_us, list(message.refused)) == (0, [])


def test_the_channel_that_joins_fills_is_not_read() -> None:
    assert read((DATA / "okx_ws_trades.json").read_text()) == Message()


def test_each_row_of_a_message_counts_by_itself() -> None:
    message = read(frame(row(7), row(8) | {"px": "x"}, row(9) | {"sz": 1}, "?", row(10) | {"side": "sell"}))
    assert [(trade.trade_id, trade.side) for trade in message.trades] == [("7", Side.BUY), ("10", Side.SELL)]
    assert [(refused.number, refused.symbol) for refused in message.refused] == [
        (8, "BTC-USDT"), (9, "BTC-USDT"), (None, "BTC-USDT"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "number"),
    [
        ({"tradeId": "x"}, None), ({"tradeId": "-1"}, None), ({"tradeId": None}, None), ({"tradeId": "9" * 19}, None),
        ({"tradeId": "1e3"}, None), ({"tradeId": 5}, 5), ({"px": "1e5"}, 130639474), ({"px": 1.5}, 130639474),
        ({"px": "0"}, 130639474), ({"sz": "-1"}, 130639474), ({"sz": "0.0"}, 130639474), ({"sz": "NaN"}, 130639474),
        ({"sz": "9" * 30}, 130639474), ({"ts": "0"}, 130639474), ({"ts": "-1"}, 130639474), ({"ts": 1}, 130639474),
        ({"ts": "9" * 18}, 130639474), ({"ts": "1630048897.897"}, 130639474), ({"side": "both"}, 130639474),
        ({"side": None}, 130639474), ({"instId": "ETH-USDT"}, 130639474),
    ],
)  # fmt: skip
def test_a_trade_that_cannot_be_one_is_refused_and_names_its_id_where_it_can(changes: dict, number: int | None) -> None:
    message = read(frame(DOCUMENTED | changes))
    assert not message.trades
    [refused] = message.refused
    assert (refused.symbol, refused.number) == ("BTC-USDT", number)
    assert json.loads(refused.raw) == DOCUMENTED | changes


def test_a_trade_that_nobody_asked_for_is_refused_without_a_symbol() -> None:
    [refused] = read(frame(DOCUMENTED, native="ETH-USDT")).refused
    assert (refused.symbol, refused.number) == (None, None)


def test_a_subscription_is_acknowledged_by_its_native_name() -> None:
    assert read(json.dumps(ACKNOWLEDGED)) == Message(accepted=("BTC-USDT",))
    clock = ACKNOWLEDGED | {"arg": {"channel": "candle1s", "instId": "BTC-USDT"}}
    assert read(json.dumps(clock)) == Message()


def test_a_subscription_that_is_not_taken_is_told_with_its_reason() -> None:
    assert read(json.dumps(FAILED)).rejected == "60012 Invalid request: {}"


def test_a_refusal_of_what_does_not_exist_names_it() -> None:
    text = "Wrong URL or channel:{},instId:NO-USDT doesn't exist. Please use the correct URL, channel and parameters."
    refused = {"event": "error", "msg": text.format("trades-all"), "code": "60018", "connId": "a4d3ae55"}
    message = read(json.dumps(refused))
    assert (message.untaken, message.culprit) == (("NO-USDT",), "NO-USDT")
    assert message.rejected == "60018 " + text.format("trades-all")
    for other in (refused | {"code": "60014"}, refused | {"msg": text.format("candle1s")}, refused | {"msg": "?"}):
        message = read(json.dumps(other))
        assert message.rejected
        assert (message.untaken, message.culprit) == ((), None), "it may pass, or is the clock"


def test_the_notice_of_the_end_is_told_and_other_events_say_nothing() -> None:
    assert read(json.dumps(NOTICE)).closing
    assert not read(json.dumps(NOTICE | {"code": "64009"})).closing
    count = {"event": "channel-conn-count", "channel": "orders", "connCount": "2", "connId": "abcd1234"}
    assert read(json.dumps(count)) == Message()
    assert read("pong") == Message()


def test_a_candle_shows_that_its_opening_was_reached_and_a_complete_one_its_end() -> None:
    opened = read(frame(CANDLE, channel="candle1s"))
    assert opened == Message(1597026383000_000, refused=[])
    complete = [*CANDLE[:-1], "1"]
    assert read(frame(CANDLE, complete, channel="candle1s")).server_us == 1597026384000_000
    assert read(frame(CANDLE, channel="candle1m")).server_us == 0, "a longer one proves nothing newer than its opening"


def test_a_candle_that_cannot_be_read_proves_no_time() -> None:
    for candle in ([], ["x"], [1], {}, 5, ["-1"], [["x"]]):
        message = read(frame(candle, channel="candle1s"))
        assert message.server_us == 0
        assert [refused.symbol for refused in message.refused] == [None]


@pytest.mark.parametrize(
    "text",
    ["", "ping", "[]", "{", "\ud800", "5", "{}", '{"data": []}', '{"arg": 5, "data": []}', '{"event": 5}', "<html>",
     '{"arg": {"channel": "trades-all", "instId": 5}, "data": []}', '{"arg": {}, "data": 5}', '{"arg": {}}',
     '{"x":' * 5_000],
)  # fmt: skip
def test_what_is_not_a_frame_is_malformed(text: str) -> None:
    with pytest.raises(MalformedError):
        read(text)


def test_a_recorded_page_is_turned_round() -> None:
    page = page_of((DATA / "okx_rest_trades.json").read_bytes())
    assert page.rows[0] == Trade(
        exchange="okx",
        symbol="BTC-USDT",
        trade_id="734864332",
        price=Decimal("102537.9"),
        qty=Decimal("0.0000125"),
        side=Side.BUY,
        time_us=1747087161666_000,
        received_us=RECEIVED_US,
        source=Source.REST,
    )
    assert numbers(page) == [734864332, 734864333]


def test_a_documented_page_is_read() -> None:
    assert numbers(page_of(answer(*ROWS))) == [242720719, 242720720]


def test_one_row_that_is_no_trade_does_not_spoil_its_page() -> None:
    rows = [row(9), row(8) | {"px": "x"}, row(7) | {"tradeId": "?"}, 7, row(5) | {"sz": 0}, row(4)]
    page = page_of(answer(*rows))
    assert numbers(page) == [4, 5, None, None, 8, 9]
    assert all(each.symbol == "BTC-USDT" for each in page.rows if isinstance(each, RefusedTrade))


def test_a_page_that_is_asked_for_from_a_known_trade_begins_with_it() -> None:
    history = [row(number) for number in range(200, 0, -1)]
    request = REQUEST._replace(known=50, limit=100)
    assert OKX.trades(request).path == (
        "/api/v5/market/history-trades?instId=BTC-USDT&type=1&limit=100&after=150"
    )  # what OKX answers: the 100 newest below 150
    page = page_of(answer(*history[51:151]), request)
    assert numbers(page) == list(range(50, 150))
    assert not page.is_whole, "150 and more exist"


def test_a_page_is_whole_if_it_ends_lower_than_it_was_asked_for() -> None:
    request = REQUEST._replace(known=50, limit=10)
    assert page_of(answer(*map(row, range(58, 48, -1))), request).is_whole
    assert not page_of(answer(*map(row, range(59, 49, -1))), request).is_whole
    jumped = page_of(answer(*map(row, [59, 55, 54, 52, 51, 50, 49, 48, 47, 46])), request)
    assert not jumped.is_whole
    assert read_page(50, jumped).absent == [(53, 53), (56, 58)], "ids before the known one are cut off"


@pytest.mark.parametrize("jump", [0, 1, 98], ids=["no jump", "one id left out", "nearly a page left out"])
def test_a_history_is_read_to_its_end_page_by_page(jump: int) -> None:
    history = [number for number in range(1_000, 1_350) if not 1_100 <= number < 1_100 + jump]
    read_ids, is_whole = [1_000], False
    while not is_whole:
        known = read_ids[-1]
        request = REQUEST._replace(known=known)
        after = int(OKX.trades(request).path.rpartition("after=")[2])
        newest_first = [number for number in reversed(history) if number < after][: request.limit]
        page = page_of(answer(*map(row, newest_first)), request)
        rows = read_page(known, page)
        assert rows.begins
        read_ids += [int(trade.trade_id) for trade in rows.trades][1:]
        is_whole = page.is_whole
        assert is_whole or read_ids[-1] > known, "it goes on"
    assert read_ids == history


@pytest.mark.parametrize(
    "body",
    [b"", b"{}", b"[]", b"\xff", b"<html>", b'{"code":"51001","msg":"Instrument ID does not exist","data":[]}',
     b'{"code":0,"data":[]}', b'{"code":"0","data":{}}'],
)  # fmt: skip
def test_what_is_no_answer_is_malformed(body: bytes) -> None:
    for what in (page_of, OKX.read_klines, OKX.read_instruments):
        with pytest.raises(MalformedError):
            what(body)


def test_an_error_is_told_in_the_exchanges_words() -> None:
    with pytest.raises(MalformedError, match="51001: Instrument ID does not exist"):
        page_of(b'{"code":"51001","msg":"Instrument ID does not exist","data":[]}')


def test_too_many_requests_are_told_by_the_status_or_by_the_code() -> None:
    documented = b'{"msg":"Rate limit reached.","code":"50011","data":[]}'
    assert any(words in documented for words in OKX.rest_limits.too_much_words)
    young = answer(row(50011) | {"px": "50011"}).replace(b" ", b"")
    assert not any(words in young for words in OKX.rest_limits.too_much_words), "an id is no error"


def test_what_is_sent_on_opening() -> None:
    natives = [f"COIN{number}-USDT" for number in range(OKX.symbols_per_connection)]
    opening = OKX.opening(natives)
    assert (opening.path, opening.acknowledged) == ("/ws/v5/business", True)
    sent = [json.loads(text) for text in opening.frames]
    assert {each["op"] for each in sent} == {"subscribe"}
    clock, *args = [arg for each in sent for arg in each["args"]]
    assert clock == {"channel": "candle1s", "instId": "BTC-USDT"}
    assert args == [{"channel": "trades-all", "instId": native} for native in natives]
    singly = [json.loads(text)["args"] for text in opening.singly]
    assert singly == [[arg] for arg in (clock, *args)]
    assert sum(map(len, opening.frames)) < 64 * 1024
    assert len(opening.frames) < 480


def test_what_is_asked_over_rest() -> None:
    newest = OKX.trades(REQUEST._replace(known=None, limit=1))
    assert newest == ("/api/v5/market/history-trades?instId=BTC-USDT&type=1&limit=1", 1)
    assert OKX.instruments(["BTC-USDT"]).path == "/api/v5/public/instruments?instType=SPOT"
    assert SWAPS.instruments(["BTC-USDT-SWAP"]).path == "/api/v5/public/instruments?instType=SWAP"
    klines = "/api/v5/market/history-candles?instId=BTC-USDT&bar=1m&after={}&before={}&limit=100"
    assert OKX.klines("BTC-USDT", 60_000, 120_000).path == klines.format(120_000, 59_999)
    assert OKX.klines("BTC-USDT", 0, 10**9).path == klines.format(100 * 60_000, -1), "the first 100 minutes"


def test_instruments_of_spot_are_read() -> None:
    documented = {
        "baseCcy": "BTC", "quoteCcy": "USDT", "instId": "BTC-USDT", "instType": "SPOT", "listTime": "1606468572000",
        "lotSz": "0.00000001", "minSz": "0.00001", "tickSz": "0.1", "state": "live", "ctVal": "", "instIdCode": 1,
    }  # fmt: skip
    preopen = documented | {"instId": "NEW-USDT", "baseCcy": "NEW", "state": "preopen", "tickSz": "", "listTime": ""}
    test = documented | {"instId": "TEST-USDT", "baseCcy": "TEST", "state": "test"}
    swap = documented | {"instId": "BTC-USDT-SWAP", "baseCcy": "", "quoteCcy": ""}
    bitcoin, new = OKX.read_instruments(answer(documented, preopen, test, swap))
    assert (bitcoin.exchange, bitcoin.symbol, bitcoin.native, bitcoin.status, bitcoin.since_ms) == (
        "okx", "BTC-USDT", "BTC-USDT", InstrumentStatus.TRADING, 1606468572000,
    )  # fmt: skip
    assert (bitcoin.tick, bitcoin.lot) == (Decimal("0.1"), Decimal("0.00000001"))
    assert (new.symbol, new.status, new.tick, new.since_ms) == ("NEW-USDT", InstrumentStatus.HALTED, None, None)


def test_a_symbol_is_its_native_name() -> None:
    assert OKX.native("btc-usdt") == "BTC-USDT"


@pytest.mark.parametrize("symbol", ["BTC-USDT-PERP", "btc-usdt-swap", "BTC-USDT-240628", "BTC-USD-221230-4000-C"])
def test_products_with_contracts_are_not_spot(symbol: str) -> None:
    with pytest.raises(UsageError, match=f"{symbol}: okx is spot .* okx-swap"):
        OKX.native(symbol)


def test_a_swap_is_named_either_way() -> None:
    assert SWAPS.native("btc-usdt-perp") == SWAPS.native("BTC-USDT-SWAP") == "BTC-USDT-SWAP"


@pytest.mark.parametrize(
    ("symbol", "words"),
    [
        ("BTC-USD-PERP", "BTC-USD-PERP: swaps quoted in USD are inverse: .* not exact"),
        ("btc-usd-swap", "btc-usd-swap: swaps quoted in USD are inverse"),
        ("BTC-USDT", "BTC-USDT: okx-swap is perpetuals"),
        ("BTC-USDT-240628", "okx-swap is perpetuals"),
        ("BTC-USDT-240628-SWAP", "okx-swap is perpetuals"),
        ("BTC-SWAP", "okx-swap is perpetuals"),
    ],
)
def test_what_is_no_linear_swap_is_refused_in_words(symbol: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        SWAPS.native(symbol)


def test_linear_swaps_are_read_with_the_coins_of_a_contract() -> None:
    odd = SWAP | {"instId": "PEPE-USDC-SWAP", "uly": "PEPE-USDC", "ctValCcy": "PEPE", "ctVal": "10000", "ctMult": "100"}
    bitcoin, pepe = SWAPS.read_instruments(answer(SWAP, odd))
    assert (bitcoin.symbol, bitcoin.native, bitcoin.base, bitcoin.quote) == (
        "BTC-USDT-PERP", "BTC-USDT-SWAP", "BTC", "USDT",
    )  # fmt: skip
    assert (bitcoin.contract, bitcoin.lot, bitcoin.tick) == (Decimal("0.01"), Decimal("0.0001"), Decimal("0.1"))
    assert (pepe.symbol, pepe.contract, pepe.lot) == ("PEPE-USDC-PERP", Decimal(1_000_000), Decimal(10_000))


@pytest.mark.parametrize(
    "changes",
    [
        {"ctType": "inverse", "ctValCcy": "USD", "uly": "BTC-USD"}, {"ctType": "inverse"}, {"ctType": ""},
        {"ctValCcy": "USDT"}, {"ctVal": ""}, {"ctVal": "0"}, {"ctVal": "-1"}, {"ctVal": "1e2"}, {"ctMult": ""},
        {"uly": ""}, {"uly": "BTC"}, {"state": "test"},
    ],
)  # fmt: skip
def test_a_swap_whose_contracts_are_no_number_of_coins_is_left_out(changes: dict) -> None:
    assert SWAPS.read_instruments(answer(SWAP | changes)) == []


def test_sizes_of_a_swap_are_the_exact_number_of_coins_in_stream_page_and_candle() -> None:
    contract = Decimal("0.0000000000001")  # more digits together than Python's own arithmetic keeps
    swaps = SWAPS.knowing({"BTC-USDT-SWAP": contract})
    fill = DOCUMENTED | {"instId": "BTC-USDT-SWAP", "sz": "123456789.12345"}
    exact = Decimal("0.000012345678912345")
    sent = frame(fill, native="BTC-USDT-SWAP").encode()
    [live] = swaps.read(sent, {"BTC-USDT-SWAP": "BTC-USDT-PERP"}, RECEIVED_US).trades
    request = TradesRequest("BTC-USDT-SWAP", "BTC-USDT-PERP", 100)
    [asked] = swaps.read_trades(answer(fill), request, RECEIVED_US).rows
    assert isinstance(asked, Trade)
    assert (live.symbol, live.qty, live.price) == ("BTC-USDT-PERP", exact, Decimal("42219.9"))
    assert (asked.trade_id, asked.qty) == (live.trade_id, exact)
    row = ["1597026360000", "42219.9", "42219.9", "42219.9", "42219.9", fill["sz"], str(exact), "0.5", "1"]
    [candle] = swaps.read_klines(answer(row))
    assert (candle.volume, candle.quote_volume) == (exact, Decimal("0.5"))


def test_contracts_are_added_to_those_that_are_known_and_spot_needs_none() -> None:
    both = SWAPS.knowing({"BTC-USDT-SWAP": Decimal("0.01")}).knowing({"ETH-USDT-SWAP": Decimal("0.1")})
    names = {"BTC-USDT-SWAP": "BTC-USDT-PERP", "ETH-USDT-SWAP": "ETH-USDT-PERP"}
    read = [
        both.read(frame(DOCUMENTED | {"instId": native, "sz": "3"}, native=native).encode(), names, 0).trades[0].qty
        for native in names
    ]
    assert read == [Decimal("0.03"), Decimal("0.3")]
    assert OKX.knowing({"BTC-USDT": Decimal(5)}) is OKX


@pytest.mark.parametrize("size", ["1e5", "-1", "NaN", "0", ""])
def test_a_swaps_trade_without_a_size_is_refused(size: str) -> None:
    swaps = SWAPS.knowing({"BTC-USDT-SWAP": Decimal("0.01")})
    sent = frame(DOCUMENTED | {"instId": "BTC-USDT-SWAP", "sz": size}, native="BTC-USDT-SWAP").encode()
    [refused] = swaps.read(sent, {"BTC-USDT-SWAP": "BTC-USDT-PERP"}, RECEIVED_US).refused
    assert refused.number == 130639474


def test_a_trade_of_a_swap_that_is_in_no_list_is_refused() -> None:
    sent = frame(DOCUMENTED | {"instId": "BTC-USDT-SWAP"}, native="BTC-USDT-SWAP").encode()
    [refused] = SWAPS.read(sent, {"BTC-USDT-SWAP": "BTC-USDT-PERP"}, RECEIVED_US).refused
    assert refused.reason == "it is not known how much a contract of BTC-USDT-SWAP is"


def test_recorded_candles_are_read_the_older_first() -> None:
    first, second = SWAPS.read_klines((DATA / "okx_rest_candles.json").read_bytes())
    assert (first.open_time_ms, second.open_time_ms) == (1747093980000, 1747094040000)
    assert (first.open, first.high, first.low, first.close) == tuple(
        map(Decimal, ("102806", "102820.5", "102783.1", "102806.1"))
    )
    assert (first.quote_volume, first.trades, first.taker_buy_volume) == (Decimal("7364701.57952"), None, None)
    contracts = Decimal("7164.04")  # of BTC-USDT-SWAP: a hundredth of a bitcoin each
    assert first.volume == contracts * Decimal("0.01") == Decimal("71.6404")


def test_a_documented_candle_of_spot_tells_its_volume_and_an_open_one_is_left_out() -> None:
    documented = [
        "1597026383085", "3.721", "3.743", "3.677", "3.708", "8422410", "22698348.04828491", "12698348.04828491", "1",
    ]  # fmt: skip
    [candle] = OKX.read_klines(answer([*documented[:-1], "0"], documented))
    assert (candle.volume, candle.quote_volume) == (Decimal(8422410), Decimal("12698348.04828491"))


@pytest.mark.parametrize("candle", [[], ["1"] * 8, ["x"] * 8 + ["1"], ["1"] * 3 + ["2"] + ["1"] * 5, [1] * 9, {}])
def test_a_candle_that_cannot_be_one_is_malformed(candle: object) -> None:
    with pytest.raises(MalformedError):
        OKX.read_klines(answer(candle))


def test_it_stands_in_the_table() -> None:
    assert EXCHANGES["okx"](Settings(_env_file=None)).ws_url == "wss://ws.okx.com:8443"

"""Binance's USD-M protocol, held against a recorded capture and the examples of its documentation."""

import json
from collections import Counter
from decimal import Decimal
from pathlib import Path

import pytest

from market.errors import MalformedError
from market.instrument import InstrumentStatus
from market.trade import Side, Source, Trade
from producers.exchange import Message, RefusedTrade, TradesRequest
from producers.exchanges import EXCHANGES
from producers.exchanges.binance_usdm import BinanceUsdM
from runtime.settings import Settings

DATA = Path(__file__).parents[2] / "data"
RECEIVED_US = 1_672_515_782_140_000
USDM = BinanceUsdM(Settings(_env_file=None))

# "Aggregate Trade Streams" in Binance's derivatives documentation, with times of this century.
DOCUMENTED = {
    "e": "aggTrade", "E": 1672515782136, "s": "BTCUSDT", "a": 5933014, "p": "0.001", "q": "100", "nq": "90",
    "f": 100, "l": 105, "T": 1672515782032, "m": True,
}  # fmt: skip
# "Compressed/Aggregate Trades List".
ROW = {
    "a": 26129, "p": "0.01633102", "q": "4.70443515", "f": 27781, "l": 27781, "T": 1498793709153, "m": True,
}  # fmt: skip
# "Mark Price Stream".
MARK_PRICE = {
    "e": "markPriceUpdate", "E": 1562305380000, "s": "BTCUSDT", "p": "11794.15000000", "i": "11784.62659091",
    "P": "11784.25641265", "r": "0.00038167", "T": 1562306400000,
}  # fmt: skip


def frame(**changes: object) -> str:
    return json.dumps({"stream": "btcusdt@aggTrade", "data": DOCUMENTED | changes})


def read(text: str) -> Message:
    return USDM.read(text.encode(errors="surrogatepass"), {"BTCUSDT": "BTC-USDT-PERP"}, RECEIVED_US)


def read_page(rows: object, limit: int = 1000) -> list[Trade | RefusedTrade]:
    body = rows if isinstance(rows, bytes) else json.dumps(rows).encode()
    return list(USDM.read_trades(body, TradesRequest("BTCUSDT", "BTC-USDT-PERP", limit, 1), RECEIVED_US).rows)


def test_a_documented_aggregate_is_a_trade_of_all_its_quantity() -> None:
    assert read(frame()) == Message(
        1672515782136_000,
        (
            Trade(
                exchange="binance",
                symbol="BTC-USDT-PERP",
                trade_id="5933014",
                price=Decimal("0.001"),
                qty=Decimal(100),  # q, and not nq, which leaves out what was filled by RPI orders
                side=Side.SELL,  # the buyer was the maker
                time_us=1672515782032_000,
                received_us=RECEIVED_US,
                source=Source.WS,
            ),
        ),
    )
    [bought] = read(frame(m=False)).trades
    assert bought.side is Side.BUY


def test_a_recorded_message_is_read() -> None:
    recorded = json.loads((DATA / "binance_futures_ws_aggtrade.json").read_bytes())
    recorded |= {"E": 1672515782136, "T": 1672515782032}  # those of the recording are of 1970
    [trade] = read(json.dumps({"stream": "btcusdt@aggTrade", "data": recorded})).trades
    assert (trade.trade_id, trade.price, trade.qty) == ("5933014", Decimal("0.001"), Decimal(100))


def test_single_trades_are_of_another_id_space() -> None:
    recorded = json.loads((DATA / "binance_futures_ws_trade.json").read_bytes())
    assert read(json.dumps({"stream": "", "data": recorded})) == Message(recorded["E"] * 1000)


def test_the_mark_price_carries_the_servers_time_and_no_trade() -> None:
    assert read(json.dumps({"stream": "btcusdt@markPrice@1s", "data": MARK_PRICE})) == Message(1562305380000_000)


def test_a_capture_replays_with_contiguous_ids_and_other_streams_are_no_errors() -> None:
    symbols = {
        "SUSHIUSDT": "SUSHI-USDT-PERP", "AKROUSDT": "AKRO-USDT-PERP", "KEEPUSDT": "KEEP-USDT-PERP",
        "CTKUSDT": "CTK-USDT-PERP",
    }  # fmt: skip
    address, *lines = (DATA / "binance_futures_capture.ws").read_text().splitlines()
    assert "/stream?streams=sushiusdt@aggTrade/" in address
    ids: dict[str, list[int]] = {symbol: [] for symbol in symbols.values()}
    kinds: Counter[str] = Counter()
    for line in lines:
        received, text = line.split(": ", 1)
        message = USDM.read(text.encode(), symbols, int(Decimal(received) * 1_000_000))
        event = json.loads(text)["data"]
        kinds[event["e"]] += 1
        assert not message.refused
        assert message.server_us == event["E"] * 1000
        assert len(message.trades) == (event["e"] == "aggTrade")
        for trade in message.trades:
            ids[trade.symbol].append(int(trade.trade_id))
            assert 0 <= message.server_us - trade.time_us <= 160_000
    assert kinds == {"aggTrade": 91, "kline": 67, "depthUpdate": 25, "bookTicker": 25}
    assert {symbol: len(numbers) for symbol, numbers in ids.items()} == {
        "SUSHI-USDT-PERP": 40, "AKRO-USDT-PERP": 8, "KEEP-USDT-PERP": 5, "CTK-USDT-PERP": 38,
    }  # fmt: skip
    assert all(numbers == list(range(numbers[0], numbers[-1] + 1)) for numbers in ids.values())


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{", "\ud800", "5", "<html>", '{"data":' * 5_000, '{"data": 5}', '{"data": []}', '{"e": 5}', "null"],
)
def test_what_is_not_a_frame_is_malformed(text: str) -> None:
    with pytest.raises(MalformedError):
        read(text)


@pytest.mark.parametrize(
    ("changes", "number"),
    [
        ({"a": "x"}, None), ({"a": -1}, None), ({"a": None}, None), ({"a": 10**18}, None), ({"a": [[1]]}, None),
        ({"p": "1e5"}, 5933014), ({"p": 1.5}, 5933014), ({"p": "0"}, 5933014), ({"p": None}, 5933014),
        ({"q": "-1"}, 5933014), ({"q": "0.0"}, 5933014), ({"q": "NaN"}, 5933014), ({"q": "9" * 30}, 5933014),
        ({"T": 0}, 5933014), ({"T": "1"}, 5933014), ({"T": 2**63 - 1}, 5933014), ({"m": "yes"}, 5933014),
        ({"E": "x"}, 5933014),
    ],
)  # fmt: skip
def test_a_frame_whose_trade_cannot_be_one_is_refused_and_names_its_id_where_it_can(
    changes: dict, number: int | None
) -> None:
    message = read(frame(**changes))
    assert not message.trades
    [refused] = message.refused
    assert (refused.symbol, refused.number) == ("BTC-USDT-PERP", number)
    assert refused.raw == frame(**changes).encode()


def test_a_trade_that_nobody_asked_for_is_refused_without_a_symbol() -> None:
    for native in ("BTCUSD_PERP", 5):
        [refused] = read(frame(s=native)).refused
        assert refused.symbol is None


def test_a_documented_page_is_read_and_one_bad_row_does_not_spoil_it() -> None:
    rows = [ROW, ROW | {"a": 26130, "q": "0"}, ROW | {"a": "?"}, 7, ROW | {"a": 26131, "m": 1}, ROW | {"a": 26132}]
    first, *others = read_page(rows)
    assert first == Trade(
        exchange="binance",
        symbol="BTC-USDT-PERP",
        trade_id="26129",
        price=Decimal("0.01633102"),
        qty=Decimal("4.70443515"),
        side=Side.SELL,
        time_us=1498793709153_000,
        received_us=RECEIVED_US,
        source=Source.REST,
    )
    assert [row.trade_id if isinstance(row, Trade) else row.number for row in others] == [
        26130, None, None, 26131, "26132",
    ]  # fmt: skip


def test_a_page_is_whole_where_it_is_not_full() -> None:
    body, request = json.dumps([ROW]).encode(), TradesRequest("BTCUSDT", "BTC-USDT-PERP", 2, 26129)
    assert USDM.read_trades(body, request, RECEIVED_US).is_whole
    assert not USDM.read_trades(body, request._replace(limit=1), RECEIVED_US).is_whole


@pytest.mark.parametrize("body", [b"", b"{}", b"[", b'{"code": -1121, "msg": "Invalid symbol."}', b"\xff", b"<html>"])
def test_what_is_no_page_at_all_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedError):
        read_page(body)
    for other in (USDM.read_klines, USDM.read_instruments):
        with pytest.raises(MalformedError):
            other(body)


def test_what_is_asked() -> None:
    request = TradesRequest("BTCUSDT", "BTC-USDT-PERP", 500, 17)
    assert USDM.trades(request) == ("/fapi/v1/aggTrades?symbol=BTCUSDT&limit=500&fromId=17", 20)
    assert USDM.trades(request._replace(known=None)).path == "/fapi/v1/aggTrades?symbol=BTCUSDT&limit=500"
    assert USDM.instruments(["BTCUSDT"]) == ("/fapi/v1/exchangeInfo", 1)
    assert USDM.opening(["BTCUSDT", "ETHUSDT_240628"]).path == (
        "/market/stream?streams=btcusdt@aggTrade/ethusdt_240628@aggTrade/btcusdt@markPrice@1s"
    )
    klines = "/fapi/v1/klines?symbol=BTCUSDT&interval=1m&startTime=60000&endTime=119999&limit=1000"
    assert USDM.klines("BTCUSDT", 60_000, 120_000) == (klines, 5)


def test_contracts_are_named_by_how_they_end() -> None:
    filters = [
        {"filterType": "PRICE_FILTER", "maxPrice": "300", "minPrice": "0.0001", "tickSize": "0.0001"},
        {"filterType": "LOT_SIZE", "maxQty": "10000000", "minQty": "1", "stepSize": "1"},
    ]
    documented = {
        "symbol": "BLZUSDT", "pair": "BLZUSDT", "contractType": "PERPETUAL", "deliveryDate": 4133404800000,
        "onboardDate": 1598252400000, "status": "TRADING", "baseAsset": "BLZ", "quoteAsset": "USDT",
        "marginAsset": "USDT", "filters": filters,
    }  # fmt: skip
    quarter = documented | {"symbol": "BTCUSDT_240628", "baseAsset": "BTC", "contractType": "CURRENT_QUARTER"}
    listed = [
        documented,
        quarter | {"status": "SETTLING"},
        documented | {"symbol": "TSLAUSDT", "baseAsset": "TSLA", "contractType": "TRADIFI_PERPETUAL"},
        documented | {"symbol": "OLDUSDT", "baseAsset": "OLD", "status": "CLOSE"},
        documented | {"symbol": "XUSDT", "baseAsset": "X", "contractType": ""},
        quarter | {"symbol": "BTCUSDT_X"},
    ]
    read_contracts = USDM.read_instruments(json.dumps({"symbols": listed}).encode())
    assert [(each.native, each.symbol, each.status) for each in read_contracts] == [
        ("BLZUSDT", "BLZ-USDT-PERP", InstrumentStatus.TRADING),
        ("BTCUSDT_240628", "BTC-USDT-240628", InstrumentStatus.HALTED),
        ("TSLAUSDT", "TSLA-USDT-PERP", InstrumentStatus.TRADING),
        ("OLDUSDT", "OLD-USDT-PERP", InstrumentStatus.DELISTED),
    ]
    first = read_contracts[0]
    assert (first.exchange, first.tick, first.lot, first.since_ms) == (
        "binance", Decimal("0.0001"), Decimal(1), 1598252400000,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("symbol", "native"),
    [
        ("btc-usdt-perp", "BTCUSDT"), ("BTC-USDT-240628", "BTCUSDT_240628"), ("btcusdt", "BTCUSDT"),
        ("BTCUSDT_240628", "BTCUSDT_240628"),
    ],
)  # fmt: skip
def test_a_symbol_is_written_as_the_exchange_does(symbol: str, native: str) -> None:
    assert USDM.native(symbol) == native


def test_a_documented_kline_is_read() -> None:
    [candle] = USDM.read_klines((DATA / "binance_rest_klines.json").read_bytes())
    assert (candle.open_time_ms, candle.close, candle.trades) == (1499040000000, Decimal("0.01577100"), 308)


def test_it_stands_in_the_table_under_its_own_name() -> None:
    assert EXCHANGES["binance-usdm"](Settings(_env_file=None)).ws_url == "wss://fstream.binance.com"

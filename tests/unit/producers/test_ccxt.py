"""Exchanges of ccxt: the bridge's protocol, and the bridge with an exchange of ccxt whose answers are scripted.

ccxt itself is an extra: what it does with amounts is held where it is installed.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from market.candle import trade_order
from market.errors import MalformedError
from market.instrument import InstrumentStatus
from market.trade import Side, Source, Trade
from producers.ccxt_bridge.clock import LAG_S
from producers.ccxt_bridge.server import bridged, serve_bridge
from producers.ccxt_bridge.venue import KEPT_TRADES, CcxtVenue, ccxt_venue
from producers.exchange import Message, RefusedTrade, TradesRequest
from producers.exchanges import exchange_named
from producers.exchanges.ccxt import Ccxt
from producers.feed.connection import Connection
from producers.feed.inbox import Connected, Disconnected, FromConnection, Inbox
from producers.feed.pacing import Pacing
from producers.feed.rest import RateLimitedError, RefusedError, RestClient
from runtime.errors import UnavailableError, UsageError
from runtime.settings import Settings

KUCOIN = Ccxt("kucoin", "ws://127.0.0.1:1", "http://127.0.0.1:1")
NAMES = {"BTC/USDT": "BTC-USDT"}
REQUEST = TradesRequest("BTC/USDT", "BTC-USDT", 100)
RECEIVED_US = 1_717_255_024_500_000
ROW: list[object] = ["BTC/USDT", "342188568", "67703.10", "0.00054", "buy", 1_717_255_024_403]
# A trade in the form of ccxt's manual, "Public Trades"; the amounts are texts because we ask for texts.
TRADE = {
    "info": {}, "id": "342188568", "timestamp": 1_717_255_024_403, "datetime": "2024-06-01T15:17:04.403Z",
    "symbol": "BTC/USDT", "order": None, "type": None, "side": "buy", "takerOrMaker": "taker",
    "price": "67703.10", "amount": "0.00054", "cost": "36.559674", "fee": None,
}  # fmt: skip


def read(**frame: object) -> Message:
    return KUCOIN.read(json.dumps(frame).encode(), NAMES, RECEIVED_US)


def changed(place: int, value: object) -> list[object]:
    return [*ROW[:place], value, *ROW[place + 1 :]]


def test_a_frame_has_a_clock_or_trades_or_nothing() -> None:
    assert read() == Message(0, [], [])
    assert read(clock_us=RECEIVED_US).server_us == 1_717_255_024_000_000
    [trade] = read(trades=[ROW]).trades
    assert trade == Trade(
        exchange="ccxt-kucoin",
        symbol="BTC-USDT",
        trade_id="342188568",
        price=Decimal("67703.10"),
        qty=Decimal("0.00054"),
        side=Side.BUY,
        time_us=1_717_255_024_000_000,
        received_us=RECEIVED_US,
        source=Source.WS,
        seq=1_717_255_024_403,
    )


def test_trades_of_one_second_keep_their_order_where_ids_are_texts() -> None:
    first, second = read(trades=[changed(1, "zz"), [*changed(1, "aa")[:5], 1_717_255_024_404]]).trades
    assert first.time_us == second.time_us
    assert trade_order(first) < trade_order(second)


def test_a_page_that_tells_seconds_alone_tells_the_time_of_the_stream() -> None:
    [live] = read(trades=[ROW]).trades
    [row] = KUCOIN.read_trades(json.dumps([changed(5, 1_717_255_024_000)]).encode(), REQUEST, RECEIVED_US).rows
    assert isinstance(row, Trade)
    assert row.time_us == live.time_us


@pytest.mark.parametrize(
    ("text", "value"),
    [("5e-8", "0.00000005"), ("1e3", "1000"), ("0.100000000000000005", "0.100000000000000005")],
)
def test_an_amount_is_its_text(text: str, value: str) -> None:
    [trade] = read(trades=[changed(3, text)]).trades
    assert trade.qty == Decimal(value)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (1, None), (1, ""), (1, 5), (1, "x" * 200), (2, None), (2, "0"), (2, "-1"), (2, "NaN"), (2, "1e999"),
        (2, 67703.1), (3, ""), (3, "Infinity"), (4, None), (4, "maker"), (5, None), (5, "now"), (5, -1), (5, 10**16),
    ],
)  # fmt: skip
def test_a_row_that_is_no_trade_is_refused_by_itself(place: int, value: object) -> None:
    message = read(trades=[changed(place, value), ROW])
    [refused] = message.refused
    assert (refused.symbol, len(message.trades)) == ("BTC-USDT", 1)


@pytest.mark.parametrize("row", [None, 5, [], {}, ["ETH/USDT", *ROW[1:]], [None, *ROW[1:]]])
def test_a_row_of_something_else_is_refused_without_a_symbol(row: object) -> None:
    [refused] = read(trades=[row]).refused
    assert refused.symbol is None


@pytest.mark.parametrize("body", [b"", b"5", b"[5]", b'{"clock_us": "x"}', b'{"trades": 5}', b"\xff", b"[" * 100_000])
def test_what_is_not_of_the_bridge_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedError):
        KUCOIN.read(body, NAMES, RECEIVED_US)
    with pytest.raises(MalformedError):
        KUCOIN.read_klines(body)
    with pytest.raises(MalformedError):
        KUCOIN.read_instruments(body)


def test_ids_prove_nothing_and_names_go_both_ways() -> None:
    assert not KUCOIN.ids_prove
    assert KUCOIN.native("btc-usdt") == KUCOIN.native("BTC/USDT") == "BTC/USDT"
    assert KUCOIN.name == "ccxt-kucoin"


def test_only_a_producer_reaches_ccxt() -> None:
    with pytest.raises(UsageError, match="candlewick produce"):
        exchange_named("ccxt:kucoin", Settings(_env_file=None))
    reached = Settings(_env_file=None, ccxt_ws="ws://localhost:9", ccxt_rest="http://localhost:9")
    assert exchange_named("ccxt:kucoin", reached).rest_url == "http://localhost:9"
    with pytest.raises(UsageError, match="ccxt:NAME"):
        exchange_named("kucoin", reached)


class VenueError(Exception):
    """As ccxt's `BaseError`."""


class BadSymbol(VenueError):  # noqa: N818  # ccxt's name
    pass


class RateLimitExceeded(VenueError):  # noqa: N818  # ccxt's name
    pass


class ScriptedExchange:
    """An exchange of ccxt: trades come when the test puts them."""

    has: Mapping[str, object] = {"fetchTime": True}

    def __init__(self) -> None:
        self.options: dict[str, Any] = {}
        self.streaming: dict[str, Any] = {"keepAlive": 30_000}
        self.socket = SimpleNamespace(url="wss://kucoin", lastPong=None)
        self.clients = {self.socket.url: self.socket}
        self.handle_message: Callable[[Any, Any], None] = lambda *_: None
        self.on_connected: Callable[..., None] = lambda *_: None
        self.on_close: Callable[[Any, Any], None] = lambda *_: None
        self.on_error: Callable[[Any, Any], None] = lambda *_: None
        self.sockets = 0
        self.coming: asyncio.Queue[list[dict[str, Any]] | VenueError] = asyncio.Queue()
        self.closed = 0
        self.server_ms: int | None = None
        self.failure: VenueError | None = None

    async def load_markets(self) -> Mapping[str, Any]:
        spot = {"symbol": "BTC/USDT", "base": "BTC", "quote": "USDT", "active": True, "spot": True, "precision": {}}
        halted = spot | {"symbol": "ETH/USDT", "base": "ETH", "active": False}
        unknown = spot | {"symbol": "LTC/USDT", "base": "LTC", "active": None}
        swap = spot | {"symbol": "BTC/USDT:USDT", "spot": False}
        return {market["symbol"]: market for market in (spot, halted, unknown, swap)}

    async def watch_trades(self, symbol: str) -> Sequence[Mapping[str, Any]]:  # noqa: ARG002  # one symbol
        if self.sockets == 0:
            self.sockets = 1
            self.on_connected(self.socket)
        came = await self.coming.get()
        if isinstance(came, VenueError):
            raise came
        return came

    async def fetch_trades(self, symbol: str, since: int | None = None, limit: int | None = None) -> Sequence[Any]:
        if self.failure is not None:
            raise self.failure
        assert (symbol, since, limit) == ("BTC/USDT", None, 100)
        return [TRADE | {"id": "1"}, TRADE | {"id": "2", "price": None}]

    async def fetch_ohlcv(
        self, symbol: str, timeframe: str, since: int | None = None, limit: int | None = None
    ) -> Sequence[Sequence[Any]]:
        assert (symbol, timeframe, since, limit) == ("BTC/USDT", "1m", 1_593_961_440_000, 1)
        return [[1_593_961_440_000, "1", "2", "0.5", "1", "18.4"], [1_593_961_500_000, "1", "1", "1", "1", "0"]]

    async def fetch_time(self) -> int | None:
        return self.server_ms

    async def close(self) -> None:
        self.closed += 1


@asynccontextmanager
async def bridge(exchange: ScriptedExchange) -> AsyncIterator[tuple[Ccxt, RestClient, aiohttp.ClientSession]]:
    async with (
        serve_bridge(CcxtVenue(lambda: exchange, VenueError), settle_s=-10) as address,
        aiohttp.ClientSession() as http,
    ):
        adapter = Ccxt("kucoin", f"ws://{address}", f"http://{address}")
        yield adapter, RestClient(http, adapter.rest_url, adapter.rest_limits), http


async def test_requests_reach_ccxt_and_its_answers_are_read() -> None:
    async with bridge(ScriptedExchange()) as (adapter, rest, _):
        page = adapter.read_trades(await rest.get(adapter.trades(REQUEST)), REQUEST, RECEIVED_US)
        first, second = page.rows
        assert isinstance(first, Trade)
        assert (first.trade_id, first.source) == ("1", Source.REST)
        assert isinstance(second, RefusedTrade)
        body = await rest.get(adapter.klines("BTC/USDT", 1_593_961_440_000, 1_593_961_500_000))
        [candle] = adapter.read_klines(body)
        assert (candle.open_time_ms, candle.volume) == (1_593_961_440_000, Decimal("18.4"))
        markets = adapter.read_instruments(await rest.get(adapter.instruments([])))
        assert [(market.symbol, market.status) for market in markets] == [
            ("BTC-USDT", InstrumentStatus.TRADING),
            ("ETH-USDT", InstrumentStatus.HALTED),
            ("LTC-USDT", InstrumentStatus.TRADING),
        ]


@pytest.mark.parametrize(
    ("failure", "told"),
    [
        (BadSymbol("no XXX/YYY"), RefusedError),
        (RateLimitExceeded("slower"), RateLimitedError),
        (VenueError("it does not answer"), UnavailableError),
    ],
)
async def test_errors_of_ccxt_are_told_as_what_they_are(
    failure: VenueError, told: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("producers.feed.rest.ATTEMPTS", 1)
    exchange = ScriptedExchange()
    exchange.failure = failure
    async with bridge(exchange) as (adapter, rest, _):
        with pytest.raises(told):
            await rest.get(adapter.trades(REQUEST))


async def test_a_connection_of_the_feed_reads_trades_and_the_clock_and_learns_when_ccxt_loses_its_own() -> None:
    exchange = ScriptedExchange()
    exchange.coming.put_nowait([TRADE])
    inbox = Inbox(100)
    async with bridge(exchange) as (adapter, _, http), asyncio.timeout(10):
        running = asyncio.create_task(Connection(0, http, adapter, NAMES, Pacing()).run(inbox))
        came: list[Any] = []
        while not any(isinstance(event, Message) and event.server_us for event in came):
            came += [item.event for item in await inbox.take(wait_s=1, gather_s=0) if isinstance(item, FromConnection)]
        assert isinstance(came[0], Connected)
        [trade] = [trade for event in came if isinstance(event, Message) for trade in event.trades]
        assert trade.trade_id == "342188568"
        closed = exchange.closed
        exchange.coming.put_nowait(VenueError("the connection is lost"))
        while not any(isinstance(event, Disconnected) for event in came):
            came += [item.event for item in await inbox.take(wait_s=1, gather_s=0) if isinstance(item, FromConnection)]
        assert exchange.closed > closed
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def clocks(socket: aiohttp.ClientWebSocketResponse, count: int) -> list[int]:
    """The first clocks of a stream."""
    told: list[int] = []
    while len(told) < count:
        message = KUCOIN.read((await socket.receive(timeout=5)).data, NAMES, RECEIVED_US)
        told += [message.server_us] if message.server_us else []
    return told


@asynccontextmanager
async def stream(exchange: ScriptedExchange) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    async with bridge(exchange) as (adapter, _, http), http.ws_connect(adapter.ws_url + "/stream") as socket:
        await socket.send_str(adapter.opening(["BTC/USDT"]).frames[0])
        yield socket


async def why_it_ended(socket: aiohttp.ClientWebSocketResponse) -> str:
    while (message := await socket.receive(timeout=5)).type is not aiohttp.WSMsgType.CLOSE:
        assert message.type is aiohttp.WSMsgType.BINARY
    return str(message.extra)


async def test_the_clock_is_the_exchanges_less_what_trades_may_take() -> None:
    exchange = ScriptedExchange()
    exchange.server_ms = 4_000_000_000_000  # the exchange's time, far from ours
    async with stream(exchange) as socket:
        [told_us] = await clocks(socket, 1)
    assert -1_500_000 < told_us - (4_000_000_000_000_000 - LAG_S * 1_000_000) < 500_000


async def test_the_clock_stands_still_while_the_socket_is_silent() -> None:
    exchange = ScriptedExchange()
    async with stream(exchange) as socket:
        first, *_, third = await clocks(socket, 3)
        assert first == third
        exchange.handle_message(exchange.socket, {"any": "message"})
        [fourth] = await clocks(socket, 1)
        assert fourth > third
        exchange.socket.lastPong = time.time_ns() // 1_000_000 + 1000
        [fifth] = await clocks(socket, 1)
        assert fifth > fourth
    assert exchange.streaming["keepAlive"] == 10_000, "pings come often enough"


async def test_a_socket_that_ccxt_lost_and_would_open_again_ends_the_stream() -> None:
    exchange = ScriptedExchange()
    async with stream(exchange) as socket:
        await clocks(socket, 1)
        exchange.on_close(exchange.socket, 1006)
        assert await why_it_ended(socket) == "the exchange closed the connection, code 1006"


async def test_a_socket_that_ccxt_opened_meanwhile_ends_the_stream() -> None:
    exchange = ScriptedExchange()
    async with stream(exchange) as socket:
        await clocks(socket, 1)
        exchange.on_connected(exchange.socket)
        assert await why_it_ended(socket) == "ccxt connected once more"


async def test_as_many_trades_as_ccxt_keeps_end_the_stream_because_there_may_have_been_more() -> None:
    exchange = ScriptedExchange()
    exchange.coming.put_nowait([TRADE] * KEPT_TRADES)
    async with stream(exchange) as socket:
        assert (await why_it_ended(socket)).startswith("more than 1000 trades")


async def test_before_ccxt_is_surely_subscribed_no_clock_is_told() -> None:
    async with (
        serve_bridge(CcxtVenue(ScriptedExchange, VenueError)) as address,
        aiohttp.ClientSession() as http,
        http.ws_connect(f"ws://{address}/stream") as socket,
    ):
        await socket.send_str('["BTC/USDT"]')
        assert (await socket.receive(timeout=5)).data == b"{}"


async def test_other_exchanges_need_no_bridge() -> None:
    settings = Settings(_env_file=None)
    async with bridged(settings, "binance") as reached:
        assert reached is settings


def test_ccxt_keeps_the_texts_of_amounts() -> None:
    pytest.importorskip("ccxt")
    exchange: Any = ccxt_venue("bitstamp").make()
    trade = exchange.parse_trade(
        {"date": "1637845199", "tid": "209895701", "amount": "0.100000000000000005", "type": "0", "price": "4451.250"},
        {"id": "btcusd", "symbol": "BTC/USD", "base": "BTC", "quote": "USD", "baseId": "BTC", "quoteId": "USD"},
    )
    assert (trade["amount"], trade["price"]) == ("0.100000000000000005", "4451.250")


async def test_ccxt_itself_streams_through_the_bridge_and_its_lost_socket_is_told() -> None:
    pytest.importorskip("ccxt")
    trade = {
        "id": 1, "amount": 0.00054, "amount_str": "0.00054000", "price": 67703.1, "price_str": "67703.1", "type": 0,
        "timestamp": "1717255024", "microtimestamp": "1717255024403000",
    }  # fmt: skip

    async def speak(request: web.Request) -> web.WebSocketResponse:
        """As Bitstamp, which closes after three trades."""
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        channel = json.loads(await socket.receive_str())["data"]["channel"]
        for number in (1, 2, 3):
            await socket.send_json({"data": trade | {"id": number}, "channel": channel, "event": "trade"})
        await asyncio.sleep(0.5)
        await socket.close()
        return socket

    app = web.Application()
    app.add_routes([web.get("/", speak)])
    market = {"id": "btcusd", "symbol": "BTC/USD", "base": "BTC", "quote": "USD", "baseId": "BTC", "quoteId": "USD"}
    async with TestServer(app) as server:
        bitstamp = ccxt_venue("bitstamp")

        def make() -> Any:
            exchange: Any = bitstamp.make()
            exchange.urls["api"]["ws"] = str(server.make_url("/"))
            exchange.set_markets([exchange.safe_market_structure(market | {"spot": True, "type": "spot"})])
            return exchange

        async with (
            serve_bridge(CcxtVenue(make, bitstamp.error)) as address,
            aiohttp.ClientSession() as http,
            http.ws_connect(f"ws://{address}/stream") as socket,
        ):
            await socket.send_str('["BTC/USD"]')
            trades: list[Trade] = []
            while (frame := await socket.receive(timeout=5)).type is aiohttp.WSMsgType.BINARY:
                trades += Ccxt("bitstamp", "", "").read(frame.data, {"BTC/USD": "BTC-USD"}, RECEIVED_US).trades
            assert [(each.trade_id, each.price, each.qty) for each in trades] == [
                (number, Decimal("67703.1"), Decimal("0.00054")) for number in ("1", "2", "3")
            ]
            assert "1000" in str(frame.extra)


def test_an_exchange_that_ccxt_does_not_stream_is_wrong_usage() -> None:
    pytest.importorskip("ccxt")
    with pytest.raises(UsageError, match="no exchange 'nowhere'"):
        ccxt_venue("nowhere")


def test_without_ccxt_the_way_out_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "ccxt.pro", None)
    with pytest.raises(UsageError, match="candlewick\\[ccxt\\]"):
        ccxt_venue("kucoin")

"""Bybit v5: its public streams and market data over REST; spot, and perpetuals quoted in USDT and USDC.

Trades over WebSocket, on ``publicTrade.{symbol}``, up to 1,024 in a frame, in the order in which they were matched::

    {"topic":"publicTrade.BTCUSDT","type":"snapshot","ts":1672304486868,"data":[{"T":1672304486865,"s":"BTCUSDT",
     "S":"Buy","v":"0.001","p":"16578.50","L":"PlusTick","i":"20f43950-d8dd-5b31-9112-a178eb6023af","BT":false,
     "seq":1783284617}]}

and over REST, in ``/v5/market/recent-trade``, the newest first::

    {"retCode":0,"retMsg":"OK","result":{"category":"spot","list":[{"execId":"2100000000007764263","symbol":"BTCUSDT",
     "price":"16618.49","size":"0.00012","side":"Buy","time":"1672052955758","isBlockTrade":false,"isRPITrade":true,
     "seq":"123456"}]},"retExtInfo":{},"time":1672053054358}

``S`` and ``side`` are the taker's. Times are milliseconds; ``ts`` is the server's clock.

- **Ids prove nothing**: they are UUIDs, or numbers of 19 digits that all markets share. REST has no cursor: it gives
  the newest 60 trades of spot, 1,000 of perpetuals.
- ``seq`` orders the trades; those that one order matched share it, and stand in one message. So a trade's order is its
  ``seq`` and its place among them. Bybit splits more than 1,024 of them over several messages: then the places of the
  second one begin anew, and of two such trades of one millisecond the wrong one may count as the later. Without a
  ``seq``, as before August 2025, the place among the trades of one millisecond is all there is.
- Trades against retail orders (``RPI``, ``isRPITrade``) and block trades (``BT``, ``isBlockTrade``) are trades like any
  other: Bybit's archive does not tell block trades apart, and all sources have to give the same trades.
- **The clock**: ``orderbook.1`` of the first symbol. Its message comes again after 3 s without a change, which no
  other topic promises: ``tickers`` comes when something changes, and ``BTCUSDT`` is not traded on every host of Bybit.
- The acknowledgement of a subscription names no symbols, but repeats our ``req_id``. So the ``req_id`` says which
  symbols they are: the first and the last place in the connection's list.
- **A refusal** is of all topics of its request, and its text names the one because of which::

    {"success":false,"ret_msg":"error:handler not found,topic:publicTrade.NOUSDT","conn_id":"cf71a2d4","req_id":"0-9",
     "op":"subscribe"}
- Dated futures have no name of ours and are left out. The perpetual of BTC in USDC is ``BTCPERP``.

Source: Bybit's v5 documentation, "WebSocket: Connect, Trade, Orderbook", "Market: Get Recent Public Trades, Get Kline,
Get Instruments Info", "Rate Limit Rules", and its changelog of 2025-08-05 and 2025-08-07; for refusals issues 30284 of
`ccxt/ccxt` and 561 of `sieblyio/bybit-api`.
"""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

import msgspec
from msgspec import Raw, Struct, structs

from market.decimals import parse_decimal
from market.errors import MalformedError
from market.fields import MAX_WHOLE
from market.given_candle import GivenCandle
from market.instrument import Instrument, InstrumentStatus
from market.limits import check_amounts_of_candle
from market.trade import Source, Trade
from producers.exchange import (
    Keepalive,
    Message,
    Opening,
    RefusedTrade,
    RestLimits,
    RestRequest,
    TradesPage,
    TradesRequest,
)
from producers.wire import UNREADABLE, decode_as, digits, make_trade, read_rows, step_or_none, taker_side
from runtime.settings import Settings

_TOPIC = "publicTrade."
_CLOCK = "clock"
_blamed = re.compile(r"not found,topic:\S*\.([^.,\s]+)").search
"""Only of a topic that there is not: other errors may pass."""
_MS = 1_000
_PLACES = 1_024
"""So many trades a message has at most: the places of one ``seq``."""
_MAX_SEQ = MAX_WHOLE // _PLACES
_WRONG_PARAMETER = 10001
"""The ``retCode`` where there is no such symbol, among others."""
_STATUSES = {"Trading": InstrumentStatus.TRADING, "Closed": InstrumentStatus.DELISTED}


class BybitMarket(NamedTuple):
    """What differs between spot and perpetuals."""

    category: str
    suffix: str
    """Of our symbols."""
    page_trades: int
    topics_per_request: int


SPOT = BybitMarket("spot", "", 60, 10)
PERPETUALS = BybitMarket("linear", "-PERP", 1_000, 100)


class _BybitFrame(Struct, gc=False):
    topic: str = ""
    ts: int | str = 0
    data: Raw = Raw(b"")
    op: str = ""
    success: bool = True
    ret_msg: str = ""
    req_id: str = ""


class _BybitTrade(Struct, gc=False):
    T: int
    s: str
    S: str
    v: str
    p: str
    i: str
    seq: int | None = None


class _BybitRow(Struct, gc=False):
    execId: str  # noqa: N815  # the field's name
    symbol: str
    price: str
    size: str
    side: str
    time: str
    seq: str = ""


class _BybitAnswer(Struct):
    retCode: int  # noqa: N815  # the field's name
    retMsg: str = ""  # noqa: N815  # the field's name
    result: Raw = Raw(b"")


class _BybitRows(Struct):
    list: list[Raw]


class _BybitKlines(Struct):
    list: list[tuple[str, str, str, str, str, str, str]]


class _BybitPriceFilter(Struct, frozen=True):
    tickSize: str | None = None  # noqa: N815  # the field's name


class _BybitLotFilter(Struct, frozen=True):
    basePrecision: str | None = None  # noqa: N815  # the field's name, in spot
    qtyStep: str | None = None  # noqa: N815  # the field's name, of perpetuals


class _BybitInstrument(Struct):
    symbol: str
    baseCoin: str  # noqa: N815  # the field's name
    quoteCoin: str  # noqa: N815  # the field's name
    status: str = "Trading"
    contractType: str = ""  # noqa: N815  # the field's name
    launchTime: str = ""  # noqa: N815  # the field's name
    priceFilter: _BybitPriceFilter = _BybitPriceFilter()  # noqa: N815  # the field's name
    lotSizeFilter: _BybitLotFilter = _BybitLotFilter()  # noqa: N815  # the field's name


class _BybitInstruments(Struct):
    list: list[_BybitInstrument]


_frame = msgspec.json.Decoder(_BybitFrame).decode
_trades = msgspec.json.Decoder(list[_BybitTrade]).decode
_trade = msgspec.json.Decoder(_BybitTrade).decode
_raws = msgspec.json.Decoder(list[Raw]).decode
_answer = msgspec.json.Decoder(_BybitAnswer).decode
_page = msgspec.json.Decoder(_BybitRows).decode
_row = msgspec.json.Decoder(_BybitRow).decode
_klines = msgspec.json.Decoder(_BybitKlines).decode
_instruments = msgspec.json.Decoder(_BybitInstruments).decode


class Bybit:
    """The trades of one of its markets. Both markets have one exchange name: their symbols differ."""

    name = "bybit"
    rest_limits = RestLimits(
        weight=600, per_s=5.0, too_much={429: 10.0, 403: 600.0}, too_much_words=(b'"retCode":10006',), lag_s=1.0
    )
    symbols_per_connection = 200  # the names of a connection's topics may have 21,000 characters together
    page_klines = 1_000
    klines_count_trades = False
    ids_prove = False
    keepalive: Keepalive | None = Keepalive('{"op":"ping"}', 20.0)

    def __init__(self, settings: Settings, market: BybitMarket = SPOT) -> None:
        self.ws_url = settings.bybit_ws
        self.rest_url = settings.bybit_rest
        self.page_trades = market.page_trades
        self._market = market

    def knowing(self, contracts: Mapping[str, Decimal]) -> "Bybit":
        """Itself: sizes are in base units."""
        del contracts
        return self

    def opening(self, natives: Sequence[str]) -> Opening:
        """The trades of all symbols, some in each request, and the clock."""
        frames, singly = (_subscriptions(natives, each) for each in (self._market.topics_per_request, 1))
        return Opening(f"/v5/public/{self._market.category}", frames, acknowledged=True, singly=singly)

    def read(self, frame: bytes, symbols: Mapping[str, str], received_us: int) -> Message:
        """A frame of a topic, or an answer; `symbols` in the order of `opening`."""
        wire = decode_as(_frame, frame, f"a frame of {self.name}")
        if wire.op:
            return _acknowledgement(wire, symbols)
        server_us = (wire.ts if isinstance(wire.ts, int) else digits(wire.ts, "ts")) * _MS
        if not wire.topic.startswith(_TOPIC):
            return Message(server_us)
        try:
            order = _BybitOrder()
            trades = [self._trade(row, order, symbols, received_us) for row in _trades(wire.data)]
        except (*UNREADABLE, MalformedError):
            return structs.replace(self._read_one_by_one(wire, frame, symbols, received_us), server_us=server_us)
        return Message(server_us, trades)

    def _read_one_by_one(
        self, wire: _BybitFrame, frame: bytes, symbols: Mapping[str, str], received_us: int
    ) -> Message:
        """A frame with something that is no trade: the others of the frame count."""
        symbol = symbols.get(wire.topic.removeprefix(_TOPIC))
        try:
            raws = _raws(wire.data)
        except UNREADABLE as error:
            return Message(refused=(RefusedTrade(frame, str(error), symbol),))
        order = _BybitOrder()
        rows = read_rows(
            raws, symbol or "", lambda raw: self._trade(_trade(raw), order, symbols, received_us), lambda _: None
        )
        refused = [row._replace(symbol=symbol) for row in rows if isinstance(row, RefusedTrade)]
        return Message(trades=[row for row in rows if isinstance(row, Trade)], refused=refused)

    def _trade(self, row: _BybitTrade, order: "_BybitOrder", symbols: Mapping[str, str], received_us: int) -> Trade:
        symbol = symbols.get(row.s)
        if symbol is None:
            raise MalformedError(f"no subscription to {row.s[:40]!r}")
        return make_trade(
            self.name,
            symbol,
            row.i,
            price=row.p,
            qty=row.v,
            side=taker_side(row.S),
            time_us=row.T * _MS,
            received_us=received_us,
            source=Source.WS,
            seq=order.next(row.T, row.seq),
        )

    def instruments(self, natives: Sequence[str]) -> RestRequest:
        """``instruments-info``: of one symbol, or all of them; 1,000 are more than there are."""
        only = f"&symbol={natives[0]}" if len(natives) == 1 else ""
        return RestRequest(f"/v5/market/instruments-info?category={self._market.category}&limit=1000{only}")

    def read_instruments(self, body: bytes) -> list[Instrument]:
        """``BTCUSDT`` is ``BTC-USDT``, or ``BTC-USDT-PERP``. A symbol that does not exist gives an empty list."""
        answer = decode_as(_answer, body, f"an answer of {self.name}")
        if answer.retCode == _WRONG_PARAMETER:
            return []
        listed = decode_as(_instruments, _result(answer), f"a list of instruments of {self.name}").list
        return [
            self._instrument(each) for each in listed if self._market is SPOT or each.contractType == "LinearPerpetual"
        ]

    def _instrument(self, listed: _BybitInstrument) -> Instrument:
        since_ms = digits(listed.launchTime, "launchTime") if listed.launchTime else 0
        return Instrument(
            exchange=self.name,
            symbol=f"{listed.baseCoin}-{listed.quoteCoin}{self._market.suffix}",
            native=listed.symbol,
            base=listed.baseCoin,
            quote=listed.quoteCoin,
            status=_STATUSES.get(listed.status, InstrumentStatus.HALTED),
            tick=step_or_none(listed.priceFilter.tickSize),
            lot=step_or_none(listed.lotSizeFilter.qtyStep or listed.lotSizeFilter.basePrecision),
            since_ms=since_ms or None,
        )

    def native(self, symbol: str) -> str:
        """``btc-usdt`` to ``BTCUSDT``; of perpetuals also ``btc-usdc-perp`` to ``BTCPERP``."""
        name = symbol.upper()
        if self._market is PERPETUALS and name.endswith("-PERP"):
            name = name.removesuffix("-PERP")
            name = name.removesuffix("-USDC") + "PERP" if name.endswith("-USDC") else name
        return name.replace("-", "")

    def trades(self, request: TradesRequest) -> RestRequest:
        """A page of ``recent-trade``: always the newest."""
        query = f"category={self._market.category}&symbol={request.native}&limit={request.limit}"
        return RestRequest(f"/v5/market/recent-trade?{query}")

    def read_trades(self, body: bytes, request: TradesRequest, received_us: int) -> TradesPage:
        """A page; a row that is no trade becomes a `RefusedTrade`, the others count."""
        what = f"a page of trades of {self.name}"
        raws = decode_as(_page, _result(decode_as(_answer, body, what)), what).list
        order = _BybitOrder()

        def read(raw: Raw) -> Trade:
            row = _row(raw)
            if row.symbol != request.native:
                raise MalformedError(f"a trade of {row.symbol[:40]!r}, not of {request.native}")
            time_ms = digits(row.time, "time")
            return make_trade(
                self.name,
                request.symbol,
                row.execId,
                price=row.price,
                qty=row.size,
                side=taker_side(row.side),
                time_us=time_ms * _MS,
                received_us=received_us,
                source=Source.REST,
                seq=order.next(time_ms, digits(row.seq, "seq") if row.seq else None),
            )

        return TradesPage(read_rows(raws[::-1], request.symbol, read, lambda _: None), is_whole=True)

    def klines(self, native: str, from_ms: int, until_ms: int) -> RestRequest:
        """``kline``: at most 1,000."""
        query = f"category={self._market.category}&symbol={native}&interval=1"
        return RestRequest(f"/v5/market/kline?{query}&start={from_ms}&end={until_ms - 1}&limit={self.page_klines}")

    def read_klines(self, body: bytes) -> list[GivenCandle]:
        """Prices, volume and turnover; Bybit does not say how many trades, nor of which side."""
        what = f"klines of {self.name}"
        rows = decode_as(_klines, _result(decode_as(_answer, body, what)), what).list
        candles = []
        for open_ms, *texts in reversed(rows):
            opened, high, low, close, volume, turnover = map(parse_decimal, texts)
            candle = GivenCandle(
                open_time_ms=digits(open_ms, "startTime"), open=opened, high=high, low=low, close=close,
                volume=volume, quote_volume=turnover,
            )  # fmt: skip
            check_amounts_of_candle(candle)
            candles.append(candle)
        return candles


def bybit_perpetuals(settings: Settings) -> Bybit:
    """Perpetuals quoted in USDT and USDC: ``BTC-USDT-PERP``."""
    return Bybit(settings, PERPETUALS)


class _BybitOrder:
    """Numbers the trades of one message or page, which are read in the order in which they were matched."""

    __slots__ = ("_key", "_place")

    def __init__(self) -> None:
        self._key: tuple[int, int | None] | None = None
        self._place = 0

    def next(self, time_ms: int, seq: int | None) -> int:
        """The order of the next trade, among those of its time. Raises `MalformedError`."""
        if seq is not None and not 0 <= seq < _MAX_SEQ:
            raise MalformedError(f"seq {seq} is not from 0 to {_MAX_SEQ - 1}")
        key = time_ms, seq
        self._place = min(self._place + 1, _PLACES - 1) if key == self._key else 0
        self._key = key
        return (seq or 0) * _PLACES + self._place


def _subscriptions(natives: Sequence[str], most: int) -> tuple[str, ...]:
    """The frames that subscribe to the trades of all, at most so many topics in one, and to the clock."""
    starts = range(0, len(natives), most)
    parts = {f"{start}-{start + most - 1}": natives[start : start + most] for start in starts}
    topics = {req_id: [_TOPIC + native for native in part] for req_id, part in parts.items()}
    topics[_CLOCK] = [f"orderbook.1.{natives[0]}"]
    requests = [{"op": "subscribe", "req_id": req_id, "args": args} for req_id, args in topics.items()]
    return tuple(msgspec.json.encode(request).decode() for request in requests)


def _acknowledgement(wire: _BybitFrame, symbols: Mapping[str, str]) -> Message:
    if wire.op != "subscribe":
        return Message()
    first, _, last = ("0", "-", "0") if wire.req_id == _CLOCK else wire.req_id.partition("-")
    is_told = first.isdecimal() and last.isdecimal()
    natives: Sequence[str] = list(symbols)[int(first) : int(last) + 1] if is_told else ()
    if wire.success:
        return Message(accepted=() if wire.req_id == _CLOCK else natives)
    blamed = _blamed(wire.ret_msg)
    culprit = blamed[1] if blamed is not None and blamed[1] in natives else None
    return Message(rejected=wire.ret_msg or "no reason given", untaken=natives, culprit=culprit)


def _result(answer: _BybitAnswer) -> bytes:
    if answer.retCode:
        raise MalformedError(f"Bybit answered retCode {answer.retCode}: {answer.retMsg[:100]}")
    return bytes(answer.result)

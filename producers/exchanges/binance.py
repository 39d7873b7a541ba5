"""Binance spot: its public market data streams and REST API.

A trade over WebSocket, in a combined stream::

    {"stream":"bnbbtc@trade","data":{"e":"trade","E":1672515782136,"s":"BNBBTC","t":12345,"p":"0.001","q":"100",
     "T":1672515782136,"m":true,"M":true}}

and over REST, in a page of ``/api/v3/historicalTrades``::

    [{"id":28457,"price":"4.00000100","qty":"12.00000000","quoteQty":"48.000012","time":1499865549590,
      "isBuyerMaker":true,"isBestMatch":true}]

``m`` and ``isBuyerMaker``: the buyer was the maker, so the taker sold. Times are milliseconds: microseconds are not
asked for, so that streams, REST and archives give the same time for an id. Prices and quantities have trailing zeros.
``E`` is the server's clock; the stream ``kline_1s`` brings one each second.

A frame or a row that is JSON but no trade of ours becomes a `RefusedTrade`; the other rows of its page count.
Source: Binance's spot API documentation, `web-socket-streams.md` ("Trade Streams", "Kline/Candlestick Streams") and
`rest-api.md` ("Old trade lookup", "Recent trades list", "Exchange information").
"""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

import msgspec
from msgspec import Struct

from market.decimals import parse_decimal
from market.errors import MalformedError
from market.limits import check_trade
from market.trade import Side, Source, Trade
from producers.exchange import Message, RefusedTrade, RestLimits, RestRequest
from runtime.settings import Settings

_MS = 1_000
EARLIEST_US = 1_230_768_000_000_000
"""2009: before it no coin was traded."""
_MAX_ID = 10**18
"""Ids from here on are refused: they would not fit everywhere."""
_MAX_FILTERED = 100
"""For more symbols all of ``exchangeInfo`` is asked for: the query would be too long."""


class _Event(Struct, gc=False):
    e: str = ""
    E: int = 0
    s: str = ""
    t: int = -1
    p: str = ""
    q: str = ""
    T: int = 0
    m: bool = False


class _Frame(Struct, gc=False):
    stream: str = ""
    data: _Event | None = None
    e: str = ""


class _RestTrade(Struct, gc=False):
    id: int
    price: str
    qty: str
    time: int
    isBuyerMaker: bool  # noqa: N815  # the field's name


class _AnyEvent(Struct, gc=False):
    """What can still be read of a frame or a row that is no trade."""

    s: Any = None
    t: Any = None
    id: Any = None


class _AnyFrame(Struct, gc=False):
    data: _AnyEvent


class _InstrumentInfo(Struct):
    symbol: str
    baseAsset: str  # noqa: N815  # the field's name
    quoteAsset: str  # noqa: N815  # the field's name


class _ExchangeInfo(Struct):
    symbols: list[_InstrumentInfo]


_frame = msgspec.json.Decoder(_Frame).decode
_any_frame = msgspec.json.Decoder(_AnyFrame).decode
_page = msgspec.json.Decoder(list[_RestTrade]).decode
_rows = msgspec.json.Decoder(list[msgspec.Raw]).decode
_row = msgspec.json.Decoder(_RestTrade).decode
_any_row = msgspec.json.Decoder(_AnyEvent).decode
_info = msgspec.json.Decoder(_ExchangeInfo).decode


class Binance:
    """Spot trades; their ids are those of ``trade``, never of ``aggTrade``."""

    name = "binance"
    rest_limits = RestLimits(weight_per_minute=6000, used_weight_header="X-MBX-USED-WEIGHT-1M")
    symbols_per_connection = 200  # 1024 streams are allowed, but as a URL they would be too long
    page_trades = 1000

    def __init__(self, settings: Settings) -> None:
        self.ws_url = settings.binance_ws
        self.rest_url = settings.binance_rest

    def stream_path(self, natives: Sequence[str]) -> str:
        """The trades of all symbols, and the 1 s kline of the first one, which carries the server's time."""
        names = [f"{native.lower()}@trade" for native in natives]
        return "/stream?streams=" + "/".join([*names, f"{natives[0].lower()}@kline_1s"])

    def read(self, frame: bytes, symbols: Mapping[str, str], received_us: int) -> Message:
        """A frame of a combined stream."""
        try:
            wire = _frame(frame)
        except (msgspec.MsgspecError, UnicodeError) as error:
            return Message(0, refused=self._not_a_trade(frame, symbols, error))
        event = wire.data
        if event is None or event.e != "trade":
            name = wire.e if event is None else event.e
            return Message(0 if event is None else event.E * _MS, closing=name == "serverShutdown")
        symbol = symbols.get(event.s)
        if symbol is None:
            return Message(event.E * _MS, refused=RefusedTrade(frame, f"no subscription to {event.s!r}"))
        try:
            trade = self._trade(
                symbol, event.t, event.p, event.q, event.T, buyer_is_maker=event.m, received_us=received_us
            )
        except MalformedError as error:
            return Message(event.E * _MS, refused=RefusedTrade(frame, str(error), symbol, _number(event.t)))
        return Message(event.E * _MS, trade)

    def _not_a_trade(self, frame: bytes, symbols: Mapping[str, str], error: Exception) -> RefusedTrade:
        """What is known of a frame with a wrong field; `MalformedError` where it is no frame of the stream."""
        try:
            event = _any_frame(frame).data
        except (msgspec.MsgspecError, UnicodeError):
            raise MalformedError(f"not a frame of {self.name}: {error}") from error
        symbol = symbols.get(event.s) if isinstance(event.s, str) else None
        return RefusedTrade(frame, str(error), symbol, _number(event.t))

    def _trade(
        self,
        symbol: str,
        number: int,
        price: str,
        qty: str,
        time_ms: int,
        *,
        buyer_is_maker: bool,
        received_us: int,
        source: Source = Source.WS,
    ) -> Trade:
        time_us = time_ms * _MS
        if not 0 <= number < _MAX_ID:
            raise MalformedError(f"trade id {number} is not from 0 to {_MAX_ID - 1}")
        if time_us < EARLIEST_US:
            raise MalformedError(f"time {time_ms} ms is before 2009")
        trade = Trade(
            exchange=self.name,
            symbol=symbol,
            trade_id=str(number),
            price=parse_decimal(price),
            qty=parse_decimal(qty),
            side=Side.SELL if buyer_is_maker else Side.BUY,
            time_us=time_us,
            received_us=received_us,
            source=source,
        )
        check_trade(trade)
        return trade

    def instruments(self, natives: Sequence[str]) -> RestRequest:
        """``exchangeInfo``, weight 20."""
        path = "/api/v3/exchangeInfo?showPermissionSets=false"
        if len(natives) <= _MAX_FILTERED:
            path += "&symbols=" + quote("[" + ",".join(f'"{native}"' for native in natives) + "]")
        return RestRequest(path, 20)

    def read_instruments(self, body: bytes) -> dict[str, str]:
        """``BTCUSDT`` to ``BTC-USDT``."""
        try:
            info = _info(body)
        except msgspec.MsgspecError as error:
            raise MalformedError(f"not an exchangeInfo of {self.name}: {error}") from error
        return {market.symbol: f"{market.baseAsset}-{market.quoteAsset}" for market in info.symbols}

    def native(self, symbol: str) -> str:
        """``btc-usdt`` to ``BTCUSDT``."""
        return symbol.replace("-", "").upper()

    def trades_from(self, native: str, from_id: int, limit: int) -> RestRequest:
        """A page of ``historicalTrades``, weight 25."""
        return RestRequest(f"/api/v3/historicalTrades?symbol={native}&fromId={from_id}&limit={limit}", 25)

    def newest_trade(self, native: str) -> RestRequest:
        """``trades`` with limit 1, weight 25."""
        return RestRequest(f"/api/v3/trades?symbol={native}&limit=1", 25)

    def read_trades(self, body: bytes, symbol: str, received_us: int) -> list[Trade | RefusedTrade]:
        """A page; a row that is no trade becomes a `RefusedTrade`, the others count."""
        try:
            rows: list[_RestTrade] | list[msgspec.Raw] = _page(body)
        except (msgspec.MsgspecError, UnicodeError):
            try:
                rows = _rows(body)
            except (msgspec.MsgspecError, UnicodeError) as error:
                raise MalformedError(f"not a page of trades of {self.name}: {error}") from error
        return [self._page_row(row, symbol, received_us) for row in rows]

    def _page_row(self, row: _RestTrade | msgspec.Raw, symbol: str, received_us: int) -> Trade | RefusedTrade:
        try:
            wire = _row(row) if isinstance(row, msgspec.Raw) else row
            return self._trade(
                symbol,
                wire.id,
                wire.price,
                wire.qty,
                wire.time,
                buyer_is_maker=wire.isBuyerMaker,
                received_us=received_us,
                source=Source.REST,
            )
        except (msgspec.MsgspecError, UnicodeError, MalformedError) as error:
            raw = bytes(row) if isinstance(row, msgspec.Raw) else msgspec.json.encode(row)
            return RefusedTrade(raw, str(error), symbol, _row_number(raw))


def _row_number(raw: bytes) -> int | None:
    try:
        return _number(_any_row(raw).id)
    except (msgspec.MsgspecError, UnicodeError):
        return None


def _number(trade_id: Any) -> int | None:
    """A trade id, or None where it cannot be one."""
    is_number = isinstance(trade_id, int) and not isinstance(trade_id, bool)
    return trade_id if is_number and 0 <= trade_id < _MAX_ID else None

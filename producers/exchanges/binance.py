"""Binance spot: its public market data streams and REST API.

A trade over WebSocket, in a combined stream::

    {"stream":"bnbbtc@trade","data":{"e":"trade","E":1672515782136,"s":"BNBBTC","t":12345,"p":"0.001","q":"100",
     "T":1672515782136,"m":true,"M":true}}

and over REST, in a page of ``/api/v3/historicalTrades``::

    [{"id":28457,"price":"4.00000100","qty":"12.00000000","quoteQty":"48.000012","time":1499865549590,
      "isBuyerMaker":true,"isBestMatch":true}]

``m`` and ``isBuyerMaker``: the buyer was the maker, so the taker sold. Times are milliseconds, in the archives too:
microseconds are not asked for, so that all sources give the same time for an id. Prices and quantities have
trailing zeros. ``E`` is the server's clock; the stream ``kline_1s`` brings one each second.
Source: Binance's spot API documentation, "WebSocket Streams" and "REST API".
"""

from collections.abc import Mapping, Sequence
from urllib.parse import quote

import msgspec
from msgspec import Struct

from market.decimals import parse_decimal
from market.errors import MalformedError
from market.trade import Side, Source, Trade
from producers.exchange import Message, Request, RestLimits
from runtime.settings import Settings

_MS = 1_000
_MAX_FILTERED = 100
"""With more symbols the whole of ``exchangeInfo`` is asked: the query would be too long."""


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


class _Instrument(Struct):
    symbol: str
    baseAsset: str  # noqa: N815  # the field's name
    quoteAsset: str  # noqa: N815  # the field's name


class _ExchangeInfo(Struct):
    symbols: list[_Instrument]


_frame = msgspec.json.Decoder(_Frame).decode
_page = msgspec.json.Decoder(list[_RestTrade]).decode
_info = msgspec.json.Decoder(_ExchangeInfo).decode


class Binance:
    """Spot trades; ids are those of ``trade``, never of ``aggTrade``."""

    name = "binance"
    rest_limits = RestLimits(weight_per_minute=6000, used_weight_header="X-MBX-USED-WEIGHT-1M")
    symbols_per_connection = 200  # 1024 streams are allowed, but as a URL they would be too long
    page_trades = 1000

    def __init__(self, settings: Settings) -> None:
        self.ws_url = settings.binance_ws
        self.rest_url = settings.binance_rest

    def stream_path(self, natives: Sequence[str]) -> str:
        """The trades of all, and the first one's 1 s kline as the carrier of server time."""
        names = [f"{native.lower()}@trade" for native in natives]
        return "/stream?streams=" + "/".join([*names, f"{natives[0].lower()}@kline_1s"])

    def read(self, frame: bytes, symbols: Mapping[str, str], received_us: int) -> Message:
        """A frame of a combined stream."""
        try:
            wire = _frame(frame)
        except (msgspec.MsgspecError, UnicodeError) as error:
            raise MalformedError(f"not a frame of {self.name}: {error}") from error
        event = wire.data
        if event is None or event.e != "trade":
            name = wire.e if event is None else event.e
            return Message(0 if event is None else event.E * _MS, closing=name == "serverShutdown")
        symbol = symbols.get(event.s)
        if symbol is None or event.t < 0 or event.T <= 0:
            raise MalformedError(f"not a trade of {self.name}: {frame[:300]!r}")
        return Message(
            event.E * _MS,
            Trade(
                exchange=self.name,
                symbol=symbol,
                trade_id=str(event.t),
                price=parse_decimal(event.p),
                qty=parse_decimal(event.q),
                side=_taker(buyer_is_maker=event.m),
                time_us=event.T * _MS,
                received_us=received_us,
            ),
        )

    def instruments(self, natives: Sequence[str]) -> Request:
        """``exchangeInfo``, weight 20."""
        path = "/api/v3/exchangeInfo?showPermissionSets=false"
        if len(natives) <= _MAX_FILTERED:
            path += "&symbols=" + quote("[" + ",".join(f'"{native}"' for native in natives) + "]")
        return Request(path, 20)

    def read_instruments(self, body: bytes) -> dict[str, str]:
        """``BTCUSDT`` to ``BTC-USDT``."""
        try:
            found = _info(body)
        except msgspec.MsgspecError as error:
            raise MalformedError(f"not an exchangeInfo of {self.name}: {error}") from error
        return {one.symbol: f"{one.baseAsset}-{one.quoteAsset}" for one in found.symbols}

    def native(self, symbol: str) -> str:
        """``btc-usdt`` to ``BTCUSDT``."""
        return symbol.replace("-", "").upper()

    def trades_from(self, native: str, from_id: int, limit: int) -> Request:
        """A page of ``historicalTrades``, weight 25."""
        return Request(f"/api/v3/historicalTrades?symbol={native}&fromId={from_id}&limit={limit}", 25)

    def newest_trade(self, native: str) -> Request:
        """``trades`` with limit 1, weight 25."""
        return Request(f"/api/v3/trades?symbol={native}&limit=1", 25)

    def read_trades(self, body: bytes, symbol: str, received_us: int) -> list[Trade]:
        """A page."""
        try:
            page = _page(body)
        except msgspec.MsgspecError as error:
            raise MalformedError(f"not a page of trades of {self.name}: {error}") from error
        trades = [
            Trade(
                exchange=self.name,
                symbol=symbol,
                trade_id=str(row.id),
                price=parse_decimal(row.price),
                qty=parse_decimal(row.qty),
                side=_taker(buyer_is_maker=row.isBuyerMaker),
                time_us=row.time * _MS,
                received_us=received_us,
                source=Source.REST,
            )
            for row in page
        ]
        return sorted(trades, key=lambda trade: int(trade.trade_id))


def _taker(*, buyer_is_maker: bool) -> Side:
    return Side.SELL if buyer_is_maker else Side.BUY

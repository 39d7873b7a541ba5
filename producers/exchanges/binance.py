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
from market.given_candle import GivenCandle
from market.instrument import Instrument, InstrumentStatus
from market.limits import check_amounts_of_candle
from market.trade import Side, Source, Trade
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
from producers.wire import known_number, make_trade, read_rows, step_or_none
from runtime.settings import Settings

_MS = 1_000
_MAX_FILTERED = 100
"""For more symbols all of ``exchangeInfo`` is asked for: the query would be too long."""
PAGE_KLINES = 1_000
_PRICE_FILTER, _LOT_FILTER = "PRICE_FILTER", "LOT_SIZE"


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


class _Filter(Struct):
    filterType: str = ""  # noqa: N815  # the field's name
    tickSize: str | None = None  # noqa: N815  # the field's name
    stepSize: str | None = None  # noqa: N815  # the field's name


class _InstrumentInfo(Struct):
    symbol: str
    baseAsset: str  # noqa: N815  # the field's name
    quoteAsset: str  # noqa: N815  # the field's name
    status: str = "TRADING"
    filters: list[_Filter] = []


class _ExchangeInfo(Struct):
    symbols: list[_InstrumentInfo]


_frame = msgspec.json.Decoder(_Frame).decode
_any_frame = msgspec.json.Decoder(_AnyFrame).decode
_rows = msgspec.json.Decoder(list[msgspec.Raw]).decode
_row = msgspec.json.Decoder(_RestTrade).decode
_any_row = msgspec.json.Decoder(_AnyEvent).decode
_info = msgspec.json.Decoder(_ExchangeInfo).decode
_klines = msgspec.json.Decoder(list[tuple[int, str, str, str, str, str, int, str, int, str, str, Any]]).decode


class Binance:
    """Spot trades; their ids are those of ``trade``, never of ``aggTrade``."""

    name = "binance"
    rest_limits = RestLimits(
        weight=6000, per_s=60.0, used_weight_header="X-MBX-USED-WEIGHT-1M", too_much={429: 10.0, 418: 120.0}
    )
    symbols_per_connection = 200  # 1024 streams are allowed, but as a URL they would be too long
    page_trades = 1000
    ids_prove = True
    keepalive: Keepalive | None = None

    def __init__(self, settings: Settings) -> None:
        self.ws_url = settings.binance_ws
        self.rest_url = settings.binance_rest

    def opening(self, natives: Sequence[str]) -> Opening:
        """The trades of all symbols, and the 1 s kline of the first one, which carries the server's time."""
        names = [f"{native.lower()}@trade" for native in natives]
        return Opening("/stream?streams=" + "/".join([*names, f"{natives[0].lower()}@kline_1s"]))

    def read(self, frame: bytes, symbols: Mapping[str, str], received_us: int) -> Message:
        """A frame of a combined stream."""
        try:
            wire = _frame(frame)
        except (msgspec.MsgspecError, UnicodeError) as error:
            return Message(refused=(self._not_a_trade(frame, symbols, error),))
        event = wire.data
        if event is None or event.e != "trade":
            name = wire.e if event is None else event.e
            return Message(0 if event is None else event.E * _MS, closing=name == "serverShutdown")
        symbol = symbols.get(event.s)
        if symbol is None:
            return Message(event.E * _MS, refused=(RefusedTrade(frame, f"no subscription to {event.s!r}"),))
        try:
            trade = make_trade(
                self.name,
                symbol,
                event.t,
                price=event.p,
                qty=event.q,
                side=_side(buyer_is_maker=event.m),
                time_us=event.T * _MS,
                received_us=received_us,
                source=Source.WS,
            )
        except MalformedError as error:
            refused = RefusedTrade(frame, str(error), symbol, known_number(event.t))
            return Message(event.E * _MS, refused=(refused,))
        return Message(event.E * _MS, (trade,))

    def _not_a_trade(self, frame: bytes, symbols: Mapping[str, str], error: Exception) -> RefusedTrade:
        """What is known of a frame with a wrong field; `MalformedError` where it is no frame of the stream."""
        try:
            event = _any_frame(frame).data
        except (msgspec.MsgspecError, UnicodeError):
            raise MalformedError(f"not a frame of {self.name}: {error}") from error
        symbol = symbols.get(event.s) if isinstance(event.s, str) else None
        return RefusedTrade(frame, str(error), symbol, known_number(event.t))

    def instruments(self, natives: Sequence[str]) -> RestRequest:
        """``exchangeInfo``, weight 20."""
        path = "/api/v3/exchangeInfo?showPermissionSets=false"
        if 0 < len(natives) <= _MAX_FILTERED:
            path += "&symbols=" + quote("[" + ",".join(f'"{native}"' for native in natives) + "]")
        return RestRequest(path, 20)

    def read_instruments(self, body: bytes) -> list[Instrument]:
        """``BTCUSDT`` is ``BTC-USDT``."""
        try:
            info = _info(body)
        except msgspec.MsgspecError as error:
            raise MalformedError(f"not an exchangeInfo of {self.name}: {error}") from error
        return [self._instrument(market) for market in info.symbols]

    def _instrument(self, market: _InstrumentInfo) -> Instrument:
        filters = {each.filterType: each for each in market.filters}
        tick, lot = filters.get(_PRICE_FILTER), filters.get(_LOT_FILTER)
        return Instrument(
            exchange=self.name,
            symbol=f"{market.baseAsset}-{market.quoteAsset}",
            native=market.symbol,
            base=market.baseAsset,
            quote=market.quoteAsset,
            status=InstrumentStatus.TRADING if market.status == "TRADING" else InstrumentStatus.HALTED,
            tick=None if tick is None else step_or_none(tick.tickSize),
            lot=None if lot is None else step_or_none(lot.stepSize),
        )

    def native(self, symbol: str) -> str:
        """``btc-usdt`` to ``BTCUSDT``."""
        return symbol.replace("-", "").upper()

    def trades(self, request: TradesRequest) -> RestRequest:
        """A page of ``historicalTrades`` or, for the newest, ``trades``; weight 25."""
        query = f"symbol={request.native}&limit={request.limit}"
        if request.known is None:
            return RestRequest(f"/api/v3/trades?{query}", 25)
        return RestRequest(f"/api/v3/historicalTrades?{query}&fromId={request.known}", 25)

    def read_trades(self, body: bytes, request: TradesRequest, received_us: int) -> TradesPage:
        """A page; a row that is no trade becomes a `RefusedTrade`, the others count."""
        try:
            rows = _rows(body)
        except (msgspec.MsgspecError, UnicodeError) as error:
            raise MalformedError(f"not a page of trades of {self.name}: {error}") from error

        def read(raw: msgspec.Raw) -> Trade:
            row = _row(raw)
            return make_trade(
                self.name,
                request.symbol,
                row.id,
                price=row.price,
                qty=row.qty,
                side=_side(buyer_is_maker=row.isBuyerMaker),
                time_us=row.time * _MS,
                received_us=received_us,
                source=Source.REST,
            )

        return TradesPage(read_rows(rows, request.symbol, read, _row_number), is_whole=len(rows) < request.limit)

    def klines(self, native: str, from_ms: int, until_ms: int) -> RestRequest:
        """``klines``, weight 2: at most 1,000."""
        span = f"startTime={from_ms}&endTime={until_ms - 1}&limit={PAGE_KLINES}"
        return RestRequest(f"/api/v3/klines?symbol={native}&interval=1m&{span}", 2)

    def read_klines(self, body: bytes) -> list[GivenCandle]:
        """All fields; ``trades`` counts trades as we do."""
        try:
            rows = _klines(body)
        except (msgspec.MsgspecError, UnicodeError) as error:
            raise MalformedError(f"not klines of {self.name}: {error}") from error
        candles = []
        for open_ms, opened, high, low, close, volume, _, quote_volume, trades, taker, taker_quote, _ in rows:
            amounts = [parse_decimal(text) for text in (opened, high, low, close, volume, quote_volume)]
            candle = GivenCandle(
                open_time_ms=open_ms, open=amounts[0], high=amounts[1], low=amounts[2], close=amounts[3],
                volume=amounts[4], quote_volume=amounts[5], trades=trades,
                taker_buy_volume=parse_decimal(taker), taker_buy_quote_volume=parse_decimal(taker_quote),
            )  # fmt: skip
            check_amounts_of_candle(candle)
            candles.append(candle)
        return candles


def _side(*, buyer_is_maker: bool) -> Side:
    return Side.SELL if buyer_is_maker else Side.BUY


def _row_number(raw: bytes) -> int | None:
    try:
        return known_number(_any_row(raw).id)
    except (msgspec.MsgspecError, UnicodeError):
        return None

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

Source: Binance's spot API documentation, `web-socket-streams.md` ("Trade Streams", "Kline/Candlestick Streams") and
`rest-api.md` ("Old trade lookup", "Recent trades list", "Exchange information").
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Literal
from urllib.parse import quote

import msgspec
from msgspec import Struct, field

from market.errors import MalformedError
from market.given_candle import GivenCandle
from market.instrument import Instrument, InstrumentStatus
from producers.binance_wire import (
    CombinedFrame,
    InstrumentFilter,
    PageRow,
    StreamEvent,
    TradeKind,
    UsualEvent,
    UsualFrame,
    UsualId,
    read_frame,
    read_klines,
    read_page,
    read_steps,
    read_together,
)
from producers.exchange import (
    Keepalive,
    Message,
    Opening,
    RestLimits,
    RestRequest,
    TradeFrames,
    TradesPage,
    TradesRequest,
)
from producers.wire import UNREADABLE
from runtime.settings import Settings

_MAX_FILTERED = 100
"""For more symbols all of ``exchangeInfo`` is asked for: the query would be too long."""


class _SpotEvent(StreamEvent, gc=False):
    number: int = field(name="t", default=-1)


class _SpotUsual(UsualEvent, gc=False):
    e: Literal["trade"]
    number: UsualId = field(name="t")


class _SpotRow(PageRow, gc=False):
    number: int = field(name="id")
    time_ms: int = field(name="time")
    buyer_is_maker: bool = field(name="isBuyerMaker")


class _SpotInstrument(Struct):
    symbol: str
    baseAsset: str  # noqa: N815  # the field's name
    quoteAsset: str  # noqa: N815  # the field's name
    status: str = "TRADING"
    filters: list[InstrumentFilter] = []


class _SpotInfo(Struct):
    symbols: list[_SpotInstrument]


_info = msgspec.json.Decoder(_SpotInfo).decode
_KIND = TradeKind(
    exchange="binance",
    event="trade",
    event_id="t",
    read_frame=msgspec.json.Decoder(CombinedFrame[_SpotEvent]).decode,
    read_usual=msgspec.json.Decoder(UsualFrame[_SpotUsual]).decode,
    row_id="id",
    read_row=msgspec.json.Decoder(_SpotRow).decode,
)


class Binance:
    """Spot trades; their ids are those of ``trade``, never of ``aggTrade``."""

    name = _KIND.exchange
    rest_limits = RestLimits(
        weight=6000, per_s=60.0, used_weight_header="X-MBX-USED-WEIGHT-1M", too_much={429: 10.0, 418: 120.0}
    )
    symbols_per_connection = 200  # 1024 streams are allowed, but as a URL they would be too long
    page_trades = 1000
    page_klines = 1000
    klines_count_trades = True
    ids_prove = True
    keepalive: Keepalive | None = None

    def __init__(self, settings: Settings) -> None:
        self.ws_url = settings.binance_ws
        self.rest_url = settings.binance_rest

    def knowing(self, contracts: Mapping[str, Decimal]) -> "Binance":
        """Itself: sizes are in base units."""
        del contracts
        return self

    def opening(self, natives: Sequence[str]) -> Opening:
        """The trades of all symbols, and the 1 s kline of the first one, which carries the server's time."""
        names = [f"{native.lower()}@trade" for native in natives]
        return Opening("/stream?streams=" + "/".join([*names, f"{natives[0].lower()}@kline_1s"]))

    def read(self, frame: bytes, symbols: Mapping[str, str], received_us: int) -> Message:
        """A frame of a combined stream."""
        return read_frame(_KIND, frame, symbols, received_us)

    def read_together(
        self, frames: Sequence[bytes], symbols: Mapping[str, str], received_us: Sequence[int]
    ) -> TradeFrames | None:
        """Frames with trades that are as usual."""
        return read_together(_KIND, frames, symbols, received_us)

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
        except UNREADABLE as error:
            raise MalformedError(f"not an exchangeInfo of {self.name}: {error}") from error
        return [self._instrument(market) for market in info.symbols]

    def _instrument(self, market: _SpotInstrument) -> Instrument:
        steps = read_steps(market.filters)
        return Instrument(
            exchange=self.name,
            symbol=f"{market.baseAsset}-{market.quoteAsset}",
            native=market.symbol,
            base=market.baseAsset,
            quote=market.quoteAsset,
            status=InstrumentStatus.TRADING if market.status == "TRADING" else InstrumentStatus.HALTED,
            tick=steps.tick,
            lot=steps.lot,
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
        """A page; each row by itself."""
        return read_page(_KIND, body, request, received_us)

    def klines(self, native: str, from_ms: int, until_ms: int) -> RestRequest:
        """``klines``, weight 2: at most 1,000."""
        span = f"startTime={from_ms}&endTime={until_ms - 1}&limit={self.page_klines}"
        return RestRequest(f"/api/v3/klines?symbol={native}&interval=1m&{span}", 2)

    def read_klines(self, body: bytes) -> list[GivenCandle]:
        """All fields; ``trades`` counts trades as we do."""
        return read_klines(self.name, body)

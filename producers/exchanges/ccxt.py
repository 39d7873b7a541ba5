"""Any exchange that the library ccxt can stream, through our bridge (`producers/ccxt_bridge`): spot trades.

ccxt owns its sockets and hides their protocol, so the bridge speaks this one. A frame; each part may be absent::

    {"clock_us":1717255024403000,"trades":[["BTC/USDT","342188568","67703","0.00054","buy",1717255024403]]}

and over REST ``/trades`` with rows like these, ``/klines`` with ``[1593961440000,"1","2","0.5","1","18.4"]``, and
``/markets`` with ``{"symbol":"BTC/USDT","base":"BTC","quote":"USDT","active":true}``.

- **Ids prove nothing**: ccxt does not tell which exchanges count them up by one, nor what it left out. A trade without
  an id is refused.
- **The clock is estimated**: ours, set by the exchange's where ccxt can ask for it (`producers/ccxt_bridge/clock.py`).
- **Times are cut to seconds**, the clock's too: of some exchanges ccxt has finer ones in the stream, and not in pages.
  The milliseconds order the trades of a second whose ids are no numbers (``seq``).
- Amounts are texts; ``side`` is the taker's, as ccxt says. Spot only: of others ccxt's amounts count contracts.
- Record keys say ``ccxt-NAME``: its ids and times need not be those of an adapter of our own.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from urllib.parse import quote

import msgspec
from msgspec import Raw, Struct

from market.errors import MalformedError
from market.given_candle import GivenCandle
from market.instrument import Instrument, InstrumentStatus
from market.timeframe import SECOND_MS
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
from producers.wire import decode_as, known_field, make_candle, make_trade, number_text, read_rows, taker_side

PREFIX = "ccxt:"
"""An exchange of this name and ccxt's: ``ccxt:kucoin``."""
_SECOND_US = 1_000_000


class _CcxtFrame(Struct, gc=False):
    clock_us: int = 0
    trades: list[Raw] = []


class _CcxtRow(Struct, array_like=True, gc=False):
    symbol: str
    id: str
    price: str
    amount: str
    side: str
    timestamp: int


class _CcxtMarket(Struct):
    symbol: str
    base: str
    quote: str
    active: bool | None = None


_frame = msgspec.json.Decoder(_CcxtFrame).decode
_row = msgspec.json.Decoder(_CcxtRow).decode
_rows = msgspec.json.Decoder(list[Raw]).decode
_candles = msgspec.json.Decoder(list[tuple[int, str, str, str, str, str]]).decode
_markets = msgspec.json.Decoder(list[_CcxtMarket]).decode


class Ccxt:
    """An exchange of ccxt, at the addresses of a bridge."""

    rest_limits = RestLimits(weight=5, per_s=1.0, lag_s=1.0)  # ccxt itself keeps the exchange's limits
    symbols_per_connection = 20
    page_trades = 100
    page_klines = 100
    klines_count_trades = False
    ids_prove = False
    keepalive: Keepalive | None = None

    def __init__(self, name: str, ws_url: str, rest_url: str) -> None:
        self.name = f"ccxt-{name}"
        self.ws_url, self.rest_url = ws_url, rest_url

    def knowing(self, contracts: Mapping[str, Decimal]) -> "Ccxt":
        """Itself: sizes are in base units."""
        del contracts
        return self

    def opening(self, natives: Sequence[str]) -> Opening:
        """One frame with all symbols. The clock comes once the subscriptions certainly work."""
        return Opening("/stream", (msgspec.json.encode(list(natives)).decode(),))

    def read(self, frame: bytes, symbols: Mapping[str, str], received_us: int) -> Message:
        """A frame of the bridge."""
        wire = decode_as(_frame, frame, "a frame of the bridge to ccxt")
        rows = [row for raw in wire.trades for row in self._read([raw], symbols, received_us, Source.WS)]
        refused = [row for row in rows if isinstance(row, RefusedTrade)]
        clock_us = wire.clock_us - wire.clock_us % _SECOND_US
        return Message(clock_us, [row for row in rows if isinstance(row, Trade)], refused)

    def _read(
        self, raws: list[Raw], symbols: Mapping[str, str], received_us: int, source: Source
    ) -> list[Trade | RefusedTrade]:
        def read(raw: Raw) -> Trade:
            row = _row(raw)
            symbol = symbols.get(row.symbol)
            if symbol is None:
                raise MalformedError(f"no subscription to {row.symbol[:40]!r}")
            return make_trade(
                self.name,
                symbol,
                row.id,
                price=number_text(Raw(row.price.encode())),
                qty=number_text(Raw(row.amount.encode())),
                side=taker_side(row.side),
                time_us=row.timestamp // SECOND_MS * _SECOND_US,
                received_us=received_us,
                source=source,
                seq=row.timestamp,
            )

        rows = read_rows(raws, None, read, lambda _: None)
        return [row if isinstance(row, Trade) else row._replace(symbol=_symbol(row.raw, symbols)) for row in rows]

    def instruments(self, natives: Sequence[str]) -> RestRequest:  # noqa: ARG002  # ccxt knows all of them or none
        """``/markets``: all of them."""
        return RestRequest("/markets")

    def read_instruments(self, body: bytes) -> list[Instrument]:
        """``BTC/USDT`` is ``BTC-USDT``. Where ccxt does not know whether a market is open, it is."""
        return [
            Instrument(
                exchange=self.name,
                symbol=f"{market.base}-{market.quote}",
                native=market.symbol,
                base=market.base,
                quote=market.quote,
                status=InstrumentStatus.HALTED if market.active is False else InstrumentStatus.TRADING,
            )
            for market in decode_as(_markets, body, "markets of the bridge to ccxt")
        ]

    def native(self, symbol: str) -> str:
        """``btc-usdt`` to ``BTC/USDT``."""
        return symbol.replace("-", "/").upper()

    def trades(self, request: TradesRequest) -> RestRequest:
        """The newest trades."""
        return RestRequest(f"/trades?symbol={quote(request.native, safe='')}")

    def read_trades(self, body: bytes, request: TradesRequest, received_us: int) -> TradesPage:
        """A page; a row that is no trade becomes a `RefusedTrade`, the others count."""
        raws = decode_as(_rows, body, "a page of trades of the bridge to ccxt")
        rows = self._read(raws, {request.native: request.symbol}, received_us, Source.REST)
        return TradesPage(rows, is_whole=True)

    def klines(self, native: str, from_ms: int, until_ms: int) -> RestRequest:
        """As many candles as there are minutes."""
        query = f"symbol={quote(native, safe='')}&from_ms={from_ms}&until_ms={until_ms}"
        return RestRequest(f"/klines?{query}")

    def read_klines(self, body: bytes) -> list[GivenCandle]:
        """Prices and volume."""
        rows = decode_as(_candles, body, "candles of the bridge to ccxt")
        return [
            make_candle(
                open_ms, [number_text(Raw(text.encode())) for text in prices], number_text(Raw(volume.encode()))
            )
            for open_ms, *prices, volume in rows
        ]


def _symbol(raw: bytes, symbols: Mapping[str, str]) -> str | None:
    native = known_field(raw, 0)
    return symbols.get(native) if isinstance(native, str) else None

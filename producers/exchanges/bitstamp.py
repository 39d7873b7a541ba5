"""Bitstamp spot: its WebSocket API v2 and HTTP API v2. The exercise of `docs/exchanges.md`.

A trade on the channel ``live_trades_btcusd``, and a row of ``/api/v2/transactions/btcusd/``, the newest first::

    {"data":{"id":342188568,"amount":0.00054,"amount_str":"0.00054000","price":67703,"price_str":"67703","type":0,
     "timestamp":"1717255024","microtimestamp":"1717255024403000"},"channel":"live_trades_btcusd","event":"trade"}
    {"date":"1637845199","tid":"209895701","amount":"0.00500000","type":"0","price":"4451.25"}

``type`` 0: the taker bought. Ids ascend, but all pairs share them: they do not show what is missing.

- Times are cut to seconds, the clock's too: pages tell no finer ones, and a trade must not contradict itself.
- Heartbeats tell no time. A change of an order book does, so the book that changes most is the clock.
- A page is the last hour, however many trades that is. A pair that does not exist is acknowledged, too.
- Perpetuals are left out: their amounts may count contracts.

Source: Bitstamp's documentation, "WebSocket API v2", "HTTP API v2" (transactions, OHLC data, markets, limits).
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Literal

from msgspec import Raw, Struct, field, json

from market.errors import MalformedError
from market.given_candle import GivenCandle
from market.instrument import Instrument, InstrumentStatus
from market.timeframe import MINUTE_MS, SECOND_MS
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
from producers.wire import decode_as, digits, known_field, known_number, make_candle, make_trade, read_rows, step_of
from runtime.settings import Settings

_TRADES, _CLOCK = "live_trades_", "diff_order_book_btcusd"
_SIDES = (Side.BUY, Side.SELL)
_SECOND_US = 1_000_000


class _BitstampFrame(Struct, gc=False):
    event: str
    channel: str = ""
    data: Raw = Raw(b"null")


class _BitstampRow(Struct, gc=False):
    number: int = field(name="tid")
    type: Literal[0, 1]
    price: str
    qty: str = field(name="amount")
    time: int = field(name="date")


class _BitstampTrade(_BitstampRow, gc=False):
    number: int = field(name="id")
    price: str = field(name="price_str")
    qty: str = field(name="amount_str")
    time: int = field(name="microtimestamp")


class _BitstampMarket(Struct):
    market_symbol: str
    base_currency: str
    counter_currency: str
    trading: str
    market_type: str
    base_decimals: int = -1
    counter_decimals: int = -1


class _BitstampCandle(Struct):
    timestamp: int
    open: str
    high: str
    low: str
    close: str
    volume: str


class _BitstampCandles(Struct):
    ohlc: list[_BitstampCandle]


class _BitstampAnswer(Struct):
    data: _BitstampCandles


_frame = json.Decoder(_BitstampFrame).decode
_trade = json.Decoder(_BitstampTrade, strict=False).decode  # whole numbers may be texts, here and below
_row = json.Decoder(_BitstampRow, strict=False).decode
_rows = json.Decoder(list[Raw]).decode
_markets = json.Decoder(list[_BitstampMarket]).decode
_answer = json.Decoder(_BitstampAnswer, strict=False).decode


class Bitstamp:
    """Spot trades."""

    name = "bitstamp"
    rest_limits = RestLimits(weight=10, per_s=1.0, too_much_words=(b'"400.002"',), lag_s=1.0)
    symbols_per_connection = 50  # no limit is documented
    page_trades = 1000  # an hour with so many that does not reach back never will
    page_klines, klines_count_trades = 1000, False
    ids_prove = False
    keepalive: Keepalive | None = Keepalive('{"event":"bts:heartbeat"}', 5.0)

    def __init__(self, settings: Settings) -> None:
        self.ws_url, self.rest_url = settings.bitstamp_ws, settings.bitstamp_rest

    def knowing(self, contracts: Mapping[str, Decimal]) -> "Bitstamp":
        """Itself: sizes are in base units."""
        del contracts
        return self

    def opening(self, natives: Sequence[str]) -> Opening:
        """A frame for each channel, the clock's first."""
        channels = [_CLOCK, *(_TRADES + native for native in natives)]
        frames = [json.encode({"event": "bts:subscribe", "data": {"channel": channel}}) for channel in channels]
        return Opening("/", tuple(frame.decode() for frame in frames), acknowledged=True)

    def read(self, frame: bytes, symbols: Mapping[str, str], received_us: int) -> Message:
        """A frame of any event; those that were not asked for say nothing."""
        wire = decode_as(_frame, frame, f"a frame of {self.name}")
        native = wire.channel.removeprefix(_TRADES)
        match wire.event:
            case "trade":
                rows = self._read([wire.data], _trade, symbols.get(native), received_us)
                refused = [row for row in rows if not isinstance(row, Trade)]
                return Message(trades=[row for row in rows if isinstance(row, Trade)], refused=refused)
            case "data" if wire.channel == _CLOCK:
                time_us = digits(str(known_field(wire.data, "microtimestamp")), "microtimestamp")
                return Message(time_us - time_us % _SECOND_US)
            case "bts:subscription_succeeded" if native != wire.channel:
                return Message(accepted=(native,))
            case "bts:error":
                return Message(rejected=bytes(wire.data).decode(errors="replace"))
        return Message(closing=wire.event == "bts:request_reconnect")

    def _read(
        self, rows: list[Raw], decode: Callable[[Raw], _BitstampRow], symbol: str | None, received_us: int
    ) -> list[Trade | RefusedTrade]:
        """Rows of a page, or a trade of the stream. Its time is in microseconds, theirs in seconds."""
        is_live = decode is _trade

        def read(raw: Raw) -> Trade:
            row = decode(raw)
            if symbol is None:
                raise MalformedError("no subscription to its pair")
            return make_trade(
                self.name, symbol, row.number, price=row.price, qty=row.qty, side=_SIDES[row.type],
                time_us=(row.time // _SECOND_US if is_live else row.time) * _SECOND_US,
                received_us=received_us, source=Source.WS if is_live else Source.REST,
            )  # fmt: skip

        return read_rows(rows, symbol, read, lambda raw: known_number(known_field(raw, "id" if is_live else "tid")))

    def instruments(self, natives: Sequence[str]) -> RestRequest:  # noqa: ARG002  # there is no way to ask for a part
        """``markets``: all of them."""
        return RestRequest("/api/v2/markets/")

    def read_instruments(self, body: bytes) -> list[Instrument]:
        """``btcusd`` is ``BTC-USD``. Steps follow from the number of decimals."""
        return [
            Instrument(
                exchange=self.name, symbol=f"{market.base_currency}-{market.counter_currency}",
                native=market.market_symbol, base=market.base_currency, quote=market.counter_currency,
                status=InstrumentStatus.TRADING if market.trading == "Enabled" else InstrumentStatus.HALTED,
                tick=step_of(market.counter_decimals), lot=step_of(market.base_decimals),
            )
            for market in decode_as(_markets, body, f"the markets of {self.name}")
            if market.market_type == "SPOT"
        ]  # fmt: skip

    def native(self, symbol: str) -> str:
        """``BTC-USD`` to ``btcusd``."""
        return symbol.replace("-", "").lower()

    def trades(self, request: TradesRequest) -> RestRequest:
        """All ``transactions`` of the last hour."""
        return RestRequest(f"/api/v2/transactions/{request.native}/?time=hour")

    def read_trades(self, body: bytes, request: TradesRequest, received_us: int) -> TradesPage:
        """A page, turned around."""
        rows = decode_as(_rows, body, f"a page of trades of {self.name}")[::-1]
        return TradesPage(self._read(rows, _row, request.symbol, received_us), is_whole=True)

    def klines(self, native: str, from_ms: int, until_ms: int) -> RestRequest:
        """So many of ``ohlc`` as end with the last one: of a beginning and an end it looks at the end alone."""
        minutes, end_s = (until_ms - from_ms) // MINUTE_MS, (until_ms - MINUTE_MS) // SECOND_MS
        return RestRequest(f"/api/v2/ohlc/{native}/?step=60&limit={minutes}&end={end_s}&exclude_current_candle=true")

    def read_klines(self, body: bytes) -> list[GivenCandle]:
        """Prices and volume."""
        rows = decode_as(_answer, body, f"candles of {self.name}").data.ohlc
        return [
            make_candle(row.timestamp * SECOND_MS, (row.open, row.high, row.low, row.close), row.volume) for row in rows
        ]

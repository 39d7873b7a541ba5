"""Kraken spot: its WebSocket API v2 and its REST API.

Trades over WebSocket, on the channel ``trade``, several in a frame::

    {"channel":"trade","type":"update","data":[{"symbol":"BTC/USD","side":"buy","price":105944.20,"qty":0.00027625,
     "ord_type":"limit","trade_id":10218208,"timestamp":"2023-10-06T17:35:55.440295Z"}]}

and over REST, in a page of ``/0/public/Trades``: price, quantity, time, side, kind of order, miscellaneous, id::

    {"error":[],"result":{"XXBTZUSD":[["30243.40000","0.34507674",1688669597.8277369,"b","m","",61044952]],
     "last":"1688671969993150842"}}

``side`` is the taker's. Ids count up by one for each book; REST shows the jumps that there are. Prices and quantities
of the stream are JSON numbers, and their own digits count.

- **Times are cut to milliseconds.** Kraken's are of nanoseconds. The stream gives microseconds of them, REST a float,
  whose steps are 0.24 us in these years: so of every eighth trade REST would tell another microsecond than the stream,
  and the trade would contradict itself. Of the millisecond that is one trade in ten thousand.
- ``snapshot`` is false, and frames of the type ``snapshot`` are left out: their trades are of before the connection.
  As live trades they would say that it carries their symbol. (The documentation tells two defaults.)
- A ``pong`` carries the server's clock; ``heartbeat`` and trades carry none. So we ping each second.
- Each symbol is acknowledged, or refused, in a frame of its own.
- REST pages go by time: a page may begin with trades of the same millisecond as the known one. So it is always
  asked for at full length: a short one might end before it.
- REST has other names: ``XBT`` and ``XDG`` for ``BTC`` and ``DOGE``, and no slash.

Source: Kraken's API documentation, Spot WebSocket v2 "Trades" and "Ping", Spot REST "Get Recent Trades", "Get OHLC
Data", "Get Tradable Asset Pairs", and its support article on the limits of the REST API.
"""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import msgspec
from msgspec import Raw, Struct

from market.errors import MalformedError
from market.given_candle import GivenCandle
from market.instrument import Instrument, InstrumentStatus
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
from producers.wire import (
    UNREADABLE,
    decode_as,
    iso_us,
    known_field,
    known_number,
    make_candle,
    make_trade,
    number_text,
    read_rows,
    seconds_us,
    step_of,
    step_or_none,
    taker_side,
)
from runtime.settings import Settings

_MS = 1_000
_NO_PAIR = "Currency pair not supported"
"""The error of a subscription to a symbol that there is not."""
_REST_NAMES = {"BTC": "XBT", "DOGE": "XDG"}
_NAMES = {rest: ours for ours, rest in _REST_NAMES.items()}
_REST_SIDES = {"b": Side.BUY, "s": Side.SELL}
_TRADED = {"online", "limit_only", "reduce_only"}
"""The states of a pair in which orders are still matched."""
_PLACE_OF_ID = 6


class _KrakenSubscription(Struct):
    channel: str = ""
    symbol: str = ""


class _KrakenFrame(Struct, gc=False):
    channel: str = ""
    type: str = ""
    data: list[Raw] = []
    method: str = ""
    success: bool = True
    error: str | None = None
    symbol: str = ""
    result: _KrakenSubscription | None = None
    time_out: str = ""


class _KrakenTrade(Struct, gc=False):
    symbol: str
    side: str
    price: Raw
    qty: Raw
    trade_id: int
    timestamp: str


class _KrakenAnswer(Struct):
    error: list[str]
    result: dict[str, Raw] = {}


class _KrakenPair(Struct):
    wsname: str = ""
    tick_size: str | None = None
    lot_decimals: int = -1
    status: str = "online"


_frame = msgspec.json.Decoder(_KrakenFrame).decode
_trade = msgspec.json.Decoder(_KrakenTrade).decode
_answer = msgspec.json.Decoder(_KrakenAnswer).decode
_pair = msgspec.json.Decoder(_KrakenPair).decode
_rows = msgspec.json.Decoder(list[Raw]).decode
_row = msgspec.json.Decoder(tuple[str, str, Raw, str, Any, Any, int]).decode
_candles = msgspec.json.Decoder(list[tuple[int, str, str, str, str, str, str, int]]).decode


class Kraken:
    """Spot trades."""

    name = "kraken"
    rest_limits = RestLimits(
        weight=1,
        per_s=1.0,
        too_much_words=(b"EAPI:Rate limit exceeded", b"EGeneral:Too many requests", b"EService:Throttled"),
    )
    symbols_per_connection = 200  # no limit is documented
    page_trades = 1000
    page_klines = 720
    klines_count_trades = True
    ids_prove = True
    keepalive: Keepalive | None = Keepalive('{"method":"ping"}', 1.0)

    def __init__(self, settings: Settings) -> None:
        self.ws_url = settings.kraken_ws
        self.rest_url = settings.kraken_rest

    def knowing(self, contracts: Mapping[str, Decimal]) -> "Kraken":
        """Itself: sizes are in base units."""
        del contracts
        return self

    def opening(self, natives: Sequence[str]) -> Opening:
        """One frame with all symbols."""
        params = {"channel": "trade", "symbol": list(natives), "snapshot": False}
        subscription = msgspec.json.encode({"method": "subscribe", "params": params}).decode()
        return Opening("/v2", (subscription,), acknowledged=True)

    def read(self, frame: bytes, symbols: Mapping[str, str], received_us: int) -> Message:
        """A frame of any channel or method; those that were not asked for say nothing."""
        wire = decode_as(_frame, frame, f"a frame of {self.name}")
        if wire.channel == "trade":
            return self._trades(wire.data, symbols, received_us) if wire.type == "update" else Message()
        if not wire.success:
            untaken = (wire.symbol,) if wire.symbol and (wire.error or "").startswith(_NO_PAIR) else ()
            return Message(rejected=f"{wire.error} {wire.symbol}".strip(), untaken=untaken)
        if wire.method == "pong":
            return Message(iso_us(wire.time_out))
        if wire.method == "subscribe" and wire.result is not None and wire.result.channel == "trade":
            return Message(accepted=(wire.result.symbol,))
        if not wire.channel and not wire.method:
            raise MalformedError(f"a frame of {self.name} without channel and method")
        return Message()

    def _trades(self, rows: list[Raw], symbols: Mapping[str, str], received_us: int) -> Message:
        trades: list[Trade] = []
        refused: list[RefusedTrade] = []
        for row in rows:
            try:
                trades.append(self._live(row, symbols, received_us))
            except (*UNREADABLE, MalformedError) as error:
                raw = bytes(row)
                native = known_field(raw, "symbol")
                symbol = symbols.get(native) if isinstance(native, str) else None
                refused.append(RefusedTrade(raw, str(error), symbol, known_number(known_field(raw, "trade_id"))))
        return Message(trades=trades, refused=refused)

    def _live(self, raw: Raw, symbols: Mapping[str, str], received_us: int) -> Trade:
        trade = _trade(raw)
        symbol = symbols.get(trade.symbol)
        if symbol is None:
            raise MalformedError(f"no subscription to {trade.symbol[:40]!r}")
        return make_trade(
            self.name,
            symbol,
            trade.trade_id,
            price=number_text(trade.price),
            qty=number_text(trade.qty),
            side=taker_side(trade.side),
            time_us=_whole_ms(iso_us(trade.timestamp)),
            received_us=received_us,
            source=Source.WS,
        )

    def instruments(self, natives: Sequence[str]) -> RestRequest:  # noqa: ARG002  # an unknown name would spoil a part
        """``AssetPairs``: all of them."""
        return RestRequest("/0/public/AssetPairs")

    def read_instruments(self, body: bytes) -> list[Instrument]:
        """``XBT/USD`` is ``BTC/USD`` in streams, and ``BTC-USD`` for us; pairs without streams are left out."""
        pairs = [decode_as(_pair, raw, f"a pair of {self.name}") for raw in self._result(body).values()]
        return [self._instrument(pair) for pair in pairs if pair.wsname.count("/") == 1]

    def _instrument(self, pair: _KrakenPair) -> Instrument:
        base, quote = (_NAMES.get(asset, asset) for asset in pair.wsname.split("/"))
        return Instrument(
            exchange=self.name,
            symbol=f"{base}-{quote}",
            native=f"{base}/{quote}",
            base=base,
            quote=quote,
            status=_status(pair.status),
            tick=step_or_none(pair.tick_size),
            lot=step_of(pair.lot_decimals),
        )

    def native(self, symbol: str) -> str:
        """``btc-usd`` to ``BTC/USD``."""
        return symbol.replace("-", "/").upper()

    def trades(self, request: TradesRequest) -> RestRequest:
        """A page of ``Trades``: those behind a time in nanoseconds or, for the newest, without one."""
        path = f"/0/public/Trades?pair={_rest_name(request.native)}"
        if request.known is None:
            return RestRequest(f"{path}&count={request.limit}")
        return RestRequest(f"{path}&since={request.known_us * 1000 - 1}&count={self.page_trades}")

    def read_trades(self, body: bytes, request: TradesRequest, received_us: int) -> TradesPage:
        """A page; a row that is no trade becomes a `RefusedTrade`, the others count."""
        rows = decode_as(_rows, self._of_pair(body), f"a page of trades of {self.name}")

        def read(raw: Raw) -> Trade:
            price, qty, time_s, side, _, _, number = _row(raw)
            if side not in _REST_SIDES:
                raise MalformedError(f"side is {side[:20]!r}, not b or s")
            return make_trade(
                self.name,
                request.symbol,
                number,
                price=price,
                qty=qty,
                side=_REST_SIDES[side],
                time_us=_whole_ms(seconds_us(number_text(time_s))),
                received_us=received_us,
                source=Source.REST,
            )

        is_whole = request.known is None or len(rows) < self.page_trades
        return TradesPage(read_rows(rows, request.symbol, read, _number), is_whole=is_whole)

    def klines(self, native: str, from_ms: int, until_ms: int) -> RestRequest:  # noqa: ARG002  # there is no end to give
        """``OHLC`` from a time on, to now: of the newest 720."""
        return RestRequest(f"/0/public/OHLC?pair={_rest_name(native)}&interval=1&since={from_ms // 1000 - 1}")

    def read_klines(self, body: bytes) -> list[GivenCandle]:
        """Without the last row: its minute is not over. The turnover is not given: the vwap is rounded."""
        rows = decode_as(_candles, self._of_pair(body), f"candles of {self.name}")
        return [make_candle(open_s * 1000, prices, volume, trades) for open_s, *prices, _, volume, trades in rows[:-1]]

    def _result(self, body: bytes) -> dict[str, Raw]:
        answer = decode_as(_answer, body, f"an answer of {self.name}")
        if answer.error:
            raise MalformedError(f"{self.name} answers {', '.join(answer.error)[:200]}")
        return answer.result

    def _of_pair(self, body: bytes) -> Raw:
        """What stands in the result beside ``last``: its key is Kraken's own name of the pair."""
        parts = [part for name, part in self._result(body).items() if name != "last"]
        if len(parts) != 1:
            raise MalformedError(f"an answer of {self.name} about {len(parts)} pairs, not 1")
        return parts[0]


def _rest_name(native: str) -> str:
    return "".join(_REST_NAMES.get(asset, asset) for asset in native.split("/"))


def _status(status: str) -> InstrumentStatus:
    if status == "delisted":
        return InstrumentStatus.DELISTED
    return InstrumentStatus.TRADING if status in _TRADED else InstrumentStatus.HALTED


def _whole_ms(time_us: int) -> int:
    return time_us // _MS * _MS


def _number(raw: bytes) -> int | None:
    return known_number(known_field(raw, _PLACE_OF_ID))

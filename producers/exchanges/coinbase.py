"""Coinbase Exchange (not Advanced Trade): its public market data feed and REST API.

A trade over WebSocket, on the channel ``matches``::

    {"type":"match","trade_id":10,"sequence":50,"maker_order_id":"ac928c66-ca53-498f-9c13-a110027a60e8",
     "taker_order_id":"132fb6ae-456b-4654-b4e0-d681ac05cea1","time":"2014-11-07T08:19:27.028459Z",
     "product_id":"BTC-USD","size":"5.23512","price":"400.23","side":"sell"}

and over REST, in a page of ``/products/BTC-USD/trades``, the newest first::

    [{"time":"2014-11-07T22:19:28.578544Z","trade_id":74,"price":"10.00000000","size":"0.01000000","side":"buy"}]

``side`` is the maker's, so the taker's is the other one. The trade ids of a product count up by one. Times have
microseconds, everywhere the same.

- ``last_match``, which comes after a subscription, is left out: it is a trade of before, and may come before the
  acknowledgement. As a live trade it would say that the connection carries its symbol. REST gives it too.
- ``heartbeat`` carries the server's clock each second. One product's is enough: its ``last_trade_id`` is of no use,
  for years it was always 0 (preichenberger/go-coinbasepro, issue 89).
- A ``match`` has one time only, its trade's, which is the message's clock too.
- An ``error`` refuses all that was asked for: the subscriptions of one message are taken together or not at all.

Source: Coinbase's Exchange documentation, "WebSocket Channels", "WebSocket Overview", "WebSocket Errors", "REST API
Pagination", "Get product trades", "Get product candles", "Get all known trading pairs", "REST Rate Limits".
"""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal

import msgspec
from msgspec import Raw, Struct

from market.decimals import parse_decimal
from market.errors import MalformedError
from market.given_candle import GivenCandle
from market.instrument import Instrument, InstrumentStatus
from market.limits import VOLUME
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
    step_or_none,
)
from runtime.settings import Settings

_MATCHES = "matches"
_no_product = re.compile(r"(\S+) is not a valid product").match
_TAKERS = {"buy": Side.SELL, "sell": Side.BUY}
"""The taker's side by the maker's."""
_VOLUME_STEP = Decimal(1).scaleb(-VOLUME.places)
_ROUNDING = Context(prec=100, rounding=ROUND_HALF_EVEN)


class _CoinbaseChannel(Struct):
    name: str
    product_ids: list[str] | None = None


class _CoinbaseEvent(Struct, gc=False):
    type: str
    product_id: str = ""
    trade_id: int = -1
    price: str = ""
    size: str = ""
    side: str = ""
    time: str = ""
    channels: list[_CoinbaseChannel] = []
    message: str = ""
    reason: str = ""


class _CoinbaseTrade(Struct, gc=False):
    """A row of a page."""

    trade_id: int
    price: str
    size: str
    side: str
    time: str


class _CoinbaseProduct(Struct):
    id: str
    base_currency: str
    quote_currency: str
    quote_increment: str | None = None
    base_increment: str | None = None
    status: str = "online"
    trading_disabled: bool = False


_event = msgspec.json.Decoder(_CoinbaseEvent).decode
_rows = msgspec.json.Decoder(list[Raw]).decode
_row = msgspec.json.Decoder(_CoinbaseTrade).decode
_products = msgspec.json.Decoder(list[_CoinbaseProduct]).decode
_candles = msgspec.json.Decoder(list[tuple[int, Raw, Raw, Raw, Raw, Raw]]).decode


class Coinbase:
    """Spot trades of the central limit order books."""

    name = "coinbase"
    rest_limits = RestLimits(weight=10, per_s=1.0)
    symbols_per_connection = 100  # the documentation advises to spread them, and names no number
    page_trades = 1000
    page_klines = 300
    klines_count_trades = False
    ids_prove = True
    keepalive: Keepalive | None = None

    def __init__(self, settings: Settings) -> None:
        self.ws_url = settings.coinbase_ws
        self.rest_url = settings.coinbase_rest

    def knowing(self, contracts: Mapping[str, Decimal]) -> "Coinbase":
        """Itself: sizes are in base units."""
        del contracts
        return self

    def opening(self, natives: Sequence[str]) -> Opening:
        """One frame, which has to come within 5 s: all trades, and the first product's heartbeat for the clock."""
        channels = [
            {"name": _MATCHES, "product_ids": list(natives)},
            {"name": "heartbeat", "product_ids": [natives[0]]},
        ]
        subscription = msgspec.json.encode({"type": "subscribe", "channels": channels}).decode()
        return Opening("/", (subscription,), acknowledged=True)

    def read(self, frame: bytes, symbols: Mapping[str, str], received_us: int) -> Message:
        """A frame of the feed; types that were not asked for say nothing."""
        try:
            event = _event(frame)
        except UNREADABLE as error:
            return self._not_an_event(frame, symbols, error)
        match event.type:
            case "match":
                return self._match(event, frame, symbols, received_us)
            case "heartbeat":
                return Message(iso_us(event.time))
            case "subscriptions":
                channels = [channel for channel in event.channels if channel.name == _MATCHES]
                return Message(accepted=tuple(native for channel in channels for native in channel.product_ids or ()))
            case "error":
                named = _no_product(event.reason)
                culprit = named[1] if named is not None and named[1] in symbols else None
                untaken = () if culprit is None else tuple(symbols)  # there is one request for all
                return Message(rejected=f"{event.message} {event.reason}".strip(), untaken=untaken, culprit=culprit)
        return Message()

    def _match(self, event: _CoinbaseEvent, frame: bytes, symbols: Mapping[str, str], received_us: int) -> Message:
        symbol = symbols.get(event.product_id)
        if symbol is None:
            return Message(refused=(RefusedTrade(frame, f"no subscription to {event.product_id[:40]!r}"),))
        try:
            trade = self._trade(event, symbol, received_us, Source.WS)
        except MalformedError as error:
            return Message(refused=(RefusedTrade(frame, str(error), symbol, known_number(event.trade_id)),))
        return Message(trade.time_us, (trade,))

    def _trade(self, row: _CoinbaseEvent | _CoinbaseTrade, symbol: str, received_us: int, source: Source) -> Trade:
        side = _TAKERS.get(row.side)
        if side is None:
            raise MalformedError(f"side is {row.side[:20]!r}, not buy or sell")
        return make_trade(
            self.name,
            symbol,
            row.trade_id,
            price=row.price,
            qty=row.size,
            side=side,
            time_us=iso_us(row.time),
            received_us=received_us,
            source=source,
        )

    def _not_an_event(self, frame: bytes, symbols: Mapping[str, str], error: Exception) -> Message:
        """What is known of a frame with a wrong field; `MalformedError` where it is no frame of the feed."""
        kind = known_field(frame, "type")
        if kind == "match":
            native = known_field(frame, "product_id")
            symbol = symbols.get(native) if isinstance(native, str) else None
            return Message(refused=(RefusedTrade(frame, str(error), symbol, _number(frame)),))
        if not isinstance(kind, str) or kind in ("heartbeat", "subscriptions", "error"):
            raise MalformedError(f"not a frame of {self.name}: {error}") from error
        return Message()

    def instruments(self, natives: Sequence[str]) -> RestRequest:  # noqa: ARG002  # there is no way to ask for a part
        """``/products``: all of them."""
        return RestRequest("/products")

    def read_instruments(self, body: bytes) -> list[Instrument]:
        """``BTC-USD`` is the same natively and ours."""
        products = decode_as(_products, body, f"the products of {self.name}")
        return [
            Instrument(
                exchange=self.name,
                symbol=f"{product.base_currency}-{product.quote_currency}",
                native=product.id,
                base=product.base_currency,
                quote=product.quote_currency,
                status=_status(product),
                tick=step_or_none(product.quote_increment),
                lot=step_or_none(product.base_increment),
            )
            for product in products
        ]

    def native(self, symbol: str) -> str:
        """``btc-usd`` to ``BTC-USD``."""
        return symbol.upper()

    def trades(self, request: TradesRequest) -> RestRequest:
        """A page of ``trades``: the newest ones below an id, so many that `known` is the oldest of them."""
        path = f"/products/{request.native}/trades?limit={request.limit}"
        return RestRequest(path if request.known is None else f"{path}&after={request.known + request.limit}")

    def read_trades(self, body: bytes, request: TradesRequest, received_us: int) -> TradesPage:
        """A page, turned around. It is whole where even the greatest id that was asked for does not exist yet."""
        rows = decode_as(_rows, body, f"a page of trades of {self.name}")

        def read(raw: Raw) -> Trade:
            return self._trade(_row(raw), request.symbol, received_us, Source.REST)

        read_in_order = read_rows(rows[::-1], request.symbol, read, _number)
        # How many rows it has says nothing: below `known` there are always more.
        numbers = [row.number if isinstance(row, RefusedTrade) else int(row.trade_id) for row in read_in_order]
        last = None if request.known is None else request.known + request.limit - 1
        return TradesPage(read_in_order, is_whole=last is None or all(n is not None and n < last for n in numbers))

    def klines(self, native: str, from_ms: int, until_ms: int) -> RestRequest:
        """``candles``: at most 300. The answer may hold some of before `from_ms`, and none for a minute without trades.

        The documentation does not say whether the end belongs to the range: so it is the last millisecond.
        """
        span = f"start={_iso(from_ms)}&end={_iso(until_ms - 1)}"
        return RestRequest(f"/products/{native}/candles?granularity=60&{span}")

    def read_klines(self, body: bytes) -> list[GivenCandle]:
        """Prices and volume, which are JSON numbers; the newest comes first."""
        rows = decode_as(_candles, body, f"candles of {self.name}")
        candles = []
        for open_s, *numbers in reversed(rows):
            low, high, opened, close, volume = map(number_text, numbers)
            candles.append(make_candle(open_s * 1000, (opened, high, low, close), _without_noise(volume)))
        return candles


def _status(product: _CoinbaseProduct) -> InstrumentStatus:
    if product.status == "delisted":
        return InstrumentStatus.DELISTED
    is_open = product.status == "online" and not product.trading_disabled
    return InstrumentStatus.TRADING if is_open else InstrumentStatus.HALTED


def _without_noise(volume: str) -> str:
    """Coinbase adds up volumes as floats (``14.697630010000001``): digits behind the 18th place are noise."""
    is_short = len(volume.partition(".")[2]) <= VOLUME.places
    return volume if is_short else format(parse_decimal(volume).quantize(_VOLUME_STEP, context=_ROUNDING), "f")


def _iso(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _number(raw: bytes) -> int | None:
    return known_number(known_field(raw, "trade_id"))

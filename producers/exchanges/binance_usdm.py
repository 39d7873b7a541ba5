"""Binance USD-M futures: aggregate trades of perpetual and dated contracts with their margin in dollars.

A trade over WebSocket, in a combined stream of the address ``/market``::

    {"stream":"btcusdt@aggTrade","data":{"e":"aggTrade","E":123456789,"s":"BTCUSDT","a":5933014,"p":"0.001","q":"100",
     "nq":"100","f":100,"l":105,"T":123456785,"m":true}}

and over REST, in a page of ``/fapi/v1/aggTrades``::

    [{"a":26129,"p":"0.01633102","q":"4.70443515","f":27781,"l":27781,"T":1498793709153,"m":true}]

- *Ids.* ``a`` counts up by one for each symbol. USD-M publishes no stream of single trades officially. An aggregate
  holds the fills of 100 ms at one price from one side (``f`` to ``l``). Fills of the insurance fund and of automatic
  deleveraging are in none.
- *Quantity.* ``q`` counts all market trades, those against RPI orders (retail price improvement) too, as REST does; in
  streams ``nq`` leaves those out. So ``q`` is the quantity. The documentation does not say whether klines count RPI
  trades, the insurance fund or deleveraging: a kline may differ from our candle. Its number of trades counts fills.
- *Address.* On the old one (without ``/market``), which ended on 2026-04-23, a subscription is acknowledged, and then
  nothing comes.
- *Clock.* ``markPrice@1s`` comes each second while nobody trades, and ``E`` is the server's clock. An aggregate is sent
  up to 160 ms after its time ``T`` (in the capture that the tests replay): the feed grants more before it marks.
- *Names.* The record key's exchange is ``binance``, as for spot: the symbol tells the market. ``BTCUSDT`` is
  ``BTC-USDT-PERP``, ``BTCUSDT_240628`` is ``BTC-USDT-240628``.

Source: Binance's derivatives documentation, USDⓈ-M Futures: "Aggregate Trade Streams", "Mark Price Stream", "Important
WebSocket Change Notice", "Compressed/Aggregate Trades List", "Kline/Candlestick Data", "Exchange Information"; for the
silence on the old address issue 261 of `binance/binance-futures-connector-python`.
"""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Literal

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

_PERPETUAL = "PERP"
_is_delivery = re.compile(r"[0-9]{6}").fullmatch
_STATUSES = {
    "TRADING": InstrumentStatus.TRADING,
    "DELIVERED": InstrumentStatus.DELISTED,
    "CLOSE": InstrumentStatus.DELISTED,
}
"""Of the others (pending, settling, delivering) a contract is not traded for now."""


class _AggregateEvent(StreamEvent, gc=False):
    number: int = field(name="a", default=-1)


class _AggregateUsual(UsualEvent, gc=False):
    e: Literal["aggTrade"]
    number: UsualId = field(name="a")


class _AggregateRow(PageRow, gc=False):
    number: int = field(name="a")
    price: str = field(name="p")
    qty: str = field(name="q")
    time_ms: int = field(name="T")
    buyer_is_maker: bool = field(name="m")


class _Contract(Struct):
    symbol: str
    baseAsset: str  # noqa: N815  # the field's name
    quoteAsset: str  # noqa: N815  # the field's name
    contractType: str = ""  # noqa: N815  # the field's name
    status: str = ""
    onboardDate: int | None = None  # noqa: N815  # the field's name
    filters: list[InstrumentFilter] = []


class _ContractsInfo(Struct):
    symbols: list[_Contract]


_info = msgspec.json.Decoder(_ContractsInfo).decode
_KIND = TradeKind(
    exchange="binance",
    event="aggTrade",
    event_id="a",
    read_frame=msgspec.json.Decoder(CombinedFrame[_AggregateEvent]).decode,
    read_usual=msgspec.json.Decoder(UsualFrame[_AggregateUsual]).decode,
    row_id="a",
    read_row=msgspec.json.Decoder(_AggregateRow).decode,
)


class BinanceUsdM:
    """Aggregate trades of USD-M futures."""

    name = _KIND.exchange
    rest_limits = RestLimits(
        weight=2400, per_s=60.0, used_weight_header="X-MBX-USED-WEIGHT-1M", too_much={429: 10.0, 418: 120.0}
    )
    symbols_per_connection = 200  # 1024 streams are allowed, but as a URL they would be too long
    page_trades = 1000
    page_klines = 1000
    klines_count_trades = False
    ids_prove = True
    keepalive: Keepalive | None = None

    def __init__(self, settings: Settings) -> None:
        self.ws_url = settings.binance_usdm_ws
        self.rest_url = settings.binance_usdm_rest

    def knowing(self, contracts: Mapping[str, Decimal]) -> "BinanceUsdM":
        """Itself: sizes are in base units."""
        del contracts
        return self

    def opening(self, natives: Sequence[str]) -> Opening:
        """The trades of all symbols, and the mark price of the first one, which carries the server's time."""
        names = [f"{native.lower()}@aggTrade" for native in natives]
        return Opening("/market/stream?streams=" + "/".join([*names, f"{natives[0].lower()}@markPrice@1s"]))

    def read(self, frame: bytes, symbols: Mapping[str, str], received_us: int) -> Message:
        """A frame of a combined stream."""
        return read_frame(_KIND, frame, symbols, received_us)

    def read_together(
        self, frames: Sequence[bytes], symbols: Mapping[str, str], received_us: Sequence[int]
    ) -> TradeFrames | None:
        """Frames with trades that are as usual."""
        return read_together(_KIND, frames, symbols, received_us)

    def instruments(self, natives: Sequence[str]) -> RestRequest:
        """``exchangeInfo``, weight 1: it knows no filter."""
        del natives
        return RestRequest("/fapi/v1/exchangeInfo")

    def read_instruments(self, body: bytes) -> list[Instrument]:
        """Perpetual contracts (of stocks and metals too, ``TRADIFI_PERPETUAL``) and dated ones."""
        try:
            info = _info(body)
        except UNREADABLE as error:
            raise MalformedError(f"not an exchangeInfo of {self.name}: {error}") from error
        return [self._instrument(contract, end) for contract in info.symbols if (end := _end_of(contract)) is not None]

    def _instrument(self, contract: _Contract, end: str) -> Instrument:
        steps = read_steps(contract.filters)
        return Instrument(
            exchange=self.name,
            symbol=f"{contract.baseAsset}-{contract.quoteAsset}-{end}",
            native=contract.symbol,
            base=contract.baseAsset,
            quote=contract.quoteAsset,
            status=_STATUSES.get(contract.status, InstrumentStatus.HALTED),
            tick=steps.tick,
            lot=steps.lot,
            since_ms=contract.onboardDate,
        )

    def native(self, symbol: str) -> str:
        """``btc-usdt-perp`` to ``BTCUSDT``, ``btc-usdt-240628`` to ``BTCUSDT_240628``."""
        base, *rest = symbol.upper().split("-")
        pair, end = base + "".join(rest[:1]), "".join(rest[1:])
        return pair if end in {"", _PERPETUAL} else f"{pair}_{end}"

    def trades(self, request: TradesRequest) -> RestRequest:
        """A page of ``aggTrades``, weight 20; without a known id the newest."""
        path = f"/fapi/v1/aggTrades?symbol={request.native}&limit={request.limit}"
        return RestRequest(path if request.known is None else f"{path}&fromId={request.known}", 20)

    def read_trades(self, body: bytes, request: TradesRequest, received_us: int) -> TradesPage:
        """A page; each row by itself."""
        return read_page(_KIND, body, request, received_us)

    def klines(self, native: str, from_ms: int, until_ms: int) -> RestRequest:
        """``klines``, weight 5: at most 1,000."""
        span = f"startTime={from_ms}&endTime={until_ms - 1}&limit={self.page_klines}"
        return RestRequest(f"/fapi/v1/klines?symbol={native}&interval=1m&{span}", 5)

    def read_klines(self, body: bytes) -> list[GivenCandle]:
        """All fields; ``trades`` counts fills, of which one of our trades may hold several."""
        return read_klines(self.name, body)


def _end_of(contract: _Contract) -> str | None:
    """What the symbol ends with: ``PERP`` or the day of delivery; None: another kind of contract."""
    _, dash, day = contract.symbol.partition("_")
    if dash:
        return day if _is_delivery(day) else None
    return _PERPETUAL if contract.contractType.endswith("PERPETUAL") else None

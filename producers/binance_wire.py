"""What Binance's markets write alike: frames of combined streams, pages of trades, klines, steps of instruments.

Spot and USD-M futures differ in which events are trades and in the names of a few fields: a `TradeKind` tells them.
A frame or a row that is JSON but no trade of ours becomes a `RefusedTrade`; the other rows of its page count. Frames
that are all as usual are read together (`read_together`), the others each for itself (`read_frame`): what comes out is
the same.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from decimal import Decimal
from typing import Annotated, Any, Generic, NamedTuple, TypeVar

import msgspec
from msgspec import Meta, Struct

from market.decimals import parse_decimal
from market.encoded_trades import EncodedTrades, no_trades
from market.errors import MalformedError
from market.fields import MAX_TIME_US
from market.given_candle import GivenCandle
from market.limits import check_amounts_of_candle, count_short_amounts
from market.trade import Side, Source, Trade
from producers.exchange import Message, RefusedTrade, TimesTold, TradeFrames, TradesPage, TradesRequest
from producers.wire import EARLIEST_US, MAX_ID, UNREADABLE, known_number, make_trade, read_rows, step_or_none

_MS = 1_000
_WS = Source.WS
_TAKER = {True: Side.SELL, False: Side.BUY}
"""The taker's side, by whether the buyer was the maker."""
_PRICE_FILTER, _LOT_FILTER = "PRICE_FILTER", "LOT_SIZE"


class StreamEvent(Struct, gc=False):
    """An event of a stream; the fields of a trade, as far as all markets name them alike."""

    number: int = -1
    """The trade's id."""
    e: str = ""
    """The kind of event."""
    E: int = 0
    """The server's clock, milliseconds."""
    s: str = ""
    p: str = ""
    q: str = ""
    T: int = 0
    """The trade's time, milliseconds."""
    m: bool = False
    """The buyer was the maker, so the taker sold."""


EventT_co = TypeVar("EventT_co", bound=StreamEvent, covariant=True)


class CombinedFrame(Struct, Generic[EventT_co], gc=False):
    """A frame of a combined stream; an event of the server itself may come without the wrapping."""

    data: EventT_co | None = None
    e: str = ""


UsualId = Annotated[int, Meta(ge=0, lt=MAX_ID)]


class UsualEvent(Struct, gc=False):
    """An event that is certainly a trade, if its amounts are: all is there, and within its limits."""

    number: UsualId
    E: int
    s: str
    p: str
    q: str
    T: Annotated[int, Meta(ge=EARLIEST_US // _MS, lt=MAX_TIME_US // _MS)]
    m: bool


UsualT_co = TypeVar("UsualT_co", bound=UsualEvent, covariant=True)


class UsualFrame(Struct, Generic[UsualT_co], gc=False):
    """A frame of a combined stream with such an event."""

    data: UsualT_co
    e: str = ""


class PageRow(Struct, gc=False):
    """A row of a page of trades."""

    number: int
    price: str
    qty: str
    time_ms: int
    buyer_is_maker: bool


class TradeKind(NamedTuple):
    """One kind of Binance's trades."""

    exchange: str
    event: str
    """``e`` of its stream's events."""
    event_id: str
    """The field of an event that holds the trade's id."""
    read_frame: Callable[[bytes], CombinedFrame[StreamEvent]]
    read_usual: Callable[[bytes], UsualFrame[UsualEvent]]
    """Raises for a frame that is not as usual."""
    row_id: str
    """The field of a row that holds the trade's id."""
    read_row: Callable[[msgspec.Raw], PageRow]


class _AnyEvent(Struct, gc=False):
    """What can still be read of an event or a row that does not have the types of a trade."""

    e: Any = None
    E: Any = None
    s: Any = None
    t: Any = None
    a: Any = None
    id: Any = None


class _AnyFrame(Struct, gc=False):
    data: _AnyEvent


class InstrumentFilter(Struct):
    """One of an instrument's rules for orders."""

    filterType: str = ""  # noqa: N815  # the field's name
    tickSize: str | None = None  # noqa: N815  # the field's name
    stepSize: str | None = None  # noqa: N815  # the field's name


class InstrumentSteps(NamedTuple):
    """The least steps of an instrument's price and size; None: not told."""

    tick: Decimal | None
    lot: Decimal | None


_any_frame = msgspec.json.Decoder(_AnyFrame).decode
_any_row = msgspec.json.Decoder(_AnyEvent).decode
_rows = msgspec.json.Decoder(list[msgspec.Raw]).decode
_klines = msgspec.json.Decoder(list[tuple[int, str, str, str, str, str, int, str, int, str, str, Any]]).decode


def read_frame(kind: TradeKind, frame: bytes, symbols: Mapping[str, str], received_us: int) -> Message:
    """Read a frame of a combined stream; `MalformedError` where it is none."""
    try:
        wire = kind.read_frame(frame)
    except UNREADABLE as error:
        return _unread(kind, frame, symbols, error)
    event = wire.data
    if event is None or event.e != kind.event:
        name = wire.e if event is None else event.e
        return Message(0 if event is None else event.E * _MS, closing=name == "serverShutdown")
    symbol = symbols.get(event.s)
    if symbol is None:
        return Message(event.E * _MS, refused=(RefusedTrade(frame, f"no subscription to {event.s!r}"),))
    try:
        trade = make_trade(
            kind.exchange,
            symbol,
            event.number,
            price=event.p,
            qty=event.q,
            side=_TAKER[event.m],
            time_us=event.T * _MS,
            received_us=received_us,
            source=_WS,
        )
    except MalformedError as error:
        refused = RefusedTrade(frame, str(error), symbol, known_number(event.number))
        return Message(event.E * _MS, refused=(refused,))
    return Message(event.E * _MS, (trade,))


def read_together(
    kind: TradeKind, frames: Sequence[bytes], symbols: Mapping[str, str], received_us: Sequence[int]
) -> TradeFrames | None:
    """Read the frames that are as usual, up to the first one that is not."""
    read: list[UsualFrame[UsualEvent]] = []
    with suppress(*UNREADABLE):
        read.extend(map(kind.read_usual, frames))
    events = [frame.data for frame in read]
    del events[count_short_amounts([f"{event.p} {event.q}" for event in events]) :]
    trades: dict[str, EncodedTrades] = {}
    for number, (event, came_us) in enumerate(zip(events, received_us, strict=False)):
        of_symbol = trades.get(event.s)
        if of_symbol is None:
            try:
                of_symbol = trades[event.s] = no_trades(kind.exchange, symbols[event.s])
            except (LookupError, MalformedError):
                del events[number:]
                break
        of_symbol.add(event.number, event.p, event.q, _TAKER[event.m], time_us=event.T * _MS, received_us=came_us)
    count = len(events)
    return TradeFrames(frames[:count], received_us[:count], _times_of(events), trades) if events else None


def _times_of(events: Sequence[UsualEvent]) -> TimesTold:
    leads_ms = [event.E - event.T for event in events]
    return TimesTold(
        server_us=max([event.E for event in events]) * _MS,
        trade_us=max([event.T for event in events]) * _MS,
        last_us=events[-1].T * _MS,
        least_lead_us=min(leads_ms) * _MS,
        greatest_lead_us=max(leads_ms) * _MS,
    )


def _unread(kind: TradeKind, frame: bytes, symbols: Mapping[str, str], error: Exception) -> Message:
    """A frame whose fields do not have the types of a trade: another stream's event, or a trade that is refused."""
    try:
        event = _any_frame(frame).data
    except UNREADABLE:
        raise MalformedError(f"not a frame of {kind.exchange}: {error}") from error
    if isinstance(event.e, str) and event.e != kind.event:
        return Message(event.E * _MS if isinstance(event.E, int) else 0)
    symbol = symbols.get(event.s) if isinstance(event.s, str) else None
    return Message(refused=(RefusedTrade(frame, str(error), symbol, known_number(getattr(event, kind.event_id))),))


def read_page(kind: TradeKind, body: bytes, request: TradesRequest, received_us: int) -> TradesPage:
    """Read a page of trades, each row by itself; `MalformedError` where it is no page."""
    try:
        rows = _rows(body)
    except UNREADABLE as error:
        raise MalformedError(f"not a page of trades of {kind.exchange}: {error}") from error

    def read(raw: msgspec.Raw) -> Trade:
        row = kind.read_row(raw)
        return make_trade(
            kind.exchange,
            request.symbol,
            row.number,
            price=row.price,
            qty=row.qty,
            side=_TAKER[row.buyer_is_maker],
            time_us=row.time_ms * _MS,
            received_us=received_us,
            source=Source.REST,
        )

    def number_of(raw: bytes) -> int | None:
        try:
            return known_number(getattr(_any_row(raw), kind.row_id))
        except UNREADABLE:
            return None

    return TradesPage(read_rows(rows, request.symbol, read, number_of), is_whole=len(rows) < request.limit)


def read_klines(exchange: str, body: bytes) -> list[GivenCandle]:
    """Read klines, the older first: all fields; `MalformedError` where they are none."""
    try:
        rows = _klines(body)
    except UNREADABLE as error:
        raise MalformedError(f"not klines of {exchange}: {error}") from error
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


def read_steps(filters: Sequence[InstrumentFilter]) -> InstrumentSteps:
    """The steps that the filters `PRICE_FILTER` and `LOT_SIZE` tell."""
    tick = lot = None
    for rule in filters:
        if rule.filterType == _PRICE_FILTER:
            tick = step_or_none(rule.tickSize)
        elif rule.filterType == _LOT_FILTER:
            lot = step_or_none(rule.stepSize)
    return InstrumentSteps(tick, lot)

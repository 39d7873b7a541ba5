"""Trades, and the marker by which a feed says that a minute is over and how complete it is."""

from decimal import Decimal
from enum import StrEnum

from msgspec import Struct

from market.fields import Name, TimeUs, Whole
from market.given_candle import GivenCandle
from market.key import OfMarket

_MAX_ID_DIGITS = 18


class Side(StrEnum):
    """The taker's side."""

    BUY = "buy"
    SELL = "sell"


class Source(StrEnum):
    """Where a trade was read."""

    WS = "ws"
    REST = "rest"
    ARCHIVE = "archive"


class Trade(OfMarket, frozen=True, kw_only=True, gc=False):
    """One trade: `price` in quote units, `qty` in base units, times in UTC microseconds."""

    trade_id: Name
    price: Decimal
    qty: Decimal
    side: Side
    time_us: TimeUs
    received_us: TimeUs = 0
    source: Source = Source.WS
    seq: Whole | None = None
    """The exchange's own order of trades with the same time, if ids are no numbers; None: ordered by id."""


class Proof(StrEnum):
    """What a marker's claim of completeness rests on."""

    BEGIN = "begin"
    IDS = "ids"
    CONNECTION = "connection"
    KLINE = "kline"
    HOLE = "hole"


class Marker(Struct, frozen=True, kw_only=True):
    """A feed's word on the minute that ends at `complete_until_us`.

    Every trade of that minute that the feed can have stands before the marker in its partition, and no trade
    that the feed published since its last `begin` lies at or after `published_until_us`.
    """

    complete_until_us: int
    published_until_us: int
    proof: Proof
    last_trade_id: str | None = None
    last_price: Decimal | None = None
    run: str | None = None
    end: bool = False
    kline: GivenCandle | None = None
    """What the exchange itself says of the minute; it counts if the proof is `kline`."""
    claim: Proof | None = None
    """In a run: what its source says of the minute besides what ids prove; None: nothing more."""
    takes_back: bool = False
    """An earlier marker called the minute better than it is: this marker's proof counts instead."""


def numeric_id(trade_id: str) -> int | None:
    """The id as a number, or None if it is no number in plain form (``007`` and ``7`` are two ids).

    Numbers have at most 18 digits, so that they fit 64 bits in JSON and in every store; longer ids are texts.
    """
    if trade_id.isdigit() and trade_id.isascii() and len(trade_id) <= _MAX_ID_DIGITS:
        return int(trade_id) if trade_id[0] != "0" or trade_id == "0" else None
    return None

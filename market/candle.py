"""Candles, and the fold that makes one out of a minute's trades.

The fold is commutative and idempotent: any order and any duplication of the same trades gives the same candle.
"""

from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec
from msgspec import Struct

from market.decimals import EXACT, ZERO, parse_decimal, parse_sum, plain
from market.errors import MalformedError
from market.fields import Count, Name, TimeMs, TimeUs, Whole
from market.ids import SeenIds
from market.key import OfMarket
from market.timeframe import Timeframe
from market.trade import Proof, Side, Trade, numeric_id


class Status(StrEnum):
    """How complete a candle is; among several claims the best counts (the one with the least `rank`)."""

    COMPLETE = "complete"
    CONNECTED = "connected"
    KLINE = "kline"
    HOLE = "hole"
    OPEN = "open"
    """Only live candles have it: the minute is not over."""

    @property
    def rank(self) -> int:
        """0 is best."""
        return _RANKS[self]


_RANKS = {status: rank for rank, status in enumerate(Status)}
STATUS_OF_PROOF = {
    Proof.IDS: Status.COMPLETE,
    Proof.CONNECTION: Status.CONNECTED,
    Proof.KLINE: Status.KLINE,
    Proof.HOLE: Status.HOLE,
}


class Candle(OfMarket, frozen=True, kw_only=True, gc=False):
    """One candle, in the fields of `md.candles.*.v1`. Times: UTC milliseconds. A greater `revision` replaces others."""

    timeframe: Timeframe
    open_time_ms: TimeMs
    close_time_ms: TimeMs
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    quote_volume: Decimal
    trades: Count
    taker_buy_volume: Decimal
    taker_buy_quote_volume: Decimal
    first_trade_id: Name | None = None
    last_trade_id: Name | None = None
    revision: Count
    status: Status


IdOrder = tuple[int, int, str]
"""A sort key of ids: numbers first, by number; then texts, by `seq` and then by text, those without `seq` first."""

_NO_SEQ = -1


def id_order(trade_id: str, seq: int | None = None) -> IdOrder:
    """Sort key of a trade id, among trades of one time."""
    return _order(numeric_id(trade_id), trade_id, seq)


def trade_order(trade: Trade) -> tuple[int, IdOrder]:
    """Sort key of a trade: the least trade of a minute gives its open, the greatest its close."""
    return trade.time_us, id_order(trade.trade_id, trade.seq)


def _order(number: int | None, trade_id: str, seq: int | None) -> IdOrder:
    if number is not None:
        return 0, number, trade_id
    return 1, _NO_SEQ if seq is None else seq, trade_id


class PartialFold(NamedTuple):
    """Trades of one minute, folded; their ids are all the numbers of a range, in the order of their times."""

    first_id: int
    last_id: int
    open_us: int
    """Time of the first trade."""
    close_us: int
    open: Decimal
    high: Decimal
    low: Decimal
    close: Decimal
    volume: Decimal
    quote_volume: Decimal
    taker_buy_volume: Decimal
    taker_buy_quote_volume: Decimal


_EdgeJson = tuple[str, TimeUs, str]


class _Snapshot(Struct, gc=False):
    """A fold in its JSON form."""

    ids: list[tuple[Whole, Whole]]
    texts: list[str]
    trades: Count
    open: _EdgeJson
    close: _EdgeJson
    high: str
    low: str
    sums: tuple[str, str, str, str]
    open_seq: Whole | None = None
    close_seq: Whole | None = None


class Fold:
    """The trades of one minute, folded; every sum exact.

    `open` and `close` are the prices of the trades with the least and the greatest `trade_order`.
    """

    __slots__ = (
        "close", "close_order", "high", "ids", "low", "open", "open_order",
        "quote_volume", "taker_buy_quote_volume", "taker_buy_volume", "trades", "volume",
    )  # fmt: skip

    def __init__(self) -> None:
        self.ids = SeenIds()
        self.trades = 0
        self.open = self.high = self.low = self.close = ZERO
        self.open_order: tuple[int, IdOrder] = (0, (0, 0, ""))
        self.close_order = self.open_order
        self.volume = self.quote_volume = ZERO
        self.taker_buy_volume = self.taker_buy_quote_volume = ZERO

    def add(self, trade: Trade) -> bool:
        """Fold a trade in; False if its id was in the fold already."""
        number = numeric_id(trade.trade_id)
        if not self.ids.add(trade.trade_id, number):
            return False
        price, qty = trade.price, trade.qty
        order = (trade.time_us, _order(number, trade.trade_id, trade.seq))
        if self.trades == 0:
            self.open = self.high = self.low = self.close = price
            self.open_order = self.close_order = order
        else:
            if order < self.open_order:
                self.open, self.open_order = price, order
            if order > self.close_order:
                self.close, self.close_order = price, order
            self.high = max(self.high, price)
            self.low = min(self.low, price)
        self.trades += 1
        self.volume = EXACT.add(self.volume, qty)
        self.quote_volume = EXACT.fma(price, qty, self.quote_volume)
        if trade.side is Side.BUY:
            self.taker_buy_volume = EXACT.add(self.taker_buy_volume, qty)
            self.taker_buy_quote_volume = EXACT.fma(price, qty, self.taker_buy_quote_volume)
        return True

    def add_partial(self, partial: PartialFold) -> bool:
        """Fold many trades in. False: the id of one of them was in the fold already, and nothing is done."""
        if not self.ids.numbers.add_range(partial.first_id, partial.last_id):
            return False
        open_order = (partial.open_us, _order(partial.first_id, str(partial.first_id), None))
        close_order = (partial.close_us, _order(partial.last_id, str(partial.last_id), None))
        if self.trades == 0 or open_order < self.open_order:
            self.open, self.open_order = partial.open, open_order
        if self.trades == 0 or close_order > self.close_order:
            self.close, self.close_order = partial.close, close_order
        self.high = partial.high if self.trades == 0 else max(self.high, partial.high)
        self.low = partial.low if self.trades == 0 else min(self.low, partial.low)
        self.trades += partial.last_id - partial.first_id + 1
        self.volume = EXACT.add(self.volume, partial.volume)
        self.quote_volume = EXACT.add(self.quote_volume, partial.quote_volume)
        self.taker_buy_volume = EXACT.add(self.taker_buy_volume, partial.taker_buy_volume)
        self.taker_buy_quote_volume = EXACT.add(self.taker_buy_quote_volume, partial.taker_buy_quote_volume)
        return True

    def first_trade_id(self) -> str | None:
        """The least id if all ids are numbers, else the id of the opening trade; None without trades."""
        if not self.trades:
            return None
        if self.ids.texts:
            return self.open_order[1][2]
        return str(self.ids.numbers.least)

    def last_trade_id(self) -> str | None:
        """The greatest id if all ids are numbers, else the id of the closing trade; None without trades."""
        if not self.trades:
            return None
        if self.ids.texts:
            return self.close_order[1][2]
        return str(self.ids.numbers.greatest)

    def snapshot(self) -> dict[str, Any]:
        """The fold as JSON values; `restore` reads it back."""
        return {
            **_seqs(open_seq=self.open_order, close_seq=self.close_order),
            "ids": [list(pair) for pair in self.ids.numbers],
            "texts": sorted(self.ids.texts),
            "trades": self.trades,
            "open": [plain(self.open), self.open_order[0], self.open_order[1][2]],
            "close": [plain(self.close), self.close_order[0], self.close_order[1][2]],
            "high": plain(self.high),
            "low": plain(self.low),
            "sums": [
                plain(self.volume),
                plain(self.quote_volume),
                plain(self.taker_buy_volume),
                plain(self.taker_buy_quote_volume),
            ],
        }

    @classmethod
    def restore(cls, snapshot: dict[str, Any]) -> "Fold":
        """The fold of a snapshot; `MalformedError` if the snapshot cannot be read."""
        fold = cls()
        try:
            read = msgspec.convert(snapshot, _Snapshot)
            fold.ids = SeenIds(read.ids, read.texts)
            fold.trades = read.trades
            fold.open, fold.open_order = _edge(read.open, read.open_seq)
            fold.close, fold.close_order = _edge(read.close, read.close_seq)
            fold.high, fold.low = parse_decimal(read.high), parse_decimal(read.low)
            sums = [parse_sum(text) for text in read.sums]
            fold.volume, fold.quote_volume, fold.taker_buy_volume, fold.taker_buy_quote_volume = sums
        except ValueError as error:
            raise MalformedError(f"not a fold: {error}") from error
        return fold


def _edge(values: _EdgeJson, seq: int | None) -> tuple[Decimal, tuple[int, IdOrder]]:
    price, time_us, trade_id = values
    return parse_decimal(price), (time_us, id_order(trade_id, seq))


def _seqs(**edges: tuple[int, IdOrder]) -> dict[str, int]:
    """The `seq` of each edge that has one: most have none, so a minute's record stays small."""
    return {name: number for name, (_, (kind, number, _)) in edges.items() if kind and number != _NO_SEQ}

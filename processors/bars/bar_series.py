"""A bar series: the bars of one size, made of one series of trades, numbered from 1 on. Pure.

A trade belongs to one bar, whole. The total counts from the series' begin: a bar closes with the trade that brings it
to the next multiple of the threshold, and what that trade brings beyond counts toward the next bar. So bars do not
drift, and a trade that passes several multiples closes one bar.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from operator import attrgetter
from typing import Any

import msgspec
from msgspec import Struct

from market.bar import Bar, BarKind
from market.candle import IdOrder, Status, id_order
from market.decimals import EXACT, ZERO
from market.key import MarketKey
from market.timeframe import minute_us
from processors.bars.thresholds import BarSize

TradeOrder = tuple[int, IdOrder]
"""A trade's place among those of its market, as `market.candle.trade_order` gives it."""


class HeldTrade(Struct, frozen=True, gc=False, array_like=True):
    """What bars need of a trade; in JSON a row."""

    time_us: int
    trade_id: str
    price: Decimal
    qty: Decimal
    is_buy: bool
    seq: int | None = None

    @property
    def order(self) -> TradeOrder:
        """Its place among the trades of its market."""
        return self.time_us, id_order(self.trade_id, self.seq)


class FoldedBar(Struct, gc=False, kw_only=True):
    """A bar, open or closed. Without trades the fields of the trades say nothing."""

    number: int
    from_us: int
    """The minute in which the bar before it closed; of the first bar the one in which its series begins."""
    carried: Decimal
    """The remainder of the bar before it."""
    remainder: Decimal | None
    """None while it is open."""
    first: HeldTrade | None
    last: HeldTrade | None
    high: Decimal
    low: Decimal
    trades: int
    volume: Decimal
    quote_volume: Decimal
    taker_buy_volume: Decimal
    taker_buy_quote_volume: Decimal
    late_trades: int
    final_status: Status
    """The worst of its minutes that are behind the final boundary."""
    status: Status | None
    """As it was last emitted; None: it was not."""
    changed: bool
    """Whether it has to be emitted."""

    @classmethod
    def begin(cls, *, number: int, from_us: int, carried: Decimal) -> "FoldedBar":
        """An open bar without trades."""
        return cls(
            number=number,
            from_us=from_us,
            carried=carried,
            remainder=None,
            first=None,
            last=None,
            high=ZERO,
            low=ZERO,
            trades=0,
            volume=ZERO,
            quote_volume=ZERO,
            taker_buy_volume=ZERO,
            taker_buy_quote_volume=ZERO,
            late_trades=0,
            final_status=Status.COMPLETE,
            status=None,
            changed=False,
        )

    def add(self, trade: HeldTrade, turnover: Decimal) -> None:
        """Fold in the next trade; `turnover` is its price times its size."""
        price, qty = trade.price, trade.qty
        if not self.trades:
            self.first, self.high, self.low = trade, price, price
        elif price > self.high:
            self.high = price
        elif price < self.low:
            self.low = price
        self.last = trade
        self.trades += 1
        self.volume = EXACT.add(self.volume, qty)
        self.quote_volume = EXACT.add(self.quote_volume, turnover)
        if trade.is_buy:
            self.taker_buy_volume = EXACT.add(self.taker_buy_volume, qty)
            self.taker_buy_quote_volume = EXACT.add(self.taker_buy_quote_volume, turnover)

    @property
    def close_order(self) -> TradeOrder:
        """The end of its range: what comes behind in the order of trades is of the next bar."""
        return _of(self.last).order

    @property
    def until_us(self) -> int:
        """The minute in which it closed."""
        return minute_us(_of(self.last).time_us)

    def snapshot(self) -> dict[str, Any]:
        """The bar as JSON values and decimals; `restore` reads it back."""
        values: dict[str, Any] = msgspec.to_builtins(self, builtin_types=(Decimal,))
        return values

    @classmethod
    def restore(cls, snapshot: Mapping[str, Any]) -> "FoldedBar":
        """The bar of a snapshot; `ValueError` if it cannot be read."""
        return msgspec.convert(snapshot, cls)


_MEASURES: dict[BarKind, Callable[[FoldedBar], Decimal]] = {
    BarKind.TICK: lambda bar: Decimal(bar.trades),
    BarKind.VOLUME: attrgetter("volume"),
    BarKind.DOLLAR: attrgetter("quote_volume"),
}

StatusOf = Callable[[int, int], Status]
"""The worst status of the minutes from one to another that are not behind the final boundary."""


class BarSeries:
    """The open bar, and the closed ones that a late trade or another status can still reach."""

    def __init__(self, size: BarSize, begin_us: int) -> None:
        self.size = size
        self.begin_us = begin_us
        self.open = FoldedBar.begin(number=1, from_us=begin_us, carried=ZERO)
        self.closed: list[FoldedBar] = []
        """By number, without a gap, up to the open bar."""
        self.to_emit: set[int] = set()
        """Numbers of the closed bars that have changed."""
        self._measure = _MEASURES[size.kind]

    def fold(self, trades: Iterable[tuple[HeldTrade, Decimal]], open_us: int) -> None:
        """Fold in the trades of a minute, in their order, each with its turnover."""
        bar, threshold, measure = self.open, self.size.threshold, self._measure
        missing = EXACT.subtract(threshold, bar.carried)
        for trade, turnover in trades:
            bar.add(trade, turnover)
            brought = measure(bar)
            if brought >= missing:
                bar.remainder = EXACT.remainder(EXACT.subtract(brought, missing), threshold)
                self.closed.append(bar)
                self._change(bar)
                missing = EXACT.subtract(threshold, bar.remainder)
                bar = FoldedBar.begin(number=bar.number + 1, from_us=open_us, carried=bar.remainder)
        self.open = bar

    def count_late(self, trade: HeldTrade) -> FoldedBar | None:
        """Count a trade whose minute is folded already on the bar whose range holds it; None: the series began later.

        The trade is in no bar, not even in the open one: which trade closes a bar must not depend on what comes late.
        """
        if trade.time_us < self.begin_us:
            return None
        place = bisect_left(self.closed, trade.order, key=lambda bar: bar.close_order)
        bar = self.closed[place] if place < len(self.closed) else self.open
        bar.late_trades += 1
        if bar is not self.open:
            self._change(bar)
        return bar

    def skip(self, status: Status) -> None:
        """Pass over minutes without trades that are behind the final boundary already."""
        self.open.final_status = worst((self.open.final_status, status))

    def take_status(self, open_us: int, status_of: StatusOf) -> None:
        """Another status is told of a folded minute: of its closed bars those whose status it changes are to emit."""
        for bar in self._over(open_us):
            if self._status(bar, status_of) is not bar.status:
                self._change(bar)

    def release(self, open_us: int, status: Status) -> Iterator[FoldedBar]:
        """Let a folded minute go, which is final: yields its bars, of which those that closed in it are forgotten."""
        for bar in [*self._over(open_us), *([self.open] if self.open.from_us <= open_us else [])]:
            bar.final_status = worst((bar.final_status, status))
            yield bar
        gone = bisect_left(self.closed, open_us + 1, key=lambda bar: bar.until_us)
        del self.closed[:gone]

    def emit(self, market: MarketKey, status_of: StatusOf, revision: int) -> Iterator[Bar]:
        """The closed bars that have changed, by number."""
        for number in sorted(self.to_emit):
            bar = self.closed[number - self.closed[0].number]
            bar.changed, bar.status = False, self._status(bar, status_of)
            yield self._record(bar, market, bar.status, revision)
        self.to_emit.clear()

    def bar(self, number: int) -> FoldedBar | None:
        """The closed bar of that number; None where it is not held."""
        place = number - self.closed[0].number if self.closed else -1
        return self.closed[place] if 0 <= place < len(self.closed) else None

    def put_in(self, bar: FoldedBar) -> None:
        """Put in the next closed bar of a state."""
        self.closed.append(bar)
        if bar.changed:
            self.to_emit.add(bar.number)

    def _over(self, open_us: int) -> Iterator[FoldedBar]:
        """The closed bars that have this minute; nothing reaches those that closed before it."""
        first = bisect_left(self.closed, open_us, key=lambda bar: bar.until_us)
        for bar in self.closed[first:]:
            if bar.from_us > open_us:
                return
            yield bar

    def _status(self, bar: FoldedBar, status_of: StatusOf) -> Status:
        return worst((bar.final_status, status_of(bar.from_us, bar.until_us)))

    def _change(self, bar: FoldedBar) -> None:
        bar.changed = True
        self.to_emit.add(bar.number)

    def _record(self, bar: FoldedBar, market: MarketKey, status: Status, revision: int) -> Bar:
        first, last = _of(bar.first), _of(bar.last)
        return Bar(
            exchange=market.exchange,
            symbol=market.symbol,
            kind=self.size.kind,
            threshold=self.size.threshold,
            series_begin_us=self.begin_us,
            number=bar.number,
            open_time_us=first.time_us,
            close_time_us=last.time_us,
            open=first.price,
            high=bar.high,
            low=bar.low,
            close=last.price,
            volume=bar.volume,
            quote_volume=bar.quote_volume,
            trades=bar.trades,
            taker_buy_volume=bar.taker_buy_volume,
            taker_buy_quote_volume=bar.taker_buy_quote_volume,
            first_trade_id=first.trade_id,
            last_trade_id=last.trade_id,
            remainder=bar.remainder if bar.remainder is not None else ZERO,
            late_trades=bar.late_trades,
            revision=revision,
            status=status,
        )


def worst(statuses: Iterable[Status]) -> Status:
    """The worst of these; of none the best there is."""
    return max(statuses, key=lambda status: status.rank, default=Status.COMPLETE)


def _of(trade: HeldTrade | None) -> HeldTrade:
    assert trade is not None  # noqa: S101  # a closed bar has trades
    return trade

"""One market's live trades, or those of one run, made into bars. Pure: trades and markers in, bars out.

A minute's trades are held, without duplicates, until the minute's first marker says that it is over. Then they are
sorted and folded into the open bars. Minutes are folded in order: one that has its marker waits for those before it,
until they have theirs or are behind the final boundary. So batches, the order of arrival and duplicates do not matter.
Series begin, and minutes get final, by the same rules as in `processors.candles.series`.
"""

from collections.abc import Iterable, Iterator, Mapping
from enum import Enum, auto
from operator import itemgetter
from typing import Any

from market.bar import Bar, BarKind
from market.candle import STATUS_OF_PROOF, Status
from market.decimals import EXACT, parse_decimal, plain
from market.key import MarketKey
from market.timeframe import MINUTE_US, minute_us, next_minute_us
from market.trade import Marker, Proof, Side, Trade, numeric_id
from processors.bars.bar_series import BarSeries, FoldedBar, HeldTrade, worst
from processors.bars.minute import BarMinute
from processors.bars.thresholds import BarSize

StateKey = tuple[str | int, ...]
"""Names a record of the state within its series: its kind, then what tells it from others of its kind."""


class BarOutcome(Enum):
    """What became of a trade."""

    HELD = auto()
    """Until its minute is over."""
    COUNTED = auto()
    """Its minute was folded already: it is counted as late on its bars, and in none."""
    REPEATED = auto()
    """Its id was in the minute already."""
    EARLY = auto()
    """Before the series began: in no bar."""
    LATE = auto()
    """Behind the final boundary: in no bar, and counted on none."""


class TradeSeries:
    """The minutes of one series that are not final, and its bars. Only a live series can have a `floor_us`."""

    def __init__(
        self,
        market: MarketKey,
        run: str | None,
        sizes: Iterable[BarSize],
        *,
        allowed_lateness_us: int,
        floor_us: int | None = None,
    ) -> None:
        self.market = market
        self.run = run
        self.allowed_lateness_us = allowed_lateness_us
        self.floor_us = floor_us if run is None else None
        self.begin_us: int | None = None
        self.final_until_us: int | None = None
        self.folded_until_us: int | None = None
        """First minute that is not folded yet."""
        self.ended = False
        """Whether a run is over: nothing more comes of it."""
        self.sizes = tuple(sizes)
        self.minutes: dict[int, BarMinute] = {}
        self.bars: dict[BarSize, BarSeries] = {}
        """From the series' begin on, by size in a fixed order."""
        self.dirty: dict[StateKey, None] = {}
        """Records of the state that are not written yet."""
        self._touch("series")

    def add(self, trade: Trade) -> BarOutcome:
        """Hold a trade until its minute is over; the outcome says what became of it."""
        time_us = trade.time_us
        if self.ended or (self.final_until_us is not None and time_us < self.final_until_us):
            return BarOutcome.LATE
        if self.begin_us is not None and time_us < self.begin_us:
            return BarOutcome.EARLY
        open_us = minute_us(time_us)
        minute = self.minutes.get(open_us)
        if minute is None:
            minute = self.minutes[open_us] = BarMinute()
            if self.begin_us is None:  # then there is no final boundary either: hold no more than with one
                self._drop_before(open_us - self.allowed_lateness_us)
        if not minute.ids.add(trade.trade_id, numeric_id(trade.trade_id)):
            return BarOutcome.REPEATED
        held = HeldTrade(time_us, trade.trade_id, trade.price, trade.qty, trade.side is Side.BUY, trade.seq)
        self._touch("minute", open_us)
        if self.folded_until_us is None or open_us >= self.folded_until_us:
            minute.trades.append(held)
            return BarOutcome.HELD
        for bars in self.bars.values():
            if (bar := bars.count_late(held)) is not None:
                self._touch_bar(bars, bar)
        return BarOutcome.COUNTED

    def mark(self, marker: Marker, revision: int) -> list[Bar]:
        """Take in a marker, fold the minutes that are over, and emit the bars that are due, by size and number.

        A marker behind the final boundary is ignored: it emits nothing.
        """
        until_us = marker.complete_until_us
        if self.ended or (self.final_until_us is not None and until_us <= self.final_until_us):
            return []
        if self.begin_us is None:
            self._begin(next_minute_us(marker.published_until_us))
        final_until_us = until_us if marker.end else until_us - self.allowed_lateness_us
        self.final_until_us = max(self.final_until_us or final_until_us, final_until_us)
        self._touch("series")
        if marker.proof is not Proof.BEGIN:
            self._close(until_us - MINUTE_US, marker)
        self._fold_minutes(self.final_until_us)
        emitted = list(self._emit(revision))
        self._release(self.final_until_us)
        if marker.end:
            self._end()
        return emitted

    def adopt(self, sizes: Iterable[BarSize]) -> None:
        """Make bars of other sizes: those that are new begin with the first minute that is not folded yet."""
        self.sizes = () if self.ended else tuple(sizes)
        for size in self.bars.keys() - set(self.sizes):
            self._drop_bars(size)
        if self.folded_until_us is not None:
            self._begin_bars(self.folded_until_us)

    def records(self) -> Iterator[tuple[StateKey, dict[str, Any] | None]]:
        """The records of the state that have changed (None: it is gone); they count as written then."""
        for key in self.dirty:
            yield key, self._record(key)
            minute = self.minutes.get(int(key[1])) if key[0] == "minute" else None
            if minute is not None:
                for place, rows in minute.unwritten():
                    yield ("trades", int(key[1]), place), {"rows": rows}
        self.dirty.clear()

    def state_keys(self) -> Iterator[StateKey]:
        """The keys of all records that may be in the state."""
        yield from self.dirty
        yield ("series",)
        for open_us, minute in self.minutes.items():
            yield "minute", open_us
            yield from (("trades", open_us, place) for place in minute.chunks)
        for bars in self.bars.values():
            yield from (_bar_key(bars, bar) for bar in (*bars.closed, bars.open))

    @classmethod
    def restore(
        cls,
        market: MarketKey,
        run: str | None,
        sizes: Iterable[BarSize],
        records: Mapping[StateKey, Mapping[str, Any]],
        *,
        allowed_lateness_us: int,
    ) -> "TradeSeries":
        """The series of the records of a state; those of unknown kinds are passed over."""
        own = records["series",]
        series = cls(market, run, sizes, allowed_lateness_us=allowed_lateness_us, floor_us=own["floor_us"])
        series.begin_us, series.final_until_us = own["begin_us"], own["final_until_us"]
        series.folded_until_us, series.ended = own["folded_until_us"], own["ended"]
        for (open_us,), value in _of_kind(records, "minute"):
            series.minutes[open_us] = BarMinute.restore(value)
        for (open_us, place), value in _of_kind(records, "trades"):
            series.minutes[open_us].put_in(place, value["rows"])
        for (kind, threshold), value in _of_kind(records, "open"):
            size = _size(kind, threshold)
            bars = series.bars[size] = BarSeries(size, value["begin_us"])
            bars.open = FoldedBar.restore(value)
        for (kind, threshold, _), value in _of_kind(records, "bar"):
            series.bars[_size(kind, threshold)].put_in(FoldedBar.restore(value))
        series.bars = {size: series.bars[size] for size in series.sizes if size in series.bars}
        series.dirty.clear()
        return series

    def _begin(self, begin_us: int) -> None:
        """A series begins at the first whole minute at or after `published_until_us` of its first marker."""
        self.begin_us = self.folded_until_us = max(begin_us, self.floor_us or 0)
        self._drop_before(self.begin_us)
        self._begin_bars(self.begin_us)

    def _begin_bars(self, begin_us: int) -> None:
        known = self.bars
        self.bars = {size: known.get(size) or BarSeries(size, begin_us) for size in self.sizes}
        for bars in self.bars.values():
            self._touch_bar(bars, bars.open)

    def _close(self, open_us: int, marker: Marker) -> None:
        if self.begin_us is None or open_us < self.begin_us:
            return
        minute = self.minutes.get(open_us)
        if minute is None:
            minute = self.minutes[open_us] = BarMinute()
        if minute.close(STATUS_OF_PROOF[marker.proof], takes_back=marker.takes_back):
            self._touch("minute", open_us)
            if open_us < (self.folded_until_us or 0):
                for bars in self.bars.values():
                    bars.take_status(open_us, self._status_of)

    def _fold_minutes(self, final_until_us: int) -> None:
        """Fold, in order, the minutes that are over. One without a marker is a `hole` once it is final."""
        assert self.folded_until_us is not None  # noqa: S101  # set where the series began
        while True:
            open_us = self.folded_until_us
            minute = self.minutes.get(open_us)
            if minute is None and open_us < final_until_us:
                next_us = min((later_us for later_us in self.minutes if later_us > open_us), default=final_until_us)
                for bars in self.bars.values():
                    bars.skip(Status.HOLE)
                self.folded_until_us = min(next_us, final_until_us)
            elif minute is not None and (minute.status is not None or open_us < final_until_us):
                minute.status = minute.status or Status.HOLE
                self._fold(open_us, minute)
                self.folded_until_us = open_us + MINUTE_US
            else:
                return

    def _fold(self, open_us: int, minute: BarMinute) -> None:
        trades = sorted(minute.trades, key=lambda trade: trade.order)
        with_turnover = [(trade, EXACT.multiply(trade.price, trade.qty)) for trade in trades]
        for bars in self.bars.values():
            bars.fold(with_turnover, open_us)
            self._touch_bar(bars, bars.open)
        self._forget_trades(open_us, minute)
        self._touch("minute", open_us)

    def _emit(self, revision: int) -> Iterator[Bar]:
        for bars in self.bars.values():
            for bar in bars.emit(self.market, self._status_of, revision):
                self._touch("bar", *_named(bars.size), bar.number)
                yield bar

    def _release(self, final_until_us: int) -> None:
        """Forget the minutes behind the final boundary, and the bars that closed in them."""
        for open_us in sorted(open_us for open_us in self.minutes if open_us < final_until_us):
            status = self.minutes[open_us].status or Status.HOLE
            for bars in self.bars.values():
                for bar in bars.release(open_us, status):
                    self._touch_bar(bars, bar)
            self._drop(open_us)

    def _end(self) -> None:
        """A run is over: what is left of it is the record that says so."""
        self.ended = True
        for size in list(self.bars):
            self._drop_bars(size)
        for open_us in list(self.minutes):
            self._drop(open_us)

    def _status_of(self, from_us: int, until_us: int) -> Status:
        return worst(
            minute.status
            for open_us, minute in self.minutes.items()
            if from_us <= open_us <= until_us and minute.status is not None
        )

    def _drop_bars(self, size: BarSize) -> None:
        bars = self.bars.pop(size)
        for bar in (*bars.closed, bars.open):
            self._touch_bar(bars, bar)

    def _drop_before(self, begin_us: int) -> None:
        for open_us in [open_us for open_us in self.minutes if open_us < begin_us]:
            self._drop(open_us)

    def _drop(self, open_us: int) -> None:
        self._forget_trades(open_us, self.minutes.pop(open_us))
        self._touch("minute", open_us)

    def _forget_trades(self, open_us: int, minute: BarMinute) -> None:
        for place in minute.forget():
            self._touch("trades", open_us, place)

    def _touch(self, *key: str | int) -> None:
        self.dirty[key] = None

    def _touch_bar(self, bars: BarSeries, bar: FoldedBar) -> None:
        self.dirty[_bar_key(bars, bar)] = None

    def _record(self, key: StateKey) -> dict[str, Any] | None:
        """What the state is to hold under the key; None where there is nothing any more."""
        kind, *names = key
        if kind == "series":
            return {
                "begin_us": self.begin_us,
                "final_until_us": self.final_until_us,
                "folded_until_us": self.folded_until_us,
                "floor_us": self.floor_us,
                "ended": self.ended,
            }
        if kind == "minute":
            minute = self.minutes.get(int(names[0]))
            return None if minute is None else minute.snapshot()
        if kind == "trades" or (bars := self.bars.get(_size(*names[:2]))) is None:
            return None
        if kind == "open":
            return {"begin_us": bars.begin_us, **bars.open.snapshot()}
        bar = bars.bar(int(names[2]))
        return None if bar is None else bar.snapshot()


def _named(size: BarSize) -> tuple[str, str]:
    return size.kind.value, plain(size.threshold)


def _size(kind: str | int, threshold: str | int) -> BarSize:
    return BarSize(BarKind(str(kind)), parse_decimal(str(threshold)))


def _of_kind(records: Mapping[StateKey, Mapping[str, Any]], kind: str) -> list[tuple[Any, Mapping[str, Any]]]:
    """The records of a kind, by what names them, in its order: trades by place, bars by number."""
    return sorted(((key[1:], value) for key, value in records.items() if key[0] == kind), key=itemgetter(0))


def _bar_key(bars: BarSeries, bar: FoldedBar) -> StateKey:
    return ("open", *_named(bars.size)) if bar is bars.open else ("bar", *_named(bars.size), bar.number)

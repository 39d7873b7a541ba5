"""A series: one market's live trades, or those of one run, made into candles. Pure: trades and markers in, candles out.

What a series does depends on its own trades and markers alone, in offset order. The rules are those of
ARCHITECTURE.md, "The candle engine"; each method says which one it keeps.
"""

from collections.abc import Iterator
from decimal import Decimal
from enum import Enum, auto
from typing import Any

from market.candle import STATUS_OF_PROOF, Candle, PartialFold, Status
from market.decimals import plain
from market.key import MarketKey
from market.timeframe import MINUTE_US, minute_us, next_minute_us
from market.trade import Marker, Proof, Trade
from processors.candles.minute import HeldMinute

ALLOWED_LATENESS_US = 10 * MINUTE_US
"""How far behind the watermark a minute can still be corrected."""


class TradeOutcome(Enum):
    """What a series did with a trade."""

    FOLDED = auto()
    REPEATED = auto()
    """Its id was in the minute already."""
    EARLY = auto()
    """Before the series began: the trade is in the log and the stores, but in no candle."""
    LATE = auto()
    """Behind the final boundary."""


class Series:
    """The minutes of one series. Only a live series can have a `floor_us`: it does not begin before that time.

    `final_until_us` is its final boundary: the watermark, its greatest `complete_until_us`, less the allowed lateness.
    """

    def __init__(
        self,
        market: MarketKey,
        run: str | None,
        *,
        allowed_lateness_us: int = ALLOWED_LATENESS_US,
        floor_us: int | None = None,
    ) -> None:
        self.market = market
        self.run = run
        self.allowed_lateness_us = allowed_lateness_us
        self.floor_us = floor_us if run is None else None
        self.begin_us: int | None = None
        self.final_until_us: int | None = None
        self.first_price: Decimal | None = None
        """`last_price` of its first marker."""
        self.prior_price: Decimal | None = None
        """Close of the newest minute that was released."""
        self.prior_open_us: int | None = None
        """Open time of that minute."""
        self.minutes: dict[int, HeldMinute] = {}
        self.newest_us = 0
        """Open time of the newest minute that was ever held; not part of the state."""
        self.dirty_minutes: set[int] = set()
        """Open times of minutes that changed, or were released, since the state was last written."""
        self.to_emit: set[int] = set()
        """Open times of minutes that may have to be emitted: never emitted, or changed since."""
        self.is_dirty = True
        """Whether the record of the series itself changed since the state was last written."""
        self.shown_us: tuple[int, int] | None = None
        """Minute and revision of the live candle that was last shown; not part of the state."""

    def add(self, trade: Trade, offset: int) -> TradeOutcome:
        """Fold a trade into its minute; `offset` is that of its record. The outcome says what happened."""
        if self.final_until_us is not None and trade.time_us < self.final_until_us:
            return TradeOutcome.LATE
        if self.begin_us is not None and trade.time_us < self.begin_us:
            return TradeOutcome.EARLY
        open_us = minute_us(trade.time_us)
        minute = self.minutes.get(open_us)
        if minute is None:
            minute = self.insert(HeldMinute(open_us))
            if self.begin_us is None:  # then there is no final boundary either: hold no more than with one
                self._drop_before(open_us - self.allowed_lateness_us)
        close_before = minute.fold.close_order
        if not minute.fold.add(trade):
            return TradeOutcome.REPEATED
        self._note_folded(minute, offset, close_before)
        return TradeOutcome.FOLDED

    def add_partial(self, open_us: int, partial: PartialFold, offset: int) -> bool:
        """Fold many trades of one minute at once; `offset` is that of the newest.

        - True: all are folded; or all are from before the series began, and so in no candle.
        - False: none is folded. Their outcomes could differ, so they must be added one by one. The series has not
          begun, the minute is behind the final boundary, or one of the ids was in the minute already.
        """
        if self.begin_us is None or self.final_until_us is None or open_us < self.final_until_us:
            return False
        if open_us < self.begin_us:
            return True
        minute = self.minutes.get(open_us) or self.insert(HeldMinute(open_us))
        close_before = minute.fold.close_order
        if not minute.fold.add_partial(partial):
            return False
        self._note_folded(minute, offset, close_before)
        return True

    def insert(self, minute: HeldMinute) -> HeldMinute:
        """Put a minute in."""
        self.minutes[minute.open_us] = minute
        if minute.changed or minute.is_due:
            self.to_emit.add(minute.open_us)
        self.newest_us = max(self.newest_us, minute.open_us)
        return minute

    def mark(self, marker: Marker, offset: int) -> list[Candle]:
        """Take in a marker and emit the candles that are due, oldest first; `offset` becomes their revision.

        A marker behind the final boundary is ignored: it emits nothing.
        """
        until_us = marker.complete_until_us
        if self.final_until_us is not None and until_us <= self.final_until_us:
            return []
        if self.begin_us is None:
            self._begin(marker)
        final_before_us = self.final_until_us
        final_until_us = until_us if marker.end else until_us - self.allowed_lateness_us
        self.final_until_us = final_until_us if final_before_us is None else max(final_before_us, final_until_us)
        self.is_dirty = True
        if marker.proof is not Proof.BEGIN:
            self._close(until_us - MINUTE_US, STATUS_OF_PROOF[marker.proof], marker)
        if self.run is None:
            self._close_unmarked(final_before_us)
        candles = list(self._emit(offset))
        self._release(everything=marker.end)
        return candles

    def open_candle(self) -> Candle | None:
        """The live candle: of the newest minute that no marker has closed. None if unchanged since the last call."""
        if self.run is not None or self.begin_us is None:
            return None
        unmarked = (open_us for open_us, minute in self.minutes.items() if minute.status is None)
        open_us = max(unmarked, default=None)
        if open_us is None:
            return None
        minute = self.minutes[open_us]
        if (open_us, minute.newest_offset) == self.shown_us:
            return None
        self.shown_us = (open_us, minute.newest_offset)
        return minute.candle(self.market, None, status=Status.OPEN, revision=minute.newest_offset)

    def snapshot(self) -> dict[str, Any]:
        """Its own record, without its minutes, as JSON values."""
        return {
            "begin_us": self.begin_us,
            "final_until_us": self.final_until_us,
            "floor_us": self.floor_us,
            "first_price": _text(self.first_price),
            "prior_price": _text(self.prior_price),
            "prior_open_us": self.prior_open_us,
        }

    @classmethod
    def restore(
        cls, market: MarketKey, run: str | None, snapshot: dict[str, Any], *, allowed_lateness_us: int
    ) -> "Series":
        """The series of a snapshot; the caller puts its minutes in."""
        series = cls(market, run, allowed_lateness_us=allowed_lateness_us, floor_us=snapshot["floor_us"])
        series.begin_us = snapshot["begin_us"]
        series.final_until_us = snapshot["final_until_us"]
        series.first_price = _decimal(snapshot["first_price"])
        series.prior_price = _decimal(snapshot["prior_price"])
        series.prior_open_us = snapshot["prior_open_us"]
        series.is_dirty = False
        return series

    def _begin(self, marker: Marker) -> None:
        """A series begins at the first whole minute at or after `published_until_us` of its first marker."""
        self.begin_us = max(next_minute_us(marker.published_until_us), self.floor_us or 0)
        self.first_price = marker.last_price
        self._drop_before(self.begin_us)

    def _close(self, open_us: int, status: Status, marker: Marker | None) -> None:
        if self.begin_us is None or open_us < self.begin_us:
            return
        minute = self.minutes.get(open_us) or self.insert(HeldMinute(open_us))
        close_before = minute.closing_price()
        if minute.close(status, marker):
            self.dirty_minutes.add(open_us)
            self.to_emit.add(open_us)
            # A minute of a run gives its price to the next one only once it has a marker: so a marker is a change too.
            if self.run is not None or minute.closing_price() != close_before:
                self._change_flat_after(open_us)

    def _close_unmarked(self, final_before_us: int | None) -> None:
        """A live minute that reaches the final boundary without its own marker becomes a `hole`: markers skipped it."""
        if self.begin_us is None or self.final_until_us is None:
            return
        for open_us in range(max(self.begin_us, final_before_us or 0), self.final_until_us, MINUTE_US):
            minute = self.minutes.get(open_us)
            if minute is None or minute.status is None:
                self._close(open_us, Status.HOLE, None)

    def _emit(self, revision: int) -> Iterator[Candle]:
        for open_us in sorted(self.to_emit):
            minute = self.minutes[open_us]
            if not minute.is_due:
                continue
            own = minute.closing_price()
            flat = None if own is not None else self._flat_price(minute, *self._price_before(open_us))
            if own is None and flat is None:
                continue
            assert minute.status is not None  # noqa: S101  # what is due has been closed
            yield minute.candle(self.market, flat, status=minute.status, revision=revision)
            minute.emitted, minute.changed = True, False
            self.to_emit.discard(open_us)
            self.dirty_minutes.add(open_us)

    def _price_before(self, open_us: int) -> tuple[Decimal | None, int | None]:
        """The price that the nearest earlier minute gives, and the open time of that minute."""
        earlier = sorted(earlier_us for earlier_us in self.minutes if earlier_us < open_us)
        if self.run is None:
            for earlier_us in reversed(earlier):
                own = self.minutes[earlier_us].closing_price()
                if own is not None:
                    return own, earlier_us
        price, price_open_us = self.prior_price, self.prior_open_us
        for earlier_us in earlier:
            minute = self.minutes[earlier_us]
            own = minute.closing_price()
            given = own if own is not None else self._flat_price(minute, price, price_open_us)
            if given is not None and self._gives_price(minute):
                price, price_open_us = given, earlier_us
        return price, price_open_us

    def _flat_price(self, minute: HeldMinute, before: Decimal | None, before_open_us: int | None) -> Decimal | None:
        """The price of a minute without trades: the close before it, else its own marker's, else the first marker's.

        In a run only the minute right before counts. A series that began in mid-log takes no price from a marker: the
        records before it were not read, and with them the price could be another one.
        """
        adjacent = before_open_us is not None and before_open_us + MINUTE_US == minute.open_us
        if before is not None and (self.run is None or adjacent):
            return before
        if self.floor_us is not None:
            return None
        return minute.price if minute.price is not None else self.first_price

    def _gives_price(self, minute: HeldMinute) -> bool:
        """Whether later minutes without trades take this minute's price: in a run only if it has its own marker."""
        return self.run is None or minute.status is not None

    def _release(self, *, everything: bool) -> None:
        """Forget the minutes behind the final boundary, or all of them where a run has ended.

        The last close is kept: minutes without trades need it.
        """
        assert self.final_until_us is not None  # noqa: S101  # set by the marker that led here
        while self.minutes and ((open_us := min(self.minutes)) + MINUTE_US <= self.final_until_us or everything):
            minute = self.minutes[open_us]
            own = minute.closing_price()
            price = own if own is not None else self._flat_price(minute, self.prior_price, self.prior_open_us)
            if price is not None and self._gives_price(minute):
                self.prior_price, self.prior_open_us = price, open_us
            self._drop(open_us)

    def _note_folded(self, minute: HeldMinute, offset: int, close_before: object) -> None:
        minute.changed = True
        minute.newest_offset = max(minute.newest_offset, offset)
        self.dirty_minutes.add(minute.open_us)
        self.to_emit.add(minute.open_us)
        # Another closing trade counts as a change even at the same price. Otherwise the order of the trades, and how
        # many are folded at once, would decide whether there was a change.
        if minute.open_us < self.newest_us and minute.fold.close_order != close_before:
            self._change_flat_after(minute.open_us)

    def _change_flat_after(self, open_us: int) -> None:
        """The close of a minute changed: the minutes without trades right after it have another price now."""
        right_after_us = open_us + MINUTE_US
        for later_us in sorted(later_us for later_us in self.minutes if later_us > open_us):
            minute = self.minutes[later_us]
            if minute.closing_price() is not None or (self.run is not None and later_us != right_after_us):
                return
            right_after_us = later_us + MINUTE_US
            minute.changed = True
            self.dirty_minutes.add(later_us)
            self.to_emit.add(later_us)

    def _drop_before(self, begin_us: int) -> None:
        for open_us in [open_us for open_us in self.minutes if open_us < begin_us]:
            self._drop(open_us)

    def _drop(self, open_us: int) -> None:
        del self.minutes[open_us]
        self.to_emit.discard(open_us)
        self.dirty_minutes.add(open_us)


def _text(price: Decimal | None) -> str | None:
    return None if price is None else plain(price)


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)

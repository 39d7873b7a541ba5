"""A series: one key's live trades, or those of one run, made into candles. Pure: trades and markers in, candles out.

What a series does depends on its own trades and markers alone, in offset order. The rules are those of
ARCHITECTURE.md, "Candles"; each method says which one it holds.
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
"""How far behind the newest marker a minute can still be corrected."""


class TradeOutcome(Enum):
    """What became of a trade."""

    FOLDED = auto()
    REPEATED = auto()
    """Its id was in already."""
    EARLY = auto()
    """Of a minute before the series began: in the log and the stores, in no candle."""
    LATE = auto()
    """Behind the final boundary."""


class Series:
    """One series's minutes. `floor_us`: no live series begins before it, and only trades give it its first price."""

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
        """`last_price` of the series's first marker."""
        self.prior_price: Decimal | None = None
        """Close of the newest minute that was let go."""
        self.prior_open_us: int | None = None
        self.minutes: dict[int, HeldMinute] = {}
        self.newest_us = 0
        """Open time of the newest minute there ever was; not part of the state."""
        self.dirty_minutes: set[int] = set()
        """Open times of minutes that changed, or were let go, since the state was last written."""
        self.to_emit: set[int] = set()
        """Open times of minutes that may have to be emitted: they changed since they were, or never were."""
        self.is_dirty = True
        """Whether the series's own record changed since the state was last written."""
        self.shown_us: tuple[int, int] | None = None
        """Minute and revision of the live candle that was last shown; not part of the state."""

    def add(self, trade: Trade, offset: int) -> TradeOutcome:
        """Fold a trade into its minute."""
        if self.final_until_us is not None and trade.time_us < self.final_until_us:
            return TradeOutcome.LATE
        if self.begin_us is not None and trade.time_us < self.begin_us:
            return TradeOutcome.EARLY
        open_us = minute_us(trade.time_us)
        minute = self.minutes.get(open_us)
        if minute is None:
            minute = self.insert(HeldMinute(open_us))
            if self.begin_us is None:
                self._forget_before_begin(open_us)
        closed_by = minute.fold.close_at
        if not minute.fold.add(trade):
            return TradeOutcome.REPEATED
        self._note_folded(minute, offset, closed_by)
        return TradeOutcome.FOLDED

    def add_part(self, open_us: int, part: PartialFold, offset: int) -> bool:
        """Fold many trades of one minute; `offset` is of the newest. False, nothing done: add them one by one.

        That is wherever their fates could differ, or depend on the order.
        """
        if self.begin_us is None or self.final_until_us is None or open_us < self.final_until_us:
            return False
        if open_us < self.begin_us:
            return True
        minute = self.minutes.get(open_us) or self.insert(HeldMinute(open_us))
        closed_by = minute.fold.close_at
        if not minute.fold.add_part(part):
            return False
        self._note_folded(minute, offset, closed_by)
        return True

    def insert(self, minute: HeldMinute) -> HeldMinute:
        """Put a minute in."""
        self.minutes[minute.open_us] = minute
        if minute.changed or minute.due:
            self.to_emit.add(minute.open_us)
        self.newest_us = max(self.newest_us, minute.open_us)
        return minute

    def mark(self, marker: Marker, offset: int) -> list[Candle]:
        """Take in a marker and emit, oldest minute first, what is due; `offset` becomes the candles' revision."""
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
        """The newest minute with trades that no marker has closed, if it changed since it was last asked for."""
        if self.run is not None or self.begin_us is None:
            return None
        open_us = max((at for at, minute in self.minutes.items() if minute.status is None), default=None)
        if open_us is None:
            return None
        minute = self.minutes[open_us]
        if (open_us, minute.newest_offset) == self.shown_us:
            return None
        self.shown_us = (open_us, minute.newest_offset)
        return minute.candle(self.market, None, status=Status.OPEN, revision=minute.newest_offset)

    def snapshot(self) -> dict[str, Any]:
        """The series's own record, without its minutes, as JSON values."""
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
        """The series of a snapshot; its minutes are put in by the caller."""
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
        for open_us in [at for at in self.minutes if at < self.begin_us]:
            self._drop(open_us)

    def _close(self, open_us: int, status: Status, marker: Marker | None) -> None:
        if self.begin_us is None or open_us < self.begin_us:
            return
        minute = self.minutes.get(open_us) or self.insert(HeldMinute(open_us))
        close_before = minute.closing_price()
        if minute.close(status, marker):
            self.dirty_minutes.add(open_us)
            self.to_emit.add(open_us)
            # In a run the price before counts from its marker on: that it is closed now is a change of its own.
            if self.run is not None or minute.closing_price() != close_before:
                self._change_flat_after(open_us)

    def _close_unmarked(self, final_before_us: int | None) -> None:
        """A live minute that reaches the final boundary without its own marker comes out as `hole`: markers jumped."""
        if self.begin_us is None or self.final_until_us is None:
            return
        for open_us in range(max(self.begin_us, final_before_us or 0), self.final_until_us, MINUTE_US):
            minute = self.minutes.get(open_us)
            if minute is None or minute.status is None:
                self._close(open_us, Status.HOLE, None)

    def _emit(self, revision: int) -> Iterator[Candle]:
        for open_us in sorted(self.to_emit):
            minute = self.minutes[open_us]
            if not minute.due:
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
        """The price that the nearest earlier minute gives, and which minute that is."""
        earlier = sorted(at for at in self.minutes if at < open_us)
        if self.run is None:
            for at in reversed(earlier):
                own = self.minutes[at].closing_price()
                if own is not None:
                    return own, at
        price, price_open_us = self.prior_price, self.prior_open_us
        for at in earlier:
            minute = self.minutes[at]
            own = minute.closing_price()
            given = own if own is not None else self._flat_price(minute, price, price_open_us)
            if given is not None and self._gives_price(minute):
                price, price_open_us = given, at
        return price, price_open_us

    def _flat_price(self, minute: HeldMinute, before: Decimal | None, before_open_us: int | None) -> Decimal | None:
        """Of a minute without trades: the close before it, else its own marker's price, else the first marker's.

        In a run only the minute right before counts. Where the series began in mid-log what came before it was not
        read: a price out of a marker could differ from the one that the first reading used, so there is none.
        """
        adjacent = before_open_us is not None and before_open_us + MINUTE_US == minute.open_us
        if before is not None and (self.run is None or adjacent):
            return before
        if self.floor_us is not None:
            return None
        return minute.price if minute.price is not None else self.first_price

    def _gives_price(self, minute: HeldMinute) -> bool:
        """Live: any minute. In a run: one that had its marker."""
        return self.run is None or minute.status is not None

    def _release(self, *, everything: bool) -> None:
        """Forget the minutes behind the final boundary, but for the last close: minutes without trades need it.

        A run that has ended keeps no minute at all.
        """
        assert self.final_until_us is not None  # noqa: S101  # set by the marker that led here
        while self.minutes and ((open_us := min(self.minutes)) + MINUTE_US <= self.final_until_us or everything):
            minute = self.minutes[open_us]
            own = minute.closing_price()
            price = own if own is not None else self._flat_price(minute, self.prior_price, self.prior_open_us)
            if price is not None and self._gives_price(minute):
                self.prior_price, self.prior_open_us = price, open_us
            self._drop(open_us)

    def _note_folded(self, minute: HeldMinute, offset: int, closed_by: object) -> None:
        minute.changed = True
        minute.newest_offset = max(minute.newest_offset, offset)
        self.dirty_minutes.add(minute.open_us)
        self.to_emit.add(minute.open_us)
        # Another closing trade counts as a change though its price be the same: so it is one in whatever order and
        # however many at once the trades came.
        if minute.open_us < self.newest_us and minute.fold.close_at != closed_by:
            self._change_flat_after(minute.open_us)

    def _change_flat_after(self, open_us: int) -> None:
        """The close of a minute changed: those without trades right after it have another price now."""
        right_after_us = open_us + MINUTE_US
        for later in sorted(at for at in self.minutes if at > open_us):
            minute = self.minutes[later]
            if minute.closing_price() is not None or (self.run is not None and later != right_after_us):
                return
            right_after_us = later + MINUTE_US
            minute.changed = True
            self.dirty_minutes.add(later)
            self.to_emit.add(later)

    def _forget_before_begin(self, newest_us: int) -> None:
        """Before the first marker there is no final boundary: hold no more than a final boundary would."""
        for open_us in [at for at in self.minutes if at < newest_us - self.allowed_lateness_us]:
            self._drop(open_us)

    def _drop(self, open_us: int) -> None:
        del self.minutes[open_us]
        self.to_emit.discard(open_us)
        self.dirty_minutes.add(open_us)


def _text(price: Decimal | None) -> str | None:
    return None if price is None else plain(price)


def _decimal(text: str | None) -> Decimal | None:
    return None if text is None else Decimal(text)

"""Sliding windows of many markets at once, in blocks, as `processors.rolling.sliding` has them for one market.

Of each hour that a window holds wholly, it keeps the sum. Of the hour that it is leaving, it keeps the sums from each
minute to its end. The running hour belongs to all windows and is not kept here. What was kept of an hour is forgotten
when a minute of it changes; it is lacking then, and has to be stored again.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from market.candle_columns import NUMBERS
from market.value_text import Bools, Ints
from processors.rolling.day import DAY_HOURS, HOUR_MINUTES
from processors.rolling.window_parts import (
    CLOSE,
    COUNT,
    both_parts,
    empty_parts,
    joined_parts,
    parts_from,
    parts_of,
    squares_between,
)  # fmt: skip

_CLOSE = NUMBERS.index("close")
_NONE = -(2**62)
BlocksOf = Callable[[Ints, Ints], tuple[Bools, Ints]]
"""Markets, and the number of a block of each → by market and place, whether it is present, and its `NUMBERS`."""
Squares = Ints
"""Three rows, as of `squares_between`."""


class RunningHour(NamedTuple):
    """The hour that is running, by market and minute."""

    hour: int
    present: Bools
    closes: Ints


class _Ring:
    """By market, and by hour modulo so many: an hour's part."""

    def __init__(self, hours: int) -> None:
        self.hours = hours
        self.hour: Ints = np.zeros((0, hours), np.int64)
        """Which hour is kept here."""
        self.parts = empty_parts(0, hours)

    def make_room(self, more: int) -> None:
        """Make room for more markets."""
        self.hour = np.pad(self.hour, ((0, more), (0, 0)), constant_values=_NONE)
        self.parts = np.pad(self.parts, ((0, 0), (0, more), (0, 0)))

    def lacking(self, markets: Ints, hours: Ints) -> tuple[Ints, Ints]:
        """Which of these hours are not kept of which of these markets: pairs of market and hour."""
        which, place = np.nonzero(self.hour[markets][:, hours % self.hours] != hours)
        return markets[which], hours[place]

    def store(self, markets: Ints, hours: Ints, parts: Ints) -> None:
        """Keep an hour's part of each of these markets."""
        self.hour[markets, hours % self.hours] = hours
        self.parts[:, markets, hours % self.hours] = parts

    def forget(self, market: int, hours: Ints | None) -> None:
        """Forget these hours of a market, or all."""
        if hours is None:
            self.hour[market] = _NONE
        else:
            is_kept = self.hour[market, hours % self.hours] == hours
            self.hour[market, hours[is_kept] % self.hours] = _NONE

    def of(self, markets: Ints, hours: Ints) -> Ints:
        """The parts of these hours, of each of these markets."""
        return self.parts[:, markets[:, None], hours % self.hours]


class MinuteColumns:
    """A window of whole hours that moves by minutes; a return is from the end of a step to that of the next."""

    def __init__(self, length: int, step: int) -> None:
        self.length = length
        self.step = step
        self._ends_of_steps = slice(step - 1, None, step)
        self._hours = length // HOUR_MINUTES
        self._ring = _Ring(self._hours)
        self._squares: Squares = np.zeros((3, 0, self._hours), np.int64)
        """Of the returns within each hour."""
        self._ends: Ints = np.zeros((4, 0, self._hours), np.int64)
        """Of each hour: whether its first step has a close, that close; the same of its last step."""
        self._left_hour: Ints = np.zeros(0, np.int64)
        """Which hour is being left."""
        self._left = empty_parts(0, HOUR_MINUTES + 1)
        """From each minute to its end."""
        self._left_squares: Squares = np.zeros((3, 0, HOUR_MINUTES + 1), np.int64)
        self._between = empty_parts(0)
        """From the hour that is being left to the running one."""
        self._between_squares: Squares = np.zeros((3, 0), np.int64)
        self._first_square: Squares = np.zeros((3, 0), np.int64)
        """Of the return from the hour that is being left to the next."""
        self._running: Squares = np.zeros((3, 0, HOUR_MINUTES + 1), np.int64)
        """Of the returns that end before each minute of the running hour."""

    def make_room(self, more: int) -> None:
        """Make room for more markets."""
        self._ring.make_room(more)
        self._left_hour = np.pad(self._left_hour, (0, more), constant_values=_NONE)
        for name in ("_squares", "_ends", "_left", "_left_squares", "_running"):
            setattr(self, name, np.pad(getattr(self, name), ((0, 0), (0, more), (0, 0))))
        for name in ("_between", "_between_squares", "_first_square"):
            setattr(self, name, np.pad(getattr(self, name), ((0, 0), (0, more))))

    def _store(self, markets: Ints, hours: Ints, present: Bools, numbers: Ints) -> None:
        """Keep an hour of each of these markets, by minute."""
        parts = parts_of(present, numbers)
        self._ring.store(markets, hours, joined_parts(parts))
        slots = hours % self._hours
        has_close, closes = present[:, self._ends_of_steps], numbers[_CLOSE][:, self._ends_of_steps]
        squares = squares_between(has_close[:, :-1], closes[:, :-1], has_close[:, 1:], closes[:, 1:])
        self._squares[:, markets, slots] = squares.sum(-1)
        self._ends[:, markets, slots] = has_close[:, 0], closes[:, 0], has_close[:, -1], closes[:, -1]

    def _leave(self, markets: Ints, hour: int, present: Bools, numbers: Ints) -> None:
        """Keep the hour that is being left, by minute."""
        self._left_hour[markets] = hour
        self._left[:, markets] = parts_from(parts_of(present, numbers))
        has_close, closes = present[:, self._ends_of_steps], numbers[_CLOSE][:, self._ends_of_steps]
        squares = np.zeros((3, len(markets), HOUR_MINUTES + 1), np.int64)  # of each return, where it begins
        squares[..., self.step - 1 : -1 - self.step : self.step] = squares_between(
            has_close[:, :-1], closes[:, :-1], has_close[:, 1:], closes[:, 1:]
        )
        self._left_squares[:, markets] = squares[..., ::-1].cumsum(-1)[..., ::-1]

    def forget(self, market: int, hour: int | None) -> None:
        """Note that an hour of a market was changed, or that all were."""
        self._ring.forget(market, None if hour is None else np.array([hour]))
        if hour is None or self._left_hour[market] == hour:
            self._left_hour[market] = _NONE

    def look(self, markets: Ints, hour: int, minutes_of: BlocksOf) -> None:
        """Compute what does not change while this is the running hour, from the minutes of the hours before it."""
        left = hour - self._hours
        lacking, hours = self._ring.lacking(markets, np.arange(left, hour))
        self._store(lacking, hours, *minutes_of(lacking, hours))
        leaving = markets[self._left_hour[markets] != left]
        self._leave(leaving, left, *minutes_of(leaving, np.full_like(leaving, left)))
        between, before = np.arange(hour - self._hours + 1, hour), np.arange(hour - self._hours, hour - 1)
        if not len(between):
            self._between[:, markets] = empty_parts(len(markets))
            return
        self._between[:, markets] = joined_parts(self._ring.of(markets, between))
        of_markets, slots = markets[:, None], between % self._hours
        has_first, first = self._ends[:2, of_markets, slots]
        has_last, last = self._ends[2:, of_markets, before % self._hours]
        seams = squares_between(has_last > 0, last, has_first > 0, first)
        self._between_squares[:, markets] = self._squares[:, of_markets, slots].sum(-1) + seams.sum(-1)
        self._first_square[:, markets] = seams[..., 0]

    def add_up(self, markets: Ints, hours: Ints, present: Bools, closes: Ints) -> None:
        """Keep the sums of the squared returns that end before each minute of the running hours of these markets."""
        has_last, last = self._ends[2:, markets, (hours - 1) % self._hours]
        has_close, close = present[:, self._ends_of_steps], closes[:, self._ends_of_steps]
        has_before = np.concatenate((has_last[:, None] > 0, has_close[:, :-1]), axis=1)
        before = np.concatenate((last[:, None], close[:, :-1]), axis=1)
        squares = np.zeros((3, *present.shape), np.int64)
        squares[..., self._ends_of_steps] = squares_between(has_before, before, has_close, close)
        self._running[:, markets, 1:] = squares.cumsum(-1)

    def until(self, markets: Ints, places: Ints) -> Squares:
        """The squared returns that end before these minutes of the running hour of these markets."""
        return self._running[:, markets, places]

    def square_of_open(self, markets: Ints, places: Ints, running: RunningHour, open_closes: Ints) -> Squares:
        """The squared return that ends with an open minute of each of these markets."""
        _, present, closes = running
        has_last, last = self._ends[2:, markets, (running.hour - 1) % self._hours]
        is_first, before = places < self.step, np.maximum(places - self.step, 0)
        has_before = np.where(is_first, has_last > 0, present[markets, before])
        is_end = (places + 1) % self.step == 0
        before = np.where(is_first, last, closes[markets, before])
        return squares_between(has_before, before, is_end, open_closes)

    def windows(self, markets: Ints, places: Ints, running: Ints, squares: Squares) -> tuple[Ints, Squares]:
        """The windows of these markets that end with these minutes of the running hour.

        `running` and `squares`: the running hour up to there.
        """
        head = self._left[:, markets, places + 1]
        parts = both_parts(both_parts(head, self._between[:, markets]), running)
        total = self._left_squares[:, markets, places + 1] + squares
        if self._hours > 1:
            total += self._between_squares[:, markets]
            first = self._first_square[:, markets]
        else:
            first = self._running[:, markets, self.step]
        # A window that begins with an hour: the return before its first close is not in it.
        return parts, total - first * (places == HOUR_MINUTES - 1)


class HourColumns:
    """A window of whole hours, and the running one; a return is from the close of an hour to that of the next."""

    def __init__(self, length: int) -> None:
        self.length = length
        self._ring = _Ring(length)
        self._between = empty_parts(0)
        self._squares: Squares = np.zeros((3, 0), np.int64)

    def make_room(self, more: int) -> None:
        """Make room for more markets."""
        self._ring.make_room(more)
        self._between = np.pad(self._between, ((0, 0), (0, more)))
        self._squares = np.pad(self._squares, ((0, 0), (0, more)))

    def _store(self, markets: Ints, days: Ints, hour: int, present: Bools, numbers: Ints) -> None:
        """Keep the hours of a day of each of these markets, those before the running one."""
        hours = days[:, None] * DAY_HOURS + np.arange(DAY_HOURS)
        is_held = (hours < hour) & (hours > hour - self.length)
        which, place = np.nonzero(is_held)
        self._ring.store(markets[which], hours[is_held], parts_of(present, numbers)[:, which, place])

    def forget(self, market: int, hour: int | None) -> None:
        """Note that an hour of a market was changed, or that all were; its day is looked at again."""
        first = None if hour is None else hour - hour % DAY_HOURS
        self._ring.forget(market, None if first is None else np.arange(first, first + DAY_HOURS))

    def look(self, markets: Ints, hour: int, hours_of: BlocksOf) -> None:
        """Compute what does not change while this is the running hour, from the hours of the days before it."""
        lacking, hours = self._ring.lacking(markets, self._before(hour))
        if len(lacking):
            lacking, days = np.unique((lacking, hours // DAY_HOURS), axis=1)
            self._store(lacking, days, hour, *hours_of(lacking, days))
        parts = self._ring.of(markets, self._before(hour))
        self._between[:, markets] = joined_parts(parts)
        has_close, closes = parts[COUNT] > 0, parts[CLOSE]
        squares = squares_between(has_close[:, :-1], closes[:, :-1], has_close[:, 1:], closes[:, 1:])
        self._squares[:, markets] = squares.sum(-1)

    def windows(self, markets: Ints, running: Ints) -> tuple[Ints, Squares]:
        """The windows of these markets; `running` is the running hour up to where they end."""
        between = self._between[:, markets]
        parts = both_parts(between, running)
        parts[COUNT] = HOUR_MINUTES * between[COUNT] + running[COUNT]
        return parts, self._squares[:, markets]

    def _before(self, hour: int) -> Ints:
        return np.arange(hour - self.length + 1, hour)

"""Sums over pairs of markets, from which correlations are made. Pure.

Returns are whole numbers, so each sum is exact: what a minute adds is taken away when it leaves or is corrected, and a
pair that is watched from now on has the same sums as one that was watched all day.
"""

import math
from collections.abc import Iterable, Mapping
from itertools import chain
from typing import NamedTuple

from processors.signals.market_day import MarketDay
from processors.signals.numbers import ABSENT


class PairKey(NamedTuple):
    """Two markets and how many minutes back."""

    first: str
    second: str
    window_minutes: int


class PairSums:
    """The minutes of one window in which both markets have a return."""

    __slots__ = ("_first", "_second", "_window", "count", "newest", "x", "xx", "xy", "y", "yy")

    def __init__(self, first: MarketDay, second: MarketDay, window_minutes: int) -> None:
        self._first = first
        self._second = second
        self._window = window_minutes
        self.newest = first.newest
        self.count = self.x = self.y = self.xx = self.yy = self.xy = 0
        for minute in range(self.newest - window_minutes + 1, self.newest + 1):
            self.change(minute, 1)

    def change(self, minute: int, sign: int) -> None:
        """Add (1) or take away (-1) a minute, if it is in the window."""
        if self.newest - self._window < minute <= self.newest:
            self.add(self._first.return_of(minute), self._second.return_of(minute), sign)

    def add(self, x: int, y: int, sign: int) -> None:
        """Add or take away a minute with these returns."""
        if ABSENT in (x, y):
            return
        self.count += sign
        self.x += sign * x
        self.y += sign * y
        self.xx += sign * x * x
        self.yy += sign * y * y
        self.xy += sign * x * y

    def leave(self, newest: int) -> None:
        """Take away what is too old for a window that ends with `newest`, as long as the markets still have it."""
        oldest = self.newest - self._window + 1
        for minute in range(oldest, min(oldest + newest - self.newest, self.newest + 1)):
            self.change(minute, -1)

    def correlation(self) -> float | None:
        """Pearson's coefficient; None where one of the markets did not move."""
        spread_x = self.count * self.xx - self.x * self.x
        spread_y = self.count * self.yy - self.y * self.y
        if not spread_x or not spread_y:
            return None
        together = self.count * self.xy - self.x * self.y
        return max(-1.0, min(1.0, together / math.sqrt(spread_x) / math.sqrt(spread_y)))


class Pairs:
    """The pairs that are watched."""

    def __init__(self) -> None:
        self._sums: dict[PairKey, PairSums] = {}
        self._of_market: dict[str, list[PairSums]] = {}

    def watch(self, wanted: Iterable[PairKey], days: Mapping[str, MarketDay]) -> None:
        """Watch these pairs, as far as both markets are there, and no others."""
        there = {pair for pair in wanted if pair.first in days and pair.second in days}
        if there == self._sums.keys():
            return
        self._sums = {
            pair: self._sums.get(pair) or PairSums(days[pair.first], days[pair.second], pair.window_minutes)
            for pair in there
        }
        self._of_market = {market: [] for market in chain.from_iterable(pair[:2] for pair in there)}
        for pair, sums in self._sums.items():
            for market in pair[:2]:
                self._of_market[market].append(sums)

    def forget(self, market: str) -> None:
        """The market is gone; if it comes back, it begins anew."""
        if self._of_market.pop(market, None) is not None:
            self._sums = {pair: sums for pair, sums in self._sums.items() if market not in pair[:2]}

    def sums(self, pair: PairKey) -> PairSums | None:
        """The sums of a pair; None if it is not watched."""
        return self._sums.get(pair)

    def change(self, market: str, minute: int, sign: int) -> None:
        """Before (-1) and after (1) a minute of the market is corrected: the return behind it changes too."""
        for sums in self._of_market.get(market, ()):
            sums.change(minute, sign)
            sums.change(minute + 1, sign)

    def leave(self, newest: int) -> None:
        """Before the markets' windows move on to end with `newest`."""
        for sums in self._sums.values():
            sums.leave(newest)

    def enter(self, newest: int, days: Mapping[str, MarketDay]) -> None:
        """After the markets have their candles of the minute `newest`."""
        returns = {market: days[market].return_of(newest) for market in self._of_market}
        for pair, sums in self._sums.items():
            sums.newest = newest
            sums.add(returns[pair.first], returns[pair.second], 1)

"""How many trades the newest candles of each day hold, and what these candles say of given minutes. Pure.

A day of a market takes 23 kB, whatever its trades: the newest revision of each minute and its count.
"""

from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from market.candle import Candle, Status
from market.ids import IdRanges
from market.timeframe import DAY_MS, MINUTE_MS
from market.trade import numeric_id
from runtime.errors import UsageError

MOST_DAYS = 10_000
"""At most so many days of markets: 230 MB."""
_MINUTES = DAY_MS // MINUTE_MS


class MinuteState(NamedTuple):
    """What the newest candle of a minute says."""

    revision: int
    status: Status
    ids: tuple[int, int] | None
    """The first and the last id, if the candle has all ids between them."""
    is_of_run: bool
    appended_ms: int


class _MarketDay:
    __slots__ = ("revisions", "trades")

    def __init__(self) -> None:
        self.revisions = array("q", [-1]) * _MINUTES
        self.trades = array("q", [0]) * _MINUTES


class PublishedTrades:
    """The candles of markets, taken in any order; `watched` are minutes (markets' text and open time) to remember."""

    def __init__(self, watched: Iterable[tuple[str, int]] = ()) -> None:
        self._days: dict[tuple[str, int], _MarketDay] = {}
        self._watched = set(watched)
        self._states: dict[tuple[str, int], MinuteState] = {}

    def take(self, candle: Candle, *, is_of_run: bool, appended_ms: int) -> None:
        """Note a 1m candle. Raises `UsageError` beyond `MOST_DAYS`."""
        open_ms, key = candle.open_time_ms, candle.key
        place = (key, open_ms // DAY_MS)
        day = self._days.get(place)
        if day is None:
            if len(self._days) >= MOST_DAYS:
                raise UsageError(f"more than {MOST_DAYS:,} days of symbols: name symbols, or give fewer --days")
            day = self._days[place] = _MarketDay()
        minute = open_ms % DAY_MS // MINUTE_MS
        if candle.revision <= day.revisions[minute]:
            return
        day.revisions[minute], day.trades[minute] = candle.revision, candle.trades
        if (key, open_ms) in self._watched:
            self._states[key, open_ms] = MinuteState(
                candle.revision, candle.status, _all_ids(candle), is_of_run, appended_ms
            )

    def days(self) -> Iterator[tuple[str, int, int]]:
        """Market, day (number since 1970), and the trades in its newest candles."""
        return ((key, day, sum(candles.trades)) for (key, day), candles in self._days.items())

    def states(self, key: str, opens_ms: Iterable[int]) -> list[MinuteState | None]:
        """What the newest candles of watched minutes say; None: there is none."""
        return [self._states.get((key, open_ms)) for open_ms in opens_ms]


def without(ids: IdRanges, states: Sequence[MinuteState | None]) -> IdRanges:
    """The ids that are in none of these minutes, as far as their candles tell."""
    left = list(ids)
    for held in (state.ids for state in states if state is not None and state.ids is not None):
        left = [part for first, last in left for part in _outside(first, last, *held)]
    return IdRanges(left)


def _outside(first: int, last: int, held_first: int, held_last: int) -> Iterator[tuple[int, int]]:
    if held_last < first or last < held_first:
        yield first, last
        return
    if first < held_first:
        yield first, held_first - 1
    if held_last < last:
        yield held_last + 1, last


def _all_ids(candle: Candle) -> tuple[int, int] | None:
    first, last = numeric_id(candle.first_trade_id or ""), numeric_id(candle.last_trade_id or "")
    if first is None or last is None or last - first + 1 != candle.trades:
        return None
    return first, last

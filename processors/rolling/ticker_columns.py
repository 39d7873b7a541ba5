"""The tickers of a partition's markets, many at once: their sliding windows as columns.

Numbers are at the scale of each market, and 64 bits have to hold what a window of `MOST` each can sum up to. Markets
whose numbers are greater are left to `processors.rolling.ticker`, for good.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import numpy as np
from msgspec.structs import astuple

from market.candle_columns import NUMBERS
from market.timeframe import MINUTE_MS
from market.value_text import Bools, Ints
from processors.rolling.block import BlockNumbers
from processors.rolling.day import DAY_HOURS, HOUR_MINUTES
from processors.rolling.sliding_columns import HourColumns, MinuteColumns, RunningHour
from processors.rolling.sums import Sum
from processors.rolling.ticker import WINDOWS, MinuteWindow
from processors.rolling.ticker_texts import NO_VOLATILITY, WindowNumbers
from processors.rolling.window_parts import (
    CLOSE,
    COUNT,
    HIGH,
    LIMB,
    LOW,
    MOST,
    OPEN,
    QUOTE_VOLUME,
    RANK,
    REVISION,
    TAKER_BUY_VOLUME,
    TRADES,
    VOLUME,
    both_parts,
    empty_parts,
    parts_before,
    parts_of,
)  # fmt: skip

MOST_MARKETS = 64
"""As many look at the hours before theirs at once: each at up to a day of minutes, which lie side by side."""
_NONE = -(2**62)
_ROWS = NUMBERS.index("rank") + 1
"""Of `NUMBERS`, those before the ids."""
_CLOSE = NUMBERS.index("close")

NumbersOf = Callable[[str, int], BlockNumbers | None]
"""Key and number of a block → its numbers; None if 64 bits do not hold them."""


class DueTicker(NamedTuple):
    """A ticker to be made: at the end of a minute (since 1970), or with `live`, that minute while it is open."""

    key: str
    minute: int
    live: Sum | None = None


class TickerColumns:
    """All markets; `minutes_of` has the minutes of an hour since 1970, `hours_of` the hours of a day."""

    def __init__(self, minutes_of: NumbersOf, hours_of: NumbersOf) -> None:
        self._minutes_of = minutes_of
        self._hours_of = hours_of
        self._markets: dict[str, int] = {}
        self._keys: list[str] = []
        self._too_great: set[str] = set()
        self._windows = [
            MinuteColumns(*window) if isinstance(window, MinuteWindow) else HourColumns(*window)
            for window in WINDOWS.values()
        ]
        self._hour: Ints = np.zeros(0, np.int64)
        """Of each market, which hour is running."""
        self._is_stale: Bools = np.zeros(0, np.bool_)
        """Whether hours before it were changed since."""
        self._present: Bools = np.zeros((0, HOUR_MINUTES), np.bool_)
        self._numbers: Ints = np.zeros((_ROWS, 0, HOUR_MINUTES), np.int64)
        self._until = empty_parts(0, HOUR_MINUTES + 1)
        """Of the running hour, what lies before each minute."""
        self._changes: list[tuple[int, int, Sum]] = []
        """Market, place and new sum of minutes of the running hour."""

    def change(self, key: str, minute: int, value: Sum) -> None:
        """Note that a minute of a market was put in, or replaced."""
        market = self._markets.get(key)
        if market is None:
            return
        hour, place = divmod(minute, HOUR_MINUTES)
        running = self._hour.item(market)
        if hour == running:
            self._changes.append((market, place, value))
        elif hour < running:
            self._is_stale[market] = True
            for window in self._windows:
                window.forget(market, hour)

    def forget(self, key: str) -> None:
        """Note that all of a market was changed: it has another scale."""
        market = self._markets.get(key)
        if market is not None:
            self._hour[market] = _NONE
            for window in self._windows:
                window.forget(market, None)

    def prepare(self, newest: Iterable[tuple[str, int]]) -> None:
        """Look at all that the next ticker of each key needs, which had this newest minute."""
        by_hour: dict[int, list[int]] = {}
        for key, minute in newest:
            by_hour.setdefault(minute // HOUR_MINUTES, []).append(self._market(key))
        for hour, markets in by_hour.items():
            self._look(np.array(markets), hour)

    def numbers(self, due: Sequence[DueTicker]) -> tuple[list[int], Ints]:
        """The numbers of tickers: of which of these, and a column for each, of its revision and its `WindowNumbers`.

        The others are of markets whose numbers are too great. The minutes of a market never go back.
        """
        self._take_changes()
        rows: list[int] = []
        columns = [np.empty((1 + len(WindowNumbers._fields) * len(WINDOWS), 0), np.int64)]
        by_hour: dict[int, list[int]] = {}
        for row, ticker in enumerate(due):
            by_hour.setdefault(ticker.minute // HOUR_MINUTES, []).append(row)
        for hour, of_hour in sorted(by_hour.items()):
            self._look(np.unique([self._market(due[row].key) for row in of_hour]), hour)
            usual = [row for row in of_hour if due[row].key not in self._too_great]
            closed = [row for row in usual if due[row].live is None]
            opened = [row for row in usual if _holds(due[row].live)]
            for chosen, make in ((closed, self._closed), (opened, self._open)):
                if chosen:
                    rows += chosen
                    columns.append(make(hour, [due[row] for row in chosen]))
        return rows, np.concatenate(columns, axis=1)

    def _closed(self, hour: int, due: Sequence[DueTicker]) -> Ints:
        """Tickers at the end of minutes of the running hour."""
        markets, places = self._places_of(due)
        squares = [window.until(markets, places + 1) for window in self._windows if isinstance(window, MinuteColumns)]
        return self._columns(hour, markets, places, self._until[:, markets, places + 1], squares)

    def _open(self, hour: int, due: Sequence[DueTicker]) -> Ints:
        """Tickers with an open minute."""
        markets, places = self._places_of(due)
        numbers = np.array([_row(ticker.live) for ticker in due if ticker.live is not None]).T
        running = both_parts(self._until[:, markets, places], parts_of(np.ones(len(due), np.bool_), numbers))
        of_hour = RunningHour(hour, self._present, self._numbers[_CLOSE])
        squares = [
            window.until(markets, places) + window.square_of_open(markets, places, of_hour, numbers[_CLOSE])
            for window in self._windows
            if isinstance(window, MinuteColumns)
        ]
        return self._columns(hour, markets, places, running, squares)

    def _places_of(self, due: Sequence[DueTicker]) -> tuple[Ints, Ints]:
        """Of tickers, the markets and the places of their minutes in the hour."""
        markets = np.array([self._markets[ticker.key] for ticker in due])
        return markets, np.array([ticker.minute % HOUR_MINUTES for ticker in due])

    def _columns(self, hour: int, markets: Ints, places: Ints, running: Ints, squares: Sequence[Ints]) -> Ints:
        """Tickers at the end of these places of the running hour, of which `running` is the part up to there.

        `squares`: for each `MinuteColumns` the squared returns up to there.
        """
        ends = hour * HOUR_MINUTES + places + 1
        rows, squares_of = [np.zeros_like(places)], iter(squares)
        for window in self._windows:
            if isinstance(window, MinuteColumns):
                parts, total = window.windows(markets, places, running, next(squares_of))
                since = ends - window.length
            else:
                parts, total = window.windows(markets, running)
                since = np.full_like(ends, (hour - window.length + 1) * HOUR_MINUTES)
            rows[0] = np.maximum(rows[0], parts[REVISION])
            missing = ends - since - parts[COUNT]
            rows += [*parts[_SHOWN], since * MINUTE_MS, missing, _volatilities(total)]
        return np.stack(rows)

    def _look(self, markets: Ints, hour: int) -> None:
        """Make this the running hour of these markets, and store what windows lack of those before it."""
        markets = markets[(self._hour[markets] != hour) | self._is_stale[markets]]
        for begin in range(0, len(markets), MOST_MARKETS):
            some = markets[begin : begin + MOST_MARKETS]
            for window in self._windows:
                window.look(some, hour, self._minutes if isinstance(window, MinuteColumns) else self._hours)
            moved = some[self._hour[some] != hour]
            self._present[moved], self._numbers[:, moved] = self._minutes(moved, np.full_like(moved, hour))
            self._hour[moved] = hour
            self._is_stale[some] = False
            self._add_up(some)

    def _add_up(self, markets: Ints) -> None:
        """Compute what the running hours of these markets hold up to each minute."""
        present, numbers = self._present[markets], self._numbers[:, markets]
        self._until[:, markets] = parts_before(parts_of(present, numbers))
        for window in self._windows:
            if isinstance(window, MinuteColumns):
                window.add_up(markets, self._hour[markets], present, numbers[_CLOSE])

    def _minutes(self, markets: Ints, hours: Ints) -> tuple[Bools, Ints]:
        """By market and minute, an hour of each of these markets."""
        present, numbers = self._present[markets], self._numbers[:, markets]
        for row in np.flatnonzero(self._hour[markets] != hours).tolist():
            key, hour = self._keys[markets[row]], int(hours[row])
            present[row], numbers[:, row] = self._loaded(key, self._minutes_of(key, hour), HOUR_MINUTES)
        is_great = (numbers[_SUMMED].sum(-1) > MOST).any(0)
        self._too_great |= {self._keys[market] for market in markets[is_great].tolist()}
        return present, numbers

    def _hours(self, markets: Ints, days: Ints) -> tuple[Bools, Ints]:
        """By market and hour, a day of each of these markets."""
        present = np.zeros((len(markets), DAY_HOURS), np.bool_)
        numbers = np.zeros((_ROWS, *present.shape), np.int64)
        for row, (market, day) in enumerate(zip(markets.tolist(), days.tolist(), strict=True)):
            key = self._keys[market]
            present[row], numbers[:, row] = self._loaded(key, self._hours_of(key, day), DAY_HOURS)
        return present, numbers

    def _loaded(self, key: str, block: BlockNumbers | None, size: int) -> tuple[Bools, Ints]:
        """A block's numbers by place; those of a market whose numbers are too great are left out."""
        numbers = np.zeros((_ROWS, size), np.int64)
        if block is None or (block[1][_SUMMED] > MOST).any():
            self._too_great.add(key)
            return np.zeros(size, np.bool_), numbers
        numbers[:, block[0]] = block[1]
        return block[0], numbers

    def _market(self, key: str) -> int:
        market = self._markets.get(key)
        if market is None:
            market = self._markets[key] = len(self._keys)
            self._keys.append(key)
            if market == len(self._hour):
                self._make_room(max(8, market // 4))
        return market

    def _make_room(self, more: int) -> None:
        self._hour = np.pad(self._hour, (0, more), constant_values=_NONE)
        self._is_stale = np.pad(self._is_stale, (0, more))
        self._present = np.pad(self._present, ((0, more), (0, 0)))
        self._numbers = np.pad(self._numbers, ((0, 0), (0, more), (0, 0)))
        self._until = np.pad(self._until, ((0, 0), (0, more), (0, 0)))
        for window in self._windows:
            window.make_room(more)

    def _take_changes(self) -> None:
        """Put the changed minutes of the running hours in."""
        changes, self._changes = self._changes, []
        self._too_great |= {self._keys[market] for market, _, value in changes if not _holds(value)}
        # Of a market that was forgotten since, all is loaded again.
        usual = [
            (market, place, *_row(value))
            for market, place, value in changes
            if self._hour[market] != _NONE and _holds(value)
        ]
        if usual:
            markets, places, *numbers = np.array(usual).T
            self._present[markets, places] = True
            self._numbers[:, markets, places] = numbers
            self._add_up(np.unique(markets))


def _holds(value: Sum | None) -> bool:
    """Whether a sum's numbers are not too great."""
    return value is not None and max(value.high, value.volume, value.quote_volume, value.taker_buy_volume) <= MOST


def _row(value: Sum) -> tuple[int, ...]:
    return astuple(value)[:_ROWS]


def _volatilities(squares: Ints) -> Ints:
    """As `processors.rolling.sliding.volatility`."""
    roots = (
        (math.isqrt(4 * (LIMB * above + below)) + 1) // 2 if count > 1 else NO_VOLATILITY
        for above, below, count in zip(*squares.tolist(), strict=True)
    )
    return np.fromiter(roots, np.int64, squares.shape[1])


_SUMMED = [NUMBERS.index(name) for name in ("high", "volume", "quote_volume", "taker_buy_volume")]
_SHOWN = [COUNT, OPEN, HIGH, LOW, CLOSE, VOLUME, QUOTE_VOLUME, TAKER_BUY_VOLUME, TRADES, RANK]
"""The parts of a window in the order of `WindowNumbers`."""

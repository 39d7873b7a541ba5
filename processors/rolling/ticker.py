"""The tickers of one market: the numbers of its sliding windows."""

from typing import NamedTuple

from market.timeframe import MINUTE_MS
from processors.rolling.amounts import Scale
from processors.rolling.day import DAY_HOURS, HOUR_MINUTES
from processors.rolling.sliding import Part, PlacesOf, Sliding, both, volatility
from processors.rolling.sums import Sum
from processors.rolling.ticker_texts import NO_VOLATILITY, TickerNumbers, WindowNumbers


class MinuteWindow(NamedTuple):
    """A window to the minute: how many minutes, and how many from one close to the next whose return counts."""

    length: int
    step: int


class HourWindow(NamedTuple):
    """A window of whole hours and the minutes of the running one: how many hours, this one counted."""

    length: int


WINDOWS: dict[str, MinuteWindow | HourWindow] = {
    "1h": MinuteWindow(60, step=1),
    "24h": MinuteWindow(24 * 60, step=5),
    "7d": HourWindow(7 * 24),
}
"""A new window is a line here."""


_RUNNING_HOUR = MinuteWindow(HOUR_MINUTES, step=1)


class TickerMaker:
    """All windows of one market, whose sums have this scale.

    `minutes_of` has the minutes of an hour since 1970, `hours_of` the hours of a day.
    """

    __slots__ = ("_hours_of", "_key", "_minutes_of", "_slidings", "scale")

    def __init__(self, key: str, scale: Scale, minutes_of: PlacesOf, hours_of: PlacesOf) -> None:
        self._key = key
        self.scale = scale
        self._minutes_of = minutes_of
        self._hours_of = hours_of
        self._slidings = {window: _sliding(window) for window in (_RUNNING_HOUR, *WINDOWS.values())}

    def forget(self, minute: int) -> None:
        """Note that a minute (since 1970) was changed."""
        for window, sliding in self._slidings.items():
            sliding.forget(minute if isinstance(window, MinuteWindow) else minute // HOUR_MINUTES)

    def ticker(self, minute: int, live: Sum | None = None) -> TickerNumbers:
        """The ticker at the end of a closed minute (since 1970), or with `live`, which is that minute while it is open.

        Minutes never go back.
        """
        slidings, minutes_of = self._slidings, self._minutes_of
        running = slidings[_RUNNING_HOUR]
        of_last_hour = running.until(minute, minutes_of, live)
        windows: list[WindowNumbers] = []
        revision = 0
        for window in WINDOWS.values():
            sliding = slidings[window]
            if isinstance(window, MinuteWindow):
                part = of_last_hour if sliding is running else sliding.until(minute, minutes_of, live)
                minutes = part.count if part else 0
                since, end = minute - window.length + 1, minute + 1
            else:
                hour = minute // HOUR_MINUTES
                hours, of_hour = sliding.until(hour - 1, self._hours_of), running.newest_block(live)
                part = both(hours, of_hour)
                minutes = HOUR_MINUTES * (hours.count if hours else 0) + (of_hour.count if of_hour else 0)
                since, end = (hour - window.length + 1) * HOUR_MINUTES, minute + 1
            assert part is not None  # noqa: S101  # the newest minute is there
            windows.append(_numbers(part, minutes, since * MINUTE_MS, end - since - minutes))
            revision = max(revision, part.revision)
        end_ms = (minute + 1) * MINUTE_MS
        return TickerNumbers(self._key, self.scale, end_ms, live is not None, revision, windows)


def _numbers(part: Part, minutes: int, since_ms: int, missing: int) -> WindowNumbers:
    varied = volatility(part)
    return WindowNumbers(
        minutes,
        part.open,
        part.high,
        part.low,
        part.close,
        part.volume,
        part.quote_volume,
        part.taker_buy_volume,
        part.trades,
        part.rank,
        since_ms,
        missing,
        NO_VOLATILITY if varied is None else varied,
    )


def _sliding(window: MinuteWindow | HourWindow) -> Sliding:
    if isinstance(window, MinuteWindow):
        return Sliding(window.length, HOUR_MINUTES, window.step)
    return Sliding(window.length - 1, DAY_HOURS, 1)  # the running hour is added minute by minute

"""The windows of longer candles that changed, made of the minutes, hours and days that are known."""

from collections.abc import Iterable, Iterator, Sequence

from market.timeframe import DAY_MS, HOUR_MS, MINUTE_MS, Timeframe
from processors.rolling.day import DAY_HOURS, HOUR_MINUTES, whole_parts
from processors.rolling.history import DayKey
from processors.rolling.state import RollingState
from processors.rolling.steps import HOURS_OF, MINUTES_OF, OF_DAYS, days_of
from processors.rolling.sums import Sum, joined


def changed_windows(
    state: RollingState, name: DayKey, minutes: set[int], *, name_all: bool
) -> Iterator[tuple[Timeframe, int, Sum | None]]:
    """The windows that hold any of these minutes of a day: timeframe, open time, and the sum if it is whole.

    Windows that are not whole are left out, unless `name_all`.
    """
    key, day = name
    first_hour = day * DAY_HOURS
    changed: set[int] = set()
    for hour, of_hour in _by_hour(minutes):
        places = state.minutes(key, first_hour + hour)
        for timeframe, length in MINUTES_OF.items():
            for since in _begins(of_hour, length):
                if places[since + length - 1] is None and not name_all:
                    continue
                parts = whole_parts(places[since : since + length])
                if parts or name_all:
                    open_ms = (first_hour + hour) * HOUR_MS + since * MINUTE_MS
                    yield timeframe, open_ms, joined(parts) if parts else None
        if name_all or whole_parts(places) is not None:
            changed.add(hour)
    if changed:
        yield from _longer_windows(state, name, changed, name_all=name_all)


def _longer_windows(
    state: RollingState, name: DayKey, changed: set[int], *, name_all: bool
) -> Iterator[tuple[Timeframe, int, Sum | None]]:
    """The same of windows of hours and of days, that hold any of these hours of a day."""
    key, day = name
    hours = state.hours(key, day)
    for timeframe, length in HOURS_OF.items():
        for since in sorted({hour - hour % length for hour in changed}):
            parts = whole_parts(hours[since : since + length])
            if parts or name_all:
                yield timeframe, day * DAY_MS + since * HOUR_MS, joined(parts) if parts else None
    if (parts := whole_parts(hours)) is None:
        return
    state.put_day(key, day, joined(parts))
    for timeframe in OF_DAYS:
        span = days_of(timeframe, day)
        if (parts := whole_parts(state.days(key, span))) is not None:
            yield timeframe, span[0] * DAY_MS, joined(parts)


def _begins(minutes: Sequence[int], length: int) -> Iterable[int]:
    """Where the windows of this length begin that hold any of these minutes; nearly always there is one."""
    if len(minutes) == 1:
        return (minutes[0] - minutes[0] % length,)
    return {minute - minute % length for minute in minutes}


def _by_hour(minutes: set[int]) -> Iterable[tuple[int, list[int]]]:
    """Minutes of a day by their hour, each counted from the hour's beginning; nearly always there is one."""
    if len(minutes) == 1:
        hour, minute = divmod(next(iter(minutes)), HOUR_MINUTES)
        return [(hour, [minute])]
    by_hour: dict[int, list[int]] = {}
    for minute in sorted(minutes):
        by_hour.setdefault(minute // HOUR_MINUTES, []).append(minute % HOUR_MINUTES)
    return by_hour.items()

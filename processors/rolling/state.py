"""What one partition's core knows of its markets: minutes, hours and days, and where the log holds what it forgot.

Minutes are kept for the sliding windows, about 27 hours of them, and hours for as many days as the longest window has.
Older minutes are read back, a day at a time, and so are the days of months that are over. A limited number is kept.
"""

from collections.abc import Iterable, Iterator
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from functools import lru_cache
from typing import NamedTuple

from market.records import BareRecord
from market.timeframe import DAY_MS, HOUR_MS, Timeframe
from processors.rolling.amounts import Scale
from processors.rolling.block import Block, BlockNumbers, OpenBlocks, Places
from processors.rolling.day import DAY_HOURS, HOUR_MINUTES, NO_HOURS, NO_MINUTES, Day
from processors.rolling.history import CandleHistory, DayKey, Extent, minute_of
from processors.rolling.steps import OF_DAYS, days_of
from processors.rolling.sums import Sum

LATE_MS = 2 * HOUR_MS
"""What a market may lag behind the log clock; what its windows need is in memory until then."""
KEPT_HOURS = 25
"""Of minutes, before the latest hour: the longest window to the minute, and where it begins."""
KEPT_DAYS = 9
"""Of hours, before the latest day."""
MOST_OLD_DAYS = 128
"""Older days kept with their minutes at a time, some 60 KB each."""
MOST_OLD_MONTHS = 1024
"""Older months kept at a time, some 2 KB each."""
OPEN_BLOCKS = 64
"""Some 25 KB each."""
REBUILT_BLOCKS = 512
"""Likewise, while hours and days are restored: they come in the order of time, so one of each market is in use."""
MONTH_DAYS = 31


class MissingState(NamedTuple):
    """What has to be read back."""

    days: set[DayKey]
    months: set[DayKey]
    """By the first day."""


class RollingState:
    """All markets of a partition."""

    def __init__(self, most_old_days: int, most_old_months: int) -> None:
        self.history = CandleHistory()
        self.month_extents: dict[DayKey, Extent] = {}
        """Where the 1d topic holds the days of a month, as far as it was looked through."""
        self.months_end = 0
        """The offset up to which the 1d topic was looked through."""
        self.months_from = 0
        """The first day from which all days of the 1d topic are known."""
        self.clock_ms = 0
        """The log clock."""
        self.most_old_days = most_old_days
        self.most_old_months = most_old_months
        self.scales: dict[str, Scale] = {}
        """Key → the scale of all its sums here."""
        self.fed_ms: dict[str, int] = {}
        """Append time of each key's newest live minute."""
        self._days: dict[DayKey, Day] = {}  # in the order of their last change
        self._months: dict[DayKey, Block] = {}
        self._open = OpenBlocks(OPEN_BLOCKS)
        self._swept = (0, 0, 0)
        """How many days and months there were after the last `release`, and the hour of the log clock."""

    def fit(self, key: str, scale: Scale) -> None:
        """Bring all sums of a market to this scale, which is its own or a finer one."""
        before = self.scales.get(key)
        if scale == before:
            return
        self.scales[key] = scale
        if before is None:
            return
        days = [day for name, day in self._days.items() if name[0] == key]
        months = [month for name, month in self._months.items() if name[0] == key]
        for block in (*months, *(block for day in days for block in day.blocks())):
            block.rescale(before, scale)

    @contextmanager
    def rebuilding(self) -> Iterator[None]:
        """While hours and days of all markets are restored, more blocks than else are open."""
        self._open.resize(REBUILT_BLOCKS)
        try:
            yield
        finally:
            self._open.resize(OPEN_BLOCKS)

    @property
    def held_days(self) -> int:
        """How many days of a key are in memory with their minutes."""
        return sum(day.kept_from < DAY_HOURS for day in self._days.values())

    def missing(self, records: Iterable[BareRecord]) -> MissingState:
        """What must be known (`begin_day`, `begin_month`) before these records can be taken in."""
        days: set[DayKey] = set()
        months: set[DayKey] = set()
        looked_at: set[tuple[DayKey, int, bool]] = set()
        for record in records:
            minute = minute_of(record)
            if minute is None:
                continue
            hour = minute.open_ms % DAY_MS // HOUR_MS
            place = (minute.name, hour, minute.is_live)
            if place in looked_at:
                continue
            looked_at.add(place)
            key, day = minute.name
            # A live minute may lead to a ticker, whose windows reach into the day before.
            days |= {name for name in (minute.name, (key, day - minute.is_live)) if self._lacks(name, hour)}
            months |= {name for first in months_of(day) if self._lacks_month(name := (key, first))}
        return MissingState(days, months)

    def _lacks(self, name: DayKey, hour: int) -> bool:
        held = self._days.get(name)
        if held is None or held.kept_from > hour:
            return self.history.extent(name) is not None or not self.history.is_known(name[1])
        return False

    def _lacks_month(self, name: DayKey) -> bool:
        first = name[1]
        is_known = first >= self.months_from and self._is_month_in_use(first)
        return not is_known and name not in self._months

    def begin_day(self, name: DayKey) -> None:
        """Make room for the minutes of a day that is read back (`put`); what is known of its hours stays."""
        before = self._days.pop(name, None)
        day = self._days[name] = Day()
        for hour, value in enumerate((NO_HOURS if before is None else before.hours()).places):
            if value is not None:
                day.put_hour(hour, value)

    def begin_month(self, name: DayKey) -> None:
        """Make room for the days of a month that is read back (`put_day`)."""
        self._months.setdefault(name, Block(MONTH_DAYS))

    def put(self, name: DayKey, minute: int, value: Sum, *, is_newest: bool) -> bool:
        """Put a minute in, by its number from midnight; as `Day.put`."""
        day = self._days.pop(name, None) or Day()
        self._days[name] = day
        block = day.put(minute, value)
        if block is None:
            return False
        if is_newest:
            self._open.pin(name[0], block)
        else:
            self._open.use(block)
        return True

    def fill(self, name: DayKey, hour: int, packed: bytes, whole: Sum | None) -> None:
        """Put an hour's minutes in as a packed block, and their sum if it is known."""
        day = self._days.pop(name, None) or Day()
        self._days[name] = day
        if day.fill(hour, packed, whole):
            self._open.use(day.hours())
            return
        for place, value in enumerate(Block(HOUR_MINUTES, packed).places):
            if value is not None:
                self.put(name, hour * HOUR_MINUTES + place, value, is_newest=False)

    def fill_hours(self, name: DayKey, packed: bytes) -> None:
        """Put a day's hours in as a packed block; those whose minutes are here are left out."""
        if name not in self._days:
            self._days[name] = Day(kept_from=DAY_HOURS, hours=packed)
            return
        for hour, value in enumerate(Block(DAY_HOURS, packed).places):
            if value is not None:
                self.put_hour(name, hour, value)

    def put_hour(self, name: DayKey, hour: int, value: Sum) -> None:
        """Put the sum of an hour in whose minutes are not here."""
        day = self._days.get(name)
        if day is None:
            day = self._days[name] = Day(kept_from=DAY_HOURS)
        if day.kept_from > hour:
            day.put_hour(hour, value)
            self._open.use(day.hours())

    def put_day(self, key: str, day: int, value: Sum) -> None:
        """Put the sum of a whole day in."""
        first = month_of(day)
        block = self._months.pop((key, first), None) or Block(MONTH_DAYS)
        self._months[key, first] = block
        block.put(day - first, value)
        self._open.use(block)

    def minutes(self, key: str, hour: int) -> Places:
        """The minutes of an hour, which is counted since 1970."""
        day = self._days.get((key, hour // DAY_HOURS))
        block = None if day is None else day.minutes(hour % DAY_HOURS)
        return NO_MINUTES.places if block is None else self._open.use(block)

    def minute_numbers(self, key: str, hour: int) -> BlockNumbers | None:
        """The minutes of an hour, which is counted since 1970, as `Block.numbers`."""
        day = self._days.get((key, hour // DAY_HOURS))
        block = None if day is None else day.minutes(hour % DAY_HOURS)
        return (NO_MINUTES if block is None else block).numbers()

    def hour_numbers(self, key: str, day: int) -> BlockNumbers | None:
        """The whole hours of a day, as `Block.numbers`."""
        held = self._days.get((key, day))
        return (NO_HOURS if held is None else held.hours()).numbers()

    def hours(self, key: str, day: int) -> Places:
        """The whole hours of a day."""
        held = self._days.get((key, day))
        return NO_HOURS.places if held is None else self._open.use(held.hours())

    def days(self, key: str, days: range) -> list[Sum | None]:
        """The whole days among these, in order."""
        return [self._day(key, day) for day in days]

    def _day(self, key: str, day: int) -> Sum | None:
        first = month_of(day)
        block = self._months.get((key, first))
        return None if block is None else self._open.use(block)[day - first]

    def release(self, due: AbstractSet[DayKey] = frozenset()) -> list[DayKey]:
        """Forget what no window needs any more, but for the last used; `due` stays. Returns the days forgotten."""
        swept = (len(self._days), len(self._months), self.clock_ms // HOUR_MS)
        if swept == self._swept:
            return []
        is_next_hour = swept[-1] != self._swept[-1]
        old: list[DayKey] = []
        for name, day in self._days.items():
            if name in due:
                continue
            needed_hour = self._needed_hour(name[0]) - name[1] * DAY_HOURS
            if 0 < needed_hour < DAY_HOURS and is_next_hour:
                day.forget_minutes(needed_hour)
            elif needed_hour >= DAY_HOURS and day.kept_from < DAY_HOURS:
                old.append(name)
        forgotten = old[: max(0, len(old) - self.most_old_days)]
        for name in forgotten:
            self._days[name].forget_minutes(DAY_HOURS)
        for name in [name for name, day in self._days.items() if day.kept_from == DAY_HOURS]:
            newest_ms = self.history.newest_ms(name[0])
            if name[1] < (newest_ms if newest_ms >= 0 else self.clock_ms) // DAY_MS - KEPT_DAYS:
                del self._days[name]
        months = [name for name in self._months if not self._is_month_in_use(name[1])]
        for name in months[: max(0, len(months) - self.most_old_months)]:
            del self._months[name]
        self._swept = (len(self._days), len(self._months), self.clock_ms // HOUR_MS)
        return forgotten

    def _needed_hour(self, key: str) -> int:
        """The first hour (since 1970) whose minutes are in use: by the log clock, or by a live market that lags."""
        late_ms = self.clock_ms - LATE_MS
        if self.fed_ms.get(key, 0) > late_ms:
            late_ms = min(late_ms, self.history.newest_ms(key))
        return late_ms // HOUR_MS - KEPT_HOURS

    def _is_month_in_use(self, first: int) -> bool:
        return first >= min(months_of((self.clock_ms - LATE_MS) // DAY_MS - 1))


@lru_cache(maxsize=4096)
def month_of(day: int) -> int:
    """The first day of a day's month; all days since 1970."""
    return Timeframe.MO1.open_ms(day * DAY_MS) // DAY_MS


@lru_cache(maxsize=4096)
def months_of(day: int) -> frozenset[int]:
    """The first days of the months that a day's windows of days reach into: a week may lie in two."""
    spans = [days_of(timeframe, day) for timeframe in OF_DAYS]
    return frozenset(month_of(end) for span in spans for end in (span[0], span[-1]))

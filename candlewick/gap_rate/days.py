"""Gaps and holes by UTC day and market, how each hole ended, and the gap rate. Pure.

A gap or hole counts on the day on which it begins, by market time; its minutes and seconds count on the days where they
lie. A disconnect has no market time: it counts on the day of the producer's clock.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import NamedTuple

from candlewick.gap_rate.incidents import GapEnd, LostRange, MarketIncidents, OpenedGap
from candlewick.gap_rate.published import MinuteState, PublishedTrades, without
from market.candle import Status
from market.ids import IdRanges
from market.timeframe import DAY_MS, MINUTE_MS, MINUTE_US, minute_us

DAY_US = DAY_MS * 1000
MAX_CHECKED = 1_440
"""A hole of more minutes than these is taken for a hole, whatever candles say: its minutes are not looked up."""
_WHOLE = (Status.COMPLETE, Status.CONNECTED)


class HoleEnd(StrEnum):
    """What became of a hole, by the newest candles of its minutes."""

    HOLE = "hole"
    KLINE = "kline"
    """All its minutes say what the exchange itself says of them."""
    REPAIRED = "repaired"
    """The candles have all its ids; or they are of a later run that calls all its minutes whole."""


class EndedHole(NamedTuple):
    """A hole, and what became of it."""

    key: str
    hole: LostRange
    end: HoleEnd
    lost: int
    """How many ids are still missing; 0 also where it is not known how many are."""


@dataclass
class DayCounts:
    """One day of one market, or a sum of such."""

    disconnects: int = 0
    gaps: int = 0
    missing: int = 0
    """Ids of the gaps: at most so many trades did not come by themselves."""
    gaps_filled: int = 0
    filled: int = 0
    """Ids of gaps that ended, less those given up."""
    gaps_in_holes: int = 0
    """Gaps that ended in a hole, at least a part of them, or in a reset of ids."""
    gaps_open: int = 0
    holes: int = 0
    holes_repaired: int = 0
    hole_minutes: int = 0
    """Minutes in which trades are missing, or may be: those of holes that are not repaired."""
    uncovered_us: int = 0
    """Market time of the same holes."""
    lost: int = 0
    """Ids that are missing for good, as far as it is known which are."""
    resets: int = 0
    taken_back: int = 0
    published: int = 0
    """Trades in the newest candles."""

    @property
    def gap_rate(self) -> float | None:
        """Trades lost for each trade published; None: nothing was published."""
        return self.lost / self.published if self.published else None

    @property
    def is_clean(self) -> bool:
        """Whether nothing happened but trades."""
        return not any(getattr(self, each.name) for each in fields(self) if each.name != "published")

    def add(self, other: "DayCounts") -> None:
        """Add the counts of another day or market."""
        for each in fields(self):
            setattr(self, each.name, getattr(self, each.name) + getattr(other, each.name))


Days = dict[tuple[int, str], DayCounts]
"""By day (number since 1970) and market."""


def hole_minutes(hole: LostRange) -> range:
    """Open times in milliseconds of the minutes that a hole touches; empty where there are more than `MAX_CHECKED`."""
    first_ms = minute_us(hole.from_us) // 1000
    minutes = range(first_ms, minute_us(hole.until_us) // 1000 + MINUTE_MS, MINUTE_MS)
    return minutes if len(minutes) <= MAX_CHECKED else range(0)


def watched_minutes(incidents: Mapping[str, MarketIncidents]) -> Iterator[tuple[str, int]]:
    """The minutes whose candles tell what became of holes: market and open time in milliseconds."""
    for key, market in incidents.items():
        yield from ((key, open_ms) for hole in market.holes for open_ms in hole_minutes(hole))


def ended_holes(incidents: Mapping[str, MarketIncidents], published: PublishedTrades) -> list[EndedHole]:
    """All holes, by market and time, and what became of each."""
    return [
        _ended(key, hole, published.states(key, hole_minutes(hole)))
        for key, market in sorted(incidents.items())
        for hole in sorted(market.holes, key=lambda hole: hole.from_us)
    ]


def _ended(key: str, hole: LostRange, states: list[MinuteState | None]) -> EndedHole:
    left = without(hole.ids, states)
    if hole.ids and not left:
        return EndedHole(key, hole, HoleEnd.REPAIRED, 0)
    known = [state for state in states if state is not None]
    if known and len(known) == len(states):
        later = all(state.is_of_run and state.appended_ms > hole.at_ms for state in known)
        if later and all(state.status in _WHOLE for state in known):
            return EndedHole(key, hole, HoleEnd.REPAIRED, 0)
        if all(state.status is Status.KLINE for state in known):
            return EndedHole(key, hole, HoleEnd.KLINE, len(left))
    return EndedHole(key, hole, HoleEnd.HOLE, len(left))


def count_days(
    incidents: Mapping[str, MarketIncidents],
    holes: Iterable[EndedHole],
    published: PublishedTrades,
    *,
    first_day: int,
) -> Days:
    """All days of all markets from `first_day` (number since 1970) on, in order."""
    days: Days = defaultdict(DayCounts)
    for key, day, trades in published.days():
        days[day, key].published += trades
    for key, market in incidents.items():
        for time_us in market.disconnects_us:
            days[time_us // DAY_US, key].disconnects += 1
        for time_us in market.resets_us:
            days[time_us // DAY_US, key].resets += 1
        for time_us in market.taken_back_us:
            days[time_us // DAY_US, key].taken_back += 1
        for gap in market.gaps:
            _count_gap(gap, days[gap.from_us // DAY_US, key])
    _count_holes(holes, days)
    return {place: days[place] for place in sorted(days) if place[0] >= first_day}


def total(days: Iterable[DayCounts]) -> DayCounts:
    """The sum of all."""
    whole = DayCounts()
    for counts in days:
        whole.add(counts)
    return whole


def _count_gap(gap: OpenedGap, counts: DayCounts) -> None:
    counts.gaps += 1
    counts.missing += len(gap.ids)
    if gap.end is GapEnd.OPEN:
        counts.gaps_open += 1
        return
    counts.gaps_filled += gap.end is GapEnd.FILLED
    counts.gaps_in_holes += gap.end is not GapEnd.FILLED
    if gap.end is not GapEnd.RESET:  # nobody can tell which of its ids came before the reset
        counts.filled += len(gap.ids) - gap.lost


def _count_holes(holes: Iterable[EndedHole], days: Days) -> None:
    """Holes may overlap: each moment and each minute of a market counts once."""
    times_us: dict[str, IdRanges] = defaultdict(IdRanges)
    minutes: dict[str, IdRanges] = defaultdict(IdRanges)
    for key, hole, end, lost in holes:
        counts = days[hole.from_us // DAY_US, key]
        counts.holes += 1
        counts.lost += lost
        if end is HoleEnd.REPAIRED:
            counts.holes_repaired += 1
            continue
        minutes[key].cover(hole.from_us // MINUTE_US, hole.until_us // MINUTE_US)
        if hole.from_us < hole.until_us:
            times_us[key].cover(hole.from_us, hole.until_us - 1)
    for key, ranges in times_us.items():
        for day, length_us in _by_day(ranges, DAY_US):
            days[day, key].uncovered_us += length_us
    for key, ranges in minutes.items():
        for day, count in _by_day(ranges, DAY_US // MINUTE_US):
            days[day, key].hole_minutes += count


def _by_day(ranges: IdRanges, length: int) -> Iterator[tuple[int, int]]:
    """How many of the numbers lie on each day, where a day has `length` numbers."""
    for first, last in ranges:
        for day in range(first // length, last // length + 1):
            yield day, min(last, (day + 1) * length - 1) - max(first, day * length) + 1

"""A market's events as gaps and holes, each counted once. Pure.

An event may come twice: a producer that starts again asks again for what lies behind its newest marker, and of two
producers of one market each tells its own gaps. So only ids that no gap had before make a new gap, and only ids that no
hole had before make a new hole. Where events carry no ids that are numbers, their times are compared in the same way.

Ids before and behind a reset are never compared with each other.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from market.feed import FeedEvent, FeedEventKind
from market.ids import IdRanges
from market.trade import numeric_id


class GapEnd(StrEnum):
    """What feeds said last of a gap."""

    OPEN = "open"
    """Nothing yet: it is waited for, or its producer ended before it could say more."""
    FILLED = "filled"
    HOLE = "hole"
    """Given up, or a part of it."""
    RESET = "reset"
    """The exchange reset its ids while the gap was open."""


@dataclass(eq=False)
class OpenedGap:
    """A gap: ids that did not come, from the first to the last missing one; those between that came are among them."""

    from_us: int
    """Market time of the trade before it."""
    ids: IdRanges = field(default_factory=IdRanges)
    """Those that no gap before it had; none where ids are no numbers."""
    end: GapEnd = GapEnd.OPEN
    lost: int = 0
    """How many of its ids were given up."""


@dataclass(eq=False)
class LostRange:
    """A hole: ids that are missing for good, or a time in which trades may be missing."""

    from_us: int
    until_us: int
    """Inclusive."""
    at_ms: int
    """When it was told."""
    reason: str
    ids: IdRanges = field(default_factory=IdRanges)
    """Those that no hole before it had; none where it is not known which ids are missing."""


class _ToldGap(NamedTuple):
    """A range that was told as a gap, and the gap that it made or that it belongs to."""

    first: int
    last: int
    gap: OpenedGap


class _Ranges:
    """What was told of one id space, or of times."""

    def __init__(self) -> None:
        self.missing = IdRanges()
        self.lost = IdRanges()
        self.told: list[_ToldGap] = []

    def gaps(self, first: int, last: int) -> list[OpenedGap]:
        """The gaps that were told with any of these, the newest first."""
        overlapping = (told.gap for told in reversed(self.told) if told.first <= last and first <= told.last)
        return list(dict.fromkeys(overlapping))


class MarketIncidents:
    """What happened to one market's feed; `take` its events in the order of the log."""

    def __init__(self) -> None:
        self.gaps: list[OpenedGap] = []
        self.holes: list[LostRange] = []
        self.disconnects_us: list[int] = []
        """By the producers' clocks."""
        self.resets_us: list[int] = []
        self.taken_back_us: list[int] = []
        self._ids, self._times = _Ranges(), _Ranges()
        self._told: set[tuple[FeedEventKind, int, int, str | None]] = set()

    def take(self, event: FeedEvent) -> None:
        """Count an event; those of runs are passed over: a hole of a run is no loss of the feed."""
        if event.run is not None:
            return
        kind = event.event
        if kind is FeedEventKind.DISCONNECTED:
            self.disconnects_us.append(event.at_ms * 1000)
        elif kind is FeedEventKind.GAP_OPENED:
            self._gap_opened(event)
        elif kind is FeedEventKind.GAP_FILLED:
            self._gap_filled(event)
        elif kind is FeedEventKind.HOLE:
            self._hole(event)
        elif kind is FeedEventKind.TAKEN_BACK and self._is_new(event):
            self.taken_back_us.append(_span_us(event)[0])
        elif kind is FeedEventKind.RESET and self._is_new(event):
            self._reset(event)

    def _is_new(self, event: FeedEvent) -> bool:
        told = (event.event, *_span_us(event), event.first_id)
        is_new = told not in self._told
        self._told.add(told)
        return is_new

    def _gap_opened(self, event: FeedEvent) -> None:
        ranges, first, last = self._range_of(event)
        parts = take_new(ranges.missing, first, last)
        known = [] if parts == [(first, last)] else ranges.gaps(first, last)
        if known:
            gap = known[0]
            if gap.end is GapEnd.FILLED:  # it is missing again: for a producer that went back, or for another one
                gap.end = GapEnd.OPEN
        else:
            gap = OpenedGap(_span_us(event)[0])
            self.gaps.append(gap)
        ranges.told.append(_ToldGap(first, last, gap))
        for begin, end in parts if ranges is self._ids else ():
            gap.ids.cover(begin, end)

    def _gap_filled(self, event: FeedEvent) -> None:
        ranges, first, last = self._range_of(event)
        for gap in ranges.gaps(first, last):
            if gap.end is GapEnd.OPEN:
                gap.end = GapEnd.FILLED

    def _hole(self, event: FeedEvent) -> None:
        ranges, first, last = self._range_of(event)
        parts = take_new(ranges.lost, first, last)
        if not parts:
            return
        hole = LostRange(*_span_us(event), event.at_ms, event.reason or "")
        self.holes.append(hole)
        for begin, end in parts if ranges is self._ids else ():
            hole.ids.cover(begin, end)
        for gap in ranges.gaps(first, last):
            gap.end = GapEnd.HOLE
            gap.lost += sum(_shared(gap.ids, begin, end) for begin, end in parts)

    def _reset(self, event: FeedEvent) -> None:
        from_us, until_us = _span_us(event)
        self.resets_us.append(from_us)
        self.holes.append(LostRange(from_us, until_us, event.at_ms, event.reason or ""))
        for gap in self.gaps:
            if gap.end is GapEnd.OPEN:
                gap.end = GapEnd.RESET
        self._ids = _Ranges()

    def _range_of(self, event: FeedEvent) -> tuple[_Ranges, int, int]:
        """The event's range and what it is compared with: ids that are numbers, else times."""
        first, last = numeric_id(event.first_id or ""), numeric_id(event.last_id or "")
        if first is not None and last is not None and first <= last:
            return self._ids, first, last
        return self._times, *_span_us(event)


def take_new(ranges: IdRanges, first: int, last: int) -> list[tuple[int, int]]:
    """Take in all numbers of a range, both ends inclusive; returns the parts of it that were not in, in order."""
    if ranges.add_range(first, last):
        return [(first, last)]
    parts = []
    begin = first
    for known_first, known_last in ranges:
        if known_first > last:
            break
        if known_last < begin:
            continue
        if known_first > begin:
            parts.append((begin, known_first - 1))
        begin = known_last + 1
    if begin <= last:
        parts.append((begin, last))
    ranges.cover(first, last)
    return parts


def _shared(ranges: IdRanges, first: int, last: int) -> int:
    """How many numbers of the range are in."""
    return sum(max(0, min(last, end) - max(first, begin) + 1) for begin, end in ranges)


def _span_us(event: FeedEvent) -> tuple[int, int]:
    """Market time of an event, both ends inclusive; by the producer's clock where it tells none."""
    known_us = [time_us for time_us in (event.from_us, event.until_us) if time_us is not None]
    from_us, until_us = min(known_us, default=event.at_ms * 1000), max(known_us, default=event.at_ms * 1000)
    return from_us, until_us

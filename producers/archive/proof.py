"""What ids prove of minutes, wherever they were told: which are whole, and which lack trades. Pure.

Ids prove something where they count up by one. A minute is whole where ids before it and behind it are known and no id
between them is missing. Nothing is proved before the first id and behind the last one.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from operator import itemgetter
from typing import NamedTuple

from market.ids import IdRanges, SeenIds
from market.timeframe import MINUTE_US
from producers.archive.dump import DumpPeriod


class IdKind(StrEnum):
    """What a market's ids tell."""

    CONTIGUOUS = "contiguous"
    """They count up by one: a missing number is a missing trade."""
    ORDERED = "ordered"
    """Numbers that rise with time and leave some out: none proves anything."""
    OPAQUE = "opaque"
    """Texts, or numbers in no order: they only tell trades apart."""


class MissingIds(NamedTuple):
    """Missing ids, both ends inclusive, and the minutes they may belong to."""

    first: int
    last: int
    span: DumpPeriod
    """From the minute of the trade before them to the end of that of the trade behind them."""

    def minutes(self) -> range:
        """The open times of those minutes."""
        return range(self.span.from_us, self.span.until_us, MINUTE_US)


class _Stretch(NamedTuple):
    """Ids of one counting: the first and the last minute that hold any, and what is missing between."""

    first_us: int
    last_us: int
    gaps: list[MissingIds]


class _Range(NamedTuple):
    first: int
    last: int
    open_us: int


class Proofs:
    """What the ids of some minutes prove. `claimed`: the minutes of which somebody says that all trades are there."""

    def __init__(self, stretches: Sequence[_Stretch], claimed: Container[int]) -> None:
        self._stretches = stretches
        self._firsts_us = [stretch.first_us for stretch in stretches]
        gaps = sorted((gap for stretch in stretches for gap in stretch.gaps), key=lambda gap: gap.span)
        self._all = _Gaps(gaps)
        self.gaps = [gap for gap in gaps if all(open_us in claimed for open_us in gap.minutes())]
        """Those whose every minute is claimed: one of the claims is wrong, and nobody knows which."""
        self._disproved = _Gaps(self.gaps)

    def is_whole(self, open_us: int) -> bool:
        """Whether ids prove that no trade of the minute is missing."""
        at = bisect_right(self._firsts_us, open_us) - 1
        if at < 0:
            return False
        stretch = self._stretches[at]
        return stretch.first_us < open_us < stretch.last_us and not self._all.touches(open_us)

    def whole_minutes(self) -> Iterator[int]:
        """The minutes that ids prove to be whole, in order; also those that nobody speaks of."""
        for stretch in self._stretches:
            open_us = stretch.first_us + MINUTE_US
            while open_us < stretch.last_us:
                behind_us = self._all.end_of(open_us)
                if behind_us is None:
                    yield open_us
                open_us = behind_us or open_us + MINUTE_US

    def lacks(self, open_us: int) -> bool:
        """Whether missing ids may belong to the minute, and to none that is not claimed."""
        return self._disproved.touches(open_us)


def prove(ids: Mapping[int, SeenIds], kind: IdKind, claimed: Container[int]) -> Proofs:
    """What the ids of minutes (by open time, microseconds) prove."""
    if kind is not IdKind.CONTIGUOUS:
        return Proofs([], claimed)
    return Proofs([_stretch(ranges) for ranges in _countings(ids)], claimed)


def kind_of(ids: Iterable[SeenIds]) -> IdKind:
    """What ids look like: contiguous where at least half of the neighbours among them follow each other."""
    numbers = IdRanges()
    for one in ids:
        if one.texts:
            return IdKind.OPAQUE
        for first, last in one.numbers:
            numbers.cover(first, last)
    follow = len(numbers) - sum(1 for _ in numbers)
    return IdKind.CONTIGUOUS if 2 * follow >= len(numbers) - 1 else IdKind.ORDERED


def _countings(ids: Mapping[int, SeenIds]) -> Iterator[list[_Range]]:
    """The ranges of ids in order of time, parted where they count anew.

    That is where all ids of a minute are lower than those of the minute before, unless the next minute is above both
    again: then a trade only came late.
    """
    minutes = [(open_us, one.numbers) for open_us, one in sorted(ids.items(), key=itemgetter(0)) if one.numbers]
    ranges: list[_Range] = []
    for at, (open_us, numbers) in enumerate(minutes):
        before = minutes[at - 1][1] if at else None
        if before and numbers.greatest < before.least:
            follows = at + 1 < len(minutes) and minutes[at + 1][1].greatest > before.greatest
            if not follows:
                yield ranges
                ranges = []
        ranges += (_Range(first, last, open_us) for first, last in numbers)
    if ranges:
        yield ranges


def _stretch(ranges: list[_Range]) -> _Stretch:
    gaps: list[MissingIds] = []
    ordered = sorted(ranges)
    reach = ordered[0]
    for one in ordered[1:]:
        if one.first > reach.last + 1:
            from_us, last_us = sorted((reach.open_us, one.open_us))
            gaps.append(MissingIds(reach.last + 1, one.first - 1, DumpPeriod(from_us, last_us + MINUTE_US)))
        if one.last > reach.last:
            reach = one
    return _Stretch(min(one.open_us for one in ranges), max(one.open_us for one in ranges), gaps)


class _Gaps:
    """Spans in order, for the question whether one of them touches a minute."""

    def __init__(self, gaps: Sequence[MissingIds]) -> None:
        self._spans: list[DumpPeriod] = []
        for gap in gaps:
            if self._spans and gap.span.from_us <= self._spans[-1].until_us:
                last = self._spans.pop()
                self._spans.append(DumpPeriod(last.from_us, max(last.until_us, gap.span.until_us)))
            else:
                self._spans.append(gap.span)

    def touches(self, open_us: int) -> bool:
        return self.end_of(open_us) is not None

    def end_of(self, open_us: int) -> int | None:
        """Where the span ends that holds the minute; None where none does."""
        at = bisect_left(self._spans, DumpPeriod(open_us + 1, 0)) - 1
        return self._spans[at].until_us if at >= 0 and open_us < self._spans[at].until_us else None

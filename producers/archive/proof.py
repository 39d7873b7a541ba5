"""What trade ids of any source prove about minutes: which minutes are whole, and which lack trades. Pure.

Ids prove something if they count up by one. A minute is whole if ids before it and after it are known and no id between
them is missing. Nothing is proved before the first id or after the last one.
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
    """What the ids of a market prove."""

    CONTIGUOUS = "contiguous"
    """They count up by one: a missing number is a missing trade."""
    ORDERED = "ordered"
    """They are numbers that rise with time and skip some: they prove nothing."""
    OPAQUE = "opaque"
    """They are texts, or numbers in no order: they only identify a trade."""


class MissingIds(NamedTuple):
    """Missing ids, both ends inclusive, and the minutes that they may belong to."""

    first: int
    last: int
    span: DumpPeriod
    """From the minute of the trade before them to the end of the minute of the trade after them."""

    def minutes(self) -> range:
        """The open times of those minutes."""
        return range(self.span.from_us, self.span.until_us, MINUTE_US)


class _Counting(NamedTuple):
    """Ids that were counted without a reset: the first and the last minute that hold any, and the gaps between.

    `twice`: where one id stands in two minutes, from the one to the end of the other. So ids were reset without being
    seen (in mid-minute), or a source tells wrong times. What is missing there may be hidden by the other copy.
    """

    first_us: int
    last_us: int
    gaps: list[MissingIds]
    twice: list[DumpPeriod]


class _Range(NamedTuple):
    first: int
    last: int
    open_us: int


class Proofs:
    """What the ids of some minutes prove. `claimed`: the minutes that a file or a feed calls complete."""

    def __init__(self, countings: Sequence[_Counting], claimed: Container[int]) -> None:
        self._countings = countings
        self._firsts_us = [counting.first_us for counting in countings]
        gaps = sorted((gap for counting in countings for gap in counting.gaps), key=lambda gap: gap.span)
        twice = [span for counting in countings for span in counting.twice]
        self._in_doubt = _Spans([gap.span for gap in gaps] + twice)
        self.gaps = [gap for gap in gaps if all(open_us in claimed for open_us in gap.minutes())]
        """The gaps whose minutes are all claimed: one of these claims is wrong, and nobody knows which."""
        self._disproved = _Spans(gap.span for gap in self.gaps)

    def is_whole(self, open_us: int) -> bool:
        """Whether ids prove that no trade of the minute is missing."""
        index = bisect_right(self._firsts_us, open_us) - 1
        if index < 0:
            return False
        counting = self._countings[index]
        return counting.first_us < open_us < counting.last_us and not self._in_doubt.holds(open_us)

    def whole_minutes(self) -> Iterator[int]:
        """The minutes that ids prove to be whole, in order, even if no file or feed claims them."""
        for counting in self._countings:
            open_us = counting.first_us + MINUTE_US
            while open_us < counting.last_us:
                doubt_end_us = self._in_doubt.end_of(open_us)
                if doubt_end_us is None:
                    yield open_us
                open_us = doubt_end_us or open_us + MINUTE_US

    def lacks(self, open_us: int) -> bool:
        """Whether ids are missing that may belong to this minute, and only to claimed ones: its claim is taken back."""
        return self._disproved.holds(open_us)


def prove(ids: Mapping[int, SeenIds], kind: IdKind, claimed: Container[int]) -> Proofs:
    """What the ids of minutes (by open time, microseconds) prove; nothing where they do not count up by one."""
    if kind is not IdKind.CONTIGUOUS:
        return Proofs([], claimed)
    return Proofs([_counting(ranges) for ranges in _split_at_resets(ids)], claimed)


def kind_of(ids: Iterable[SeenIds]) -> IdKind:
    """What kind the ids look like: contiguous if the next number follows at least half of them."""
    numbers = IdRanges()
    for ids_of_minute in ids:
        if ids_of_minute.texts:
            return IdKind.OPAQUE
        for first, last in ids_of_minute.numbers:
            numbers.cover(first, last)
    follow = len(numbers) - sum(1 for _ in numbers)
    return IdKind.CONTIGUOUS if 2 * follow >= len(numbers) - 1 else IdKind.ORDERED


def _split_at_resets(ids: Mapping[int, SeenIds]) -> Iterator[list[_Range]]:
    """The ranges of ids in order of time, split where the exchange reset its ids.

    A reset is where all ids of a minute are lower than those of the minute before. If the next minute has higher ids
    than both, there was no reset: a trade only came late.
    """
    minutes = [(open_us, seen.numbers) for open_us, seen in sorted(ids.items(), key=itemgetter(0)) if seen.numbers]
    ranges: list[_Range] = []
    for index, (open_us, numbers) in enumerate(minutes):
        before = minutes[index - 1][1] if index else None
        if before and numbers.greatest < before.least:
            came_late = index + 1 < len(minutes) and minutes[index + 1][1].greatest > before.greatest
            if not came_late:
                yield ranges
                ranges = []
        ranges += (_Range(first, last, open_us) for first, last in numbers)
    if ranges:
        yield ranges


def _counting(ranges: list[_Range]) -> _Counting:
    gaps: list[MissingIds] = []
    twice: list[DumpPeriod] = []
    ordered = sorted(ranges)
    furthest = ordered[0]
    for ids in ordered[1:]:
        from_us, last_us = sorted((furthest.open_us, ids.open_us))
        span = DumpPeriod(from_us, last_us + MINUTE_US)
        if ids.first > furthest.last + 1:
            gaps.append(MissingIds(furthest.last + 1, ids.first - 1, span))
        elif ids.first <= furthest.last:
            twice.append(span)
        if ids.last > furthest.last:
            furthest = ids
    return _Counting(min(ids.open_us for ids in ranges), max(ids.open_us for ids in ranges), gaps, twice)


class _Spans:
    """The minutes of some spans, for look-up."""

    def __init__(self, spans: Iterable[DumpPeriod]) -> None:
        self._spans: list[DumpPeriod] = []
        for span in sorted(spans):
            if self._spans and span.from_us <= self._spans[-1].until_us:
                last = self._spans.pop()
                self._spans.append(DumpPeriod(last.from_us, max(last.until_us, span.until_us)))
            else:
                self._spans.append(span)

    def holds(self, open_us: int) -> bool:
        return self.end_of(open_us) is not None

    def end_of(self, open_us: int) -> int | None:
        """Where the span ends that holds this minute; None where none holds it."""
        index = bisect_left(self._spans, DumpPeriod(open_us + 1, 0)) - 1
        return self._spans[index].until_us if index >= 0 and open_us < self._spans[index].until_us else None

"""The minutes of a plan as ranges: proved complete, complete by the file's word, or lacking trades. Pure."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import Generic, NamedTuple, TypeVar

from market.timeframe import MINUTE_US
from market.trade import Proof
from producers.archive.dump import DumpPeriod
from producers.archive.plan import Plan, PlannedMinute
from producers.archive.proof import MissingIds
from producers.archive.survey import SkippedRows

_Spanned = TypeVar("_Spanned", MissingIds, SkippedRows)


class ReportedRange(NamedTuple):
    """Minutes that follow each other and are published with the same proof."""

    proof: Proof
    span: DumpPeriod
    trades: int
    gaps: Sequence[MissingIds] = ()
    """Of a `hole`: the missing ids."""
    skipped: Sequence[SkippedRows] = ()
    """Of a `hole`: the skipped rows that may be its trades."""


def hole_reason(gaps: Sequence[MissingIds], skipped: Sequence[SkippedRows]) -> str:
    """Why trades may be missing, in words: missing ids, skipped rows, or else what an earlier import found."""
    reasons = []
    if gaps:
        missing = sum(gap.last - gap.first + 1 for gap in gaps)
        first, last = gaps[0].first, gaps[-1].last
        ids = f"{first} to {last}" if len(gaps) == 1 else f"between {first} and {last}"
        reasons.append(f"{missing:,} trade ids are missing ({ids})" if missing > 1 else f"trade id {first} is missing")
    if skipped:
        lines = sum(part.rows for part in skipped)
        line = min(part.first_line for part in skipped)
        reasons.append(f"line {line} was skipped" if lines == 1 else f"{lines:,} lines were skipped, line {line} first")
    return " and ".join(reasons) or "a live feed or an earlier import lacked trades"


def ranges(plan: Plan) -> list[ReportedRange]:
    """The minutes of a plan in order, one range for minutes that follow each other and have the same proof."""
    gaps, skipped = _Overlaps(plan.gaps), _Overlaps(plan.skipped)
    reported: list[ReportedRange] = []
    for span, minutes in _runs(plan.minutes):
        proof, trades = minutes[0].proof, sum(minute.trades for minute in minutes)
        causes = (gaps.of(span), skipped.of(span)) if proof is Proof.HOLE else ((), ())
        reported.append(ReportedRange(proof, span, trades, *causes))
    return reported


class _Overlaps(Generic[_Spanned]):
    """Finds which of many spans overlap a range; the caller asks for ranges in order."""

    def __init__(self, items: Iterable[_Spanned]) -> None:
        self._next: deque[_Spanned] = deque(sorted(items, key=lambda item: item.span))
        self._begun: list[_Spanned] = []

    def of(self, span: DumpPeriod) -> list[_Spanned]:
        while self._next and self._next[0].span.from_us < span.until_us:
            self._begun.append(self._next.popleft())
        self._begun = [item for item in self._begun if item.span.until_us > span.from_us]
        return list(self._begun)


def _runs(minutes: Iterable[PlannedMinute]) -> Iterator[tuple[DumpPeriod, list[PlannedMinute]]]:
    together: list[PlannedMinute] = []
    for minute in minutes:
        if together and (together[-1].open_us + MINUTE_US, together[-1].proof) != (minute.open_us, minute.proof):
            yield DumpPeriod(together[0].open_us, together[-1].open_us + MINUTE_US), together
            together = []
        together.append(minute)
    if together:
        yield DumpPeriod(together[0].open_us, together[-1].open_us + MINUTE_US), together

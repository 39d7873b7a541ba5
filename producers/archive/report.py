"""What an import can say of minutes: ranges that are proved, that are only claimed, and that lack trades. Pure."""

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from market.timeframe import MINUTE_US
from market.trade import Proof
from producers.archive.dump import DumpPeriod
from producers.archive.plan import Plan, PlannedMinute
from producers.archive.proof import MissingIds


class ReportedRange(NamedTuple):
    """Minutes side by side that are published on one proof."""

    proof: Proof
    span: DumpPeriod
    trades: int
    gaps: Sequence[MissingIds] = ()
    """Of a `hole`: the missing ids; none where a row was passed over."""

    @property
    def missing(self) -> int:
        """How many ids are missing."""
        return sum(gap.last - gap.first + 1 for gap in self.gaps)


def ranges(plan: Plan) -> list[ReportedRange]:
    """The minutes of a plan in order, taken together where they follow each other and have one proof."""
    found: list[ReportedRange] = []
    gaps = iter(sorted(plan.gaps, key=lambda gap: gap.span))
    gap = next(gaps, None)
    for span, minutes in _runs(plan.minutes):
        proof = minutes[0].proof
        own: list[MissingIds] = []
        while proof is Proof.HOLE and gap is not None and gap.span.from_us < span.until_us:
            if gap.span.until_us > span.from_us:
                own.append(gap)
            if gap.span.until_us > span.until_us:
                break
            gap = next(gaps, None)
        found.append(ReportedRange(proof, span, sum(minute.trades for minute in minutes), own))
    return found


def _runs(minutes: Iterable[PlannedMinute]) -> Iterator[tuple[DumpPeriod, list[PlannedMinute]]]:
    together: list[PlannedMinute] = []
    for minute in minutes:
        if together and (together[-1].open_us + MINUTE_US, together[-1].proof) != (minute.open_us, minute.proof):
            yield DumpPeriod(together[0].open_us, together[-1].open_us + MINUTE_US), together
            together = []
        together.append(minute)
    if together:
        yield DumpPeriod(together[0].open_us, together[-1].open_us + MINUTE_US), together

"""Answers that go on: each page is asked for when it is needed."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Generic, TypeVar

from msgspec import Struct

from market.candle import Status
from serving.client.answers import (
    ApiCandle,
    ApiCandles,
    ApiCoverage,
    ApiPage,
    ApiSource,
    ApiSourceRange,
    ApiSpan,
)
from serving.client.frames import Framed
from serving.planner import Tier

Record = TypeVar("Record", bound=Struct)


class CandlePages(Framed):
    """Candles, oldest first; going through them asks anew each time."""

    record_type = ApiCandle

    def __init__(self, ask: Callable[[], Iterator[ApiCandles]]) -> None:
        self.pages = ask
        """The answers one by one, each with its source and coverage."""

    def __iter__(self) -> Iterator[ApiCandle]:
        for page in self.pages():
            yield from page.candles

    def read(self) -> ApiCandles:
        """All of them at once, with the coverage of the whole."""
        return joined_candles(list(self.pages()))


class RecordPages(Framed, Generic[Record]):
    """Records, oldest first; going through them asks anew each time."""

    def __init__(self, record_type: type[Record], ask: Callable[[], Iterator[ApiPage[Record]]]) -> None:
        self.record_type = record_type
        self.pages = ask
        """The answers one by one, each with its source and coverage."""

    def __iter__(self) -> Iterator[Record]:
        for page in self.pages():
            yield from page.records


def joined_candles(pages: Sequence[ApiCandles]) -> ApiCandles:
    """One answer out of those that followed each other, of which there is one at least; its coverage is of all."""
    first, last = pages[0], pages[-1]
    covered = [page.coverage for page in pages if page.coverage.expected]
    statuses: Counter[Status] = Counter()
    for coverage in covered:
        statuses.update(coverage.statuses)
    away = {tier for page in pages for tier in page.source.away}
    return ApiCandles(
        exchange=first.exchange,
        symbol=first.symbol,
        timeframe=first.timeframe,
        candles=[candle for page in pages for candle in page.candles],
        source=ApiSource(
            ranges=_joined_ranges([told for page in pages for told in page.source.ranges]),
            away=[tier for tier in Tier if tier in away],
        ),
        coverage=ApiCoverage(
            from_ms=covered[0].from_ms if covered else 0,
            until_ms=covered[-1].until_ms if covered else 0,
            expected=sum(coverage.expected for coverage in covered),
            present=sum(coverage.present for coverage in covered),
            missing=_joined_spans([span for coverage in covered for span in coverage.missing]),
            statuses=dict(statuses),
            worst_status=max(statuses, key=lambda status: status.rank, default=None),
            minutes_expected=sum(coverage.minutes_expected for coverage in covered),
            minutes_present=sum(coverage.minutes_present for coverage in covered),
        ),
        next_from_ms=last.next_from_ms,
    )


def _joined_ranges(ranges: Sequence[ApiSourceRange]) -> list[ApiSourceRange]:
    """Those of one tier that touch are one; they are in order."""
    joined: list[ApiSourceRange] = []
    for told in ranges:
        start_ms = told.from_ms
        if joined and (joined[-1].tier, joined[-1].until_ms) == (told.tier, told.from_ms):
            start_ms = joined.pop().from_ms
        joined.append(ApiSourceRange(from_ms=start_ms, until_ms=told.until_ms, tier=told.tier))
    return joined


def _joined_spans(spans: Sequence[ApiSpan]) -> list[ApiSpan]:
    """Those that touch are one; they are in order."""
    joined: list[ApiSpan] = []
    for span in spans:
        start_ms = joined.pop().from_ms if joined and joined[-1].until_ms == span.from_ms else span.from_ms
        joined.append(ApiSpan(from_ms=start_ms, until_ms=span.until_ms))
    return joined

"""Which minutes a backfill asks for: those that the log does not have as well already. Pure."""

from collections.abc import Container
from typing import NamedTuple

from market.candle import Status
from market.timeframe import MINUTE_US
from producers.archive.dump import DumpPeriod
from producers.archive.logged import LoggedMinute, LogSurvey, Run
from producers.backfill.search import KnownTrade

BETTER = frozenset({Status.COMPLETE, Status.CONNECTED})
"""Statuses that an exchange's kline can't improve."""


class Aim(NamedTuple):
    """What a backfill is for: minutes get the status `gives`, unless they are as `good` already."""

    gives: Status
    good: frozenset[Status]


TRADES = Aim(Status.COMPLETE, frozenset({Status.COMPLETE}))
TRADES_AGAIN = Aim(Status.COMPLETE, frozenset())
KLINES = Aim(Status.KLINE, BETTER | {Status.KLINE})
KLINES_AGAIN = Aim(Status.KLINE, BETTER)


class LoggedAround(NamedTuple):
    """The trades in the log that are nearest to a time: the last before it, the first at or after it."""

    before: KnownTrade | None
    behind: KnownTrade | None


def wanted_spans(
    log: LogSurvey, span: DumpPeriod, aim: Aim, *, unfinished: Container[Run], join_us: int = 0
) -> list[DumpPeriod]:
    """The spans within `span` whose minutes are not good already; spans not further apart than `join_us` are joined.

    What an `unfinished` run gave is asked for again: so an interrupted run is repeated from its first minute on, under
    its own id, and ends.
    """
    spans: list[DumpPeriod] = []
    for open_us in range(span.from_us, span.until_us, MINUTE_US):
        minute = log.minutes.get(open_us)
        if minute is not None and _is_good(minute, log.processed, aim, unfinished):
            continue
        if spans and open_us - spans[-1].until_us <= join_us:
            spans[-1] = DumpPeriod(spans[-1].from_us, open_us + MINUTE_US)
        else:
            spans.append(DumpPeriod(open_us, open_us + MINUTE_US))
    return spans


def minutes_of(spans: list[DumpPeriod]) -> int:
    """How many minutes they are."""
    return sum(span.until_us - span.from_us for span in spans) // MINUTE_US


def logged_around(log: LogSurvey, time_us: int) -> LoggedAround:
    """The nearest trades on both sides of a whole minute, their times those of their minutes."""
    before: KnownTrade | None = None
    behind: KnownTrade | None = None
    for open_us, minute in log.minutes.items():
        if open_us < time_us:
            if (before is None or open_us > before.time_us) and (numbers := minute.ids().numbers):
                before = KnownTrade(numbers.greatest, open_us)
        elif (behind is None or open_us < behind.time_us) and (numbers := minute.ids().numbers):
            behind = KnownTrade(numbers.least, open_us)
    return LoggedAround(before, behind)


def _is_good(minute: LoggedMinute, processed: int, aim: Aim, unfinished: Container[Run]) -> bool:
    current = minute.current(processed)
    if current is None or current.status not in aim.good:
        return False
    return current.status is not aim.gives or _teller(minute, processed) not in unfinished


def _teller(minute: LoggedMinute, processed: int) -> Run:
    """The series that the newest candle is of, as it is or as it will be."""
    run, newest = max(
        minute.series.items(), key=lambda series: series[1].marker_offset, default=(None, None)
    )  # fmt: skip
    if minute.candle is not None and (newest is None or newest.marker_offset < processed):
        return minute.candle.run
    return run

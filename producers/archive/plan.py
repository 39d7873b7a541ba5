"""Which minutes a run publishes, on what proof, and after which row. Pure."""

import hashlib
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from market.candle import STATUS_OF_PROOF, Status
from market.timeframe import MINUTE_US, minute_us, next_minute_us
from market.trade import Proof, Trade
from producers.archive.dump import Span
from producers.archive.survey import Survey
from runtime.errors import UsageError

_RUN_DIGITS = 16


class PlannedMinute(NamedTuple):
    """A minute of the range; its marker is due once `after_row` rows are published."""

    open_us: int
    proof: Proof
    trades: int
    last: Trade | None
    """The last trade before its end."""
    after_row: int


@dataclass(frozen=True, kw_only=True)
class Run:
    """What is published as one run."""

    key: str
    id: str
    span: Span
    before: Trade | None
    """The last trade before the span."""
    minutes: Sequence[PlannedMinute] = ()
    """Those of the span that get a marker, in order; none: nothing is published."""
    left: frozenset[int] = frozenset()
    """Open times of those that do not: their candles are as good already."""


class Known(NamedTuple):
    """What the newest candle of a minute claims."""

    status: Status
    trades: int


def covered(survey: Survey, named: Span | None, *, from_us: int | None = None, until_us: int | None = None) -> Span:
    """The whole minutes that a recording covers.

    `named`: the days in the names of the files, from the first to the last. `from_us` and `until_us` are what was
    asked for: they win, inwards to whole minutes, but never begin before the minute of the first trade.
    """
    opening_us = minute_us(survey.first_us)
    if from_us is not None:
        begin_us = max(next_minute_us(from_us), opening_us)
    else:  # a first minute that does not open a day may be a part of one
        begin_us = opening_us if named and opening_us == named.from_us else opening_us + MINUTE_US
    last_us = named.until_us if named else survey.newest_us
    end_us = minute_us(last_us if until_us is None else until_us)
    if named and until_us is None and (survey.newest_us < named.from_us or survey.first_us >= named.until_us):
        raise UsageError("no trade is of the time in the file's name: say what it covers with --complete-until")
    if end_us <= begin_us:
        raise UsageError(
            "the recording covers no whole minute: say which it does with --complete-from and --complete-until"
        )
    return Span(begin_us, end_us)


def minutes(survey: Survey, span: Span) -> Iterator[PlannedMinute]:
    """Every minute of the span, in order.

    Numeric ids prove a minute: `ids`, or `hole` where ids are missing between trades around or in it. Others prove
    nothing: `connection`, the recording's word, or `hole` where a row was passed over.
    """
    holes = _merged(survey.holes())
    hole = next(holes, None)
    last, after_row = survey.last_before(span.from_us), 0
    for open_us in range(span.from_us, span.until_us, MINUTE_US):
        minute = survey.minutes.get(open_us)
        if minute is not None:
            last, after_row = minute.last, max(after_row, minute.last_row)
        while hole is not None and hole[1] < open_us:
            hole = next(holes, None)
        if hole is not None and hole[0] <= open_us:
            proof = Proof.HOLE
        else:
            proof = Proof.IDS if survey.by_ids else Proof.CONNECTION
        yield PlannedMinute(open_us, proof, minute.trades if minute else 0, last, after_row)


def hole_spans(planned: Iterable[PlannedMinute]) -> list[Span]:
    """The minutes marked `hole`, those that follow each other as one span."""
    spans: list[Span] = []
    for minute in planned:
        if minute.proof is not Proof.HOLE:
            continue
        follows = spans and spans[-1].until_us == minute.open_us
        from_us = spans.pop().from_us if follows else minute.open_us
        spans.append(Span(from_us, minute.open_us + MINUTE_US))
    return spans


def plan(run: Run, survey: Survey, known: Mapping[int, Known]) -> Run:
    """The run with its minutes: those of its span that improve the candles there are (`known`, by open time)."""
    planned = list(minutes(survey, run.span))
    left = not_improved(planned, known)
    return replace(run, minutes=[minute for minute in planned if minute.open_us not in left], left=frozenset(left))


def not_improved(planned: Iterable[PlannedMinute], known: Mapping[int, Known]) -> set[int]:
    """Open times of the minutes that a run leaves alone: their candle is as good already.

    A better status improves, or more trades at the same status; and where a minute is published, so are the minutes
    without trades right after it, which are flat at its close.
    """
    left: set[int] = set()
    flat_anew = False
    for minute in planned:
        candle = known.get(minute.open_us)
        flat_anew = flat_anew and not minute.trades and (candle is None or not candle.trades)
        if candle is None or flat_anew or _improves(minute, candle):
            flat_anew = True
        else:
            left.add(minute.open_us)
    return left


def run_id(key: str, span: Span, content: bytes, *, repetition: int = 1) -> str:
    """A run's id: the same key, range and content have the same; `repetition` counts forced ones from 2."""
    told = f"{key}\n{span.from_us}\n{span.until_us}\n".encode() + content
    digits = hashlib.sha256(told).hexdigest()[:_RUN_DIGITS]
    return digits if repetition == 1 else f"{digits}-{repetition}"


def choose_run(key: str, span: Span, content: bytes, finished: Container[str], *, forced: bool) -> tuple[str, bool]:
    """The run's id, and whether it is finished already; a forced one is the first that is not."""
    repetition = 1
    while forced and run_id(key, span, content, repetition=repetition) in finished:
        repetition += 1
    run = run_id(key, span, content, repetition=repetition)
    return run, run in finished


def _improves(minute: PlannedMinute, candle: Known) -> bool:
    rank, known_rank = STATUS_OF_PROOF[minute.proof].rank, candle.status.rank
    return (rank, -minute.trades) < (known_rank, -candle.trades)


def _merged(holes: list[tuple[int, int]]) -> Iterator[tuple[int, int]]:
    """Ranges that overlap taken together, so that each ends behind the one before it."""
    current: tuple[int, int] | None = None
    for hole in holes:
        if current is not None and hole[0] <= current[1]:
            current = (current[0], max(current[1], hole[1]))
            continue
        if current is not None:
            yield current
        current = hole
    if current is not None:
        yield current

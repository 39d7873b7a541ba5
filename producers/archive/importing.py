"""An import from its files to its finished run."""

import asyncio
import hashlib
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from market.timeframe import MINUTE_US, minute_us
from market.trade import Proof, split_key
from producers.archive.claim import Claim
from producers.archive.dump import Span
from producers.archive.known import KeyProgress, read_candles, read_progress
from producers.archive.plan import Run, choose_run, covered, plan
from producers.archive.publishing import RunPublisher
from producers.archive.reading import Reading, Surveyed, Watch, read_rows, survey_rows
from producers.archive.recording import Described, Market, Recording, market_of, open_recordings
from producers.archive.survey import Survey
from runtime.errors import CandlewickError, UsageError
from runtime.kafka import Publisher
from runtime.kafka.admin import require_topics
from runtime.settings import Settings

BEHIND_LIVE_US = 15 * MINUTE_US
"""Live data own the newest minutes of a key: a run stays this far behind its newest marker."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to import. Times are UTC microseconds; None: as the files say."""

    files: Sequence[Path]
    described: Described = Described()
    complete_from_us: int | None = None
    complete_until_us: int | None = None
    force: bool = False
    skip_bad: bool = False


@dataclass(frozen=True, kw_only=True)
class Imported:
    """What an import did."""

    key: str
    run: str
    span: Span
    finished_before: bool
    """Nothing was published: this run is in the log already."""
    trades: int
    """Published, each id once."""
    minutes: Mapping[Proof, int]
    """Minutes published, by what proves them."""
    left: int
    """Minutes whose candles are as good already."""
    outside: int
    """Rows outside the range."""
    repeated: int
    """Rows whose id was there already."""
    bad: int
    others: int
    """Rows of other markets."""


class InterruptedImportError(CandlewickError):
    """Stopped by a signal."""

    exit_code = 130


async def import_recordings(settings: Settings, request: Request, watch: Watch, stop: asyncio.Event) -> Imported:
    """Publish recorded trades as a run, or find that it is finished; after an error the run can be repeated."""
    recordings = open_recordings(request.files, request.described)
    market = market_of(request.described, recordings)
    surveyed = await survey_rows(recordings, market, skip_bad=request.skip_bad, watch=watch, stop=stop)
    _go_on(stop)
    if not surveyed.survey.rows:
        raise UsageError(f"no trade of what is asked for in {', '.join(map(str, request.files))}")
    span = _span(surveyed.survey, recordings, request)
    topics = settings.topics
    needed = {topics.trades, topics.feeds, topics.progress, topics.candles(), topics.dead_letters(topics.trades)}
    await require_topics(settings, needed)
    progress = await read_progress(settings, surveyed.key)
    run_id, finished = choose_run(surveyed.key, span, surveyed.digest, progress.finished, forced=request.force)
    run = Run(
        key=surveyed.key, id=run_id, span=span, minutes=[], left=frozenset(),
        before=surveyed.survey.last_before(span.from_us),
    )  # fmt: skip
    if not finished:
        _require_past(run, progress)
        known = {} if request.force else await read_candles(settings, run.key, span, run.id)
        run = plan(run, surveyed.survey, known)
        if run.minutes:
            await _publish(settings, recordings, surveyed, run, progress, watch, stop)
    return _imported(run, surveyed, finished_before=finished)


async def _publish(
    settings: Settings,
    recordings: Sequence[Recording],
    surveyed: Surveyed,
    run: Run,
    progress: KeyProgress,
    watch: Watch,
    stop: asyncio.Event,
) -> None:
    digest = hashlib.sha256()
    async with Publisher(settings) as publisher:
        claim = Claim(settings, publisher, run.key, run.id)
        await claim.take(progress, stop)
        _go_on(stop)
        sending = RunPublisher(settings, publisher, claim, run)
        await sending.begin()
        async for rows in read_rows(recordings, Market(*split_key(run.key)), digest, stop):
            await sending.refuse(rows.bad)
            await sending.add(rows.trades)
            watch(Reading.PUBLISHING, len(rows.trades) + len(rows.bad))
        _go_on(stop)
        if digest.digest() != surveyed.digest:
            raise CandlewickError("a file was changed while it was imported: import it again when it stays as it is")
        await sending.end()


def _span(survey: Survey, recordings: Sequence[Recording], request: Request) -> Span:
    first, last = recordings[0].span, recordings[-1].span
    named = Span(first.from_us, last.until_us) if first and last else None
    return covered(survey, named, from_us=request.complete_from_us, until_us=request.complete_until_us)


def _require_past(run: Run, progress: KeyProgress) -> None:
    """Refuse a range that live data own, or that is not over: the engine takes markers of the future for a bad clock."""
    until_us = run.span.until_us
    limit_us = time.time_ns() // 1000
    why = "which has not ended"
    if progress.live_until_us is not None and progress.live_until_us - BEHIND_LIVE_US < limit_us:
        limit_us = progress.live_until_us - BEHIND_LIVE_US
        why = f"which is not 15 minutes behind the newest live minute ({_utc(progress.live_until_us)})"
    if until_us > limit_us:
        raise UsageError(
            f"the range of {run.key} reaches to {_utc(until_us)}, {why}: "
            f"--complete-until {_utc(minute_us(limit_us))} is the latest now"
        )


def _imported(run: Run, surveyed: Surveyed, *, finished_before: bool) -> Imported:
    survey = surveyed.survey
    trades = sum(minute.trades for minute in run.minutes)
    inside = sum(minute.rows for at, minute in survey.minutes.items() if run.span.from_us <= at < run.span.until_us)
    return Imported(
        key=run.key,
        run=run.id,
        span=run.span,
        finished_before=finished_before,
        trades=trades,
        minutes=Counter(minute.proof for minute in run.minutes),
        left=len(run.left),
        outside=survey.rows - inside,
        repeated=survey.repeated,
        bad=surveyed.bad,
        others=surveyed.others,
    )


def _go_on(stop: asyncio.Event) -> None:
    if stop.is_set():
        raise InterruptedImportError("interrupted: run the same import again, the result will be the same")


def _utc(time_us: int) -> str:
    return datetime.fromtimestamp(time_us // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

"""An import from its files to its finished run."""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

from market.timeframe import MINUTE_US, minute_us
from market.trade import Proof, split_key
from producers.archive.claim import Claim
from producers.archive.dump import Span
from producers.archive.known import KeyProgress, read_candles, read_progress
from producers.archive.plan import Run, choose_run, covered, plan
from producers.archive.publishing import RunPublisher
from producers.archive.reading import Content, Reading, Surveyed, Watch, read_rows, survey_rows
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
    described: Described
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
    return await _Import(settings, request, watch, stop).go()


class _Import:
    def __init__(self, settings: Settings, request: Request, watch: Watch, stop: asyncio.Event) -> None:
        self._settings = settings
        self._request = request
        self._watch = watch
        self._stop = stop
        self._recordings = open_recordings(request.files, request.described)

    async def go(self) -> Imported:
        """Survey, plan, publish."""
        surveyed = await self._survey()
        survey = surveyed.survey
        span = _span(survey, self._recordings, self._request)
        await self._require_topics()
        progress = await read_progress(self._settings, surveyed.key)
        run_id, finished = choose_run(
            surveyed.key, span, surveyed.content.digest, progress.finished, forced=self._request.force
        )
        run = Run(key=surveyed.key, id=run_id, span=span, before=survey.last_before(span.from_us))
        if not finished:
            _require_past(run, progress)
            known = {} if self._request.force else await read_candles(self._settings, run.key, span, run.id)
            run = plan(run, survey, known)
        if run.minutes and not await self._publish(run, surveyed, progress):
            run, finished = replace(run, minutes=(), left=frozenset()), True
        return _imported(run, surveyed, finished_before=finished)

    async def _survey(self) -> Surveyed:
        market = market_of(self._request.described, self._recordings)
        surveyed = await survey_rows(
            self._recordings, market, skip_bad=self._request.skip_bad, watch=self._watch, stop=self._stop
        )
        self._go_on()
        if not surveyed.survey.rows:
            raise UsageError(f"no trade of what is asked for in {', '.join(map(str, self._request.files))}")
        return surveyed

    async def _require_topics(self) -> None:
        topics = self._settings.topics
        needed = {topics.trades, topics.feeds, topics.progress, topics.candles(), topics.dead_letters(topics.trades)}
        await require_topics(self._settings, needed)

    async def _publish(self, run: Run, surveyed: Surveyed, progress: KeyProgress) -> bool:
        """Publish the run; False where another process has finished it meanwhile."""
        content = Content(surveyed.content)
        async with Publisher(self._settings) as publisher:
            claim = Claim(self._settings, publisher, run.key, run.id)
            if not await claim.take(progress, self._stop):
                return False
            self._go_on()
            sending = RunPublisher(self._settings, publisher, claim, run)
            await sending.begin()
            async for rows in read_rows(self._recordings, Market(*split_key(run.key)), content, self._stop):
                await sending.refuse(rows.bad)
                await sending.add(rows.trades)
                self._watch(Reading.PUBLISHING, len(rows.trades) + len(rows.bad))
            self._go_on()
            await sending.end()
        return True

    def _go_on(self) -> None:
        if self._stop.is_set():
            raise InterruptedImportError("interrupted: run the same import again, the result will be the same")


def _span(survey: Survey, recordings: Sequence[Recording], request: Request) -> Span:
    first, last = recordings[0].span, recordings[-1].span
    named = Span(first.from_us, last.until_us) if first and last else None
    return covered(survey, named, from_us=request.complete_from_us, until_us=request.complete_until_us)


def _require_past(run: Run, progress: KeyProgress) -> None:
    """Refuse a range that live data own, or that is not over: the engine refuses markers of the future."""
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


def _utc(time_us: int) -> str:
    return datetime.fromtimestamp(time_us // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

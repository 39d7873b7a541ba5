"""An import from its files to its finished runs: one run for each file, one after the other.

Each file is compared with all that the log holds at that time. So order and grouping of files do not change the result.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from market.key import MarketKey
from market.timeframe import MINUTE_US, minute_us
from market.topics import Topics
from market.utc import utc
from producers.archive.claim import Claim
from producers.archive.copies import Copies
from producers.archive.dump import DumpPeriod
from producers.archive.known import KeyProgress, LogReader, read_progress
from producers.archive.plan import Plan, covered, plan
from producers.archive.proof import IdKind, kind_of
from producers.archive.publishing import ImportRun, RunPublisher
from producers.archive.reading import Content, Reading, RowsRead, Surveyed, Watch, read_rows, survey_rows
from producers.archive.recording import Described, RecordedMarket, Recording, market_of, open_recordings
from producers.archive.run_id import choose_run
from producers.archive.survey import Conflict, Conflicts, Rows
from runtime.errors import CandlewickError, UsageError, WrongDataError
from runtime.kafka import Publisher
from runtime.kafka.admin import require_topics
from runtime.settings import Settings

BEHIND_LIVE_US = 15 * MINUTE_US
"""A run stays this far behind the market's newest live marker: the newest minutes are left to live data."""


@dataclass(frozen=True, kw_only=True)
class ImportRequest:
    """What to import. Times are UTC microseconds; None: what the files say."""

    files: Sequence[Path]
    described: Described
    complete_from_us: int | None = None
    complete_until_us: int | None = None
    ids: IdKind | None = None
    """What the ids prove; None: the ids themselves show it."""
    force: bool = False
    skip_bad: bool = False


@dataclass(frozen=True, kw_only=True)
class Imported:
    """The result for one file."""

    path: Path
    key: MarketKey
    run: str
    span: DumpPeriod
    """The minutes that the file is taken to hold completely."""
    traded: DumpPeriod
    """From the minute of its first trade to the end of the minute of its last one."""
    finished_before: bool
    """Nothing was published: this run is in the log already."""
    plan: Plan
    """What was published."""
    trades: int
    """How many trades were published, each id once."""
    read_back: int
    """How many of these trades came from the log: a minute is published whole."""
    repeated: int
    """Rows whose id an earlier row has."""
    conflicts: Conflicts
    """Ids that stand twice in the file, with two contents: the first copy counts."""
    bad: int
    """Rows that are no trades, and went to the dead letters."""
    others: int
    """Rows of other markets."""
    checksum_verified: bool
    """Whether the file was compared with a `.CHECKSUM` beside it."""


class InterruptedImportError(CandlewickError):
    """Stopped by a signal."""

    exit_code = 130


class ConflictError(WrongDataError):
    """A file has ids that the log has with other contents; nothing of the file was published."""

    def __init__(self, path: Path, conflicts: Conflicts) -> None:
        self.conflicts = conflicts
        super().__init__(
            f"{path}: the log has other contents for {conflicts.count:,} of its trade ids ({named(conflicts)}). "
            "Nothing of this file was published: --force publishes it, and then its contents count"
        )


def named(conflicts: Conflicts) -> str:
    """The conflicts in words: the first ones by name, the others counted."""

    def words(conflict: Conflict) -> str:
        return f"id {conflict.trade_id} at {utc(conflict.open_us)}"

    more = conflicts.count - len(conflicts.named)
    return ", ".join([*map(words, conflicts.named), *([f"and {more:,} more"] if more else [])])


def topics_of_runs(topics: Topics) -> set[str]:
    """The topics that a run is planned from, and those that it writes."""
    return {topics.trades, topics.feeds, topics.progress, topics.candles(), topics.dead_letters(topics.trades)}


async def import_recordings(
    settings: Settings, request: ImportRequest, watch: Watch, stop: asyncio.Event
) -> Sequence[Imported]:
    """Publish the trades of files, one run a file, unless that run is finished. After an error it can be repeated.

    All files are read once before anything is published. Raises:

    - `UsageError`: a file cannot be imported as asked.
    - `ConflictError`: a file has ids that the log has with other contents.
    - `InterruptedImportError`: `stop` was set.
    - `CandlewickError`: a file was changed meanwhile, another process publishes the same run, or Kafka fails.
    """
    recordings = open_recordings(request.files, request.described)
    market = market_of(request.described, recordings)
    return await _Import(settings, request, recordings, market, watch=watch, stop=stop).run()


async def import_recording(
    settings: Settings,
    request: ImportRequest,
    recording: Recording,
    reader: LogReader,
    stop: asyncio.Event,
) -> Imported:
    """Import a recording that is no file that somebody named, as `import_recordings` does, with the same errors.

    `request.described` says the market. `reader` is read on: it may serve many recordings of this market.
    """

    def watch(_: Reading, __: int) -> None:
        """The caller shows how far it is itself."""

    market = RecordedMarket(request.described.exchange, request.described.symbol)
    return await _Import(settings, request, [recording], market, watch=watch, stop=stop).import_only(reader)


class _SurveyedFile:
    """One file, read once."""

    def __init__(self, recording: Recording, surveyed: Surveyed, span: DumpPeriod) -> None:
        self.recording = recording
        self.surveyed = surveyed
        self.survey = surveyed.survey
        self.span = span


class _Import:
    def __init__(
        self,
        settings: Settings,
        request: ImportRequest,
        recordings: Sequence[Recording],
        market: RecordedMarket,
        *,
        watch: Watch,
        stop: asyncio.Event,
    ) -> None:
        self._settings = settings
        self._request = request
        self._watch = watch
        self._stop = stop
        self._recordings = recordings
        self._market = market

    async def run(self) -> list[Imported]:
        """Survey all files, then plan and publish one after the other."""
        files = [await self._survey(recording) for recording in self._recordings]
        await require_topics(self._settings, topics_of_runs(self._settings.topics))
        reader = LogReader(self._settings, self._market.key)
        return [await self._import(file, reader) for file in files]

    async def import_only(self, reader: LogReader) -> Imported:
        """Survey and import the only recording."""
        return await self._import(await self._survey(self._recordings[0]), reader)

    async def _survey(self, recording: Recording) -> _SurveyedFile:
        request, is_last = self._request, recording is self._recordings[-1]
        others = self._market.others
        surveyed = await survey_rows(
            recording, self._market, skip_bad=request.skip_bad, watch=self._watch, stop=self._stop
        )
        self._check_stop()
        survey = surveyed.survey
        if not survey.count:
            raise UsageError(f"{recording.path} holds no trade of the market that was asked for")
        if survey.rows.fell and IdKind.CONTIGUOUS is (request.ids or kind_of(m.ids for m in survey.minutes.values())):
            raise UsageError(
                f"{recording.path}: id {survey.rows.fell} comes after greater ones: if the exchange reset its ids, "
                "import the parts before and after as two files; if its ids have no order, say --ids opaque"
            )
        # The range that was asked for holds for all files together: the last file completes it.
        span = covered(
            survey,
            recording.span,
            from_us=request.complete_from_us if is_last else None,
            until_us=request.complete_until_us if is_last else None,
        )
        return _SurveyedFile(recording, surveyed._replace(others=self._market.others - others), span)

    async def _import(self, file: _SurveyedFile, reader: LogReader) -> Imported:
        key, span, digest = self._market.key, file.span, file.surveyed.content.digest
        if self._request.described.contract is not None:  # other sizes are other contents
            digest += str(self._request.described.contract).encode()
        progress = await read_progress(self._settings, key)
        until_us = _limit_us(key, span, progress)
        await reader.read()
        run, finished = choose_run(
            key, span, digest, progress.finished, reader.survey.is_crossed, forced=self._request.force
        )
        if finished:
            return _imported(file, key, run)
        async with Publisher(self._settings) as publisher:
            claim = Claim(self._settings, publisher, key, run)
            if not await claim.take(progress, self._stop):
                return _imported(file, key, run)
            self._check_stop()
            await reader.read()  # nobody else publishes from here on
            planned = plan(
                file.survey,
                file.survey.claims(span),
                reader.survey,
                until_us=until_us,
                kind=self._request.ids,
                forced=self._request.force,
            )
            read_back = await reader.trades_of(planned.read_back) if planned.read_back else {}
            copies = Copies(
                planned, file.survey, reader.survey, read_back, until_us=until_us, forced=self._request.force
            )
            await self._compare(file, planned, copies, claim)
            sending = RunPublisher(
                self._settings,
                publisher,
                claim,
                ImportRun(key=key, id=run, span=_hull(file, planned), plan=planned, copies=copies),
            )
            if planned.publishes:
                await self._publish(file, sending)
            else:
                await claim.finish(span.until_us)
        return _imported(file, key, run, planned=planned, sent=sending)

    async def _compare(self, file: _SurveyedFile, planned: Plan, copies: Copies, claim: Claim) -> None:
        """Read the file once more, if file and log share ids; `ConflictError` if contents differ."""
        if not planned.compare or self._request.force:
            return
        conflicts, seen = Conflicts(), Rows()
        async for rows in self._read(file):
            await claim.heartbeat(0)
            for trade in rows.trades:
                if seen.is_new(trade) and minute_us(trade.time_us) in planned.compare:
                    copies.compare(trade, conflicts)
        self._check_stop()
        if conflicts.count:
            raise ConflictError(file.recording.path, conflicts)

    async def _publish(self, file: _SurveyedFile, sending: RunPublisher) -> None:
        await sending.begin()
        async for rows in self._read(file):
            await sending.refuse(rows.bad)
            await sending.add(rows.trades)
            self._watch(Reading.PUBLISHING, len(rows.trades) + len(rows.bad))
        self._check_stop()
        await sending.end()

    def _read(self, file: _SurveyedFile) -> AsyncIterator[RowsRead]:
        """The rows of a file once more; `CandlewickError` if they differ from those of the first reading."""
        market, content = RecordedMarket(*self._market.key), Content(file.surveyed.content)
        return read_rows(file.recording, market, content, self._stop)

    def _check_stop(self) -> None:
        if self._stop.is_set():
            raise InterruptedImportError("interrupted: run the same import again, the result will be the same")


def _limit_us(key: MarketKey, span: DumpPeriod, progress: KeyProgress) -> int:
    """The minute before which a run has to end: live data follow, and the engine refuses what lies in the future.

    `UsageError` if the file counts as complete beyond that minute.
    """
    limit_us = time.time_ns() // 1000
    why = "which has not come yet"
    if progress.live_until_us is not None and progress.live_until_us - BEHIND_LIVE_US < limit_us:
        limit_us = progress.live_until_us - BEHIND_LIVE_US
        why = f"which is not 15 minutes behind live data (they are at {utc(progress.live_until_us)})"
    if span.until_us > limit_us:
        raise UsageError(
            f"the import of {key} reaches until {utc(span.until_us)}, {why}: "
            f"say --complete-until {utc(minute_us(limit_us))} or earlier"
        )
    return minute_us(limit_us)


def _hull(file: _SurveyedFile, planned: Plan) -> DumpPeriod:
    """All minutes that the run publishes, or has rows of."""
    spans = [file.span, _traded(file)]
    if planned.minutes:
        spans.append(DumpPeriod(planned.minutes[0].open_us, planned.minutes[-1].open_us + MINUTE_US))
    return DumpPeriod(min(span.from_us for span in spans), max(span.until_us for span in spans))


def _traded(file: _SurveyedFile) -> DumpPeriod:
    return DumpPeriod(minute_us(file.survey.first_us), minute_us(file.survey.newest_us) + MINUTE_US)


def _imported(
    file: _SurveyedFile, key: MarketKey, run: str, *, planned: Plan | None = None, sent: RunPublisher | None = None
) -> Imported:
    return Imported(
        path=file.recording.path,
        key=key,
        run=run,
        span=file.span,
        traded=_traded(file),
        finished_before=planned is None,
        plan=planned or Plan(minutes=(), before=None, gaps=(), left=0),
        trades=sent.published if sent else 0,
        read_back=sent.log_only if sent else 0,
        repeated=file.survey.rows.repeated,
        conflicts=file.survey.rows.conflicts,
        bad=file.surveyed.bad,
        others=file.surveyed.others,
        checksum_verified=file.recording.checksum_verified,
    )

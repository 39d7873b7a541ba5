"""The two readings of recorded trades: every row parsed, what is bad told with file, line and reason."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from enum import StrEnum
from typing import NamedTuple

import msgspec

from market.errors import MalformedError
from market.trade import Trade, numeric_id
from producers.archive.recording import RecordedMarket, Recording
from producers.archive.survey import Survey
from runtime.errors import CandlewickError, UsageError


class Reading(StrEnum):
    """Which of the two it is."""

    SURVEYING = "surveying"
    PUBLISHING = "publishing"


Watch = Callable[[Reading, int], None]
"""Told how many rows were read since it was last told."""


class BadRow(NamedTuple):
    """A line that is no trade."""

    file: str
    line: int
    behind: int
    """Trades of its chunk that stand before it."""
    content: bytes
    error: MalformedError


class RowsRead(NamedTuple):
    """What a chunk of lines holds, in order."""

    trades: list[Trade]
    bad: list[BadRow]


class Content:
    """What a reading has read; a second one is held against the `first`, chunk by chunk, before it gives any row out.

    It keeps 32 bytes a chunk.
    """

    def __init__(self, first: "Content | None" = None) -> None:
        self.digests: list[bytes] = []
        """At the end of each chunk, of all lines up to there."""
        self._hash = hashlib.sha256()
        self._expected = first.digests if first is not None else None

    @property
    def digest(self) -> bytes:
        """Of all lines so far, whatever chunks they came in."""
        return self._hash.digest()

    def add(self, lines: Sequence[bytes]) -> None:
        """Take in the next chunk; `CandlewickError` where the first reading read something else."""
        self._hash.update(b"\n".join([*filter(None, lines), b""]))
        at = len(self.digests)
        self.digests.append(self.digest)
        if self._expected is not None and self._expected[at : at + 1] != self.digests[at:]:
            raise _changed()

    def end(self) -> None:
        """Nothing follows; `CandlewickError` where the first reading read more."""
        if self._expected is not None and len(self.digests) < len(self._expected):
            raise _changed()


class _Sequence:
    """The order of a file, for trades of one time whose ids tell none: `seq` counts those that follow each other.

    It counts from each time anew, so that files that hold the same trades of a time number them alike.
    """

    def __init__(self) -> None:
        self._time_us = -1
        self._seq = 0

    def placed(self, trade: Trade) -> Trade:
        """The trade with its `seq`, where it needs one and has none."""
        self._seq = self._seq + 1 if trade.time_us == self._time_us else 0
        self._time_us = trade.time_us
        if trade.seq is not None or numeric_id(trade.trade_id) is not None:
            return trade
        return msgspec.structs.replace(trade, seq=self._seq)


class Surveyed(NamedTuple):
    """What the first reading found."""

    key: str
    survey: Survey
    bad: int
    others: int
    content: Content


async def read_rows(
    recording: Recording, market: RecordedMarket, content: Content, stop: asyncio.Event
) -> AsyncIterator[RowsRead]:
    """The rows of a recording, chunk by chunk; lines without content are none. Ends early when `stop` is set."""
    sequence = _Sequence()
    for chunk in recording.read():
        await asyncio.sleep(0)  # signals and heartbeats have their turn
        if stop.is_set():
            return
        content.add(chunk.lines)
        rows = RowsRead([], [])
        for number, line in enumerate(chunk.lines, chunk.first):
            if not line:
                continue
            try:
                trade = recording.parse(line)
            except MalformedError as error:
                rows.bad.append(BadRow(str(recording.path), number, len(rows.trades), line, error))
                continue
            if market.holds(trade):
                rows.trades.append(sequence.placed(trade))
        yield rows
    content.end()


async def survey_rows(
    recording: Recording, market: RecordedMarket, *, skip_bad: bool, watch: Watch, stop: asyncio.Event
) -> Surveyed:
    """Read everything once; `UsageError` at the first bad row, unless they are to be skipped."""
    survey, content, bad = Survey(), Content(), 0
    async for rows in read_rows(recording, market, content, stop):
        if rows.bad and not skip_bad:
            first = rows.bad[0]
            raise UsageError(
                f"{first.file} line {first.line} is not a trade: {first.error}; nothing was published "
                "(--skip-bad sends such rows to the dead letters)"
            )
        bad += len(rows.bad)
        _add(survey, rows, recording)
        watch(Reading.SURVEYING, len(rows.trades) + len(rows.bad))
    return Surveyed(market.key, survey, bad, market.others, content)


def _add(survey: Survey, rows: RowsRead, recording: Recording) -> None:
    skipped = {row.behind for row in rows.bad}
    for at, trade in enumerate(rows.trades):
        if at in skipped:
            survey.skip()
        try:
            survey.add(trade)
        except MalformedError as error:
            raise UsageError(
                f"{recording.path}: trade {trade.trade_id} cannot be published in order: {error}"
            ) from error
    if len(rows.trades) in skipped:
        survey.skip()


def _changed() -> CandlewickError:
    return CandlewickError("a file was changed while it was imported: import it again when it is at rest")

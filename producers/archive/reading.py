"""The two readings of a file: every row is parsed; a bad one is reported with file, line and reason."""

import asyncio
import hashlib
from collections import deque
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
    """Which of the two readings."""

    SURVEYING = "surveying"
    PUBLISHING = "publishing"


Watch = Callable[[Reading, int], None]
"""Called with the number of rows that were read since the last call."""


class BadRow(NamedTuple):
    """A line that is no trade."""

    file: str
    line: int
    trades_before: int
    """How many trades of its chunk stand before the bad row."""
    content: bytes
    error: MalformedError


class RowsRead(NamedTuple):
    """The rows of a chunk of lines, in order."""

    trades: list[Trade]
    bad: list[BadRow]


class Content:
    """A digest of what a reading has read, 32 bytes a chunk.

    The second reading is compared with the `first`, chunk by chunk, before it gives out any row.
    """

    def __init__(self, first: "Content | None" = None) -> None:
        self.digests: list[bytes] = []
        """One for each chunk, of all lines up to its end."""
        self._hash = hashlib.sha256()
        self._expected = first.digests if first is not None else None

    @property
    def digest(self) -> bytes:
        """The digest of all lines so far; how they were cut into chunks makes no difference."""
        return self._hash.digest()

    def add(self, lines: Sequence[bytes]) -> None:
        """Add the next chunk; `CandlewickError` if the first reading read something else."""
        self._hash.update(b"\n".join([*filter(None, lines), b""]))
        index = len(self.digests)
        self.digests.append(self.digest)
        if self._expected is not None and self._expected[index : index + 1] != self.digests[index:]:
            raise _changed()

    def end(self) -> None:
        """Note that no chunk follows; `CandlewickError` if the first reading read more."""
        if self._expected is not None and len(self.digests) < len(self._expected):
            raise _changed()


class _Sequence:
    """Numbers trades of the same time by their place in the file (`seq`), if their ids have no order.

    Numbers start again at each new time: so two files with the same trades of a time number them alike.
    """

    def __init__(self) -> None:
        self._time_us = -1
        self._seq = 0

    def number(self, trade: Trade) -> Trade:
        """The trade, with a `seq` if it needs one and has none."""
        self._seq = self._seq + 1 if trade.time_us == self._time_us else 0
        self._time_us = trade.time_us
        if trade.seq is not None or numeric_id(trade.trade_id) is not None:
            return trade
        return msgspec.structs.replace(trade, seq=self._seq)


class Surveyed(NamedTuple):
    """The result of the first reading."""

    survey: Survey
    bad: int
    others: int
    content: Content


async def read_rows(
    recording: Recording, market: RecordedMarket, content: Content, stop: asyncio.Event
) -> AsyncIterator[RowsRead]:
    """The rows of a recording, chunk by chunk; empty lines are passed over. Ends early when `stop` is set.

    Raises `CandlewickError` if `content` expects something else, `UsageError` if the file cannot be read.
    """
    sequence = _Sequence()
    for chunk in recording.read():
        await asyncio.sleep(0)  # signals and heartbeats get their turn
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
                rows.trades.append(sequence.number(trade))
        yield rows
    content.end()


async def survey_rows(
    recording: Recording, market: RecordedMarket, *, skip_bad: bool, watch: Watch, stop: asyncio.Event
) -> Surveyed:
    """Read the whole file once; `UsageError` at a bad row (unless `skip_bad`), or if rows are in no order."""
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
    return Surveyed(survey, bad, market.others, content)


def _add(survey: Survey, rows: RowsRead, recording: Recording) -> None:
    bad = deque(rows.bad)
    for index, trade in enumerate(rows.trades):
        while bad and bad[0].trades_before == index:
            survey.skip(bad.popleft().line)
        try:
            survey.add(trade)
        except MalformedError as error:
            raise UsageError(f"{recording.path}: trade {trade.trade_id} cannot be imported: {error}") from error
    for row in bad:
        survey.skip(row.line)


def _changed() -> CandlewickError:
    return CandlewickError(
        "a file was changed while it was imported: import it again when nothing writes to it any more"
    )

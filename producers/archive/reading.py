"""The two readings of recorded trades: every row parsed, what is bad told with file, line and reason."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable, Sequence
from enum import StrEnum
from typing import NamedTuple

from market.errors import MalformedError
from market.trade import Trade
from producers.archive.recording import Market, Recording
from producers.archive.survey import Survey
from runtime.errors import UsageError


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
    content: bytes
    error: MalformedError


class Rows(NamedTuple):
    """What a chunk of lines holds, in order."""

    trades: list[Trade]
    bad: list[BadRow]


class Surveyed(NamedTuple):
    """What the first reading found; `digest` is of the content of all lines."""

    key: str
    survey: Survey
    bad: int
    others: int
    digest: bytes


async def read_rows(
    recordings: Sequence[Recording], market: Market, digest: "hashlib._Hash", stop: asyncio.Event
) -> AsyncIterator[Rows]:
    """The rows of all recordings, chunk by chunk; lines without content are none. Ends early when `stop` is set."""
    for recording in recordings:
        for chunk in recording.read():
            await asyncio.sleep(0)  # signals and heartbeats have their turn
            if stop.is_set():
                return
            rows = Rows([], [])
            for number, line in enumerate(chunk.lines, chunk.first):
                if not line:
                    continue
                try:
                    trade = recording.parse(line)
                except MalformedError as error:
                    rows.bad.append(BadRow(str(recording.path), number, line, error))
                    continue
                if market.holds(trade):
                    rows.trades.append(trade)
            digest.update(b"\n".join([*filter(None, chunk.lines), b""]))
            yield rows


async def survey_rows(
    recordings: Sequence[Recording], market: Market, *, skip_bad: bool, watch: Watch, stop: asyncio.Event
) -> Surveyed:
    """Read everything once; `UsageError` at the first bad row, unless they are to be skipped."""
    survey, digest, bad = Survey(), hashlib.sha256(), 0
    async for rows in read_rows(recordings, market, digest, stop):
        if rows.bad and not skip_bad:
            first = rows.bad[0]
            raise UsageError(
                f"{first.file} line {first.line} is not a trade: {first.error}; nothing was published "
                "(--skip-bad sends such rows to the dead letters)"
            )
        bad += len(rows.bad)
        _add(survey, rows, recordings)
        watch(Reading.SURVEYING, len(rows.trades) + len(rows.bad))
    return Surveyed(market.key, survey, bad, market.others, digest.digest())


def _add(survey: Survey, rows: Rows, recordings: Sequence[Recording]) -> None:
    for trade in rows.trades:
        try:
            survey.add(trade)
        except MalformedError as error:
            names = ", ".join(recording.path.name for recording in recordings)
            raise UsageError(f"{names}: trade {trade.trade_id} cannot be published in order: {error}") from error

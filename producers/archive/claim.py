"""One publisher a run, as far as can be seen: each says in `md.progress.v1` that it is at work, and looks for others.

Two publishers of one run would do no harm to the candles (a run published again repeats itself), but double the log.
"""

import asyncio
import time
import uuid

from market.codec import encode_progress, progress_key
from market.feed import Progress
from producers.archive.known import PUBLISHER_HEADER, KeyProgress, RunRecord, read_progress
from runtime.errors import CandlewickError
from runtime.kafka import Outgoing, Publisher
from runtime.lifecycle import stopped_within
from runtime.settings import Settings

HEARTBEAT_S = 1.0
RECENT_MS = 10_000
"""Who was at work this short a time ago (by Kafka's clock) may still be: it is watched."""
WATCH_S = 3.0


class Claim:
    """The right to publish a run, and its word on how far it is."""

    def __init__(self, settings: Settings, publisher: Publisher, key: str, run: str) -> None:
        self._settings = settings
        self._publisher = publisher
        self._key = key
        self._run = run
        self._token = uuid.uuid4().hex
        self._told_at_s = 0.0

    async def take(self, before: KeyProgress, stop: asyncio.Event) -> bool:
        """Raise unless no other publisher is seen; False where one finished the run after `before` was read.

        The word that the run is finished is then given again: the one that was to be taken would replace it in the
        compacted topic. Killed between the two, the run may be published once more, which changes no candle.
        """
        earlier = [record for record in before.runs if record.run == self._run]
        own = await self._tell(0)
        if earlier and own.at_ms - earlier[-1].at_ms < RECENT_MS:
            await stopped_within(stop, WATCH_S)
        seen = await read_progress(self._settings, self._key, after=earlier[-1] if earlier else None)
        finished = next((record for record in seen.runs if record.run == self._run and record.finished), None)
        if finished is not None:
            await self.finish(finished.until_us)
            return False
        known = {record.publisher for record in earlier}
        for one in seen.runs:
            if one.run != self._run or one.publisher == self._token:
                continue
            # Who spoke before and speaks on is alive; of those who begin together the first goes on.
            if one.publisher in known or one.offset < own.offset:
                raise CandlewickError(
                    f"run {self._run} of {self._key} is being published by another process: wait until it has ended"
                )
        return True

    async def heartbeat(self, until_us: int) -> None:
        """Say how far the run is, at most once in `HEARTBEAT_S`."""
        if time.monotonic() - self._told_at_s >= HEARTBEAT_S:
            await self._tell(until_us)

    async def finish(self, until_us: int) -> None:
        """Say that the run is finished: it is not published again."""
        await self._tell(until_us, finished=True)

    async def _tell(self, until_us: int, *, finished: bool = False) -> RunRecord:
        self._told_at_s = time.monotonic()
        record = Outgoing(
            progress_key(self._key, self._run),
            encode_progress(Progress(key=self._key, complete_until_us=until_us, run=self._run, finished=finished)),
            [(PUBLISHER_HEADER, self._token.encode())],
        )
        sent = await self._publisher.send(self._settings.topics.progress, record)
        stands = (await self._publisher.settle([sent]))[0]
        return RunRecord(self._run, until_us, finished, self._token, stands.offset, stands.timestamp)

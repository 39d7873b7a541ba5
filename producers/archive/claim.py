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
        """Raise unless no other publisher of the key is seen; False where one finished the run after `before` was read.

        The word that the run is finished is then given again: the one that was to be taken would replace it in the
        compacted topic. Killed between the two, the run may be published once more, which changes no candle.
        """
        at_work = [record for record in before.runs if record.run not in before.finished]
        own = await self._tell(0)
        if any(own.at_ms - record.at_ms < RECENT_MS for record in at_work):
            await stopped_within(stop, WATCH_S)
        seen = await read_progress(self._settings, self._key)
        finished = next((record for record in seen.runs if record.run == self._run and record.finished), None)
        if finished is not None:
            await self.finish(finished.until_us)
            return False
        publishers = {record.publisher for record in at_work}
        for record in set(seen.runs) - set(before.runs):
            if record.publisher == self._token or record.run in seen.finished:
                continue
            # Who was at work before and still is goes on; of those who begin together the first does.
            if record.publisher in publishers or (record.at_ms, record.publisher) < (own.at_ms, own.publisher):
                raise CandlewickError(
                    f"run {record.run} of {self._key} is being published by another process: wait until it has ended"
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

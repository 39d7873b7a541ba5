"""One publisher a market, as far as can be seen: each says in `md.progress.v1` that it is at work, and looks about.

What a run publishes depends on what the log holds: so another run of the key is waited for. Two publishers of one run
would do no harm to the candles (a run published again repeats itself), but double the log.
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
from runtime.telemetry import logger

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
        """Wait until no other run of the key is being published, as far as can be seen; False where this one is done.

        Raises where another process publishes this very run. Where it has finished it since `before` was read, that
        word is given again: the one that was to be taken would replace it in the compacted topic. Killed between the
        two, the run may be published once more, which changes no candle.
        """
        own = await self._tell(0)
        known = set(before.runs)
        recent = [one for one in before.runs if one.run not in before.finished and own.at_ms - one.at_ms < RECENT_MS]
        earlier = {one.publisher for one in recent}
        if earlier:
            await stopped_within(stop, WATCH_S)
        while not stop.is_set():
            seen = await read_progress(self._settings, self._key)
            finished = next((one for one in seen.runs if one.run == self._run and one.finished), None)
            if finished is not None:
                await self.finish(finished.until_us)
                return False
            new = [one for one in set(seen.runs) - known if one.run not in seen.finished]
            # Who was at work before and still is goes on; of those who begin together the first does.
            ahead = [one for one in new if one.publisher in earlier or _began(one) < _began(own)]
            if not ahead:
                return True
            if any(one.run == self._run for one in ahead):
                raise CandlewickError(
                    f"run {self._run} of {self._key} is being published by another process: wait until it has ended"
                )
            logger("import").info("waiting for another import of this market", run=ahead[0].run)
            known, earlier = set(seen.runs), earlier | {one.publisher for one in ahead}
            await self.heartbeat(0)
            await stopped_within(stop, WATCH_S)
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
        stands = (await self._publisher.await_acknowledgements([sent]))[0]
        return RunRecord(self._run, until_us, finished, self._token, stands.offset, stands.timestamp)


def _began(record: RunRecord) -> tuple[int, str]:
    return record.at_ms, record.publisher

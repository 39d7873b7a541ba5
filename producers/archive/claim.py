"""One publisher of runs for each market, as far as can be seen.

Each notes in `md.progress.v1` that it is at work, and looks there for others. What a run publishes depends on what the
log holds: so it waits for another run of the same market. Two publishers of the same run would not harm candles (a run
published again repeats itself), but they would double the log.
"""

import asyncio
import time
import uuid

from market.codec import encode_progress, progress_key
from market.feed import Progress
from market.key import MarketKey
from producers.archive.known import PUBLISHER_HEADER, KeyProgress, RunRecord, read_progress
from runtime.errors import CandlewickError
from runtime.kafka import Outgoing, Publisher
from runtime.lifecycle import stopped_within
from runtime.settings import Settings
from runtime.telemetry import logger

HEARTBEAT_S = 1.0
RECENT_MS = 10_000
"""A publisher that wrote within this time (by Kafka's clock) may still be at work: we watch it."""
WATCH_S = 3.0


class Claim:
    """The right to publish a run, and the notes on how far the run is."""

    def __init__(self, settings: Settings, publisher: Publisher, key: MarketKey, run: str) -> None:
        self._settings = settings
        self._publisher = publisher
        self._key = key
        self._run = run
        self._token = uuid.uuid4().hex
        self._noted_s = 0.0

    async def take(self, before: KeyProgress, stop: asyncio.Event) -> bool:
        """Wait until no other run of the market is being published, as far as can be seen.

        - True: the run is to be published; or `stop` was set.
        - False: another process has finished this run since `before` was read. Its note is written again, because the
          first note of this claim has replaced it in the compacted topic. (If we are killed between these two notes,
          the run may be published once more, which changes no candle.)
        - Raises `CandlewickError` if another process is publishing this very run.
        """
        own = await self._note(0)
        known = set(before.runs)
        earlier = {
            record.publisher
            for record in before.runs
            if record.run not in before.finished and own.appended_ms - record.appended_ms < RECENT_MS
        }
        if earlier:
            await stopped_within(stop, WATCH_S)
        while not stop.is_set():
            seen = await read_progress(self._settings, self._key)
            finished = next((record for record in seen.runs if record.run == self._run and record.finished), None)
            if finished is not None:
                await self.finish(finished.until_us)
                return False
            new = [record for record in set(seen.runs) - known if record.run not in seen.finished]
            # A publisher that was at work before goes first; if several begin together, the first of them.
            ahead = [record for record in new if record.publisher in earlier or _order(record) < _order(own)]
            if not ahead:
                return True
            if any(record.run == self._run for record in ahead):
                raise CandlewickError(
                    f"run {self._run} of {self._key} is being published by another process: wait until it has ended"
                )
            logger("import").info("waiting for another import of this market", run=ahead[0].run)
            known, earlier = set(seen.runs), earlier | {record.publisher for record in ahead}
            await self.heartbeat(0)
            await stopped_within(stop, WATCH_S)
        return True

    async def heartbeat(self, until_us: int) -> None:
        """Note how far the run is, at most once in `HEARTBEAT_S`."""
        if time.monotonic() - self._noted_s >= HEARTBEAT_S:
            await self._note(until_us)

    async def finish(self, until_us: int) -> None:
        """Note that the run is finished: then nobody publishes it again."""
        await self._note(until_us, finished=True)

    async def _note(self, until_us: int, *, finished: bool = False) -> RunRecord:
        self._noted_s = time.monotonic()
        record = Outgoing(
            progress_key(str(self._key), self._run),
            encode_progress(Progress(key=str(self._key), complete_until_us=until_us, run=self._run, finished=finished)),
            [(PUBLISHER_HEADER, self._token.encode())],
        )
        sent = await self._publisher.send(self._settings.topics.progress, record)
        metadata = (await self._publisher.await_acknowledgements([sent]))[0]
        return RunRecord(self._run, until_us, finished, self._token, metadata.offset, metadata.timestamp)


def _order(record: RunRecord) -> tuple[int, str]:
    return record.appended_ms, record.publisher

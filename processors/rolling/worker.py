"""One membership in the group: a Faust agent hands candles in, and the pure core makes the outputs.

Faust brings the records and keeps the membership. One task here decides what is done with them and what is committed:
it takes records in offset order, waits until the brokers acknowledge the outputs, and then commits offsets.
Faust's own acknowledging of events is off: it counts an event as done when its agent is cancelled while working on it.
"""

import asyncio
import time
from collections.abc import Iterable
from typing import Any, NamedTuple

from market.records import BareRecord
from processors.candle_source import CandleSource
from processors.config import ProcessorConfig
from processors.rolling.core import Output, Rolling, UnfinishedWindows
from processors.rolling.driver import TP, CandleApp, Tail, make_app
from processors.rolling.publishing import DeadCandle, publish
from processors.rolling.restore import CandleLog, read_back, restore
from runtime.errors import UnavailableError
from runtime.kafka import Publisher, ends
from runtime.kafka.admin import group_offsets
from runtime.membership import note_assigned
from runtime.settings import Settings
from runtime.telemetry import Meter, logger

GROUP = "rolling"
INBOX_HANDFULS = 2
"""How many handfuls may wait between Faust and the core; when the inbox is full, Faust waits."""
BATCH_RECORDS = 2_000
"""No further handful is taken in a round that has as many records."""
IDLE_S = 0.05
COMMIT_INTERVAL_S = 1.0
JOIN_TIMEOUT_S = 120.0
"""A member without partitions for this long joins anew."""
QUIET_S = 60.0
"""After this long without a record, the windows that could not come out are named."""

log = logger(GROUP)


class Incoming(NamedTuple):
    """Records of one partition as Faust hands them over, of one generation of the group."""

    topic: str
    partition: int
    records: list[BareRecord]
    generation: int


class Worker:
    """One membership in the group, from joining to leaving."""

    def __init__(
        self, settings: Settings, config: ProcessorConfig, meter: Meter, publisher: Publisher, source: CandleSource
    ) -> None:
        self._settings = settings
        self._config = config
        self._meter = meter
        self._publisher = publisher
        self._source = source
        self._topic = settings.topics.candles()
        self._log = CandleLog(settings, source.metadata.topic_id)
        self._inbox: asyncio.Queue[Incoming] = asyncio.Queue(INBOX_HANDFULS)
        self._busy = asyncio.Lock()
        self._assigned: frozenset[int] = frozenset()
        self._rollings: dict[int, Rolling] = {}
        self._committed: dict[int, int] = {}
        self._live: dict[int, int] = {}
        """Partition → next offset of the live topic, not committed yet."""
        self._committed_at_s = time.monotonic()
        self._worked_at_s = self._taken_at_s = time.monotonic()
        self._generation: int | None = None
        """The generation whose partitions are assigned here; None while the group rebalances."""
        self._stop = asyncio.Event()
        self._app = self._make_app()

    def _make_app(self) -> CandleApp:
        topics = self._settings.topics
        metadata = {topics.candles(): self._source.metadata}
        app = make_app(self._settings, topics.group(GROUP), self._config.instance_id, metadata)
        # Under --once too, where live candles are not used: members must read the same topics to be assigned alike.
        names = (topics.candles(), topics.live)
        source = app.topic(*names, key_type=bytes, value_type=bytes, value_serializer="raw", acks=False)
        app.agent(source, name=GROUP, concurrency=1)(self._hand_over)
        app.on_partitions_revoked.connect(self._on_revoked)
        app.on_partitions_assigned.connect(self._on_assigned)
        return app

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` or the end, commit, leave."""
        self._stop = stop
        last = {partition: end for partition, (_, end) in (await ends(self._settings, self._topic)).items()}
        starting = asyncio.ensure_future(self._app.start())
        try:
            while not stop.is_set():
                if self._app.crashed or (starting.done() and starting.exception()):
                    raise UnavailableError("Faust's consumer stopped: see the log for its reason")
                async with self._busy:
                    await self._work()
                if self._config.once and self._generation is not None and self._is_done(last):
                    await self._source.look(now=True)
                    break
            async with self._busy:
                await self._commit()
                for rolling in self._rollings.values():
                    self._warn_of_unfinished(rolling.take_unfinished())
        finally:
            starting.cancel()
            await self._app.stop()

    async def _hand_over(self, stream: Any) -> None:
        """The agent: it only passes records on, and waits while the inbox is full."""
        async for event in stream.noack().events():
            message = event.message
            await self._inbox.put(Incoming(message.topic, message.partition, message.value, message.generation_id))

    async def _on_revoked(self, *_: Any, **__: Any) -> None:
        async with self._busy:
            await self._commit()
            self._generation = None
            self._assigned = frozenset()
            self._rollings.clear()
            self._live.clear()

    async def _on_assigned(self, *arguments: Any, **_: Any) -> None:
        assigned: Iterable[TP] = arguments[-1]
        async with self._busy:
            self._assigned = frozenset(tp.partition for tp in assigned if tp.topic == self._topic)
            self._rollings.clear()
            self._committed.clear()
            self._generation = self._app.consumer_generation_id
        log.info("assigned", partitions=sorted(self._assigned))
        note_assigned(self._meter, self._assigned, self._config.instance_id)

    async def _work(self) -> None:
        """One round: rebuild what is new here, take in what has come, publish, and commit when it is time."""
        if self._generation is None or self._generation != self._app.consumer_generation_id:
            if time.monotonic() - self._worked_at_s > JOIN_TIMEOUT_S:
                raise UnavailableError(f"Kafka gave no partitions to this member within {JOIN_TIMEOUT_S:.0f} s")
            # Faust may hand over the new generation's records before it says what is assigned.
            await asyncio.sleep(IDLE_S)
            return
        self._worked_at_s = time.monotonic()
        await self._restore_new()
        if self._stop.is_set():
            return
        await self._take(await self._next_batch())
        await self._flush_ended()
        self._warn_when_quiet()
        tails = self._tails()
        positions = {partition: self._position(partition, tail) for partition, tail in tails}
        lags = {partition: tail.log_end - positions[partition] for partition, tail in tails}
        self._meter.unread = sum(lags.values())
        await self._source.look()
        for partition, position in positions.items():
            await self._source.name_who_holds_back(partition, position, lags[partition])
        if time.monotonic() - self._committed_at_s >= COMMIT_INTERVAL_S:
            await self._commit()

    async def _restore_new(self) -> None:
        """Rebuild what is new here, unless told to stop meanwhile: a rebuild of many markets takes a minute."""
        new = self._assigned - self._rollings.keys()
        if not new:
            return
        committed = await group_offsets(self._settings, self._settings.topics.group(GROUP))
        bounds = await ends(self._settings, self._topic)
        stops = {p: max(bounds[p][0], committed.get((self._topic, p), 0)) for p in new}
        now_ms = time.time_ns() // 1_000_000
        restoring = asyncio.ensure_future(restore(self._log, self._settings.partitions, stops, now_ms))
        stopping = asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait({restoring, stopping}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopping.cancel()
            if is_interrupted := not restoring.done():
                restoring.cancel()
        if is_interrupted:
            await asyncio.wait({restoring})
            return
        self._rollings |= restoring.result()
        self._committed |= stops

    async def _next_batch(self) -> list[Incoming]:
        try:
            async with asyncio.timeout(IDLE_S):  # `wait_for` loses a cancellation that comes with an item
                batch = [await self._inbox.get()]
        except TimeoutError:
            return []
        count = len(batch[0].records)
        while count < BATCH_RECORDS and not self._inbox.empty():
            batch.append(self._inbox.get_nowait())
            count += len(batch[-1].records)
        current = [handful for handful in batch if handful.generation == self._generation]
        joined: dict[tuple[str, int], Incoming] = {}  # the more records at once, the less each costs
        for handful in current:
            if handful.topic == self._topic or handful.partition in self._rollings:
                of_source = joined.setdefault(handful[:2], handful._replace(records=[]))
                of_source.records.extend(handful.records)
        return list(joined.values())

    async def _take(self, batch: list[Incoming]) -> None:
        if not batch:
            return
        self._taken_at_s = time.monotonic()
        if self._config.once:  # live candles are not used
            batch = [handful for handful in batch if handful.topic == self._topic]
        await self._prepare(batch)
        outputs: list[tuple[int, Output]] = []
        dead: list[DeadCandle] = []
        for topic, partition, records, _ in batch:
            rolling = self._rollings[partition]
            taken = rolling.take_all(records) if topic == self._topic else rolling.refresh_all(records)
            outputs += [(partition, output) for output in taken.outputs]
            dead += [DeadCandle(topic, partition, *refused) for refused in taken.refused]
        await self._publish(outputs, dead)
        for topic, partition, records, _ in batch:
            if topic == self._topic:
                self._meter.count(len(records), newest_ms=records[-1].timestamp)
                self._warn_of_unfinished(self._rollings[partition].release())
            else:
                self._live[partition] = records[-1].offset + 1

    async def _prepare(self, batch: list[Incoming]) -> None:
        """Read back what the cores need before they can take these records in."""
        by_partition: dict[int, list[BareRecord]] = {}
        for topic, partition, records, _ in batch:
            if topic == self._topic and records[0].offset <= self._rollings[partition].offset:
                await self._source.look(now=True)  # offsets begin again: the topic may have been made anew
            by_partition.setdefault(partition, []).extend(records)
        await read_back(self._log, {p: (self._rollings[p], records) for p, records in by_partition.items()})

    async def _flush_ended(self) -> None:
        """Publish the outputs of the newest revision, if the log holds no more candles of it."""
        outputs: list[tuple[int, Output]] = []
        for partition, tail in self._tails():
            rolling = self._rollings[partition]
            if rolling.pending and tail.ended_at(rolling.offset):
                outputs += [(partition, output) for output in rolling.flush()]
        await self._publish(outputs, [])

    async def _publish(self, outputs: list[tuple[int, Output]], dead: list[DeadCandle]) -> None:
        topic_id = self._source.metadata.topic_id
        await publish(self._settings, self._publisher, self._meter, outputs, dead, topic_id=topic_id)

    def _warn_of_unfinished(self, unfinished: Iterable[UnfinishedWindows]) -> None:
        """Name the windows that were left as they were because minutes of theirs are no longer in the log."""
        for of_day in unfinished:
            self._meter.add("windows_left", sum(of_day.windows.values()))
            log.warning(
                "windows left as they were: others of their minutes are no longer in the candle topic; import the "
                "whole day again to have them",
                key=of_day.key,
                day_ms=of_day.open_ms,
                windows=of_day.windows,
            )

    def _warn_when_quiet(self) -> None:
        if time.monotonic() - self._taken_at_s > QUIET_S:
            for rolling in self._rollings.values():
                self._warn_of_unfinished(rolling.take_unfinished())

    def _tails(self) -> list[tuple[int, Tail]]:
        tails = ((partition, self._app.tail(self._topic, partition)) for partition in self._rollings)
        return [(partition, tail) for partition, tail in tails if tail is not None]

    def _position(self, partition: int, tail: Tail) -> int:
        """The next offset to commit; if nothing is pending, control records are skipped too."""
        rolling = self._rollings[partition]
        if tail.ended_at(rolling.offset) and not rolling.pending:
            return tail.position
        return max(rolling.position, self._committed.get(partition, 0))

    async def _commit(self) -> None:
        """Commit the positions that advanced."""
        self._committed_at_s = time.monotonic()
        positions = {partition: self._position(partition, tail) for partition, tail in self._tails()}
        advanced = {p: offset for p, offset in positions.items() if offset > self._committed.get(p, 0)}
        await self._app.commit_offsets(self._topic, advanced)
        await self._app.commit_offsets(self._settings.topics.live, self._live)
        self._committed |= advanced
        self._live.clear()

    def _is_done(self, last: dict[int, int]) -> bool:
        """Whether everything below the ends in `last` is published."""
        tails = dict(self._tails())
        return self._assigned == self._rollings.keys() and all(
            last[partition] <= self._committed.get(partition, 0)
            or (partition in tails and self._position(partition, tails[partition]) >= last[partition])
            for partition in self._assigned
        )

"""One membership in the group: all partitions of the 1m topic, read side by side by one process.

It works in this order, so that a kill at any point loses no signal, and repeats some with the same bytes:

1. take over: read the log again, silently, up to the committed offsets
2. read, and note of which partitions there is nothing more to read now
3. take in what is known to come next, in the order of the merged log
4. publish signals and dead letters, and wait until they are acknowledged
5. commit the offsets up to which all was taken in
"""

import asyncio
import time
from dataclasses import dataclass, field

from market.codec import GROUP_HEADER, encode_signal
from market.timeframe import DAY_MS
from processors.candle_source import CandleSource
from processors.config import ProcessorConfig
from processors.signals.core import LOOK_BACK_MS, SignalCore
from processors.signals.merge import END_MS
from processors.signals.reading import SignalReading, Told
from processors.signals.rules import SignalRules
from processors.stuck import StuckReaders
from runtime.kafka import (
    Outgoing,
    Publisher,
    Subscription,
    TopicPartition,
    dead_letter,
    ends,
    offsets_at,
    read_to_end,
)
from runtime.membership import note_assigned
from runtime.settings import Settings
from runtime.telemetry import Meter, logger

GROUP = "signals"
POLL_S = 0.1
POLL_BATCHES = 64
WAITING_RECORDS = 5_000
"""A partition with so many records that wait for others is not read on."""
COMMIT_INTERVAL_S = 1.0
SLACK_MS = 1_000
"""A broker may show a record so much later than the time that it stamps on it, and clocks of brokers differ."""
TAIL_OFFSETS = 200
"""So many offsets before the committed one are looked at for the log clock."""

log = logger(GROUP)


@dataclass(frozen=True, kw_only=True)
class SignalsConfig(ProcessorConfig):
    """The flags of every processor, and the signals' own."""

    rules: SignalRules = field(default_factory=SignalRules)


class SignalWorker:
    """One membership in the group, from joining to leaving."""

    def __init__(
        self, settings: Settings, config: SignalsConfig, meter: Meter, publisher: Publisher, source: CandleSource
    ) -> None:
        self._settings = settings
        self._config = config
        self._meter = meter
        self._publisher = publisher
        self._source = source
        self._topic = settings.topics.candles()
        self._tps = [TopicPartition(self._topic, partition) for partition in range(settings.partitions)]
        self._subscription = Subscription(
            settings,
            group=settings.topics.group(GROUP),
            topics=[self._topic],
            instance_id=config.instance_id,
            bare=True,
            sole=True,
        )
        self._reading: SignalReading | None = None
        self._stuck = StuckReaders(settings.stall_timeout_s)
        self._committed: dict[TopicPartition, int] = {}
        self._until: dict[int, int] = {}
        """With ``once``: the ends of the partitions as they were at the start."""
        self._newest_ms = (-1, 0)
        """The greatest append time that was read, and our clock when it was."""
        self._committed_at_s = time.monotonic()

    async def run(self, stop: asyncio.Event) -> None:
        """Work until `stop` or the end, commit, leave."""
        if self._config.once:
            self._until = {partition: end for partition, (_, end) in (await ends(self._settings, self._topic)).items()}
        async with self._subscription:
            while not stop.is_set():
                await self._follow_assignment()
                if self._reading is None:
                    await self._subscription.pause_for(POLL_S)
                    continue
                await self._work(self._reading)
                if self._config.once and self._reading is not None and self._is_done(self._reading):
                    await self._source.look(now=True)
                    break
            if self._reading is not None:
                await self._commit(self._reading)

    async def _follow_assignment(self) -> None:
        """Begin anew after a rebalance: either all partitions are here now, or another process has them."""
        changes = self._subscription.changes()
        if not changes.rebalanced:
            return
        note_assigned(self._meter, changes.assigned, self._config.instance_id)
        self._reading = None
        if changes.assigned >= set(self._tps):
            await self._take_over(None)
        else:
            log.warning("another process of the group has the partitions: this one waits for them")

    async def _take_over(self, since_ms: int | None) -> None:
        """Read from `since_ms` (append time) or from where the committed offsets let expect, silently up to them."""
        offsets = await self._subscription.committed_offsets(self._tps)
        bounds = await ends(self._settings, self._topic)
        firsts = {tp: bounds[tp.partition].first for tp in self._tps}
        self._committed = {tp: max(firsts[tp], offsets[tp].offset) if tp in offsets else firsts[tp] for tp in self._tps}
        told = {tp.partition: offset for tp, offset in self._committed.items()}
        if since_ms is None:
            since_ms = await self._usual_since_ms(told)
        begins = await offsets_at(self._settings, self._topic, since_ms, told)
        for tp in self._tps:
            self._subscription.seek(tp, max(firsts[tp], min(begins[tp.partition], told[tp.partition])))
        is_whole = all(begins[tp.partition] <= firsts[tp] for tp in self._tps)
        silent_until_ms = 0 if is_whole else since_ms + LOOK_BACK_MS
        core = SignalCore(self._config.rules, self._settings.partitions, silent_until_ms=silent_until_ms)
        self._reading = SignalReading(core, told, None if is_whole else since_ms)
        self._newest_ms = (-1, 0)
        self._stuck.clear()
        log.info("rebuilding from the log", since_ms=since_ms, records=sum(told.values()) - sum(begins.values()))

    async def _usual_since_ms(self, told: dict[int, int]) -> int:
        """What signals from `told` on depend on was appended since then, if the market is as old as the log."""
        starts = {partition: max(0, offset - TAIL_OFFSETS) for partition, offset in told.items()}
        newest_ms = 0
        async for records in read_to_end(self._settings, self._topic, start=starts, stop=told):
            newest_ms = max([newest_ms, *(record.timestamp for record in records)])
        return max(0, newest_ms // DAY_MS * DAY_MS - LOOK_BACK_MS)

    async def _work(self, reading: SignalReading) -> None:
        """Steps 2 to 5, once."""
        was_rebuilt = reading.is_rebuilt
        await self._read(reading)
        told = reading.step()
        if reading.lacks_since_ms is not None:
            log.info("the market is older than the log clock: reading further back", since_ms=reading.lacks_since_ms)
            await self._take_over(reading.lacks_since_ms)
            return
        if reading.is_rebuilt and not was_rebuilt:
            log.info("rebuilt: signals are told from here on")
        await self._publish(told)
        self._meter.fields["too_late"] = reading.merge.too_late
        await self._source.look()
        if time.monotonic() - self._committed_at_s >= COMMIT_INTERVAL_S:
            await self._commit(reading)

    async def _read(self, reading: SignalReading) -> None:
        wanted = [tp for tp in self._tps if reading.merge.waiting(tp.partition) < WAITING_RECORDS]
        polled = await self._subscription.poll_batches(wanted, timeout_s=POLL_S, max_batches=POLL_BATCHES)
        if self._subscription.is_rebalanced:
            return  # these records may be of other positions: the next round begins anew
        for tp, records in polled.items():
            until = self._until.get(tp.partition)
            reading.add(tp.partition, [record for record in records if until is None or record.offset < until])
            self._meter.count(len(records), newest_ms=records[-1].timestamp)
        if reading.merge.newest_ms > self._newest_ms[0]:
            self._newest_ms = reading.merge.newest_ms, time.time_ns() // 1_000_000
        for tp in self._tps:
            reach = self._subscription.reach(tp)
            if reach is None:
                continue
            if self._config.once and reach.position >= self._until[tp.partition]:
                reading.know(tp.partition, reach.position, END_MS)
            elif reach.position >= reach.end:
                reading.know(tp.partition, reach.position, self._append_ms(reach.seen_ms) - SLACK_MS)
        await self._stuck.look(self._subscription, wanted)

    def _append_ms(self, clock_ms: int) -> int:
        """What the brokers would have stamped on a record, at the least, when our clock said `clock_ms`."""
        newest_ms, read_at_ms = self._newest_ms
        return newest_ms + clock_ms - read_at_ms

    async def _publish(self, told: Told) -> None:
        """Returns once all is acknowledged."""
        topics, count = self._settings.topics, self._settings.partitions
        signals = [Outgoing(signal.key.encode(), encode_signal(signal)) for signal in told.signals]
        group = ((GROUP_HEADER, self._subscription.group.encode()),)
        letters = [dead_letter(self._tps[partition], record, error, group) for partition, record, error in told.refused]
        futures: list[asyncio.Future[object]] = []
        if signals:
            futures += await self._publisher.send_batches(topics.signals, signals, count)
        if letters:
            log.warning("dead letters", count=len(letters), first=str(told.refused[0].error))
            futures += await self._publisher.send_batches(topics.dead_letters(self._topic), letters, count)
        if futures:
            await self._publisher.await_acknowledgements(futures)
        self._meter.add("signals", len(signals))
        self._meter.add("dead_letters", len(letters))

    async def _commit(self, reading: SignalReading) -> None:
        """Commit the positions that advanced; name who holds back those that do not."""
        self._committed_at_s = time.monotonic()
        positions = {tp: reading.positions[tp.partition] for tp in self._tps}
        advanced = {tp: offset for tp, offset in positions.items() if offset > self._committed[tp]}
        if advanced:
            await self._subscription.commit(advanced, {self._topic: self._source.metadata})
            self._committed |= advanced
        highs = {tp: self._subscription.highwater(tp) for tp in self._tps}
        self._meter.set_unread((highs[tp], positions[tp]) for tp in self._tps)
        for tp, position in positions.items():
            await self._source.name_who_holds_back(tp.partition, position, (highs[tp] or 0) - position)

    def _is_done(self, reading: SignalReading) -> bool:
        """Whether everything before the ends of the start was taken in."""
        return all(
            reading.positions[partition] >= end and not reading.merge.waiting(partition)
            for partition, end in self._until.items()
        )

"""Sends a run to Kafka: trades in the order of the file, and each minute's marker after its last trade.

The order matters. A step's trades are acknowledged before the markers of their minutes are sent, and these markers
before the next step. Rows come here after the reader has compared them with the first reading.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from market.codec import RUN_HEADER, encode_feed_event, encode_marker, encode_trade
from market.feed import FeedEvent, FeedEventKind
from market.key import MarketKey
from market.partition import partition_of
from market.timeframe import MINUTE_US, next_minute_us
from market.trade import Marker, Proof, Trade
from producers.archive.claim import Claim
from producers.archive.copies import Copies
from producers.archive.dump import DumpPeriod
from producers.archive.plan import Last, Plan, PlannedMinute
from producers.archive.reading import BadRow
from producers.archive.report import ReportedRange, hole_reason, ranges
from producers.archive.survey import Rows
from runtime.kafka import Outgoing, Publisher
from runtime.settings import Settings

STEP_TRADES = 20_000
STEP_US = 240 * MINUTE_US
"""At most this much market time of trades is sent before their markers: the engine keeps those trades in memory."""
_MARKERS = 10_000


@dataclass(frozen=True, kw_only=True)
class ImportRun:
    """What is published as one run."""

    key: MarketKey
    id: str
    span: DumpPeriod
    """All minutes that it may publish."""
    plan: Plan
    copies: Copies


class RunPublisher:
    """Publishes one run. After any error it must be discarded, and the import repeated."""

    def __init__(self, settings: Settings, publisher: Publisher, claim: Claim, run: ImportRun) -> None:
        self.published = 0
        """How many trades are acknowledged."""
        self.log_only = 0
        """How many of these trades were read back from the log."""
        self._topics = settings.topics
        self._partitions = settings.partitions
        self._publisher = publisher
        self._claim = claim
        self._run = run
        self._minutes = run.plan.minutes
        self._key = str(run.key).encode()
        self._partition = partition_of(self._key, settings.partitions)
        self._header = [(RUN_HEADER, run.id.encode())]
        self._seen = Rows()
        self._rows = 0
        self._marked = 0
        self._step: list[Outgoing] = []
        self._step_until_us = 0
        self._published_until_us = run.span.from_us

    async def begin(self) -> None:
        """Publish the events, with the holes, and the `begin` marker."""
        run = self._run
        holes = [self._hole(reported) for reported in ranges(run.plan) if reported.proof is Proof.HOLE]
        await self._tell([self._event(FeedEventKind.RUN_BEGUN, run.span), *holes])
        begin_us = self._minutes[0].open_us if self._minutes else run.span.from_us
        self._published_until_us = begin_us
        await self._send([self._marker_record(self._begin_marker(begin_us))])

    async def add(self, trades: Sequence[Trade]) -> None:
        """Publish the next rows that belong to the run, each id once."""
        step = self._step
        for row in trades:
            time_us = row.time_us
            if step and (len(step) >= STEP_TRADES or time_us >= self._step_until_us):
                await self._flush()
            self._rows += 1
            trade = self._run.copies.of(row) if self._seen.is_new(row) else None
            if trade is None:
                continue
            if not step:
                self._step_until_us = time_us + STEP_US
            step.append(self._trade_record(trade))

    async def refuse(self, bad: Sequence[BadRow]) -> None:
        """Send bad rows to the dead letters: the bytes of the line, its place in the file and what is wrong with it."""
        records = [
            Outgoing(
                self._key,
                row.content,
                [
                    *self._header,
                    ("__streams.errors.exception", type(row.error).__name__.encode()),
                    ("__streams.errors.message", str(row.error)[:1000].encode(errors="backslashreplace")),
                    ("import.file", row.file.encode(errors="backslashreplace")),
                    ("import.line", b"%d" % row.line),
                ],
                self._partition,
            )
            for row in bad
        ]
        topic = self._topics.dead_letters(self._topics.trades)
        await self._publisher.await_acknowledgements(
            await self._publisher.send_batches(topic, records, self._partitions)
        )

    async def end(self) -> None:
        """Publish the rest, with the end marker last; then the event, and the note that the run is finished."""
        await self._flush(to_end=True)
        if not self._minutes:  # rows were kept, but no minute ends the run
            until_us = next_minute_us(self._published_until_us)
            await self._send([self._marker_record(self._begin_marker(until_us, end=True))])
        await self._tell([self._event(FeedEventKind.RUN_ENDED, self._run.span)])
        await self._claim.finish(self._run.span.until_us)

    async def _flush(self, *, to_end: bool = False) -> None:
        await self._send(self._step)
        self.published += len(self._step)
        await self._claim.heartbeat(0)
        self._step.clear()
        while due := self._due(to_end=to_end):
            log_only = [trade for minute in due for trade in self._run.copies.log_only(minute.open_us)]
            await self._send([self._trade_record(trade) for trade in log_only])
            self.published += len(log_only)
            self.log_only += len(log_only)
            last = len(self._minutes) - 1
            markers = [self._marker(minute, end=index == last) for index, minute in enumerate(due, self._marked)]
            await self._send([self._marker_record(marker) for marker in markers])
            self._marked += len(due)
            await self._claim.heartbeat(markers[-1].complete_until_us)

    def _due(self, *, to_end: bool) -> list[PlannedMinute]:
        """The next minutes whose rows are acknowledged; the last minute of the run only at the end."""
        minutes, last = self._minutes, len(self._minutes) - 1
        due = []
        for index in range(self._marked, min(self._marked + _MARKERS, last + 1)):
            if not to_end and (index == last or minutes[index].after_row > self._rows):
                break
            due.append(minutes[index])
        return due

    def _marker(self, minute: PlannedMinute, *, end: bool) -> Marker:
        until_us = minute.open_us + MINUTE_US
        return Marker(
            complete_until_us=until_us,
            published_until_us=max(until_us, self._published_until_us),
            proof=minute.proof,
            last_trade_id=minute.last.trade_id if minute.last else None,
            last_price=minute.last.price if minute.last else None,
            run=self._run.id,
            end=end,
            kline=minute.kline,
            claim=minute.claim,
        )

    def _begin_marker(self, begin_us: int, *, end: bool = False) -> Marker:
        before: Last | None = self._run.plan.before
        return Marker(
            complete_until_us=begin_us,
            published_until_us=begin_us,
            proof=Proof.BEGIN,
            last_trade_id=before.trade_id if before else None,
            last_price=before.price if before else None,
            run=self._run.id,
            end=end,
        )

    def _marker_record(self, marker: Marker) -> Outgoing:
        return Outgoing(self._key, None, encode_marker(marker), self._partition)

    def _trade_record(self, trade: Trade) -> Outgoing:
        if trade.time_us >= self._published_until_us:
            self._published_until_us = trade.time_us + 1
        return Outgoing(self._key, encode_trade(trade), self._header, self._partition)

    def _hole(self, hole: ReportedRange) -> FeedEvent:
        first, last = (hole.gaps[0], hole.gaps[-1]) if hole.gaps else (None, None)
        return self._event(
            FeedEventKind.HOLE,
            hole.span,
            first_id=str(first.first) if first else None,
            last_id=str(last.last) if last else None,
            reason=hole_reason(hole.gaps, hole.skipped),
        )

    def _event(self, kind: FeedEventKind, span: DumpPeriod, **about: str | None) -> FeedEvent:
        exchange, symbol = self._run.key
        return FeedEvent(
            exchange=exchange,
            symbol=symbol,
            event=kind,
            at_ms=int(time.time() * 1000),
            from_us=span.from_us,
            until_us=span.until_us,
            run=self._run.id,
            **about,
        )

    async def _send(self, records: Sequence[Outgoing]) -> None:
        if records:
            sent = await self._publisher.send_batches(self._topics.trades, records, self._partitions)
            await self._publisher.await_acknowledgements(sent)

    async def _tell(self, events: Sequence[FeedEvent]) -> None:
        records = [Outgoing(self._key, encode_feed_event(event), (), self._partition) for event in events]
        sent = await self._publisher.send_batches(self._topics.feeds, records, self._partitions)
        await self._publisher.await_acknowledgements(sent)

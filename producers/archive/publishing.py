"""A run on its way to Kafka: trades in the order of the files, and each minute's marker behind its last trade.

Order is what counts: a step's trades are acknowledged before the markers that speak of them are sent, these before
the next step. Rows come here when their content has proved to be the one that was surveyed, the end when all has.
"""

import time
from collections.abc import Sequence

from market.codec import RUN_HEADER, encode_feed_event, encode_marker, encode_trade
from market.feed import FeedEvent, FeedEventKind
from market.partition import partition_of
from market.timeframe import MINUTE_US, minute_us
from market.trade import Marker, Proof, Trade, split_key
from producers.archive.claim import Claim
from producers.archive.dump import Span
from producers.archive.plan import PlannedMinute, Run, hole_spans
from producers.archive.reading import BadRow
from runtime.kafka import Outgoing, Publisher
from runtime.settings import Settings

STEP_TRADES = 20_000
STEP_US = 240 * MINUTE_US
"""Most market time whose trades run ahead of their markers: so much the candle engine has to hold."""
_MARKERS = 10_000


class RunPublisher:
    """Publishes one run; after any error it must be discarded, and the run be published again from its start."""

    def __init__(self, settings: Settings, publisher: Publisher, claim: Claim, run: Run) -> None:
        self.published = 0
        """Trades acknowledged."""
        self._topics = settings.topics
        self._partitions = settings.partitions
        self._publisher = publisher
        self._claim = claim
        self._run = run
        self._key = run.key.encode()
        self._partition = partition_of(self._key, settings.partitions)
        self._header = [(RUN_HEADER, run.id.encode())]
        self._rows = 0
        self._marked = 0
        self._step: list[Outgoing] = []
        self._step_until_us = 0
        self._published_until_us = run.span.from_us

    async def begin(self) -> None:
        """Publish the events, what is missing among them, and the `begin` marker."""
        holes = [self._event(FeedEventKind.HOLE, span) for span in hole_spans(self._run.minutes)]
        await self._tell([self._event(FeedEventKind.RUN_BEGUN, self._run.span), *holes])
        before, begin_us = self._run.before, self._run.span.from_us
        marker = Marker(
            complete_until_us=begin_us,
            published_until_us=begin_us,
            proof=Proof.BEGIN,
            last_trade_id=before.trade_id if before else None,
            last_price=before.price if before else None,
            run=self._run.id,
        )
        await self._send([self._marker_record(marker)])

    async def add(self, trades: Sequence[Trade]) -> None:
        """Publish the next rows, but for those outside the span or in minutes that are left alone."""
        span, left, step = self._run.span, self._run.left, self._step
        for trade in trades:
            time_us = trade.time_us
            if step and (len(step) >= STEP_TRADES or time_us >= self._step_until_us):
                await self._flush()
            self._rows += 1
            if not span.from_us <= time_us < span.until_us or (left and minute_us(time_us) in left):
                continue
            if not step:
                self._step_until_us = time_us + STEP_US
            step.append(Outgoing(self._key, encode_trade(trade), self._header, self._partition))
            if time_us >= self._published_until_us:
                self._published_until_us = time_us + 1

    async def refuse(self, bad: Sequence[BadRow]) -> None:
        """Send bad rows to the dead letters: the bytes of the line, and where it stood and what is wrong with it."""
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
        await self._publisher.settle(await self._publisher.send_batches(topic, records, self._partitions))

    async def end(self) -> None:
        """Publish what is left, the end marker last, the event, and that the run is finished."""
        await self._flush(to_end=True)
        await self._tell([self._event(FeedEventKind.RUN_ENDED, self._run.span)])
        await self._claim.finish(self._run.span.until_us)

    async def _flush(self, *, to_end: bool = False) -> None:
        await self._send(self._step)
        self.published += len(self._step)
        self._step.clear()
        while due := self._due(to_end=to_end):
            await self._send([self._marker_record(marker) for marker in due])
            self._marked += len(due)
            await self._claim.heartbeat(due[-1].complete_until_us)

    def _due(self, *, to_end: bool) -> list[Marker]:
        """The next markers whose trades are acknowledged; the last one of all only at the end."""
        minutes, last = self._run.minutes, len(self._run.minutes) - 1
        due = []
        for at in range(self._marked, min(self._marked + _MARKERS, last + 1)):
            if not to_end and (at == last or minutes[at].after_row > self._rows):
                break
            due.append(self._marker(minutes[at], end=at == last))
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
        )

    def _marker_record(self, marker: Marker) -> Outgoing:
        return Outgoing(self._key, None, encode_marker(marker), self._partition)

    def _event(self, kind: FeedEventKind, span: Span) -> FeedEvent:
        exchange, symbol = split_key(self._run.key)
        return FeedEvent(
            exchange=exchange,
            symbol=symbol,
            event=kind,
            at_ms=int(time.time() * 1000),
            from_us=span.from_us,
            until_us=span.until_us,
            run=self._run.id,
        )

    async def _send(self, records: Sequence[Outgoing]) -> None:
        if records:
            sent = await self._publisher.send_batches(self._topics.trades, records, self._partitions)
            await self._publisher.settle(sent)

    async def _tell(self, events: Sequence[FeedEvent]) -> None:
        records = [Outgoing(self._key, encode_feed_event(event), (), self._partition) for event in events]
        sent = await self._publisher.send_batches(self._topics.feeds, records, self._partitions)
        await self._publisher.settle(sent)

"""The order in which a round of the feed goes to Kafka.

A first `begin` is noted in the progress topic before anything of its symbol is published: whoever starts after a
crash in between goes on from that same minute. A marker follows the acknowledgement of the trades that it speaks
of; the progress record follows that of the marker.
"""

import asyncio
from collections.abc import Iterable, Mapping
from typing import Any

from market.codec import (
    decode_marker,
    encode_feed_event,
    encode_marker,
    encode_progress,
    encode_trade,
    progress_key,
)
from market.errors import MalformedError
from market.feed import Progress
from market.partition import partition_of
from market.trade import Marker
from producers.symbol import Round, SymbolFeed
from runtime.errors import CandlewickError
from runtime.kafka import Outgoing, Publisher, read_to_end
from runtime.settings import Settings


class Publishing:
    """Publishes rounds through one publisher; after any error both must be discarded."""

    def __init__(self, publisher: Publisher, settings: Settings) -> None:
        self._publisher = publisher
        self._topics = settings.topics
        self._partitions = settings.partitions
        self._progress: list[asyncio.Future[Any]] = []

    async def begin_again(self, symbols: Iterable[SymbolFeed]) -> None:
        """Publish the `begin` of the symbols that go on from a marker."""
        await self._settle(await self._send_markers([(one, one.begin) for one in symbols if one.begin is not None]))

    async def publish(self, round_: Round) -> int | None:
        """Publish a round; returns Kafka's append time of the newest trade, in milliseconds."""
        if round_.begins:
            await self._settle(await self._send_progress(round_.begins))
            await self._settle(await self._send_markers(round_.begins))
        newest_ms = None
        if round_.trades or round_.events:
            newest_ms = await self._trades_and_events(round_)
        if round_.markers:
            await self._settle(await self._send_markers(round_.markers))
            newest = {symbol: marker for symbol, marker in round_.markers}  # noqa: C416  # the last one wins
            await self.finish()
            self._progress = await self._send_progress(newest.items())
        return newest_ms

    async def finish(self) -> None:
        """Wait for what may be outstanding: progress records are awaited a round later."""
        outstanding, self._progress = self._progress, []
        await self._settle(outstanding)

    async def _trades_and_events(self, round_: Round) -> int | None:
        trades = [
            Outgoing(symbol.key, encode_trade(trade), partition=symbol.partition) for symbol, trade in round_.trades
        ]
        events = [Outgoing(event.key.encode(), encode_feed_event(event)) for event in round_.events]
        sent = await self._publisher.send_batches(self._topics.trades, trades, self._partitions)
        told = await self._publisher.send_batches(self._topics.feeds, events, self._partitions)
        acknowledged = await self._publisher.settle([*sent, *told])
        return max((metadata.timestamp for metadata in acknowledged[: len(sent)]), default=None)

    async def _send_markers(self, markers: Iterable[tuple[SymbolFeed, Marker]]) -> "list[asyncio.Future[Any]]":
        records = [Outgoing(one.key, None, encode_marker(marker), one.partition) for one, marker in markers]
        return await self._publisher.send_batches(self._topics.trades, records, self._partitions)

    async def _send_progress(self, markers: Iterable[tuple[SymbolFeed, Marker]]) -> "list[asyncio.Future[Any]]":
        records = [
            Outgoing(
                progress_key(one.key.decode(), None),
                encode_progress(Progress(key=one.key.decode(), complete_until_us=marker.complete_until_us)),
                encode_marker(marker),
                one.partition,
            )
            for one, marker in markers
        ]
        return await self._publisher.send_batches(self._topics.progress, records, self._partitions)

    async def _settle(self, futures: "list[asyncio.Future[Any]]") -> None:
        if futures:
            await self._publisher.settle(futures)


async def newest_markers(settings: Settings, keys: Iterable[bytes]) -> Mapping[bytes, Marker]:
    """The newest live marker of each key that has one, whoever wrote it."""
    wanted = set(keys)
    partitions = {partition_of(key, settings.partitions) for key in wanted}
    found: dict[bytes, Marker] = {}
    async for records in read_to_end(settings, settings.topics.progress, partitions=partitions):
        for record in records:
            if record.key not in wanted:
                continue
            try:
                marker = decode_marker(record.headers)
            except MalformedError as error:
                raise CandlewickError(
                    f"the progress of {record.key.decode()} at {record.topic}/{record.partition}/{record.offset} "
                    f"cannot be read: {error}"
                ) from error
            if marker is not None:
                found[record.key] = marker
    return found

"""The order in which a round of the feed goes to Kafka.

- A first `begin` is noted in the progress topic before anything of its symbol is published. So a producer that starts
  after a crash in between goes on from the same minute.
- A reset of ids is noted there too: after the markers that take claims back, and before the trades.
- A marker follows the acknowledgement of the trades of its minute.
- The progress record of a marker follows the acknowledgement of the marker.

Kafka stamps what it appends. The candle engine refuses trades that lie more than two minutes ahead of that. So where
Kafka's clock is behind theirs, the round has failed: no marker may call a minute complete over refused trades.
"""

import asyncio
from collections.abc import Iterable
from typing import Any

from market.codec import (
    encode_feed_event,
    encode_marker,
    encode_progress,
    encode_trade,
    progress_key,
)
from market.encoded_trades import EncodedTrades
from market.errors import MalformedError
from market.feed import Progress
from market.trade import Marker
from producers.feed.any_symbol import AnySymbol
from producers.feed.outbox import Outbox
from runtime.errors import UnavailableError
from runtime.kafka import KeyedValues, Outgoing, Publisher
from runtime.settings import Settings

ERROR_HEADER, REASON_HEADER = "__streams.errors.exception", "__streams.errors.message"
LARGE_BYTES = 64 * 1024
"""A dead letter keeps so much of what the exchange sent."""
BEHIND_US = 60_000_000
"""Kafka's clock may be so far behind the time of a trade: half of what the candle engine lets pass."""
_MAX_REASON = 1_000


class Publishing:
    """Publishes the outbox of each round through one publisher. After any error both must be discarded."""

    def __init__(self, publisher: Publisher, settings: Settings, exchange: str) -> None:
        self._publisher = publisher
        self._exchange = exchange.encode()
        self._topics = settings.topics
        self._partitions = settings.partitions
        self._progress: list[asyncio.Future[Any]] = []

    async def begin_again(self, symbols: Iterable[AnySymbol]) -> None:
        """Publish the `begin` of the symbols that go on from a marker."""
        begins = [(symbol, symbol.begin) for symbol in symbols if symbol.begin is not None]
        await self._acknowledged(await self._send_markers(begins))

    async def publish(self, outbox: Outbox) -> int | None:
        """Publish a round; returns Kafka's append time of the newest trade, in milliseconds, None without trades."""
        if outbox.begins:
            await self._acknowledged(await self._send_progress(outbox.begins))
            await self._acknowledged(await self._send_markers(outbox.begins))
        if outbox.taken_back:
            await self._acknowledged(await self._send_markers(outbox.taken_back))
        if outbox.resets:
            await self.finish()
            await self._acknowledged(await self._send_progress(outbox.resets))
        newest_ms = None
        if outbox.trades or outbox.events or outbox.refused:
            newest_ms = await self._trades_and_events(outbox)
        if outbox.markers:
            await self._acknowledged(await self._send_markers(outbox.markers))
            await self.finish()
            self._progress = await self._send_progress(dict(outbox.markers).items())
        return newest_ms

    async def finish(self) -> None:
        """Wait for outstanding progress records: they are awaited a round later."""
        outstanding, self._progress = self._progress, []
        await self._acknowledged(outstanding)

    async def _trades_and_events(self, outbox: Outbox) -> int | None:
        trades: dict[int, list[KeyedValues]] = {}
        no_headers: list[tuple[str, bytes]] = []
        for symbol, traded in outbox.trades:
            values = traded.values if isinstance(traded, EncodedTrades) else (encode_trade(traded),)
            trades.setdefault(symbol.partition, []).append((symbol.key, values, no_headers))
        events = [Outgoing(event.key.encode(), encode_feed_event(event)) for event in outbox.events]
        sent = await self._publisher.send_groups(self._topics.trades, trades)
        told = await self._publisher.send_batches(self._topics.feeds, events, self._partitions)
        dead = await self._publisher.send_batches(
            self._topics.dead_letters(self._topics.trades), self._dead_letters(outbox), self._partitions
        )
        acknowledged = await self._publisher.await_acknowledgements([*sent, *told, *dead])
        appended_ms = [metadata.timestamp for metadata in acknowledged[: len(sent)]]
        if appended_ms:
            _check_clock(max(traded.time_us for _, traded in outbox.trades), min(appended_ms))
        return max(appended_ms, default=None)

    def _dead_letters(self, outbox: Outbox) -> list[Outgoing]:
        """What the exchange sent in place of trades, unchanged; these bytes were never in the log."""
        letters = []
        for symbol, refused in outbox.refused:
            reason = refused.reason[:_MAX_REASON].encode(errors="backslashreplace")
            headers = [(ERROR_HEADER, MalformedError.__name__.encode()), (REASON_HEADER, reason)]
            raw = refused.raw
            if len(raw) > LARGE_BYTES:  # else the broker may refuse it
                headers.append(("__streams.errors.value.bytes", b"%d" % len(raw)))
                raw = raw[:LARGE_BYTES]
            letters.append(Outgoing(symbol.key if symbol else self._exchange, raw, headers))
        return letters

    async def _send_markers(self, markers: Iterable[tuple[AnySymbol, Marker]]) -> "list[asyncio.Future[Any]]":
        records = [Outgoing(symbol.key, None, encode_marker(marker), symbol.partition) for symbol, marker in markers]
        return await self._publisher.send_batches(self._topics.trades, records, self._partitions)

    async def _send_progress(self, markers: Iterable[tuple[AnySymbol, Marker]]) -> "list[asyncio.Future[Any]]":
        records = [
            Outgoing(
                progress_key(symbol.key.decode(), None),
                encode_progress(_progress(symbol, marker)),
                encode_marker(marker),
                symbol.partition,
            )
            for symbol, marker in markers
        ]
        return await self._publisher.send_batches(self._topics.progress, records, self._partitions)

    async def _acknowledged(self, futures: "list[asyncio.Future[Any]]") -> None:
        if futures:
            await self._publisher.await_acknowledgements(futures)


def _check_clock(newest_us: int, appended_ms: int) -> None:
    behind_us = newest_us - appended_ms * 1000
    if appended_ms > 0 and behind_us > BEHIND_US:
        raise UnavailableError(
            f"Kafka's clock is {behind_us // 1_000_000} s behind the exchange's: the candle engine would refuse the "
            "trades. Set the clock of the brokers"
        )


def _progress(symbol: AnySymbol, marker: Marker) -> Progress:
    clock = symbol.clock
    reset = None if clock is None else clock.reset_behind(marker)
    return Progress(
        key=symbol.key.decode(),
        complete_until_us=marker.complete_until_us,
        reset_id=None if reset is None else reset.trade_id,
        reset_us=None if reset is None else reset.time_us,
        last_trade_us=None if clock is None else clock.last_trade_us,
    )

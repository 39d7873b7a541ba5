"""The events of all subscribed streams in the order of their times, made minute by minute as market time goes on.

A message and its frame are made once for all connections that subscribe to the same stream in the same form.
"""

from bisect import bisect_right
from collections.abc import Hashable, Iterator
from enum import StrEnum
from operator import itemgetter
from typing import NamedTuple, Protocol

from market.timeframe import MINUTE_MS, SECOND_MS
from producers.simulator.archive import Archive, aggregates
from producers.simulator.frames import text_frame
from producers.simulator.klines import Kline
from producers.simulator.payloads import EVENT_DELAY_MS, aggregate_event, combined, kline_event, trade_event

MAX_MINUTES_A_STEP = 30
"""A tape that is further behind (after a suspended machine) catches up in such steps."""


class MessageKind(StrEnum):
    """The streams that carry messages."""

    TRADE = "trade"
    AGGREGATE = "aggTrade"
    KLINE_1S = "kline_1s"


class Form(NamedTuple):
    """How a connection wants its messages: times in ms (1) or µs (1,000), and wrapped with the stream's name or not."""

    unit: int
    combined: bool


class Subscriber(Protocol):
    """A receiver of a channel's events."""

    pending: list["Entry"]

    def __hash__(self) -> int:
        """By identity."""


class Channel:
    """One stream in one form, and its subscribers."""

    def __init__(self, name: str, kind: MessageKind, archive: Archive, form: Form) -> None:
        self.name, self.kind, self.form = name, kind, form
        self.subscribers: set[Subscriber] = set()
        self.archive = archive

    def events(self, minute: int) -> Iterator[tuple[int, str]]:
        """Time (ms) and payload of the minute's events, in order."""
        market, unit = self.archive.instrument, self.form.unit
        if self.kind is MessageKind.KLINE_1S:
            for kline in self._seconds(minute):
                yield kline.open_ms + SECOND_MS, kline_event(market, kline, "1s", unit)
            return
        matches = self.archive.carried(minute)
        if self.kind is MessageKind.TRADE:
            for match in matches:
                yield match.time_ms + EVENT_DELAY_MS, trade_event(market, match, unit)
        else:
            for row in aggregates(matches):
                yield row.time_ms + EVENT_DELAY_MS, aggregate_event(market, row, unit)

    def entries(self, minute: int) -> "Iterator[Entry]":
        """The minute's events as frames."""
        for time_ms, payload in self.events(minute):
            yield time_ms, self, text_frame(combined(self.name, payload) if self.form.combined else payload)

    def _seconds(self, minute: int) -> Iterator[Kline]:
        """The klines of the sixty seconds that end in this minute (its first ends as the minute begins)."""
        first_ms = minute * MINUTE_MS - SECOND_MS
        matches = list(self.archive.between(first_ms, first_ms + MINUTE_MS))
        price, start = self.archive.ticks_before(first_ms) or 0, 0
        for open_ms in range(first_ms, first_ms + MINUTE_MS, SECOND_MS):
            end = bisect_right(matches, open_ms + SECOND_MS - 1, lo=start, key=lambda match: match.time_ms)
            kline = Kline(open_ms, SECOND_MS, price)
            kline.add(matches[start:end])
            price, start = kline.close, end
            yield kline


Entry = tuple[int, Channel, bytes]
"""Event time in market milliseconds, channel, WebSocket frame."""

_time = itemgetter(0)


class Tape:
    """All subscribed channels, played from `position_ms` on."""

    def __init__(self, archives: dict[str, Archive], now_ms: int) -> None:
        self.archives = archives
        self.position_ms = now_ms
        self._minute = now_ms // MINUTE_MS
        self._channels: dict[Hashable, Channel] = {}
        self._entries: list[Entry] | None = None
        self._next = 0

    def subscribe(self, subscriber: Subscriber, stream: str, form: Form) -> Channel | None:
        """Add a subscriber to a stream; None: there is no such stream (Binance accepts any name)."""
        channel = self._channels.get((stream, form))
        if channel is None:
            symbol, _, kind = stream.partition("@")
            archive = self.archives.get(symbol.upper())
            if archive is None or symbol != symbol.lower() or kind not in list(MessageKind):
                return None
            channel = self._channels[stream, form] = Channel(stream, MessageKind(kind), archive, form)
            self.remake()
        channel.subscribers.add(subscriber)
        return channel

    def unsubscribe(self, subscriber: Subscriber, channel: Channel) -> None:
        """Remove a subscriber from a channel; a channel without subscribers is removed."""
        channel.subscribers.discard(subscriber)
        if not channel.subscribers:
            self._channels.pop((channel.name, channel.form), None)

    def remake(self) -> None:
        """Make the rest of the minute again: channels or withheld ids have changed."""
        self._entries = None

    def advance(self, now_ms: int) -> list[Entry]:
        """The events after the position and up to `now_ms`, in order of time; the position moves there."""
        now_ms = min(now_ms, self.position_ms + MAX_MINUTES_A_STEP * MINUTE_MS)
        due: list[Entry] = []
        while True:
            if self._entries is None:
                self._entries = self._made()
                self._next = bisect_right(self._entries, self.position_ms, key=_time)
            end = bisect_right(self._entries, now_ms, lo=self._next, key=_time)
            due += self._entries[self._next : end]
            self._next = end
            if now_ms < (self._minute + 1) * MINUTE_MS:
                self.position_ms = max(self.position_ms, now_ms)
                return due
            self._minute += 1
            self._entries, self._next = self._made(), 0

    def _made(self) -> list[Entry]:
        made = [entry for channel in self._channels.values() for entry in channel.entries(self._minute)]
        made.sort(key=_time)
        return made

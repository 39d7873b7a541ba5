"""The messages of all subscribed channels in the order of their times, made minute by minute as market time goes on.

A message and its frame are made once for all connections that subscribe to the same channel. What it carries stays
beside it, so that a fault can have it written again, changed.
"""

from bisect import bisect_right
from collections.abc import Callable, Hashable, Iterable, Iterator
from enum import Enum, auto
from operator import itemgetter
from typing import Any, Protocol

from market.timeframe import MINUTE_MS
from producers.simulator.archive import Archive
from producers.simulator.frames import text_frame

MAX_MINUTES_A_STEP = 30
"""A tape that is further behind (after a suspended machine) catches up in such steps."""


class ChannelKind(Enum):
    """What a channel carries, for the faults."""

    TRADES = auto()
    AGGREGATES = auto()
    """Trades, but not by the ids that the market's record has: it isn't noted who was given them."""
    CLOCK = auto()
    """The server's time: no fault leaves it out, delays it or sends it twice."""


class Subscriber(Protocol):
    """A receiver of a channel's messages."""

    pending: list["Entry"]

    def __hash__(self) -> int:
        """By identity."""


class Channel:
    """One stream of a protocol in one form, and its subscribers.

    `contents` gives what the messages of a minute carry (trades as a tuple of rows) and when each is sent, in market
    milliseconds; `write` makes the text of a message of it, with the server's clock in milliseconds, where the messages
    tell it (`tells_clock`).
    """

    def __init__(
        self,
        key: Hashable,
        kind: ChannelKind,
        archive: Archive,
        *,
        contents: Callable[[Archive, int], Iterable[tuple[int, Any]]],
        write: Callable[[Any, int], str],
        tells_clock: bool = True,
    ) -> None:
        self.key, self.kind, self.archive, self.tells_clock = key, kind, archive, tells_clock
        self.subscribers: set[Subscriber] = set()
        self._contents, self._write = contents, write

    def entries(self, minute: int) -> "Iterator[Entry]":
        """The minute's messages."""
        for time_ms, content in self._contents(self.archive, minute):
            yield time_ms, self, self.frame(content, time_ms), content

    def frame(self, content: Any, clock_ms: int) -> bytes:
        """The frame of a message that carries this and says that the server's clock is at `clock_ms`."""
        return text_frame(self._write(content, clock_ms))


Entry = tuple[int, Channel, bytes, Any]
"""Event time in market milliseconds, channel, WebSocket frame, and what it carries."""

_time = itemgetter(0)


class Tape:
    """All subscribed channels, played from `position_ms` on."""

    def __init__(self, now_ms: int) -> None:
        self.position_ms = now_ms
        self._minute = now_ms // MINUTE_MS
        self._channels: dict[Hashable, Channel] = {}
        self._entries: list[Entry] | None = None
        self._next = 0

    def subscribe(self, subscriber: Subscriber, channel: Channel) -> Channel:
        """Add a subscriber; gives the channel of that key that is played already, if there is one."""
        played = self._channels.get(channel.key)
        if played is None:
            played = self._channels[channel.key] = channel
            self.remake()
        played.subscribers.add(subscriber)
        return played

    def unsubscribe(self, subscriber: Subscriber, channel: Channel) -> None:
        """Remove a subscriber from a channel; a channel without subscribers is removed."""
        channel.subscribers.discard(subscriber)
        if not channel.subscribers:
            self._channels.pop(channel.key, None)

    def remake(self) -> None:
        """Make the rest of the minute again: channels or withheld ids have changed."""
        self._entries = None

    def advance(self, now_ms: int) -> list[Entry]:
        """The messages after the position and up to `now_ms`, in order of time; the position moves there."""
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

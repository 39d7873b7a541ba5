"""What connections and requests bring, for the feed to take in rounds. While the inbox is full, they wait."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from msgspec import Struct

from market.given_candle import GivenCandle
from producers.exchange import Message, TradeFrames, TradesPage
from producers.feed.any_symbol import AnySymbol
from producers.feed.klines import KlineRequest
from producers.feed.symbol import PageRequest


class Connected(NamedTuple):
    """A connection was made. `acknowledged`: the exchange will say which symbols it carries; else it carries all."""

    acknowledged: bool = False


class Disconnected(NamedTuple):
    """A connection ended, or could not be made."""

    reason: str


class LeftOut(NamedTuple):
    """A connection does not subscribe to these any more, because the exchange refuses it."""

    natives: Sequence[str]
    reason: str


class FromConnection(Struct, frozen=True, gc=False):
    """What a connection brought, with the number of the connection."""

    number: int
    event: Connected | Disconnected | LeftOut | Message | TradeFrames


class PageAnswer(NamedTuple):
    """The answer to a symbol's request; `page` None: there was no answer."""

    symbol: AnySymbol
    request: PageRequest
    page: TradesPage | None


class KlineAnswer(NamedTuple):
    """The answer to a symbol's request for klines; `candles` None: there was no answer."""

    symbol: AnySymbol
    request: KlineRequest
    candles: list[GivenCandle] | None


Arrival = FromConnection | PageAnswer | KlineAnswer


class Inbox:
    """A bounded queue of messages; all items are taken at once, which is much cheaper than one by one.

    An item may hold many messages: then the limit is passed by at most the last item.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._items: list[Arrival] = []
        self._messages = 0
        self._filled = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    def __len__(self) -> int:
        return self._messages

    @property
    def full(self) -> bool:
        """Whether the next item has to wait."""
        return self._messages >= self._limit

    def add(self, item: Arrival, messages: int = 1) -> None:
        """Add an item that holds so many messages without waiting; call it only while the inbox is not `full`."""
        self._items.append(item)
        self._messages += messages
        self._filled.set()

    async def put(self, item: Arrival, messages: int = 1) -> None:
        """Add an item as soon as there is room."""
        while self.full:
            self._room.clear()
            await self._room.wait()
        self.add(item, messages)

    async def take(self, *, wait_s: float, gather_s: float) -> list[Arrival]:
        """All items, after `gather_s` for more to come; empty if none came within `wait_s`."""
        if not self._items:
            self._filled.clear()
            try:
                async with asyncio.timeout(wait_s):  # `wait_for` loses a cancellation that comes with an item
                    await self._filled.wait()
            except TimeoutError:
                return []
        if not self.full:
            await asyncio.sleep(gather_s)
        taken, self._items, self._messages = self._items, [], 0
        self._room.set()
        return taken

"""What connections and fills brought, for the feed to take in rounds. Full, it makes them wait: nothing is dropped."""

import asyncio
from collections import deque
from typing import NamedTuple

from market.trade import Trade
from producers.exchange import Message, RefusedTrade
from producers.feed.symbol import SymbolFeed, Wanted


class Up(NamedTuple):
    """A connection was made."""


class Down(NamedTuple):
    """A connection ended."""

    reason: str


class Page(NamedTuple):
    """The answer to a symbol's request; `rows` None: there was none."""

    symbol: SymbolFeed
    wanted: Wanted
    rows: list[Trade | RefusedTrade] | None


class Heard(NamedTuple):
    """What a connection, by its number, brought."""

    connection: int
    what: Up | Down | Message


Arrival = Heard | Page


class Inbox:
    """A bounded queue that is taken whole, which is much cheaper than one by one."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._items: deque[Arrival] = deque()
        self._filled = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()

    def __len__(self) -> int:
        return len(self._items)

    @property
    def full(self) -> bool:
        """Whether the next one has to wait."""
        return len(self._items) >= self._limit

    def add(self, item: Arrival) -> None:
        """Put in without waiting: only where not `full`."""
        self._items.append(item)
        self._filled.set()

    async def put(self, item: Arrival) -> None:
        """Put in, as soon as there is room."""
        while self.full:
            self._room.clear()
            await self._room.wait()
        self.add(item)

    async def take(self, *, wait_s: float, gather_s: float) -> list[Arrival]:
        """All there is, gathered for a moment; empty where nothing came for `wait_s`."""
        if not self._items:
            self._filled.clear()
            try:
                await asyncio.wait_for(self._filled.wait(), wait_s)
            except TimeoutError:
                return []
        if not self.full:
            await asyncio.sleep(gather_s)
        taken = list(self._items)
        self._items.clear()
        self._room.set()
        return taken

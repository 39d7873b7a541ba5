"""Answers made of the hot store's values, kept until the store tells that a value changed.

A key that has not changed is read once, however many ask. What changed is known by the sink's own messages, so an
answer here is as new as one that is read: a message comes right behind the change. Without messages (the connection is
lost, or the store is a cluster) nothing is kept, and those who ask at the same time share one read.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from typing import NamedTuple, Protocol

from serving.kept import KeptAnswer

MOST_KEYS = 5_000
"""Keys of which answers are kept; the one that was asked for longest ago is let go."""
MOST_BYTES = 64 * 1024 * 1024
"""Of all answers together."""
KEPT_S = 30.0
"""An answer is read again after this time: nobody tells that a value has expired."""


class ChangeNotices(Protocol):
    """Who tells changes; `sinks.redis.changes.KeyChanges` does."""

    def hears(self, key: str) -> bool:
        """Whether every change of the key from now on will be told."""

    async def hear(self, key: str) -> None:
        """Ask to be told."""

    async def forget(self, key: str) -> None:
        """Ask not to be told any more."""


class _Answer(NamedTuple):
    answer: KeptAnswer | None
    until_s: float
    """Of the monotonic clock."""

    @property
    def size_bytes(self) -> int:
        return 0 if self.answer is None else self.answer.size_bytes


class _Kept:
    """What is kept of one key, or on its way."""

    __slots__ = ("answers", "asked", "version")

    def __init__(self) -> None:
        self.version = 0
        self.answers: dict[Hashable, _Answer] = {}
        self.asked: dict[Hashable, asyncio.Future[KeptAnswer | None]] = {}


class HotCache:
    """By key of the store, and by what was asked of it."""

    def __init__(self, *, most_keys: int = MOST_KEYS, most_bytes: int = MOST_BYTES) -> None:
        self._most_keys = most_keys
        self._most_bytes = most_bytes
        self._bytes = 0
        self._kept: OrderedDict[str, _Kept] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()
        self.told: ChangeNotices | None = None

    def change(self, key: str) -> None:
        """What is kept of the key counts no more, nor what is being read now."""
        if (kept := self._kept.get(key)) is not None:
            kept.version += 1
            self._drop(kept)

    def change_all(self) -> None:
        """Nothing that is kept counts any more."""
        for key in self._kept:
            self.change(key)

    async def answer(
        self, key: str, name: Hashable, make: Callable[[], Awaitable[KeptAnswer | None]]
    ) -> KeptAnswer | None:
        """The answer, made by `make` where none is kept; None where hot alone has none. Raises what `make` does."""
        kept = self._kept.get(key)
        if kept is None:
            kept = self._kept[key] = _Kept()
            self._trim()
        self._kept.move_to_end(key)
        held = kept.answers.get(name)
        if held is not None and held.until_s > time.monotonic():
            return held.answer
        asked = kept.asked.get(name)
        if asked is None:
            asked = kept.asked[name] = asyncio.ensure_future(self._make(key, kept, name, make))
            asked.add_done_callback(lambda done: self._forget_asked(kept, name, done))
        return await asyncio.shield(asked)

    async def _make(
        self, key: str, kept: _Kept, name: Hashable, make: Callable[[], Awaitable[KeptAnswer | None]]
    ) -> KeptAnswer | None:
        version = kept.version
        is_told = self.told is not None and self.told.hears(key)
        if self.told is not None and not is_told:
            await self.told.hear(key)
        answer = await make()
        if is_told and version == kept.version and self._kept.get(key) is kept:
            self._drop_answer(kept, name)
            kept.answers[name] = _Answer(answer, time.monotonic() + KEPT_S)
            self._bytes += kept.answers[name].size_bytes
            self._trim()
        return answer

    def _forget_asked(self, kept: _Kept, name: Hashable, done: "asyncio.Future[KeptAnswer | None]") -> None:
        if kept.asked.get(name) is done:  # not one that was asked after a change
            del kept.asked[name]
        if not done.cancelled():
            done.exception()  # those who wait have it; if all of them left, nobody would have

    def _trim(self) -> None:
        while len(self._kept) > self._most_keys or (self._bytes > self._most_bytes and len(self._kept) > 1):
            key, kept = self._kept.popitem(last=False)
            self._drop(kept)
            if self.told is not None:
                self._do(self.told.forget(key))

    def _drop(self, kept: _Kept) -> None:
        for name in list(kept.answers):
            self._drop_answer(kept, name)
        kept.asked.clear()  # who asks from now on must not get what was read before

    def _drop_answer(self, kept: _Kept, name: Hashable) -> None:
        if (answer := kept.answers.pop(name, None)) is not None:
            self._bytes -= answer.size_bytes

    def _do(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

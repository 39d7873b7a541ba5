"""Changes of the hot store's keys, heard on the channels that the sink tells them on (`sinks.redis.keys`)."""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from redis import exceptions
from redis.asyncio import Redis
from redis.asyncio.client import PubSub

from sinks.redis.connect import HotClient

_AGAIN_S = 1.0
"""Pause before another connection is tried."""
_LISTEN_S = 1.0
_SILENT_S = 3.0
"""A connection on which nothing comes for so long, although it is asked, is lost: not every break is told."""
_ALIVE = "cw:serving"
"""A channel that nobody writes to: a subscriber has to have one."""


class KeyChanges:
    """Hears that keys change, as long as `listening` runs.

    `on_change` is called with each key that changed, `on_loss` when changes may have been missed: then nothing that was
    read before is known to be current. In a cluster nothing is heard, because its messages stay on their nodes.
    """

    def __init__(self, client: HotClient, on_change: Callable[[str], None], on_loss: Callable[[], None]) -> None:
        self._client = client
        self._on_change = on_change
        self._on_loss = on_loss
        self._pubsub: PubSub | None = None
        self._heard: set[str] = set()

    def hears(self, key: str) -> bool:
        """Whether every change of the key from now on will be told."""
        return key in self._heard

    async def hear(self, key: str) -> None:
        """Ask to be told; `hears` says when that has begun."""
        if self._pubsub is not None:
            with suppress(exceptions.RedisError, OSError):  # `listening` notices, and connects again
                await self._pubsub.subscribe(key)

    async def forget(self, key: str) -> None:
        """Ask not to be told any more."""
        self._heard.discard(key)
        if self._pubsub is not None:
            with suppress(exceptions.RedisError, OSError):  # as above
                await self._pubsub.unsubscribe(key)

    async def listening(self) -> None:
        """Listen until cancelled; connects again where the connection breaks."""
        if not isinstance(self._client, Redis):
            return
        while True:
            with suppress(exceptions.RedisError, OSError):
                await self._listen(self._client)
            await asyncio.sleep(_AGAIN_S)

    async def _listen(self, client: Redis) -> None:
        async with client.pubsub() as pubsub:
            await pubsub.subscribe(_ALIVE)
            self._pubsub = pubsub
            try:
                heard_at_s = time.monotonic()
                while time.monotonic() < heard_at_s + _SILENT_S:
                    message = await pubsub.get_message(timeout=_LISTEN_S)
                    if message is None:
                        await pubsub.ping()
                        continue
                    heard_at_s = time.monotonic()
                    self._note(message)
            finally:
                self._pubsub = None
                self._heard.clear()
                self._on_loss()

    def _note(self, message: dict[str, Any]) -> None:
        if message["type"] == "subscribe":
            self._heard.add(message["channel"].decode())
        elif message["type"] == "message":
            self._on_change(message["channel"].decode())

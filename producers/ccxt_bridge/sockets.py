"""What the sockets of an instance of ccxt show, and ccxt itself does not tell.

ccxt connects again by itself. It raises what a socket ended with only where somebody waits for that socket in this very
moment, and it takes a silent one for alive until two of its pings had no answer. Both would be trades that are missing
without a word. So its hooks are used: `on_connected`, `on_close`, `on_error`, and `handle_message`, through which each
message goes.
"""

import asyncio
import time
from typing import Any

from producers.ccxt_bridge.venue import CcxtExchange

PING_EVERY_MS = 10_000
"""At most so long: each pong shows that a quiet socket is alive."""


class WatchedSockets:
    """Watches the sockets of an instance, which must have none yet."""

    def __init__(self, exchange: CcxtExchange) -> None:
        self._exchange = exchange
        self._heard_us: dict[str, int] = {}
        """By address: when its socket was last heard, on our clock."""
        self._lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.connected_us = 0
        """When the newest socket was connected, on our clock; 0: there is none."""
        handle, close, fail = exchange.handle_message, exchange.on_close, exchange.on_error

        def handle_message(client: Any, message: object) -> None:
            self._heard_us[client.url] = _now_us()
            handle(client, message)

        def on_close(client: Any, code: object) -> None:
            self._lose(f"the exchange closed the connection, code {code}")
            close(client, code)

        def on_error(client: Any, error: Exception) -> None:
            self._lose(f"{type(error).__name__} {error}".rstrip())
            fail(client, error)

        def on_connected(client: Any, _: object = None) -> None:
            self.connected_us = self._heard_us[client.url] = _now_us()

        exchange.handle_message, exchange.on_connected = handle_message, on_connected
        exchange.on_close, exchange.on_error = on_close, on_error
        pause_ms = exchange.streaming.get("keepAlive", PING_EVERY_MS)
        exchange.streaming["keepAlive"] = min(pause_ms, PING_EVERY_MS)

    def alive_us(self) -> int:
        """Until when all sockets were certainly alive, on our clock; 0: there is none."""
        clients = (self._exchange.clients or {}).values()
        heard_us = [max(self._heard_us.get(each.url, 0), (each.lastPong or 0) * 1000) for each in clients]
        return min(heard_us, default=0)

    async def until_lost(self) -> str:
        """Wait until a socket was lost; returns why."""
        return await self._lost

    def _lose(self, reason: str) -> None:
        if not self._lost.done():
            self._lost.set_result(reason)


def _now_us() -> int:
    return time.time_ns() // 1000

"""The time on an exchange that ccxt streams: no message carries it, so it is estimated.

It is our own clock, set by the exchange's where that can be asked for, once a minute. The estimate is wrong by at most
half of what the network takes. The time that is told is `LAG_S` old, because trades may be under way for so long: how
long they really are is a guess, and one reason why minutes of these exchanges are `connected` at best. While nothing
comes over a socket, the time stands still (`producers/ccxt_bridge/sockets.py`).
"""

import asyncio
import time

from producers.ccxt_bridge.venue import CcxtExchange

LAG_S = 2.0
SET_EVERY_S = 60.0
_MS = 1_000


class EstimatedClock:
    """The exchange's time, as far as it is known."""

    def __init__(self, exchange: CcxtExchange) -> None:
        self._exchange = exchange
        self._ahead_us = 0

    def exchange_us(self, our_us: int) -> int:
        """The exchange's time when our clock said `our_us`."""
        return our_us + self._ahead_us

    async def follow(self) -> str:
        """Set it again and again, without end. Raises ccxt's errors."""
        while True:
            if self._exchange.has.get("fetchTime"):
                asked_us = time.time_ns() // 1000
                server_ms = await self._exchange.fetch_time()
                answered_us = time.time_ns() // 1000
                if server_ms is not None:
                    self._ahead_us = server_ms * _MS - (asked_us + answered_us) // 2
            await asyncio.sleep(SET_EVERY_S)

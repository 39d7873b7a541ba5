"""How often connections may be opened: exchanges refuse an address that opens many at once."""

import asyncio

CONNECT_EVERY_S = 0.35
"""OKX takes three new connections a second and address, the others more."""


class Pacing:
    """Gives turns, each at least `every_s` after the one before."""

    def __init__(self, every_s: float = CONNECT_EVERY_S) -> None:
        self._every_s = every_s
        self._next_s = 0.0

    async def turn(self) -> None:
        """Wait for the next turn."""
        now_s = asyncio.get_running_loop().time()
        wait_s = self._next_s - now_s
        self._next_s = max(now_s, self._next_s) + self._every_s
        if wait_s > 0:
            await asyncio.sleep(wait_s)

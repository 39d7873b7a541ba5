"""Whose turn it is: so many requests are answered at a time, few wait, and those of higher tiers come first."""

import asyncio
from collections import deque

from serving.access.keys import RateTier
from serving.access.refusal import overloaded

AT_WORK = 256
"""Requests that are answered at a time."""
MOST_WAITING = 256
"""Of all tiers together."""
PATIENCE_S = 5.0
"""Who waits longer is turned away."""
RETRY_AFTER_S = 2

_ORDER = tuple(RateTier)[::-1]


class Turns:
    """`enter` before a request is answered, `leave` behind it."""

    def __init__(
        self, *, at_work: int = AT_WORK, most_waiting: int = MOST_WAITING, patience_s: float = PATIENCE_S
    ) -> None:
        self._free = at_work
        self._most_waiting = most_waiting
        self._patience_s = patience_s
        self._waiting: dict[RateTier, deque[asyncio.Future[None]]] = {tier: deque() for tier in _ORDER}

    @property
    def waiting(self) -> int:
        """How many wait."""
        return sum(map(len, self._waiting.values()))

    def enter_now(self) -> bool:
        """Enter, if there is a place: nobody waits while there is one."""
        if self._free == 0:
            return False
        self._free -= 1
        return True

    async def enter(self, tier: RateTier) -> None:
        """Wait for a place. Raises `RequestRefusedError` (503) where too many wait, or the wait is too long.

        Who comes last of the lowest tier makes room for a higher tier.
        """
        if self.enter_now():
            return
        if self.waiting >= self._most_waiting:
            self._make_room(tier)
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[tier].append(place)
        try:
            async with asyncio.timeout(self._patience_s):
                await place
        except (TimeoutError, asyncio.CancelledError) as error:
            self._withdraw(tier, place)
            if isinstance(error, TimeoutError):
                raise overloaded(f"no place within {self._patience_s:g} s: ask again later", RETRY_AFTER_S) from None
            raise

    def leave(self) -> None:
        """Give the place to who waits longest of the highest tier, or to nobody."""
        for tier in _ORDER:
            while self._waiting[tier]:
                place = self._waiting[tier].popleft()
                if not place.done():
                    place.set_result(None)
                    return
        self._free += 1

    def _withdraw(self, tier: RateTier, place: "asyncio.Future[None]") -> None:
        if place in self._waiting[tier]:
            self._waiting[tier].remove(place)
        elif not place.cancelled() and place.exception() is None:  # it came at the very moment
            self.leave()

    def _make_room(self, tier: RateTier) -> None:
        refusal = overloaded("too many requests wait: ask again later", RETRY_AFTER_S)
        for lower in reversed(_ORDER):
            if lower is tier:
                raise refusal
            if self._waiting[lower]:
                place = self._waiting[lower].pop()
                if not place.done():
                    place.set_exception(refusal)
                return
        raise refusal

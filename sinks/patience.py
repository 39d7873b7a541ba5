"""Waiting for a store that is away, without leaving the group."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from runtime.backoff import pause_s
from runtime.errors import CandlewickError, UnavailableError
from runtime.kafka import Subscription
from sinks.store import Batch

LONGEST_PAUSE_S = 15.0
ONCE_PATIENCE_S = 60.0
"""How long ``--once`` waits for a store that is away; without ``--once`` the waiting has no end."""
PAUSE_S = 0.5

T = TypeVar("T")


class StoreAwayError(CandlewickError):
    """With ``--once``, the store did not come back in time."""


class LeaveError(Exception):
    """Stopped while the store is away: what is not committed is read again at the next start."""


class Waiting:
    """Writes that the store could not take, and when to try them again."""

    def __init__(self, log: Any, *, once: bool) -> None:
        self.writes: list[list[Batch]] = []
        """Each is tried again apart from the others, without what is written by now: by that a store knows a repeat."""
        self._log = log
        self._once = once
        self._failures = 0
        self._since_s = self._again_s = 0.0

    @property
    def is_due(self) -> bool:
        """Whether to try again now."""
        return bool(self.writes) and time.monotonic() >= self._again_s

    def failed(self, error: UnavailableError) -> None:
        """Note that the store is away. Raises `StoreAwayError` with ``once``, if that lasts."""
        now_s = time.monotonic()
        if not self._failures:
            self._since_s = now_s
        wait_s = wait_for_store_s(error, self._failures, now_s - self._since_s, once=self._once)
        self._log.warning("the store is away", reason=str(error), again_in_s=wait_s)
        self._failures += 1
        self._again_s = now_s + wait_s

    def succeeded(self) -> None:
        """Note that the store took a write."""
        self._failures, self._again_s = 0, 0.0


def wait_for_store_s(error: UnavailableError, failures: int, away_s: float, *, once: bool) -> float:
    """Seconds until a store that is away is asked again; `StoreAwayError` if `once` has no patience left."""
    if once and away_s > ONCE_PATIENCE_S:
        raise StoreAwayError(str(error)) from error
    return max(pause_s(failures, longest_s=LONGEST_PAUSE_S), error.retry_after_s)


class Patience:
    """Retries until the store answers. Meanwhile this member reads nothing, and stays in the group."""

    def __init__(
        self, subscription: Subscription, log: Any, *, once: bool, look: Callable[[], Awaitable[None]]
    ) -> None:
        """`look` is called before each pause, to tell what piles up meanwhile."""
        self._subscription = subscription
        self._look = look
        self._log = log
        self._once = once
        self.stop = asyncio.Event()
        """Ends the waiting with `LeaveError`."""

    async def until_done(self, action: Callable[[], Awaitable[T]]) -> T:
        """The result of `action`, called again while it raises `UnavailableError`, at growing intervals.

        Raises `StoreAwayError` and `LeaveError`, and whatever else `action` raises.
        """
        failures, began_s = 0, time.monotonic()
        while True:
            try:
                return await action()
            except UnavailableError as error:
                wait_s = wait_for_store_s(error, failures, time.monotonic() - began_s, once=self._once)
                self._log.warning("the store is away", reason=str(error), again_in_s=wait_s)
            until_s = time.monotonic() + wait_s
            await self._look()
            while time.monotonic() < until_s:
                if self.stop.is_set():
                    raise LeaveError
                await self._subscription.pause_for(PAUSE_S)
            failures += 1

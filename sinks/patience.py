"""Waiting for a store that is away, without leaving the group."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from runtime.backoff import pause_s
from runtime.errors import CandlewickError, UnavailableError
from runtime.kafka import Subscription

LONGEST_PAUSE_S = 15.0
ONCE_PATIENCE_S = 60.0
"""How long ``--once`` waits for a store that is away; without ``--once`` the waiting has no end."""
PAUSE_S = 0.5

T = TypeVar("T")


class StoreAwayError(CandlewickError):
    """With ``--once``, the store did not come back in time."""


class LeaveError(Exception):
    """Stopped while the store is away: what is not committed is read again at the next start."""


class Patience:
    """Retries until the store answers. Meanwhile this member reads nothing, and stays in the group."""

    def __init__(self, subscription: Subscription, log: Any, *, once: bool) -> None:
        self._subscription = subscription
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
                if self._once and time.monotonic() - began_s > ONCE_PATIENCE_S:
                    raise StoreAwayError(str(error)) from error
                wait_s = max(pause_s(failures, longest_s=LONGEST_PAUSE_S), error.retry_after_s)
                self._log.warning("the store is away", reason=str(error), again_in_s=wait_s)
            until_s = time.monotonic() + wait_s
            while time.monotonic() < until_s:
                if self.stop.is_set():
                    raise LeaveError
                await self._subscription.pause_for(PAUSE_S)
            failures += 1

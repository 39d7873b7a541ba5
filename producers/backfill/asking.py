"""Questions to an exchange that have all the time they need: through outages, limits and bans, until stopped."""

import asyncio
import random
import time
from collections.abc import Callable
from typing import TypeVar

from market.errors import MalformedError
from producers.exchange import RestRequest
from producers.feed.rest import RateLimitedError, RestClient
from runtime.backoff import pause_s
from runtime.errors import INTERRUPTED, CandlewickError, UnavailableError
from runtime.lifecycle import stopped_within
from runtime.telemetry import logger

STAGE = "backfill"
PATIENCE_S = 600.0
"""If the exchange gives no usable answer for so long, the backfill of the symbol ends."""
_LONGEST_PAUSE_S = 30.0

T = TypeVar("T")


class InterruptedBackfillError(CandlewickError):
    """Stopped by a signal."""

    exit_code = INTERRUPTED

    def __init__(self) -> None:
        super().__init__("interrupted: run the same command again, and it goes on where it stopped")


class PatientClient:
    """Asks one exchange. `requests` counts the questions, as asked here."""

    def __init__(self, rest: RestClient, stop: asyncio.Event) -> None:
        self.requests = 0
        self._rest = rest
        self._stop = stop

    async def ask(self, request: RestRequest, read: Callable[[bytes], T]) -> T:
        """The answer, read by `read`, which raises `MalformedError` if it is none.

        A limit or ban is waited for, however long it is; other failures for `PATIENCE_S`. Raises `RefusedError`,
        `UnavailableError` or `InterruptedBackfillError`.
        """
        self.requests += 1
        failures, began_s = 0, time.monotonic()
        while True:
            try:
                return read(await self._get(request))
            except RateLimitedError as error:
                wait_s, reason = max(self._rest.closed_for_s, 1.0), str(error)
                began_s = time.monotonic() + wait_s
            except (UnavailableError, MalformedError) as error:
                if time.monotonic() - began_s > PATIENCE_S:
                    raise UnavailableError(
                        f"no usable answer for {PATIENCE_S / 60:.0f} minutes: {error}; run the same command again "
                        "later, and it goes on from here"
                    ) from error
                wait_s, reason = pause_s(failures, longest_s=_LONGEST_PAUSE_S) * random.uniform(0.5, 1.0), str(error)
                failures += 1
            logger(STAGE).warning("asking again", error=reason, in_s=round(wait_s, 1))
            await self.pause(wait_s)

    async def pause(self, wait_s: float) -> None:
        """Wait; `InterruptedBackfillError` if it is stopped meanwhile."""
        if await stopped_within(self._stop, wait_s):
            raise InterruptedBackfillError

    async def _get(self, request: RestRequest) -> bytes:
        asked = asyncio.ensure_future(self._rest.get(request))
        stopped = asyncio.ensure_future(self._stop.wait())
        try:
            await asyncio.wait((asked, stopped), return_when=asyncio.FIRST_COMPLETED)
            if self._stop.is_set():
                raise InterruptedBackfillError
            return asked.result()
        finally:
            asked.cancel()
            stopped.cancel()

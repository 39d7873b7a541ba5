"""Weight a minute for each caller: counted in Redis for all processes, without a call for each request.

The window is a sliding log, so that no minute, wherever it begins, has more than the allowance in it. (GCRA would let
twice as much through in one minute: a burst, and what refills meanwhile. A counter of fixed minutes has to guess how
the minute before was spread.)

A caller that asks often takes more weight than it needs now, and has it for `LEASE_S`. What it does not use is given
back in the next call. Therefore:

- Never more than the allowance is granted within any minute: the window is longer than a minute by `LEASE_S`.
- A caller may be refused while other processes hold weight for it that it has not used: of each at most one part in
  `SHARES` of the allowance, for `LEASE_S`, and longer only if it does not ask that process again.
- A caller that is refused is refused without a call until the weight fits.
"""

import asyncio
import time
from collections import OrderedDict
from typing import NamedTuple

from runtime.errors import CandlewickError
from runtime.settings import Settings, redis_address
from runtime.telemetry import logger
from sinks.redis.allowance import Grant, UnusedWeight, take_allowance
from sinks.redis.connect import connect, disconnect, redis_errors

MINUTE_S = 60.0
LEASE_S = 0.25
WINDOW_S = MINUTE_S + LEASE_S
SHARES = 100
MOST_CALLERS = 10_000
"""Remembered here; of those that asked longest ago only Redis knows. An unused rest of them is not given back."""
_ANSWER_S = LEASE_S
"""How long Redis may take before it counts as away: no longer than a lease, or a minute could have more in it."""
_AWAY_S = 1.0
"""How long it is not asked then."""


class Verdict(NamedTuple):
    """Whether a request may be answered."""

    is_granted: bool
    left: int
    """Of the allowance."""
    wait_s: float
    """Until the same request would be granted; 0 if it was."""
    reset_s: float
    """Until some weight is free again."""


class UncountedError(CandlewickError):
    """Redis, which counts, cannot be asked."""


class _Lease:
    """What is known here of one caller. Times are of the monotonic clock."""

    __slots__ = ("asking", "free_s", "least_refused", "left", "reset_s", "taken_us", "until_s", "weight")

    def __init__(self) -> None:
        self.asking = asyncio.Lock()
        self.weight = 0
        self.taken_us = ""
        self.until_s = 0.0
        self.left = 0
        self.reset_s = 0.0
        self.least_refused = 0
        self.free_s = 0.0
        """When `least_refused` would fit."""

    def spend(self, weight: int, now_s: float) -> Verdict | None:
        """What can be said without Redis."""
        if now_s < self.until_s and weight <= self.weight:
            self.weight -= weight
            return Verdict(is_granted=True, left=self.left + self.weight, wait_s=0.0, reset_s=self.reset_s - now_s)
        if now_s < self.free_s and weight >= self.least_refused:
            return Verdict(is_granted=False, left=self.left, wait_s=self.free_s - now_s, reset_s=self.reset_s - now_s)
        return None

    def most(self, weight: int, limit: int, now_s: float) -> int:
        """What to take where `weight` is needed: more if the lease before was used up, or ended just now."""
        is_busy = now_s < self.until_s + LEASE_S
        return max(weight, limit // SHARES) if is_busy else weight

    def give_up(self) -> UnusedWeight:
        """What is left of the lease, to be given back once."""
        rest, self.weight = UnusedWeight(self.weight, self.taken_us), 0
        return rest

    def take(self, grant: Grant, weight: int, asked_s: float) -> Verdict:
        """What Redis answered; `asked_s` is when it was asked, so that the lease ends early rather than late."""
        self.left = grant.left
        self.reset_s = asked_s + grant.reset_s
        if not grant.weight:
            self.least_refused, self.free_s = weight, asked_s + grant.wait_s
            return Verdict(is_granted=False, left=grant.left, wait_s=grant.wait_s, reset_s=grant.reset_s)
        self.weight, self.taken_us = grant.weight - weight, grant.taken_us
        self.until_s = asked_s + LEASE_S
        return Verdict(is_granted=True, left=grant.left + self.weight, wait_s=0.0, reset_s=grant.reset_s)


class Allowances:
    """What each caller may still ask; close it."""

    def __init__(self, settings: Settings) -> None:
        self._url = redis_address(settings)
        self._prefix = settings.prefix
        self._client = connect(self._url)
        self._leases: OrderedDict[str, _Lease] = OrderedDict()
        self._away_until_s = 0.0
        self._is_away = False
        self._log = logger("serve")

    def take_now(self, caller: str, weight: int) -> Verdict | None:
        """As `take`, where Redis need not be asked; else None."""
        lease = self._leases.get(caller)
        return None if lease is None else lease.spend(weight, time.monotonic())

    async def take(self, caller: str, weight: int, limit: int) -> Verdict:
        """Take weight out of the caller's allowance of `limit` a minute. Raises `UncountedError`.

        Requests of one caller that need Redis ask one after the other: most of them find what the first has brought.
        """
        lease = self._lease(caller)
        async with lease.asking:
            now_s = time.monotonic()
            verdict = lease.spend(weight, now_s)
            if verdict is not None:
                return verdict
            most = lease.most(weight, limit, now_s)
            grant = await self._ask(caller, limit=limit, least=weight, most=most, rest=lease.give_up())
            return lease.take(grant, weight, now_s)

    async def close(self) -> None:
        """Close the connections."""
        await disconnect(self._client)

    def _lease(self, caller: str) -> _Lease:
        lease = self._leases.get(caller)
        if lease is None:
            lease = self._leases[caller] = _Lease()
            if len(self._leases) > MOST_CALLERS:
                self._leases.popitem(last=False)
        self._leases.move_to_end(caller)
        return lease

    async def _ask(self, caller: str, *, limit: int, least: int, most: int, rest: UnusedWeight) -> Grant:
        if time.monotonic() < self._away_until_s:
            raise UncountedError("Redis, which counts what callers ask, does not answer")
        try:
            async with asyncio.timeout(_ANSWER_S):
                with redis_errors(self._url):
                    grant = await take_allowance(
                        self._client, self._prefix, caller,
                        limit=limit, window_s=WINDOW_S, least=least, most=most, rest=rest,
                    )  # fmt: skip
        except (CandlewickError, TimeoutError) as error:
            self._away_until_s = time.monotonic() + _AWAY_S
            if not self._is_away:
                self._log.warning(
                    "nobody counts what callers ask", reason=str(error) or "Redis does not answer in time"
                )
            self._is_away = True
            raise UncountedError("Redis, which counts what callers ask, does not answer") from error
        if self._is_away:
            self._log.info("what callers ask is counted again")
        self._is_away = False
        return grant

"""Which tiers answer, remembered for a moment: watchdogs ask often, and a tier that is away is slow to say so."""

import asyncio
import time
from collections.abc import Mapping

from serving.planner import Tier
from serving.tiers import Tiers

FRESH_S = 3.0
"""The tiers are asked again when an answer is older; meanwhile it is given as it stands."""
STALE_S = 15.0
"""An older answer is not given: who asks waits for the next one."""


class TierHealth:
    """What the tiers said last."""

    def __init__(self, tiers: Tiers) -> None:
        self._tiers = tiers
        self._reachable: dict[Tier, bool] = {}
        self._told_at_s = -STALE_S
        self._asking: asyncio.Task[None] | None = None

    async def reachable(self) -> Mapping[Tier, bool]:
        """Whether each tier answered, not longer than `STALE_S` ago."""
        age_s = time.monotonic() - self._told_at_s
        if age_s >= FRESH_S and self._asking is None:
            self._asking = asyncio.create_task(self._ask())
        if age_s >= STALE_S and self._asking is not None:
            await asyncio.shield(self._asking)
        return self._reachable

    async def _ask(self) -> None:
        try:
            answers = await asyncio.gather(*map(self._tiers.reachable, Tier))
            self._reachable = dict(zip(Tier, answers, strict=True))
            self._told_at_s = time.monotonic()
        finally:
            self._asking = None

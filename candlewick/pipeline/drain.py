"""Letting a run end without anything left on the way."""

import asyncio
import time
from collections.abc import Callable

from candlewick.health.lag import stage_lags
from runtime.errors import UnavailableError
from runtime.settings import Settings

PATIENCE_S = 120.0
"""How long a stage may stay as far behind as it is: as long as it moves, it is waited for."""
_POLL_S = 0.5


async def caught_up(settings: Settings, stages: tuple[str, ...], *, say: Callable[[str], None]) -> None:
    """Wait until these stages have committed all of the log; raises where one does not move for `PATIENCE_S`."""
    least: dict[str, int] = {}
    moved_at, told = time.monotonic(), ""
    while True:
        lags = {stage: lag for stage, lag in (await stage_lags(settings, stages)).items() if lag}
        if not lags:
            return
        if any(lag < least.get(stage, lag + 1) for stage, lag in lags.items()) or len(lags) < len(least):
            moved_at = time.monotonic()
        least = lags
        if time.monotonic() - moved_at > PATIENCE_S:
            behind = ", ".join(f"{stage} {lag}" for stage, lag in lags.items())
            raise UnavailableError(f"not drained: records behind for {PATIENCE_S:.0f} s without moving: {behind}")
        text = "draining: " + ", ".join(f"{stage} {lag:,} behind" for stage, lag in lags.items())
        if text != told:
            say(text)
            told = text
        await asyncio.sleep(_POLL_S)

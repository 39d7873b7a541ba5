"""The end of a run: each stage commits all of its input before it is stopped."""

import asyncio
import time
from collections.abc import Callable

from candlewick.health.lag import stage_lags
from runtime.errors import UnavailableError
from runtime.settings import Settings

PATIENCE_S = 120.0
"""How long a stage may make no progress. As long as it makes some, it is waited for."""
_POLL_S = 0.5


async def caught_up(settings: Settings, stages: tuple[str, ...], *, say: Callable[[str], None]) -> None:
    """Wait until these stages have no lag.

    Raises:
        UnavailableError: no lag became less for `PATIENCE_S`.
    """
    least: dict[str, int] = {}
    progress_at_s, told = time.monotonic(), ""
    while True:
        lags = {stage: lag for stage, lag in (await stage_lags(settings, stages)).items() if lag}
        if not lags:
            return
        if any(lag < least.get(stage, lag + 1) for stage, lag in lags.items()) or len(lags) < len(least):
            progress_at_s = time.monotonic()
        least = lags
        if time.monotonic() - progress_at_s > PATIENCE_S:
            behind = ", ".join(f"{stage} {lag}" for stage, lag in lags.items())
            raise UnavailableError(f"not drained: no progress for {PATIENCE_S:.0f} s: lag {behind}")
        text = "draining, lag: " + ", ".join(f"{stage} {lag:,}" for stage, lag in lags.items())
        if text != told:
            say(text)
            told = text
        await asyncio.sleep(_POLL_S)

"""The simulated exchange of a run: where its market begins, and its process."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp

from candlewick.health.progress import newest_markers
from candlewick.pipeline.memory import SimulatedMarket, require_not_before
from candlewick.pipeline.plan import RunPlan, stage
from candlewick.pipeline.stage_names import SIMULATOR
from candlewick.pipeline.supervise.process import Stage
from runtime.errors import UnavailableError
from runtime.settings import Settings

HOST = "127.0.0.1"
DEFAULT_RUN_S = 15 * 60.0
"""A run without an end begins so far back that it goes at full speed for this long; then it has reached the present."""
MARGIN_S = 60.0
"""What starting and draining take, and what a later run has ahead of it."""
START_TIMEOUT_S = 30.0
_POLL_S = 0.1
_LINES_AT_ONCE = 1_000


async def market_start_us(settings: Settings, plan: RunPlan, market: SimulatedMarket) -> int:
    """Market time at which the simulator begins, UTC microseconds: never before what the data hold already.

    Raises:
        UsageError: the plan's own start lies before that.
    """
    reached_us = max(market.reached_us, *(await newest_markers(settings)).values(), 0)
    now_us = time.time_ns() // 1000
    if plan.market_start_s is not None:
        start_us = now_us - round(plan.market_start_s * 1e6)
        require_not_before(start_us, reached_us)
        return start_us
    return reached_us or now_us - round(plan.speed * ((plan.for_s or DEFAULT_RUN_S) + MARGIN_S) * 1e6)


def simulator(
    plan: RunPlan, *, port: int, seed: int, symbols: Sequence[str], start_us: int, environment: Mapping[str, str]
) -> Stage:
    """The simulator's process."""
    faults = [argument for fault in plan.faults for argument in ("--fault", fault)]
    return stage(
        SIMULATOR,
        *("--port", str(port), "--seed", str(seed), "--speed", f"{plan.speed:g}", "--start", str(start_us)),
        *("--symbols", ",".join(symbols)),
        *faults,
        environment=environment,
        grace_s=3.0,
        restarted=False,  # its market would begin anew
    )


def simulated_hosts(url: str) -> dict[str, str]:
    """The settings that lead every exchange to the simulator: it speaks for all on one port."""
    names = [name for name in Settings.model_fields if name.endswith(("_ws", "_rest")) and not name.startswith("ccxt")]
    return {
        f"CANDLEWICK_{name.upper()}": url.replace("http", "ws", 1) if name.endswith("_ws") else url for name in names
    }


async def until_answering(url: str) -> None:
    """Wait until the simulator answers; `UnavailableError` where it does not within `START_TIMEOUT_S`."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while True:
        try:
            await market_now_us(url)
        except UnavailableError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(_POLL_S)
        else:
            return


async def market_now_us(url: str) -> int:
    """Market time by the simulator's clock, UTC microseconds."""
    return int((await _ask(f"{url}/sim/now"))["now_us"])


async def remind(url: str, lines: Sequence[str]) -> None:
    """Remind the simulator of what the data folder remembers of it."""
    for first in range(0, len(lines), _LINES_AT_ONCE):
        await _ask(f"{url}/sim/faults", {"memory": list(lines[first : first + _LINES_AT_ONCE])})


async def memory_of(url: str) -> tuple[str, ...]:
    """All that the simulator has to be reminded of, in the form that `remind` takes."""
    return tuple((await _ask(f"{url}/sim/faults"))["memory"])


async def _ask(url: str, change: Mapping[str, Any] | None = None) -> dict[str, Any]:
    method = "GET" if change is None else "POST"
    try:
        async with aiohttp.ClientSession() as session, session.request(method, url, json=change) as response:
            response.raise_for_status()
            answer: dict[str, Any] = await response.json()
            return answer
    except aiohttp.ClientError as error:
        raise UnavailableError(f"the simulator at {url} does not answer: {error}") from error

"""The simulated exchange of a run: where its market begins, and its process."""

import asyncio
import socket
import time
from collections.abc import Mapping, Sequence
from typing import Any

import aiohttp

from candlewick.health.progress import newest_markers
from candlewick.pipeline.plan import SIMULATOR, RunPlan, part
from candlewick.pipeline.supervise.process import Stage
from runtime.errors import UnavailableError, UsageError
from runtime.settings import Settings

HOST = "127.0.0.1"
DEFAULT_BEFORE_S = 15 * 60.0
START_TIMEOUT_S = 30.0
_POLL_S = 0.1
_LINES_AT_ONCE = 1_000


async def market_start_us(settings: Settings, plan: RunPlan) -> int:
    """Market time at which the simulator begins, UTC microseconds: never before what the log has already."""
    newest = max((await newest_markers(settings)).values(), default=None)
    now_us = time.time_ns() // 1000
    if plan.market_start_s is not None:
        start = now_us - int(plan.market_start_s * 1e6)
        if newest is not None and start < newest:
            raise UsageError(
                f"--market-start is {(newest - start) / 1e6:.0f} s before what the log has already: "
                "leave it away, or drop the data with candlewick stack reset"
            )
        return start
    if newest is not None:
        return newest
    return now_us - int((plan.speed * plan.for_s if plan.for_s else DEFAULT_BEFORE_S) * 1e6)


def free_port() -> int:
    """A port that nobody has; it stays the simulator's over its restarts."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def simulator(
    plan: RunPlan, *, port: int, seed: int, symbols: Sequence[str], start_us: int, environment: Mapping[str, str]
) -> Stage:
    """The simulator's process."""
    faults = [argument for fault in plan.faults for argument in ("--fault", fault)]
    return part(
        SIMULATOR,
        *("--port", str(port), "--seed", str(seed), "--speed", f"{plan.speed:g}", "--start", str(start_us)),
        *("--symbols", ",".join(symbols)),
        *faults,
        environment=environment,
        grace_s=3.0,
        restarted=False,  # its market would begin anew
    )


async def until_answering(url: str) -> None:
    """Wait until the simulator answers."""
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
    for at in range(0, len(lines), _LINES_AT_ONCE):
        await _ask(f"{url}/sim/faults", {"memory": list(lines[at : at + _LINES_AT_ONCE])})


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

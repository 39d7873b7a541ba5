"""How a part runs: on uvloop, until it is done or told to stop by a signal."""

import asyncio
import gc
import signal
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import uvloop
from aiokafka.errors import KafkaError

from runtime.backoff import pause_s
from runtime.errors import CandlewickError
from runtime.telemetry import logger

Result = TypeVar("Result")

GRACE_S = 20.0
"""After SIGTERM or SIGINT a part drains: it may take this long, then it is ended (Kubernetes' grace must be longer)."""
LONG_MEMBERSHIP_S = 20.0
"""A membership that lasted so long did not fail at once: patience begins anew behind it."""


class EndedError(CandlewickError):
    """A part was ended before it had drained."""


def run(part: Callable[[asyncio.Event], Awaitable[Result]], *, grace_s: float | None = GRACE_S) -> Result:
    """Run `part(stop)`; `stop` is set by SIGTERM or SIGINT, and the part drains and returns; a second one ends it.

    So does the end of the grace; None: it may take as long as it takes.
    """
    # Records come and go by the thousand and refer to nothing that refers to them: looking for cycles among them,
    # and among all that was imported, took a third of the candle engine's time.
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    return uvloop.run(_until_done(part, grace_s))


async def _until_done(part: Callable[[asyncio.Event], Awaitable[Result]], grace_s: float | None) -> Result:
    stop, ended = asyncio.Event(), asyncio.Event()
    task = asyncio.ensure_future(part(stop))
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_complain)

    def end() -> None:
        ended.set()
        task.cancel()

    def on_signal() -> None:
        if stop.is_set():
            end()
        stop.set()
        if grace_s is not None:
            loop.call_later(grace_s, end)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    try:
        return await task
    except asyncio.CancelledError:
        if not ended.is_set():
            raise
        raise EndedError(
            "ended before it had drained: what was not committed is read again by the next start"
        ) from None


def _complain(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Kafka's client sets a failure on futures of its own too; ours are all waited for, so those say nothing new."""
    if isinstance(context.get("exception"), KafkaError) and "future" in context:
        return
    loop.default_exception_handler(context)


async def rejoining(
    membership: Callable[[], Awaitable[None]],
    stop: asyncio.Event,
    *,
    stage: str,
    bearable: tuple[type[CandlewickError], ...],
) -> None:
    """Run one group membership after the other, until one ends by itself or `stop` is set.

    An error in `bearable` ends a membership only: the next one begins after a pause that grows up to a limit, and is
    short again after one that lasted. There is no end to patience with a broker; every other error goes on.
    """
    failures = 0
    while not stop.is_set():
        began_s = time.monotonic()
        try:
            await membership()
        except bearable as error:
            if time.monotonic() - began_s > LONG_MEMBERSHIP_S:
                failures = 0
            wait_s = pause_s(failures)
            logger(stage).warning("joining anew", reason=str(error), in_s=wait_s)
            await stopped_within(stop, wait_s)
            failures += 1
        else:
            return


async def stopped_within(stop: asyncio.Event, seconds: float) -> bool:
    """Wait until `stop` is set or the time is over; True where it is set. A sleep that a signal ends."""
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return False
    return True

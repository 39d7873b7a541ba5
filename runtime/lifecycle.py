"""How a part runs: on uvloop, until it is done or told to stop by a signal."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import uvloop
from aiokafka.errors import KafkaError

Result = TypeVar("Result")

GRACE_S = 20.0
"""After SIGTERM or SIGINT a part drains: it may take this long, then it is ended (Kubernetes' grace must be longer)."""


def run(part: Callable[[asyncio.Event], Awaitable[Result]], *, grace_s: float | None = GRACE_S) -> Result:
    """Run `part(stop)`; `stop` is set by SIGTERM or SIGINT, and the part drains and returns; a second one ends it.

    So does the end of the grace; None: it may take as long as it takes.
    """
    return uvloop.run(_until_done(part, grace_s))


async def _until_done(part: Callable[[asyncio.Event], Awaitable[Result]], grace_s: float | None) -> Result:
    stop = asyncio.Event()
    task = asyncio.ensure_future(part(stop))
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(_complain)

    def on_signal() -> None:
        if stop.is_set():
            task.cancel()
        stop.set()
        if grace_s is not None:
            loop.call_later(grace_s, task.cancel)

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal)
    return await task


def _complain(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Kafka's client sets a failure on futures of its own too; ours are all waited for, so those say nothing new."""
    if isinstance(context.get("exception"), KafkaError) and "future" in context:
        return
    loop.default_exception_handler(context)


async def stopped_within(stop: asyncio.Event, seconds: float) -> bool:
    """Wait until `stop` is set or the time is over; True where it is set. A sleep that a signal ends."""
    try:
        await asyncio.wait_for(stop.wait(), seconds)
    except TimeoutError:
        return False
    return True

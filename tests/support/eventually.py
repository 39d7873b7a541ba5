"""Waiting for something to become true."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

Seen = TypeVar("Seen")


async def eventually(
    condition: Callable[[], Seen | Awaitable[Seen]], *, timeout_s: float = 15.0, every_s: float = 0.05
) -> Seen:
    """What `condition` returns as soon as it is true; its last AssertionError, or one of ours, when time is up."""
    deadline = time.monotonic() + timeout_s
    while True:
        wrong: AssertionError
        try:
            seen = condition()
            if inspect.isawaitable(seen):
                seen = await seen
            if seen:
                return seen
            wrong = AssertionError(f"still {seen!r} after {timeout_s} s")
        except AssertionError as error:
            wrong = error
        if time.monotonic() > deadline:
            raise wrong
        await asyncio.sleep(every_s)

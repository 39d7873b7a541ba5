"""Points in a program at which it is killed by SIGKILL: the script that arms itself, and the test that runs it."""

import asyncio
import inspect
import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple


class Moment(StrEnum):
    """When, beside the point's call."""

    BEFORE = "before"
    AFTER = "after"


class KillPoint(NamedTuple):
    """A function of a class or module; what lies between two such points is not seen by anyone else."""

    owner: Any
    name: str
    moment: Moment


def arm(point: KillPoint, left: int, die: Callable[[], None] | None = None) -> None:
    """Make this process die as it comes by the point for the `left`-th time; `die` is called instead of dying there."""
    owner, name, moment = point
    original: Callable[..., Any] = getattr(owner, name)
    count = [left]

    def come_by(here: Moment) -> None:
        if here is moment:
            count[0] -= 1
            if count[0] == 0:
                (die or kill_itself)()

    if inspect.iscoroutinefunction(original):

        async def wrapped(*arguments: Any, **named: Any) -> Any:
            come_by(Moment.BEFORE)
            result = await original(*arguments, **named)
            come_by(Moment.AFTER)
            return result

    else:

        def wrapped(*arguments: Any, **named: Any) -> Any:
            come_by(Moment.BEFORE)
            result = original(*arguments, **named)
            come_by(Moment.AFTER)
            return result

    setattr(owner, name, wrapped)


def kill_itself() -> None:
    """At once, as a power cut would."""
    os.kill(os.getpid(), signal.SIGKILL)


async def came_to_its_point(
    environment: dict[str, str], script: Path, arguments: Sequence[str], *, within_s: float
) -> bool:
    """Run a script until it kills itself at its point, or is killed after a while; whether it came to the point."""
    command = [sys.executable, str(script), *arguments]
    process = await asyncio.create_subprocess_exec(*command, env=environment, stderr=asyncio.subprocess.DEVNULL)
    came = True
    try:
        await asyncio.wait_for(process.wait(), within_s)
    except TimeoutError:
        came = False
        with suppress(ProcessLookupError):  # it came to the point just now
            os.kill(process.pid, signal.SIGKILL)
        await process.wait()
    assert process.returncode == -signal.SIGKILL
    return came

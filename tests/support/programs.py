"""``candlewick …`` as a process beside the test."""

import asyncio
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


@asynccontextmanager
async def program(environment: dict[str, str], *words: str) -> AsyncIterator[Process]:
    """A command that runs as long as the block does; one that still runs then is killed."""
    command = [sys.executable, "-m", "candlewick", *words]
    process = await asyncio.create_subprocess_exec(*command, env=environment, stdout=DEVNULL, stderr=DEVNULL)
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()

"""One running stage: its process, its lines, its end."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

_TETHER = Path(__file__).with_name("tether.py")
_MAX_LINE_BYTES = 64 * 1024
_CHUNK_BYTES = 64 * 1024


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A command that is kept running; `environment` is all that it sees."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str] = field(repr=False)
    grace_s: float = 25.0
    """From SIGTERM to SIGKILL."""
    restarted: bool = True
    """Whether it is started again when it dies; else its death ends the run."""


class StageProcess:
    """A started stage, in a session of its own: Ctrl-C does not reach it. It dies with its supervisor."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._started = time.monotonic()
        self.killed_on_purpose = False

    @classmethod
    async def start(cls, stage: Stage, *, inherit: Sequence[int] = ()) -> Self:
        """Start the stage's command; `inherit` are descriptors it keeps open."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-I", "-S", str(_TETHER), str(os.getpid()), *stage.command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=dict(stage.environment),
            start_new_session=True,
            pass_fds=tuple(inherit),
        )  # fmt: skip
        return cls(process)

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def lived_s(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self._started

    async def lines(self) -> AsyncIterator[bytes]:
        """What it writes, line by line without ends, until it closes its output; a very long line comes in pieces."""
        out = self._process.stdout
        if out is None:
            return
        rest = b""
        while chunk := await out.read(_CHUNK_BYTES):
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                yield line
            if len(rest) >= _MAX_LINE_BYTES:
                yield rest
                rest = b""
        if rest:
            yield rest

    async def ended(self) -> int:
        """Wait for its end: the exit code, or less than zero for a signal."""
        return await self._process.wait()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal; nothing happens where the process has ended already."""
        if self._process.returncode is None:
            self._process.send_signal(number)

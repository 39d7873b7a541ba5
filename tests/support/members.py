"""Members of a group as processes, the engine's if nothing else is said: started, ended, killed, frozen, thawed."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

PATIENCE_S = 90.0


class Member:
    """A place for one process; it may be empty."""

    def __init__(
        self, environment: dict[str, str], log: Path, *arguments: str, command: Sequence[str] = ("candles",)
    ) -> None:
        self._environment = environment
        self._arguments = [*command, *arguments]
        self._log = log
        self._process: asyncio.subprocess.Process | None = None
        self._frozen = False

    @property
    def is_running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def lines(self, event: str) -> list[dict[str, Any]]:
        """What any process of this place logged under that name."""
        said = self._log.read_text().splitlines() if self._log.exists() else []
        return [json.loads(line) for line in said if f'"event":"{event}"' in line]

    @property
    def is_frozen(self) -> bool:
        return self._frozen

    async def start(self) -> None:
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "candlewick", *self._arguments, env=self._environment, stderr=log
            )

    def assignments(self) -> list[list[int]]:
        """The partitions after each rebalance that any process of this place was told of, by its log."""
        return [line["partitions"] for line in self.lines("assigned")]

    async def end(self, by: signal.Signals) -> int | None:
        """Its exit code; None where the place is empty."""
        if self._process is None:
            return None
        if self.is_running:
            self.thaw()
            self._process.send_signal(by)
        return await asyncio.wait_for(self._process.wait(), PATIENCE_S)

    def freeze(self) -> None:
        """Stop it where it is, for as long as it takes."""
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGSTOP)
        self._frozen = True

    def thaw(self) -> None:
        """Let it go on, as if no time had passed for it."""
        if self._frozen and self._process is not None:
            os.kill(self._process.pid, signal.SIGCONT)
        self._frozen = False

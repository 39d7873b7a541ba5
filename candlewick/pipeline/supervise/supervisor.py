"""The supervisor: keeps stages running, tells what happens to them, stops them one by one."""

import asyncio
import json
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self

from candlewick.pipeline.supervise.logfile import LogFile
from candlewick.pipeline.supervise.process import Stage, StageProcess
from candlewick.pipeline.supervise.restarts import decide, describe_end
from runtime.errors import CandlewickError

_MAX_WORDS = 500


class StageChange(StrEnum):
    """What happened to a stage."""

    STARTED = "started"
    DIED = "died"
    RESTARTED = "restarted"
    GAVE_UP = "gave up"
    STOPPED = "stopped"


class StageEvent(NamedTuple):
    """A change in a stage's life, and a sentence about it."""

    stage: str
    change: StageChange
    text: str


@dataclass
class _Supervised:
    stage: Stage
    task: asyncio.Task[int]
    process: StageProcess | None = None
    stopping: bool = False


class Supervisor:
    """Keeps stages running for as long as its block runs; what still runs at the end of the block is killed.

    `on_event` hears of starts and deaths, `on_entry` gets each JSON line that a stage logs. All lines go to
    ``<logs>/<stage>.log``, bounded.
    """

    def __init__(
        self,
        logs: Path,
        *,
        on_event: Callable[[StageEvent], None],
        on_entry: Callable[[str, dict[str, Any]], None],
        inherit: Sequence[int] = (),
    ) -> None:
        self._logs = logs
        self._on_event = on_event
        self._on_entry = on_entry
        self._inherit = inherit
        self._supervised: dict[str, _Supervised] = {}
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for supervised in self._supervised.values():
            supervised.stopping = True
            if supervised.process:
                supervised.process.signal(signal.SIGKILL)
            else:
                supervised.task.cancel()
        await asyncio.gather(*(supervised.task for supervised in self._supervised.values()), return_exceptions=True)
        if self._failure.done():
            self._failure.exception()  # told by failed(), or another error went first

    def start(self, stage: Stage) -> None:
        """Keep `stage` running from now on."""
        task = asyncio.create_task(self._keep(stage), name=stage.name)
        self._supervised[stage.name] = _Supervised(stage, task)

    async def run_to_end(self, stage: Stage) -> int:
        """Run `stage`, which ends by itself, once. Returns its exit code."""
        self.start(stage)
        supervised = self._supervised[stage.name]
        supervised.stopping = True
        return await supervised.task

    async def stop(self, name: str) -> int:
        """Ask a stage to drain and end; it is killed when its grace is over. Returns its exit code."""
        supervised = self._supervised[name]
        supervised.stopping = True
        if supervised.process is None:  # between two lives
            supervised.task.cancel()
            return 0
        supervised.process.signal(signal.SIGTERM)
        done, _ = await asyncio.wait({supervised.task}, timeout=supervised.stage.grace_s)
        if not done:
            self._on_event(
                StageEvent(name, StageChange.DIED, f"{name} did not end within {supervised.stage.grace_s:g} s, killed")
            )
            supervised.process.signal(signal.SIGKILL)
        return await supervised.task

    def kill(self, name: str) -> None:
        """SIGKILL a stage on purpose: it comes back, and the death does not count against it."""
        process = self._supervised[name].process
        if process is not None:
            process.killed_on_purpose = True
            process.signal(signal.SIGKILL)

    def pid(self, name: str) -> int | None:
        """The stage's process now; None between two lives."""
        process = self._supervised[name].process
        return process.pid if process else None

    async def failed(self) -> None:
        """Wait for ever, or until a stage had to be given up: then raise why."""
        await asyncio.shield(self._failure)

    async def _keep(self, stage: Stage) -> int:
        quick_deaths, change = 0, StageChange.STARTED
        log = LogFile(self._logs / f"{stage.name}.log")
        try:
            while True:
                supervised = self._supervised[stage.name]
                process = supervised.process = await StageProcess.start(stage, inherit=self._inherit)
                if change is StageChange.STARTED:
                    self._on_event(StageEvent(stage.name, change, f"{stage.name} started (process {process.pid})"))
                last_words = await self._listen(stage, process, log)
                exit_code = await process.ended()
                supervised.process = None
                if supervised.stopping:
                    self._on_event(StageEvent(stage.name, StageChange.STOPPED, f"{stage.name} stopped"))
                    return exit_code
                decision = decide(
                    exit_code=exit_code,
                    lived_s=process.lived_s,
                    quick_deaths=quick_deaths,
                    wanted=process.killed_on_purpose,
                )
                if decision.restart_after_s is None or not stage.restarted:
                    self._give_up(stage, exit_code, decision.quick_deaths, last_words)
                    return exit_code
                quick_deaths, change = decision.quick_deaths, StageChange.RESTARTED
                text = f"{stage.name} {describe_end(exit_code)}, restarted"
                self._on_event(StageEvent(stage.name, change, f"{text}: {last_words}" if last_words else text))
                await asyncio.sleep(decision.restart_after_s)
        finally:
            log.close()

    async def _listen(self, stage: Stage, process: StageProcess, log: LogFile) -> str:
        """Write down what the stage says until it ends; returns its last plain sentence, which tells why it ended."""
        last_words = ""
        async for line in process.lines():
            log.write(line)
            entry = _json_object(line)
            if entry is not None:
                self._on_entry(stage.name, entry)
            elif any(map(str.isalnum, text := line.decode(errors="replace").strip(" |\r"))):
                last_words = text[:_MAX_WORDS]
        return last_words

    def _give_up(self, stage: Stage, exit_code: int, quick_deaths: int, last_words: str) -> None:
        often = f" {quick_deaths} times in a row" if quick_deaths > 1 else ""
        said = f"; it said: {last_words}" if last_words else ""
        log = self._logs / f"{stage.name}.log"
        error = CandlewickError(f"{stage.name} {describe_end(exit_code)}{often} and was given up{said} (see {log})")
        self._on_event(StageEvent(stage.name, StageChange.GAVE_UP, str(error)))
        if not self._failure.done():
            self._failure.set_exception(error)


def _json_object(line: bytes) -> dict[str, Any] | None:
    if not line.startswith(b"{"):
        return None
    try:
        entry = json.loads(line)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None

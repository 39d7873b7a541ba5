"""The supervisor: keeps parts running, tells what happens to them, stops them one by one."""

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
    """What happened to a part."""

    STARTED = "started"
    DIED = "died"
    RESTARTED = "restarted"
    GAVE_UP = "gave up"
    STOPPED = "stopped"


class PartEvent(NamedTuple):
    """A turn in a part's life, and a sentence about it."""

    part: str
    turn: StageChange
    text: str


@dataclass
class _Kept:
    part: Stage
    task: asyncio.Task[int]
    process: StageProcess | None = None
    stopping: bool = False


class Supervisor:
    """Keeps parts running for as long as its block runs; whatever is left at the end is killed.

    `on_event` hears of starts and deaths, `on_entry` gets each JSON line that a part logs. All lines go to
    ``<logs>/<part>.log``, bounded.
    """

    def __init__(
        self,
        logs: Path,
        *,
        on_event: Callable[[PartEvent], None],
        on_entry: Callable[[str, dict[str, Any]], None],
        inherit: Sequence[int] = (),
    ) -> None:
        self._logs = logs
        self._on_event = on_event
        self._on_entry = on_entry
        self._inherit = inherit
        self._kept: dict[str, _Kept] = {}
        self._failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for kept in self._kept.values():
            kept.stopping = True
            if kept.process:
                kept.process.signal(signal.SIGKILL)
            else:
                kept.task.cancel()
        await asyncio.gather(*(kept.task for kept in self._kept.values()), return_exceptions=True)
        if self._failure.done():
            self._failure.exception()  # told by failed(), or another error went first

    def start(self, part: Stage) -> None:
        """Keep `part` running from now on."""
        task = asyncio.create_task(self._keep(part), name=part.name)
        self._kept[part.name] = _Kept(part, task)

    async def stop(self, name: str) -> int:
        """Ask a part to drain and end; it is killed when its grace is over. Its exit code."""
        kept = self._kept[name]
        kept.stopping = True
        if kept.process is None:  # between two lives
            kept.task.cancel()
            return 0
        kept.process.signal(signal.SIGTERM)
        done, _ = await asyncio.wait({kept.task}, timeout=kept.part.grace_s)
        if not done:
            self._on_event(
                PartEvent(name, StageChange.DIED, f"{name} did not end within {kept.part.grace_s:g} s, killed")
            )
            kept.process.signal(signal.SIGKILL)
        return await kept.task

    def kill(self, name: str) -> None:
        """SIGKILL a part on purpose: it comes back, and the death does not count against it."""
        process = self._kept[name].process
        if process is not None:
            process.killed_on_purpose = True
            process.signal(signal.SIGKILL)

    def pid(self, name: str) -> int | None:
        """The part's process now; None between two lives."""
        process = self._kept[name].process
        return process.pid if process else None

    async def failed(self) -> None:
        """Wait for ever, or until a part had to be given up: then raise why."""
        await asyncio.shield(self._failure)

    async def _keep(self, part: Stage) -> int:
        quick_deaths, turn = 0, StageChange.STARTED
        log = LogFile(self._logs / f"{part.name}.log")
        try:
            while True:
                kept = self._kept[part.name]
                process = kept.process = await StageProcess.start(part, inherit=self._inherit)
                if turn is StageChange.STARTED:
                    self._on_event(PartEvent(part.name, turn, f"{part.name} started (process {process.pid})"))
                last_words = await self._listen(part, process, log)
                exit_code = await process.ended()
                kept.process = None
                if kept.stopping:
                    self._on_event(PartEvent(part.name, StageChange.STOPPED, f"{part.name} stopped"))
                    return exit_code
                decision = decide(
                    exit_code=exit_code,
                    lived_s=process.lived_s,
                    quick_deaths=quick_deaths,
                    wanted=process.killed_on_purpose,
                )
                if decision.restart_after_s is None or not part.restarted:
                    self._give_up(part, exit_code, decision.quick_deaths, last_words)
                    return exit_code
                quick_deaths, turn = decision.quick_deaths, StageChange.RESTARTED
                text = f"{part.name} {describe_end(exit_code)}, restarted"
                self._on_event(PartEvent(part.name, turn, f"{text}: {last_words}" if last_words else text))
                await asyncio.sleep(decision.restart_after_s)
        finally:
            log.close()

    async def _listen(self, part: Stage, process: StageProcess, log: LogFile) -> str:
        """Write down what the part says until it ends; its last plain sentence, which tells why it ended."""
        last_words = ""
        async for line in process.lines():
            log.write(line)
            entry = _json_object(line)
            if entry is not None:
                self._on_entry(part.name, entry)
            elif any(map(str.isalnum, text := line.decode(errors="replace").strip(" |\r"))):
                last_words = text[:_MAX_WORDS]
        return last_words

    def _give_up(self, part: Stage, exit_code: int, quick_deaths: int, last_words: str) -> None:
        often = f" {quick_deaths} times in a row" if quick_deaths > 1 else ""
        said = f"; it said: {last_words}" if last_words else ""
        log = self._logs / f"{part.name}.log"
        error = CandlewickError(f"{part.name} {describe_end(exit_code)}{often} and was given up{said} (see {log})")
        self._on_event(PartEvent(part.name, StageChange.GAVE_UP, str(error)))
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

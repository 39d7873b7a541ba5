"""The steps of a run: start in order, go on until told, drain in order, verify."""

import asyncio
import time
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from candlewick.health.progress import newest_markers
from candlewick.pipeline.drain import caught_up
from candlewick.pipeline.memory import SimulatedMarket, remember
from candlewick.pipeline.plan import PROCESSORS, PRODUCER, SIMULATOR, SINKS, STAGES, RunPlan, part
from candlewick.pipeline.simulator import (
    HOST,
    free_port,
    market_now_us,
    market_start_us,
    memory_of,
    remind,
    simulator,
    until_answering,
)
from candlewick.pipeline.supervise.process import Stage
from candlewick.pipeline.supervise.supervisor import PartEvent, StageChange, Supervisor
from candlewick.pipeline.view.board import StageFigures, Tone
from candlewick.pipeline.view.line import duration
from candlewick.pipeline.view.show import Show
from candlewick.pipeline.view.watch import watch
from candlewick.verify.findings import Findings
from candlewick.verify.verify import verify
from runtime.settings import Settings, child_environment
from runtime.telemetry import PROGRESS_EVENT

Result = TypeVar("Result")
_TONES = {StageChange.RESTARTED: Tone.WARNING, StageChange.DIED: Tone.WARNING, StageChange.GAVE_UP: Tone.BAD}
_WORTH_SAYING_S = 300.0
PROGRESS_S = "1"
"""The view shows what the stages said last: so often."""
_TOLD = frozenset({StageChange.RESTARTED, StageChange.DIED, StageChange.GAVE_UP})
"""Turns that a person must hear of; the others are only shown."""


class PipelineRun:
    """One run. `inherit` are descriptors that its processes keep open: the run lock."""

    def __init__(
        self, settings: Settings, plan: RunPlan, market: SimulatedMarket, *, show: Show, inherit: Sequence[int] = ()
    ) -> None:
        self._settings = settings
        self._plan = plan
        self._market = market
        self._show = show
        self._port = free_port()
        self._url = f"http://{HOST}:{self._port}"
        self._inherit = inherit

    async def run(self, stop: asyncio.Event) -> Findings | None:
        """Run until `stop`, or for as long as planned; then drain and verify. None: nothing to verify by."""
        logs = self._settings.home / "logs"
        async with Supervisor(
            logs, on_event=self._on_event, on_entry=self._on_entry, inherit=self._inherit
        ) as supervisor:
            watching = asyncio.create_task(watch(self._settings, self._show.board, live=not self._plan.headless))
            try:
                return await _unless_failed(supervisor, self._steps(supervisor, stop))
            finally:
                watching.cancel()
                await asyncio.gather(watching, return_exceptions=True)

    async def _steps(self, supervisor: Supervisor, stop: asyncio.Event) -> Findings | None:
        await self._start(supervisor)
        kills = [asyncio.create_task(_kill(supervisor, name, every_s)) for name, every_s in self._plan.kills.items()]
        try:
            await asyncio.wait_for(stop.wait(), self._plan.for_s)
        except TimeoutError:
            pass  # the planned end
        finally:
            for task in kills:
                task.cancel()
        market_us = await market_now_us(self._url) if self._plan.simulated else None
        await self._drain(supervisor)
        if market_us is None:
            return None
        await self._say_how_far(market_us)
        self._remember(simulator=await memory_of(self._url))
        self._show.say("verifying against the simulator's own record")
        began_s = time.monotonic()
        findings = await verify(
            self._settings, self._url, symbols=self._market.symbols, redelivery_allowed=self._market.disturbed
        )
        self._show.say(f"the verification took {time.monotonic() - began_s:.1f} s")
        return findings

    async def _say_how_far(self, market_us: int) -> None:
        """The verification reaches to each symbol's newest marker: say so where that is far behind the market."""
        newest = await newest_markers(self._settings)
        slowest_us = min((newest[key] for key in newest), default=market_us)
        behind_s = (market_us - slowest_us) / 1e6
        if behind_s > _WORTH_SAYING_S:
            self._show.say(
                f"the producer was {duration(behind_s)} of market time behind when it was stopped; "
                "the next run goes on from there"
            )

    async def _start(self, supervisor: Supervisor) -> None:
        environment = child_environment(self._settings, home=str(self._settings.home.absolute()), progress_s=PROGRESS_S)
        if self._plan.simulated:
            start_us = await market_start_us(self._settings, self._plan)
            supervisor.start(
                simulator(
                    self._plan,
                    port=self._port,
                    seed=self._market.seed,
                    symbols=self._market.symbols,
                    start_us=start_us,
                    environment=environment,
                )
            )
            await until_answering(self._url)
            await remind(self._url, self._market.simulator)
        for stage in _starting_order(self._plan, environment, self._url):
            self._show.board.stages[stage.name] = StageFigures()
            supervisor.start(stage)

    async def _drain(self, supervisor: Supervisor) -> None:
        """Stop stage after stage, each once it has all that the one before it can give."""
        self._show.say(f"stopping after {self._show.elapsed_s():.0f} s: the producer first, then what it feeds")
        await supervisor.stop(PRODUCER)
        for stage in PROCESSORS:
            await caught_up(self._settings, (stage,), say=self._show.say)
            await supervisor.stop(stage)
        await caught_up(self._settings, SINKS[:2], say=self._show.say)
        await asyncio.gather(*(supervisor.stop(stage) for stage in SINKS))
        await caught_up(self._settings, SINKS[2:], say=self._show.say)

    def _on_event(self, event: PartEvent) -> None:
        board, tone = self._show.board, _TONES.get(event.turn, Tone.CALM)
        figures = board.stages.get(event.part)
        if figures is not None:
            figures.state = _STATES[event.turn]
            if event.turn is StageChange.RESTARTED:
                figures.restarts += 1
                self._remember(disturbed=True)
                figures.carry_over()
        if event.turn in _TOLD:
            self._show.say(event.text, tone)
        else:
            board.say(time.time(), event.text, tone)

    def _remember(self, **changes: Any) -> None:
        if not self._plan.simulated:
            return
        self._market = replace(self._market, **changes)
        remember(self._settings.home, self._market)

    def _on_entry(self, name: str, entry: Mapping[str, Any]) -> None:
        if entry.get("event") == PROGRESS_EVENT:
            if name != SIMULATOR:
                self._show.board.take_progress(name, entry)
        elif (
            entry.get("level") in ("warning", "error", "critical") and "logger" not in entry
        ):  # the libraries' go to the log
            reason = entry.get("reason") or entry.get("error") or ""
            text = f"{name}: {entry.get('event')}{f': {reason}' if reason else ''}"
            self._show.board.say(time.time(), text, Tone.WARNING if entry["level"] == "warning" else Tone.BAD)


_STATES = {
    StageChange.STARTED: "starting",
    StageChange.RESTARTED: "restarting",
    StageChange.DIED: "killed",
    StageChange.GAVE_UP: "given up",
    StageChange.STOPPED: "stopped",
}


def _starting_order(plan: RunPlan, environment: Mapping[str, str], url: str) -> list[Stage]:
    """Consumers before the producer, so that nothing waits for them; the view shows them in the records' order."""
    exchange = plan.exchange or "binance"
    hosts = (
        {"CANDLEWICK_BINANCE_WS": url.replace("http", "ws", 1), "CANDLEWICK_BINANCE_REST": url}
        if plan.simulated
        else {}
    )
    consumers = [part(name, environment=environment) for name in STAGES if name != PRODUCER]
    return [part(PRODUCER, exchange, *plan.symbols, environment={**environment, **hosts}), *consumers]


async def _kill(supervisor: Supervisor, name: str, every_s: float) -> None:
    while True:
        await asyncio.sleep(every_s)
        supervisor.kill(name)


async def _unless_failed(supervisor: Supervisor, work: Awaitable[Result]) -> Result:
    """What `work` gives; or the error of a part that had to be given up meanwhile."""
    working, failing = asyncio.ensure_future(work), asyncio.ensure_future(supervisor.failed())
    try:
        await asyncio.wait({working, failing}, return_when=asyncio.FIRST_COMPLETED)
        if failing.done():
            failing.result()
        return await working
    finally:
        for task in (working, failing):
            task.cancel()
        await asyncio.gather(working, failing, return_exceptions=True)

"""The steps of a run: start in order, go on until told, drain in order, verify."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Coroutine, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any, TypeVar

from candlewick.health.lag import stage_lags
from candlewick.health.progress import newest_markers
from candlewick.pipeline.drain import caught_up
from candlewick.pipeline.memory import SimulatedMarket, remember
from candlewick.pipeline.plan import RunPlan, stage
from candlewick.pipeline.simulator import (
    HOST,
    market_now_us,
    market_start_us,
    memory_of,
    remind,
    simulated_hosts,
    simulator,
    until_answering,
)
from candlewick.pipeline.stage_names import API, BARS, PARQUET_SINK, PRODUCER, SIMULATOR, is_producer
from candlewick.pipeline.supervise.process import Stage
from candlewick.pipeline.supervise.supervisor import StageChange, StageEvent, Supervisor
from candlewick.pipeline.symbols import key_of, name_for_producer
from candlewick.pipeline.view.board import StageFigures, Tone
from candlewick.pipeline.view.show import Show
from candlewick.pipeline.view.watch import measure, watch
from candlewick.pipeline.words import duration
from candlewick.verify.findings import Findings
from candlewick.verify.verify import verify
from deploy.local.ports import any_free_port
from producers.feed.klines import LAG_S as KLINES_LAG_S
from runtime.settings import Settings, child_environment, variable
from runtime.telemetry import PROGRESS_EVENT

Result = TypeVar("Result")
_TONES = {StageChange.RESTARTED: Tone.WARNING, StageChange.DIED: Tone.WARNING, StageChange.GAVE_UP: Tone.BAD}
_WORTH_SAYING_S = 300.0
_TOLD = frozenset({StageChange.RESTARTED, StageChange.DIED, StageChange.GAVE_UP})
"""Changes that a person must hear of; the others are only shown."""
_FIRST_MINUTES_S, _START_UP_S = 120.0, 20.0
"""A symbol has a whole minute after two minutes of market time, counted from when the producer is at work.

With faults and kills a minute may lack trades: then its marker waits for the exchange's kline.
"""


class PipelineRun:
    """One run. `inherit` are descriptors that its processes keep open: the run lock."""

    def __init__(
        self,
        settings: Settings,
        plan: RunPlan,
        market: SimulatedMarket,
        *,
        show: Show,
        api_port: int,
        inherit: Sequence[int] = (),
    ) -> None:
        self._settings = settings
        self._plan = plan
        self._market = market
        self._show = show
        self._api_port = api_port
        self._port = any_free_port()
        self._url = f"http://{HOST}:{self._port}"
        self._inherit = inherit

    async def run(self, stop: asyncio.Event) -> Findings | None:
        """Run until `stop`, or for as long as planned; then drain and verify. None: nothing to verify by."""
        plan, show = self._plan, self._show
        speed = plan.speed if plan.simulated else 1.0
        async with (
            Supervisor(
                self._settings.home / "logs", on_event=self._on_event, on_entry=self._on_entry, inherit=self._inherit
            ) as supervisor,
            _beside(
                watch(self._settings, show, live=not plan.headless),
                measure(
                    self._settings,
                    show,
                    stages=(*plan.processors, *plan.sinks),
                    market_time=self._market_time,
                    speed=speed,
                ),
            ),
        ):
            return await _unless_failed(supervisor, self._steps(supervisor, stop))

    async def _steps(self, supervisor: Supervisor, stop: asyncio.Event) -> Findings | None:
        start_us = await self._start(supervisor)
        await self._until_the_end(supervisor, stop)
        market_us = await self._market_time() if self._plan.simulated else None
        if market_us is not None:
            waiting_s = _START_UP_S + (KLINES_LAG_S if self._plan.disturbed else 0.0)
            needed_s = _FIRST_MINUTES_S + waiting_s * self._plan.speed
            is_short = market_us - start_us < needed_s * 1e6
            self._remember(reached_us=market_us, young=is_short or any(map(is_producer, self._show.board.slow())))
        await self._drain(supervisor)
        findings = None if market_us is None else await self._verify(market_us)
        await supervisor.stop(API)  # until now it was asked
        return findings

    async def _until_the_end(self, supervisor: Supervisor, stop: asyncio.Event) -> None:
        """Kill as planned, until `stop` is set or the time is over."""
        plan = self._plan
        kills = [
            _kill(supervisor, name, every_s)
            for killed, every_s in plan.kills.items()
            for name in (plan.producers if killed == PRODUCER else (killed,))
        ]
        async with _beside(*kills):
            with suppress(TimeoutError):  # the planned end
                await asyncio.wait_for(stop.wait(), plan.for_s)

    async def _verify(self, market_us: int) -> Findings:
        await self._say_how_far(market_us)
        self._remember(simulator=await memory_of(self._url))
        self._show.say("verifying against the simulator's own record")
        began_s = time.monotonic()
        findings = await verify(
            self._settings,
            self._url,
            api=self._api_to_ask(),
            markets=self._market.markets,
            disturbed=self._market.disturbed,
            may_be_young=self._market.young,
            postgres=self._plan.postgres,
            thresholds=self._plan.bars.read_text() if self._plan.bars else None,
            scores=self._plan.signals,
        )
        self._show.say(f"the verification took {time.monotonic() - began_s:.1f} s")
        return findings

    def _api_to_ask(self) -> str | None:
        """The API's address, where anybody may ask it, and as much as he likes."""
        settings = self._settings
        if settings.anonymous is None and settings.tls_certificate is None:
            return f"http://{HOST}:{self._api_port}"
        self._show.say(f"the API is not asked, since {variable('anonymous')} or TLS is set")
        return None

    async def _say_how_far(self, market_us: int) -> None:
        """The verification reaches to each symbol's newest marker: say so where that is far behind the market."""
        keys = {key_of(exchange, symbol) for exchange, symbols in self._plan.markets.items() for symbol in symbols}
        markers = await newest_markers(self._settings)
        slowest_us = min((until_us for key, until_us in markers.items() if key in keys), default=market_us)
        behind_s = (market_us - slowest_us) / 1e6
        if behind_s > _WORTH_SAYING_S:
            self._show.say(
                f"the producer was {duration(behind_s)} of market time behind when it was stopped; "
                "the next run goes on from there"
            )

    async def _start(self, supervisor: Supervisor) -> int:
        """Start everything; market time at the start, UTC microseconds."""
        start_us = time.time_ns() // 1000
        if self._plan.simulated:
            start_us = await market_start_us(self._settings, self._plan, self._market)
            self._remember(reached_us=start_us)
            supervisor.start(
                simulator(
                    self._plan,
                    port=self._port,
                    seed=self._market.seed,
                    symbols=self._market.symbols,
                    start_us=start_us,
                    environment=_environment(self._settings, metrics_port=0),
                )
            )
            await until_answering(self._url)
            await remind(self._url, self._market.simulator)
        for stage_ in self._stages():
            self._show.board.stages[stage_.name] = StageFigures()
            supervisor.start(stage_)
        return start_us

    def _stages(self) -> Iterator[Stage]:
        """In the order in which records pass them; the view shows them so too."""
        plan, first_port = self._plan, self._settings.metrics_port
        for number, name in enumerate((*plan.producers, *plan.processors, *plan.sinks, API)):
            environment = _environment(self._settings, metrics_port=first_port and first_port + number)
            if name in plan.producers:
                yield self._producer(name, plan.producers[name], environment)
            else:
                yield stage(name, *self._arguments(name), environment=environment)

    def _arguments(self, name: str) -> tuple[str, ...]:
        """Of a stage that is no producer."""
        if name == BARS:
            return (str(self._plan.bars),)
        return ("--port", str(self._api_port)) if name == API else ()

    def _producer(self, name: str, exchange: str, environment: dict[str, str]) -> Stage:
        """``produce`` with its exchange, or ``produce.kraken``, which is its command already."""
        symbols = self._plan.markets[exchange]
        if self._plan.simulated:
            symbols = tuple(name_for_producer(exchange, symbol) for symbol in symbols)
            environment |= simulated_hosts(self._url)
        return stage(name, *((exchange,) if name == PRODUCER else ()), *symbols, environment=environment)

    async def _drain(self, supervisor: Supervisor) -> None:
        """Stop stage after stage, each once it has committed all that the one before can give."""
        self._show.say(f"stopping after {self._show.elapsed_s():.0f} s: the producer first, then what it feeds")
        await asyncio.gather(*map(supervisor.stop, self._plan.producers))
        for name in self._plan.processors:
            await caught_up(self._settings, (name,), say=self._show.say)
            await supervisor.stop(name)
        sinks = self._plan.sinks
        await caught_up(self._settings, tuple(name for name in sinks if name != PARQUET_SINK), say=self._show.say)
        await asyncio.gather(*(supervisor.stop(name) for name in sinks))
        await self._end_files(supervisor)

    async def _end_files(self, supervisor: Supervisor) -> None:
        """Parquet's files were ended when the sink was stopped; what it had no time for, a sink of its own writes."""
        if (await stage_lags(self._settings, (PARQUET_SINK,)))[PARQUET_SINK]:
            self._show.say("sink.parquet had no time to end its files: it writes the rest now")
            environment = _environment(self._settings, metrics_port=0)
            await supervisor.run_to_end(stage(PARQUET_SINK, "--once", environment=environment))
        await caught_up(self._settings, (PARQUET_SINK,), say=self._show.say)

    async def _market_time(self) -> int:
        """UTC microseconds; of a real exchange that of the clock."""
        return await market_now_us(self._url) if self._plan.simulated else time.time_ns() // 1000

    def _on_event(self, event: StageEvent) -> None:
        board, tone = self._show.board, _TONES.get(event.change, Tone.CALM)
        figures = board.stages.get(event.stage)
        if figures is not None:
            figures.state = _STATES[event.change]
            if event.change is StageChange.RESTARTED:
                figures.restarts += 1
                self._remember(disturbed=True)
                figures.carry_over()
        if event.change in _TOLD:
            self._show.say(event.text, tone)
        else:
            board.say(time.time(), event.text, tone)

    def _remember(self, **changes: Any) -> None:
        if not self._plan.simulated:
            return
        self._market = replace(self._market, **changes)
        remember(self._settings.home, self._market)

    def _on_entry(self, name: str, entry: Mapping[str, Any]) -> None:
        board = self._show.board
        if entry.get("event") == PROGRESS_EVENT:
            if name != SIMULATOR:
                board.take_progress_line(name, entry)
            return
        if name == API:  # it is at work as soon as it says so
            board.stages[name].state = "running"
        if entry.get("level") in ("warning", "error", "critical") and "logger" not in entry:
            reason = entry.get("reason") or entry.get("error") or ""
            text = f"{name}: {entry.get('event')}{f': {reason}' if reason else ''}"
            board.say(time.time(), text, Tone.WARNING if entry["level"] == "warning" else Tone.BAD)


_STATES = {
    StageChange.STARTED: "starting",
    StageChange.RESTARTED: "restarting",
    StageChange.DIED: "killed",
    StageChange.GAVE_UP: "given up",
    StageChange.STOPPED: "stopped",
}


def _environment(settings: Settings, *, metrics_port: int) -> dict[str, str]:
    """What a stage sees. It says each second how it does, for the view; its metrics have a port of their own."""
    return child_environment(
        settings, home=str(settings.home.absolute()), progress_s="1", metrics_port=str(metrics_port)
    )


@asynccontextmanager
async def _beside(*jobs: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Do `jobs` while the block runs."""
    tasks = [asyncio.create_task(job) for job in jobs]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _kill(supervisor: Supervisor, name: str, every_s: float) -> None:
    while True:
        await asyncio.sleep(every_s)
        supervisor.kill(name)


async def _unless_failed(supervisor: Supervisor, work: Awaitable[Result]) -> Result:
    """What `work` gives; or the error of a stage that had to be given up meanwhile."""
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

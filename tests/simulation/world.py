"""A whole run from one seed: a market, a cluster, workers, and what goes wrong; then peace, and a verdict."""

import asyncio
import gc
import hashlib
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

from broker import Broker
from checks import Facts, violations
from clients import Cluster
from feeds import PARTITIONS, SPEED, Exchange, arrivals
from loop import BEGIN_S, PROCESS, Process, SimulatedLoop, StuckError
from market_log import START
from membership import SESSION_TIMEOUT_S, Group
from network import Faults, Network
from plan import Plan
from stand_in import Place, standing_in

from processors.candles import core as core_module
from processors.candles import live
from processors.candles.config import CandlesConfig
from processors.candles.worker import run_candles
from processors.engine import assigned_partition, worker
from runtime import lifecycle, membership, telemetry
from runtime.kafka import TopicPartition
from runtime.kafka.connection import kafka_errors
from runtime.settings import Settings, load_settings

SETTINGS: Settings = load_settings(kafka="simulated:9092", partitions=PARTITIONS)
TOPICS = SETTINGS.topics
MAX_STEPS = 400_000
REST_S = 32.0
"""By then every request that was sent before the end of the faults has arrived."""
CALM_WITHIN_S = 150.0
"""How long after the last fault the workers may take to come to the log's end."""


@dataclass
class Outcome:
    """What became of a seed."""

    seed: int
    plan: Plan
    faults: Faults
    violations: list[str]
    steps: int
    trace: list[tuple[Any, ...]] = field(repr=False)

    @property
    def digest(self) -> str:
        return hashlib.sha256("\n".join(map(repr, self.trace)).encode()).hexdigest()


class _Clock:
    """The module `time`, as the engine sees it: the wall clock is the market's."""

    def __init__(self, loop: SimulatedLoop) -> None:
        self._loop = loop
        self.skew_s = 0.0

    def monotonic(self) -> float:
        return self._loop.time()

    def time(self) -> float:
        return START / 1e6 + (self._loop.time() - BEGIN_S) * SPEED

    def time_ns(self) -> int:
        return int(self.time() * 1e9)

    def append_ms(self) -> int:
        return int((self.time() + self.skew_s) * 1000)


class _Log:
    """Where the engine's own words go: into the trace."""

    def __init__(self, note: Any) -> None:
        self._note = note

    def info(self, event: str, **fields: Any) -> None:
        if event != telemetry.PROGRESS_EVENT:
            self._note("says", event, *fields.values())

    warning = error = info


class World:
    """One run."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.rng = Random(f"run {seed}")
        self.plan = Plan.drawn(self.rng)
        self.loop = SimulatedLoop(Random(f"order {seed}"), MAX_STEPS)
        self.clock = _Clock(self.loop)
        self.faults = Faults.drawn(self.rng)
        self.drawn_faults = Faults(**vars(self.faults))
        self.network = Network(self.loop, Random(f"network {seed}"), self.faults)
        self.trace: list[tuple[Any, ...]] = []
        names = [TOPICS.trades, TOPICS.candles(), TOPICS.late, TOPICS.dead_letters(TOPICS.trades)]
        names += [TOPICS.state, TOPICS.live]
        self.broker = Broker(names, PARTITIONS, self._later, self.clock.append_ms, self.note)
        self.inputs = [TopicPartition(TOPICS.trades, partition) for partition in range(PARTITIONS)]
        self.group = Group(self.network, self.inputs, self.note)
        self.cluster = Cluster(self.network, self.broker, self.group)
        self.ended: dict[Process, asyncio.Future[None]] = {}
        self.violations: list[str] = []
        self.rejoined_at_s = self.calm_at_s = 0.0
        self.calm = False
        self.closing = False
        self.loop.on_death = self._died
        self.network.freeze = self._freeze

    def run(self) -> Outcome:
        """Everything, from the first trade to the verdict."""
        gc.disable()  # a finalizer that runs some time would be chance
        try:
            with standing_in(self.cluster, self.clock, *self._places()):
                try:
                    self.loop.run_until_complete(
                        self.loop.create_task(self._direct(), context=self.loop.network.context())
                    )
                except StuckError as error:
                    self.violations.append(f"stuck: {error}")
                outcome = Outcome(self.seed, self.plan, self.drawn_faults, [], self.loop.steps, list(self.trace))
                self.network.over = True
                self.loop.bury()
        finally:
            gc.enable()
        facts = Facts(broker=self.broker, topics=TOPICS, partitions=PARTITIONS, rules=self.plan.rules)
        outcome.violations = self.violations + self.broker.regressions + violations(facts)
        return outcome

    def note(self, *what: Any) -> None:
        if what[:2] == ("says", "joining anew"):
            self.rejoined_at_s = self.loop.time()
        self.trace.append((round(self.loop.time() - BEGIN_S, 6), *what))

    def _later(self, at_least_s: float, at_most_s: float | None, callback: Any, *arguments: Any) -> None:
        delay_s = self.network.delay_s() if at_most_s is None else self.rng.uniform(0, at_most_s)
        self.network.later(at_least_s + delay_s, callback, *arguments)

    async def _direct(self) -> None:
        parts = arrivals(self.rng)
        Exchange(self.network, self.broker, TOPICS.trades, self.rng).open(parts)
        slots = [asyncio.create_task(self._keep_worker(slot)) for slot in range(self.plan.workers)]
        until_s = self.loop.time() + parts[-1].at_s + 3.0
        while self.loop.time() < until_s:
            await asyncio.sleep(self.rng.uniform(0.5, 3.0))
            self._disturb()
        self.note("calm")
        self.calm = True
        self.rejoined_at_s = self.calm_at_s = self.loop.time()
        vars(self.faults).update(vars(Faults()))
        for process in self.loop.processes:
            process.dies_at_step = None
            self.loop.thaw(process)
        if not self.plan.once:
            await self._finish(slots)
        self.closing = True
        self.note("closing")
        await asyncio.wait_for(asyncio.gather(*slots), 2 * lifecycle.GRACE_S)
        if self.plan.once:
            await self._pass_once()
        # The last commits may be answered, and not yet seen by all.
        nothing_open = lambda: not any(log.open for log in self.broker.logs.values())  # noqa: E731
        await self._until(nothing_open, self.loop.time() + CALM_WITHIN_S, "without open transactions")

    async def _finish(self, slots: list["asyncio.Task[None]"]) -> None:
        """Run to the log's end; then, perhaps, watch whether the members stay in their group."""
        deadline_s = self.loop.time() + CALM_WITHIN_S
        await self._until(self._caught_up, deadline_s, "at the log's end")
        if self.plan.rests:
            await self._until(lambda: self.loop.time() - self.rejoined_at_s > REST_S, deadline_s, "at rest")
            at_rest_s = self.rejoined_at_s
            slots.append(asyncio.create_task(self._keep_worker(len(slots))))
            await asyncio.sleep(REST_S / 2)
            if self.rejoined_at_s != at_rest_s:
                self.violations.append("a member left because another came")

    async def _pass_once(self) -> None:
        # One pass reads the partitions that it is given: those of a member that died a moment ago are not among them.
        await asyncio.sleep(REST_S)
        process = self.loop.process("once")
        config = CandlesConfig(rules=self.plan.rules, once=True)
        task = self.loop.create_task(run_candles(SETTINGS, config, asyncio.Event()), context=process.context())
        await asyncio.wait([task], timeout=CALM_WITHIN_S)
        if task.done():
            self._judge(process, task, asked_in_peace=True)
        else:
            self.violations.append("stuck: one pass does not end")
        self.loop.kill(process)

    async def _until(self, reached: Callable[[], bool], deadline_s: float, where: str) -> None:
        while not reached():  # the simulated world is looked at from outside
            if self.loop.time() > deadline_s:
                self.violations.append(f"stuck: not {where} {CALM_WITHIN_S:.0f} s after the last fault")
                return
            await asyncio.sleep(0.5)

    def _disturb(self) -> None:
        if self.plan.compactions:
            for partition in range(PARTITIONS):
                keep = self.rng.random()
                log = self.broker.logs[TopicPartition(TOPICS.state, partition)]
                self.note("compact", partition, log.compact(lambda keep=keep: self.rng.random() < keep))  # type: ignore[misc]
        self.clock.skew_s = self.rng.uniform(-1, 0.2) * self.plan.clock_steps

    def _caught_up(self) -> bool:
        group = TOPICS.group("candles")
        for tp in self.inputs:
            log = self.broker.logs[tp]
            records = log.all_committed()
            if log.open or self.broker.offsets.get((group, tp), 0) != (records[-1].offset + 1 if records else 0):
                return False
        return True

    async def _keep_worker(self, slot: int) -> None:
        """One place for a worker: when one ends, another starts there."""
        number = 0
        while not self.closing:
            process = self.loop.process(f"w{slot}.{number}")
            number += 1
            await self._one_life(process, f"place-{slot}" if self.plan.static else None)
            if not self.calm:
                await asyncio.sleep(self.rng.uniform(0.1, 3.0))

    async def _one_life(self, process: Process, instance: str | None) -> None:
        stop = asyncio.Event()
        if not self.calm and self.rng.random() < self.plan.deaths:
            process.dies_at_step = int(math.exp(self.rng.uniform(math.log(5), math.log(2_000))))
        self.note("start", process.name, process.dies_at_step)
        config = CandlesConfig(rules=self.plan.rules, instance_id=instance)
        task = self.loop.create_task(run_candles(SETTINGS, config, stop), context=process.context())
        ended: asyncio.Future[None] = self.loop.create_future()
        self.ended[process] = ended
        task.add_done_callback(lambda _task: ended.done() or ended.set_result(None))
        stops_at_s = self.loop.time() + (self.rng.uniform(0, 15) if self.rng.random() < self.plan.stops else math.inf)
        asked_in_peace = False
        while not ended.done():
            await asyncio.wait([ended], timeout=1.0)
            if not self.calm and self.rng.random() < self.plan.freezes / 5:
                self._freeze(process)
            if not stop.is_set() and (self.closing or (self.loop.time() >= stops_at_s and not self.calm)):
                self.note("stop", process.name)
                asked_in_peace = self.closing and self.loop.time() - self.calm_at_s > REST_S
                stop.set()
                self.network.later(lifecycle.GRACE_S, task.cancel)
        if not process.dead:
            self._judge(process, task, asked_in_peace=asked_in_peace)
            self.loop.kill(process)

    def _freeze(self, process: Process) -> None:
        if process.frozen or process.dead:
            return
        self.note("freeze", process.name)
        self.loop.freeze(process)
        for member in self.group.of(process):
            self.group.suspect(member)
        # Often just as long as it takes until another is at work on what it held.
        at_least_s, more_s = self.rng.choice(((0, 5), (0, 25), (SESSION_TIMEOUT_S, 1), (SESSION_TIMEOUT_S, 3)))
        self.network.later(at_least_s + more_s * self.rng.random(), self._thaw, process)

    def _thaw(self, process: Process) -> None:
        self.note("thaw", process.name)
        self.loop.thaw(process)

    def _judge(self, process: Process, task: "asyncio.Task[None]", *, asked_in_peace: bool) -> None:
        if task.cancelled():
            if asked_in_peace:
                self.violations.append(f"{process.name} did not drain within its grace")
        elif (error := task.exception()) is not None:
            self.violations.append(f"{process.name} ended with {type(error).__name__}: {error}")
        self.note("end", process.name)

    def _died(self, process: Process) -> None:
        self.note("died", process.name, process.steps)
        for member in self.group.of(process):
            self.group.suspect(member)
        if process in self.ended and not self.ended[process].done():
            self.ended[process].set_result(None)

    def _places(self) -> Iterator[Place]:
        """What else the engine finds in its own modules."""

        started = set[Process | None]()

        async def asked(*_arguments: Any) -> str:
            with kafka_errors(SETTINGS, "asking about topics"):
                return await self.network.ask(lambda: "id of the topic")

        async def right(*arguments: Any) -> None:
            process = PROCESS.get()
            if process in started:  # a broker that is away at the very start ends the process, and rightly
                await asked(*arguments)
            started.add(process)

        log = _Log(self.note)
        yield worker, "require_topics", right
        yield worker, "topic_id", asked
        yield worker, "logger", lambda _stage: log
        yield worker, "POLL_S", 1.0  # what comes ends it sooner, and waiting costs steps
        yield worker, "SHORT_POLL_S", 0.03
        yield lifecycle, "logger", lambda _stage: log
        yield telemetry, "logger", lambda _stage: log
        yield membership, "logger", lambda _stage: log
        yield telemetry.Meter, "progress_s", 1.0  # each line is a moment at which others may be faster
        yield core_module, "_AT_ONCE", self.plan.at_once
        for module in (assigned_partition, live, worker, lifecycle, membership, telemetry):
            yield module, "time", self.clock


def simulate(seed: int) -> Outcome:
    """Run one seed."""
    return World(seed).run()
